"""The pages of docs/models are the registry's.

To write them anew: `python tests/test_model_pages.py`.
"""

import inspect
import re
from pathlib import Path

import pytest

import keras_effnets
from keras_effnets import model_info
from keras_effnets.registry import get_builder

FOLDER = Path(__file__).parents[1] / "docs/models"


def families() -> dict[str, list[str]]:
    """Names of networks by family."""
    found: dict[str, list[str]] = {}
    for name in keras_effnets.list_models():
        found.setdefault(model_info(name).family, []).append(name)
    return found


def file_of(family: str) -> Path:
    return FOLDER / f"{re.sub('[^a-z0-9]+', '-', family.lower()).strip('-')}.md"


def knobs_of(name: str) -> list[str]:
    """The lines of the docstring's `Args` section, less those of every builder."""
    doc = inspect.cleandoc(get_builder(name).__doc__)
    section = doc.split("Args:\n")[1].split("\n\n")[0]
    section = section.split("    **common")[0]
    entries = re.split(r"\n(?=    \w)", section.rstrip())
    lines = []
    for entry in entries:
        knob, _, text = " ".join(entry.split()).partition(": ")
        lines.append(f"- `{knob}`: {text}")
    return lines


def page(family: str, names: list[str]) -> str:
    lines = [f"# {family}", ""]
    papers = dict.fromkeys(model_info(name).paper for name in names)
    lines += [f"{p.title}. {p.authors}, {p.year}. <{p.url}>" for p in papers]
    lines += [
        "",
        "| model | builder | parameters | multiply-adds | side |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        info = model_info(name)
        lines.append(
            f"| `{name}` | `keras_effnets.{info.builder}` | {info.parameters:,} | "
            f"{info.multiply_adds:,} | {info.side} |"
        )
    lines += ["", "## Knobs", "", *knobs_of(names[0])]
    lines += ["", "Besides, the keywords of every builder: `keras_effnets.CommonOptions`."]
    sets = [(name, info) for name in names for info in model_info(name).weights.values()]
    lines += ["", "## Published weights", ""]
    if not sets:
        lines.append("None that can be fetched.")
    else:
        lines += [
            "| model | set | file | top-1 % | top-5 % | resize, crop | profile | license |",
            "|---|---|---|---|---|---|---|---|",
        ]
    for name, info in sets:
        top1, top5 = ("-" if v is None else f"{v:.2f}" for v in (info.top1, info.top5))
        lines.append(
            f"| `{name}` | `{info.name}` | {info.file} | {top1} | {top5} | {info.preset.resize}, "
            f"{info.preset.crop} {info.preset.interpolation} | {info.profile} | {info.license} |"
        )
    sources = dict.fromkeys(info.accuracy_source for _, info in sets if info.top1 is not None)
    if sources:
        lines += ["", f"Accuracies on ImageNet's validation set are from {', '.join(sources)}."]
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("family", families())
def test_the_page_is_the_registrys(family):
    names = families()[family]
    assert file_of(family).read_text("utf-8") == page(family, names), (
        "run `python tests/test_model_pages.py`"
    )


def test_there_is_no_other_page():
    assert {path.name for path in FOLDER.iterdir()} == {file_of(f).name for f in families()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for family, names in families().items():
        file_of(family).write_text(page(family, names), "utf-8")
