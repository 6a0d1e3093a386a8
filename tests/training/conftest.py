"""What the tests of runs share."""

import keras
import pytest
import small_networks


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory):
    """A saved network with all that a run must handle, and no more: norms, dropout, drop path."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("tiny") / "tiny.keras"
    small_networks.living("efficientnet_lite").save(path)
    return str(path)
