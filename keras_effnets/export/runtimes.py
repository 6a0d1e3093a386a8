"""Runs exported models in their own runtimes: images in, scores out.

Sessions are safe to use from several threads; each runs one call at a time. A runtime is imported
when a model is opened.
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

from weights_tools.formats.native_output import all_messages_dropped


class Session(Protocol):
    """An open exported model."""

    def scores(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Returns the model's outputs (B, classes) for (B, H, W, C)."""


class Engine(NamedTuple):
    """The module of an engine, and the distribution and the extra that install it."""

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
    """Returns the version of an installed engine."""
    return metadata.version(ENGINES[engine].distribution)


def require(*modules: str, extra: str) -> None:
    """Raises ImportError with the line that installs them, unless all modules are installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install 'keras_effnets[{extra}]'"
        )


def cores(threads: int | None) -> int:
    """Returns the number of threads to compute with: `threads`, or one per core allowed.

    Raises:
        ValueError: `threads` is below 1.
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if threads < 1:
        raise ValueError(f"threads={threads!r}: expected 1 or more")
    return threads


def processor() -> str:
    """Returns the processor's name, as far as the operating system gives one."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        line = next(line for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
    return line.partition(":")[2].strip()


class LiteRT:
    """A .tflite file in `ai_edge_litert`, with XNNPACK.

    Raises:
        ImportError: LiteRT is not installed.
        ValueError: The file is not a LiteRT model with one input and one output.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        require("ai_edge_litert", extra="litert")
        from ai_edge_litert.interpreter import Interpreter

        self._lock = threading.Lock()
        self._interpreter = Interpreter(model_path=str(path), num_threads=cores(threads))
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        with all_messages_dropped():  # XNNPACK prints a greeting
            self._interpreter.allocate_tensors()
        self._batch = 1

    def scores(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Returns the model's outputs (B, classes) for (B, H, W, C)."""
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
        ImportError: ONNX Runtime is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        require("onnxruntime", extra="onnx")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores(threads)
        options.log_severity_level = 3
        # Spinning threads would take the cores from the threads that decode the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        (model_input,) = self._session.get_inputs()
        self._input = model_input.name
        self._batch = model_input.shape[0] if isinstance(model_input.shape[0], int) else None

    def scores(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Returns the model's outputs (B, classes) for (B, H, W, C)."""
        if self._batch is None:
            return self._session.run(None, {self._input: batch})[0]
        return in_batches_of(
            self._batch, lambda x: self._session.run(None, {self._input: x})[0], batch
        )


class OpenVINO:
    """An .xml file, with its .bin beside it, in OpenVINO on the CPU.

    A model of any batch size is compiled for the first batch size it gets, which makes that one up
    to a tenth faster; it is compiled for any batch size only if another one follows.

    Args:
        path: The .xml file.
        threads: Number of threads to compute with; None uses one per core.
        precision: "float32" is forced even where OpenVINO would choose bfloat16 by itself;
            "bfloat16" asks for it; "int8" is in the file.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: The CPU has no bfloat16.
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
        self._requests: dict[int | None, Any] = {}  # by batch size; None for any

    def scores(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Returns the model's outputs (B, classes) for (B, H, W, C)."""
        return in_batches_of(self._batch, self._run, batch) if self._batch else self._run(batch)

    def _run(self, batch: NDArray[Any]) -> NDArray[Any]:
        with self._lock:
            return self._request(len(batch)).infer({0: batch})[0].copy()

    def _request(self, batch: int) -> Any:
        size = batch if not self._requests or batch in self._requests else None
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


def in_batches_of(size: int, run: Any, batch: NDArray[Any]) -> NDArray[Any]:
    """Runs `run` on batches of exactly `size`, the last filled up with copies of its last image."""
    rows = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        rows.append(run(filled)[: len(part)])
    return np.concatenate(rows)
