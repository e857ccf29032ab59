"""The world `brain_mr`: a contrast-enhanced head MR, and whether a lesion or seizures follow."""

from pipeline.phantom.brain import SITES, draw_brain_scan
from pipeline.phantom.world import Flag, Number, Risk, Status, Topic, World

_COLUMNS = (
    Number(name="age_years", mean=58, sd=14, low=18, high=92, per_year=1.0, drift=0.0),
    Flag(name="prior_cancer", chance=0.32, missing=0.12, states_outcome="progression"),
    Flag(
        name="alcohol",
        chance=0.26,
        missing=0.18,
        missing_slope=1.2,
        states_outcome="seizure",
    ),
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
        states_outcome="progression",
    ),
)

_STEROIDS = Topic(
    "steroids",
    (
        Status(
            "stopped",
            0.30,
            (
                "Dexamethasone was stopped last week.",
                "Steroids have been discontinued.",
                "No longer takes dexamethasone; the course was ended by the ward.",
                "The steroid course was stopped because of high sugars.",
                "We have withdrawn the steroids.",
                "Steroid treatment was broken off by the patient.",
                "Came off dexamethasone a fortnight ago.",
                "Off steroids since the last visit.",
            ),
        ),
        Status(
            "continued",
            0.32,
            (
                "Continues on dexamethasone 4 mg daily.",
                "Steroids are to be continued unchanged.",
                "Still takes dexamethasone every morning.",
                "The steroid course goes on as planned.",
                "Remains on steroids.",
                "Steroid treatment was not stopped.",
                "Keeps taking dexamethasone and tolerates it.",
                "On steroids since the last visit.",
            ),
        ),
        Status("unmentioned", 0.38),
    ),
)

_FITS = Topic(
    "fits",
    (
        Status(
            "own",
            0.25,
            (
                "Had a generalised seizure two months ago.",
                "There have been two blackouts with jerking of the limbs.",
                "The patient has had fits since last autumn.",
                "Known epilepsy, last attack in spring.",
                "Woke up on the floor with a bitten tongue after a convulsion.",
                "A witnessed tonic-clonic seizure occurred at work.",
                "Reports several focal seizures of the left arm.",
                "Treated twice in the emergency room for a fit.",
                "Has suffered recurrent convulsions.",
            ),
        ),
        Status(
            "family",
            0.20,
            (
                "The mother has epilepsy; the patient has never had a fit.",
                "A brother had seizures as a child.",
                "Family history of epilepsy on the father's side.",
                "The sister is treated for convulsions.",
                "An uncle had fits after a head injury.",
                "The son had a febrile seizure last year.",
                "Epilepsy runs in the family, but the patient is free of it.",
                "A cousin died in a seizure.",
            ),
        ),
        Status(
            "denied",
            0.30,
            (
                "No seizures so far.",
                "Denies fits or blackouts.",
                "There is no history of epilepsy.",
                "Has never had a convulsion.",
                "No blackouts, no jerking, no bitten tongue.",
                "Seizures were not reported.",
                "Without any fits to date.",
                "The patient denies ever having had a seizure.",
            ),
        ),
        Status("unmentioned", 0.25),
    ),
)

_WEAKNESS = Topic(
    "weakness",
    (
        Status(
            "left",
            0.15,
            (
                "Weakness of the left arm since March.",
                "The left leg drags a little.",
                "Clumsy left hand.",
                "Mild left-sided weakness on examination.",
            ),
        ),
        Status(
            "right",
            0.15,
            (
                "Weakness of the right arm since March.",
                "The right leg drags a little.",
                "Clumsy right hand.",
                "Mild right-sided weakness on examination.",
            ),
        ),
        Status("unmentioned", 0.70),
    ),
)

BRAIN_MR = World(
    name="brain_mr",
    prefix="BR",
    modality="MR",
    body_part="HEAD",
    description="T1 3D post contrast",
    sites=SITES,
    draw_scan=draw_brain_scan,
    finding="lesion",
    finding_chance=0.35,
    radius_mm=(6.0, 16.0),
    columns=_COLUMNS,
    topics=(_STEROIDS, _FITS, _WEAKNESS),
    small_talk=(
        "Sleeps well.",
        "Appetite is good and weight is stable.",
        "Lives with a partner on the second floor.",
        "Headaches come and go, mostly in the morning.",
        "Blood pressure was checked and the tablets were left as they are.",
        "Works in a bakery.",
        "Vaccinations are up to date.",
        "Hearing is a little worse on both sides.",
        "The knee still aches on stairs.",
        "Wears glasses for reading.",
        "No allergies are known.",
        "Asked about driving and was given the leaflet.",
        "The gait is steady.",
        "A daughter came along to the visit.",
        "Next visit in three months.",
        "Takes a tablet for the thyroid.",
    ),
    openings={
        "referral": (
            "Please scan the head of this {age} year old {person}.",
            "Referral for MR of the brain, {person} of {age} years.",
            "Thank you for seeing this {person} aged {age}.",
        ),
        "clinic": (
            "Seen in clinic today.",
            "Review in the outpatient clinic.",
            "Follow-up visit.",
        ),
        "discharge": (
            "Discharged home after a short stay.",
            "Summary of the stay on the ward.",
            "Discharge letter.",
        ),
    },
    risks=(
        Risk(
            task="lesion",
            intercept=-3.892,
            weights={"has_lesion": 7.368},
            unknown=0.0,
            outcome_notes=(
                ("The scan showed a focal lesion.", "Report: one enhancing lesion."),
                ("The scan showed no focal lesion.", "Report: no enhancing lesion."),
            ),
        ),
        Risk(
            task="progression",
            intercept=-4.1,
            weights={
                "has_lesion": 2.5,
                "lesion_size": 1.8,
                "prior_cancer": 1.6,
                "age_years": 0.6,
                "steroids_stopped": 2.0,
            },
            outcome_notes=(
                ("A year later the lesion has clearly grown.", "Progression was confirmed."),
                ("A year later there is no growth.", "No progression within the year."),
            ),
        ),
        Risk(
            task="seizure",
            intercept=-4.0,
            weights={"fits_own": 3.2, "alcohol": 1.8, "has_lesion": 1.7},
            outcome_notes=(
                ("Admitted with a seizure after the scan.", "Had a convulsion in the meantime."),
                ("Has been free of seizures all year.", "No fit has occurred since the scan."),
            ),
        ),
    ),
)
