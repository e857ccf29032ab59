"""What the notes of the world `chest_ct` say, in the words of two families."""

from collections.abc import Mapping

from pipeline.phantom.world import Family, Language, Status, Topic, sided

_PAIN: Mapping[Family, tuple[str, ...]] = {
    "a": (
        "pain on the {side} side of the chest {since}.",
        "{side}-sided chest pain when breathing in.",
        "complains of a stabbing pain below the {side} shoulder blade.",
        "it hurts on the {side} when coughing {since}.",
        "the {side} chest has been sore {since}.",
        "tender over the {side} lower ribs, painful {since}.",
        "wakes with chest pain on the {side}.",
    ),
    "b": (
        "c/o {side} pleuritic pain {since}.",
        "{side} thoracic pain, worse on inspiration.",
        "reports aching of the {side} hemithorax.",
        "pleurodynia, {side}.",
        "painful {side} chest wall {since}.",
        "stitch in the {side} chest with each deep breath.",
    ),
}
_PAIN_TOPIC = Topic(
    name="pain",
    section="examination",
    statuses=(
        Status("left", 0.32, 0.92, sided("left", _PAIN)),
        Status("right", 0.32, 0.92, sided("right", _PAIN)),
        Status(
            "none",
            0.36,
            0.5,
            {
                "a": (
                    "no chest pain.",
                    "denies pain on breathing.",
                    "the chest does not hurt.",
                    "free of pain.",
                    "without any pain in the chest.",
                ),
                "b": ("pain: none.", "negative for chest pain.", "no pleuritic pain."),
            },
        ),
    ),
    distractors={
        "a": (
            "the {relative} had {side} sided chest pain before a heart attack.",
            "a {side} hip replacement years ago.",
            "pain in the {side} knee after a fall.",
            "broke the {side} wrist as a child.",
        ),
        "b": (
            "s/p {side} inguinal hernia repair.",
            "{relative} with {side} pleurisy.",
            "{side} ankle sprain, healed.",
        ),
    },
    distracted=0.35,
)
_CANCER = Topic(
    name="own_cancer",
    section="history",
    statuses=(
        Status(
            "yes",
            0.30,
            0.90,
            {
                "a": (
                    "was treated for cancer of the {organ} {ago}.",
                    "had a carcinoma of the {organ} removed {ago}.",
                    "known malignant tumour of the {organ}.",
                    "chemotherapy for {organ} cancer {ago}.",
                    "earlier cancer of the {organ}, operated {ago}.",
                    "the patient has survived {organ} cancer.",
                ),
                "b": (
                    "h/o {organ} ca {ago}.",
                    "{organ} carcinoma, resected {ago}.",
                    "s/p radiotherapy for {organ} cancer.",
                    "oncological history: {organ} carcinoma.",
                    "positive for {organ} malignancy {ago}.",
                ),
            },
        ),
        Status(
            "no",
            0.70,
            0.5,
            {
                "a": (
                    "has never had cancer.",
                    "no earlier malignant disease.",
                    "denies any cancer.",
                    "there is no history of a tumour.",
                    "no cancer so far.",
                ),
                "b": (
                    "no oncological history.",
                    "negative for malignancy.",
                    "cancer: none.",
                    "no prior carcinoma.",
                ),
            },
        ),
    ),
    distractors={
        "a": (
            "the {relative} died of {organ} cancer.",
            "the {relative} was treated for carcinoma of the {organ}.",
            "a neighbour has {organ} cancer, which worries the patient.",
            "{organ} cancer in the family: {relative}.",
        ),
        "b": (
            "family history: {organ} ca in the {relative}.",
            "{relative} with {organ} carcinoma.",
        ),
    },
    distracted=0.3,
)
_IMMUNE = Topic(
    name="immune",
    section="medication",
    may_change=True,
    statuses=(
        Status(
            "suppressed",
            0.30,
            0.88,
            {
                "a": (
                    "takes {suppressant} daily.",
                    "{suppressant} was started {ago} and goes on.",
                    "continues on {suppressant}.",
                    "still on {suppressant} for the joints.",
                    "remains under {suppressant}.",
                ),
                "b": (
                    "{suppressant}, ongoing.",
                    "current: {suppressant}.",
                    "maintained on {suppressant}.",
                    "{suppressant} carried on without change.",
                ),
            },
        ),
        Status(
            "stopped",
            0.35,
            0.85,
            {
                "a": (
                    "{suppressant} was stopped {ago}.",
                    "no longer takes {suppressant}.",
                    "{suppressant} has been discontinued.",
                    "came off {suppressant} {ago}.",
                    "we have withdrawn {suppressant}.",
                ),
                "b": (
                    "{suppressant} d/c'd {ago}.",
                    "discontinued: {suppressant}.",
                    "{suppressant} ceased.",
                ),
            },
        ),
        Status(
            "never",
            0.35,
            0.4,
            {
                "a": ("has never taken {suppressant}.", "{suppressant} was never given."),
                "b": ("{suppressant}: never.", "not on {suppressant} at any time."),
            },
        ),
    ),
    distractors={
        "a": (
            "the {relative} takes {suppressant} for the bowel.",
            "{other_drug} was stopped.",
            "continues on {other_drug}.",
        ),
        "b": ("{other_drug} d/c'd.", "{relative} is on {suppressant}.", "{other_drug}, ongoing."),
    },
)
CHEST_TOPICS = (_PAIN_TOPIC, _CANCER, _IMMUNE)

_SLOTS_A = {
    "side": ("left", "right"),
    "since": ("since March", "for two weeks", "since last autumn", "for about a month"),
    "ago": ("two years ago", "in 2014", "last spring", "some years ago"),
    "organ": ("breast", "colon", "kidney", "bladder", "skin"),
    "suppressant": ("methotrexate", "azathioprine", "adalimumab", "ciclosporin"),
    "other_drug": ("amlodipine", "metformin", "the statin", "the inhaler"),
    "relative": ("mother", "father", "brother", "sister", "uncle", "aunt", "cousin"),
}
_SLOTS_B = {
    **_SLOTS_A,
    "since": ("x 3 weeks", "over the past days", "since the summer", "of recent onset"),
    "ago": ("in 2016", "in remission since 2012", "a while back"),
    "organ": ("thyroid", "breast", "rectal", "renal", "ovarian"),
    "suppressant": ("methotrexate", "infliximab", "mycophenolate", "azathioprine"),
    "other_drug": ("lisinopril", "atorvastatin", "tiotropium", "aspirin"),
    "relative": ("son", "daughter", "grandfather", "nephew", "mother", "brother"),
}
CHEST_LANGUAGE: Mapping[Family, Language] = {
    "a": Language(
        headings={
            "history": "History",
            "medication": "Medication",
            "examination": "Complaints",
            "family": "Family and earlier history",
            "social": "Other",
        },
        openings={
            "referral": (
                "Please perform CT of the chest in this {person}.",
                "Referral for chest CT.",
                "Thank you for seeing this {person}.",
            ),
            "clinic": ("Seen in the chest clinic today.", "Review in the outpatient clinic."),
            "discharge": ("Discharged home after a short stay.", "Summary of the stay."),
        },
        small_talk=(
            "sleeps with two pillows.",
            "appetite is good.",
            "lives on the fourth floor without a lift.",
            "coughs in the morning.",
            "the inhaler technique was checked.",
            "used to work in a mill.",
            "keeps pigeons.",
            "vaccinations are up to date.",
            "no allergies are known.",
            "walks the dog twice a day.",
            "the spouse came along.",
            "next visit in three months.",
        ),
        slots=_SLOTS_A,
    ),
    "b": Language(
        headings={
            "history": "PMH",
            "medication": "Meds",
            "examination": "HPI",
            "family": "FHx/other",
            "social": "SHx",
        },
        openings={
            "referral": ("Request: CT thorax.", "CT chest requested for this {person}."),
            "clinic": ("Pulmonary clinic note.", "Reviewed; {person}, well known to us."),
            "discharge": ("Discharge summary.", "Admitted and discharged."),
        },
        small_talk=(
            "retired welder.",
            "lives with a son.",
            "mobility unchanged.",
            "mood is fair.",
            "oxygen not needed.",
            "flu shot given.",
            "bloods to be repeated.",
            "weight down 1 kg.",
            "no recent travel.",
        ),
        slots=_SLOTS_B,
    ),
}
