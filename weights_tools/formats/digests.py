"""The digests in files that this project wrote, checked without Keras.

`our_format` computes the same when it writes and reads.
"""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.checkpoint import Checkpoint, CheckpointError

OURS = "keras_effnets"
"""The entry of a file's metadata by which it is known as one of this project."""


def digest(tensor: NDArray[Any]) -> str:
    """BLAKE2b of the values in C order, 128 bits in hex."""
    values: NDArray[np.uint8] = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
    return hashlib.blake2b(values.data, digest_size=16).hexdigest()


def check_digests(checkpoint: Checkpoint) -> None:
    """Compares every tensor of a file of ours with what was written.

    Raises:
        CheckpointError: At the first that differs, or has no digest.
    """
    try:
        recorded = json.loads(checkpoint.metadata.get("digests", "{}"))
    except ValueError:
        recorded = {}
    expected = recorded if isinstance(recorded, dict) else {}
    for name, tensor in checkpoint.tensors.items():
        found = digest(tensor)
        if found != expected.get(name):
            raise CheckpointError(
                f"{checkpoint.path}: {name} was changed or damaged since the file was written: "
                f"its digest is {found}, and {expected.get(name, 'none')} is recorded"
            )
