"""Weights that went from PyTorch to Keras and back are the same bits under the same names."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pretrained
import pytest
import running
from safetensors.numpy import save_file
from torchvision_import import import_torchvision

torch = pytest.importorskip("torch", reason="the other side of every export is torch")

import living  # noqa: E402
import safetensors.torch  # noqa: E402

import keras_effnets  # noqa: E402
from keras_effnets.models.registry import get_builder  # noqa: E402
from keras_effnets.plan.deferred import outline  # noqa: E402
from keras_effnets.weights.names.rule import (  # noqa: E402
    AXES,
    inverse,
    transform,
    transformed_shape,
)
from weights_tools import cli  # noqa: E402
from weights_tools.commands.export_torch import construction  # noqa: E402
from weights_tools.convert import convert  # noqa: E402
from weights_tools.export_source import ExportSource  # noqa: E402
from weights_tools.export_torch import TARGETS, ExportReport, _source, export_torch  # noqa: E402
from weights_tools.formats.checkpoint import read_checkpoint  # noqa: E402

COUNTER = "num_batches_tracked"
LITE0 = "efficientnet_lite0"
MOBILENET = "mobilenet_v2"
run = partial(running.run, cli.app)


def torchvision_network(name: str, **options) -> "torch.nn.Module":
    return import_torchvision().models.get_model(name, **options)


def timm_network(name: str, **options) -> "torch.nn.Module":
    import_torchvision()
    timm = pytest.importorskip("timm", reason="timm is not installed")
    return timm.create_model(name, **options)


def lite_network(name: str, **options) -> "torch.nn.Module":
    original = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the original network is in the test extra"
    )
    return original.EfficientNet.from_name(name, image_size=None, **options)


def at_random(module: "torch.nn.Module") -> "torch.nn.Module":
    """Numbers that no two tensors share; counters stay 0."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not name.endswith(COUNTER):
                tensor.uniform_(0.5, 1.5, generator=generator)
    return module


def answers(module: "torch.nn.Module", pictures: np.ndarray, report: ExportReport) -> np.ndarray:
    """Logits of pixels prepared as the report says."""
    shown = living.normalised(pictures, report.preset.mean, report.preset.std)
    with torch.inference_mode():
        return module.eval()(shown).numpy()


def assert_same_state(
    found: dict[str, "torch.Tensor"], expected: dict[str, "torch.Tensor"], counted: bool = False
):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        if name.endswith(COUNTER):
            assert found[name] == (tensor if counted else 0)
        else:
            assert torch.equal(found[name].view(torch.int32), tensor.view(torch.int32)), name


def in_keras(model: str, state: dict[str, "torch.Tensor"], to: str, folder: Path) -> keras.Model:
    """Our network with the numbers of a state dict."""
    torch.save(state, folder / "theirs.pth")
    profile = get_builder(model).config.spellings[to].profile
    return keras_effnets.create_model(model, weights=folder / "theirs.pth", profile=profile)


@pytest.mark.parametrize(
    ("model", "to", "make"),
    [
        ("efficientnet_b0", "torchvision", partial(torchvision_network, "efficientnet_b0")),
        ("mobilenet_v2", "torchvision", partial(torchvision_network, "mobilenet_v2")),
        ("efficientnet_lite1", "efficientnet_pytorch", partial(lite_network, "efficientnet-lite1")),
        ("efficientnet_b0", "timm", partial(timm_network, "efficientnet_b0")),
        pytest.param(
            "efficientnet_b0",
            "timm_tf",
            partial(timm_network, "tf_efficientnet_b0"),
            marks=pytest.mark.full,
        ),
        ("mobilenet_v2", "timm", partial(timm_network, "mobilenetv2_100")),
        ("efficientnet_lite0", "timm", partial(timm_network, "efficientnet_lite0")),
        ("efficientnet_lite0", "timm_tf", partial(timm_network, "tf_efficientnet_lite0")),
    ],
)
def test_the_way_to_keras_and_back_changes_no_bit(model, to, make, tmp_path):
    module = at_random(make())
    state = module.state_dict()
    report = export_torch(in_keras(model, state, to, tmp_path), tmp_path / "ours.pth", to=to)
    ours = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert_same_state(ours, state)
    assert_same_state(torch.load(tmp_path / "ours.pth", weights_only=True, mmap=True), state)
    make().load_state_dict(ours, strict=True)
    counters = sum(name.endswith(COUNTER) for name in state)
    assert (report.tensors, report.counters) == (len(state) - counters, counters)
    assert (report.model, report.to, report.classes) == (model, to, 1000)
    read = read_checkpoint(tmp_path / "ours.pth")
    assert {name: array.shape for name, array in read.tensors.items()} == {
        name: tuple(tensor.shape) for name, tensor in state.items()
    }


@pytest.mark.parametrize(
    ("ending", "out"),
    [
        (".safetensors", "ours.pt"),
        (".keras", "ours.bin"),
        (".weights.h5", "ours.pth"),
        (".safetensors", "ours.safetensors"),
    ],
)
def test_every_file_of_ours_leads_back(ending, out, tmp_path):
    state = living.mobilenet_v2_reference(1.0, 64).state_dict
    for number, name in enumerate(name for name in state if name.endswith(COUNTER)):
        state[name] = torch.tensor(number + 1)
    torch.save(state, tmp_path / "theirs.pth")
    convert(tmp_path / "theirs.pth", "mobilenet_v2", tmp_path / f"middle{ending}")
    export_torch(tmp_path / f"middle{ending}", tmp_path / out, to="torchvision")
    if not out.endswith(".safetensors"):
        assert_same_state(torch.load(tmp_path / out, weights_only=True), state, counted=True)
        return
    found = safetensors.torch.load_file(tmp_path / out)  # it sorts
    assert_same_state({name: found[name] for name in state}, state, counted=True)
    assert len(found) == len(state)
    assert read_checkpoint(tmp_path / out).metadata == {"format": "pt"}


def test_the_real_checkpoint_comes_back_whole(tmp_path):
    theirs = torch.load(pretrained.checkpoint(), weights_only=True)
    report = export_torch(LITE0, tmp_path / "ours.pth", to="efficientnet_pytorch")
    ours = torch.load(tmp_path / "ours.pth", weights_only=True)
    assert_same_state(ours, theirs)
    lite_network("efficientnet-lite0").load_state_dict(ours, strict=True)
    assert (report.profile, report.preset.mean) == ("tensorflow", (127.0,) * 3)


@pytest.mark.parametrize(
    ("model", "to", "make"),
    [
        pytest.param(
            "efficientnet_b0",
            "torchvision",
            partial(torchvision_network, "efficientnet_b0"),
            marks=pytest.mark.full,
        ),
        (MOBILENET, "torchvision", partial(torchvision_network, MOBILENET)),
        ("efficientnet_b0", "timm", partial(timm_network, "efficientnet_b0")),
        pytest.param(
            MOBILENET, "timm", partial(timm_network, "mobilenetv2_100"), marks=pytest.mark.full
        ),
    ],
)
def test_a_new_classifier_answers_alike_in_torch(model, to, make, tmp_path):
    side = 64
    if model == MOBILENET:
        body = living.mobilenet_v2_reference(1.0, side)
    else:
        body = living.efficientnet_reference(model, side)
    torch.save(body.state_dict, tmp_path / "body.pth")
    ours = keras_effnets.create_model(
        model,
        weights=tmp_path / "body.pth",
        classes=3,
        classifier_activation=None,
        input_shape=(side, side, 3),
        name="flowers",
    )
    rng = np.random.default_rng(0)
    head = ours.get_layer("classifier").dense
    head.kernel.assign(rng.normal(0, 0.1, head.kernel.shape))
    head.bias.assign(rng.normal(0, 0.1, 3))
    logits = keras.ops.convert_to_numpy(ours(body.pictures, training=False))
    assert living.spread(logits) >= 0.1

    report = export_torch(ours, tmp_path / "ours.pth", to=to, name=model)
    assert report.classes == 3
    theirs = make(num_classes=3)
    theirs.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True), strict=True)
    expected = answers(theirs, body.pictures, report)
    assert living.relative_error(logits, expected) <= 1e-4


@pytest.mark.parametrize(
    ("to", "make"),
    [
        ("efficientnet_pytorch", partial(lite_network, LITE0.replace("_", "-"))),
        ("timm_tf", partial(timm_network, f"tf_{LITE0}")),
    ],
)
def test_the_real_checkpoint_answers_alike_in_torch(to, make, tmp_path):
    pretrained.checkpoint()
    report = export_torch(LITE0, tmp_path / "ours.pth", to=to)
    theirs = make()
    theirs.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True), strict=True)
    pictures = living.unlike_pictures(3, 224, seed=0)
    ours = keras_effnets.create_model(LITE0, classifier_activation=None)
    logits = keras.ops.convert_to_numpy(ours(pictures, training=False))
    assert living.spread(logits) >= 0.1
    assert living.relative_error(logits, answers(theirs, pictures, report)) <= 1e-4


def test_fine_tuned_files_keep_their_classifier(tmp_path):
    model = keras_effnets.MobileNetV2(weights=None, classes=3, name="flowers")
    model.save(tmp_path / "flowers.keras")
    model.save_weights(tmp_path / "flowers.weights.h5")
    expected = keras.ops.convert_to_numpy(model.get_layer("classifier").dense.kernel)
    export = partial(export_torch, out=tmp_path / "ours.pth", to="torchvision", name="mobilenet_v2")
    for report in (
        export(tmp_path / "flowers.keras"),
        export(tmp_path / "flowers.weights.h5", profile="torch"),
    ):
        assert report.classes == 3
        found = torch.load(tmp_path / "ours.pth", weights_only=True)["classifier.1.weight"]
        np.testing.assert_array_equal(found.numpy().T, expected)


@pytest.mark.parametrize("kind", AXES)
def test_inverse_undoes_transform(kind):
    tensor = np.arange(np.prod(shape := range(2, 2 + len(AXES[kind])))).reshape(shape)
    np.testing.assert_array_equal(inverse(kind, transform(kind, tensor)), tensor)


@pytest.mark.parametrize(
    ("model", "profile", "epsilon", "fitting"),
    [
        ("efficientnet_b0", "torch", 1e-5, {"torchvision", "timm"}),
        ("efficientnet_b0", "torch", 0.1, set()),
        ("efficientnet_b0", "tensorflow", 1e-3, {"efficientnet_pytorch", "timm_tf"}),
        # timm's B5 has the epsilon of its B0, torchvision's that of its checkpoint.
        ("efficientnet_b5", "torch", 1e-3, {"torchvision"}),
        ("efficientnet_b5", "torch", 1e-5, {"timm"}),
        ("efficientnet_b5", "tensorflow", 1e-3, {"efficientnet_pytorch", "timm_tf"}),
        (LITE0, "torch", 1e-5, {"timm"}),
        (LITE0, "tensorflow", 1e-3, {"efficientnet_pytorch", "timm_tf"}),
        (MOBILENET, "torch", 1e-5, {"torchvision", "timm"}),
        (MOBILENET, "tensorflow", 1e-3, set()),
    ],
)
def test_only_targets_of_the_same_habits_are_taken(model, profile, epsilon, fitting):
    config = replace(get_builder(model).config, profile=profile)
    donor = ExportSource("the model", config, epsilon, config.input_preset, {})
    for to in TARGETS:
        if to in fitting:
            assert _source(donor, to).profile == profile
            continue
        with pytest.raises(ValueError, match=f"to='{to}'") as error:
            _source(donor, to)
        named = " or ".join(f"'{name}'" for name in TARGETS if name in fitting)
        assert set(str(error.value).rpartition("; to=")[2].removesuffix(" fits").split(" or ")) == (
            set(named.split(" or ")) if fitting else {"nothing"}
        )
        if to in config.spellings:
            assert f"has profile '{profile}'" in str(error.value)


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    return keras_effnets.MobileNetV2(weights=None, alpha=0.35, classes=3, name=MOBILENET)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            partial(keras_effnets.MobileNetV2, name="flowers"),
            "is named 'flowers': give the network's name",
        ),
        (
            partial(keras_effnets.MobileNetV2, output_stride=16, name=MOBILENET),
            "has dilated blocks",
        ),
        (
            partial(keras_effnets.MobileNetV2, include_top=False, name=MOBILENET),
            "missing: classifier/dense/bias",
        ),
        (
            partial(keras_effnets.MobileNetV2, profile="tensorflow", name=MOBILENET),
            "has profile 'tensorflow'",
        ),
        (partial(keras.Sequential, name="mobilenet_v2"), "was not built by keras_effnets"),
    ],
)
def test_models_that_torch_would_not_have_are_refused(make, message, tmp_path):
    small = {} if make.func is keras.Sequential else {"weights": None, "alpha": 0.35}
    with pytest.raises(ValueError, match=message):
        export_torch(make(**small), tmp_path / "ours.pth", to="torchvision")
    assert list(tmp_path.iterdir()) == []


def test_a_layer_more_is_refused(tiny, tmp_path):
    outputs = keras.layers.Dense(2, name="more")(tiny.outputs[0])
    longer = keras.Model(tiny.inputs, outputs, name="mobilenet_v2")
    with pytest.raises(ValueError, match="is not a whole mobilenet_v2:\n  unexpected: more/bias"):
        export_torch(longer, tmp_path / "ours.pth", to="torchvision")


def test_an_epsilon_of_the_users_own_is_refused(tiny, tmp_path):
    changed = keras.models.clone_model(tiny)
    changed.get_layer("stem").epsilon = 0.1
    with pytest.raises(ValueError, match=r"and epsilon 0\.1, so it would load there and give"):
        export_torch(changed, tmp_path / "ours.pth", to="torchvision", name="mobilenet_v2")


def test_half_precision_stays_half(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        model = keras_effnets.MobileNetV2(weights=None, alpha=0.35, classes=3, name=MOBILENET)
    finally:
        keras.config.set_dtype_policy("float32")
    export_torch(model, tmp_path / "ours.pth", to="torchvision")
    found = torch.load(tmp_path / "ours.pth", weights_only=True)["classifier.1.weight"]
    assert found.dtype == torch.bfloat16
    kernel = keras.ops.convert_to_numpy(model.get_layer("classifier").dense.kernel)
    np.testing.assert_array_equal(found.float().numpy().T, kernel.astype(np.float32))


def test_other_mistakes(tiny, tmp_path):
    def refused(model, *, out="ours.pth", to="torchvision", **options):
        with pytest.raises((ValueError, OSError)) as error:
            export_torch(model, tmp_path / out, to=to, **options)
        assert not (tmp_path / "ours.pth").exists()
        return str(error.value)

    tiny.save(tmp_path / "tiny.keras")
    tiny.save_weights(tmp_path / "tiny.weights.h5")
    save_file({"a": np.ones(3)}, tmp_path / "foreign.safetensors")
    assert "'ours.onnx' does not end in one of" in refused(tiny, out="ours.onnx").replace(
        f"{tmp_path}/", ""
    )
    assert "to='keras' is not one of torchvision, timm" in refused(tiny, to="keras")
    assert "profile='caffe' is not one of" in refused(tiny, profile="caffe")
    assert "has profile 'torch'" in refused(tiny, profile="tensorflow")
    assert "model='resnet9' is not a file of keras_effnets, which ends in" in refused("resnet9")
    assert "is not a file of keras_effnets" in refused(tmp_path / "theirs.pth")
    assert "there is no such file" in refused(tmp_path / "none.keras")
    assert "was not written by keras_effnets" in refused(tmp_path / "foreign.safetensors")
    assert "add --model" in refused(tmp_path / "tiny.weights.h5")
    assert "add --profile" in refused(tmp_path / "tiny.weights.h5", name="mobilenet_v2")
    assert "name='mobilenet_v2'" in refused(LITE0, name="mobilenet_v2")
    assert "has no published weights" in refused("efficientnet_lite4")
    (tmp_path / "same.safetensors").touch()
    same = tmp_path / "same.safetensors"
    assert "is the file to be exported" in refused(same, out="same.safetensors")


def test_a_file_of_another_network_is_refused(tmp_path):
    state = at_random(torchvision_network("mobilenet_v2")).state_dict()
    torch.save(state, tmp_path / "theirs.pth")
    convert(tmp_path / "theirs.pth", "mobilenet_v2", tmp_path / "middle.safetensors")
    with pytest.raises(ValueError, match="has weights of mobilenet_v2, not of efficientnet_b0"):
        export_torch(
            tmp_path / "middle.safetensors",
            tmp_path / "ours.pth",
            to="torchvision",
            name="efficientnet_b0",
        )


@pytest.mark.parametrize("name", ["ours.pth", "ours.safetensors"])
def test_the_printed_lines_load_it(name, tmp_path, monkeypatch):
    pretrained.checkpoint()
    pytest.importorskip("efficientnet_lite_pytorch", reason="the printed lines import it")
    monkeypatch.chdir(tmp_path)
    code, out, err = run("export-torch", LITE0, "--out", name, "--to", "efficientnet_pytorch")
    assert (code, err) == (0, "")
    lines = [line.partition("  ")[2].strip() for line in out.splitlines()]
    start = next(n for n, line in enumerate(out.splitlines()) if line.startswith("load with"))
    scope: dict[str, object] = {}
    exec("\n".join(lines[start : start + 2]), scope)
    kernel = scope["model"]._conv_stem.weight.detach().numpy()
    np.testing.assert_array_equal(kernel, read_checkpoint(name).tensors["_conv_stem.weight"])
    shown = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in out.splitlines()}
    assert shown["wrote"] == name
    assert shown["tensors"] == "247"
    assert shown["counters"] == "49 num_batches_tracked, 0 of them known"
    assert shown["images"] == (
        "RGB / 255, minus (0.498039, 0.498039, 0.498039), over (0.501961, 0.501961, 0.501961); "
        "bicubic to 256, crop 224"
    )


def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path):
    pretrained.checkpoint()
    target = tmp_path / "ours.pth"
    code, out, err = run("export-torch", LITE0, "--out", target, "--to", "torchvision")
    assert (code, out) == (2, "")
    assert err == (
        "error: to='torchvision' has no efficientnet_lite0; "
        "to='efficientnet_pytorch' or 'timm_tf' fits\n"
    )
    code, out, err = run("export-torch", LITE0, "--out", tmp_path / "a/b.pth", "--to", "timm_tf")
    assert (code, out) == (2, "")
    assert "there is no folder" in err
    assert list(tmp_path.iterdir()) == []


def test_the_line_that_makes_a_network_is_the_librarys():
    found = [
        construction(to, spelled(model, to), classes)[1]
        for to, model, classes in [
            ("torchvision", "efficientnet_b0", 1000),
            ("torchvision", "mobilenet_v2", 3),
            ("timm", "mobilenet_v2", 1000),
            ("timm", "se_resnext50_32x4d", 1000),
            ("timm", "mobilenet_v1", 1000),
            ("timm", "efficientnet_v2_s", 1000),
            ("timm_tf", "mobilenet_v3_large", 5),
            ("timm_tf", "efficientnet_b0", 3),
            ("efficientnet_pytorch", "efficientnet_lite0", 3),
        ]
    ]
    assert found == [
        "torchvision.models.efficientnet_b0()",
        "torchvision.models.mobilenet_v2(num_classes=3)",
        "timm.create_model('mobilenetv2_100')",
        "timm.create_model('seresnext50_32x4d')",
        "timm.create_model('mobilenetv1_100')",
        "timm.create_model('efficientnetv2_s')",
        "timm.create_model('tf_mobilenetv3_large_100', num_classes=5)",
        "timm.create_model('tf_efficientnet_b0', num_classes=3)",
        "EfficientNet.from_name('efficientnet-lite0', num_classes=3)",
    ]


def spelled(model: str, to: str) -> str | None:
    config = get_builder(model).config
    return config.spellings[to].architecture(config)


def test_every_network_has_the_librarys_name_or_none():
    """A name is one that the library knows; None, one that it has not under any."""
    torchvision = import_torchvision().models.list_models()
    timm = pytest.importorskip("timm", reason="timm is not installed").list_models()
    libraries = {"torchvision": torchvision, "timm": timm, "timm_tf": timm}
    found = {
        (model, to): spelled(model, to)
        for model in keras_effnets.list_models()
        for to in libraries
        if to in get_builder(model).config.spellings
    }
    unknown = {key: name for key, name in found.items() if name and name not in libraries[key[1]]}
    assert not unknown
    assert {key for key, name in found.items() if name is None} == {
        ("alexnet_2012", "torchvision"),
        ("inception_v1", "torchvision"),
        ("densenet264", "torchvision"),
        ("densenet264", "timm"),
        ("densenet_cifar", "torchvision"),
        ("densenet_cifar", "timm"),
        ("mobilenet_v1_0.25", "timm"),
        ("mobilenet_v1_0.5", "timm"),
        ("mobilenet_v1_0.75", "timm"),
    }


@pytest.mark.parametrize(
    ("model", "to"),
    [
        ("densenet121", "timm"),
        ("efficientnet_b0", "timm"),
        ("efficientnet_b0", "timm_tf"),
        ("efficientnet_lite0", "timm"),
        ("efficientnet_lite0", "timm_tf"),
        ("efficientnet_v2_s", "timm"),
        ("efficientnet_v2_s", "timm_tf"),
        ("mobilenet_v1", "timm"),
        ("mobilenet_v2", "timm"),
        ("mobilenet_v3_small", "timm"),
        ("mobilenet_v3_small", "timm_tf"),
        ("resnet18", "timm"),
        ("resnext50_32x4d", "timm"),
        ("se_resnet50", "timm"),
        ("se_resnext50_32x4d", "timm"),
        ("vgg11_bn", "timm"),
        ("wide_resnet50_2", "timm"),
    ],
)
def test_timms_network_of_that_name_has_these_tensors(model, to):
    """For every family that timm has: what is written under the name loads strictly there."""
    import_torchvision()
    pytest.importorskip("timm", reason="timm is not installed")
    builder = get_builder(model)
    shapes = outline(partial(builder, weights=None, profile=builder.config.spellings[to].profile))
    imported, network = construction(to, spelled(model, to), 1000)
    with torch.device("meta"):
        names = {}
        exec(imported, names)
        expected = {
            key: tuple(tensor.shape)
            for key, tensor in eval(network, names).state_dict().items()
            if not key.endswith(COUNTER)
        }
    rules = list(builder.config.spellings[to].rules(builder.config))
    assert {rule.source for rule in rules} == expected.keys()
    for rule in rules:
        assert transformed_shape(rule.kind, expected[rule.source]) == shapes[rule.target]


def test_a_network_that_timm_lacks_is_refused(tmp_path):
    model = keras_effnets.MobileNetV1_025(weights=None, profile="torch")
    with pytest.raises(ValueError, match=r"to='timm' has no mobilenet_v1_0\.25"):
        export_torch(model, tmp_path / "m.pth", to="timm")
