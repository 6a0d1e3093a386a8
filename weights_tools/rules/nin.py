"""Network In Network as PyTorch's sequence."""

from collections.abc import Iterator

from keras_effnets.models.nin import NiNConfig, plan
from keras_effnets.weights.names.rule import Rule, Source, biased


def _sequential(config: NiNConfig) -> Iterator[Rule]:
    """All in `features`, pools and dropouts counted, the convolution to the classes too."""
    number = 0
    for index, (name, row, _) in enumerate(plan(config)):
        number += (index > 0) + row.dropped
        for part in range(1, len(row.widths) + 1):
            yield from biased(f"features.{number}", f"{name}/conv{part}/conv", "conv")
            number += 2
    yield from biased(f"features.{number}", "classifier/conv", "conv")


SOURCES = {"sequential": Source("torch", _sequential)}
