"""Text from files, made safe to print."""


def printable(text: str) -> str:
    """Escapes characters that are not printable: line breaks, and codes that a terminal obeys."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
