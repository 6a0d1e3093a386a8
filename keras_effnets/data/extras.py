"""What the `dogs` extra brings, and what is said where it is missing."""


def missing(module: str, what: str) -> ImportError:
    """The error for a module that is not installed."""
    return ImportError(f"{what} needs {module}: pip install 'keras_effnets[dogs]'", name=module)
