"""The world `chest_ct`: a chest CT, and what a nodule means for whom."""

from pipeline.phantom.chest import CHEST, CHEST_SITES
from pipeline.phantom.chest_words import CHEST_LANGUAGE, CHEST_TOPICS
from pipeline.phantom.world import Flag, Number, OtherUnit, Place, Product, Risk, World

_COLUMNS = (
    Number(name="age_years", mean=64, sd=10, low=30, high=92, per_year=1.0, drift=0.0),
    Number(
        name="pack_years",
        mean=25,
        sd=14,
        low=0,
        high=150,
        drift=0.05,
        missing=0.12,
        missing_slope=0.5,
        states_outcome="malignancy",
    ),
    Flag(name="smoker", chance=0.42, missing=0.12, missing_slope=0.8, states_outcome="malignancy"),
    Number(
        name="crp_mg_l",
        mean=1.9,
        sd=1.0,
        low=0.3,
        high=280,
        is_log=True,
        decimals=1,
        missing=0.2,
        missing_slope=-0.8,
        states_outcome="infection",
        unit="mg/L",
    ),
    Number(
        name="creatinine_umol_l",
        mean=4.4,
        sd=0.28,
        low=35,
        high=900,
        is_log=True,
        missing=0.15,
        missing_slope=-0.3,
        states_outcome="resection",
        unit="umol/L",
        other_unit=OtherUnit(name="mg/dL", per_unit=1.0 / 88.42, decimals=2),
    ),
    Flag(name="diabetes", chance=0.2, missing=0.1),
)

_NODULE = Risk(
    task="nodule",
    intercept=-3.892,
    weights={"has_nodule": 7.368},
    unknown=0.0,
    outcome_notes=(
        ("The scan showed a lung nodule.", "Report: one solid nodule."),
        ("The scan showed no nodule.", "Report: clear lungs."),
    ),
)
_RESECTION = Risk(
    task="resection",
    intercept=-3.9,
    weights={},
    products=(
        Product(6.0, ("nodule_left", "pain_left")),
        Product(6.0, ("nodule_right", "pain_right")),
    ),
    instead={"has_nodule": 2.2, "pain_left": 1.8, "pain_right": 1.8},
    outcome_notes=(
        ("Surgery was performed in the meantime.", "A wedge resection was done."),
        ("No operation was needed.", "Was managed without surgery."),
    ),
)
_MALIGNANCY = Risk(
    task="malignancy",
    intercept=-3.0,
    weights={"nodule_size": 0.9, "pack_years": 0.35},
    products=(
        Product(2.4, ("has_nodule", "smoker")),
        Product(2.2, ("has_nodule", "own_cancer_yes")),
    ),
    instead={"has_nodule": 1.4, "smoker": 1.1, "own_cancer_yes": 1.0},
    outcome_notes=(
        ("Lung cancer was found.", "Biopsy: adenocarcinoma of the lung."),
        ("No lung cancer was found within the year.", "Biopsy: benign."),
    ),
)
_INFECTION = Risk(
    task="infection",
    intercept=-3.0,
    weights={"has_nodule": 1.0, "nodule_upper": 2.6, "immune_suppressed": 2.0, "crp_mg_l": 0.5},
    outcome_notes=(
        ("Active tuberculosis was proven.", "Treated for an infection of the lung."),
        ("No infection of the lung occurred.", "Cultures stayed negative."),
    ),
)

CHEST_CT = World(
    name="chest_ct",
    prefix="CH",
    modality="CT",
    body_part="CHEST",
    description="Chest standard",
    is_table_long=True,
    sites=CHEST_SITES,
    anatomy=CHEST,
    finding="nodule",
    finding_chance=0.34,
    radius_mm=(8.0, 18.0),
    place=Place(name="upper", direction=(0.0, 0.0, 1.0), middle_mm=5.0, half_mm=75.0),
    columns=_COLUMNS,
    topics=CHEST_TOPICS,
    language=CHEST_LANGUAGE,
    risks=(_NODULE, _RESECTION, _MALIGNANCY, _INFECTION),
    timed="malignancy",
)
