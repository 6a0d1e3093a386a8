"""Exported models in their own runtimes: pictures in, scores out, one call at a time a session.

Every session is safe to use from several threads. A runtime is imported when a model is opened.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import threading
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.quiet import quiet

Array = NDArray[np.float32]


class Session(Protocol):
    """An exported model that is open."""

    def scores(self, batch: Array) -> Array:
        """What the model gives, (B, classes), for (B, H, W, C)."""


class Engine(NamedTuple):
    """What runs an artifact: its module, and the distribution and the extra that bring it."""

    module: str
    distribution: str
    extra: str


ENGINES = {
    "tensorflow": Engine("tensorflow", "tensorflow", ""),
    "litert": Engine("ai_edge_litert", "ai-edge-litert", "litert"),
    "onnxruntime": Engine("onnxruntime", "onnxruntime", "onnx"),
    "openvino": Engine("openvino", "openvino", "openvino"),
}


def installed(engine: str) -> bool:
    """Whether an engine can be imported here."""
    return importlib.util.find_spec(ENGINES[engine].module) is not None


def version(engine: str) -> str:
    """Of an installed engine."""
    return metadata.version(ENGINES[engine].distribution)


def require(*modules: str, extra: str) -> None:
    """Raises ImportError, with the line that helps, unless all modules are installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install 'keras_effnets[{extra}]'"
        )


def cores(threads: int | None) -> int:
    """How many threads to compute with: as asked for, else one for each core allowed.

    Raises:
        ValueError: For less than one.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if threads < 1:
        raise ValueError(f"threads={threads!r}: expected 1 or more")
    return threads


def processor_name() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        return name.partition(":")[2].strip()
    except (OSError, StopIteration):  # not Linux, or a processor without a name there
        return platform.processor() or platform.machine()


class LiteRT:
    """A .tflite file in `ai_edge_litert`, with XNNPACK.

    Raises:
        ImportError: Without LiteRT.
        ValueError: If the file is no model of pictures.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        require("ai_edge_litert", extra="litert")
        from ai_edge_litert.interpreter import Interpreter

        self._lock = threading.Lock()
        self._interpreter = Interpreter(model_path=str(path), num_threads=cores(threads))
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        with quiet():  # XNNPACK greets
            self._interpreter.allocate_tensors()
        self._batch = 1

    def scores(self, batch: Array) -> Array:
        """What the model gives, (B, classes), for (B, H, W, C)."""
        with self._lock:
            if len(batch) != self._batch:
                self._interpreter.resize_tensor_input(self._input["index"], batch.shape)
                self._interpreter.allocate_tensors()
                self._batch = len(batch)
            self._interpreter.set_tensor(self._input["index"], batch)
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output["index"])


class OnnxRuntime:
    """An .onnx file in ONNX Runtime, on the CPU.

    Raises:
        ImportError: Without ONNX Runtime.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        require("onnxruntime", extra="onnx")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores(threads)
        options.log_severity_level = 3
        # Threads that wait busily take the cores from whoever decodes the next pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        (taken,) = self._session.get_inputs()
        self._input = taken.name
        self._batch = taken.shape[0] if isinstance(taken.shape[0], int) else None

    def scores(self, batch: Array) -> Array:
        """What the model gives, (B, classes), for (B, H, W, C)."""
        if self._batch is None:
            return self._session.run(None, {self._input: batch})[0]
        return in_batches_of(
            self._batch, lambda x: self._session.run(None, {self._input: x})[0], batch
        )


class OpenVINO:
    """An .xml file, with its .bin beside it, in OpenVINO on the CPU.

    What takes any number of pictures is compiled for the number that is asked for first, which is
    up to a tenth faster there, and only if others follow for any.

    Args:
        path: Of the .xml.
        threads: To compute with.
        precision: "float32" is forced, where OpenVINO would choose bfloat16 by itself;
            "bfloat16" asks for it; "int8" is in the file.

    Raises:
        ImportError: Without OpenVINO.
        ValueError: If the CPU has no bfloat16.
    """

    def __init__(self, path: Path, threads: int | None = None, precision: str = "float32") -> None:
        require("openvino", extra="openvino")
        import openvino

        self._core = openvino.Core()
        if precision == "bfloat16" and not has_bfloat16():
            raise ValueError("precision='bfloat16': this CPU does not compute in it")
        self._options = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": cores(threads),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._model = self._core.read_model(str(path))
        first = self._model.input(0).partial_shape[0]
        self._batch = None if first.is_dynamic else first.get_length()
        self._lock = threading.Lock()
        self._requests: dict[int | None, Any] = {}  # by number of pictures; None for any

    def scores(self, batch: Array) -> Array:
        """What the model gives, (B, classes), for (B, H, W, C)."""
        return in_batches_of(self._batch, self._run, batch) if self._batch else self._run(batch)

    def _run(self, batch: Array) -> Array:
        with self._lock:
            return self._request(len(batch)).infer({0: batch})[0].copy()

    def _request(self, pictures: int) -> Any:
        size = pictures if not self._requests or pictures in self._requests else None
        if size not in self._requests:
            model = self._model
            if size is not None and self._batch is None:
                model = model.clone()
                model.reshape([size, *list(model.input(0).partial_shape)[1:]])
            compiled = self._core.compile_model(model, "CPU", self._options)
            self._requests[size] = compiled.create_infer_request()
        return self._requests[size]


def has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this CPU."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def in_batches_of(size: int, run: Any, batch: Array) -> Array:
    """Runs pictures through what takes so many at once, the last one again to fill the last."""
    rows = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        rows.append(run(filled)[: len(part)])
    return np.concatenate(rows)
