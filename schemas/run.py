"""What a batch did."""

from schemas.base import FrozenModel


class BatchSummary(FrozenModel):
    """Counts of one run over a cohort."""

    n_assessed: int
    """Studies with results."""
    n_withheld: int
    """Studies that were read, but got no result."""
    n_refused: int
    """Studies that could not be read."""
    n_reused: int
    """Of all these, how many an earlier run had already done."""
    n_skipped_files: int
    """Files that belong to no study."""
    index: str
    """The batch's page."""

    @property
    def n_studies(self) -> int:
        """All studies."""
        return self.n_assessed + self.n_withheld + self.n_refused

    def sentence(self) -> str:
        """Say it in one line."""
        done = self.n_studies - self.n_reused
        return (
            f"{self.n_studies} studies: {self.n_assessed} assessed, {self.n_withheld} withheld, "
            f"{self.n_refused} refused; {done} done now, {self.n_reused} unchanged since an "
            f"earlier run and not done again; {self.n_skipped_files} files left aside"
        )
