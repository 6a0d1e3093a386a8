"""How commands write values."""

from keras_effnets.images.preset import Preset

NONE = "-"


def sizes(preset: Preset) -> str:
    """Both sides of a preset, and how it resizes."""
    return f"resize {preset.resize} ({preset.interpolation}), crop {preset.crop}"


def percent(value: float | None) -> str:
    """One decimal."""
    return NONE if value is None else f"{value:.1f}"


def triple(values: tuple[float, float, float]) -> str:
    """Three numbers, or the one that they are."""
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{v:g}" for v in values)
