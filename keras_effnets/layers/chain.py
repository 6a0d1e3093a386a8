"""The base of layers that are made of layers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import keras

Shape = tuple[int | None, ...]

register = keras.saving.register_keras_serializable(package="keras_effnets")


class Chain(keras.layers.Layer):
    """A layer that applies its sublayers one after the other.

    A subclass lists its arguments in `options`, adds its sublayers in `assemble` and gives its
    `compute_output_shape`. The chain does the rest: the sublayers are built in order, each under
    the name of the attribute that holds it, with the dtype policy of the whole.

    Args:
        frozen: Paths (`expand/norm`) of layers inside this one that do not train though the whole
            does; `get_config` fills it, so that a model saved half frozen comes back so.
        **kwargs: Keras's own: `name`, `dtype`, `trainable`.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """Names of the constructor's arguments, each kept as an attribute; what `get_config` saves."""

    def __init__(self, *, frozen: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._order: list[str] = []
        self._beside: list[str] = []
        self._frozen = tuple(frozen)

    def assemble(self, channels: int) -> None:
        """Adds the sublayers for an input of `channels` channels; called once, by `build`."""
        raise NotImplementedError(f"{type(self).__name__} adds no sublayers")

    def add(self, name: str, layer: type, *args: Any, **kwargs: Any) -> None:
        """Appends `layer(*args, **kwargs)`, held by the attribute `name` and named like it."""
        setattr(self, name, layer(*args, **kwargs, name=name, dtype=self.dtype_policy))
        self._order.append(name)

    def add_beside(self, name: str, layer: type, *args: Any, **kwargs: Any) -> None:
        """Adds a sublayer that is not a link of the chain: `call` applies it, on the input."""
        self.add(name, layer, *args, **kwargs)
        self._beside.append(self._order.pop())

    def sublayers(self) -> Iterator[Any]:
        """The sublayers in the order in which they are applied."""
        return (getattr(self, name) for name in self._order)

    def build(self, input_shape: Shape) -> None:
        """Makes the sublayers and their variables for `input_shape` (B, H, W, C)."""
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(f"{self.name}: the number of channels is unknown, input {input_shape}")
        self.assemble(channels)
        self.build_sublayers(input_shape)
        # Keras hands `trainable` down when it is set, not to sublayers that come later: a block
        # frozen before it was built would go on moving its batch statistics.
        for path, layer in self._nested():
            if not self.trainable or path in self._frozen:
                layer.trainable = False

    def build_sublayers(self, input_shape: Shape) -> None:
        """Builds each sublayer for the shape that it will be given."""
        for name in self._beside:
            getattr(self, name).build(input_shape)
        shape = input_shape
        for layer in self.sublayers():
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def _nested(self) -> Iterator[tuple[str, Any]]:
        """Every layer inside this one, with its path from here."""
        for name in (*self._order, *self._beside):
            layer = getattr(self, name)
            yield name, layer
            if isinstance(layer, Chain):
                yield from ((f"{name}/{path}", inner) for path, inner in layer._nested())

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Applies the sublayers; Keras hands `training` down to them."""
        for layer in self.sublayers():
            inputs = layer(inputs)
        return inputs

    def unrolled(self, inputs: Any, apply: Callable[[str, Any, Any], Any]) -> Any:
        """What `call` computes for inference, with `apply` doing what each sublayer would.

        Args:
            inputs: Of the layer.
            apply: Gets a sublayer's name, the sublayer and its inputs; gives its outputs. What
                the layer activates with comes as an unbuilt Keras layer called `activation`.
        """

        def stand_in(name: str, layer: Any) -> Callable[..., Any]:
            return lambda inputs, **_: apply(name, layer, inputs)

        # A layer of this class with the same attributes, but for the sublayers.
        twin = object.__new__(type(self))
        twin.__dict__.update(vars(self))
        for name in (*self._order, *self._beside):
            twin.__dict__[name] = stand_in(name, getattr(self, name))
        activate = vars(self).get("_activate")
        if activate not in (None, keras.activations.linear):
            # Some of Keras's functions take tensors with values only, and its layer takes any.
            layer = keras.layers.Activation(activate, dtype=self.dtype_policy)
            twin.__dict__["_activate"] = stand_in("activation", layer)
        return twin.call(inputs, training=False)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, unless a subclass says otherwise."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, those of its sublayers that are frozen too."""
        config = {**super().get_config(), **{name: getattr(self, name) for name in self.options}}
        frozen = list(self._frozen)
        if self.built:
            frozen = [path for path, layer in self._nested() if not layer.trainable]
        if self.trainable and frozen:
            config["frozen"] = frozen
        return config


def layers_within(layer: Any) -> Iterator[Any]:
    """`layer` and every layer inside it, those of blocks and of nested models included."""
    yield layer
    if isinstance(layer, Chain):
        yield from (inner for _, inner in layer._nested())
    elif isinstance(layer, keras.Model):
        yield from nested_layers(layer)


def nested_layers(model: keras.Model) -> Iterator[Any]:
    """Every layer of `model`, those inside blocks and inside nested models included."""
    for layer in model.layers:
        yield from layers_within(layer)
