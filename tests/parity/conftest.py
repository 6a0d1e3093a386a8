"""What all parity tests share."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Torch's threads and TensorFlow's fight for two cores: that is tenfold slower."""
    torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")
    torch.set_num_threads(1)
