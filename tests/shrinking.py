"""Fewer channels and blocks than in the papers' tables, where no config can ask for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from keras_effnets.models import (
    googlenet,
    preact_resnet,
    resnet,
    resnext_cifar,
)


def _eighth(stages):
    return tuple(stage._replace(filters=stage.filters // 8) for stage in stages)


def _one_block(stages):
    return tuple(stage._replace(repeats=1) for stage in stages)


@contextmanager
def narrow() -> Iterator[None]:
    """An eighth of the channels in the networks of `resnet` and its kin, and in GoogLeNet."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (resnet, preact_resnet, resnext_cifar):
            patch.setattr(module, "STAGES", _eighth(module.STAGES))
            patch.setattr(module, "STEM_FILTERS", module.STEM_FILTERS // 8)
        rows = [
            row._replace(filters=tuple(max(1, filters // 8) for filters in row.filters))
            for row in googlenet.TABLE
        ]
        patch.setattr(googlenet, "TABLE", rows)
        yield


@contextmanager
def shallow(*modules: ModuleType) -> Iterator[None]:
    """One block a stage in the networks of these modules."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "STAGES", _one_block(module.STAGES))
        yield
