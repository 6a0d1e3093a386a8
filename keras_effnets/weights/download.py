"""Fetching one file over HTTP: checked while it comes, and under its name only when it is right.

What has arrived waits beside the target as `.NAME.partial`. A connection that was cut goes on from
there, where the server knows byte ranges, in the same call or in a later one.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from keras_effnets.weights.progress import Progress, bytes_on_terminal
from weights_tools import __version__

_log = logging.getLogger("keras_effnets")
TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up."""
ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt; each further pause is twice the one before."""
LIMIT = 8 * 10**9
"""Bytes that no checkpoint reaches: a server that sends more sends something else."""
HASHES = {"sha256": "SHA-256", "md5": "MD5"}
"""What a file can be checked by, as people write it."""
_CHUNK = 1 << 18
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that another attempt may not meet again."""


class _CutError(OSError):
    """The transfer ended early for a reason that another attempt may not meet."""


def download(
    url: str, path: Path, digest: str, limit: int = LIMIT, *, algorithm: str = "sha256"
) -> None:
    """Fetches a file, which then is at `path`, whole and checked, or not at all.

    Proxies are those of the environment. Redirects are followed, but not from https to http. No
    two processes may fetch the same path at once: `cache.keep` sees to that.

    Args:
        url: Of http or https.
        path: In a folder that exists.
        digest: In hex, of the right file; the first digits of it will do. Without any, the file
            must be as long as the server says, and that is all that is known of it.
        limit: The most bytes to take.
        algorithm: Of the digest, a key of `HASHES`.

    Raises:
        ValueError: If the file that came has another hash.
        OSError: If it cannot be fetched or written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"url={url!r} is neither http nor https")
    partial_path = partial_name(path)
    try:
        with partial_path.open("ab") as file, bytes_on_terminal(path.name) as progress:
            partial = _Partial(file, algorithm)
            if not digest:
                partial.restart()  # nothing would tell the beginning of an older file from this
            resumed = partial.size > 0
            _fetch(url, partial, limit, progress)
            if resumed and not partial.digest.startswith(digest):
                partial.restart()  # the beginning may be of an older file of the publisher's
                _fetch(url, partial, limit, progress)
            if not partial.digest.startswith(digest):
                raise ValueError(
                    f"{url}: {HASHES[algorithm]} is {partial.digest}, and the published file's "
                    f"{digest}"
                )
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial_path, path)
    except (_CutError, KeyboardInterrupt):
        raise  # what has arrived is for the next call
    except BaseException:  # what is left could not be gone on with
        partial_path.unlink(missing_ok=True)
        raise


def partial_name(path: Path) -> Path:
    """Where the bytes of `path` wait until they are all there."""
    return path.with_name(f".{path.name}.partial")


class _Partial:
    """What has arrived: bytes in a file, and their hash.

    Args:
        file: Open for appending; what it holds already counts.
        algorithm: Of the hash.
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
        """Of what has arrived, in hex."""
        return self._hash.hexdigest()

    @property
    def free(self) -> int:
        """Bytes that still go onto its disk."""
        return shutil.disk_usage(Path(self._file.name).parent).free

    def append(self, chunk: bytes) -> None:
        """Adds what came next."""
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forgets what has arrived."""
        self._file.truncate(0)
        self._hash, self.size = hashlib.new(self._algorithm), 0


def _fetch(url: str, partial: _Partial, limit: int, progress: Progress) -> None:
    """Receives all of the file, in as many attempts as there are."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _receive(url, partial, limit, progress)
        except _CutError as error:
            if attempt == ATTEMPTS:
                raise _CutError(f"{error}; gave up after {attempt} attempts") from error
            pause = PAUSE * 2 ** (attempt - 1)
            _log.info("%s: %s; trying again in %g s", url, error, pause)
            time.sleep(pause)


def _receive(url: str, partial: _Partial, limit: int, progress: Progress) -> None:
    """Receives what is still to come, over one connection."""
    request = urllib.request.Request(url, headers={"User-Agent": f"keras_effnets/{__version__}"})
    if partial.size:
        request.add_header("Range", f"bytes={partial.size}-")
    with _network():
        response = urllib.request.build_opener(_Redirects, _Ranges).open(request, timeout=TIMEOUT)
    with response:
        _meet(partial, response)
        total = None if response.length is None else partial.size + response.length
        if total is not None and total > limit:
            raise OSError(f"the server announces {total:,} bytes, and at most {limit:,} are taken")
        coming = 0 if total is None else total - partial.size
        if coming > (free := partial.free):
            raise OSError(f"{coming:,} bytes are to come, and the disk has room for {free:,}")
        while True:
            with _network():
                # Unlike `read`, it gives what there is: nothing is lost when the rest stalls.
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
    """Makes what has arrived end where the response begins."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        if partial.size:
            partial.restart()
        if response.status != http.HTTPStatus.OK:
            raise _CutError(f"the server answers {response.status} to a request for a range")
        return
    begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if begin is None or int(begin[1]) != partial.size:
        partial.restart()
        raise _CutError("the server sends another range than it was asked for")


class _Ranges(urllib.request.BaseHandler):
    """Lets through the answer to a range that the file does not have: it is no failure yet."""

    def http_error_416(self, request: Any, response: Any, *_: Any) -> Any:
        """The answer as it is."""
        return response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect that would take the transfer out of TLS."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the new place.

        Raises:
            OSError: If it is less safe than the old one.
        """
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and (req.type == "https" or scheme != "http"):
            raise OSError(f"redirected from {req.full_url} to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Sorts what goes wrong on the way into what may pass and what will not."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        kind = _CutError if error.code in _PASSING else OSError
        raise kind(f"the server answers {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise _CutError(f"no byte came for {TIMEOUT:g} s") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _CutError(f"no answer came for {TIMEOUT:g} s") from error
        # A refused connection, an unknown host or a wrong certificate will be so again.
        passing = isinstance(error.reason, ConnectionError) and not isinstance(
            error.reason, ConnectionRefusedError
        )
        raise (_CutError if passing else OSError)(str(error.reason)) from error
    except (ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise _CutError(f"the connection was cut ({error or type(error).__name__})") from error
