"""What the notes of the world `brain_mr` say, in the words of two families."""

from collections.abc import Mapping

from pipeline.phantom.world import Family, Language, Status, Topic, sided

_RELATIVES = ("mother", "father", "brother", "sister", "uncle", "aunt", "cousin", "grandmother")


_WEAK: Mapping[Family, tuple[str, ...]] = {
    "a": (
        "weakness of the {side} {limb} {since}.",
        "the {side} {limb} has been weak {since}.",
        "{side}-sided weakness, arm more than leg.",
        "on examination there is a mild {side} hemiparesis.",
        "drops things with the {side} hand {since}.",
        "drags the {side} leg when walking.",
        "power is 4/5 in the {side} {limb}.",
        "pronator drift on the {side}, with reduced power.",
        "complains of a clumsy and weak {side} {limb}.",
        "could not lift the {side} {limb} fully {since}.",
    ),
    "b": (
        "reports {side} {limb} weakness {since}.",
        "motor exam: {side} {limb} 4/5, otherwise 5/5.",
        "loss of strength in the {side} {limb} is noted.",
        "reduced grip of the {side} hand.",
        "new {side} hemiparesis {since}.",
        "the {side} {limb} gives way {since}.",
        "hemiparesis, {side}.",
        "has noticed that the {side} {limb} is losing power.",
        "paresis of the {side} {limb}, grade 4.",
    ),
}
_WEAKNESS = Topic(
    name="weakness",
    section="examination",
    statuses=(
        Status("left", 0.32, 0.92, sided("left", _WEAK)),
        Status("right", 0.32, 0.92, sided("right", _WEAK)),
        Status(
            "none",
            0.36,
            0.5,
            {
                "a": (
                    "no weakness of arms or legs.",
                    "power is full in all limbs.",
                    "denies any weakness.",
                    "there is no hemiparesis.",
                    "strength is normal on both sides.",
                    "arms and legs are not weak.",
                ),
                "b": (
                    "motor 5/5 throughout.",
                    "no focal weakness.",
                    "without paresis.",
                    "no loss of strength is reported.",
                    "negative for hemiparesis.",
                ),
            },
        ),
    ),
    distractors={
        "a": (
            "the {relative} had a stroke with {side} sided weakness.",
            "a {side} knee replacement years ago.",
            "deaf in the {side} ear.",
            "the {relative} has a weak {side} arm after polio.",
            "cataract surgery on the {side} eye is planned.",
            "pain in the {side} shoulder after a fall.",
        ),
        "b": (
            "{relative} with {side} hemiparesis after a stroke.",
            "s/p {side} hip replacement.",
            "{side} carpal tunnel release in the past.",
            "frozen shoulder, {side}.",
            "family history: {relative} with a {side} sided paresis.",
        ),
    },
    distracted=0.35,
)
_STEROIDS = Topic(
    name="steroids",
    section="medication",
    may_change=True,
    statuses=(
        Status(
            "stopped",
            0.33,
            0.88,
            {
                "a": (
                    "{steroid} was stopped last week.",
                    "{steroid} has been discontinued.",
                    "no longer takes {steroid}; the course was ended by the ward.",
                    "the course of {steroid} was stopped because of high sugars.",
                    "we have withdrawn {steroid}.",
                    "treatment with {steroid} was broken off by the patient.",
                    "came off {steroid} a fortnight ago.",
                    "is now off {steroid}.",
                ),
                "b": (
                    "{steroid} d/c'd.",
                    "{steroid} tapered and ceased.",
                    "has quit taking {steroid}.",
                    "{steroid} on hold since the last visit, not restarted.",
                    "discontinued: {steroid}.",
                    "{steroid} was weaned off.",
                ),
            },
        ),
        Status(
            "continued",
            0.34,
            0.88,
            {
                "a": (
                    "continues on {steroid} {dose} daily.",
                    "{steroid} is to be continued unchanged.",
                    "still takes {steroid} every morning.",
                    "the course of {steroid} goes on as planned.",
                    "remains on {steroid}.",
                    "treatment with {steroid} was not stopped.",
                    "keeps taking {steroid} and tolerates it.",
                ),
                "b": (
                    "{steroid} {dose} qd, ongoing.",
                    "current: {steroid} {dose}.",
                    "maintained on {steroid}.",
                    "no plan to stop {steroid}.",
                    "{steroid} carried on without change.",
                ),
            },
        ),
        Status(
            "none",
            0.33,
            0.4,
            {
                "a": (
                    "has never taken {steroid}.",
                    "takes no {steroid}.",
                    "{steroid} was never given.",
                ),
                "b": (
                    "no {steroid} to date.",
                    "{steroid}: never.",
                    "not on {steroid} at any time.",
                ),
            },
        ),
    ),
    distractors={
        "a": (
            "the {relative} takes {steroid} for arthritis.",
            "{other_drug} was stopped.",
            "continues on {other_drug}.",
            "asked whether {steroid} would cause weight gain in the {relative}.",
        ),
        "b": (
            "{other_drug} d/c'd.",
            "{relative} is on {steroid} for asthma.",
            "{other_drug} {dose} qd.",
        ),
    },
)
_FITS = Topic(
    name="fits",
    section="history",
    statuses=(
        Status(
            "own",
            0.30,
            0.88,
            {
                "a": (
                    "had a generalised {fit} {ago}.",
                    "there have been two {fit_many} with jerking of the limbs.",
                    "the patient has had {fit_many} {since}.",
                    "known epilepsy, last attack {ago}.",
                    "woke up on the floor with a bitten tongue after a {fit} {ago}.",
                    "a witnessed tonic-clonic {fit} occurred {ago}.",
                    "was treated twice in the emergency room for a {fit}.",
                    "has suffered recurrent {fit_many}.",
                ),
                "b": (
                    "positive for {fit_many}, most recent {ago}.",
                    "{fit} {ago}, self-limited.",
                    "breakthrough {fit} {ago}.",
                    "h/o epilepsy on levetiracetam.",
                    "presented {ago} following a {fit}.",
                    "two unprovoked {fit_many} are documented.",
                ),
            },
        ),
        Status(
            "none",
            0.70,
            0.5,
            {
                "a": (
                    "no {fit_many} so far.",
                    "denies {fit_many} or blackouts.",
                    "there is no history of epilepsy.",
                    "has never had a {fit}.",
                    "{fit_many} were not reported.",
                    "without any {fit_many} to date.",
                ),
                "b": (
                    "negative for {fit_many}.",
                    "{fit_many}: none.",
                    "no epilepsy.",
                    "{fit_many} denied.",
                    "free of {fit_many}.",
                ),
            },
        ),
    ),
    distractors={
        "a": (
            "the {relative} has epilepsy.",
            "the {relative} had {fit_many} as a child.",
            "family history of epilepsy on the {relative}'s side.",
            "the {relative} died in a {fit}.",
            "the {relative} is treated for {fit_many}.",
        ),
        "b": (
            "{relative} with epilepsy.",
            "family history: {fit_many} in the {relative}.",
            "{relative} (dec.) had {fit_many}.",
        ),
    },
)
BRAIN_TOPICS = (_WEAKNESS, _STEROIDS, _FITS)

_SLOTS_A = {
    "side": ("left", "right"),
    "limb": ("arm", "leg", "hand", "foot"),
    "since": ("since March", "for two weeks", "since last autumn", "for about a month"),
    "ago": ("two months ago", "in spring", "last week", "at work in May"),
    "steroid": ("dexamethasone", "the steroids", "prednisolone", "the steroid tablets"),
    "dose": ("4 mg", "8 mg", "2 mg"),
    "other_drug": ("amlodipine", "metformin", "the statin", "omeprazole"),
    "fit": ("seizure", "fit", "convulsion"),
    "fit_many": ("seizures", "fits", "convulsions"),
    "relative": _RELATIVES,
}
_SLOTS_B = {
    **_SLOTS_A,
    "limb": ("arm", "leg", "upper limb", "lower limb"),
    "since": ("x 3 weeks", "over the past days", "since the summer", "of recent onset"),
    "ago": ("in 2019", "ten days ago", "in winter", "three weeks back"),
    "steroid": ("dexamethasone", "steroids", "prednisone", "corticosteroids"),
    "other_drug": ("lisinopril", "atorvastatin", "pantoprazole", "aspirin"),
    "fit": ("seizure", "convulsion", "epileptic attack"),
    "fit_many": ("seizures", "convulsions", "epileptic attacks"),
    "relative": ("son", "daughter", "grandfather", "nephew", "mother", "brother"),
}
BRAIN_LANGUAGE: Mapping[Family, Language] = {
    "a": Language(
        headings={
            "history": "History",
            "medication": "Medication",
            "examination": "Examination",
            "family": "Family and earlier history",
            "social": "Other",
        },
        openings={
            "referral": (
                "Please scan the head of this {person}.",
                "Referral for MR of the brain.",
                "Thank you for seeing this {person}.",
            ),
            "clinic": ("Seen in clinic today.", "Review in the outpatient clinic.", "Follow-up."),
            "discharge": (
                "Discharged home after a short stay.",
                "Summary of the stay on the ward.",
            ),
        },
        small_talk=(
            "sleeps well.",
            "appetite is good and weight is stable.",
            "lives with a partner on the second floor.",
            "headaches come and go, mostly in the morning.",
            "blood pressure was checked and the tablets were left as they are.",
            "works in a bakery.",
            "vaccinations are up to date.",
            "hearing is a little worse on both sides.",
            "the knee still aches on stairs.",
            "wears glasses for reading.",
            "no allergies are known.",
            "asked about driving and was given the leaflet.",
            "a daughter came along to the visit.",
            "next visit in three months.",
            "takes a tablet for the thyroid.",
        ),
        slots=_SLOTS_A,
    ),
    "b": Language(
        headings={
            "history": "HPI",
            "medication": "Meds",
            "examination": "O/E",
            "family": "PMH/FHx",
            "social": "SHx",
        },
        openings={
            "referral": ("Request: MRI brain.", "MRI head requested for this {person}."),
            "clinic": ("Clinic note.", "Reviewed in clinic; {person}, well known to us."),
            "discharge": ("Discharge summary.", "Admitted and discharged."),
        },
        small_talk=(
            "retired teacher.",
            "non-smoker.",
            "mobility unchanged.",
            "bowels regular.",
            "mood is fair.",
            "lives alone with a dog.",
            "flu shot given.",
            "bloods to be repeated.",
            "allergic to penicillin.",
            "came by ambulance transport.",
            "travels a lot.",
            "weight down 1 kg.",
        ),
        slots=_SLOTS_B,
    ),
}
