"""Fine-tuning: a run from a folder of pictures to a model, its curves and its mistakes."""

from keras_effnets.finetuning.report import Outcome
from keras_effnets.finetuning.reporter import Reporter
from keras_effnets.finetuning.run import finetune
from keras_effnets.finetuning.settings import Settings
from keras_effnets.finetuning.workers import PeerLostError, Processes

__all__ = ["Outcome", "PeerLostError", "Processes", "Reporter", "Settings", "finetune"]
