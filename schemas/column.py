"""One variable of the table: kind, unit, plausible range, and which of several values counts."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.base import NAME_PATTERN, FrozenModel

MIN_SLOPE_DAYS = 30
Analyte = Literal[
    "", "albumin", "ammonia", "bicarbonate", "bilirubin", "calcium", "chloride", "cholesterol",
    "cortisol", "creatinine", "folate", "glucose", "haemoglobin", "hba1c", "iron", "lactate",
    "lithium", "magnesium", "phosphorus", "potassium", "sodium", "testosterone", "thyroxine",
    "triglycerides", "urea", "urea_nitrogen", "uric_acid", "vitamin_b12", "vitamin_d",
]  # fmt: skip
"""Cholesterol is total, HDL or LDL; haemoglobin the monomer; urea nitrogen (BUN) the two nitrogens
of urea; vitamin D the 25-hydroxy form, calcidiol; folate folic acid."""


class Column(FrozenModel):
    """One table variable."""

    name: str = Field(pattern=NAME_PATTERN)
    """Its name in the cohort's table."""
    kind: Literal["number", "category", "flag"]
    """A number, one of `categories`, or yes/no."""
    label: str = ""
    """What a reader of the report sees; the name if empty."""
    unit: str = ""
    """Unit of a number, as written in the report; values in other known units are converted."""
    analyte: Analyte = ""
    """The substance, where mg/dL and mmol/L, or % and mmol/mol, depend on it."""
    low: float | None = None
    """Smallest plausible number, in `unit`; a smaller one is set missing."""
    high: float | None = None
    """Largest plausible number, in `unit`; a larger one is set missing."""
    normal: tuple[float, float] | None = None
    """Lowest and highest normal number, in `written_unit`: what-if sets a number outside to the
    nearer of them. None: to the training patients' mean."""
    categories: tuple[str, ...] = ()
    """The allowed values of a category; upper and lower case are the same."""
    synonyms: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other spellings of a category, or of a flag's `yes` and `no`."""
    choose: Literal["latest", "highest", "lowest", "mean", "slope"] = "latest"
    """Which of several values counts. A flag's `highest` is whether it was ever yes. `slope` is
    the change a year by least squares; it needs values that are at least 30 days apart."""
    window_days: int | None = Field(default=None, ge=1, le=36525)
    """How many days before the scan `choose` looks at; the protocol's look-back if None."""
    undated: bool = False
    """Whether a record without a time may be used (sex, say)."""

    @property
    def written_unit(self) -> str:
        """Unit of the value that the report shows: a slope's is a year's."""
        return f"{self.unit}/year" if self.choose == "slope" else self.unit

    @model_validator(mode="after")
    def _complete(self) -> "Column":
        for holds, what in (*self._kind_rules(), *self._choice_rules()):
            if not holds:
                msg = f"column {self.name}: {what}"
                raise ValueError(msg)
        return self

    def _kind_rules(self) -> list[tuple[bool, str]]:
        is_number = self.kind == "number"
        has_range = self.low is not None and self.high is not None
        names = {"yes", "no"} if self.kind == "flag" else set(self.categories)
        spellings = [
            *self.categories,
            *(word for words in self.synonyms.values() for word in words),
        ]
        folded = [word.strip().casefold() for word in spellings]
        return [
            (
                (self.kind == "category") == bool(self.categories),
                "categories belong to kind 'category', and are needed there",
            ),
            (has_range or not is_number, "a number needs its plausible range, low and high"),
            (
                self.low is None or self.high is None or self.low < self.high,
                "low must be below high",
            ),
            (is_number or not (self.unit or self.analyte), "unit and analyte belong to a number"),
            (is_number or self.normal is None, "a normal range belongs to a number"),
            (
                self.normal is None or self.normal[0] <= self.normal[1],
                "the lower end of normal must not be above the upper",
            ),
            (not is_number or not self.synonyms, "synonyms belong to a category or a flag"),
            (set(self.synonyms) <= names, f"synonyms are given for {', '.join(sorted(names))}"),
            (len(set(folded)) == len(folded), "two spellings are the same but for their case"),
        ]

    def _choice_rules(self) -> list[tuple[bool, str]]:
        allowed = {
            "number": ("latest", "highest", "lowest", "mean", "slope"),
            "flag": ("latest", "highest", "lowest"),
            "category": ("latest",),
        }[self.kind]
        days = self.window_days
        return [
            (self.choose in allowed, f"choose may be {', '.join(allowed)} for a {self.kind}"),
            (
                self.choose != "slope" or days is None or days > MIN_SLOPE_DAYS,
                f"a slope needs a window of more than {MIN_SLOPE_DAYS} days",
            ),
            (
                self.choose == "latest" or not self.undated,
                "a column with undated values can only choose the latest",
            ),
        ]
