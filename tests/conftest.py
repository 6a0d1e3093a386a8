"""What all tests share."""

import gc
import os
from collections import Counter
from pathlib import Path

import pytest
from run_cache import FOLDER

from weights_tools.launch import native_messages_dropped

if "PYTEST_XDIST_WORKER" in os.environ:
    # One processor each: threads of several processes fight for them.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(variable, "1")

# TensorFlow's greeting would come after pytest's last line, from the processes that it runs.
with native_messages_dropped():
    import keras  # noqa: F401

HERE = Path(__file__).parent
SECONDS = HERE / "durations.txt"
"""Seconds that each file took, by `--record-durations`."""
NO_SKIPS = "KERAS_EFFNETS_NO_SKIPS"
"""The environment variable under which a skipped test fails the run."""
ALLOWED_SKIPS = (
    # Nothing could be installed for these.
    "no grouped kernel on this machine",
    "Keras writes bfloat16 to its older layout as two bytes without a meaning",
)


def pytest_addoption(parser):
    parser.addoption(
        "--record-durations", action="store_true", help=f"write {SECONDS.name} anew from this run"
    )


def pytest_configure(config):
    # Keras's own saving reads its variables so; NumPy wants another signature of them.
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation:DeprecationWarning")
    # A model is a hundred thousand objects, and looking through them a fifth of a test's time.
    gc.set_threshold(100_000, 20, 50)


def pytest_collection_modifyitems(items):
    """The longest files go first, so that no process waits for the other's last one."""
    seconds = {}
    for line in SECONDS.read_text().splitlines():
        taken, name = line.split()
        seconds[name] = float(taken)
    middle = sorted(seconds.values())[len(seconds) // 2]
    items.sort(key=lambda item: -seconds.get(_file(item.nodeid), middle))


def pytest_collection_finish():
    """The collector need not look again and again at what the imports have left."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--record-durations"):
        seconds = Counter()
        for reports in terminalreporter.stats.values():
            for report in reports:
                if hasattr(report, "duration"):
                    seconds[_file(report.nodeid)] += report.duration
        lines = [f"{taken:.1f} {name}" for name, taken in seconds.most_common()]
        SECONDS.write_text("\n".join([*lines, ""]))


def pytest_sessionfinish(session):
    """Where all that tests need is installed, none may be skipped."""
    if NO_SKIPS not in os.environ or (reporter := _reporter(session.config)) is None:
        return
    skipped = [report.longrepr for report in reporter.stats.get("skipped", ())]
    wrong = [
        f"{path}:{line}: {reason}"
        for path, line, reason in skipped
        if not any(allowed in reason for allowed in ALLOWED_SKIPS)
    ]
    if wrong:
        reporter.write_line("\nSkipped, and should have run:", red=True)
        reporter.write_line("\n".join(wrong), red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reporter(config):
    """What prints the results; None in the processes that xdist starts."""
    return (
        None
        if hasattr(config, "workerinput")
        else config.pluginmanager.get_plugin("terminalreporter")
    )


def _file(nodeid):
    return nodeid.partition("::")[0]


@pytest.fixture(scope="session", autouse=True)
def run_folder(tmp_path_factory):
    """A folder that all processes of the run share, see `run_cache`."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "shared"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def effnets_home(tmp_path_factory):
    """A cache of the session's own, so that no test reads or fills the user's."""
    home = tmp_path_factory.mktemp("keras_effnets_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_EFFNETS_HOME", str(home))
        yield home
