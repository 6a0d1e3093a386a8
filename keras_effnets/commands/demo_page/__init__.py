"""A web page: drop an image, see how networks classify it and where they look."""

from keras_effnets.commands.demo_page.app import create_app
from keras_effnets.commands.demo_page.server import serve

__all__ = ["create_app", "serve"]
