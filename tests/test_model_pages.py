"""The pages of docs/models are the registry's, and their diagrams the networks'.

To write them anew: `make docs`, or `python tests/test_model_pages.py`.
"""

import inspect
import re
from pathlib import Path

import pytest

from keras_effnets import list_models
from keras_effnets.analysis.compare.diagram import diagram
from keras_effnets.analysis.compare.model_pages import model_page, notes, own_options, slug
from keras_effnets.models import CommonOptions
from keras_effnets.models.registry import families, get_builder

FOLDER = Path(__file__).parents[1] / "docs/models"
QUICK = ("AlexNet", "GoogLeNet", "SqueezeNet", "MobileNetV2")


def assert_diagram_is_drawn_from_the_networks(family):
    assert (FOLDER / f"{slug(family)}.svg").read_text("utf-8") == diagram(families()[family]), (
        "run `make docs`"
    )


@pytest.mark.parametrize("family", families())
def test_the_page_is_the_registrys(family):
    assert (FOLDER / f"{slug(family)}.md").read_text("utf-8") == model_page(family), (
        "run `make docs`"
    )


@pytest.mark.parametrize("family", QUICK)
def test_the_diagram_is_the_networks(family):
    assert_diagram_is_drawn_from_the_networks(family)


@pytest.mark.full
@pytest.mark.parametrize("family", [family for family in families() if family not in QUICK])
def test_the_other_diagrams_are_the_networks(family):
    assert_diagram_is_drawn_from_the_networks(family)


def test_there_is_no_other_page_and_every_picture_is_there():
    wanted = {f"{slug(family)}{kind}" for family in families() for kind in (".md", ".svg")}
    assert {path.name for path in FOLDER.iterdir()} == wanted


@pytest.mark.parametrize("name", list_models())
def test_every_network_has_notes_and_knobs(name):
    assert re.search(r"arXiv|Table|table|paper", " ".join(notes(name)))
    own = set(inspect.signature(get_builder(name)).parameters) - set(CommonOptions.__annotations__)
    assert set(own_options(name)) == own
    assert all(own_options(name).values())


def test_an_unknown_family_is_named():
    with pytest.raises(ValueError, match="'CapsNet' is not one of AlexNet"):
        model_page("CapsNet")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each, names in families().items():
        (FOLDER / f"{slug(each)}.md").write_text(model_page(each), "utf-8")
        (FOLDER / f"{slug(each)}.svg").write_text(diagram(names), "utf-8")
