"""A page in the browser: drop a picture, see what networks make of it and where they look."""

from keras_effnets.commands.demo_page.app import create_app
from keras_effnets.commands.demo_page.server import serve

__all__ = ["create_app", "serve"]
