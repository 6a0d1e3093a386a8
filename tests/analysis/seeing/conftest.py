"""The small networks of every family, from where they are at home."""

from models.surgery.conftest import family, seeded, small

__all__ = ["family", "seeded", "small"]
