"""How far heatmaps may be believed: the test of one case's map, and the proof of a bundle's."""

from typing import Literal

from pydantic import Field

from schemas.base import FrozenModel

MapFigureName = Literal[
    "deleted", "deleted_ratio", "inserted", "own_over_average", "inserted_over_average", "gap",
    "redrawn", "shifted", "peak_moved_mm", "occluded",
]  # fmt: skip


LEAST_CLAIM_OF_ALL = 0.1
"""Log-odds; no map that claims less points at a place, whatever is known."""


class MapCheck(FrozenModel):
    """One map's deletion test: what the map points at is painted over, and the network asked again.

    The voxels that hold a quarter or more of the map's highest value, 3 % of the scanned ones at
    most, are filled in from their surroundings; so are patches at least as large at random places
    of the picture. A map passes if the logit falls, and further than for any random patch.
    """

    status: Literal["passed", "failed", "nothing_to_delete"]
    """`nothing_to_delete`: the map holds too little at its strongest place for the test to tell,
    so nothing is painted over."""
    claimed: float
    """Log-odds that the map says these voxels add beyond what as many usual ones do."""
    least: float = LEAST_CLAIM_OF_ALL
    """Log-odds that it must claim before it points at anything."""
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

    @property
    def points(self) -> bool:
        """Whether the map points at a place: it passed, and claims what it must."""
        return self.status == "passed" and self.claimed >= self.least


class MapFigure(FrozenModel):
    """One figure of a proof, and what it must reach."""

    name: MapFigureName
    """Which."""
    meaning: str
    """What it says, in words."""
    value: float | None
    """What was found; None if no case could be measured."""
    bound: float
    """What it must reach, or may reach."""
    is_floor: bool
    """Whether the value must be at least the bound; else it may be at most the bound."""
    n_cases: int = Field(ge=0)
    """Cases behind it."""

    @property
    def holds(self) -> bool:
        """Whether it is as it must be; what could not be measured is not."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.is_floor else self.value <= self.bound


class MapProof(FrozenModel):
    """Whether the maps of one task of a bundle show what the network reads.

    Measured on test cases, on whom nothing was fitted. A report shows no map of a task whose maps
    did not pass.
    """

    task: str
    """The task."""
    status: Literal["passed", "failed", "too_few"]
    """`too_few`: too few cases whose map claims anything, so that nothing is proved."""
    n_cases: int = Field(ge=0)
    """Cases with an image whose maps were looked at."""
    n_tested: int = Field(ge=0)
    """Those of them whose map claims a log-odds or more at its strongest voxels."""
    figures: tuple[MapFigure, ...]
    """All that was measured."""
    reasons: tuple[str, ...] = ()
    """Why the maps did not pass, in words; empty if they did."""
    least_claim: float = LEAST_CLAIM_OF_ALL
    """Log-odds that a map must claim at its strongest voxels before it points at anything:
    a further scan without the finding claims more at most once in ``once_in`` times. 0.1 at least,
    and where that is not known."""
    n_without: int = Field(default=0, ge=0)
    """Scans without the finding that it was found on; 0 where they were too few."""
    once_in: int = Field(default=100, ge=1)
    """In how many further scans without the finding one claims more, at most; 100 in proofs of
    earlier versions."""


class MapProofs(FrozenModel):
    """The proof of a bundle's maps, as configs/maps.json holds it."""

    seed: int
    """Of the choice of the cases and of the weights that were drawn anew."""
    tasks: tuple[MapProof, ...]
    """One a task."""

    def of(self, task: str) -> MapProof | None:
        """Return a task's proof; None if there is none."""
        return next((proof for proof in self.tasks if proof.task == task), None)
