"""Deliberate mistakes: the first sublayer that each of them changes is named."""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import photographs
import pretrained
import pytest
import running
from safetensors import safe_open
from safetensors.numpy import load_file

torch = pytest.importorskip("torch", reason="the reference needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import plain  # noqa: E402

import keras_effnets  # noqa: E402
from weights_tools import cli  # noqa: E402
from weights_tools.convert import convert  # noqa: E402
from weights_tools.formats.our_format import write_weights_file  # noqa: E402
from weights_tools.verify import (  # noqa: E402
    examine,
    recording,
    verify,
)
from weights_tools.verify.activations import (  # noqa: E402
    LOGITS,
    MEANS,
    PREPARED,
    VALUES,
    Observer,
    Samples,
    error,
    step,
)
from weights_tools.verify.recording import read_reference, write_reference  # noqa: E402
from weights_tools.verify.reference_run import run_reference  # noqa: E402
from weights_tools.verify.result import Verification  # noqa: E402
from weights_tools.verify.shown_images import drawn  # noqa: E402

SIDE = 96
LITE0 = "efficientnet_lite0"
SMALL = "squeezenet1_1"
PARTS = ["stem", *(f"stage{n}" for n in range(1, 8)), "top"]
run = partial(running.run, cli.app)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Torch's threads and TensorFlow's fight for two cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def torch_opens_no_file(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", refuse)


class Case:
    """A living checkpoint of one network, converted, and its reference."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        if name == "mobilenet_v2":
            alive = living.mobilenet_v2_reference(1.0, SIDE)
        elif name == SMALL:
            alive = plain.reference(name, SIDE)
        elif name == LITE0:
            pytest.importorskip("efficientnet_lite_pytorch", reason="Lite's library is missing")
            alive = living.efficientnet_lite_reference("efficientnet-lite0", SIDE)
        else:
            alive = living.efficientnet_reference(name, SIDE)
        self.checkpoint = folder / f"{name}.pth"
        torch.save(alive.state_dict, self.checkpoint)
        self.converted = folder / f"{name}.safetensors"
        convert(self.checkpoint, name, self.converted)
        self.reference = run_reference(self.checkpoint, name, drawn(), side=SIDE)
        self.record = folder / f"{name}.npz"
        write_reference(self.reference, self.record)

    def network(self, file: Path) -> keras.Model:
        """Loads a file's network at the reference's input size."""
        return keras_effnets.create_model(
            self.name, weights=file, input_shape=(SIDE, SIDE, 3), classifier_activation=None
        )

    def examine(self, file: Path, **options) -> Verification:
        return examine(self.network(file), self.reference, file=str(file), **options)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    made: dict[str, Case] = {}

    def case(name: str) -> Case:
        if name not in made:
            made[name] = Case(name, tmp_path_factory.mktemp(name))
        return made[name]

    return case


@pytest.fixture
def b0(cases):
    return cases("efficientnet_b0")


@pytest.fixture
def v2(cases):
    return cases("mobilenet_v2")


@pytest.fixture
def small(cases):
    """For tests in which any network will do."""
    return cases(SMALL)


def edited(source: Path, target: Path, edit=None, **header) -> Path:
    """A file of ours with other tensors or another header, as a faulty converter writes it."""
    tensors = load_file(source)
    with safe_open(source, "numpy") as file:
        metadata = file.metadata()
    if edit:
        edit(tensors)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    values = {name: partial(tensors.get, name) for name in tensors}
    write_weights_file(target, shapes, values, {**metadata, **header})
    return target


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        *(pytest.param(n, marks=pytest.mark.full) for n in ("efficientnet_b0", LITE0)),
    ],
)
def test_a_right_conversion_agrees_everywhere(cases, name):
    case = cases(name)
    found = verify(case.checkpoint, name, side=SIDE)
    assert found.ok
    assert found.first is None
    assert [stage.name for stage in found.stages] == ["pictures", "preprocessing", *PARTS, "logits"]
    assert max(each.error for each in found.sublayers) <= 1e-4
    assert found.spread >= 0.1
    assert found.noise <= 5e-5
    assert found.top1_agreement == 1
    assert not [note for note in found.notes if "hardly depend" in note]
    # The input and output of every convolution, and the output of every norm with weights.
    variables = {path.rpartition("/")[0] for path in case.reference.digests}
    assert {each.name.partition(":")[0] for each in found.sublayers} == {
        *variables,
        "preprocessing",
    }


@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5"])
def test_every_kind_of_file_agrees(small, tmp_path, ending):
    file = tmp_path / f"a{ending}"
    convert(small.checkpoint, small.name, file)
    found = verify(file, small.name, against=small.record)
    assert found.ok
    assert found.pictures == 4


def test_the_original_is_found_beside_the_file(small):
    assert verify(small.converted, small.name, side=64).ok


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("mobilenet_v2", "stage4_block1/depthwise/conv/kernel"),
        ("mobilenet_v2", "stage6_block0/project/norm/moving_variance"),
        ("mobilenet_v2", "classifier/dense/bias"),
        ("efficientnet_b0", "stage5_block2/squeeze_excite/reduce/kernel"),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in (
                ("mobilenet_v2", "stem/conv/kernel"),
                ("mobilenet_v2", "stage4_block2/expand/norm/gamma"),
                ("mobilenet_v2", "top/norm/beta"),
                ("efficientnet_b0", "stage3_block1/squeeze_excite/expand/bias"),
            )
        ),
    ],
)
def test_a_corrupt_tensor_is_named(cases, tmp_path, name, tensor):
    case = cases(name)

    def corrupt(tensors):
        tensors[tensor] = tensors[tensor].copy()
        tensors[tensor].flat[tensors[tensor].size // 2] += 1

    found = case.examine(edited(case.converted, tmp_path / "a.safetensors", corrupt))
    sublayer, _, variable = tensor.rpartition("/")
    assert not found.ok
    assert (found.first.sublayer, found.first.side) == (sublayer, "output")
    assert found.first.tensors == (variable,)
    assert found.first.before <= 1e-4 < found.first.after
    assert f"its {variable} differs from the original's" in found.first.reason


def test_of_two_swapped_tensors_the_earlier_is_named(v2, tmp_path):
    one, other = (f"stage4_block{n}/project/conv/kernel" for n in (1, 3))

    def swap(tensors):
        tensors[one], tensors[other] = tensors[other], tensors[one]

    found = v2.examine(edited(v2.converted, tmp_path / "a.safetensors", swap))
    assert found.first.sublayer == "stage4_block1/project/conv"
    assert found.first.tensors == ("kernel",)
    worst = {stage.name: stage.error for stage in found.stages}
    assert max(worst[name] for name in ("stem", "stage1", "stage2", "stage3")) <= 1e-4
    assert worst["stage4"] > 1e-4


@pytest.mark.parametrize(
    ("name", "mutate", "sublayer", "side"),
    [
        ("mobilenet_v2", compare.stem_padding, "stem/conv", "output"),
        ("mobilenet_v2", compare.block_padding, "stage2_block0/depthwise/conv", "output"),
        ("mobilenet_v2", compare.epsilon, "stem/norm", "output"),
        ("mobilenet_v2", compare.pixel_scale, "preprocessing", "output"),
        ("mobilenet_v2", compare.unclipped_relu, "stage1_block0/depthwise/conv", "input"),
        ("mobilenet_v2", compare.missing_skip, "stage3_block0/expand/conv", "input"),
        (
            "efficientnet_b0",
            compare.squeeze_activation,
            "stage1_block0/squeeze_excite/expand",
            "input",
        ),
    ],
)
def test_a_mistake_in_the_network_is_placed(cases, name, mutate, sublayer, side):
    case = cases(name)
    mutant = mutate(case.network(case.converted))
    found = examine(mutant, case.reference)
    assert (found.first.sublayer, found.first.side) == (sublayer, side)
    assert found.first.tensors == ()
    if sublayer != "preprocessing":
        assert found.first.before <= 1e-4


def test_a_missing_skip_is_between_two_sublayers(v2):
    mutant = compare.missing_skip(v2.network(v2.converted))
    found = examine(mutant, v2.reference)
    assert "stage2_block1/project/norm still agrees" in found.first.reason
    assert "gate, skip or pooling between them differs" in found.first.reason


def test_a_whole_model_is_run_as_it_was_saved(v2, tmp_path):
    file = tmp_path / "a.keras"
    compare.epsilon(v2.network(v2.converted)).save(file)
    found = verify(file, v2.name, against=v2.record)
    assert found.first.sublayer == "stem/norm"
    assert "its tensors equal the original's" in found.first.reason


def test_another_profile_in_the_header_is_noticed(v2, tmp_path):
    file = edited(v2.converted, tmp_path / "a.safetensors", profile="tensorflow")
    found = verify(file, v2.name, against=v2.record)
    assert found.first.sublayer == "stem/conv"
    assert any("profile is 'tensorflow'" in note for note in found.notes)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The real EfficientNet-Lite0, converted, and its reference, recorded at another input size."""
    pytest.importorskip("efficientnet_lite_pytorch", reason="Lite's library is missing")
    folder = tmp_path_factory.mktemp("real")
    file, record = folder / "a.safetensors", folder / "a.npz"
    convert(pretrained.checkpoint(), LITE0, file)
    kept = run_reference(pretrained.checkpoint(), LITE0, drawn(), side=SIDE)
    write_reference(kept, record)
    return file, record


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"std": [127.0, 128.0, 128.0]}, "preprocessing"),
        ({"resize": 240}, "pictures"),
        pytest.param({"mean": [127.5, 127.0, 127.0]}, "preprocessing", marks=pytest.mark.full),
        pytest.param({"interpolation": "bilinear"}, "pictures", marks=pytest.mark.full),
    ],
)
def test_another_preset_in_the_header_is_noticed(real, tmp_path, change, named):
    right, record = real
    with safe_open(right, "numpy") as file:
        preset = json.loads(file.metadata()["preset"])
    wrong = edited(right, tmp_path / "a.safetensors", preset=json.dumps({**preset, **change}))
    found = verify(wrong, LITE0, against=record)
    assert found.first.sublayer == named
    assert found.first.tensors == ()


def test_the_real_checkpoint_agrees_on_real_photographs(real):
    photos = photographs.paths()
    # The original is neither given nor next to the file, but published.
    found = verify(real[0], LITE0, pictures=photos)
    assert found.ok
    assert found.weights_set == "EFFICIENTNET_PYTORCH"
    assert (found.side, found.pictures) == (224, 4 + len(photos))
    assert found.stages[0].error == 0
    assert found.top1_agreement == 1
    assert found.notes == ()
    summary = json.loads(json.dumps(found.summary()))
    assert summary["reference"].startswith("efficientnet_lite_pytorch ")
    assert summary["logits"] == found.stages[-1].error
    assert summary["worst_stage"] <= 1e-4
    assert summary["pictures"] == found.pictures


def test_the_real_checkpoint_agrees_at_another_side(real):
    file, record = real
    found = verify(file, LITE0, against=record)
    assert found.ok
    assert found.stages[0].error == 0
    assert found.stages[0].tolerance < 1


def test_a_crop_that_is_not_the_references_is_noticed(real, tmp_path):
    preset = {"crop": 112, "resize": 128, "interpolation": "bicubic"}
    preset |= {"mean": [127.0] * 3, "std": [128.0] * 3}
    wrong = edited(real[0], tmp_path / "a.safetensors", preset=json.dumps(preset))
    found = verify(wrong, LITE0, against=pretrained.checkpoint())
    assert found.first.sublayer == "pictures"
    assert found.to_dict()["stages"][0]["error"] is None  # another shape
    assert found.stages[-1].ok


def test_a_reference_that_is_not_alive_is_noted(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = living.import_torchvision().models.efficientnet_b0()
        module.classifier[1].reset_parameters()  # or its logits would be almost 0
    path = tmp_path / "dead.pth"
    torch.save(module.state_dict(), path)
    found = verify(path, "efficientnet_b0", side=64)
    assert found.spread < 0.1
    assert any("hardly depend on the image" in note for note in found.notes)


def test_another_original_is_noted(small, tmp_path):
    file = edited(small.converted, tmp_path / "a.safetensors", source_sha256="0" * 64)
    found = verify(file, small.name, against=small.record)
    assert found.ok
    assert any("converted from checkpoint 00000000" in note for note in found.notes)


def test_the_tolerance_decides(small):
    assert not small.examine(small.converted, tolerance=1e-9).ok
    with pytest.raises(ValueError, match=r"tolerance=0"):
        verify(small.converted, small.name, tolerance=0)


def test_a_record_finds_what_the_original_finds(v2, tmp_path):
    path = v2.record
    read = read_reference(path)
    assert read.points.keys() == v2.reference.points.keys()
    for point, seen in v2.reference.points.items():
        assert read.points[point].shape == seen.shape
        np.testing.assert_array_equal(read.points[point].values, seen.values)
    assert read.digests == v2.reference.digests

    def corrupt(tensors):
        tensors["stage3_block2/depthwise/norm/beta"] = -tensors["stage3_block2/depthwise/norm/beta"]

    wrong = edited(v2.converted, tmp_path / "a.safetensors", corrupt)
    live, kept = v2.examine(wrong), verify(wrong, v2.name, against=path)
    assert kept.first == live.first
    assert kept.first.tensors == ("beta",)
    assert verify(v2.converted, v2.name, against=path).ok


def test_a_record_is_for_one_model_and_its_pictures(small):
    path = small.record
    with pytest.raises(ValueError, match="is a reference for squeezenet1_1, not efficientnet_b0"):
        verify(small.converted, "efficientnet_b0", against=path)
    with pytest.raises(ValueError, match="its own images"):
        verify(small.converted, small.name, against=path, pictures=["a.png"])
    with pytest.raises(ValueError, match=r"side=64, but .* recorded at 96"):
        verify(small.converted, small.name, against=path, side=64)


def test_damaged_records_are_refused(small, tmp_path, monkeypatch):
    whole = tmp_path / "whole.npz"
    few = {point: small.reference.points[point] for point in (PREPARED, MEANS)}
    write_reference(replace(small.reference, points=few), whole)
    assert read_reference(whole).points.keys() == few.keys()
    data = whole.read_bytes()
    path = tmp_path / "bad.npz"
    about = json.loads(np.load(whole)["about"].tobytes())

    def with_about(**changes):
        arrays = dict(np.load(whole))
        arrays["about"] = np.frombuffer(json.dumps({**about, **changes}).encode(), np.uint8)
        np.savez(path, **arrays)

    for spoil in (
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(data[: len(data) // 2]),
        lambda: path.write_bytes(b"\x89PNG" + data[4:600]),
        lambda: np.savez(path, a=np.zeros(3)),
        lambda: np.savez(path, about=np.array([{}], object), allow_pickle=True),
        lambda: with_about(format=2),
        lambda: with_about(shapes={**about["shapes"], MEANS: [7]}),
        lambda: with_about(shapes={PREPARED: about["shapes"][PREPARED]}),
        lambda: with_about(noise={}),
        lambda: with_about(digests=[]),
    ):
        spoil()
        with pytest.raises(ValueError, match=r"bad\.npz: is not a valid reference"):
            read_reference(path)
    with pytest.raises(FileNotFoundError):
        read_reference(tmp_path / "missing.npz")
    monkeypatch.setattr(recording, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match="it would unpack to"):
        read_reference(whole)


@pytest.mark.parametrize("shape", [(48, 48, 96), (7, 7, 1280), (224, 224, 3), (97, 97, 32), (5,)])
def test_samples_go_through_all_channels_alike(shape):
    size, limit = int(np.prod(shape)), 4096
    found = step(size, limit)
    kept = np.arange(0, size, found)
    assert len(kept) <= limit
    assert size <= limit or len(kept) > limit / 2
    counts = np.bincount(kept % shape[-1], minlength=shape[-1])
    assert counts.max() - counts.min() <= 1


def test_a_point_keeps_no_more_than_is_said():
    observer = Observer(5)
    for _ in range(5):
        observer.see("a:output", np.zeros((1, 60, 60, 30), np.float32))
        observer.see(LOGITS, np.zeros((1, 21_841), np.float32))
    samples = observer.samples()
    assert samples["a:output"].values.size <= VALUES
    assert samples["a:output"].shape == (60, 60, 30)
    assert samples[LOGITS].values.shape == (5, 21_841)


def test_errors_are_relative_and_never_hidden():
    def seen(*values, shape=(2,)):
        return Samples(shape, np.array([values], np.float32))

    assert error(seen(1, 4), seen(1, 5)) == pytest.approx(0.2)
    assert error(seen(0, 0), seen(0, 0)) == 0
    for candidate, expected in (
        (None, seen(1, 2)),
        (seen(1, 2, shape=(1, 2)), seen(1, 2)),
        (seen(1, np.nan), seen(1, 2)),
        (seen(1, 2), seen(1, np.nan)),
        (seen(0, 1), seen(0, 0)),
    ):
        assert error(candidate, expected) == np.inf


def test_the_drawn_pictures_are_unlike_and_the_same_every_time():
    pictures = drawn()
    assert len({picture.shape for picture in pictures}) == len(pictures)
    for one, again in zip(pictures, drawn(), strict=True):
        np.testing.assert_array_equal(one, again)
        assert one.std() > 20


@pytest.mark.parametrize(
    ("package", "name", "theirs"),
    [
        ("timm", "efficientnet_b0", "efficientnet_b0"),
        ("timm_tf", "efficientnet_b0", "tf_efficientnet_b0"),
        ("timm", "mobilenet_v2", "mobilenetv2_100"),
        ("efficientnet_pytorch", "efficientnet_b0", "efficientnet-b0"),
    ],
)
def test_other_libraries_are_references_too(package, name, theirs, tmp_path):
    living.import_torchvision()
    library = pytest.importorskip(package.removesuffix("_tf"), reason="it is not installed")
    make = library.EfficientNet.from_name if "-" in theirs else library.create_model
    path = tmp_path / "a.pth"
    torch.save(make(theirs).state_dict(), path)
    found = run_reference(path, name, drawn()[:1], side=64, source=package)
    assert found.name.startswith(package.removesuffix("_tf"))
    assert found.points.keys() >= {"stem/conv:input", "stem/norm:output", LOGITS}
    assert found.side == 64


def test_the_command_agrees(v2):
    code, out, err = run("verify", v2.converted, "-m", v2.name, "--side", 64)
    assert (code, err) == (0, "")
    assert "reference  torchvision " in out
    assert "same for 100% of the images" in out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("stage")] == PARTS[1:-1]
    assert "agrees: all " in out


def test_the_command_names_what_differs(v2, tmp_path):
    def corrupt(tensors):
        tensors["stage5_block1/expand/conv/kernel"] = (
            tensors["stage5_block1/expand/conv/kernel"] * 2
        )

    file = edited(v2.converted, tmp_path / "a.safetensors", corrupt)
    code, out, err = run("verify", file, "-m", v2.name, "--against", v2.record)
    assert (code, err) == (1, "")
    assert (
        "differs first at stage5_block1/expand/conv: same input, different output: its kernel"
        in out
    )
    states = {line.split()[0]: line.split()[-1] for line in out.splitlines() if "e-0" in line}
    assert states["stage4"] == "ok"
    assert states["stage6"] == "differs"


def test_the_commands_record_and_compare_without_torch(small, tmp_path, monkeypatch):
    path = tmp_path / "reference.npz"
    code, out, err = run("record", small.checkpoint, "-m", small.name, "-o", path, "--side", 64)
    assert (code, err) == (0, "")
    assert f"--against {path}" in out
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = run("verify", small.converted, "-m", small.name, "--against", path, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["ok"], found["side"], found["first"]) == (True, 64, None)
    assert all(stage["ok"] for stage in found["stages"])
    assert [stage["name"] for stage in found["stages"]][-2:] == ["fire9", "logits"]
    code, out, err = run("verify", small.converted, "-m", small.name)
    assert (code, out) == (1, "")
    assert err.startswith("error: the reference needs torch")
    assert "weights-tools record" in err


def test_a_torchvision_that_cannot_be_imported_is_the_environments_failure(small, monkeypatch):
    for name in [*sys.modules]:
        if name.partition(".")[0] == "torchvision":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    code, out, err = run("verify", small.converted, "-m", small.name)
    assert (code, out) == (1, "")
    assert err.startswith("error: the reference needs torchvision")


def test_the_users_mistakes(small, tmp_path):
    alone = edited(small.converted, tmp_path / "alone.safetensors")
    picture = tmp_path / "a.png"
    picture.write_bytes(b"no picture")
    for arguments, message in (
        (("verify", tmp_path / "missing.keras", "-m", small.name), "there is no such file"),
        (("verify", alone, "-m", small.name), "pass it, or a recorded reference, with --against"),
        (("verify", small.converted, "-m", "resnet1"), "'resnet1'"),
        (("verify", small.converted, "-m", "efficientnet_b0"), "efficientnet_b0"),
        (("verify", small.converted, "-m", small.name, "--picture", picture), "a.png"),
        (("record", small.checkpoint, "-m", small.name, "-o", tmp_path / "a.zip"), "in .npz"),
        (("record", small.checkpoint, "-m", small.name, "-o", tmp_path / "b/a.npz"), "no folder"),
        (("record", tmp_path / "missing.pth", "-m", small.name, "-o", "a.npz"), "no such file"),
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), err
        assert err.startswith("error: ")
        assert message in err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".npz"] == []


@pytest.mark.full
def test_a_v1_network_with_a_v15_checkpoint_is_caught(tmp_path):
    """Every shape fits, so only a comparison can detect it."""
    module = living.import_torchvision().models.resnet50()
    alive = living.reference("resnet50", module, {}, 64)
    torch.save(alive.state_dict, tmp_path / "resnet50.pth")
    options = {"settings": {"stride": "v1"}}
    convert(tmp_path / "resnet50.pth", "resnet50", tmp_path / "v1.safetensors", **options)
    found = verify(
        tmp_path / "v1.safetensors", "resnet50", against=tmp_path / "resnet50.pth", side=64
    )
    assert found.first is not None
    assert found.first.sublayer == "stage2_block0/conv1/conv"
    with pytest.raises(ValueError, match="stage2_block0/conv1"):
        convert(
            tmp_path / "resnet50.pth",
            "resnet50",
            tmp_path / "refused.safetensors",
            verify=True,
            **options,
        )
    assert not (tmp_path / "refused.safetensors").exists()
    with pytest.raises(ValueError, match=r"stride='v1.5'.*stride='v1'"):
        keras_effnets.ResNet50(weights=tmp_path / "v1.safetensors", stride="v1.5")
