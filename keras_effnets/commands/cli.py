"""The `keras-effnets` command: its arguments and output; the work is done elsewhere."""

import logging

import typer

from keras_effnets.commands.benchmark import benchmark_command
from keras_effnets.commands.compare import compare_command, figure_command
from keras_effnets.commands.evaluate import evaluate_command
from keras_effnets.commands.export import export_command
from keras_effnets.commands.finetune import finetune_command
from keras_effnets.commands.listing import info_command, list_command
from keras_effnets.commands.look import look_command
from keras_effnets.commands.predict import predict_command
from keras_effnets.commands.serve_demo import serve_demo_command
from keras_effnets.commands.summary import summary_command
from keras_effnets.commands.terminal import command

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
command(app, "summary")(summary_command)
command(app, "compare")(compare_command)
command(app, "figure")(figure_command)
command(app, "benchmark")(benchmark_command)
command(app, "predict")(predict_command)
command(app, "look")(look_command)
command(app, "evaluate")(evaluate_command)
command(app, "finetune")(finetune_command)
command(app, "export")(export_command)
command(app, "serve-demo")(serve_demo_command)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    log = logging.getLogger("keras_effnets")
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    log.propagate = False  # absl, which TensorFlow brings, has a handler of its own at the root
    app(prog_name="keras-effnets")
