"""Imports torchvision where its compiled operators don't match the installed torch."""

import importlib
from types import ModuleType
from typing import Any

import pytest

# The schemas last as long as this object does.
_library: Any = None


def import_torchvision() -> ModuleType:
    """Returns torchvision, or skips the test where torch or torchvision isn't installed."""
    global _library
    torch = pytest.importorskip("torch", reason="torch is not installed")
    importlib.import_module("torch.library")
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        pytest.skip("torchvision is not installed")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    # torchvision declares fake versions of two operators that its compiled part failed to
    # register; none of the transforms and models compared here uses them.
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")
