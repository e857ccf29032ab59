"""The world `brain_mr`: a contrast-enhanced head MR, and what a lesion means for whom."""

from pipeline.phantom.brain import BRAIN, BRAIN_SITES
from pipeline.phantom.brain_words import BRAIN_LANGUAGE, BRAIN_TOPICS
from pipeline.phantom.world import Flag, Number, OtherUnit, Place, Product, Risk, World

_COLUMNS = (
    Number(name="age_years", mean=58, sd=14, low=18, high=92, per_year=1.0, drift=0.0),
    Flag(
        name="prior_cancer",
        chance=0.40,
        missing=0.10,
        missing_slope=-0.8,
        states_outcome="progression",
    ),
    Flag(name="alcohol", chance=0.26, missing=0.18, missing_slope=1.2, states_outcome="seizure"),
    Number(
        name="systolic_mmhg", mean=134, sd=17, low=85, high=220, missing=0.15, missing_slope=-0.4
    ),
    Number(
        name="crp_mg_l",
        mean=1.5,
        sd=1.0,
        low=0.3,
        high=280,
        is_log=True,
        decimals=1,
        missing=0.3,
        missing_slope=-0.8,
        states_outcome="deficit",
    ),
    Number(
        name="glucose_mmol_l",
        mean=1.87,
        sd=0.32,
        low=2.6,
        high=30.0,
        is_log=True,
        decimals=1,
        missing=0.12,
        missing_slope=0.5,
        states_outcome="progression",
        unit="mmol/L",
        other_unit=OtherUnit(name="mg/dL", per_unit=18.016),
    ),
)

_LESION = Risk(
    task="lesion",
    intercept=-3.892,
    weights={"has_lesion": 7.368},
    unknown=0.0,
    outcome_notes=(
        ("The scan showed a focal lesion.", "Report: one enhancing lesion."),
        ("The scan showed no focal lesion.", "Report: no enhancing lesion."),
    ),
)
_DEFICIT = Risk(
    task="deficit",
    intercept=-3.9,
    weights={},
    products=(
        Product(6.0, ("lesion_right", "weakness_left")),
        Product(6.0, ("lesion_left", "weakness_right")),
    ),
    instead={"has_lesion": 2.2, "weakness_left": 1.8, "weakness_right": 1.8},
    outcome_notes=(
        ("The weakness has become lasting.", "The limb did not recover; a deficit remains."),
        ("Full strength has returned.", "No lasting deficit."),
    ),
)
_PROGRESSION = Risk(
    task="progression",
    intercept=-3.0,
    weights={"lesion_size": 0.8, "glucose_mmol_l": 0.35},
    products=(
        Product(2.6, ("has_lesion", "prior_cancer")),
        Product(1.8, ("has_lesion", "steroids_stopped")),
    ),
    instead={"has_lesion": 1.4, "prior_cancer": 1.2, "steroids_stopped": 0.8},
    outcome_notes=(
        ("A year later the lesion has clearly grown.", "Progression was confirmed."),
        ("A year later there is no growth.", "No progression within the year."),
    ),
)
_SEIZURE = Risk(
    task="seizure",
    intercept=-3.0,
    weights={"has_lesion": 1.0, "lesion_front": 2.6, "fits_own": 2.2, "alcohol": 0.9},
    outcome_notes=(
        ("Admitted with a seizure after the scan.", "Had a convulsion in the meantime."),
        ("Has been free of seizures all year.", "No fit has occurred since the scan."),
    ),
)
_LEFT_LESION = Risk(
    task="left_lesion",
    intercept=-3.7,
    weights={"lesion_left": 6.8},
    unknown=0.0,
    outcome_notes=(
        ("The scan showed a lesion of the left hemisphere.",),
        ("The left hemisphere was clear.",),
    ),
)

BRAIN_MR = World(
    name="brain_mr",
    prefix="BR",
    modality="MR",
    body_part="HEAD",
    description="T1 3D post contrast",
    is_table_long=False,
    sites=BRAIN_SITES,
    anatomy=BRAIN,
    finding="lesion",
    finding_chance=0.34,
    radius_mm=(7.0, 17.0),
    place=Place(name="front", direction=(0.0, -1.0, 0.0), middle_mm=-18.0, half_mm=60.0),
    columns=_COLUMNS,
    topics=BRAIN_TOPICS,
    language=BRAIN_LANGUAGE,
    risks=(_LESION, _DEFICIT, _PROGRESSION, _SEIZURE, _LEFT_LESION),
    timed="progression",
)
