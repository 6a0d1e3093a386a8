"""Grad-CAM against torch's own gradients through hooks, on the same living weights."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import plain  # noqa: E402
import tensorflow as tf  # noqa: E402
import test_cifar  # noqa: E402
import test_densenet  # noqa: E402
import test_efficientnet_lite  # noqa: E402
import test_efficientnet_v2  # noqa: E402
import test_googlenet  # noqa: E402
import test_mobilenet_v1  # noqa: E402
import test_mobilenet_v3  # noqa: E402
import test_preact_resnet  # noqa: E402
import test_resnet  # noqa: E402
import test_torchvision  # noqa: E402
from torch.nn import functional  # noqa: E402

from keras_effnets.analysis.seeing import GradCAM  # noqa: E402
from keras_effnets.layers import MaxPool, nested_layers  # noqa: E402
from keras_effnets.models.surgery.anatomy import dissect  # noqa: E402

SIDE = 97
CLASSES = 10


def _torchvisions(name):
    reference = test_torchvision.reference_of(name, SIDE)
    return reference, partial(test_torchvision.converted, name, reference)


def _lite():
    reference = living.efficientnet_lite_reference("efficientnet-lite0", SIDE)
    return reference, partial(test_efficientnet_lite.ours, reference, 0)


def _v2():
    reference = test_efficientnet_v2.reference_of("shrunken", SIDE)
    return reference, partial(test_efficientnet_v2.shrunken, reference)


def _mobilenet_v1():
    reference = test_mobilenet_v1.reference_of(SIDE)
    return reference, partial(test_torchvision.converted, "mobilenet_v1", reference)


def _mobilenet_v3(size):
    reference = test_mobilenet_v3.reference_of(size, SIDE)
    return reference, partial(test_torchvision.converted, reference.name, reference)


def _resnet(name):
    gated = name == "se_resnet50"
    reference = (
        test_resnet.gated_reference_of(SIDE) if gated else test_resnet.reference_of(name, SIDE)
    )
    return reference, partial(test_torchvision.converted, name, reference)


def _densenet():
    reference = test_densenet.reference_of("densenet121", SIDE)
    return reference, partial(test_densenet.converted, reference)


def _googlenet():
    reference = test_googlenet.reference_of(SIDE)
    return reference, partial(test_googlenet.converted, reference)


def _plain(name):
    reference = plain.reference(name, 33 if name == "nin_cifar" else SIDE)
    return reference, partial(plain.converted, reference)


def _cifar(family):
    reference = test_cifar.reference_of(family, 33)
    return reference, partial(test_cifar.converted, family, reference)


CASES = {
    **{name: partial(_torchvisions, name) for name in ("efficientnet_b0", "mobilenet_v2")},
    "efficientnet_lite0": _lite,
    "efficientnet_v2": _v2,
    "mobilenet_v1": _mobilenet_v1,
    **{f"mobilenet_v3_{size}": partial(_mobilenet_v3, size) for size in ("small", "large")},
    **{
        name: partial(_resnet, name)
        for name in ("resnet18", "resnet50", "resnext50_32x4d", "se_resnet50")
    },
    "densenet121": _densenet,
    "googlenet": _googlenet,
    **{
        name: partial(_plain, name)
        for name in ("alexnet", "alexnet_2012", "zfnet", "nin", "nin_cifar", "vgg11", "vgg11_bn")
    },
    **{name: partial(_plain, name) for name in ("squeezenet1_0", "squeezenet1_1")},
    **{f"CIFAR, {name}": partial(_cifar, name) for name in test_cifar.FAMILIES},
}
QUICK = ("alexnet", "resnet18", "squeezenet1_1", "CIFAR, wide")


def heats_of(reference, tap, picture):
    """By torch: the logits' indices and weighed sums of maps, (h, w), of two classes.

    Of the likeliest, and of the one of ten for which most speaks.
    """
    kept = []
    path, _, port = tap.partition(":")
    module = reference.module.get_submodule(path)
    if port == "input":
        handle = module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    else:
        # What is changed in place behind the module (DenseNet's last ReLU) is changed here too.
        handle = module.register_forward_hook(lambda _, inputs, output: kept.append(output))
    dtype = next(reference.module.parameters()).dtype
    shown = living.normalised(picture[None], reference.mean, reference.std, dtype)
    logits = reference.module(shown)[0]
    handle.remove()
    (maps,) = kept

    def heat(index):
        (slopes,) = torch.autograd.grad(logits[index], maps, retain_graph=True)
        weights = slopes.mean((2, 3), keepdim=True)
        return functional.relu((weights * maps).sum(1))[0].detach()

    others = {index: heat(index) for index in range(CLASSES)}
    best = max(others, key=lambda index: float(others[index].max()))
    return {None: heat(int(logits.argmax())), best: others[best]}


def stretched(heat, side):
    """Over the picture, its largest value 1."""
    picture = functional.interpolate(heat[None, None], (side, side), mode="bilinear")[0, 0]
    return (picture / picture.max()).numpy()


def taps_by_layer(reference, model):
    """Where torch has the maps of each of our layers."""
    layers = compare.stage_names(model)
    levels = dissect(model).levels
    named = {layers.get(part, part): tap for part, tap in reference.taps.items()}
    return {layer: tap for layer, tap in named.items() if layer in levels}


def errors_of(reference, cam, tap):
    """Of each picture and class of which torch sees something: before and after stretching."""
    found = []
    for picture in reference.pictures[:3]:
        for index, heat in heats_of(reference, tap, picture).items():
            if float(heat.max()) > 0:
                coarse = compare.relative_error(cam.coarse(picture, index), heat.numpy())
                expected = stretched(heat, picture.shape[0])
                found.append((coarse, compare.relative_error(cam(picture, index), expected)))
    return np.array(found)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in CASES]
)
def test_the_heat_is_torchs(name, tmp_path):
    reference, convert = CASES[name]()
    model = convert(tmp_path)
    cam = GradCAM(model)
    found = errors_of(reference, cam, taps_by_layer(reference, model)[cam.layer])
    assert len(found) >= 3
    assert found.max() <= 1e-4, found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in CASES]
)
def test_the_heat_within_the_body_is_torchs(name, tmp_path):
    """In double precision: in single, one ReLU at its kink is a whole weight of difference."""
    reference, convert = CASES[name]()
    keras.config.set_dtype_policy("float64")
    try:
        model = convert(tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    reference.module.double()
    for layer in nested_layers(model):
        if isinstance(layer, MaxPool):
            # A window at the border with nothing above zero in it has its slope somewhere in it:
            # in torch never in the border, in ours only if that is not zero as well.
            layer.signed = True
    taps = taps_by_layer(reference, model)
    middle = list(taps)[len(taps) // 2]
    found = errors_of(reference, GradCAM(model, middle), taps[middle])
    assert len(found) >= 3
    assert found.max() <= 1e-5, found


@pytest.mark.full
def test_resnet_v2s_heat_is_that_of_keras_applications(tmp_path):
    """Nobody publishes it in torch: TensorFlow's own gradients in their network."""
    pictures = living.unlike_pictures(8, 65, seed=0)
    theirs = test_preact_resnet.shrunken(65)
    test_preact_resnet.enliven(theirs, pictures)
    theirs.save(tmp_path / "theirs.keras")
    cam = GradCAM(test_preact_resnet.ours(tmp_path / "theirs.keras", 65))
    assert cam.layer == "top"
    tapped = keras.Model(theirs.input, [theirs.get_layer("post_relu").output, theirs.output])
    for picture in pictures[:3]:
        with tf.GradientTape() as tape:
            maps, logits = tapped(test_preact_resnet.scaled(picture[None]), training=False)
            score = tf.reduce_max(logits)
        weights = tf.reduce_mean(tape.gradient(score, maps), (1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * maps, -1))[0].numpy()
        assert heat.max() > 0
        assert compare.relative_error(cam.coarse(picture), heat) <= 1e-4
