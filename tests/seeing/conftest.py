"""The small networks of every family, from where they are at home."""

from surgery.conftest import family, seeded, small

__all__ = ["family", "seeded", "small"]
