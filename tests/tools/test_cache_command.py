"""`weights-tools cache`: what it lists, what it removes, and what it never touches."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import running

from keras_effnets.weights import cache
from keras_effnets.weights.cache import RULES_VERSION
from keras_effnets.weights.catalog import WEIGHTS
from weights_tools import cli

run = partial(running.run, cli.app, "cache")

MODEL = "mobilenet_v2"
V2, V1 = WEIGHTS[MODEL]
LITE0 = WEIGHTS["efficientnet_lite0"][0]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def conversion(info=V2, model=MODEL, rules=RULES_VERSION):
    return f"converted/{cache.conversion_name(info, model, rules)}"


CURRENT = conversion()
PACKAGED = conversion(LITE0, "efficientnet_lite0")
OF_OTHER_RULES = conversion(rules="0")
WITHDRAWN = f"converted/{MODEL}-IMAGENET1K_V9-00000000-rules{RULES_VERSION}.safetensors"
IS_CONVERTED = f"downloads/{V2.file}"
TO_CONVERT = f"downloads/{V1.file}"
TEMPORARY = [
    f"downloads/.{V1.file}.partial",
    f"converted/.{Path(CURRENT).name}.a1_b2c3d",
]
LOCKED = [f"locks/{Path(CURRENT).name}.lock"]
OTHERS = [
    "downloads/holiday.jpg",
    "downloads/.holiday.jpg.partial",
    "converted/mine.safetensors",
    "converted/.mine.safetensors.a1_b2c3d",
    "locks/mine.lock",
    "notes.txt",
    f"elsewhere/{V2.file}",
]
OURS = [CURRENT, PACKAGED, OF_OTHER_RULES, WITHDRAWN, IS_CONVERTED, TO_CONVERT, *TEMPORARY, *LOCKED]


@pytest.fixture
def filled(home):
    """A cache with a file of each kind, of a kilobyte each."""
    for name in OURS + OTHERS:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"" if name in LOCKED else bytes(1000))
    return home


def there(home):
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}


def test_path_is_the_folder(home):
    assert run("path") == (0, f"{home}\n", "")


def test_an_empty_cache(home):
    assert run("list") == (0, "the cache is empty\n", "")
    assert run("list", "--json") == (0, "[]\n", "")
    assert run("prune") == (0, "freed 0.0 kB in 0 files\n", "")
    assert not home.exists()


def test_list_tells_which_files_are_used(filled):
    code, out, err = run("list", "--json")
    assert (code, err) == (0, "")
    found = {Path(each["path"]).relative_to(filled).as_posix(): each for each in json.loads(out)}
    assert found.keys() == {*OURS} - {*LOCKED}
    uses = {name for name, each in found.items() if each["of_use"]}
    assert uses == {CURRENT, PACKAGED, TO_CONVERT}
    assert {each["bytes"] for each in found.values()} == {1000}
    assert found[OF_OTHER_RULES]["rules"] == "0"
    assert found[OF_OTHER_RULES]["note"] == f"rules 0; this release has {RULES_VERSION}"
    assert found[TO_CONVERT] == {
        "path": str(filled / TO_CONVERT),
        "kind": "download",
        "model": MODEL,
        "set": V1.name,
        "bytes": 1000,
        "modified": found[TO_CONVERT]["modified"],
        "rules": None,
        "of_use": True,
        "note": "not converted yet",
    }


def test_list_is_a_table_for_people(filled):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert " ".join(lines[0].split()) == "Kind Model Set Size Written Rules Of use Why"
    row = next(line for line in lines if "EFFICIENTNET_PYTORCH" in line)
    assert row.startswith("conversion  efficientnet_lite0  EFFICIENTNET_PYTORCH  1.0 kB  20")
    assert lines[-1] == "8 files, 8.0 kB"


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ([], {OF_OTHER_RULES, *TEMPORARY}),
        (["--downloads"], {OF_OTHER_RULES, *TEMPORARY, IS_CONVERTED}),
        (["--all"], {*OURS} - {*LOCKED}),
    ],
)
def test_prune_removes_what_it_says_and_nothing_else(options, gone, filled):
    before = there(filled)
    code, out, err = run("prune", "--dry-run", *options)
    assert (code, err) == (0, "")
    assert there(filled) == before
    assert {line.removeprefix("would remove ") for line in out.splitlines()[:-1]} == {
        str(filled / name) for name in gone
    }
    assert out.splitlines()[-1] == f"would free {len(gone)}.0 kB in {len(gone)} files"
    code, out, err = run("prune", *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"freed {len(gone)}.0 kB in {len(gone)} files"
    assert there(filled) == before - gone - {*LOCKED}


def test_prune_keeps_files_in_use(filled):
    with cache.lock(filled, V1.file):
        code, out, err = run("prune", "--all")
    assert (code, err) == (0, "")
    left = there(filled)
    assert {TO_CONVERT, TEMPORARY[0]} < left
    assert TEMPORARY[1] not in left
    assert f"kept, because a process is using it: {filled / TEMPORARY[0]}" in out


def test_prune_of_a_cache_that_cannot_be_changed_fails(filled, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    code, _, err = run("prune")
    assert code == 1
    assert err.startswith("error: ")
    assert "Permission denied" in err


def test_help_needs_no_keras(home):
    script = (
        "import sys; from weights_tools import cli; "
        "sys.argv[1:] = ['cache', '--help']\n"
        "try: cli.main()\n"
        "finally: assert 'keras' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(f"  {name} " in result.stdout for name in ("list", "prune", "path"))
    assert result.stderr == ""
