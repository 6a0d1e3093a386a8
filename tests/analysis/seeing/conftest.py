"""The small networks of every family, for the tests of Grad-CAM and feature maps."""

from family_fixtures import family, seeded, small

__all__ = ["family", "seeded", "small"]
