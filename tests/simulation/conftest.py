"""The world of the journeys, here too."""

from tests.journeys.conftest import folder, made_world

__all__ = ["folder", "made_world"]
