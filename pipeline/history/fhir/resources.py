"""The few elements of FHIR R4 resources that a history is made of; all others are passed over.

Names are FHIR's own, so that a fault names the element as the file has it.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.history.moments import end_of_stated

MAX_TEXT = 1_000_000
MAX_BASE64 = 8_000_000
MAX_ITEMS = 10_000

Time = Annotated[str, Field(max_length=40), AfterValidator(end_of_stated)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Word = Annotated[str, Field(max_length=2_000)]


class Element(BaseModel):
    """A part of a resource; numbers are Decimal, so that they stay as they were written."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class Coding(Element):
    """A code of a code system."""

    system: Word = ""
    code: Word = ""


class Concept(Element):
    """A CodeableConcept."""

    coding: list[Coding] = Field(default_factory=list, max_length=MAX_ITEMS)


class Period(Element):
    """From when to when."""

    start: Time = ""
    end: Time = ""


class Identifier(Element):
    """A business identifier."""

    use: Word = ""
    system: Word = ""
    value: Word = ""


class Reference(Element):
    """A pointer to another resource, or to whom an identifier names."""

    reference: Word = ""
    identifier: Identifier | None = None


class Quantity(Element):
    """A measured number."""

    value: Decimal | None = None
    comparator: Literal["", "<", "<=", ">=", ">"] = ""
    unit: Word = ""
    code: Word = ""


class Measured(Element):
    """The answer of an Observation or of one of its components."""

    code: Concept
    valueQuantity: Quantity | None = None  # noqa: N815
    valueCodeableConcept: Concept | None = None  # noqa: N815
    valueString: Text | None = None  # noqa: N815
    valueBoolean: bool | None = None  # noqa: N815
    valueInteger: Decimal | None = None  # noqa: N815
    dataAbsentReason: Concept | None = None  # noqa: N815


class Meta(Element):
    """Of all that it may hold, the time of this version."""

    lastUpdated: Time = ""  # noqa: N815


class Resource(Element):
    """What any resource has."""

    id: Word = ""
    meta: Meta = Meta()


class Patient(Resource):
    """A person."""

    identifier: list[Identifier] = Field(default_factory=list, max_length=MAX_ITEMS)
    gender: Literal["", "male", "female", "other", "unknown"] = ""
    birthDate: Time = ""  # noqa: N815


class Observation(Resource, Measured):
    """A measurement or a finding."""

    status: Literal[
        "registered", "preliminary", "final", "amended", "corrected", "cancelled",
        "entered-in-error", "unknown",
    ]  # fmt: skip
    subject: Reference = Reference()
    effectiveDateTime: Time = ""  # noqa: N815
    effectiveInstant: Time = ""  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815
    issued: Time = ""
    component: list[Measured] = Field(default_factory=list, max_length=MAX_ITEMS)


class Condition(Resource):
    """A disease or a problem."""

    clinicalStatus: Concept | None = None  # noqa: N815
    verificationStatus: Concept | None = None  # noqa: N815
    code: Concept = Concept()
    subject: Reference
    onsetDateTime: Time = ""  # noqa: N815
    onsetPeriod: Period | None = None  # noqa: N815
    abatementDateTime: Time = ""  # noqa: N815
    abatementPeriod: Period | None = None  # noqa: N815
    recordedDate: Time = ""  # noqa: N815


class Medication(Resource):
    """A drug that others point to."""

    code: Concept = Concept()


class Contained(Element):
    """A resource inside another; only a Medication's code is read of it."""

    id: Word = ""
    code: Concept = Concept()


class Repeat(Element):
    """When a dose is taken."""

    boundsPeriod: Period | None = None  # noqa: N815


class Timing(Element):
    """When a dose is taken."""

    repeat: Repeat = Repeat()


class Dosage(Element):
    """How a drug is taken."""

    timing: Timing = Timing()


class Medicine(Resource):
    """What MedicationRequest and MedicationStatement share."""

    contained: list[Contained] = Field(default_factory=list, max_length=MAX_ITEMS)
    medicationCodeableConcept: Concept | None = None  # noqa: N815
    medicationReference: Reference | None = None  # noqa: N815
    subject: Reference


class MedicationRequest(Medicine):
    """A prescription."""

    status: Literal[
        "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft",
        "unknown",
    ]  # fmt: skip
    intent: Literal[
        "proposal", "plan", "order", "original-order", "reflex-order", "filler-order",
        "instance-order", "option",
    ]  # fmt: skip
    doNotPerform: bool = False  # noqa: N815
    authoredOn: Time = ""  # noqa: N815
    dosageInstruction: list[Dosage] = Field(  # noqa: N815
        default_factory=list, max_length=MAX_ITEMS
    )


class MedicationStatement(Medicine):
    """What somebody said that the patient takes."""

    status: Literal[
        "active", "completed", "entered-in-error", "intended", "stopped", "on-hold", "unknown",
        "not-taken",
    ]  # fmt: skip
    effectiveDateTime: Time = ""  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815
    dateAsserted: Time = ""  # noqa: N815


class Attachment(Element):
    """A document's content."""

    contentType: Word = ""  # noqa: N815
    data: Annotated[str, Field(max_length=MAX_BASE64)] = ""
    url: Word = ""
    creation: Time = ""


class Content(Element):
    """One form of a document."""

    attachment: Attachment


class DocumentReference(Resource):
    """A document."""

    status: Literal["current", "superseded", "entered-in-error"]
    docStatus: Literal["", "preliminary", "final", "amended", "entered-in-error"] = ""  # noqa: N815
    type: Concept = Concept()
    category: list[Concept] = Field(default_factory=list, max_length=MAX_ITEMS)
    subject: Reference = Reference()
    date: Time = ""
    content: list[Content] = Field(min_length=1, max_length=MAX_ITEMS)


KINDS: dict[str, type[Resource]] = {
    kind.__name__: kind
    for kind in (
        Patient, Observation, Condition, Medication, MedicationRequest, MedicationStatement,
        DocumentReference,
    )
}  # fmt: skip
