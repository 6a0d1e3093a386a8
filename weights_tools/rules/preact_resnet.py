"""ResNet50V2, 101V2 and 152V2 in the names of keras.applications."""

from collections.abc import Iterator

from keras_effnets.models.preact_resnet import PreActResNetConfig, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names.rule import Rule, Source


def _keras(config: PreActResNetConfig) -> Iterator[Rule]:
    """`conv{stage + 1}_block{index + 1}_{part}`; the shortcut is part 0 of a stage's first."""
    yield from keras.biased("conv1_conv", "stem/conv", "kernel")
    for block in plan(config):
        source = f"conv{block.stage + 1}_block{block.index + 1}"
        yield from keras.batch_norm(f"{source}_preact_bn", f"{block.name}/preact/norm")
        if block.index == 0:
            yield from keras.biased(f"{source}_0_conv", f"{block.name}/skip/conv", "kernel")
        for part in (1, 2):
            names = f"{source}_{part}_conv", f"{source}_{part}_bn"
            yield from keras.unit(*names, f"{block.name}/conv{part}")
        yield from keras.biased(f"{source}_3_conv", f"{block.name}/conv3/conv", "kernel")
    yield from keras.batch_norm("post_bn", "top/norm")
    yield from keras.biased("predictions", "classifier/dense", "matrix")


SOURCES = {"keras": Source("tensorflow", _keras, ())}
