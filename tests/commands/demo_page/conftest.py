"""The demo page, served on this machine by the server that the command runs."""

import threading
from queue import Queue

import keras
import pretrained
import pytest

import keras_effnets
from keras_effnets.commands.demo_page import server
from keras_effnets.commands.demo_page.demo_model import DemoModel

uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is in the test extra")


@pytest.fixture(scope="session")
def models():
    """A real network, and a small one with four classes and logits."""
    pretrained.checkpoint()
    keras.utils.set_random_seed(1)
    small = keras_effnets.MobileNetV2(
        weights=None, alpha=0.35, classes=4, input_shape=(64, 64, 3), classifier_activation=None
    )
    return {
        "efficientnet_lite0": DemoModel(keras_effnets.EfficientNetLite0(), "keras"),
        "small": DemoModel(small, "keras"),
    }


@pytest.fixture(scope="session")
def page(models):
    """The URL of the page, while it is served."""
    servers, urls = [], Queue()

    class Stoppable(uvicorn.Server):
        def __init__(self, config):
            super().__init__(config)
            servers.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.uvicorn, "Server", Stoppable)
        thread = threading.Thread(
            target=server.serve, args=(models, "127.0.0.1", 0), kwargs={"ready": urls.put}
        )
        thread.start()
        try:
            yield urls.get(timeout=60)
        finally:
            servers[0].should_exit = True
            thread.join(60)
