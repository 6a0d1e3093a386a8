"""Lists the cache of published checkpoints, and which files this release uses."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import Timeout

from keras_effnets.weights import cache
from keras_effnets.weights.cache import RULES_VERSION
from keras_effnets.weights.catalog import WEIGHTS, WeightsInfo

CONVERSION, DOWNLOAD, TEMPORARY, LOCK = "conversion", "download", "temporary", "lock"
_CONVERTED = re.compile(
    r"(?P<model>\w+)-(?P<set>.+)-(?P<source>[0-9a-f]{8})-rules(?P<rules>\w+)\.safetensors"
)
# The names of unfinished files, from `download.partial_name` and `atomic.replacing`.
_UNFINISHED = re.compile(r"\.(?P<name>.+)\.(partial|[a-z0-9_]{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """One file in the cache.

    Attributes:
        kind: `CONVERSION`, `DOWNLOAD`, `TEMPORARY` or `LOCK`.
        path: The file.
        name: The download or conversion that it is, or belongs to.
        model: The network with these weights.
        weights_set: The published set.
        bytes: Its size.
        modified: Seconds since 1970.
        rules: The version of a conversion's rules.
        is_used: Whether this release may open it again.
        note: Why, or why not.
    """

    kind: str
    path: Path
    name: str
    model: str
    weights_set: str
    bytes: int
    modified: float
    rules: str | None
    is_used: bool
    note: str


def cached() -> Iterator[Cached]:
    """Every file that this project put into the cache; others are left out."""
    root = cache.home()
    for folder, describe in ((cache.DOWNLOADS, _download), (cache.CONVERTED, _conversion)):
        for path in _files(root / folder):
            unfinished = _UNFINISHED.fullmatch(path.name)
            if found := describe(path, unfinished["name"] if unfinished else path.name):
                yield _left_over(found, TEMPORARY) if unfinished else found
    for path in _files(root / cache.LOCKS):
        name = path.name.removesuffix(".lock")
        if found := _download(path, name) or _conversion(path, name):
            yield _left_over(found, LOCK)


def remove(file: Cached) -> bool:
    """Removes a file and its lock; returns False if a process is using it."""
    lock = cache.lock(cache.home(), file.name)
    path = Path(lock.lock_file)
    path.parent.mkdir(exist_ok=True)
    try:
        with lock.acquire(timeout=0):
            file.path.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    except Timeout:
        return False
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_file())


def _sets() -> Iterator[tuple[str, WeightsInfo]]:
    return ((model, info) for model, sets in WEIGHTS.items() for info in sets)


def _download(path: Path, name: str) -> Cached | None:
    for model, info in _sets():
        if info.url is None or cache.download_name(info) != name:
            continue
        conversion = cache.conversion_name(info, model)
        is_converted = cache.find(cache.CONVERTED, conversion) is not None
        return Cached(
            kind=DOWNLOAD,
            path=path,
            name=name,
            model=model,
            weights_set=info.name,
            bytes=path.stat().st_size,
            modified=path.stat().st_mtime,
            rules=None,
            is_used=not is_converted,
            note="converted" if is_converted else "not converted yet",
        )
    return None


def _conversion(path: Path, name: str) -> Cached | None:
    parts = _CONVERTED.fullmatch(name)
    if parts is None:
        return None
    model, rules = parts["model"], parts["rules"]
    is_known = any(
        model == owner and cache.conversion_name(info, model, rules) == name
        for owner, info in _sets()
    )
    if rules != RULES_VERSION:
        note = f"rules {rules}; this release has {RULES_VERSION}"
    else:
        note = "current" if is_known else "a set unknown to this release"
    return Cached(
        kind=CONVERSION,
        path=path,
        name=name,
        model=model,
        weights_set=parts["set"],
        bytes=path.stat().st_size,
        modified=path.stat().st_mtime,
        rules=rules,
        is_used=is_known and rules == RULES_VERSION,
        note=note,
    )


def _left_over(file: Cached, kind: str) -> Cached:
    return replace(file, kind=kind, is_used=False, note="left over, unless a process is using it")
