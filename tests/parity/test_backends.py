"""The same numbers on JAX and on PyTorch, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import living  # noqa: E402

REFERENCES = {
    "efficientnet_b0": lambda side: living.efficientnet_reference("efficientnet_b0", side),
    "efficientnet_lite0": lambda side: living.efficientnet_lite_reference(
        "efficientnet-lite0", side
    ),
    "mobilenet_v2": lambda side: living.mobilenet_v2_reference(1.0, side),
}


@pytest.mark.parametrize("side", [96, 97])
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", list(REFERENCES))
def test_another_backend_agrees(name, backend, side, tmp_path):
    if backend == "jax":
        pytest.importorskip("jax", reason="JAX is in the test extra")
    reference = REFERENCES[name](side)
    noise = reference.noise()
    weights, arrays = tmp_path / "reference.pth", tmp_path / "reference.npz"
    torch.save(reference.state_dict, weights)
    np.savez(arrays, pictures=reference.pictures, logits=reference.logits, **reference.features)
    script = Path(__file__).with_name("backend_run.py")
    process = subprocess.run(
        [sys.executable, script, name, weights, arrays],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout.splitlines()[-1])
    assert answer["backend"] == backend
    tolerance = max(compare.TOLERANCE, 4 * noise)
    assert max(answer["errors"].values()) <= tolerance, answer
