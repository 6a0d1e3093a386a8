"""What somebody may have meant by a name that is not known."""

import difflib
from collections.abc import Iterable


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
