"""The `keras-effnets` command: its arguments and output; the work is done elsewhere."""

import logging

import typer

from keras_effnets.commands.evaluate import evaluate_command
from keras_effnets.commands.finetune import finetune_command
from keras_effnets.commands.listing import info_command, list_command
from keras_effnets.commands.predict import predict_command
from keras_effnets.terminal import command

app = typer.Typer(
    name="keras-effnets",
    help="Convolutional networks for Keras, with the weights that their papers' numbers are from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
command(app, "list")(list_command)
command(app, "info")(info_command)
command(app, "predict")(predict_command)
command(app, "evaluate")(evaluate_command)
command(app, "finetune")(finetune_command)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    log = logging.getLogger("keras_effnets")
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    log.propagate = False  # absl, which TensorFlow brings, has a handler of its own at the root
    app(prog_name="keras-effnets")
