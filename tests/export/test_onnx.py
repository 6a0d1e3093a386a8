import artifacts
import numpy as np
import onnx
import pytest

from keras_effnets.export import export_onnx
from keras_effnets.export.runtimes import OnnxRuntime


@pytest.fixture(scope="module")
def model():
    return artifacts.tiny()


def test_any_batch_or_one(model, tmp_path):
    export_onnx(model, tmp_path / "any.onnx")
    export_onnx(model, tmp_path / "two.onnx", batch=2)
    any_batch, two = (onnx.load(tmp_path / f"{name}.onnx") for name in ("any", "two"))
    assert [each.name for each in (*any_batch.graph.input, *any_batch.graph.output)] == [
        "images",
        "scores",
    ]
    first = any_batch.graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_param, first.dim_value) == ("batch", 0)
    assert two.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    # Five images take three runs of a graph for two.
    images = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    wanted = OnnxRuntime(tmp_path / "any.onnx").scores(images)
    found = OnnxRuntime(tmp_path / "two.onnx").scores(images)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 17])
def test_the_opset_is_the_one_asked_for(model, tmp_path, opset):
    export_onnx(model, tmp_path / "m.onnx", opset=opset)
    written = onnx.load(tmp_path / "m.onnx")
    assert next(each.version for each in written.opset_import if not each.domain) == opset


def test_the_graph_holds_no_batch_norm_and_one_transpose(tmp_path):
    """Images come as (B, H, W, C) and are transposed once, at the input."""
    export_onnx(artifacts.living("mobilenet_v3"), tmp_path / "m.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert "BatchNormalization" not in operators
    assert operators.count("Conv") > 10
    assert operators.count("Transpose") <= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 7}, "opset=7: expected 13 to 18"),
        ({"batch": 0}, "batch=0: expected 1 or more"),
    ],
)
def test_invalid_arguments_are_refused(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(model, tmp_path / "m.onnx", **options)
