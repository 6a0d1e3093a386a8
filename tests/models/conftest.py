"""What the tests of whole networks share."""

import keras
import pytest


@pytest.fixture(autouse=True, scope="module")
def seeded():
    """Random weights are the same in every run."""
    keras.utils.set_random_seed(1)
