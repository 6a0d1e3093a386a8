"""Downloads one file over HTTP, checks it, and only then gives it its name.

The bytes so far are in `.NAME.partial` beside the target. An interrupted transfer resumes there if
the server supports byte ranges, in the same call or a later one.

Written by hand: `pooch` and the like neither resume a transfer nor check a prefix of a hash, which
is all that torchvision publishes.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from weights_tools import __version__

_log = logging.getLogger("keras_effnets")
TIMEOUT = 30.0
"""Seconds without data after which a connection is dropped."""
ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt; each later pause is twice as long."""
LIMIT = 8 * 10**9
"""Bytes; no checkpoint is as large."""
HASHES = {"sha256": "SHA-256", "md5": "MD5"}
"""The hashes, and how people write them."""
ByteProgress = Callable[[int, int | None], None]
"""Takes the bytes so far and the total; None if the total is unknown."""
_CHUNK = 1 << 18
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses worth another attempt."""


class _CutError(OSError):
    """The transfer ended early, and another attempt may succeed."""


def download(
    url: str, path: Path, digest: str, limit: int = LIMIT, *, algorithm: str = "sha256"
) -> None:
    """Downloads a file to `path`, whole and checked, or not at all.

    Uses the environment's proxies. Follows redirects, but not from https to http. Two processes
    must not download to the same path at once; `cache.keep` prevents it.

    Args:
        url: An http or https address.
        path: A file in a folder that exists.
        digest: The file's hash in hex, or its first digits. If empty, only the length that the
            server announces is checked.
        limit: Maximum number of bytes.
        algorithm: The hash, a key of `HASHES`.

    Raises:
        ValueError: If the file has another hash.
        OSError: If it cannot be downloaded or written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"url={url!r} is neither http nor https")
    partial_path = partial_name(path)
    try:
        with partial_path.open("ab") as file, bytes_on_terminal(path.name) as progress:
            partial = _Partial(file, algorithm)
            if not digest:
                partial.restart()  # without a hash, an older file's beginning would go unnoticed
            resumed = partial.size > 0
            _fetch(url, partial, limit, progress)
            if resumed and not partial.digest.startswith(digest):
                partial.restart()  # the beginning may be an older file's
                _fetch(url, partial, limit, progress)
            if not partial.digest.startswith(digest):
                raise ValueError(
                    f"{url}: its {HASHES[algorithm]} is {partial.digest}, but {digest} is published"
                )
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial_path, path)
    except (_CutError, KeyboardInterrupt):
        raise  # the next call resumes
    except BaseException:  # this partial file cannot be resumed
        partial_path.unlink(missing_ok=True)
        raise


def partial_name(path: Path) -> Path:
    """The path of the unfinished download of `path`."""
    return path.with_name(f".{path.name}.partial")


class _Partial:
    """The bytes received so far, and their hash.

    Args:
        file: Open for appending; may already hold bytes.
        algorithm: The hash, a key of `HASHES`.
    """

    def __init__(self, file: IO[bytes], algorithm: str) -> None:
        self._file = file
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.size = file.tell()
        if self.size:
            with open(file.name, "rb") as so_far:
                self._hash = hashlib.file_digest(so_far, algorithm)

    @property
    def digest(self) -> str:
        """The hash of the bytes so far, in hex."""
        return self._hash.hexdigest()

    @property
    def free(self) -> int:
        """Free bytes on the file's disk."""
        return shutil.disk_usage(Path(self._file.name).parent).free

    def append(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Discards the bytes so far."""
        self._file.truncate(0)
        self._hash, self.size = hashlib.new(self._algorithm), 0


def _fetch(url: str, partial: _Partial, limit: int, progress: ByteProgress) -> None:
    """Receives the whole file, in up to `ATTEMPTS` attempts."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _receive(url, partial, limit, progress)
        except _CutError as error:
            if attempt == ATTEMPTS:
                raise _CutError(f"{error}; gave up after {attempt} attempts") from error
            pause = PAUSE * 2 ** (attempt - 1)
            _log.info("%s: %s; trying again in %g s", url, error, pause)
            time.sleep(pause)


def _receive(url: str, partial: _Partial, limit: int, progress: ByteProgress) -> None:
    """Receives the rest of the file over one connection."""
    request = urllib.request.Request(url, headers={"User-Agent": f"keras_effnets/{__version__}"})
    if partial.size:
        request.add_header("Range", f"bytes={partial.size}-")
    with _network():
        response = urllib.request.build_opener(_Redirects, _Ranges).open(request, timeout=TIMEOUT)
    with response:
        _meet(partial, response)
        total = None if response.length is None else partial.size + response.length
        if total is not None and total > limit:
            raise OSError(f"the server announces {total:,} bytes, more than the limit of {limit:,}")
        coming = 0 if total is None else total - partial.size
        if coming > (free := partial.free):
            raise OSError(f"{coming:,} bytes remain, but the disk has only {free:,} free")
        while True:
            with _network():
                # Unlike `read`, it returns what has arrived: nothing is lost if the rest stalls.
                chunk = response.read1(_CHUNK)
            if not chunk:
                break
            if partial.size + len(chunk) > limit:
                raise OSError(f"the server sends more than {limit:,} bytes")
            partial.append(chunk)
            progress(partial.size, total)
    if total is not None and partial.size < total:
        raise _CutError(f"the connection ended after {partial.size:,} of {total:,} bytes")


def _meet(partial: _Partial, response: http.client.HTTPResponse) -> None:
    """Makes the bytes so far end where the response begins."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        if partial.size:
            partial.restart()
        if response.status != http.HTTPStatus.OK:
            raise _CutError(f"the server answered {response.status} to a range request")
        return
    begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if begin is None or int(begin[1]) != partial.size:
        partial.restart()
        raise _CutError("the server sent a different range from the one requested")


class _Ranges(urllib.request.BaseHandler):
    """Passes on the answer to an unsatisfiable range: it is not a failure yet."""

    def http_error_416(self, request: Any, response: Any, *_: Any) -> Any:
        """The response, unchanged."""
        return response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects that leave TLS."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The redirected request.

        Raises:
            OSError: If it leaves TLS.
        """
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and (req.type == "https" or scheme != "http"):
            raise OSError(f"refused a redirect from {req.full_url} to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Turns network failures into `_CutError` if temporary, `OSError` otherwise."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        kind = _CutError if error.code in _PASSING else OSError
        raise kind(f"the server answered {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise _CutError(f"no data for {TIMEOUT:g} s") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _CutError(f"no answer for {TIMEOUT:g} s") from error
        # A refused connection, an unknown host or a wrong certificate is permanent.
        passing = isinstance(error.reason, ConnectionError) and not isinstance(
            error.reason, ConnectionRefusedError
        )
        raise (_CutError if passing else OSError)(str(error.reason)) from error
    except (ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise _CutError(f"the connection was cut ({error or type(error).__name__})") from error


@contextlib.contextmanager
def bytes_on_terminal(name: str) -> Iterator[ByteProgress]:
    """A progress bar on standard error; nothing if that is not a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
