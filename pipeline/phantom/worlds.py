"""The worlds by name."""

from collections.abc import Mapping

from pipeline.phantom.brain_world import BRAIN_MR
from pipeline.phantom.chest_world import CHEST_CT
from pipeline.phantom.world import World

WORLDS: Mapping[str, World] = {world.name: world for world in (BRAIN_MR, CHEST_CT)}
