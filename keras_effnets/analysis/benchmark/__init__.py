"""The speed of networks on this machine, compared with other libraries and the machine's limits."""

from keras_effnets.analysis.benchmark.contest import Contender, Result, benchmark, contenders
from keras_effnets.analysis.benchmark.limits import Limits, machine_limits

__all__ = ["Contender", "Limits", "Result", "benchmark", "contenders", "machine_limits"]
