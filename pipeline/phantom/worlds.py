"""The worlds by name."""

from collections.abc import Mapping
from typing import Literal

from pipeline.phantom.brain_world import BRAIN_MR
from pipeline.phantom.chest_world import CHEST_CT
from pipeline.phantom.world import World

WorldName = Literal["brain_mr", "chest_ct"]
WORLDS: Mapping[str, World] = {world.name: world for world in (BRAIN_MR, CHEST_CT)}
