"""The small networks of every family, defined by the tests of surgery."""

from models.surgery.conftest import family, seeded, small

__all__ = ["family", "seeded", "small"]
