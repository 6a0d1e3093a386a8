"""Describes a network and its family, in words and as a Markdown page."""

from __future__ import annotations

import inspect
import re
import sys

from keras_effnets.analysis.compare.model_points import collect
from keras_effnets.models.builder import CommonOptions
from keras_effnets.models.registry import families, get_builder, model_info


def slug(family: str) -> str:
    """The file name of a family, without a suffix."""
    return re.sub("[^a-z0-9]+", "-", family.lower()).strip("-")


def notes(name: str) -> list[str]:
    """Returns paragraphs on the table that a network follows and on its differences from others.

    They are its module's docstring without the title.

    Raises:
        ValueError: The name is unknown.
    """
    module = sys.modules[get_builder(name).__module__]
    paragraphs = inspect.cleandoc(module.__doc__ or "").split("\n\n")[1:]
    return [" ".join(paragraph.split()) for paragraph in paragraphs]


def own_options(name: str) -> dict[str, str]:
    """Returns the keywords that a network's builder adds to the common ones, each explained.

    Raises:
        ValueError: The name is unknown.
    """
    doc = inspect.cleandoc(get_builder(name).__doc__)
    section = doc.split("Args:\n")[1].split("\n\n")[0]
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w)", section.rstrip()):
        option, _, text = " ".join(entry.split()).partition(": ")
        if option not in CommonOptions.__annotations__:
            found[option] = text
    return found


def model_page(family: str) -> str:
    """Returns the page of a family; it shows the diagram `<slug>.svg` from the same folder.

    Raises:
        ValueError: The family is unknown.
    """
    if family not in families():
        raise ValueError(f"{family!r} is not one of {', '.join(families())}")
    names = families()[family]
    papers = dict.fromkeys(model_info(name).paper for name in names)
    lines = [f"# {family}", ""]
    lines += [f"{p.title}. {p.authors}, {p.year}. <{p.url}>" for p in papers]
    lines += ["", *_models(names)]
    lines += ["", "## Architecture", ""]
    lines += [f"![{family}: its layers and the inside of its blocks]({slug(family)}.svg)", ""]
    lines += ["\n\n".join(dict.fromkeys(note for name in names for note in notes(name)))]
    lines += ["", "## Options", ""]
    lines += [f"- `{option}`: {text}" for option, text in own_options(names[0]).items()] or [
        "None of its own."
    ]
    lines += ["", "All builders share the keywords of `keras_effnets.CommonOptions`."]
    lines += ["", "## Published weights", "", *_sets(names)]
    return "\n".join([*lines, ""])


def _models(names: list[str]) -> list[str]:
    lines = [
        "| model | builder | parameters | multiply-adds | memory, MB | input size | top-1 % "
        "| top-5 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    stated: dict[str, None] = {}
    for point in collect(names):
        info = model_info(point.name)
        top1, top5 = _percent(point.top1), _percent(point.top5)
        lines.append(
            f"| `{point.name}` | `keras_effnets.{info.builder}` | {info.parameters:,} | "
            f"{info.multiply_adds:,} | {point.memory / 1e6:,.1f} | {info.side} | {top1} | "
            f"{top5} |"
        )
        if point.top1 is not None and point.weights is None:
            stated[f"`{point.name}`: {point.source}"] = None
    lines += [
        "",
        "Costs are for one image of that size. Memory is the parameters and the outputs of all"
        " layers with parameters, in single precision. Accuracies are those of the first set below"
        + (f", or as stated elsewhere ({'; '.join(stated)})." if stated else "."),
    ]
    return lines


def _sets(names: list[str]) -> list[str]:
    sets = [(name, info) for name in names for info in model_info(name).weights.values()]
    if not sets:
        return ["None available for download."]
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
