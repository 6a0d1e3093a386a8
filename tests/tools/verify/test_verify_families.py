"""The comparison on networks of every kind: a right file agrees, a corrupt tensor is named."""

from functools import partial

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

torch = pytest.importorskip("torch", reason="the reference needs torch: the test extra")

import keras  # noqa: E402
import living  # noqa: E402
import plain  # noqa: E402

import keras_effnets  # noqa: E402
from weights_tools.convert import convert  # noqa: E402
from weights_tools.formats.our_format import write_weights_file  # noqa: E402
from weights_tools.verify import examine  # noqa: E402
from weights_tools.verify.libraries import find_original  # noqa: E402
from weights_tools.verify.recording import read_reference, write_reference  # noqa: E402
from weights_tools.verify.reference_run import run_reference  # noqa: E402
from weights_tools.verify.shown_images import drawn  # noqa: E402

SIDE = 64


def of_torchvision(name, **options):
    module = getattr(living.import_torchvision().models, name)(**options)
    return living.reference(name, module, {}, SIDE).state_dict


def legacy_densenet():
    """As in torchvision's published files: with a dot between part and number."""
    tensors = of_torchvision("densenet121")
    parts = ("norm1", "conv1", "norm2", "conv2")
    dotted = {f".{part}.": f".{part[:-1]}.{part[-1]}." for part in parts}
    return {
        next((key.replace(a, b) for a, b in dotted.items() if a in key and "layer" in key), key): x
        for key, x in tensors.items()
    }


def timms(name):
    living.import_torchvision()  # which timm imports
    timm = pytest.importorskip("timm", reason="timm is in the test extra")
    module = timm.create_model(name, pretrained=False)
    norms = [f"{key}.bn3" for key, part in module.named_modules() if hasattr(part, "bn3")]
    return living.reference(name, module, {}, SIDE, small_norms=norms).state_dict


# A checkpoint, its source, and a tensor deep inside it.
FAMILIES = {
    "squeezenet1_1": (
        lambda: plain.reference("squeezenet1_1", SIDE).state_dict,
        "torchvision",
        "fire6/expand3x3/conv/bias",
    ),
    "nin_cifar": (
        lambda: plain.reference("nin_cifar", SIDE).state_dict,
        "sequential",
        "mlpconv2/conv3/conv/kernel",
    ),
    "densenet121": (
        legacy_densenet,
        "torchvision_legacy",
        "stage3/layer10/conv2/norm/moving_variance",
    ),
    "googlenet": (
        lambda: of_torchvision("googlenet", init_weights=False, aux_logits=False),
        "torchvision",
        "inception4c/conv5x5/conv/kernel",
    ),
    "mobilenet_v3_small": (
        partial(of_torchvision, "mobilenet_v3_small"),
        "torchvision",
        "stage3_block2/squeeze_excite/expand/bias",
    ),
    "resnext50_32x4d": (
        partial(of_torchvision, "resnext50_32x4d"),
        "torchvision",
        "stage3_block4/conv2/conv/kernel",
    ),
    "efficientnet_v2_s": (
        partial(of_torchvision, "efficientnet_v2_s"),
        "torchvision",
        "stage4_block3/depthwise/norm/gamma",
    ),
    "se_resnet50": (partial(timms, "seresnet50"), "timm", "stage2_block0/skip/conv/kernel"),
}

QUICK = ("squeezenet1_1", "nin_cifar", "mobilenet_v3_small")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Torch's threads and TensorFlow's fight for two cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(name, file) -> keras.Model:
    options = {"input_shape": (SIDE, SIDE, 3), "classifier_activation": None}
    return keras_effnets.create_model(name, weights=file, **options)


def corrupted(file, tensor, folder):
    """The same file with one number changed, as a faulty converter writes it."""
    tensors = load_file(file)
    tensors[tensor].flat[tensors[tensor].size // 2] += 1
    with safe_open(file, "numpy") as opened:
        metadata = opened.metadata()
    shapes = {name: value.shape for name, value in tensors.items()}
    values = {name: partial(tensors.get, name) for name in tensors}
    write_weights_file(folder / "corrupted.safetensors", shapes, values, metadata)
    return folder / "corrupted.safetensors"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.full) for n in FAMILIES]
)
def test_a_right_file_agrees_and_a_corrupt_tensor_is_named(name, tmp_path):
    make, source, tensor = FAMILIES[name]
    torch.save(make(), tmp_path / "theirs.pth")
    converted = tmp_path / "ours.safetensors"
    assert convert(tmp_path / "theirs.pth", name, converted).source == source
    # Through its file, to test the file for these networks too.
    seen = run_reference(tmp_path / "theirs.pth", name, drawn()[:1], side=SIDE)
    write_reference(seen, tmp_path / "reference.npz")
    seen = read_reference(tmp_path / "reference.npz")

    found = examine(network(name, converted), seen)
    assert found.ok, found.first
    assert found.stages[-1].name == "logits"
    assert seen.logits.shape == (1, 10 if name == "nin_cifar" else 1000)
    seen_of = {each.name.partition(":")[0] for each in found.sublayers}
    assert seen_of >= {path.rpartition("/")[0] for path in seen.digests}

    file = corrupted(converted, tensor, tmp_path)
    found = examine(network(name, file), seen)
    sublayer, _, variable = tensor.rpartition("/")
    assert (found.first.sublayer, found.first.side) == (sublayer, "output")
    assert found.first.tensors == (variable,)
    assert found.first.before <= 1e-4 < found.first.after


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        (lambda layer: setattr(layer.conv, "activation", keras.activations.linear), "classifier"),
        (lambda layer: setattr(layer, "_activate", keras.ops.softmax), None),
    ],
)
def test_the_mean_of_the_maps_is_compared_before_the_activation(mistake, named, tmp_path):
    torch.save(plain.reference("nin_cifar", SIDE).state_dict, tmp_path / "theirs.pth")
    seen = run_reference(tmp_path / "theirs.pth", "nin_cifar", drawn()[:1], side=SIDE)
    model = network("nin_cifar", tmp_path / "theirs.pth")
    mistake(model.get_layer("classifier"))
    found = examine(model, seen)
    assert (found.first and found.first.sublayer) == named


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alexnet_2012", "torchvision has no alexnet_2012"),
        ("zfnet", "no library has zfnet"),
        ("resnet20_cifar", "source 'torch' has no network in torch"),
    ],
)
def test_a_network_that_no_library_has_cannot_be_compared(name, message):
    source = {"alexnet_2012": "torchvision", "zfnet": "sequential", "resnet20_cifar": "torch"}[name]
    with pytest.raises(ValueError, match=message):
        find_original(source, name, 1000, None, None)
