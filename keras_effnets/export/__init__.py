"""Exports models for servers and devices, each compared with its model."""

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.litert import export_litert
from keras_effnets.export.onnx import export_onnx
from keras_effnets.export.openvino import export_openvino
from keras_effnets.export.parity import Parity, ParityError
from keras_effnets.export.serving.saved_model import export_saved_model

__all__ = [
    "Artifact",
    "Parity",
    "ParityError",
    "export_litert",
    "export_onnx",
    "export_openvino",
    "export_saved_model",
]
