"""What the tests of surgery share."""

from family_fixtures import family, seeded, small

__all__ = ["family", "seeded", "small"]
