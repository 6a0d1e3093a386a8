"""The base of layers that are made of layers."""

from collections.abc import Iterator
from typing import Any, ClassVar

import keras

Shape = tuple[int | None, ...]

register = keras.saving.register_keras_serializable(package="keras_effnets")


class Chain(keras.layers.Layer):
    """A layer that applies its sublayers one after the other.

    A subclass lists its arguments in `options`, adds its sublayers in `assemble` and gives its
    `compute_output_shape`. The chain does the rest: the sublayers are built in order, each under
    the name of the attribute that holds it, with the dtype policy of the whole.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """Names of the constructor's arguments, each kept as an attribute; what `get_config` saves."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._order: list[str] = []

    def assemble(self, channels: int) -> None:
        """Adds the sublayers for an input of `channels` channels; called once, by `build`."""
        raise NotImplementedError(f"{type(self).__name__} adds no sublayers")

    def add(self, name: str, layer: type, *args: Any, **kwargs: Any) -> None:
        """Appends `layer(*args, **kwargs)`, held by the attribute `name` and named like it."""
        setattr(self, name, layer(*args, **kwargs, name=name, dtype=self.dtype_policy))
        self._order.append(name)

    def sublayers(self) -> Iterator[Any]:
        """The sublayers in the order in which they are applied."""
        return (getattr(self, name) for name in self._order)

    def build(self, input_shape: Shape) -> None:
        """Makes the sublayers and their variables for `input_shape` (B, H, W, C)."""
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(f"{self.name}: the number of channels is unknown, input {input_shape}")
        self.assemble(channels)
        shape = input_shape
        for layer in self.sublayers():
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        if not self.trainable:
            # Keras hands `trainable` down when it is set, not to sublayers that come later: a
            # block frozen before it was built would go on moving its batch statistics.
            for layer in self.sublayers():
                layer.trainable = False

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Applies the sublayers; Keras hands `training` down to them."""
        for layer in self.sublayers():
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, unless a subclass says otherwise."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}


def nested_layers(model: keras.Model) -> Iterator[Any]:
    """Every layer of `model`, those inside blocks and inside nested models included."""
    waiting = list(model.layers)
    while waiting:
        layer = waiting.pop(0)
        yield layer
        if isinstance(layer, Chain):
            waiting[:0] = layer.sublayers()
        elif isinstance(layer, keras.Model):
            waiting[:0] = layer.layers
