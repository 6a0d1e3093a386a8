"""What is known of a network or of its family, in words and as a page of Markdown."""

from __future__ import annotations

import inspect
import re
import sys

from keras_effnets.analysis.compare.memory import memory
from keras_effnets.analysis.compare.points import collect
from keras_effnets.models.registry import get_builder, list_models, model_info


def families() -> dict[str, list[str]]:
    """Names of networks by family, in the registry's order."""
    found: dict[str, list[str]] = {}
    for name in list_models():
        found.setdefault(model_info(name).family, []).append(name)
    return found


def slug(family: str) -> str:
    """A family's name as that of a file."""
    return re.sub("[^a-z0-9]+", "-", family.lower()).strip("-")


def notes(name: str) -> list[str]:
    """Paragraphs on the table that a network follows, and on where it differs from others.

    They are those of its module, less the title.

    Raises:
        ValueError: For an unknown name.
    """
    module = sys.modules[get_builder(name).__module__]
    paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")[1:]
    return [" ".join(paragraph.split()) for paragraph in paragraphs]


def knobs(name: str) -> dict[str, str]:
    """What a network's builder takes besides the keywords of all, and what each means.

    Raises:
        ValueError: For an unknown name.
    """
    doc = inspect.cleandoc(get_builder(name).__doc__)
    section = doc.split("Args:\n")[1].split("\n\n")[0].split("    **common")[0]
    found: dict[str, str] = {}
    if not section.strip():
        return found
    for entry in re.split(r"\n(?=    \w)", section.rstrip()):
        knob, _, text = " ".join(entry.split()).partition(": ")
        found[knob] = text
    return found


def card(family: str) -> str:
    """The page of a family; its diagram is expected beside it, called like it.

    Raises:
        ValueError: For an unknown family.
    """
    if family not in families():
        raise ValueError(f"{family!r} is not one of {', '.join(families())}")
    names = families()[family]
    papers = dict.fromkeys(model_info(name).paper for name in names)
    lines = [f"# {family}", ""]
    lines += [f"{p.title}. {p.authors}, {p.year}. <{p.url}>" for p in papers]
    lines += ["", *_models(names)]
    lines += ["", "## What it is built like", ""]
    lines += [f"![{family}: its layers and the inside of its blocks]({slug(family)}.svg)", ""]
    lines += ["\n\n".join(dict.fromkeys(note for name in names for note in notes(name)))]
    lines += ["", "## Knobs", ""]
    lines += [f"- `{knob}`: {text}" for knob, text in knobs(names[0]).items()] or [
        "None of its own."
    ]
    lines += ["", "Besides, the keywords of every builder: `keras_effnets.CommonOptions`."]
    lines += ["", "## Published weights", "", *_sets(names)]
    return "\n".join([*lines, ""])


def _models(names: list[str]) -> list[str]:
    lines = [
        "| model | builder | parameters | multiply-adds | memory, MB | side | top-1 % | top-5 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    stated: dict[str, None] = {}
    for point in collect(names):
        info = model_info(point.name)
        top1, top5 = _percent(point.top1), _percent(point.top5)
        lines.append(
            f"| `{point.name}` | `keras_effnets.{info.builder}` | {info.parameters:,} | "
            f"{info.multiply_adds:,} | {memory(point.name) / 1e6:,.1f} | {info.side} | {top1} | "
            f"{top5} |"
        )
        if point.top1 is not None and point.weights is None:
            stated[f"`{point.name}`: {point.source}"] = None
    lines += [
        "",
        "For one picture of that side; memory is of the parameters and of the outputs of all layers"
        " that have some, in single precision. Accuracies are those of the first set below"
        + (f", or ({'; '.join(stated)})." if stated else "."),
    ]
    return lines


def _sets(names: list[str]) -> list[str]:
    sets = [(name, info) for name in names for info in model_info(name).weights.values()]
    if not sets:
        return ["None that can be fetched."]
    lines = [
        "| model | set | file | top-1 % | top-5 % | resize, crop | mean, std | profile | license |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, info in sets:
        preset = info.preset
        mean, std = (
            " ".join(f"{v:g}" for v in dict.fromkeys(c)) for c in (preset.mean, preset.std)
        )
        lines.append(
            f"| `{name}` | `{info.name}` | {info.file} | {_percent(info.top1)} | "
            f"{_percent(info.top5)} | {preset.resize}, {preset.crop} {preset.interpolation} | "
            f"{mean}; {std} | {info.profile} | {info.license} |"
        )
    sources = dict.fromkeys(info.accuracy_source for _, info in sets if info.top1 is not None)
    if sources:
        lines += ["", f"Accuracies on ImageNet's validation set are from {', '.join(sources)}."]
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
