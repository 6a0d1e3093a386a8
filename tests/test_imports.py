"""Which part may import which: every import of every module, read and not run.

Also a script, `python tests/test_imports.py`, for `make check`, whose environment has no Keras.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("keras_effnets", "weights_tools", "examples")

PUBLIC = "keras_effnets, its public names"


class Row(NamedTuple):
    """What a module may import, besides the standard library.

    An entry allows itself and all below it; `PUBLIC` allows names of the package that are no
    modules, and the package itself.
    """

    anywhere: str | tuple[str, ...] = ()
    in_functions: tuple[str, ...] = ()
    """Only inside functions, so that whoever never calls them needs it not."""
    for_types: tuple[str, ...] = ()
    """Only under `if TYPE_CHECKING`."""


MODELS_BASE = (
    "keras",
    "keras_effnets.layers",
    "keras_effnets.preset",
    "keras_effnets.profile",
    "keras_effnets.models.config",
    "keras_effnets.models.builder",
    "keras_effnets.models.interface",
)
COMMANDS = (
    PUBLIC,
    "keras_effnets.registry",
    "keras_effnets.labels",
    "keras_effnets.pictures",
    "keras_effnets.preprocessing",
    "keras_effnets.contact_sheet",
    "keras_effnets.evaluation",
    "keras_effnets.folders",
    "keras_effnets.version",
    # Public names, from where they are at home.
    "keras_effnets.preset.Preset",
    "keras_effnets.catalog.WeightsInfo",
    "keras",
    "numpy",
    "PIL",
    "rich",
    "typer",
)

# A package's row holds for its modules too, unless they have rows of their own.
ALLOWED: dict[str, Row] = {
    "keras_effnets.preset": Row(),
    "keras_effnets.profile": Row(),
    "keras_effnets.version": Row(),
    "keras_effnets.spelling": Row(),
    "keras_effnets.catalog": Row(("keras_effnets.preset",)),
    "keras_effnets.weights_file": Row(("numpy", "safetensors")),
    "keras_effnets.deferred": Row(("keras", "numpy")),
    "keras_effnets.layers.grouped_conv": Row(
        ("keras", "keras_effnets.layers"), in_functions=("tensorflow",)
    ),
    "keras_effnets.layers": Row(
        ("keras", "numpy", "keras_effnets.preset", "keras_effnets.layers"),
    ),
    "keras_effnets.progress": Row(in_functions=("rich",)),
    "keras_effnets.download": Row(("keras_effnets.progress", "keras_effnets.version")),
    "keras_effnets.cache": Row(
        ("filelock", "keras_effnets.catalog", "keras_effnets.download"),
    ),
    "keras_effnets.hub": Row(
        ("keras_effnets.version", "keras_effnets.weights_file"),
        in_functions=("huggingface_hub",),
        for_types=("huggingface_hub",),
    ),
    "keras_effnets.weights_match": Row(
        ("numpy", "keras_effnets.deferred", "keras_effnets.preset", "keras_effnets.weights_file"),
    ),
    "keras_effnets.stored_weights": Row(
        (
            "h5py",
            "keras",
            "keras_effnets.cache",
            "keras_effnets.catalog",
            "keras_effnets.deferred",
            "keras_effnets.preset",
            "keras_effnets.profile",
            "keras_effnets.weights_file",
            "keras_effnets.weights_match",
        ),
        in_functions=("weights_tools",),
        for_types=("keras_effnets.models",),
    ),
    "keras_effnets.weights": Row(
        (
            "keras",
            "keras_effnets.cache",
            "keras_effnets.catalog",
            "keras_effnets.deferred",
            "keras_effnets.hub",
            "keras_effnets.profile",
            "keras_effnets.stored_weights",
            "keras_effnets.weights_file",
            "keras_effnets.weights_match",
        ),
        for_types=("keras_effnets.models",),
    ),
    "keras_effnets.models": Row(("keras_effnets.models",)),
    "keras_effnets.models.config": Row(("keras_effnets.preset", "keras_effnets.profile")),
    "keras_effnets.models.interface": Row(
        ("keras", "keras_effnets.layers", "keras_effnets.preset")
    ),
    "keras_effnets.models.builder": Row(
        (
            "keras",
            "keras_effnets.models.config",
            "keras_effnets.models.interface",
            "keras_effnets.weights.default_weights",
            "keras_effnets.weights.load_weights",
        ),
    ),
    "keras_effnets.models.alexnet": Row(MODELS_BASE),
    "keras_effnets.models.cifar_resnet": Row(MODELS_BASE),
    "keras_effnets.models.densenet": Row(MODELS_BASE),
    "keras_effnets.models.densenet_cifar": Row((*MODELS_BASE, "keras_effnets.models.densenet")),
    "keras_effnets.models.efficientnet": Row(MODELS_BASE),
    "keras_effnets.models.efficientnet_lite": Row(MODELS_BASE),
    "keras_effnets.models.efficientnet_v2": Row(MODELS_BASE),
    "keras_effnets.models.mobilenet_v1": Row(MODELS_BASE),
    "keras_effnets.models.googlenet": Row(MODELS_BASE),
    "keras_effnets.models.mobilenet_v2": Row(MODELS_BASE),
    "keras_effnets.models.mobilenet_v3": Row(MODELS_BASE),
    "keras_effnets.models.nin": Row(MODELS_BASE),
    "keras_effnets.models.preact_cifar": Row(MODELS_BASE),
    "keras_effnets.models.preact_resnet": Row(MODELS_BASE),
    "keras_effnets.models.resnet": Row(MODELS_BASE),
    "keras_effnets.models.resnext": Row((*MODELS_BASE, "keras_effnets.models.resnet")),
    "keras_effnets.models.resnext_cifar": Row(MODELS_BASE),
    "keras_effnets.models.senet": Row((*MODELS_BASE, "keras_effnets.models.resnet")),
    "keras_effnets.models.squeezenet": Row(MODELS_BASE),
    "keras_effnets.models.vgg": Row(MODELS_BASE),
    "keras_effnets.models.wide_resnet": Row((*MODELS_BASE, "keras_effnets.models.resnet")),
    "keras_effnets.models.zfnet": Row(MODELS_BASE),
    "keras_effnets.multiply_adds": Row(("keras", "keras_effnets.layers")),
    "keras_effnets.registry": Row(
        (
            "keras",
            "keras_effnets.catalog",
            "keras_effnets.deferred",
            "keras_effnets.models",
            "keras_effnets.multiply_adds",
            "keras_effnets.spelling",
        ),
    ),
    "keras_effnets.optimizer": Row(("keras", "keras_effnets.surgery.rates.layer_decay")),
    "keras_effnets.surgery": Row(
        ("keras", "keras_effnets.layers", "keras_effnets.surgery"),
    ),
    "keras_effnets.surgery.folding": Row(
        ("keras", "numpy", "keras_effnets.deferred", "keras_effnets.surgery.flattening")
    ),
    "keras_effnets.export": Row(("keras_effnets.export",)),
    "keras_effnets.export.parity": Row(("keras", "numpy")),
    "keras_effnets.export.artifact": Row(
        (
            "keras",
            "keras_effnets.export.parity",
            "keras_effnets.export.rounding",
            "keras_effnets.layers",
            "keras_effnets.preset",
            "keras_effnets.version",
            "keras_effnets.weights_file.replacing",
        ),
    ),
    "keras_effnets.export.rounding": Row(
        ("numpy", "keras_effnets.export.parity", "keras_effnets.export.runtimes")
    ),
    "keras_effnets.export.quiet": Row(),
    "keras_effnets.export.frozen": Row(
        ("keras", "keras_effnets.layers"), in_functions=("tensorflow",)
    ),
    # Whoever opens no such file need not have its runtime.
    "keras_effnets.export.runtimes": Row(
        ("numpy", "keras_effnets.export.quiet"),
        in_functions=("ai_edge_litert", "onnxruntime", "openvino"),
    ),
    "keras_effnets.export.calibration": Row(
        (
            "keras",
            "numpy",
            "keras_effnets.evaluation",
            "keras_effnets.export",
            "keras_effnets.folders",
            "keras_effnets.preprocessing",
        ),
    ),
    "keras_effnets.export.checked": Row(
        ("keras", "numpy", "keras_effnets.export", "keras_effnets.surgery.fold_batch_norm")
    ),
    "keras_effnets.export.litert": Row(
        ("keras", "numpy", "keras_effnets.export"), in_functions=("ai_edge_litert", "tensorflow")
    ),
    "keras_effnets.export.onnx": Row(
        ("keras", "numpy", "keras_effnets.export"), in_functions=("onnx", "tensorflow", "tf2onnx")
    ),
    "keras_effnets.export.openvino": Row(
        ("keras", "keras_effnets.export"), in_functions=("nncf", "openvino")
    ),
    "keras_effnets.export.orientation": Row(("tensorflow",)),
    "keras_effnets.export.graph_pictures": Row(
        ("tensorflow", "keras_effnets.export.orientation", "keras_effnets.preset")
    ),
    "keras_effnets.export.saved_model": Row(
        (
            "keras",
            "numpy",
            "keras_effnets.export",
            "keras_effnets.layers.grouped_conv",
            "keras_effnets.preset",
            "keras_effnets.surgery.fold_batch_norm",
        ),
        in_functions=("tensorflow", "keras_effnets.export.graph_pictures"),
    ),
    "keras_effnets.export.serving_plan": Row(
        (
            "keras",
            "keras_effnets.export",
            "keras_effnets.labels.imagenet_classes",
            "keras_effnets.preset",
        )
    ),
    "keras_effnets.export.serving_files": Row(
        ("PIL", "keras_effnets.export", "keras_effnets.weights_file.replacing"),
        in_functions=("tensorflow", "tensorflow_serving"),
    ),
    "keras_effnets.labels": Row(("numpy",)),
    "keras_effnets.pictures": Row(("numpy", "PIL")),
    "keras_effnets.preprocessing": Row(
        ("numpy", "PIL", "keras_effnets.pictures", "keras_effnets.preset")
    ),
    "keras_effnets.contact_sheet": Row(("PIL", "keras_effnets.pictures")),
    "keras_effnets.folders": Row(("keras_effnets.labels",)),
    "keras_effnets.data": Row(
        (
            "numpy",
            "keras_effnets.data",
            "keras_effnets.folders",
            "keras_effnets.pictures",
            "keras_effnets.preset",
        ),
    ),
    "keras_effnets.data.augmentation": Row(("keras", "numpy", "PIL"), in_functions=("tensorflow",)),
    "keras_effnets.data.batching": Row(
        (
            "numpy",
            "keras_effnets.data",
            "keras_effnets.pictures",
            "keras_effnets.preprocessing",
            "keras_effnets.preset",
        ),
        in_functions=("tensorflow",),
        for_types=("tensorflow",),
    ),
    "keras_effnets.data.dogs_archive": Row(
        ("numpy", "keras_effnets.data", "keras_effnets.folders"), in_functions=("scipy",)
    ),
    "keras_effnets.data.dogs_tfds": Row(
        ("keras_effnets.cache", "keras_effnets.data"), in_functions=("tensorflow_datasets",)
    ),
    "keras_effnets.evaluation": Row(COMMANDS),
    "keras_effnets.finetuning": Row(
        (
            "filelock",
            "keras",
            "matplotlib",
            "numpy",
            "safetensors",
            "keras_effnets.contact_sheet",
            "keras_effnets.data",
            "keras_effnets.evaluation",
            "keras_effnets.finetuning",
            "keras_effnets.optimizer",
            "keras_effnets.preprocessing",
            "keras_effnets.registry",
            "keras_effnets.surgery",
            "keras_effnets.version",
            "keras_effnets.weights_file.replacing",
        ),
        in_functions=("jax", "tensorflow"),
    ),
    "keras_effnets.prediction": Row(
        (
            "keras",
            "numpy",
            "PIL",
            "keras_effnets.cache",
            "keras_effnets.evaluation",
            "keras_effnets.export",
            "keras_effnets.labels",
            "keras_effnets.prediction",
            "keras_effnets.preprocessing",
            "keras_effnets.preset",
            "keras_effnets.version",
            "keras_effnets.weights_file.replacing",
        ),
        in_functions=("tensorflow", "keras_effnets.surgery.fold_batch_norm"),
    ),
    "keras_effnets.prediction.table": Row(
        (
            "keras_effnets.export.runtimes.require",
            "keras_effnets.prediction.predictor",
            "keras_effnets.weights_file.replacing",
        ),
        in_functions=("pyarrow",),
        for_types=("pyarrow",),
    ),
    "keras_effnets.prediction.cluster": Row(
        ("keras_effnets.export.runtimes.require", "keras_effnets.prediction"),
        in_functions=("ray",),
    ),
    "keras_effnets.benchmark": Row(("keras_effnets.benchmark",)),
    "keras_effnets.benchmark.limits": Row(in_functions=("keras", "numpy")),
    # Whoever lists contenders has no need of what runs them.
    "keras_effnets.benchmark.jobs": Row(
        ("numpy",),
        in_functions=(
            "keras",
            "tensorflow",
            "torch",
            "torchvision",
            "keras_effnets.prediction",
            "keras_effnets.registry",
        ),
    ),
    "keras_effnets.benchmark.contender": Row(
        in_functions=("keras", "tensorflow", "torch", "keras_effnets.benchmark.jobs")
    ),
    "keras_effnets.benchmark.contest": Row(
        ("keras_effnets.benchmark", "keras_effnets.export.runtimes", "keras_effnets.registry")
    ),
    "keras_effnets.benchmark.chart": Row(
        ("keras_effnets.benchmark", "keras_effnets.weights_file.replacing"),
        in_functions=("matplotlib",),
    ),
    "keras_effnets.compare": Row(("keras_effnets.compare",)),
    "keras_effnets.compare.names": Row(("keras_effnets.registry", "keras_effnets.spelling")),
    "keras_effnets.compare.memory": Row(
        ("keras", "keras_effnets.deferred", "keras_effnets.layers", "keras_effnets.registry")
    ),
    "keras_effnets.compare.points": Row(
        (
            "keras_effnets.catalog.WeightsInfo",
            "keras_effnets.compare.memory",
            "keras_effnets.registry",
        ),
    ),
    "keras_effnets.compare.front": Row(("keras_effnets.compare.points",)),
    "keras_effnets.compare.labels": Row(),
    "keras_effnets.compare.palette": Row(),
    "keras_effnets.compare.legend": Row(
        ("keras_effnets.compare.palette", "keras_effnets.compare.points"),
        in_functions=("matplotlib",),
    ),
    "keras_effnets.compare.chart": Row(
        ("keras_effnets.compare", "keras_effnets.weights_file.replacing"),
        # Whoever draws nothing need not wait for it.
        in_functions=("matplotlib",),
    ),
    "keras_effnets.compare.page": Row(
        ("keras_effnets.compare.palette", "keras_effnets.compare.points"),
        for_types=("keras_effnets.compare.chart",),
    ),
    "keras_effnets.compare.cards": Row(("keras_effnets.compare", "keras_effnets.registry")),
    "keras_effnets.compare.diagram": Row(
        (
            "keras",
            "keras_effnets.compare",
            "keras_effnets.deferred",
            "keras_effnets.layers",
            "keras_effnets.registry",
        ),
    ),
    "keras_effnets.compare.measure": Row(in_functions=("numpy", "keras_effnets.registry")),
    "keras_effnets.compare.figures": Row(
        (
            "keras",
            "keras_effnets.compare",
            "keras_effnets.deferred",
            "keras_effnets.layers",
            "keras_effnets.models",
            "keras_effnets.multiply_adds",
            "keras_effnets.registry",
            "keras_effnets.spelling",
            "keras_effnets.weights_file.replacing",
        ),
        in_functions=("matplotlib",),
    ),
    "keras_effnets.summary": Row(
        ("keras", "keras_effnets.multiply_adds", "keras_effnets.summary"),
    ),
    "keras_effnets.summary.receptive_field": Row(),
    "keras_effnets.summary.tracing": Row(("keras",)),
    "keras_effnets.summary.sliding": Row(
        ("keras", "keras_effnets.summary.receptive_field", "keras_effnets.summary.tracing")
    ),
    "keras_effnets.summary.windows": Row(
        (
            "keras",
            "keras_effnets.layers",
            "keras_effnets.multiply_adds",
            "keras_effnets.summary.receptive_field",
            "keras_effnets.summary.sliding",
            "keras_effnets.summary.tracing",
        ),
    ),
    "keras_effnets.summary.result": Row(("rich", "keras_effnets.summary.rendering")),
    "keras_effnets.summary.rendering": Row(("rich",), for_types=("keras_effnets.summary.result",)),
    "keras_effnets.seeing": Row(
        (
            "keras",
            "numpy",
            "PIL",
            "keras_effnets.layers.ConvClassifier",
            "keras_effnets.preprocessing",
            "keras_effnets.seeing",
            "keras_effnets.surgery.anatomy",
        ),
        in_functions=("matplotlib",),
    ),
    "keras_effnets.seeing.gradient": Row(("keras",), in_functions=("jax", "tensorflow", "torch")),
    "keras_effnets.seeing.panel": Row(("PIL",)),
    "keras_effnets.demo_page": Row(("keras_effnets.demo_page",)),
    "keras_effnets.demo_page.app": Row(
        ("fastapi", "PIL", "starlette", "keras_effnets.demo_page.viewer")
    ),
    "keras_effnets.demo_page.server": Row(("uvicorn", "keras_effnets.demo_page")),
    "keras_effnets.demo_page.viewer": Row(
        (
            "numpy",
            "PIL",
            "keras_effnets.labels",
            "keras_effnets.prediction.Predictor",
            "keras_effnets.preprocessing",
            "keras_effnets.seeing",
        ),
    ),
    "keras_effnets.terminal": Row((*COMMANDS, "keras_effnets.finetuning")),
    "keras_effnets.commands": Row(
        (*COMMANDS, "keras_effnets.commands", "keras_effnets.finetuning", "keras_effnets.terminal"),
    ),
    "keras_effnets.commands.listing": Row(
        (
            *COMMANDS,
            "keras_effnets.commands",
            "keras_effnets.compare",
            "keras_effnets.terminal",
            "keras_effnets.weights_file.replacing",
        ),
    ),
    "keras_effnets.commands.benchmark": Row(
        (
            *COMMANDS,
            "keras_effnets.benchmark",
            "keras_effnets.commands",
            "keras_effnets.compare",
            "keras_effnets.export.runtimes",
            "keras_effnets.terminal",
        ),
    ),
    "keras_effnets.commands.compare": Row(
        (*COMMANDS, "keras_effnets.commands", "keras_effnets.compare", "keras_effnets.terminal"),
    ),
    "keras_effnets.commands.look": Row(
        (
            *COMMANDS,
            "keras_effnets.commands.options",
            "keras_effnets.seeing",
            "keras_effnets.terminal",
            "keras_effnets.weights_file.replacing",
        ),
    ),
    "keras_effnets.commands.export": Row(
        ("typer", "keras_effnets.commands", "keras_effnets.export", "keras_effnets.terminal")
    ),
    "keras_effnets.commands.predict": Row(
        (*COMMANDS, "keras_effnets.commands", "keras_effnets.prediction", "keras_effnets.terminal"),
    ),
    "keras_effnets.commands.predict_table": Row(
        (
            "typer",
            "keras_effnets.commands.options",
            "keras_effnets.folders",
            "keras_effnets.prediction",
            "keras_effnets.terminal",
        ),
    ),
    "keras_effnets.commands.serve_demo": Row(
        ("typer", "keras_effnets.commands.options", "keras_effnets.terminal"),
        in_functions=("keras_effnets.demo_page",),
    ),
    "keras_effnets.commands.summary": Row(
        (
            *COMMANDS,
            "keras_effnets.commands",
            "keras_effnets.deferred.sketch",
            "keras_effnets.summary",
            "keras_effnets.surgery.freeze",
            "keras_effnets.terminal",
        ),
    ),
    "keras_effnets.cli": Row(("typer", "keras_effnets.commands", "keras_effnets.terminal")),
    "keras_effnets": Row(
        (
            "keras_effnets.catalog",
            "keras_effnets.finetuning.finetune",
            "keras_effnets.labels",
            "keras_effnets.models",
            "keras_effnets.optimizer",
            "keras_effnets.prediction",
            "keras_effnets.preprocessing",
            "keras_effnets.preset",
            "keras_effnets.registry",
            "keras_effnets.seeing",
            "keras_effnets.summary",
            "keras_effnets.surgery",
            "keras_effnets.version",
        ),
    ),
    "weights_tools": Row(),
    "weights_tools.checkpoint": Row(
        (
            "numpy",
            "weights_tools.keras_file",
            "weights_tools.keras_layouts",
            "weights_tools.safetensors_file",
            "weights_tools.state_dict",
            "weights_tools.tensors",
            "weights_tools.torch_files",
        ),
    ),
    "weights_tools.tensors": Row(("ml_dtypes", "numpy")),
    "weights_tools.hdf5": Row(("h5py", "numpy", "weights_tools.tensors")),
    "weights_tools.keras_layouts": Row(
        ("numpy", "weights_tools.tensors"), for_types=("weights_tools.hdf5",)
    ),
    "weights_tools.keras_file": Row(
        ("weights_tools.keras_layouts", "weights_tools.tensors", "weights_tools.zip_archive"),
        # Whoever reads no such file need not wait for h5py.
        in_functions=("weights_tools.hdf5",),
        for_types=("weights_tools.hdf5",),
    ),
    "weights_tools.safetensors_file": Row(("numpy", "weights_tools.tensors")),
    "weights_tools.state_dict": Row(("weights_tools.tensors",)),
    "weights_tools.torch_files": Row(
        (
            "numpy",
            "weights_tools.tensors",
            "weights_tools.torch_pickle",
            "weights_tools.zip_archive",
        ),
    ),
    "weights_tools.torch_globals": Row(("weights_tools.tensors",)),
    "weights_tools.torch_pickle": Row(("weights_tools.tensors", "weights_tools.torch_globals")),
    "weights_tools.zip_archive": Row(("numpy", "weights_tools.tensors")),
    "weights_tools.torch_writer": Row(("numpy", "keras_effnets.weights_file.replacing")),
    "weights_tools.donor": Row(
        ("h5py", "keras", "keras_effnets", "weights_tools.checkpoint", "weights_tools.ours")
    ),
    "weights_tools.export_torch": Row(
        (
            "keras",
            "numpy",
            "safetensors",
            "keras_effnets",
            "weights_tools.donor",
            "weights_tools.rules",
            "weights_tools.torch_writer",
        ),
    ),
    "weights_tools.launch": Row(in_functions=("keras_effnets.cli", "weights_tools.cli")),
    "weights_tools.rules": Row(
        ("numpy", "keras_effnets", "weights_tools.rules"),
        for_types=("weights_tools.checkpoint",),
    ),
    "weights_tools.spelling": Row(
        ("keras_effnets.models.config", "weights_tools.checkpoint", "weights_tools.rules"),
    ),
    "weights_tools.head": Row(("weights_tools.checkpoint", "weights_tools.rules")),
    "weights_tools.conversion": Row(
        (
            "numpy",
            "keras_effnets.deferred",
            "keras_effnets.models.config",
            "keras_effnets.preset",
            "keras_effnets.weights_match.AUXILIARY",
            "weights_tools.checkpoint",
            "weights_tools.head",
            "weights_tools.rules",
            "weights_tools.spelling",
        ),
    ),
    "weights_tools.convert": Row(
        (
            "h5py",
            "keras_effnets",
            "weights_tools.checkpoint",
            "weights_tools.conversion",
            "weights_tools.digests",
        ),
        in_functions=("weights_tools.verify",),
    ),
    "weights_tools.cached": Row(("filelock", "keras_effnets", "weights_tools.convert")),
    "weights_tools.observed": Row(("numpy",)),
    "weights_tools.pictures": Row(("numpy", "PIL", "keras_effnets.pictures")),
    "weights_tools.verification": Row(),
    "weights_tools.recorded": Row(
        ("numpy", "keras_effnets.weights_file", "weights_tools.observed", "weights_tools.pictures"),
    ),
    "weights_tools.ours": Row(
        ("keras", "numpy", "keras_effnets", "weights_tools.checkpoint", "weights_tools.observed"),
    ),
    # The only place that imports torch, and whoever verifies nothing needs none of these.
    "weights_tools.peers": Row(
        ("numpy", "PIL", "keras_effnets", "weights_tools.nin_peer"),
        in_functions=(
            "torch",
            "torchvision",
            "timm",
            "efficientnet_pytorch",
            "efficientnet_lite_pytorch",
        ),
    ),
    "weights_tools.reference": Row(("numpy", "PIL", "keras_effnets", "weights_tools")),
    "weights_tools.nin_peer": Row(("keras_effnets.models.nin",)),
    "weights_tools.diagnosis": Row(
        ("weights_tools.observed", "weights_tools.recorded", "weights_tools.verification")
    ),
    "weights_tools.verify": Row(("keras", "numpy", "keras_effnets", "weights_tools")),
    # `inspect` needs no Keras, and `keras_effnets` would bring it.
    "weights_tools.digests": Row(("numpy", "weights_tools.checkpoint")),
    "weights_tools.terminal": Row(("typer",)),
    "weights_tools.cli": Row(("typer", "weights_tools.commands", "weights_tools.terminal")),
    "weights_tools.commands": Row(
        (
            "typer",
            "weights_tools.checkpoint",
            "weights_tools.digests",
            "weights_tools.launch",
            "weights_tools.terminal",
        ),
        in_functions=("keras_effnets", "weights_tools"),
        for_types=("keras_effnets", "weights_tools"),
    ),
    "examples.demo": Row(("textures",)),
    "examples.finetune_stanford_dogs": Row((PUBLIC,), in_functions=("tensorflow_datasets",)),
    "examples.tf_serving_client": Row(in_functions=("grpc", "tensorflow", "tensorflow_serving")),
    "examples.train_cifar_lineage": Row(
        (PUBLIC, "keras_effnets.data", "keras", "matplotlib", "numpy", "PIL", "sklearn")
    ),
    "examples": Row((PUBLIC, "PIL")),
}


class Import(NamedTuple):
    """One imported name, and where."""

    target: str
    line: int
    in_function: bool
    for_types: bool


def modules() -> dict[str, Path]:
    """Every module by name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports_of(tree: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """Every import in a module, with `from a import b` spelled `a.b`."""

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for target in targets(node, module, is_package):
            yield Import(target, node.lineno, in_function, for_types)  # type: ignore[attr-defined]
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(
                        child,
                        in_function or function,
                        for_types or (typing and field == "body"),
                    )

    return walk(tree, False, False)


def targets(node: ast.AST, module: str, is_package: bool) -> list[str]:
    """What a node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = module.split(".")
            above = above[: len(above) - node.level + (1 if is_package else 0)]
            base = ".".join([*above, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
        ("import_module", "__import__")
    ):
        first = node.args[0] if node.args else None
        # One whose name is worked out at run time is nobody's to check, and so not allowed.
        return [first.value if isinstance(first, ast.Constant) else "a computed name"]
    return []


def within(target: str, entries: tuple[str, ...] | str, known: set[str]) -> bool:
    """Whether one of the entries allows the target."""
    for entry in entries:
        if entry == PUBLIC:
            name = target.removeprefix("keras_effnets.")
            is_public = "." not in name and f"keras_effnets.{name}" not in known
            if target == "keras_effnets" or (target != name and is_public):
                return True
        elif target == entry or target.startswith(entry + "."):
            return True
    return False


def row_of(module: str) -> Row | None:
    """The module's own row, or that of a package above it, the root packages' excepted."""
    name = module
    while name:
        if name in ALLOWED and (name == module or name not in ("keras_effnets", "weights_tools")):
            return ALLOWED[name]
        name = name.rpartition(".")[0]
    return None


def problems_of(module: str, source: str, *, is_package: bool, known: set[str]) -> list[str]:
    """What is wrong with one module's imports, a line each."""
    row = row_of(module)
    if row is None:
        return [f"{module} has no row in tests/test_imports.py: say what it may import"]
    problems = []
    for found in imports_of(ast.parse(source), module, is_package):
        if found.target.partition(".")[0] in sys.stdlib_module_names:
            continue
        allowed = (
            *row.anywhere,
            *(row.in_functions if found.in_function else ()),
            *(row.for_types if found.for_types else ()),
        )
        if not within(found.target, allowed, known):
            where = "in a function" if found.in_function else "at module level"
            problems.append(f"{module}, line {found.line}: imports {found.target} {where}")
    return problems


def all_problems() -> list[str]:
    """What is wrong with all modules' imports."""
    known = modules()
    stale = [name for name in ALLOWED if name not in known and not (ROOT / name).is_dir()]
    problems = [f"{name} has a row in tests/test_imports.py and no module" for name in stale]
    for module, path in known.items():
        is_package = path.name == "__init__.py"
        source = path.read_text("utf-8")
        problems += problems_of(module, source, is_package=is_package, known=set(known))
    return problems


def test_imports_point_one_way():
    problems = all_problems()
    assert not problems, "\n" + "\n".join(problems)


KNOWN = {"keras_effnets", "keras_effnets.cache", "keras_effnets.registry", "keras_effnets.models"}
REFUSED = [
    ("keras_effnets.preset", "import keras"),
    ("keras_effnets.preset", "from keras_effnets.catalog import WEIGHTS"),
    ("keras_effnets.layers.conv", "from keras_effnets import models"),
    ("keras_effnets.layers.conv", "from ..models import config"),
    ("keras_effnets.layers.conv", "import torch"),
    ("keras_effnets.models.mobilenet_v2", "from keras_effnets.models.efficientnet import plan"),
    ("keras_effnets.models.mobilenet_v2", "from .efficientnet import plan"),
    ("keras_effnets.models.builder", "from keras_effnets.weights import adapt_kernel"),
    ("keras_effnets.models.builder", "from keras_effnets import weights"),
    ("keras_effnets.weights", "import weights_tools"),
    ("keras_effnets.weights", "from keras_effnets.models import config"),
    ("keras_effnets.cache", "def f():\n    from weights_tools import convert"),
    ("keras_effnets.registry", "import importlib\nimportlib.import_module('weights_tools')"),
    ("keras_effnets.registry", "import importlib\nimportlib.import_module(name)"),
    ("keras_effnets.cli", "from keras_effnets.cache import home"),
    ("keras_effnets.cli", "from keras_effnets import cache"),
    ("keras_effnets.registry", "import keras_effnets"),
    ("weights_tools.checkpoint", "import keras"),
    ("weights_tools.checkpoint", "def f():\n    import keras_effnets"),
    ("weights_tools.torch_pickle", "import torch"),
    ("weights_tools.peers", "import torch"),
    ("weights_tools.reference", "def f():\n    import torch"),
    ("weights_tools.commands.convert", "from keras_effnets import list_models"),
    ("keras_effnets.brand_new", "import os"),
    ("weights_tools.brand_new", "import os"),
]
ACCEPTED = [
    ("keras_effnets.preset", "import os, dataclasses"),
    ("keras_effnets.layers.conv", "from .chain import Chain"),
    ("keras_effnets.models.builder", "from keras_effnets.weights import load_weights"),
    ("keras_effnets.stored_weights", "def f():\n    from weights_tools.convert import convert"),
    ("keras_effnets.weights", "if TYPE_CHECKING:\n    from keras_effnets.models import config"),
    ("keras_effnets.commands.predict", "from keras_effnets import list_models, registry"),
    ("keras_effnets.commands.predict", "import keras_effnets"),
    ("weights_tools.commands.convert", "def f():\n    from keras_effnets import list_models"),
    ("weights_tools.peers", "def f():\n    import torch"),
]


def test_wrong_imports_are_found():
    missed = [case for case in REFUSED if not problems_of(*case, is_package=False, known=KNOWN)]
    assert missed == []


def test_right_imports_are_let_through():
    problems = [problems_of(*case, is_package=False, known=KNOWN) for case in ACCEPTED]
    assert problems == [[]] * len(ACCEPTED)


if __name__ == "__main__":
    lines = all_problems()
    print("\n".join(lines), file=sys.stderr)
    sys.exit(1 if lines else 0)
