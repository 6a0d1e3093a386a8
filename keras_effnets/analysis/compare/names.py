"""Which networks are meant by names, families and patterns."""

from collections.abc import Sequence

from keras_effnets.models.registry import list_models, model_info, suggestion


def resolve(wanted: Sequence[str]) -> list[str]:
    """Names of networks, in the registry's order, each once; of all of them for none wanted.

    Args:
        wanted: Names (`"resnet50"`), families in any case (`"ResNet"`), or shell patterns
            (`"*lite*"`).

    Raises:
        ValueError: For one that fits no network; the message suggests the nearest.
    """
    names = list_models()
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(model_info(name).family, []).append(name)
    members = {family.casefold(): found for family, found in families.items()}
    chosen: set[str] = set()
    for each in wanted:
        found = [each] if each in names else members.get(each.casefold()) or list_models(each)
        if not found:
            raise ValueError(
                f"{each!r} is neither a model nor a family, and no pattern of either"
                + (suggestion(each, [*names, *families]) or "; `keras-effnets list` shows all")
            )
        chosen.update(found)
    return [name for name in names if not wanted or name in chosen]
