"""The `keras-effnets` command: its subcommands, and where log messages go."""

import logging

from keras_effnets.commands.benchmark import benchmark_command
from keras_effnets.commands.compare import compare_command, figure_command
from keras_effnets.commands.evaluate import evaluate_command
from keras_effnets.commands.export import export_command
from keras_effnets.commands.finetune import finetune_command
from keras_effnets.commands.info import info_command
from keras_effnets.commands.list_models import list_command
from keras_effnets.commands.look import look_command
from keras_effnets.commands.predict import predict_command
from keras_effnets.commands.serve_demo import serve_demo_command
from keras_effnets.commands.summary import summary_command
from weights_tools.formats.terminal import command_app

app = command_app(
    "keras-effnets",
    "Convolutional networks for Keras 3, from AlexNet to EfficientNet, with published weights.",
    list_command,
    info_command,
    summary_command,
    compare_command,
    figure_command,
    benchmark_command,
    predict_command,
    look_command,
    evaluate_command,
    finetune_command,
    export_command,
    serve_demo_command,
)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    log = logging.getLogger("keras_effnets")
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    log.propagate = False  # absl, imported by TensorFlow, adds its own handler to the root logger
    app(prog_name="keras-effnets")
