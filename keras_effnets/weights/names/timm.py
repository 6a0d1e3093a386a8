"""timm's names for networks with mobile blocks, and its `config.json` beside a checkpoint.

timm has most of these networks twice: its own, and as `tf_*` with the padding and epsilon of the
TensorFlow originals. The names in their checkpoints are the same.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from keras_effnets.images.preset import INTERPOLATIONS, Preset
from keras_effnets.plan.config import Block
from keras_effnets.weights.names.rule import Foreign, Prepared, Rule, Source, biased, conv_norm

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
INCEPTION = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and std for pixels from 0 to 1, as timm names them."""
EPSILON = 1e-5
_MAX_CONFIG_BYTES = 1_000_000


def rules(blocks: Iterable[Block], *, squeeze_excite: bool = False) -> Iterator[Rule]:
    """The whole network, from `conv_stem` to `conv_head`."""
    yield from conv_norm("conv_stem", "bn1", "stem")
    for block in blocks:
        yield from mobile(block, squeeze_excite=squeeze_excite)
    yield from conv_norm("conv_head", "bn2", "top")
    yield from biased("classifier", "classifier/dense", "dense")


def place(block: Block) -> str:
    """`blocks.{stage}.{index}`, both from zero."""
    return f"blocks.{block.stage - 1}.{block.index}"


def mobile(block: Block, *, squeeze_excite: bool, project: str = "project") -> Iterator[Rule]:
    """A mobile block.

    Without expansion it is depthwise-separable in timm: `conv_pw`, elsewhere the expansion, is its
    projection.

    Args:
        block: The block, from the plan.
        squeeze_excite: Whether it has a squeeze-and-excitation.
        project: Our name for its last convolution.
    """
    source = place(block)
    if block.expansion != 1:
        yield from conv_norm(f"{source}.conv_pw", f"{source}.bn1", f"{block.name}/expand")
        depthwise, last, last_norm = "bn2", "conv_pwl", "bn3"
    else:
        depthwise, last, last_norm = "bn1", "conv_pw", "bn2"
    yield from conv_norm(
        f"{source}.conv_dw", f"{source}.{depthwise}", f"{block.name}/depthwise", "depthwise"
    )
    if squeeze_excite:
        gate = f"{block.name}/squeeze_excite"
        yield from biased(f"{source}.se.conv_reduce", f"{gate}/reduce", "conv")
        yield from biased(f"{source}.se.conv_expand", f"{gate}/expand", "conv")
    yield from conv_norm(f"{source}.{last}", f"{source}.{last_norm}", f"{block.name}/{project}")


def sources(
    spelled: Callable[[Any], Iterator[Rule]],
    architecture: Callable[[Any], str | None] = lambda config: str(config.name),
    *,
    colours: tuple[Any, Any] = IMAGENET,
    tf_colours: tuple[Any, Any] | None = IMAGENET,
    tf_architecture: Callable[[Any], str | None] | None = None,
) -> dict[str, Source]:
    """The sources `timm` and, if timm has the network as `tf_*` too, `timm_tf`.

    Args:
        spelled: The rules, from the model's config.
        architecture: timm's name for a config's network; None if timm lacks it.
        colours: Mean and std of timm's own network, for pixels from 0 to 1.
        tf_colours: The same for the `tf_*` networks; None if there are none.
        tf_architecture: timm's name for the `tf_*` network, if not `tf_` plus the other.
    """

    def source(
        profile: str,
        named: Callable[[Any], str | None],
        colours: tuple[Any, Any],
        epsilon: float | None = None,
    ) -> Source:
        return Source(
            profile,
            spelled,
            epsilon=epsilon,
            sign=lambda file: _sign(file, named(file.config), is_tf=profile == "tensorflow"),
            preset=lambda file: _preset(file, named(file.config), colours),
            architecture=named,
        )

    found = {"timm": source("torch", architecture, colours, EPSILON)}
    if tf_colours is not None:
        named = tf_architecture or (lambda config: f"tf_{architecture(config)}")
        found["timm_tf"] = source("tensorflow", named, tf_colours)
    return found


def by_width(prefix: str, alpha: float, *published: int) -> str | None:
    """Timm's name for a width, in percent; None if timm has no network of that width."""
    percent = round(100 * alpha)
    return f"{prefix}_{percent:03d}" if percent in published else None


def _sign(file: Foreign, architecture: str | None, *, is_tf: bool) -> str | None:
    path = file.checkpoint.path
    config = _hub_config(path, architecture)
    if config is not None:
        named = str(config["architecture"])
        return f"config.json beside it: {named}" if named.startswith("tf_") == is_tf else None
    named_tf = path.name.startswith("tf_") or "tf_efficientnet" in path.name
    return "its file name" if is_tf and named_tf else None


def _preset(file: Foreign, architecture: str | None, colours: tuple[Any, Any]) -> Prepared:
    side = file.config.side
    default = Preset(
        crop=side, resize=math.floor(side / 0.875), interpolation="bicubic", **_pixels(*colours)
    )
    config = _hub_config(file.checkpoint.path, architecture)
    if config is None:
        return Prepared(default, "timm's default")
    told = config.get("pretrained_cfg")
    told = told if isinstance(told, dict) else config
    size, share = told.get("input_size"), told.get("crop_pct", 0.875)
    try:
        crop = default.crop if size is None else min(size[-2:])
        interpolation = told.get("interpolation", default.interpolation)
        preset = Preset(
            crop=crop,
            resize=math.floor(crop / share),
            interpolation=interpolation if interpolation in INTERPOLATIONS else "bilinear",
            **_pixels(told.get("mean", colours[0]), told.get("std", colours[1])),
        )
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{_beside(file.checkpoint.path)}: {error}") from error
    return Prepared(preset, "config.json beside the file")


def _pixels(mean: Any, std: Any) -> dict[str, Any]:
    return {"mean": [255 * value for value in mean], "std": [255 * value for value in std]}


def _beside(path: Path) -> Path:
    return path.with_name("config.json")


def _hub_config(path: Path, architecture: str | None) -> dict[str, Any] | None:
    """Timm's `config.json` beside a checkpoint; None if it is for another network."""
    beside = _beside(path)
    try:
        if beside.stat().st_size > _MAX_CONFIG_BYTES:
            return None
        config = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    plain = (architecture or "").removeprefix("tf_")
    match config:
        case {"architecture": str(named)} if named.removeprefix("tf_") == plain:
            return dict(config)
    return None
