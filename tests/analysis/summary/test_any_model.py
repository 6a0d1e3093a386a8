"""Users' models: nested, shared, subclassed, with layers that have no rule."""

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.plan.deferred import sketch

L = keras.layers


class Scale(L.Layer):
    """One factor per channel, a layer without a rule."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), name="factor")

    def call(self, inputs):
        return inputs * self.factor


class Block(L.Layer):
    """A user's block, which does not tell its shapes."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.conv = L.Conv2D(filters, 3, padding="same", name="conv")
        self.norm = L.BatchNormalization(name="norm")

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build((*input_shape[:-1], self.conv.filters))

    def call(self, inputs):
        return keras.ops.concatenate([keras.ops.relu(self.norm(self.conv(inputs))), inputs], -1)


def paths(summary: keras_effnets.Summary) -> list[str]:
    return [row.path for row in summary.shown()]


def test_a_users_block_is_opened():
    model = keras.Sequential([keras.Input((8, 8, 3)), Block(4, name="block")])
    found = keras_effnets.summary(model, 2, depth=2)
    assert paths(found) == ["block", "block/conv", "block/norm"]
    block, conv, norm = found.shown()
    assert block.outputs == ((2, 8, 8, 7),)
    assert (conv.parameters, norm.parameters, norm.statistics) == (112, 8, 8)
    assert block.parameters == 120
    assert block.multiply_adds == conv.multiply_adds + norm.multiply_adds == 2 * 64 * 112 + 2 * 8
    assert conv.activation_bytes == 2 * 2 * 64 * 4 * 4
    assert block.activation_bytes == conv.activation_bytes + norm.activation_bytes
    assert conv.kernel == (3, 3)
    assert found.unknown == ()


def test_nested_models_are_opened_to_the_depth_that_is_asked():
    inner = keras.Sequential([keras.Input((8, 8, 3)), Block(4, name="block")], name="inner")
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, L.GlobalMaxPooling2D(name="pool")(inner(inputs)))
    assert paths(keras_effnets.summary(model)) == ["inner", "pool"]
    assert paths(keras_effnets.summary(model, depth=3)) == [
        *("inner", "inner/block", "inner/block/conv", "inner/block/norm", "pool")
    ]


def test_a_shared_layer_has_its_parameters_once_and_its_operations_each_time():
    shared = L.Dense(3, name="shared")
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, L.Add()([shared(each) for each in inputs]))
    found = keras_effnets.summary(model, 2)
    first, second, added = found.rows
    assert (first.parameters, first.shared) == (15, False)
    assert (second.parameters, second.shared) == (0, True)
    assert found.parameters == 15
    assert found.multiply_adds == 2 * 2 * 15
    assert added.inputs == ((2, 3), (2, 3))
    assert "shared" in str(found).splitlines()[2]


def test_several_inputs_and_outputs():
    first, second = keras.Input((8, 8, 3), name="a"), keras.Input((5,), name="b")
    x = L.Flatten(name="flat")(first)
    model = keras.Model({"a": first, "b": second}, [x, L.Concatenate(name="both")([x, second])])
    found = keras_effnets.summary(model, 3)
    assert found.inputs == ((3, 8, 8, 3), (3, 5))
    assert {row.name: row.outputs for row in found.rows} == {
        "flat": ((3, 192),),
        "both": ((3, 197),),
    }


def test_a_layer_with_two_outputs_shows_both():
    class Halves(L.Layer):
        def call(self, inputs):
            return keras.ops.split(inputs, 2, axis=-1)

    inputs = keras.Input((8, 8, 4))
    left, right = Halves(name="halves")(inputs)
    model = keras.Model(inputs, L.Add(name="sum")([left, L.ReLU(name="relu")(right)]))
    found = keras_effnets.summary(model)
    row = next(row for row in found.rows if row.name == "halves")
    assert row.outputs == ((1, 8, 8, 2), (1, 8, 8, 2))
    assert row.multiply_adds == 0
    assert found.unknown == ()
    assert "8x8x2 + 8x8x2" in str(found)


def test_an_open_side_is_asked_for():
    model = keras_effnets.MobileNetV2(weights=None, alpha=0.35, input_shape=(None, None, 3))
    with pytest.raises(ValueError, match=r"mobilenet_v2.*any size.*pass input_shape="):
        keras_effnets.summary(model)
    found = keras_effnets.summary(model, input_shape=(96, 128, 3))
    assert found.rows[1].outputs == ((1, 48, 64, 16),)
    with pytest.raises(ValueError, match=r"input_shape=\(96, 128\) does not fit"):
        keras_effnets.summary(model, input_shape=(96, 128))
    with pytest.raises(ValueError, match=r"input_shape=\(96, 128, 1\) does not fit"):
        keras_effnets.summary(model, input_shape=(96, 128, 1))


def test_another_side_than_the_head_takes_is_an_error_with_the_reason():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, L.Conv2D(1, 9)(inputs))
    with pytest.raises(ValueError, match=r"can't be called on inputs of shape \[\(1, 4, 4, 3\)\]"):
        keras_effnets.summary(model, input_shape=(4, 4, 3))


def test_a_model_that_is_not_built_is_named():
    with pytest.raises(ValueError, match=r"model='bare' is not built"):
        keras_effnets.summary(keras.Sequential([L.Dense(2)], name="bare"))


class Subclass(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.block = Block(4, name="block")
        self.head = L.Dense(2, name="head")

    def call(self, inputs):
        return self.head(keras.ops.mean(self.block(inputs), axis=(1, 2)))


def test_a_subclass_is_followed_once_it_is_built():
    model = Subclass(name="mine")
    with pytest.raises(ValueError, match=r"model='mine' is not built"):
        keras_effnets.summary(model, input_shape=(8, 8, 3))
    model(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"does not know its inputs: pass\s+input_shape"):
        keras_effnets.summary(model)
    found = keras_effnets.summary(model, input_shape=(16, 16, 3), depth=2)
    assert paths(found) == ["block", "block/conv", "block/norm", "head"]
    assert found.rows[-1].receptive_field.whole


def test_a_layer_inside_that_is_not_built_is_named():
    model = Subclass(name="half")
    model.build = lambda shape: None
    model.built = True
    with pytest.raises(ValueError, match=r"half.*layers that are not built: block, "):
        keras_effnets.summary(model, input_shape=(8, 8, 3))
    assert model.weights == []


def test_augmentation_does_nothing_at_inference():
    model = keras.Sequential([keras.Input((8, 8, 3)), L.RandomFlip(), L.Conv2D(2, 3)])
    found = keras_effnets.summary(model)
    assert found.unknown == ()
    assert found.rows[-1].receptive_field.sizes == (3, 3)


def test_an_unknown_kind_is_named_and_not_guessed():
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3), Scale(name="scale")])
    found = keras_effnets.summary(model)
    assert found.unknown == ("scale (Scale): no rule for its own weights factor",)
    assert found.parameters == 58
    assert found.multiply_adds == found.rows[0].multiply_adds
    assert "scale (Scale): no rule" in str(found)
    assert found.rows[1].receptive_field.sizes == (3, 3)


def test_operations_without_a_rule_are_named():
    class Attention(L.Layer):
        def call(self, inputs):
            return keras.ops.matmul(inputs, keras.ops.transpose(inputs, (0, 2, 1)))

    inputs = keras.Input((8, 4))
    model = keras.Model(inputs, Attention(name="attention")(inputs), name="mine")
    assert keras_effnets.summary(model).unknown == (
        "attention (Attention): no rule for the operations Matmul",
    )
    model = keras.Model(inputs, keras.ops.matmul(inputs, inputs[:, :4]), name="mine")
    assert keras_effnets.summary(model).unknown == (
        "mine (Functional): no rule for the operations Matmul",
    )


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="calls TensorFlow itself")
def test_a_layer_that_computes_otherwise_is_named():
    class Raw(L.Layer):
        def call(self, inputs):
            import tensorflow as tf

            return tf.nn.relu(inputs)

    model = keras.Sequential([keras.Input((8,)), Raw(name="raw")])
    assert keras_effnets.summary(model).unknown == ("raw (Raw): no rule for this kind",)


def test_a_size_that_a_layer_leaves_open_is_named():
    layer = L.EinsumDense("abc,cd->abd", (None, 2), name="einsum")
    model = keras.Sequential([keras.Input((4, 3)), layer])
    found = keras_effnets.summary(model)
    assert found.unknown == ("einsum (EinsumDense): a size of its inputs or outputs is unknown",)


def test_half_precision_halves_the_activations_and_not_the_parameters():
    def build(policy):
        return keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(2, 3, dtype=policy)])

    full, half = (keras_effnets.summary(build(p)) for p in ("float32", "mixed_float16"))
    assert half.activation_bytes * 2 == full.activation_bytes
    assert half.parameter_bytes == full.parameter_bytes


def test_the_model_is_left_as_it_was():
    model = keras_effnets.MobileNetV2(weights=None, alpha=0.35, input_shape=(96, 96, 3))
    layers = list(model._flatten_layers())

    def nodes():
        return [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in layers]

    before = nodes()
    keras_effnets.summary(model)
    assert nodes() == before
    with pytest.raises(ValueError, match="does not fit"):
        keras_effnets.summary(model, input_shape=(9,))
    assert nodes() == before
    converted = keras.src.backend.convert_to_tensor([1.0])
    assert not isinstance(converted, keras.KerasTensor)


def test_nothing_is_allocated(monkeypatch):
    def no_values(self, *args, **kwargs):
        raise AssertionError("a variable got a value")

    monkeypatch.setattr("keras.src.backend.Variable._initialize", no_values)
    model = sketch(lambda: keras_effnets.EfficientNetB7(weights=None))
    assert keras_effnets.summary(model).parameters == 66347960


@pytest.mark.parametrize("name", ["batch_size", "depth"])
@pytest.mark.parametrize("value", [0, 1.5, True, "2"])
def test_numbers_out_of_range_are_refused(name, value):
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    with pytest.raises(ValueError, match=rf"{name}={value!r} is not an integer of 1 or more"):
        keras_effnets.summary(model, **{name: value})


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"is a Dense, not a keras\.Model"):
        keras_effnets.summary(L.Dense(2))


def test_a_batch_that_the_model_fixes_is_kept():
    model = keras.Sequential([keras.Input(batch_shape=(4, 8)), L.Dense(2)], name="four")
    with pytest.raises(ValueError, match=r"batch_size=1: model='four' has a fixed batch size of 4"):
        keras_effnets.summary(model)
    assert keras_effnets.summary(model, 4).multiply_adds == 4 * 18
