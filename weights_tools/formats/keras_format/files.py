"""Reads the files of Keras 2 and Keras 3 without Keras, and without running anything in them.

A `.weights.h5` or `.h5` file is one HDF5 file; `.keras` is a zip of an HDF5 file and the model's
config. `layouts` turns their contents into named tensors.
"""

import json
import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING

from weights_tools.formats.keras_format.layouts import KerasFile, by_class, by_layer, json_object
from weights_tools.formats.tensors import FormatError
from weights_tools.formats.zip_archive import ZIP_START, ZipArchive

if TYPE_CHECKING:
    from weights_tools.formats.keras_format.hdf5 import Contents

_HDF5_START = b"\x89HDF\r\n\x1a\n"

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_PROVENANCE = "keras_effnets.json"
_SHARD = re.compile(r"_\d{5}\.weights\.h5$")

# Raised by h5py for damaged bytes.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)


def is_keras_file(path: Path, data: mmap.mmap) -> bool:
    """Whether the mapped file was written by Keras, whole or as a shard."""
    if path.name.endswith(".weights.json") or data[:8] == _HDF5_START:
        return True
    return data[:4] == ZIP_START and _CONFIG in ZipArchive(data).names


def read_keras_file(path: Path, data: mmap.mmap, verify: bool = False) -> KerasFile:
    """Reads a `.keras`, `.h5` or `.weights.h5` file.

    Args:
        path: The file's path.
        data: The whole file, mapped.
        verify: Whether to compare the weights in a `.keras` file with their checksum.

    Raises:
        FormatError: If the file was not written by Keras, or contains something that is refused.
        OSError, RuntimeError, LookupError, ValueError: If the file is damaged.
    """
    sharded = path.name.endswith(".weights.json") or (
        _SHARD.search(path.name)
        and path.with_name(_SHARD.sub(".weights.json", path.name)).is_file()
    )
    if sharded:
        raise FormatError(
            "is one of several files that hold the weights: not supported; load them into the "
            "model and save it to one file"
        )
    if data[:4] == ZIP_START:
        return _read_archive(ZipArchive(data, verify))
    contents = _hdf5(memoryview(data))
    attributes = contents.groups[""]
    metadata = _provenance(attributes.get("keras_effnets"))
    if version := attributes.get("keras_version"):
        metadata["keras_version"] = version
    if any(group == "vars" or group.endswith("/vars") for group in contents.groups):
        return by_class("Keras weights", contents, {}, metadata)
    return by_layer(contents, metadata)


def _hdf5(data: memoryview) -> "Contents":
    from weights_tools.formats.keras_format.hdf5 import (
        read_hdf5,  # here, as h5py is slow to import and only these files need it
    )

    try:
        return read_hdf5(data)
    except FormatError:
        raise
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise FormatError(f"is an HDF5 file that is damaged or truncated ({reason})") from error


def _read_archive(archive: ZipArchive) -> KerasFile:
    names = archive.names
    if _WEIGHTS not in names:
        found = ", ".join(name for name in names if name.startswith("model")) or "no weights"
        raise FormatError(f"has no {_WEIGHTS} (found {found}): not supported")
    config = json_object(archive.content(_CONFIG).tobytes(), _CONFIG)
    provenance = archive.content(_PROVENANCE).tobytes().decode() if _PROVENANCE in names else None
    metadata = _provenance(provenance)
    if _METADATA in names:
        version = json_object(archive.content(_METADATA).tobytes(), _METADATA).get("keras_version")
        metadata["keras_version"] = str(version)
    contents = _hdf5(archive.content(_WEIGHTS).data)
    return by_class("Keras archive", contents, config, metadata)


def _provenance(encoded: str | None) -> dict[str, str]:
    """Returns the metadata that `weights-tools convert` wrote, as in a safetensors header."""
    values = {} if encoded is None else json_object(encoded, "keras_effnets entry")
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
