"""The architecture sheet's tables, against the plans and the outlines: nothing is allocated."""

from dataclasses import replace
from functools import partial
from itertools import groupby

import keras
import pytest
from outlines import outlined

import keras_effnets
from keras_effnets.models import efficientnet, efficientnet_lite, mobilenet_v2
from keras_effnets.plan.deferred import count_parameters, outline

B0_CHANNELS = (32, 16, 24, 40, 80, 112, 192, 320, 1280)
LITE0_CHANNELS = (16, 24, 40, 80, 112, 192, 320)

# Trainable parameters with 1000 classes, repeats, widths of stem, stages and top.
EFFICIENTNETS = {
    "B0": (5_288_548, (1, 2, 2, 3, 3, 4, 1), B0_CHANNELS),
    "B1": (7_794_184, (2, 3, 3, 4, 4, 5, 2), B0_CHANNELS),
    "B2": (9_109_994, (2, 3, 3, 4, 4, 5, 2), (32, 16, 24, 48, 88, 120, 208, 352, 1408)),
    "B3": (12_233_232, (2, 3, 3, 5, 5, 6, 2), (40, 24, 32, 48, 96, 136, 232, 384, 1536)),
    "B4": (19_341_616, (2, 4, 4, 6, 6, 8, 2), (48, 24, 32, 56, 112, 160, 272, 448, 1792)),
    "B5": (30_389_784, (3, 5, 5, 7, 7, 9, 3), (48, 24, 40, 64, 128, 176, 304, 512, 2048)),
    "B6": (43_040_704, (3, 6, 6, 8, 8, 11, 3), (56, 32, 40, 72, 144, 200, 344, 576, 2304)),
    "B7": (66_347_960, (4, 7, 7, 10, 10, 13, 4), (64, 32, 48, 80, 160, 224, 384, 640, 2560)),
}
LITES = {
    0: (4_652_008, (1, 2, 2, 3, 3, 4, 1), LITE0_CHANNELS),
    1: (5_416_680, (1, 3, 3, 4, 4, 5, 1), LITE0_CHANNELS),
    2: (6_092_072, (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
    3: (8_197_096, (1, 3, 3, 5, 5, 6, 1), (24, 32, 48, 96, 136, 232, 384)),
    4: (13_006_568, (1, 4, 4, 6, 6, 8, 1), (24, 32, 56, 112, 160, 272, 448)),
}
MOBILENETS = {
    1.4: (6_108_776, (48, 24, 32, 48, 88, 136, 224, 448, 1792)),
    1.3: (5_386_792, (40, 24, 32, 40, 80, 128, 208, 416, 1664)),
    1.0: (3_504_872, (32, 16, 24, 32, 64, 96, 160, 320, 1280)),
    0.75: (2_636_424, (24, 16, 24, 24, 48, 72, 120, 240, 1280)),
    0.5: (1_968_680, (16, 8, 16, 16, 32, 48, 80, 160, 1280)),
    0.35: (1_677_128, (16, 8, 8, 16, 24, 32, 56, 112, 1280)),
}
SIDES = {
    **dict(zip((f"B{n}" for n in range(8)), (224, 240, 260, 300, 380, 456, 528, 600), strict=True)),
    **dict(zip((f"Lite{n}" for n in range(5)), (224, 240, 260, 280, 300), strict=True)),
}
DROPOUTS = {
    **dict(zip((f"B{n}" for n in range(8)), (0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5), strict=True)),
    **dict(zip((f"Lite{n}" for n in range(5)), (0.2, 0.2, 0.3, 0.3, 0.3), strict=True)),
}

# Expansion, kernel, stride of each stage: the same table in all but MobileNetV2.
EFFICIENT_STAGES = [(1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 2), (6, 5, 1), (6, 5, 2), (6, 3, 1)]
MOBILE_STAGES = [(1, 3, 1), (6, 3, 2), (6, 3, 2), (6, 3, 2), (6, 3, 1), (6, 3, 2), (6, 3, 1)]

PLANS = {
    **{config.name: (efficientnet, config) for config in efficientnet.VARIANTS},
    **{config.name: (efficientnet_lite, config) for config in efficientnet_lite.VARIANTS},
    **{config.name: (mobilenet_v2, config) for config in mobilenet_v2.VARIANTS},
}


def shapes_of(name, **options):
    builder = getattr(keras_effnets, name)
    if not options and builder.config.name in keras_effnets.list_models():
        return outlined(builder.config.name)[0]
    return outline(partial(builder, weights=None, **options))


def stages_of(module, config):
    """Each stage's blocks."""
    blocks = groupby(module.plan(config), key=lambda block: block.stage)
    return [list(stage) for _, stage in blocks]


def ends_of(shapes):
    return shapes["stem/conv/kernel"][-1], shapes["top/conv/kernel"][-1]


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_efficientnet_is_the_sheets(name):
    parameters, repeats, channels = EFFICIENTNETS[name]
    shapes = shapes_of(f"EfficientNet{name}")
    stages = stages_of(efficientnet, efficientnet.VARIANTS[int(name[1])])
    assert count_parameters(shapes) == parameters
    assert tuple(len(stage) for stage in stages) == repeats
    assert tuple(stage[0].filters for stage in stages) == channels[1:-1]
    assert ends_of(shapes) == (channels[0], channels[-1])


@pytest.mark.parametrize("number", LITES)
def test_efficientnet_lite_is_the_sheets(number):
    parameters, repeats, channels = LITES[number]
    shapes = shapes_of(f"EfficientNetLite{number}")
    stages = stages_of(efficientnet_lite, efficientnet_lite.VARIANTS[number])
    assert count_parameters(shapes) == parameters
    assert tuple(len(stage) for stage in stages) == repeats
    assert tuple(stage[0].filters for stage in stages) == channels
    assert ends_of(shapes) == (32, 1280)


@pytest.mark.parametrize("alpha", MOBILENETS)
def test_mobilenet_v2_is_the_sheets(alpha):
    parameters, channels = MOBILENETS[alpha]
    shapes = shapes_of("MobileNetV2", alpha=alpha)
    stages = stages_of(mobilenet_v2, replace(mobilenet_v2.VARIANTS[0], alpha=alpha))
    assert count_parameters(shapes) == parameters
    assert tuple(len(stage) for stage in stages) == (1, 2, 3, 4, 3, 3, 1)
    assert tuple(stage[0].filters for stage in stages) == channels[1:-1]
    assert ends_of(shapes) == (channels[0], channels[-1])


@pytest.mark.parametrize("alpha", [0.55, 0.9, 1.25])
def test_mobilenet_v2_of_any_alpha_keeps_multiples_of_eight(alpha):
    shapes = shapes_of("MobileNetV2", alpha=alpha)
    widths = [
        s[-1] for p, s in shapes.items() if p.endswith(("project/conv/kernel", "stem/conv/kernel"))
    ]
    assert len(widths) == 18
    assert {width % 8 for width in widths} == {0}
    assert ends_of(shapes)[1] == max(1280, round(1280 * alpha))


@pytest.mark.parametrize(("width", "depth", "name"), [(1.0, 1.1, "B1"), (1.1, 1.2, "B2")])
def test_efficientnet_of_any_coefficients_is_the_named_one_at_its_own(width, depth, name):
    assert shapes_of("EfficientNet", width=width, depth=depth) == shapes_of(f"EfficientNet{name}")


def test_three_class_head_of_b0():
    shapes = shapes_of("EfficientNetB0", classes=3)
    head = {path: shape for path, shape in shapes.items() if path.startswith("classifier/")}
    assert count_parameters(shapes) == 4_011_391
    assert count_parameters(head) == 3_843


def test_keras_counts_the_moving_statistics_too():
    with keras.StatelessScope(initialize_variables=False):
        model = keras_effnets.EfficientNetB0(weights=None, classes=3)
        trainable = sum(weight.shape.num_elements() for weight in model.trainable_weights)
        statistics = sum(weight.shape.num_elements() for weight in model.non_trainable_weights)
    assert (trainable, statistics) == (4_011_391, 42_016)


@pytest.mark.parametrize("name", PLANS)
def test_stages_follow_the_table(name):
    module, config = PLANS[name]
    table = MOBILE_STAGES if module is mobilenet_v2 else EFFICIENT_STAGES
    for stage, (expansion, kernel_size, strides) in zip(
        stages_of(module, config), table, strict=True
    ):
        assert {block.expansion for block in stage} == {expansion}
        assert {block.kernel_size for block in stage} == {kernel_size}
        assert [block.strides for block in stage] == [strides] + [1] * (len(stage) - 1)
        assert {block.dilation_rate for block in stage} == {1}


@pytest.mark.parametrize("name", PLANS)
def test_blocks_are_named_by_stage_and_index(name):
    module, config = PLANS[name]
    for number, stage in enumerate(stages_of(module, config), start=1):
        assert [block.name for block in stage] == [
            f"stage{number}_block{index}" for index in range(len(stage))
        ]


@pytest.mark.parametrize("name", SIDES)
def test_sides_and_dropouts_are_the_sheets(name):
    config = getattr(keras_effnets, f"EfficientNet{name}").config
    assert (config.side, config.dropout) == (SIDES[name], DROPOUTS[name])


@pytest.mark.parametrize("name", PLANS)
def test_drop_path_grows_over_all_blocks(name):
    module, config = PLANS[name]
    rates = [block.drop_path for block in module.plan(replace(config, drop_path=0.2))]
    count = len(rates)
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.2 * (count - 1) / count)
    assert rates == pytest.approx([0.2 * index / count for index in range(count)])


def test_drop_path_of_b0_ends_at_0_1875():
    rates = [block.drop_path for block in efficientnet.plan(efficientnet.VARIANTS[0])]
    assert (len(rates), rates[-1]) == (16, pytest.approx(0.1875))


@pytest.mark.parametrize(("name", "rate"), [(n, 0.0 if "mobile" in n else 0.2) for n in PLANS])
def test_drop_path_of_each_family(name, rate):
    assert PLANS[name][1].drop_path == rate


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0", "mobilenet_v2"])
@pytest.mark.parametrize(
    ("output_stride", "strides", "dilations"),
    [
        (32, [1, 2, 2, 2, 1, 2, 1], [1, 1, 1, 1, 1, 1, 1]),
        (16, [1, 2, 2, 2, 1, 1, 1], [1, 1, 1, 1, 1, 1, 2]),
        (8, [1, 2, 2, 1, 1, 1, 1], [1, 1, 1, 1, 2, 2, 4]),
    ],
)
def test_past_the_output_stride_a_stride_becomes_dilation(name, output_stride, strides, dilations):
    module, config = PLANS[name]
    stages = stages_of(module, replace(config, output_stride=output_stride))
    assert [stage[0].strides for stage in stages] == strides
    assert [stage[0].dilation_rate for stage in stages] == dilations
    # A stage's other blocks see as far as the next stage's first.
    for stage, following in zip(stages, [*dilations[1:], dilations[-1]], strict=True):
        assert {block.dilation_rate for block in stage[1:]} <= {following}


@pytest.mark.parametrize(
    ("variants", "epsilons"),
    [
        (efficientnet.VARIANTS, [1e-5] * 5 + [1e-3] * 3),
        (mobilenet_v2.VARIANTS, [1e-5]),
    ],
)
def test_epsilons_are_each_heritages_own(variants, epsilons):
    assert [config.torch.epsilon for config in variants] == epsilons
    assert {config.tensorflow.epsilon for config in variants} == {1e-3}
    assert {(c.torch.padding, c.tensorflow.padding) for c in variants} == {("symmetric", "same")}


def test_lite_is_of_tensorflow_heritage():
    for config in efficientnet_lite.VARIANTS:
        used = config.conventions
        assert config.profile == "tensorflow"
        assert (used.padding, used.epsilon, used.momentum) == ("same", 1e-3, 0.99)
        assert (used.mean, used.std) == ((127.0,) * 3, (128.0,) * 3)
