"""Torch networks worth comparing with, and the figures that show they are.

A network with its default random weights answers nearly the same whatever it is shown, so a
comparison with it passes whatever was built. The networks here get random weights that keep the
signal alive, and two figures tell whether that worked: `spread`, how far the answers to unlike
pictures lie apart, and `noise`, how far float32 is from float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from run_cache import made_once
from safetensors.numpy import load_file, save_file
from torch import nn
from torchvision_import import import_torchvision

Colour = tuple[float, float, float]

# Normalisation in pixel units, 0-255.
IMAGENET_MEAN: Colour = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_STD: Colour = (0.229 * 255, 0.224 * 255, 0.225 * 255)
LITE_MEAN: Colour = (127.0, 127.0, 127.0)
LITE_STD: Colour = (128.0, 128.0, 128.0)

# Batch-norm statistics need more values per channel than a few pictures of 2×2 give.
STATISTICS_PICTURES = 8

# Larger networks are not kept for other tests: there is one test of most.
KEPT_BYTES = 64 * 2**20


def unlike_pictures(count: int, side: int, seed: int) -> np.ndarray:
    """Pictures nobody would confuse, float32 `(count, side, side, 3)`, pixels 0–255."""
    rng = np.random.default_rng(seed)
    painters = (_checkerboard, _gradient, _octaves, _discs, _flat, _stripes)
    pictures = [_stretch(painters[i % len(painters)](side, rng), rng) for i in range(count)]
    return np.stack(pictures).astype(np.float32)


def _stretch(plane: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour a plane in [0, 1]: between two unlike colours, with a trace of grain."""
    one = rng.uniform(0, 255, 3)
    # Far apart in every channel, or the picture would be nearly flat.
    other = (one + rng.uniform(96, 160, 3)) % 255
    picture = one + plane[..., None] * (other - one)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    down, across = np.mgrid[0:side, 0:side] / max(side - 1, 1)
    return down, across


def _checkerboard(side: int, rng: np.random.Generator) -> np.ndarray:
    cell = int(rng.choice([2, 3, 5, 8, 13]))
    down, across = np.mgrid[0:side, 0:side] // cell
    return ((down + across) % 2).astype(float)


def _gradient(side: int, rng: np.random.Generator) -> np.ndarray:
    down, across = _grid(side)
    share = rng.uniform(0, 1)
    return share * down + (1 - share) * across


def _octaves(side: int, rng: np.random.Generator) -> np.ndarray:
    plane = np.zeros((side, side))
    for cell in (1, 2, 4, 8, 16, 32):
        coarse = rng.normal(size=(-(-side // cell),) * 2)
        plane += np.kron(coarse, np.ones((cell, cell)))[:side, :side]
    return (plane - plane.min()) / np.ptp(plane)


def _discs(side: int, rng: np.random.Generator) -> np.ndarray:
    down, across = _grid(side)
    plane = np.zeros((side, side))
    for y, x, radius in rng.uniform((0, 0, 0.1), (1, 1, 0.4), (4, 3)):
        plane = np.where((down - y) ** 2 + (across - x) ** 2 < radius**2, 1 - plane, plane)
    return plane


def _flat(side: int, rng: np.random.Generator) -> np.ndarray:
    return np.full((side, side), rng.uniform(0, 1))


def _stripes(side: int, rng: np.random.Generator) -> np.ndarray:
    down, across = _grid(side)
    angle, waves = rng.uniform(0, np.pi), rng.uniform(3, max(4, side / 6))
    return 0.5 + 0.5 * np.sin(2 * np.pi * waves * (down * np.sin(angle) + across * np.cos(angle)))


def normalised(
    pictures: np.ndarray, mean: Colour, std: Colour, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Pictures `(B, H, W, 3)` in pixels, 0–255, as torch wants them: `(B, 3, H, W)`."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).to(dtype)
    x = (x - torch.tensor(mean, dtype=dtype)) / torch.tensor(std, dtype=dtype)
    return x.permute(0, 3, 1, 2).contiguous()


def residual_norms(module: nn.Module) -> list[str]:
    """Names of the batch norms that end a residual branch, only of blocks that have a skip.

    Knows torchvision's MBConv, InvertedResidual, BasicBlock and Bottleneck, and the blocks of
    `efficientnet_pytorch` and of the packages made from it.
    """
    names = []
    for name, block in module.named_modules():
        if getattr(block, "use_res_connect", False):
            inner = [n for n, m in block.named_modules() if isinstance(m, nn.BatchNorm2d)]
            names.append(f"{name}.{inner[-1]}")
        elif hasattr(block, "downsample") and hasattr(block, "bn2"):
            names.append(f"{name}.bn3" if hasattr(block, "bn3") else f"{name}.bn2")
        elif hasattr(block, "_block_args"):
            args = block._block_args
            # The package's own condition: its first blocks have stride [1], and no skip.
            if block.id_skip and args.stride == 1 and args.input_filters == args.output_filters:
                names.append(f"{name}._bn2")
    return names


def enliven(
    module: nn.Module,
    pictures: torch.Tensor,
    *,
    seed: int,
    residual_norms: Sequence[str],
    gain: float = 1.0,
) -> nn.Module:
    """Give `module` random weights whose answers depend on what it is shown, in place.

    Args:
        module: A network of convolutions, linear layers and batch norms.
        pictures: Normalised unlike pictures, `(B, 3, H, W)`: the batch-norm statistics are theirs.
        seed: Same seed, same weights.
        residual_norms: Batch norms that end a residual branch: they get small gammas, else the
            sum over many blocks drowns the signal and amplifies rounding.
        gain: Deviation of what a layer puts out over that of its input; networks without batch
            norms need √2 for their ReLUs.

    Returns:
        `module`, in eval mode.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: torch.Tensor, low: float, high: float) -> None:
        tensor.uniform_(low, high, generator=generator)

    small = set(residual_norms)
    small_gamma = min(0.3, 5 / max(len(small), 1))
    norms = {n: m for n, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}
    if unknown := small - norms.keys():
        raise ValueError(f"residual_norms: {sorted(unknown)} are no batch norms of the module")

    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                fan_in = layer.weight[0].numel()
                layer.weight.normal_(0, gain * fan_in**-0.5, generator=generator)
                if layer.bias is not None:
                    uniform(layer.bias, -0.1, 0.1)
        for name, norm in norms.items():
            scale = small_gamma if name in small else 1.0
            uniform(norm.weight, 0.5 * scale, 1.5 * scale)
            uniform(norm.bias, -0.5 * scale, 0.5 * scale)

        # Only the norms train: dropout and stochastic depth stay off. A momentum of 1 makes the
        # running statistics those of this one batch.
        module.eval()
        momenta = {name: norm.momentum for name, norm in norms.items()}
        for norm in norms.values():
            norm.train()
            norm.momentum = 1.0
        module(pictures)
        module.eval()
        for name, norm in norms.items():
            norm.momentum = momenta[name]
            for statistic in (norm.running_mean, norm.running_var):
                # Else every norm would just standardise, and mistakes in its scale cancel.
                jitter = torch.empty_like(statistic)
                uniform(jitter, 0.8, 1.2)
                statistic.mul_(jitter)
    return module


def relative_error(candidate: np.ndarray, reference: np.ndarray) -> float:
    """`max|Δ| / max|reference|`, in float64."""
    candidate = np.asarray(candidate, np.float64)
    reference = np.asarray(reference, np.float64)
    if candidate.shape != reference.shape:
        # Broadcasting would compare what isn't alike.
        raise ValueError(f"candidate has shape {candidate.shape}, reference {reference.shape}")
    return float(np.abs(candidate - reference).max() / np.abs(reference).max())


def spread(logits: np.ndarray) -> float:
    """Largest deviation of `(B, classes)` logits from their mean over the pictures, relative.

    It is a ratio: without a bias in the classifier, logits that have all but vanished may still
    spread widely. `enliven` gives it one.
    """
    logits = np.asarray(logits, np.float64)
    return float(np.abs(logits - logits.mean(0)).max() / np.abs(logits).max())


def noise(module: nn.Module, x: torch.Tensor) -> float:
    """Relative error of `module` in float32 against itself in float64; leaves it as it is."""
    with torch.no_grad():
        single = copy.deepcopy(module).float()(x.float())
        double = copy.deepcopy(module).double()(x.float().double())
    return relative_error(single.numpy(), double.numpy())


def run_reference(
    module: nn.Module,
    pictures: np.ndarray,
    taps: Mapping[str, str],
    mean: Colour,
    std: Colour,
    dtype: torch.dtype = torch.float32,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits and tapped features of raw pictures.

    Args:
        module: The network; left as it is.
        pictures: `(B, H, W, 3)`, pixels, 0–255.
        taps: Name of a feature to the path of the submodule whose output it is, or, as
            `path:input`, whose input it is.
        mean: Subtracted from the pixels.
        std: Divides what is left.
        dtype: What the network computes in.

    Returns:
        Logits `(B, classes)` and features `(B, H, W, C)`.
    """
    module = copy.deepcopy(module).to(dtype).eval()
    features: dict[str, np.ndarray] = {}

    def keep(name: str, of_input: bool) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            tensor = inputs[0] if of_input else output
            features[name] = tensor.permute(0, 2, 3, 1).numpy().copy()

        return hook

    for name, tap in taps.items():
        path, _, port = tap.partition(":")
        module.get_submodule(path).register_forward_hook(keep(name, port == "input"))
    with torch.no_grad():
        logits = module(normalised(pictures, mean, std, dtype)).numpy()
    return logits, features


@dataclass(frozen=True)
class Reference:
    """A living network, what it was shown and what it said, in float32.

    Attributes:
        name: Of the network.
        module: The living network, in eval mode.
        taps: See `run_reference`.
        mean: Of the pixels, 0–255.
        std: Of the pixels, 0–255.
        pictures: `(B, H, W, 3)`, pixels, 0–255.
        state_dict: Of `module`.
        logits: `(B, classes)`.
        features: `(B, H, W, C)` at "stem", "stage1" … "stage7" and "top".
        float_noise: See `noise`.
    """

    name: str
    module: nn.Module
    taps: dict[str, str]
    mean: Colour
    std: Colour
    pictures: np.ndarray
    state_dict: dict[str, torch.Tensor]
    logits: np.ndarray
    features: dict[str, np.ndarray]
    float_noise: float

    def run(
        self, dtype: torch.dtype = torch.float32, pictures: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Logits and features in `dtype`, of other pictures if given."""
        shown = self.pictures if pictures is None else pictures
        return run_reference(self.module, shown, self.taps, self.mean, self.std, dtype)

    def spread(self) -> float:
        """How far the answers lie apart."""
        return spread(self.logits)

    def noise(self) -> float:
        """How far float32 is from float64."""
        return self.float_noise


def reference(
    name: str,
    module: nn.Module,
    taps: dict[str, str],
    side: int,
    seed: int = 0,
    *,
    mean: Colour = IMAGENET_MEAN,
    std: Colour = IMAGENET_STD,
    count: int = 4,
    small_norms: Sequence[str] | None = None,
    gain: float = 1.0,
) -> Reference:
    """Any network of torch, alive.

    Args:
        name: Of the network.
        module: The network; gets new weights.
        taps: See `run_reference`.
        side: Of the pictures.
        seed: Of weights and pictures.
        mean: Of the pixels, 0–255.
        std: Of the pixels, 0–255.
        count: Number of pictures.
        small_norms: Batch norms that end a residual branch; None for those of the blocks that
            `residual_norms` knows.
        gain: See `enliven`.
    """
    small = residual_norms(module) if small_norms is None else small_norms

    def made() -> dict[str, np.ndarray]:
        pictures = unlike_pictures(max(count, STATISTICS_PICTURES), side, seed)
        shown = normalised(pictures, mean, std)
        enliven(module, shown, seed=seed, residual_norms=small, gain=gain)
        pictures = pictures[:count]
        logits, features = run_reference(module, pictures, taps, mean, std)
        error = noise(module, normalised(pictures, mean, std))
        arrays = {"pictures": pictures, "logits": logits, "noise": np.float64(error)}
        arrays |= {f"features/{key}": value for key, value in features.items()}
        return arrays | {f"state/{key}": x.numpy() for key, x in module.state_dict().items()}

    if sum(value.nbytes for value in module.state_dict().values()) > KEPT_BYTES:
        arrays = made()
    else:
        what = (name, taps, _settings(module), side, seed, mean, std, count, tuple(small), gain)
        path = made_once(what, lambda path: _save(made(), path))
        arrays = load_file(path)
        state = {key: torch.from_numpy(value) for key, value in _under("state/", arrays).items()}
        module.load_state_dict(state)
        module.eval()
    features = _under("features/", arrays)
    return Reference(
        name=name,
        module=module,
        taps=taps,
        mean=mean,
        std=std,
        pictures=arrays["pictures"],
        state_dict=dict(module.state_dict()),
        logits=arrays["logits"],
        features={key: features[key] for key in taps},
        float_noise=float(arrays["noise"]),
    )


def _settings(module: nn.Module) -> list[object]:
    """All that tells two networks apart before they have their weights."""
    simple = (bool, int, float, str, tuple, type(None))
    return [
        *((name, tuple(value.shape)) for name, value in module.state_dict().items()),
        *(
            (name, type(each).__qualname__, key, value)
            for name, each in module.named_modules()
            for key, value in sorted(vars(each).items())
            if isinstance(value, simple) and key != "training"
        ),
        type(module).__module__,
    ]


def _save(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    save_file({key: np.array(value, order="C") for key, value in arrays.items()}, path)


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def efficientnet_reference(name: str, side: int, seed: int = 0, *, count: int = 4) -> Reference:
    """torchvision's `efficientnet_b0` … `efficientnet_b7`, alive."""
    module = getattr(import_torchvision().models, name)()
    taps = {"stem": "features.0", "top": "features.8"}
    taps |= {f"stage{i}": f"features.{i}" for i in range(1, 8)}
    return reference(name, module, taps, side, seed, count=count)


def mobilenet_v2_reference(
    alpha: float = 1.0, side: int = 96, seed: int = 0, *, count: int = 4
) -> Reference:
    """torchvision's `mobilenet_v2` of width `alpha`, alive."""
    module = import_torchvision().models.mobilenet_v2(width_mult=alpha)
    taps = {"stem": "features.0", "top": "features.18"}
    for stage, last in enumerate((1, 3, 6, 10, 13, 16, 17), start=1):
        taps[f"stage{stage}"] = f"features.{last}"
    name = f"mobilenet_v2_{alpha:g}"
    return reference(name, module, taps, side, seed, count=count)


def efficientnet_lite_reference(
    name: str, side: int, seed: int = 0, *, count: int = 4
) -> Reference:
    """`efficientnet-lite0` … `efficientnet-lite4` of `efficientnet_lite_pytorch`, alive."""
    from efficientnet_lite_pytorch import EfficientNet

    # Without a size its convolutions work out their `same` padding from what they are shown:
    # with one it is fixed, and wrong for any other side.
    module = EfficientNet.from_name(name, image_size=None)
    # One activation module serves the stem and the head: tap what the next module is given.
    taps = {"stem": "_blocks.0:input", "top": "_avg_pooling:input"}
    # Each stage, and nothing else, begins by changing the number of channels.
    blocks = [block._block_args for block in module._blocks]
    begins = [i for i, args in enumerate(blocks) if args.input_filters != args.output_filters]
    for stage, after in enumerate([*begins[1:], len(blocks)], start=1):
        taps[f"stage{stage}"] = f"_blocks.{after - 1}"
    return reference(name, module, taps, side, seed, mean=LITE_MEAN, std=LITE_STD, count=count)
