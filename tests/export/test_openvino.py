import artifacts
import numpy as np
import openvino
import pytest

from keras_effnets.export import Artifact, export_openvino, runtimes
from keras_effnets.export import openvino as exporter
from keras_effnets.export.runtimes import OpenVINO

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return artifacts.tiny()


def test_names_and_batch(model, tmp_path):
    export_openvino(model, tmp_path / "any.xml")
    export_openvino(model, tmp_path / "two.xml", batch=2)
    core = openvino.Core()
    any_batch, two = (core.read_model(tmp_path / f"{name}.xml") for name in ("any", "two"))
    assert any_batch.input("images").partial_shape[0].is_dynamic
    assert any_batch.output("scores").partial_shape[1].get_length() == 3
    assert list(two.input("images").shape) == [2, 16, 16, 3]
    images = RNG.uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    wanted = OpenVINO(tmp_path / "any.xml").scores(images)
    np.testing.assert_allclose(OpenVINO(tmp_path / "two.xml").scores(images), wanted, atol=1e-6)


def test_the_first_batch_size_is_compiled_for_itself(model, tmp_path, monkeypatch):
    export_openvino(model, tmp_path / "m.xml")
    compiled = []
    compile_model = openvino.Core.compile_model

    def recorded(core, network, device, options):
        compiled.append(str(network.input(0).partial_shape[0]))
        return compile_model(core, network, device, options)

    monkeypatch.setattr(openvino.Core, "compile_model", recorded)
    images = RNG.uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    wanted = model(images).numpy()
    session = OpenVINO(tmp_path / "m.xml")
    for count in (2, 1, 2, 4, 3, 2):
        np.testing.assert_allclose(session.scores(images[:count]), wanted[:count], atol=1e-5)
    assert compiled == ["2", "?"]


def test_float32_is_forced(model, tmp_path, monkeypatch):
    """OpenVINO would choose bfloat16 by itself where the CPU has it."""
    asked = []
    compile_model = openvino.Core.compile_model

    def recorded(core, path, device, options):
        asked.append(options["INFERENCE_PRECISION_HINT"])
        return compile_model(core, path, device, options)

    monkeypatch.setattr(openvino.Core, "compile_model", recorded)
    export_openvino(model, tmp_path / "m.xml")
    assert asked == ["f32"]


def test_bfloat16_where_the_cpu_has_it(model, tmp_path, monkeypatch):
    asked = []

    def session(path, threads=None, precision="float32"):
        asked.append(precision)
        return OpenVINO(path, threads)

    monkeypatch.setattr(exporter, "has_bfloat16", lambda: True)
    monkeypatch.setattr(exporter, "OpenVINO", session)
    artifact = export_openvino(model, tmp_path / "m.xml", "bfloat16")
    assert (artifact.precision, asked) == ("bfloat16", ["bfloat16"])
    monkeypatch.setattr(exporter, "has_bfloat16", lambda: False)
    with pytest.raises(ValueError, match="this CPU does not compute in it"):
        export_openvino(model, tmp_path / "n.xml", "bfloat16")


def test_int8_reports_its_cost(tmp_path, capfd):
    calibration = RNG.integers(0, 255, (8, 16, 16, 3))
    path = tmp_path / "m.xml"
    artifact = export_openvino(artifacts.tiny(), path, "int8", calibration=calibration)
    assert artifact.rounding.pictures == 8
    assert len(artifact.rounding.output_errors) == 3
    assert artifact.rounding.kl_divergence < 0.01
    assert Artifact.read(tmp_path / "m.xml.json") == artifact
    assert artifacts.left_in(tmp_path) == ["m.bin", "m.xml", "m.xml.json"]
    kinds = {each.get_type_name() for each in openvino.Core().read_model(path).get_ops()}
    assert "FakeQuantize" in kinds
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "calibration=None: int8 needs real images"),
        ({"precision": "half"}, "precision='half': expected one of"),
        ({"calibration": "images"}, "are for 'int8' only"),
        ({"batch": -1}, "batch=-1: expected 1 or more"),
    ],
)
def test_invalid_arguments_are_refused(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_openvino(model, tmp_path / "m.xml", **options)
    assert artifacts.left_in(tmp_path) == []


def test_int8_needs_nncf(model, tmp_path, monkeypatch):
    found = runtimes.importlib.util.find_spec
    monkeypatch.setattr(
        runtimes.importlib.util, "find_spec", lambda name: None if name == "nncf" else found(name)
    )
    with pytest.raises(ImportError, match=r"nncf is not installed: pip install 'keras_effnets\["):
        export_openvino(model, tmp_path / "m.xml", "int8", calibration=np.zeros((1, 16, 16, 3)))
