"""Which networks are meant by names, families and patterns."""

import difflib
from collections.abc import Iterable, Sequence

from keras_effnets.registry import list_models, model_info


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


def suggestion(word: str, known: Iterable[str]) -> str:
    """`"; did you mean ...?"` with up to three of `known`, or nothing where none is near."""
    spelled: dict[str, str] = {}
    for each in known:
        spelled.setdefault(_bare(each), each)
    near = difflib.get_close_matches(_bare(word), spelled, n=3, cutoff=0.6)
    return f"; did you mean {', '.join(spelled[each] for each in near)}?" if near else ""


def _bare(word: str) -> str:
    """In lower case, without what names are divided by."""
    return "".join(character for character in word.casefold() if character.isalnum())
