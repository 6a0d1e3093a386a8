"""`weights="hf://..."`, from a server that speaks what `huggingface_hub` asks."""

import json
import sys
import textwrap
from functools import partial

import fresh_processes
import loopback
import numpy as np
import pytest
from safetensors.numpy import save_file
from torchvision_import import import_torchvision

import keras_effnets
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import outline, variables_by_path
from keras_effnets.weights import hub
from keras_effnets.weights.names.rule import AXES
from weights_tools.convert import convert

constants = pytest.importorskip(
    "huggingface_hub.constants", reason="huggingface_hub is in the extra `hub`"
)

COMMIT, OLDER = "a" * 40, "b" * 40
REVISIONS = {"main": COMMIT, COMMIT: COMMIT, "v1": OLDER, "refs/pr/2": OLDER, OLDER: OLDER}
REPO = "some-one/net.v2"


class Hub(loopback.Handler):
    """One repository, one that is gated, and none else."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        parts = self.path.split("?")[0].strip("/").replace("%2F", "/")
        api, _, rest = parts.rpartition("api/models/")
        owner_and_name = "/".join((rest if api == "" and _ else parts).split("/")[:2])
        if owner_and_name == "some-one/gated":
            self.refuse(403, "GatedRepo")
        elif owner_and_name == "some-one/login":
            self.refuse(401, "")
        elif owner_and_name == "some-one/broken":
            self.refuse(500, "")
        elif owner_and_name != REPO:
            self.refuse(404, "RepoNotFound")
        elif _:
            self.tell(rest.removeprefix(REPO).removeprefix("/revision/") or "main")
        else:
            self.give(parts.removeprefix(f"{REPO}/resolve/"))

    do_HEAD = do_GET  # noqa: N815

    def refuse(self, status, code):
        self.send(b"", status, X_Error_Code=code)

    def tell(self, revision):
        if revision not in REVISIONS:
            self.refuse(404, "RevisionNotFound")
            return
        siblings = [{"rfilename": name} for name in self.files]
        answer = {"id": REPO, "sha": REVISIONS[revision], "siblings": siblings}
        self.send(json.dumps(answer).encode(), Content_Type="application/json")

    def give(self, path):
        revision = next(each for each in REVISIONS if path.startswith(f"{each}/"))
        name = path.removeprefix(f"{revision}/")
        if name not in self.files:
            self.refuse(404, "EntryNotFound")
            return
        body = self.files[name]
        headers = {"X_Repo_Commit": REVISIONS[revision], "ETag": f'"{hash(body):x}"'}
        if self.command == "HEAD":
            self.send(b"", announced=len(body), **headers)
        elif asked := self.headers.get("Range"):
            begin, end = (int(each) for each in asked.removeprefix("bytes=").split("-"))
            self.send(body[begin : end + 1], 206, **headers)
        else:
            self.send(body, **headers)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub, and a cache of its own for it."""
    monkeypatch.setattr(Hub, "files", {})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with loopback.serving(Hub) as server:
        reach(monkeypatch, server.url)
        yield server


def reach(monkeypatch, url):
    """Makes `url` the Hub, as HF_ENDPOINT would in a process of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A torch checkpoint of MobileNetV2."""
    import_torchvision()
    import torch
    from torchvision import models

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("hub") / "mobilenet.pth"
    torch.save(models.mobilenet_v2(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def ours(checkpoint):
    """The same weights in a file of ours."""
    convert(checkpoint, "mobilenet_v2", checkpoint.with_name("ours.safetensors"))
    return checkpoint.with_name("ours.safetensors").read_bytes()


@pytest.fixture(scope="session")
def foreign(tmp_path_factory):
    """A small safetensors file of somebody else's."""
    path = tmp_path_factory.mktemp("hub") / "x.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, path)
    return path.read_bytes()


def same(one, other):
    for mine, its in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), its.numpy())
    first, second = (model.get_layer("preprocessing").preset for model in (one, other))
    assert first == second


@pytest.mark.parametrize("reference", ["", "@main", f"@{COMMIT}", "/pytorch_model.bin"])
def test_the_model_is_the_one_of_the_local_file(reference, server, checkpoint):
    Hub.files["pytorch_model.bin"] = checkpoint.read_bytes()
    model = keras_effnets.MobileNetV2(weights=f"hf://{REPO}{reference}")
    same(model, keras_effnets.MobileNetV2(weights=checkpoint))


def test_a_file_of_ours_keeps_what_its_header_says(server, ours, checkpoint):
    Hub.files["net.safetensors"] = ours
    model = keras_effnets.MobileNetV2(weights=f"hf://{REPO}")
    same(model, keras_effnets.MobileNetV2(weights=checkpoint))


@pytest.fixture
def timm_folder(tmp_path):
    """A checkpoint as timm publishes one: under timm's names, with what it expects beside it."""
    builder = get_builder("mobilenet_v2")
    shapes = outline(partial(builder, weights=None))
    rng = np.random.default_rng(0)
    tensors = {}
    for rule in builder.config.spellings["timm"].rules(builder.config):
        shape = np.empty(len(AXES[rule.kind]), int)
        shape[list(AXES[rule.kind])] = shapes[rule.target]
        tensors[rule.source] = rng.uniform(0.5, 1.5, tuple(shape)).astype(np.float32)
    told = {"mean": [0.25] * 3, "std": [0.5] * 3, "input_size": [3, 192, 192], "crop_pct": 1.0}
    config = {"architecture": "mobilenetv2_100", "pretrained_cfg": told}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_config_of_timms_repositories_is_followed(server, timm_folder):
    for name in ("model.safetensors", "config.json"):
        Hub.files[name] = (timm_folder / name).read_bytes()
    model = keras_effnets.MobileNetV2(weights=f"hf://{REPO}")
    assert model.get_layer("preprocessing").preset.mean == (63.75, 63.75, 63.75)
    same(model, keras_effnets.MobileNetV2(weights=timm_folder / "model.safetensors"))


def test_the_checks_are_those_of_a_local_file(server, checkpoint, foreign):
    Hub.files["model.safetensors"] = foreign
    with pytest.raises(ValueError, match="not a checkpoint of mobilenet_v2"):
        keras_effnets.MobileNetV2(weights=f"hf://{REPO}")
    Hub.files["model.safetensors"] = b"<html>"
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        keras_effnets.MobileNetV2(weights=f"hf://{REPO}@v1")


def fetch(reference=""):
    return hub.fetch(f"hf://{REPO}{reference}", "mobilenet_v2")


def test_the_config_lies_beside_the_file(server, foreign):
    Hub.files.update({"model.safetensors": foreign, "config.json": b"{}", "README.md": b""})
    path = fetch()
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    Hub.files.update({"deep/down/x.pth": b"x", "deep/down/config.json": b"[]"})
    path = fetch("@v1/deep/down/x.pth")
    assert path.with_name("config.json").read_bytes() == b"[]"


@pytest.mark.parametrize(
    "names",
    [
        ["model.safetensors", "other.safetensors", "pytorch_model.bin"],
        ["only.safetensors", "pytorch_model.bin", "x.pth"],
        ["pytorch_model.bin", "x.pth", "x.keras", "a.safetensors.index.json"],
        ["x.pth", "x.keras", "deep/model.safetensors", "config.json"],
        ["x.keras", "model.weights.h5"],
        ["model.weights.h5", "training_args.bin"],
    ],
)
def test_the_first_of_the_usual_files_is_taken(names, server, foreign):
    Hub.files.update(dict.fromkeys(reversed(names), foreign))
    assert fetch().name == names[0]


def test_ours_comes_first_and_is_known_by_its_header(server, foreign, ours):
    Hub.files.update({"model.safetensors": foreign, "x.pth": b"", "z.safetensors": ours})
    assert fetch().name == "z.safetensors"
    assert f"/{REPO}/resolve/main/model.safetensors" in server.asked()
    whole = [path for path in server.asked("HEAD") if "model.safetensors" in path]
    assert whole == []


@pytest.mark.parametrize("names", [["a.pth", "b.pth"], ["README.md"], []])
def test_what_is_not_clear_is_asked_back(names, server):
    Hub.files.update(dict.fromkeys(names, b""))
    listed = ", ".join(names) or "no files"
    with pytest.raises(ValueError, match=f"is unclear; it has {listed}. Name one as hf://"):
        fetch()
    with pytest.raises(FileNotFoundError, match=rf"{REPO} has no file c\.pth"):
        fetch("/c.pth")


@pytest.mark.parametrize("reference", ["hf://net", "hf://", "hf://a/b@", "hf:///a/b", "hf://a b/c"])
def test_what_is_no_reference_is_refused(reference):
    with pytest.raises(ValueError, match=r"is not hf://owner/name\[@revision\]\[/file\]"):
        hub.fetch(reference, "mobilenet_v2")


@pytest.mark.parametrize(
    ("text", "revision", "file"),
    [
        ("hf://a/b", None, None),
        ("hf://a/b/c/d.pth", None, "c/d.pth"),
        ("hf://a/b@v1.0/d.pth", "v1.0", "d.pth"),
        ("hf://a/b@refs/pr/2", "refs/pr/2", None),
        ("hf://a/b@refs/pr/2/d.pth", "refs/pr/2", "d.pth"),
    ],
)
def test_a_reference_has_parts(text, revision, file):
    found = hub._Reference.parse(text)
    assert (found.repo, found.revision, found.file) == ("a/b", revision, file)


def test_a_revision_is_fetched_by_its_name(server, foreign):
    Hub.files["model.safetensors"] = foreign
    assert fetch("@refs/pr/2").parent.name == OLDER
    with pytest.raises(FileNotFoundError, match=f"{REPO} has no revision 'v9'"):
        fetch("@v9")


@pytest.mark.parametrize(
    ("repo", "kind", "words"),
    [
        ("some-one/absent", FileNotFoundError, "some-one/absent does not exist or is private"),
        (
            "some-one/login",
            FileNotFoundError,
            "some-one/login does not exist or is private.*HF_TOKEN",
        ),
        ("some-one/gated", OSError, "some-one/gated is gated. Accept its terms"),
        ("some-one/broken", OSError, "cannot be reached"),
    ],
)
def test_a_repository_that_does_not_open_is_named(repo, kind, words, server):
    with pytest.raises(kind, match=words):
        keras_effnets.MobileNetV2(weights=f"hf://{repo}")


def test_without_a_network_the_cached_files_are_used(server, ours, foreign, monkeypatch):
    Hub.files.update({"model.safetensors": foreign, "net.safetensors": ours, "config.json": b"{}"})
    fetch("/model.safetensors")
    path = fetch()
    assert path.name == "net.safetensors"
    reach(monkeypatch, "http://127.0.0.1:9")
    before = len(server.requests)
    assert fetch() == path
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch() == path
    assert fetch("@main/model.safetensors").name == "model.safetensors"
    assert len(server.requests) == before


def test_without_network_and_cache_it_says_what_to_fetch(server, foreign, monkeypatch):
    reach(monkeypatch, "http://127.0.0.1:9")
    line = r"(?s)cannot be reached.*resolve/main/model.safetensors.*weights-tools convert model"
    with pytest.raises(OSError, match=line):
        fetch()
    reach(monkeypatch, server.url)
    Hub.files.update({"model.safetensors": foreign, "x.pth": b"x"})
    fetch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"(?s)cannot be reached.*resolve/v1/x.pth.*convert x.pth"):
        fetch("@v1/x.pth")
    with pytest.raises(OSError, match=r"(?s)cannot be reached.*resolve/main/x.pth"):
        fetch("/x.pth")


def test_without_the_package_it_says_which_extra_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(OSError, match=r"pip install 'keras_effnets\[hub\]'"):
        keras_effnets.MobileNetV2(weights="hf://a/b")


def test_a_users_variables_are_enough(server, checkpoint, tmp_path, monkeypatch):
    Hub.files["pytorch_model.bin"] = checkpoint.read_bytes()
    script = f"""
        from weights_tools.launch import native_messages_dropped
        with native_messages_dropped():
            import keras_effnets
        model = keras_effnets.MobileNetV2(weights="hf://{REPO}")
        print(float(abs(model.get_layer("stem").weights[0].numpy()).sum()))
    """
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "own"))
    result = fresh_processes.run(textwrap.dedent(script))
    assert result.returncode == 0, result.stderr
    local = variables_by_path(keras_effnets.MobileNetV2(weights=checkpoint))
    expected = float(np.abs(local["stem/conv/kernel"].numpy()).sum())
    assert float(result.stdout) == expected
    assert (tmp_path / "own" / "hub").is_dir()
