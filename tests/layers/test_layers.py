"""Every layer: shapes, configs, names, and errors that name the argument."""

import functools
import json

import fresh_processes
import keras
import numpy as np
import pytest

from keras_effnets.images.preset import Preset
from keras_effnets.layers import (
    AuxiliaryClassifier,
    BasicBlock,
    Bottleneck,
    Classifier,
    ConvAct,
    ConvClassifier,
    ConvNormAct,
    DenseAct,
    DenseBlock,
    DepthwiseConvNormAct,
    DepthwiseSeparable,
    FireModule,
    FusedMBConv,
    Inception,
    InvertedResidual,
    InvertedResidualSE,
    LocalResponseNormalization,
    MaxPool,
    MBConvSE,
    MlpConv,
    NormAct,
    NormActConv,
    PaddedShortcut,
    PreActBlock,
    PreActBottleneck,
    Preprocessing,
    SqueezeExcite,
    StochasticDepth,
    Transition,
    round_filters,
)
from keras_effnets.layers.chain import Chain

PRESET = Preset(
    crop=8, resize=9, interpolation="bicubic", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)
)
UNIT = {"padding": "same", "epsilon": 1e-3, "momentum": 0.8}

# Every option differs from its default, so that a lost one shows.
LAYERS = {
    "conv": (
        ConvNormAct,
        {"filters": 8, "kernel_size": 5, "strides": 2, "activation": "silu", **UNIT},
    ),
    "dilated_conv": (ConvNormAct, {"filters": 8, "dilation_rate": 2, "activation": None}),
    "depthwise": (
        DepthwiseConvNormAct,
        {"kernel_size": 5, "strides": 2, "activation": "relu6", **UNIT},
    ),
    "dilated_depthwise": (DepthwiseConvNormAct, {"dilation_rate": 3, "activation": "silu"}),
    "squeeze_excite": (
        SqueezeExcite,
        {"squeeze_filters": 2, "activation": "silu", "gate_activation": "hard_sigmoid"},
    ),
    "inverted_residual": (
        InvertedResidual,
        {
            "filters": 4,
            "kernel_size": 5,
            "expansion": 3,
            "dilation_rate": 2,
            "activation": "silu",
            "drop_path": 0.25,
            **UNIT,
        },
    ),
    "strided_residual": (InvertedResidual, {"filters": 4, "strides": 2}),
    "gated_residual": (
        InvertedResidualSE,
        {"filters": 4, "squeeze_filters": 2, "expansion": 4.5, "activation": "relu", **UNIT},
    ),
    "fused_mbconv": (
        FusedMBConv,
        {"filters": 4, "expansion": 3, "activation": "relu", "drop_path": 0.25, **UNIT},
    ),
    "unexpanded_fused_mbconv": (FusedMBConv, {"filters": 6, "expansion": 1, "dilation_rate": 2}),
    "depthwise_separable": (
        DepthwiseSeparable,
        {"filters": 6, "strides": 2, "activation": "relu", **UNIT, "padding": "bottom_right"},
    ),
    "dilated_separable": (DepthwiseSeparable, {"filters": 6, "dilation_rate": 2}),
    "mbconv": (
        MBConvSE,
        {"filters": 4, "se_ratio": 0.5, "activation": "relu", "drop_path": 0.25, **UNIT},
    ),
    "strided_mbconv": (MBConvSE, {"filters": 6, "kernel_size": 5, "strides": 2, "expansion": 1}),
    "stochastic_depth": (StochasticDepth, {"rate": 0.25, "seed": 3}),
    "batch_depth": (StochasticDepth, {"rate": 0.25, "seed": 3, "per": "batch"}),
    "grouped_conv": (
        ConvNormAct,
        {"filters": 8, "groups": 2, "use_bias": True, "zero_gamma": True, "padding": 2},
    ),
    "conv_with_bias": (
        ConvAct,
        {"filters": 8, "kernel_size": 7, "strides": 3, "padding": 2, "activation": "relu6"},
    ),
    "norm_act": (NormAct, {"activation": "silu", "epsilon": 1e-3, "momentum": 0.8}),
    "local_response": (
        LocalResponseNormalization,
        {"size": 3, "bias": 1.0, "alpha": 0.1, "beta": 0.5},
    ),
    "max_pool": (
        MaxPool,
        {"pool_size": 4, "strides": 3, "padding": 1, "ceil_mode": True, "signed": True},
    ),
    "basic_block": (
        BasicBlock,
        {
            "filters": 12,
            "strides": 2,
            "shortcut": "pool",
            "squeeze_filters": 2,
            "drop_path": 0.25,
            "drop_per": "batch",
            "zero_gamma": True,
            "use_bias": True,
            **UNIT,
        },
    ),
    "padded_block": (BasicBlock, {"filters": 12, "dilation_rate": 2, "shortcut": "pad"}),
    "plain_block": (BasicBlock, {"filters": 12, "strides": 2, "shortcut": "none"}),
    "bottleneck": (
        Bottleneck,
        {"filters": 8, "width": 4, "groups": 2, "strides": 2, "stride_on": "1x1", **UNIT},
    ),
    "preact_block": (
        PreActBlock,
        {"filters": 12, "strides": 2, "dropout_rate": 0.25, "use_bias": True, **UNIT},
    ),
    "strided_preact_block": (PreActBlock, {"filters": 4, "strides": 2}),
    "preact_bottleneck": (
        PreActBottleneck,
        {"filters": 8, "width": 3, "strides": 2, "stride_on": "1x1", "use_bias": True, **UNIT},
    ),
    "fire": (
        FireModule,
        {
            "squeeze_filters": 2,
            "expand1x1_filters": 3,
            "expand3x3_filters": 5,
            "bypass": "complex",
        },
    ),
    "mlpconv": (
        MlpConv,
        {
            "filters": [8, 6, 4],
            "kernel_size": 5,
            "strides": 2,
            "padding": 1,
            "dropout_rate": 0.25,
        },
    ),
    "padded_shortcut": (PaddedShortcut, {"filters": 14, "strides": 2, "pool": True}),
    "inception": (
        Inception,
        {"filters": (3, 2, 4, 1, 2, 3), "widest": 3, "epsilon": 1e-2, "momentum": 0.8},
    ),
    "naive_inception": (Inception, {"filters": (3, 0, 4, 0, 2, 0), "norm": False}),
    "norm_act_conv": (
        NormActConv,
        {
            "filters": 5,
            "kernel_size": 5,
            "dropout_rate": 0.25,
            "recompute": True,
            "epsilon": 1e-3,
            "momentum": 0.8,
        },
    ),
    "dense_block": (
        DenseBlock,
        {
            "repeats": 2,
            "growth_rate": 3,
            "bottleneck": False,
            "dropout_rate": 0.25,
            "recompute": True,
            "epsilon": 1e-3,
            "momentum": 0.8,
        },
    ),
    "transition": (
        Transition,
        {
            "filters": 3,
            "dropout_rate": 0.25,
            "recompute": True,
            "epsilon": 1e-3,
            "momentum": 0.8,
        },
    ),
    "preprocessing": (Preprocessing, {"preset": PRESET, "normalize": True}),
    "no_preprocessing": (Preprocessing, {"preset": PRESET, "normalize": False}),
}
HEAD = {
    "classes": 3,
    "dropout_rate": 0.5,
    "activation": None,
    "labels": ("pizza", "steak", "sushi"),
}
EVERY = {**LAYERS, "classifier": (Classifier, HEAD)}
CONFIGS = {
    **EVERY,
    "dense_act": (DenseAct, {"units": 3, "dropout_rate": 0.25, "activation": "silu"}),
    "conv_classifier": (ConvClassifier, HEAD),
    "auxiliary_classifier": (
        AuxiliaryClassifier,
        {**HEAD, "adaptive": False, "norm": False, "epsilon": 0.1, "momentum": 0.2},
    ),
}

GROUPED = ("grouped_conv", "bottleneck")
"""Layers that divide their input's channels into groups."""


def make(name, **options):
    layer, defaults = EVERY[name]
    return layer(**{**defaults, **options}, name=name)


def pictures(name, side=9, channels=4, batch=2):
    shape = (batch, channels) if name == "classifier" else (batch, side, side + 1, channels)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("name", "channels"),
    [(name, channels) for name in EVERY for channels in (1, 2, 3, 4) if name not in GROUPED]
    + [(name, 4) for name in GROUPED],
)
def test_output_shape_is_the_one_announced(name, channels):
    layer, x = make(name), pictures(name, channels=channels)
    assert layer.compute_output_shape(x.shape) == tuple(layer(x).shape)
    assert layer.compute_output_shape((None, *x.shape[1:]))[0] is None


@pytest.mark.parametrize("layer", [ConvNormAct, DepthwiseConvNormAct, InvertedResidual, MBConvSE])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("strides", "dilation_rate"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_sides_are_divided_by_the_stride_and_rounded_up(
    layer, padding, kernel_size, strides, dilation_rate, side
):
    filters = () if layer is DepthwiseConvNormAct else (4,)
    unit = layer(
        *filters,
        kernel_size=kernel_size,
        strides=strides,
        dilation_rate=dilation_rate,
        padding=padding,
    )
    shape = (1, side, side + 1, 4)
    output = tuple(unit(np.ones(shape, "float32")).shape)
    assert output == (1, -(-side // strides), -(-(side + 1) // strides), 4)
    assert unit.compute_output_shape(shape) == output


@pytest.mark.parametrize(("kernel_size", "side"), [(1, 7), (3, 7), (3, 8), (5, 7), (5, 8)])
def test_bottom_right_pads_an_odd_side_as_same_pads_an_even_one(kernel_size, side):
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype("float32")[:, :side, :side]
    same = DepthwiseConvNormAct(kernel_size, strides=2, padding="same", activation=None)
    expected = np.asarray(same(np.pad(x, ((0, 0), (0, 8 - side), (0, 8 - side), (0, 0)))))
    unit = DepthwiseConvNormAct(kernel_size, strides=2, padding="bottom_right", activation=None)
    unit.build(x.shape)
    unit.set_weights(same.get_weights())
    rounded = side // 2 if kernel_size > 1 else -(-side // 2)
    expected = expected[:, :rounded, :rounded]
    # The last row of an odd side sees one row of padding less.
    inner = rounded if side == 8 else rounded - kernel_size // 4
    found = np.asarray(unit(x))
    assert found.shape == expected.shape == unit.compute_output_shape(x.shape)
    np.testing.assert_allclose(found[:, :inner, :inner], expected[:, :inner, :inner], atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_unknown_sides_stay_unknown(name):
    batch, height, width, channels = make(name).compute_output_shape((None, None, None, 4))
    assert (batch, height, width) == (None, None, None)
    assert channels == make(name)(pictures(name)).shape[-1]


@pytest.mark.parametrize("name", EVERY)
def test_config_survives_json_and_gives_the_same_layer(name):
    layer, x = make(name), pictures(name)
    y = layer(x)
    packed = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert packed["registered_name"] == f"keras_effnets>{type(layer).__name__}"
    again = keras.saving.deserialize_keras_object(packed)
    assert again.get_config() == layer.get_config()
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), y)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_holds_every_argument(name):
    cls, options = CONFIGS[name]
    config = cls(**options, name=name).get_config()
    for option, value in options.items():
        expected = value.to_dict() if isinstance(value, Preset) else value
        assert config[option] == expected
    assert cls.from_config(config).get_config() == config


@pytest.mark.parametrize("name", [n for n in EVERY if issubclass(EVERY[n][0], Chain)])
def test_sublayers_are_named_like_the_attribute_that_holds_them(name):
    layer = make(name)
    layer.build(pictures(name).shape)

    def check(chain):
        names = [*chain._order, *chain._beside]
        assert names
        for name in names:
            part = getattr(chain, name)
            assert part.name == name
            if isinstance(part, Chain):
                check(part)
        assert {part.name for part in chain._layers} == set(names)

    check(layer)


NORM = ("norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance")
UNIT_PATHS = ("conv/kernel", *NORM)
PATHS = {
    "conv": UNIT_PATHS,
    "depthwise": UNIT_PATHS,
    "squeeze_excite": ("reduce/kernel", "reduce/bias", "expand/kernel", "expand/bias"),
    "inverted_residual": [
        *(f"{part}/{path}" for part in ("expand", "depthwise", "project") for path in UNIT_PATHS),
    ],
    "strided_mbconv": [
        *(f"depthwise/{path}" for path in UNIT_PATHS),
        *(
            f"squeeze_excite/{fc}/{part}"
            for fc in ("reduce", "expand")
            for part in ("kernel", "bias")
        ),
        *(f"project/{path}" for path in UNIT_PATHS),
    ],
    "classifier": ("dense/kernel", "dense/bias"),
    "preprocessing": (),
}


@pytest.mark.parametrize("name", PATHS)
def test_variable_paths(name):
    layer = make(name)
    layer.build(pictures(name).shape)
    assert {v.path for v in layer.weights} == {f"{name}/{path}" for path in PATHS[name]}


def test_squeeze_is_a_share_of_the_blocks_input_and_not_of_the_expanded_width():
    block = MBConvSE(8, expansion=6, se_ratio=0.25)
    block.build((1, 8, 8, 24))
    assert block.squeeze_excite.squeeze_filters == 6
    assert block.squeeze_excite.expand.filters == 144
    narrow = MBConvSE(8, se_ratio=0.25)
    narrow.build((1, 8, 8, 3))
    assert narrow.squeeze_excite.squeeze_filters == 1


@pytest.mark.parametrize(
    ("channels", "strides", "skip"), [(4, 1, True), (4, 2, False), (3, 1, False)]
)
def test_skip_only_where_shapes_allow(channels, strides, skip):
    block = InvertedResidual(4, strides=strides)
    x = pictures("inverted_residual", side=8, channels=channels)
    block(x)
    block.project.norm.gamma.assign(np.zeros(4))
    expected = x if skip else np.zeros(block.compute_output_shape(x.shape))
    np.testing.assert_array_equal(block(x), expected)


def test_projection_is_linear():
    block = InvertedResidual(4, strides=2)
    assert np.min(block(pictures("block"))) < 0


def test_no_expansion_layer_where_expansion_is_one():
    block = InvertedResidual(4, expansion=1)
    block.build((1, 8, 8, 4))
    assert not hasattr(block, "expand")
    assert block.depthwise.conv.kernel.shape == (3, 3, 4, 1)


@pytest.mark.parametrize("activation", ["relu6", "silu"])
def test_squeeze_excite_equals_its_definition(activation):
    layer, x = SqueezeExcite(2, activation=activation), pictures("squeeze")
    y = layer(x)
    layer.reduce.bias.assign([0.25, -0.5])
    layer.expand.bias.assign([1.0, -1.0, 0.5, 0.0])
    assert not np.allclose(layer(x), y)
    reduce, expand = (np.asarray(part.kernel)[0, 0] for part in (layer.reduce, layer.expand))
    hidden = x.mean(axis=(1, 2)) @ reduce + np.asarray(layer.reduce.bias)
    act = {"relu6": np.clip(hidden, 0, 6), "silu": hidden / (1 + np.exp(-hidden))}[activation]
    gate = 1 / (1 + np.exp(-(act @ expand + np.asarray(layer.expand.bias))))
    np.testing.assert_allclose(layer(x), x * gate[:, None, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_preprocessing_subtracts_the_mean_and_divides_by_the_std(channels, dtype):
    x = np.random.default_rng(1).integers(0, 256, (2, 5, 6, channels)).astype(dtype)
    mean, std = (
        np.resize(v, max(3 if channels == 1 else 0, channels)) for v in (PRESET.mean, PRESET.std)
    )
    y = Preprocessing(PRESET)(x)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(y, (x.astype("float32") - mean) / std, rtol=1e-6)


def test_preprocessing_without_normalising_is_the_identity():
    x = np.random.default_rng(1).uniform(0, 255, (2, 5, 6, 3)).astype("float32")
    np.testing.assert_array_equal(Preprocessing(PRESET, normalize=False)(x), x)


def test_preprocessing_keeps_its_preset():
    layer = Preprocessing(PRESET)
    assert Preprocessing.from_config(layer.get_config()).preset == PRESET


def test_classifier_applies_its_activation():
    x = pictures("classifier")
    logits = make("classifier")
    z = np.asarray(logits(x))
    scores = make("classifier", activation="softmax")
    scores(x)
    scores.set_weights(logits.get_weights())
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores(x), expected, rtol=1e-5)


BAD = [
    (ConvNormAct, {"filters": 8, "padding": "valid"}, "padding='valid'"),
    (ConvNormAct, {"filters": 8, "kernel_size": 4}, "kernel_size=4"),
    (ConvNormAct, {"filters": 8, "kernel_size": -1}, "kernel_size=-1"),
    (ConvNormAct, {"filters": 8, "strides": 0}, "strides=0"),
    (ConvNormAct, {"filters": 8, "dilation_rate": 0}, "dilation_rate=0"),
    (ConvNormAct, {"filters": 8, "strides": 2, "dilation_rate": 2}, "strides=2.*dilation_rate=2"),
    (ConvNormAct, {"filters": 0}, "filters=0"),
    (DepthwiseConvNormAct, {"padding": "Same"}, "padding='Same'"),
    (DepthwiseConvNormAct, {"kernel_size": 2}, "kernel_size=2"),
    (InvertedResidual, {"filters": 8, "expansion": 0.5}, "expansion=0.5"),
    (InvertedResidual, {"filters": -8}, "filters=-8"),
    (InvertedResidual, {"filters": 4, "drop_path": 1.0}, r"(drop_path|rate)=1\.0"),
    (InvertedResidual, {"filters": 4, "padding": "valid"}, "padding='valid'"),
    (FusedMBConv, {"filters": 8, "expansion": 0.5}, "expansion=0.5"),
    (InvertedResidualSE, {"filters": 8, "squeeze_filters": 0}, "squeeze_filters=0"),
    (DepthwiseSeparable, {"filters": 8, "strides": 3}, "strides=3"),
    (MBConvSE, {"filters": 8, "se_ratio": 0}, "se_ratio=0"),
    (MBConvSE, {"filters": 8, "se_ratio": 1.5}, "se_ratio=1.5"),
    (SqueezeExcite, {"squeeze_filters": 0}, "squeeze_filters=0"),
    (StochasticDepth, {"rate": 1.0}, r"rate=1\.0"),
    (PreActBlock, {"filters": 4, "dropout_rate": 1.0}, r"dropout_rate=1\.0"),
    (PreActBottleneck, {"filters": 4, "width": 1, "stride_on": "5x5"}, "stride_on='5x5'"),
    (StochasticDepth, {"rate": -0.1}, r"rate=-0\.1"),
    (Classifier, {"classes": 0}, "classes=0"),
    (Classifier, {"classes": 3, "dropout_rate": 1.5}, r"dropout_rate=1\.5"),
    (Classifier, {"classes": 3, "labels": ["a", "b"]}, "2 labels for classes=3"),
    (Preprocessing, {"preset": {"crop": 8, "resize": 8, "std": [0, 1, 1]}}, r"std=\(0"),
    (Preprocessing, {"preset": {"crop": 8}}, "missing"),
]


@pytest.mark.parametrize(
    ("layer", "options", "message"), BAD, ids=[f"{b[0].__name__}-{b[2]}" for b in BAD]
)
def test_bad_argument_is_named(layer, options, message):
    with pytest.raises(ValueError, match=message):
        # Some are checked with the sublayers, that is once the channels are known.
        layer(**options).build((1, 4) if layer is Classifier else (1, 8, 8, 4))


def test_unknown_channels_are_an_error():
    with pytest.raises(ValueError, match=r"stem: the number of channels is unknown"):
        ConvNormAct(8, name="stem").build((None, 8, 8, None))


@pytest.mark.parametrize(
    ("filters", "rounded"), [(1, 8), (8, 8), (11.9, 16), (12, 16), (18, 24), (44.8, 48), (92, 96)]
)
def test_round_filters(filters, rounded):
    assert round_filters(filters) == rounded
    assert rounded >= 0.9 * filters


def chained_model(**input_options):
    """A functional model of every layer, side by side."""
    inputs = keras.Input((9, 10, 4), **input_options)
    means = [keras.layers.GlobalAveragePooling2D()(make(name)(inputs)) for name in LAYERS]
    return keras.Model(inputs, make("classifier")(keras.layers.Concatenate()(means)))


def test_building_a_functional_model_calls_no_layer(monkeypatch):
    calls = []

    def counted(call):
        @functools.wraps(call)
        def wrapper(self, *args, **kwargs):
            calls.append(self.name)
            return call(self, *args, **kwargs)

        return wrapper

    classes = {base for cls, _ in EVERY.values() for base in cls.__mro__}
    for cls in classes:
        if cls.__module__.startswith("keras_effnets") and "call" in vars(cls):
            monkeypatch.setattr(cls, "call", counted(cls.call))
    model = chained_model()
    assert calls == []
    model(np.zeros((1, 9, 10, 4), "float32"))
    assert set(calls) >= set(EVERY)


LOAD = """
import sys
{imports}
import numpy as np
x = np.load(sys.argv[2])
model = {load}(sys.argv[1])
np.save(sys.argv[3], model.predict(x, verbose=0))
"""
IMPORTS = {
    "ours_first": ("import keras_effnets, tensorflow, keras", "keras.saving.load_model"),
    "ours_last": ("import tensorflow, keras, keras_effnets", "keras.saving.load_model"),
    "tf_keras": (
        "import keras, keras_effnets, tensorflow as tf",
        "tf.keras.models.load_model",
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model, x = chained_model(), pictures("model", side=9)
    # Statistics and gates away from their start, or losing them would change nothing.
    generator = np.random.default_rng(2)
    for weight in model.weights:
        weight.assign(weight + generator.uniform(0.05, 0.1, weight.shape))
    model.save(folder / "model.keras")
    np.save(folder / "x.npy", x)
    return folder, model.predict(x, verbose=0)


@pytest.mark.parametrize(
    "order", ["ours_first", pytest.param("ours_last", marks=pytest.mark.full), "tf_keras"]
)
def test_saved_model_loads_in_a_fresh_process(saved, order, tmp_path):
    folder, expected = saved
    imports, load = IMPORTS[order]
    script = LOAD.format(imports=imports, load=load)
    arguments = [folder / "model.keras", folder / "x.npy", tmp_path / "y.npy"]
    run = fresh_processes.run(script, *arguments)
    assert run.returncode == 0, run.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
