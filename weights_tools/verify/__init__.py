"""Compares a converted network with its original, layer by layer."""

from weights_tools.verify.run import examine, verify

__all__ = ["examine", "verify"]
