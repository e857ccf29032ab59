"""The world `chest_ct`: a chest CT, whether it shows a nodule, and what follows."""

from pipeline.phantom.chest import SITES, draw_chest_scan
from pipeline.phantom.world import Flag, Number, Risk, Status, Topic, World

_COLUMNS = (
    Number(name="age_years", mean=64, sd=10, low=30, high=92, per_year=1.0, drift=0.0),
    Number(
        name="pack_years",
        mean=2.9,
        sd=0.8,
        low=0,
        high=150,
        is_log=True,
        drift=0.05,
        missing=0.12,
        missing_slope=0.5,
        states_outcome="malignancy",
    ),
    Flag(name="smoker", chance=0.38, missing=0.12, missing_slope=0.8),
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
        states_outcome="exacerbation",
    ),
    Number(name="bmi_kg_m2", mean=26, sd=4.5, low=15, high=50, decimals=1, missing=0.15),
    Flag(name="diabetes", chance=0.2, missing=0.1),
)

_FAMILY_CANCER = Topic(
    "family_cancer",
    (
        Status(
            "lung",
            0.28,
            (
                "The father died of lung cancer.",
                "A sister was treated for bronchial carcinoma.",
                "Lung cancer in the family: mother at 61.",
                "Family history of lung cancer.",
                "Two uncles had carcinoma of the lung.",
                "The mother had a lung removed for cancer.",
                "A brother was diagnosed with lung cancer last year.",
                "Malignant lung disease in a parent.",
            ),
        ),
        Status(
            "other",
            0.17,
            (
                "The father died of a heart attack.",
                "A sister has asthma.",
                "A neighbour was treated for lung cancer, which worries the patient.",
                "Family history of diabetes.",
                "The mother had a stroke at 70.",
                "A colleague was diagnosed with bronchial carcinoma.",
            ),
        ),
        Status(
            "denied",
            0.30,
            (
                "No lung cancer in the family.",
                "Family history is negative for cancer.",
                "Denies any relatives with lung cancer.",
                "Nobody in the family has had carcinoma of the lung.",
                "No malignant disease among relatives.",
                "Neither parent had cancer.",
            ),
        ),
        Status("unmentioned", 0.25),
    ),
)

_FLARES = Topic(
    "flares",
    (
        Status(
            "earlier",
            0.28,
            (
                "Two exacerbations of COPD in the past year.",
                "Was admitted with a flare-up in winter.",
                "Needed prednisolone for worsening breathlessness last autumn.",
                "Frequent exacerbations, the last in March.",
                "Hospital stay for acute exacerbation three months ago.",
                "Repeated flare-ups that called for antibiotics.",
                "The chest became acutely worse twice since the last visit.",
                "Had to be ventilated for an exacerbation last year.",
            ),
        ),
        Status(
            "family",
            0.12,
            (
                "The brother has COPD with frequent exacerbations.",
                "The wife was admitted with a flare-up of her asthma.",
                "The mother had several exacerbations of bronchitis.",
                "A son needs prednisolone for his asthma attacks.",
            ),
        ),
        Status(
            "denied",
            0.32,
            (
                "No exacerbations in the past year.",
                "Denies flare-ups.",
                "Has never been admitted for breathlessness.",
                "Free of exacerbations so far.",
                "There was no acute worsening.",
                "Breathing has been stable, with no flare-up.",
                "Prednisolone was never needed.",
            ),
        ),
        Status("unmentioned", 0.28),
    ),
)

CHEST_CT = World(
    name="chest_ct",
    prefix="CH",
    modality="CT",
    body_part="CHEST",
    description="Chest standard",
    sites=SITES,
    draw_scan=draw_chest_scan,
    finding="nodule",
    finding_chance=0.36,
    radius_mm=(5.0, 15.0),
    columns=_COLUMNS,
    topics=(_FAMILY_CANCER, _FLARES),
    small_talk=(
        "Sleeps well.",
        "Appetite is good and weight is stable.",
        "Lives alone with a dog.",
        "Climbs two flights of stairs without a rest.",
        "Blood pressure was checked and the tablets were left as they are.",
        "Worked as a bus driver.",
        "Vaccinations are up to date.",
        "The knee still aches on stairs.",
        "No allergies are known.",
        "The inhaler technique was shown again.",
        "Ankles are not swollen.",
        "A son came along to the visit.",
        "Next visit in three months.",
        "Takes a tablet for the thyroid.",
        "Travelled to the coast in summer.",
    ),
    openings={
        "referral": (
            "Please scan the chest of this {age} year old {person}.",
            "Referral for CT of the chest, {person} of {age} years.",
            "Thank you for seeing this {person} aged {age}.",
        ),
        "clinic": ("Seen in clinic today.", "Review in the chest clinic.", "Follow-up visit."),
        "discharge": (
            "Discharged home after a short stay.",
            "Summary of the stay on the ward.",
            "Discharge letter.",
        ),
    },
    risks=(
        Risk(
            task="nodule",
            intercept=-3.892,
            weights={"has_nodule": 7.368},
            unknown=0.0,
            outcome_notes=(
                ("The scan showed a lung nodule.", "Report: one solid nodule."),
                ("The scan showed no lung nodule.", "Report: lungs clear of nodules."),
            ),
        ),
        Risk(
            task="malignancy",
            intercept=-3.9,
            weights={
                "has_nodule": 2.5,
                "nodule_size": 1.8,
                "age_years": 0.5,
                "pack_years": 1.0,
                "family_cancer_lung": 1.8,
            },
            outcome_notes=(
                ("Lung cancer was found within the year.", "Biopsy: malignant."),
                ("No cancer within the year.", "Nothing malignant has been found."),
            ),
        ),
        Risk(
            task="exacerbation",
            intercept=-3.6,
            weights={"flares_earlier": 2.8, "smoker": 1.4, "crp_mg_l": 1.0},
            outcome_notes=(
                ("Admitted with an exacerbation since.", "Another flare-up after the scan."),
                ("No exacerbation since the scan.", "Has stayed well since the scan."),
            ),
        ),
    ),
)
