"""ZFNet as PyTorch's sequence; nobody publishes a checkpoint."""

from collections.abc import Iterator

from keras_effnets.models.zfnet import TOP_SIDE, ZFNetConfig
from keras_effnets.weights.names.rule import Rule, Source, biased
from weights_tools.rules.sequential import hidden_top


def _sequential(config: ZFNetConfig) -> Iterator[Rule]:
    number = 0
    for row in config.rows:
        yield from biased(f"features.{number}", f"{row.name}/conv", "conv")
        number += 2 + row.pooled + row.normalised
    yield from hidden_top(TOP_SIDE, 0, 3, 6)


SOURCES = {"sequential": Source("torch", _sequential)}
