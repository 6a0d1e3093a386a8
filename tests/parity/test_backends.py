"""The same numbers on JAX and on PyTorch, each in a process of its own."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import living  # noqa: E402
import plain  # noqa: E402
import test_densenet  # noqa: E402
import test_googlenet  # noqa: E402
import test_mobilenet_v3  # noqa: E402
import test_resnet  # noqa: E402

REFERENCES = {
    "efficientnet_b0": lambda side: living.efficientnet_reference("efficientnet_b0", side),
    "efficientnet_lite0": lambda side: living.efficientnet_lite_reference(
        "efficientnet-lite0", side
    ),
    "mobilenet_v2": lambda side: living.mobilenet_v2_reference(1.0, side),
    # Gates, by a hard sigmoid.
    "mobilenet_v3_large": lambda side: test_mobilenet_v3.reference_of("large", side),
    # Groups of four channels; gates in residual blocks.
    "resnext50_32x4d": partial(test_resnet.reference_of, "resnext50_32x4d"),
    "se_resnet50": test_resnet.gated_reference_of,
    # Grouped convolution and response normalisation; pools that round up; adaptive pooling.
    "alexnet_2012": partial(plain.reference, "alexnet_2012"),
    "squeezenet1_0": partial(plain.reference, "squeezenet1_0"),
    "vgg11": partial(plain.reference, "vgg11"),
    "googlenet": test_googlenet.reference_of,
    # Features that grow, and means of an odd side.
    "densenet121": partial(test_densenet.reference_of, "densenet121"),
}


SOME = (
    "efficientnet_lite0",
    "mobilenet_v3_large",
    "resnext50_32x4d",
    "se_resnet50",
    "alexnet_2012",
    "squeezenet1_0",
    "googlenet",
    "densenet121",
)
"""Every kind of layer once; the others are in `make parity`."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((97, SOME), id="97"),
        pytest.param((96, tuple(REFERENCES)), id="96", marks=pytest.mark.full),
        pytest.param((97, tuple(REFERENCES)), id="97-all", marks=pytest.mark.full),
    ],
)
def cases(request, tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """A folder of checkpoints and what torch answers with them; the noise of each."""
    side, names = request.param
    folder = tmp_path_factory.mktemp("cases")
    noise = {}
    for name in names:
        reference = REFERENCES[name](side)
        assert reference.spread() >= 0.1
        noise[name] = reference.noise()
        torch.save(reference.state_dict, folder / f"{name}.pth")
        np.savez(
            folder / f"{name}.npz",
            pictures=reference.pictures,
            logits=reference.logits,
            **reference.features,
        )
    return folder, noise


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.full), "torch"])
def test_another_backend_agrees(backend, cases):
    pytest.importorskip(backend, reason="the other backends are in the test extra")
    folder, noise = cases
    process = subprocess.run(
        [sys.executable, Path(__file__).with_name("backend_run.py"), folder],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout.splitlines()[-1])
    assert answer["backend"] == backend
    assert answer["errors"].keys() == noise.keys()
    for case, errors in answer["errors"].items():
        assert max(errors.values()) <= max(compare.TOLERANCE, 4 * noise[case]), (case, errors)
