"""MobileNetV1 in the names of timm and Keras."""

from collections.abc import Iterator

from keras_effnets.models.mobilenet_v1 import MobileNetV1Config, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source, biased, unit


def _timm(config: MobileNetV1Config) -> Iterator[Rule]:
    yield from unit("conv_stem", "bn1", "stem")
    for block in plan(config):
        yield from timm.mobile(block, squeeze_excite=False, project="pointwise")
    yield from biased("classifier", "classifier/dense", "dense")


def _keras(config: MobileNetV1Config) -> Iterator[Rule]:
    """`conv_dw_{n}` and `conv_pw_{n}`, counted through all stages from 1."""
    yield from keras.unit("conv1", "conv1_bn", "stem")
    for number, block in enumerate(plan(config), start=1):
        for part, ours in (("dw", "depthwise"), ("pw", "pointwise")):
            source = f"conv_{part}_{number}"
            yield from keras.unit(source, f"{source}_bn", f"{block.name}/{ours}")
    yield from keras.biased("conv_preds", "classifier/dense", "squeeze:kernel")


SOURCES = {
    **timm.sources(
        _timm,
        lambda config: f"mobilenetv1_{round(100 * config.alpha):03d}",
        colours=timm.INCEPTION,
        tf_colours=None,
    ),
    "keras": Source("tensorflow", _keras, ()),
}
