"""How fast networks are on this machine, beside others and beside what the machine can do."""

from keras_effnets.analysis.benchmark.contest import Contender, Result, benchmark, contenders
from keras_effnets.analysis.benchmark.limits import Limits, machine_limits

__all__ = ["Contender", "Limits", "Result", "benchmark", "contenders", "machine_limits"]
