"""Fine-tuning: from a folder of images to a model, its curves and its mistakes."""

from keras_effnets.training.progress import Reporter
from keras_effnets.training.report import Outcome
from keras_effnets.training.run import finetune
from keras_effnets.training.settings import Settings
from keras_effnets.training.workers import PeerLostError, Processes

__all__ = ["Outcome", "PeerLostError", "Processes", "Reporter", "Settings", "finetune"]
