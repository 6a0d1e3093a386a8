"""The release, for the modules that still read it here."""

from weights_tools import __version__ as VERSION  # noqa: N812

__all__ = ["VERSION"]
