"""A foreign checkpoint as a file of ours: the part that a published set needs."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import keras

from keras_effnets.plan.config import ModelConfig
from keras_effnets.plan.deferred import outline
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.cache import RULES_VERSION, sha256
from keras_effnets.weights.catalog import WeightsInfo
from keras_effnets.weights.conversion import Conversion
from weights_tools.formats.our_format import write_weights_file

C = TypeVar("C", bound=ModelConfig)


def convert_published(
    source: Path,
    info: WeightsInfo,
    build: Callable[[C, Interface], keras.Model],
    config: C,
    out: Path,
) -> None:
    """Converts a published checkpoint into a file of ours.

    Args:
        source: The checkpoint.
        info: The published set.
        build: The network's pure builder.
        config: The network's config.
        out: The `.safetensors` file to write.

    Raises:
        ValueError: If the checkpoint does not fit; nothing is written then.
        OSError: If a file cannot be read or written.
    """
    conversion = Conversion(source, config, source=info.source, include_top=info.has_classifier)
    config = replace(config, profile=conversion.profile)
    classes = conversion.classes
    interface = Interface(include_top=bool(classes), classes=classes or config.classes)
    shapes = outline(lambda: build(config, interface))
    values = conversion.values(shapes)
    recorded = provenance(conversion, conversion.config(info.preset), info, sha256(source))
    write_weights_file(out, shapes, values, recorded)


def provenance(
    conversion: Conversion, config: ModelConfig, known: WeightsInfo | None, digest: str
) -> dict[str, Any]:
    """Where a file's weights come from, and for which network they are: the file's header.

    Args:
        conversion: The checkpoint's conversion.
        config: The network's, as the checkpoint requires it.
        known: The published set that the checkpoint is, if it is one.
        digest: The checkpoint's SHA-256.
    """
    return {
        "model": config.name,
        "config": asdict(config),
        "profile": conversion.profile,
        "preset": config.input_preset.to_dict(),
        "settings": config.fixed_options,
        "counters": conversion.counters,
        "classes": conversion.classes,
        "source": conversion.source,
        "source_file": conversion.checkpoint.path.name,
        "source_sha256": digest,
        "rules": RULES_VERSION,
        "weights_set": known.name if known else "",
        "license": known.license if known else "unspecified",
    }
