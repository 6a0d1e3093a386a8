"""Text for values that several commands print."""

from keras_effnets.images.preset import Preset

NONE = "-"


def preset_sizes(preset: Preset) -> str:
    """Formats how a preset resizes and crops."""
    return f"resize {preset.resize} ({preset.interpolation}), crop {preset.crop}"


def percent(value: float | None) -> str:
    """Formats a percentage with one decimal."""
    return NONE if value is None else f"{value:.1f}"
