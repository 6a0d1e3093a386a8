"""The variables of a network of every family: paths and shapes, as in `golden/`.

Weights files are keyed by these paths: changing one is a breaking change, needs a line in
CHANGELOG.md and a new golden file. To write them anew, and to see by `git diff` what changed:
`PYTHONPATH=tests python tests/models/test_golden_paths.py`.
"""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
from outlines import outlined

import keras_effnets
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import outline

GOLDEN = Path(__file__).with_name("golden")


def smallest() -> list[str]:
    """The network of each family that has the fewest parameters."""
    found: dict[str, str] = {}
    for name in sorted(
        keras_effnets.list_models(), key=lambda name: keras_effnets.model_info(name).parameters
    ):
        found.setdefault(get_builder(name).config.family, name)
    return sorted(found.values())


def lines_of(shapes: dict[str, tuple[int, ...]]) -> Iterator[str]:
    """A line a sublayer: its path, and its variables by shape, those of one shape together."""
    for owner, paths in groupby(shapes, key=lambda path: path.rpartition("/")[0]):
        alike = groupby(paths, key=shapes.__getitem__)
        variables = (
            " ".join([*(path.rpartition("/")[2] for path in group), "x".join(map(str, shape))])
            for shape, group in alike
        )
        yield f"{owner}: {'; '.join(variables)}"


@pytest.mark.parametrize("name", smallest())
def test_variable_paths_are_the_golden_ones(name):
    assert list(lines_of(outlined(name)[0])) == (GOLDEN / f"{name}.txt").read_text().splitlines()


def test_there_is_no_golden_file_of_another_network():
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == smallest()


if __name__ == "__main__":
    for file in GOLDEN.glob("*.txt"):
        file.unlink()
    for name in smallest():
        lines = lines_of(outline(partial(get_builder(name), weights=None)))
        (GOLDEN / f"{name}.txt").write_text("\n".join([*lines, ""]))
