"""How far a heatmap may be believed: the test of one case's map."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel


class MapCheck(FrozenModel):
    """One map's deletion test: what the map points at is painted over, and the network asked again.

    The 3 % of the scanned voxels that raise the logit most are filled in from their surroundings;
    so are patches as large at random places of the picture. A map passes if the logit falls, and
    further than for any random patch.
    """

    status: Literal["passed", "failed", "nothing_to_delete"]
    """`nothing_to_delete`: the map holds too little at its strongest place for the test to tell."""
    claimed: float
    """Log-odds that the map says these voxels add beyond what as many usual ones do."""
    moved: float | None = None
    """Fall of the logit when they are painted over, log-odds; negative where it rises."""
    random_moved: float | None = Field(default=None, ge=0)
    """Mean size of the change for the random patches, log-odds."""
    random_furthest: float | None = None
    """Furthest fall of the logit for a random patch, log-odds."""
    n_voxels: int = Field(ge=0)
    """Voxels of the model's grid that were painted over."""
    n_random: int = Field(ge=0)
    """Random patches that were compared; 0 where the test could not be made."""
