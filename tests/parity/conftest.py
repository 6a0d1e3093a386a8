"""What all parity tests share."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Torch's threads and TensorFlow's fight for two cores: that is tenfold slower."""
    torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")
    torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Where a test has even and odd sides, `make test` takes the odd, as pads show there.

    `make parity` takes both.
    """
    odd = {_test(item) for item in items if (side := _side(item)) and side % 2}
    for item in items:
        if (side := _side(item)) and side % 2 == 0 and _test(item) in odd:
            item.add_marker(pytest.mark.full)


def _test(item):
    return item.path, item.originalname


def _side(item):
    parameters = getattr(item, "callspec", None) and item.callspec.params
    side = (parameters or {}).get("side")
    return side if isinstance(side, int) and item.path.is_relative_to(HERE) else None
