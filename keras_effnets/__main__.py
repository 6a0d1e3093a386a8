"""`python -m keras_effnets` runs the `keras-effnets` command."""

from keras_effnets.commands.cli import main

if __name__ == "__main__":
    main()
