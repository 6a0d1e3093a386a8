"""The small networks of every family, as fixtures that a conftest imports."""

import keras
import pytest
import small_networks

__all__ = ["family", "seeded", "small"]


@pytest.fixture(autouse=True)
def seeded():
    """Random weights are the same in every run."""
    keras.utils.set_random_seed(1)


@pytest.fixture
def small() -> small_networks.Build:
    """Builds the network of a family, for four classes."""
    return small_networks.small


@pytest.fixture(params=small_networks.FAMILIES)
def family(request) -> str:
    """The name of each family in turn."""
    return request.param
