"""What all tests share."""

import gc

import pytest

from weights_tools.launch import native_messages_dropped

# TensorFlow's greeting would come after pytest's last line, from the processes that it runs.
with native_messages_dropped():
    import keras  # noqa: F401


def pytest_configure(config):
    # Keras's own saving reads its variables so; NumPy wants another signature of them.
    config.addinivalue_line("filterwarnings", "ignore:__array__ implementation:DeprecationWarning")


# Long ones: the last file should be a short one, as one process waits for the other to end it.
FIRST = ("test_package.py", "test_verify.py", "test_resume.py", "test_readme.py", "test_run.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in FIRST)


def pytest_collection_finish():
    """The collector need not look again and again at what the imports have left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def effnets_home(tmp_path_factory):
    """A cache of the session's own, so that no test reads or fills the user's."""
    home = tmp_path_factory.mktemp("keras_effnets_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_EFFNETS_HOME", str(home))
        yield home
