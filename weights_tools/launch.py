"""Starts `keras-effnets` without TensorFlow's greeting.

This is not in `keras_effnets`, because importing any part of that package loads TensorFlow.
"""

from weights_tools.formats.native_output import native_messages_dropped


def keras_effnets() -> None:
    """Runs the `keras-effnets` command."""
    with native_messages_dropped():
        from keras_effnets.commands.cli import main
    main()
