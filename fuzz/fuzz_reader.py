"""Coverage-guided fuzzing of the checkpoint reader; any error but its own is a finding.

Usage: `make fuzz`, or `python fuzz/fuzz_reader.py CORPUS [libFuzzer option] ...`. The first byte of
an input selects what the rest is: a file; a pickle for a valid zip, whose checksum a fuzzer could
not guess; or a pickle for a file of the older format.
"""

import os
import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["weights_tools"]):
    from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from crafted import CONTAINERS, write
from mutate import mutate

# Prefer memory, so that the disk does not limit the speed.
_MEMORY = Path("/dev/shm")
_FOLDER = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
_PATH = _FOLDER / f"keras_effnets_fuzz_{os.getpid()}.pth"
_HDF5_START = b"\x89HDF"
# A tensor with a stride of 0 can claim any size.
_MAX_BYTES_READ = 1 << 20


def read_one(data: bytes) -> None:
    """Reads one input as a checkpoint, and all its values."""
    kind, content = data[:1], data[1:]
    if kind == b"\0":
        if content.startswith(_HDF5_START):
            return  # read by a C library, which is not under test
        _PATH.write_bytes(content)
    else:
        write(_PATH, CONTAINERS[kind == b"\2"], content)
    try:
        checkpoint = read_checkpoint(_PATH, verify=bool(len(data) % 2))
    except CheckpointError as error:
        if not str(error).isprintable():
            raise AssertionError("the message is not one line of text") from error
        return
    finally:
        _PATH.unlink()
    for array in checkpoint.tensors.values():
        if array.nbytes <= _MAX_BYTES_READ:
            array.tobytes()


def change(data: bytes, max_size: int, seed: int) -> bytes:
    """Mutates an input: pickles mostly by opcode, everything else by byte."""
    source = random.Random(seed)
    if data[:1] in (b"", b"\0") or source.random() < 0.3:
        return atheris.Mutate(data, max_size)
    return (data[:1] + mutate(data[1:], source))[:max_size]


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_one, custom_mutator=change)
    atheris.Fuzz()
