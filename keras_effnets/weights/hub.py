"""Weights from the Hugging Face Hub: `hf://owner/name[@revision][/file]`.

`huggingface_hub` downloads the file into its own cache (`HF_HOME`), where a revision's files are
side by side. The file is then opened like any other.
"""

import contextlib
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from weights_tools import __version__
from weights_tools.formats.our_format import WeightsFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf://"
_REFERENCE = re.compile(
    r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>refs/[^/]+/[^/]+|[^/]+))?(/(?P<file>.+))?"
)
_BY_PREFERENCE = (
    "model.safetensors",
    "*.safetensors",
    "pytorch_model.bin",
    "*.pth",
    "*.keras",
    "*.weights.h5",
)
_CONFIG = "config.json"
"""The file beside a timm checkpoint that describes its network and preprocessing."""


@dataclass(frozen=True, slots=True)
class _Reference:
    text: str
    repo: str
    revision: str | None
    file: str | None

    @classmethod
    def parse(cls, text: str) -> "_Reference":
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ValueError(f"weights={text!r} is not hf://owner/name[@revision][/file]")
        return cls(text, match["repo"], match["revision"], match["file"])


def fetch(reference: str, model: str) -> Path:
    """The file that a reference names, in the Hub's cache, with its `config.json` beside it.

    Without a network, the revision's cached files are used.

    Args:
        reference: `hf://owner/name[@revision][/file]`.
        model: The network's name, for messages.

    Raises:
        ValueError: If the reference is malformed or does not name one file.
        FileNotFoundError: If there is no such repository, revision or file.
        OSError: If it cannot be downloaded.
    """
    wanted = _Reference.parse(reference)
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise OSError(
            f"weights={reference!r} needs the package huggingface_hub, which is not installed: "
            f"pip install 'keras_effnets[hub]'"
        ) from None
    api = HfApi(library_name="keras_effnets", library_version=__version__)
    with _errors_in_plain_words(wanted, api.endpoint, model):
        files = _listed(api, wanted)
        if files is None:
            return _cached(api, wanted)
        name = _chosen(wanted, files, lambda file: _is_ours_there(api, wanted, file))
        path = Path(api.hf_hub_download(wanted.repo, name, revision=wanted.revision))
        config = name.removesuffix(path.name) + _CONFIG
        if config in files:
            depth = name.count("/") + 1
            commit = path.parents[depth - 1].name
            api.hf_hub_download(wanted.repo, config, revision=commit)
        return path


def _listed(api: "HfApi", wanted: _Reference) -> list[str] | None:
    """The repository's files; None if the Hub cannot be reached."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = api.model_info(wanted.repo, revision=wanted.revision)
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return None
    except ValueError:
        raise
    except Exception:  # the HTTP library's own, which differ between versions of the Hub's
        return None
    return [each.rfilename for each in info.siblings or ()]


def _cached(api: "HfApi", wanted: _Reference) -> Path:
    """The file, from the revision's cached files."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    folder = Path(
        api.snapshot_download(
            wanted.repo, revision=wanted.revision, allow_patterns=_CONFIG, local_files_only=True
        )
    )
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    try:
        return folder / _chosen(wanted, files, lambda file: WeightsFile(folder / file).is_ours)
    except (ValueError, FileNotFoundError) as error:
        raise LocalEntryNotFoundError(str(error)) from error  # the Hub may have more files


def _chosen(wanted: _Reference, files: Iterable[str], is_ours: Callable[[str], bool]) -> str:
    """The weights file that a reference names."""
    if wanted.file is not None:
        if wanted.file not in files:
            raise FileNotFoundError(
                f"weights={wanted.text!r}: {wanted.repo} has no file {wanted.file}; it has "
                + (", ".join(sorted(files)) or "no files")
            )
        return wanted.file
    top = [file for file in files if "/" not in file]
    tensors = sorted(fnmatch.filter(top, "*.safetensors"))
    if len(tensors) > 1:
        tensors = [file for file in tensors if not re.search(r"-\d+-of-\d+\.", file)]
        if ours := next(filter(is_ours, tensors), None):
            return ours
    for pattern in _BY_PREFERENCE:
        if found := fnmatch.filter(top, pattern):
            if len(found) > 1:
                break
            return found[0]
    raise ValueError(
        f"weights={wanted.text!r}: which file of {wanted.repo} has the weights is unclear; it has "
        f"{', '.join(sorted(top)) or 'no files'}. Name one as hf://{wanted.repo}/FILE"
    )


def _is_ours_there(api: "HfApi", wanted: _Reference, file: str) -> bool:
    """Whether this project wrote a safetensors file in the Hub, by its header."""
    header = api.parse_safetensors_file_metadata(wanted.repo, file, revision=wanted.revision)
    return "keras_effnets" in header.metadata


@contextlib.contextmanager
def _errors_in_plain_words(wanted: _Reference, endpoint: str, model: str) -> Iterator[None]:
    from huggingface_hub import errors

    place = f"{endpoint}/{wanted.repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise OSError(
            f"weights={wanted.text!r}: {place} is gated. Accept its terms there, then log in with "
            f"`hf auth login` or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(
            f"weights={wanted.text!r}: {place} has no revision {wanted.revision!r}"
        ) from error
    except errors.HfHubHTTPError as error:
        if error.response.status_code not in (401, 404):
            raise OSError(
                f"weights={wanted.text!r}: cannot download from {place} ({error})"
            ) from error
        raise FileNotFoundError(
            f"weights={wanted.text!r}: {place} does not exist or is private; if private, log "
            f"in with `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        file = wanted.file or "model.safetensors"
        name = file.rpartition("/")[2]
        raise OSError(
            f"weights={wanted.text!r}: {endpoint} cannot be reached, and the file is not cached. "
            f"Download {place}/resolve/{wanted.revision or 'main'}/{file} and the config.json "
            f"beside it on another machine, then run\n"
            f"    weights-tools convert {name} --model {model} --out {model}.safetensors\n"
            f'and pass weights="{model}.safetensors"'
        ) from error
    except (ValueError, FileNotFoundError):
        raise
    except Exception as error:  # the HTTP library's own
        raise OSError(f"weights={wanted.text!r}: cannot download from {place} ({error})") from error
