"""Text from files, made safe to print."""


def printable(text: str) -> str:
    """Escapes non-printable characters: a name in a file may hold a terminal's control codes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
