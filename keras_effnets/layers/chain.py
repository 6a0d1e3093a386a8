"""The common ground of the layers: base classes, argument checks and random initial kernels."""

import inspect
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

Shape = tuple[int | None, ...]

register = keras.saving.register_keras_serializable(package="keras_effnets")


def check_rate(layer: Any, name: str, rate: float) -> None:
    """Raises ValueError unless the argument `name` of `layer` is a probability below 1."""
    if not 0 <= rate < 1:
        raise ValueError(f"{type(layer).__name__}: {name}={rate!r} is not in [0, 1)")


def check_choice(layer: Any, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless the argument `name` of `layer` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{type(layer).__name__}: {name}={value!r} is not one of {choices}")


def strided_shape(shape: Shape, strides: int, filters: int) -> Shape:
    """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""
    batch, *sides, _ = shape
    return (batch, *(None if side is None else -(-side // strides) for side in sides), filters)


@register
class FanOutUniform(keras.initializers.Initializer):
    """Uniform values around zero with variance `scale` / fan-out.

    The default is He's for units before a ReLU or SiLU (Delving Deep into Rectifiers, He et al.,
    2015, arXiv 1502.01852). It draws uniformly where the papers' code draws normals of the same
    variance, which is three times as fast. The fan-out is the number of outputs that one input
    reaches; a depthwise kernel's is its k² taps.

    NumPy draws the values. With the backend's operations, drawing B7's kernels takes longer than
    the rest of building it, on TensorFlow, JAX and PyTorch alike. NumPy is faster and gives the
    same values on every backend.

    Args:
        scale: Factor of the variance; 1/3 makes the range ±1 / sqrt(fan-out), as in classifiers.
        seed: Random seed; None draws one as Keras does, so `keras.utils.set_random_seed` applies.
    """

    def __init__(self, scale: float = 2.0, seed: int | None = None) -> None:
        self.scale = scale
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        """An array of `shape`, whose last axes are inputs and outputs."""
        seed = random.randint(0, 2**31 - 1) if self.seed is None else self.seed
        generator = np.random.Generator(np.random.SFC64(seed))
        limit = math.sqrt(3 * self.scale * shape[-2] / math.prod(shape))
        values = generator.random(shape, dtype=np.float32)
        values *= 2 * limit
        values -= limit
        return values.astype(np.dtype(dtype or "float32"), copy=False)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate this initializer."""
        return {"scale": self.scale, "seed": self.seed}


class ConfiguredLayer(keras.layers.Layer):
    """A layer whose config holds the arguments of its constructor.

    A subclass states an argument once, in the signature of `__init__`, and keeps its value as the
    attribute of the same name. It hands `**kwargs` on to its base class. By default a layer has no
    variables and keeps the shape of its input.
    """

    options: ClassVar[tuple[str, ...]] = ()
    """Names of the constructor's arguments, those of the base classes first. Read off the
    signatures, unless a subclass gives its own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "options" in vars(cls) or "__init__" not in vars(cls):
            return
        _, *parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
        own = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
        cls.options = tuple(dict.fromkeys((*cls.options, *own)))

    def build(self, input_shape: Shape) -> None:
        """Makes no variables."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate this layer."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}


class Chain(ConfiguredLayer):
    """A layer that applies its sublayers one after the other.

    A subclass adds its sublayers in `assemble` and, where the shape changes, overrides
    `compute_output_shape`. The chain does the rest: it builds the sublayers in order, each under
    the name of the attribute that holds it, with the dtype policy of the whole.

    Args:
        frozen: Paths (`expand/norm`) of inner layers that do not train although the chain does.
            `get_config` fills it in, so that a partly frozen model stays so when it is loaded.
        **kwargs: Keras's own: `name`, `dtype`, `trainable`.
    """

    options: ClassVar[tuple[str, ...]] = ()  # `get_config` saves `frozen` itself

    def __init__(self, *, frozen: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._order: list[str] = []
        self._beside: list[str] = []
        self._frozen = tuple(frozen)

    def assemble(self, channels: int) -> None:
        """Adds the sublayers for an input of `channels` channels; `build` calls it once."""
        raise NotImplementedError(f"{type(self).__name__} adds no sublayers")

    def add(self, name: str, layer: type, *args: Any, **kwargs: Any) -> None:
        """Appends `layer(*args, **kwargs)`, held by the attribute `name` and named like it."""
        setattr(self, name, layer(*args, **kwargs, name=name, dtype=self.dtype_policy))
        self._order.append(name)

    def add_beside(self, name: str, layer: type, *args: Any, **kwargs: Any) -> None:
        """Adds a sublayer that is not a link of the chain: `call` applies it to the input."""
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
        # Keras hands `trainable` down when it is set, not to sublayers added later: a block that
        # was frozen before it was built would keep updating its batch statistics.
        for path, layer in self._nested():
            if not self.trainable or path in self._frozen:
                layer.trainable = False

    def build_sublayers(self, input_shape: Shape) -> None:
        """Builds each sublayer for the shape of its input."""
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
        """Runs `call` for inference, with `apply` in place of each sublayer.

        Args:
            inputs: The layer's inputs.
            apply: Takes a sublayer's name, the sublayer and its inputs; returns its outputs. The
                layer's own activation comes as an unbuilt Keras layer called `activation`.
        """

        def stand_in(name: str, layer: Any) -> Callable[..., Any]:
            return lambda inputs, **_: apply(name, layer, inputs)

        # A layer of this class with the same attributes, except for the sublayers.
        twin = object.__new__(type(self))
        twin.__dict__.update(vars(self))
        for name in (*self._order, *self._beside):
            twin.__dict__[name] = stand_in(name, getattr(self, name))
        activate = vars(self).get("_activate")
        if activate not in (None, keras.activations.linear):
            # Some of Keras's functions need tensors with values; its layer takes symbolic ones too.
            layer = keras.layers.Activation(activate, dtype=self.dtype_policy)
            twin.__dict__["_activate"] = stand_in("activation", layer)
        return twin.call(inputs, training=False)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate this layer, including which inner layers are frozen."""
        config: dict[str, Any] = super().get_config()
        frozen = list(self._frozen)
        if self.built:
            frozen = [path for path, layer in self._nested() if not layer.trainable]
        if self.trainable and frozen:
            config["frozen"] = frozen
        return config


def layers_within(layer: Any) -> Iterator[Any]:
    """`layer` and every layer inside it, including those of blocks and nested models."""
    yield layer
    if isinstance(layer, Chain):
        yield from (inner for _, inner in layer._nested())
    elif isinstance(layer, keras.Model):
        yield from nested_layers(layer)


def nested_layers(model: keras.Model) -> Iterator[Any]:
    """Every layer of `model`, including those inside blocks and nested models."""
    for layer in model.layers:
        yield from layers_within(layer)
