"""The TensorFlow profile against keras.applications, weights copied over."""

import compare
import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.plan.deferred import variables_by_path

torch = pytest.importorskip("torch", reason="living weights come from torch: the test extra")

import living  # noqa: E402

SIDES = (96, 97)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def tensorflow_twin(name: str, reference: living.Reference, folder, side: int) -> keras.Model:
    """Our network in the TensorFlow profile, with the weights of a living torch network."""
    path = folder / "reference.pth"
    torch.save(reference.state_dict, path)
    options = {"input_shape": (side, side, 3), "classifier_activation": None}
    donor = keras_effnets.create_model(name, weights=path, **options)
    model = keras_effnets.create_model(name, weights=None, profile="tensorflow", **options)
    model.set_weights(donor.get_weights())
    return model


def copy(values: dict[str, np.ndarray], target: keras.Model, names: dict[str, str]) -> None:
    """Gives `target`'s layers the weights of our units, by `names`: our path to their layer."""
    unit = {
        "kernel": ("kernel",),
        "conv": ("kernel",),
        "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
    }
    for path, layer in names.items():
        kinds = unit.get(path.rsplit("/", 1)[1], ("kernel", "bias"))
        target.get_layer(layer).set_weights([values[f"{path}/{kind}"] for kind in kinds])


def values_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {path: v.numpy() for path, v in variables_by_path(model).items()}


def efficientnet_names(model: keras.Model) -> dict[str, str]:
    names = {
        "stem/conv": "stem_conv",
        "stem/norm": "stem_bn",
        "top/conv": "top_conv",
        "top/norm": "top_bn",
        "classifier/dense": "predictions",
    }
    for layer in model.layers:
        if not layer.name.startswith("stage"):
            continue
        stage, block = layer.name.removeprefix("stage").split("_block")
        prefix = f"block{stage}{'abcdefgh'[int(block)]}"
        parts = {
            "depthwise/conv": "dwconv",
            "depthwise/norm": "bn",
            "squeeze_excite/reduce": "se_reduce",
            "squeeze_excite/expand": "se_expand",
            "project/conv": "project_conv",
            "project/norm": "project_bn",
        }
        if layer.expansion != 1:
            parts |= {"expand/conv": "expand_conv", "expand/norm": "expand_bn"}
        names |= {f"{layer.name}/{part}": f"{prefix}_{theirs}" for part, theirs in parts.items()}
    return names


def mobilenet_names(model: keras.Model) -> dict[str, str]:
    names = {
        "stem/conv": "Conv1",
        "stem/norm": "bn_Conv1",
        "top/conv": "Conv_1",
        "top/norm": "Conv_1_bn",
        "classifier/dense": "predictions",
    }
    blocks = [layer for layer in model.layers if layer.name.startswith("stage")]
    for number, layer in enumerate(blocks):
        prefix = f"block_{number}" if number else "expanded_conv"
        for part in ("expand", "depthwise", "project"):
            if hasattr(layer, part):
                names[f"{layer.name}/{part}/conv"] = f"{prefix}_{part}"
                names[f"{layer.name}/{part}/norm"] = f"{prefix}_{part}_BN"
    return names


def logits_of(applications_model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    applications_model.get_layer("predictions").activation = None
    logits = np.asarray(applications_model(pictures, training=False))
    assert living.spread(logits) >= 0.1
    return logits


@pytest.mark.parametrize("side", SIDES)
def test_efficientnet_b0_agrees(side, tmp_path):
    reference = living.efficientnet_reference("efficientnet_b0", side)
    model = tensorflow_twin("efficientnet_b0", reference, tmp_path, side)
    theirs = keras.applications.EfficientNetB0(weights=None, input_shape=(side, side, 3))
    copy(values_of(model), theirs, efficientnet_names(model))
    normalization = next(x for x in theirs.layers if isinstance(x, keras.layers.Normalization))
    normalization.set_weights([IMAGENET_MEAN, IMAGENET_STD**2, np.zeros((), np.int32)])
    normalization.finalize_state()
    logits, _ = compare.run(model, reference.pictures)
    error = compare.relative_error(logits, logits_of(theirs, reference.pictures))
    assert error <= compare.TOLERANCE


@pytest.mark.parametrize("side", SIDES)
def test_mobilenet_v2_agrees(side, tmp_path):
    reference = living.mobilenet_v2_reference(1.0, side)
    model = tensorflow_twin("mobilenet_v2", reference, tmp_path, side)
    theirs = keras.applications.MobileNetV2(weights=None, input_shape=(side, side, 3))
    copy(values_of(model), theirs, mobilenet_names(model))
    scaled = keras.applications.mobilenet_v2.preprocess_input(reference.pictures.copy())
    expected = logits_of(theirs, scaled)
    logits, _ = compare.run(model, reference.pictures)
    assert compare.relative_error(logits, expected) <= compare.TOLERANCE
    for mutate in (compare.stem_padding, compare.epsilon, compare.pixel_scale):
        if side % 2 == 0 or mutate is not compare.stem_padding:  # odd sides pad alike
            wrong = compare.logits(mutate(model), reference.pictures)
            assert compare.relative_error(wrong, expected) > 10 * compare.TOLERANCE
