"""Contenders by name, their turns, and the results computed from their times."""

import dataclasses

import pytest

import keras_effnets.analysis.benchmark.contest as contest
from keras_effnets.analysis.benchmark import Contender, Limits, Result, benchmark, contenders
from keras_effnets.analysis.benchmark.chart import draw
from keras_effnets.export.runtimes import ENGINES


def names(*arguments, **options):
    return [str(each) for each in contenders(*arguments, **options)]


def test_ours_come_first_and_then_libraries_with_the_network():
    against = ["keras", "torchvision", "torch.compile"]
    assert names("mobilenet_v2", ["tensorflow", "keras"], against) == [
        "ours, tensorflow",
        "ours, keras",
        "keras.applications, compiled",
        "torchvision, eager",
        "torchvision, compiled",
    ]
    assert names("mobilenet_v1", ["tensorflow"], against) == [
        "ours, tensorflow",
        "keras.applications, compiled",
    ]
    assert names("nin", ["tensorflow"], against) == ["ours, tensorflow"]


def test_all_engines_are_those_installed(monkeypatch):
    monkeypatch.setattr(contest, "installed", lambda engine: engine != "litert")
    found = [each.engine for each in contenders("nin", ["all"], [])]
    assert found == [engine for engine in ENGINES if engine != "litert"]
    with pytest.raises(ImportError, match=r"pip install 'keras_effnets\[litert\]'"):
        contenders("nin", ["litert"], [])


def test_training_is_keras_own():
    assert names("resnet50", ["all"], ["keras", "torchvision"], train=True) == [
        "ours, fit",
        "keras.applications, fit",
        "torchvision, eager",
    ]
    with pytest.raises(ValueError, match=r"'torch\.compile': training allows keras"):
        contenders("resnet50", ["all"], ["torch.compile"], train=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet51", ["tensorflow"], []), "resnet51"),
        (("resnet50", ["caffe"], []), "engine='caffe': expected one of all, keras"),
        (("resnet50", ["tensorflow"], ["caffe"]), "against='caffe': expected one of keras"),
    ],
)
def test_what_is_unknown_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        contenders(*arguments)


class Fake:
    """A contender's process whose calls take longer and longer."""

    running = 0

    def __init__(self, arguments, environment):
        if arguments["who"] == "torchvision":
            raise RuntimeError("ImportError: no torch")
        self.step = 2.0 if arguments["who"] == "keras" else 1.0
        self.calls = 0
        self.home = environment["KERAS_EFFNETS_HOME"]
        Fake.running += 1

    def once(self):
        self.calls += 1
        return self.step * self.calls

    def end(self):
        Fake.running -= 1
        return 1000

    def kill(self):
        Fake.running -= 1


FIELD = [
    Contender("mobilenet_v2", "ours", "tensorflow"),
    Contender("mobilenet_v2", "keras", "compiled"),
    Contender("mobilenet_v2", "torchvision", "eager"),
]


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(contest, "Process", Fake)
    Fake.running = 0
    return Fake


def test_ratios_are_turn_by_turn_to_the_first(fake):
    turns = []
    limits = Limits(2, multiply_adds_per_second=1e9, bytes_per_second=1e12)
    ours, keras, torch = benchmark(
        FIELD, batch=2, runs=3, limits=limits, progress=lambda: turns.append(1)
    )
    assert ours.seconds == (1, 2, 3)
    assert keras.seconds == (2, 4, 6)
    assert (ours.median, ours.ratio, keras.ratio) == (2, 1, 2)
    assert (torch.seconds, torch.error) == ((), "ImportError: no torch")
    assert len(turns) == 3
    assert ours.peak == 1000
    assert fake.running == 0
    # 300.8 M multiply-adds an image, two images, at a billion per second.
    assert ours.share == pytest.approx(2 * 0.3008 / 2, rel=0.005)


def test_reading_the_weights_limits_small_batches(fake):
    limits = Limits(2, multiply_adds_per_second=1e15, bytes_per_second=1e6)
    (ours,) = benchmark(FIELD[:1], runs=3, limits=limits)
    assert ours.reachable == pytest.approx(4 * 3.504872, rel=1e-6)
    (ours,) = benchmark(FIELD[:1], runs=3, limits=limits, side=64)
    assert ours.reachable == 0


def test_an_interruption_leaves_no_process(fake):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark(FIELD, runs=3, progress=interrupt)
    assert fake.running == 0


@pytest.mark.parametrize("argument", ["batch", "runs", "threads"])
def test_numbers_below_one_are_refused(argument):
    with pytest.raises(ValueError, match=f"{argument}=0: expected 1 or more"):
        benchmark(FIELD, **{argument: 0})


def test_no_contenders_are_refused():
    with pytest.raises(ValueError, match="field is empty"):
        benchmark([])


def test_the_chart_names_everyone_and_every_time(tmp_path):
    ours = Result(FIELD[0], 1, 224, False, (0.010, 0.011, 0.012), 1, (1.0, 1.0, 1.0))
    keras = dataclasses.replace(
        ours, contender=FIELD[1], seconds=(0.020, 0.022, 0.024), ratios=(2.0, 2.0, 2.0)
    )
    draw([ours, keras], "a machine", tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text()
    for text in ("mobilenet_v2, batch 1", "ours, tensorflow", "22.0 (2.00)", "a machine"):
        assert f"<!-- {text} -->" in drawn
