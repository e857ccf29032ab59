"""Who a source's persons are: from its own keys to the images' Patient ID."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.history.delivery import FaultList
from schemas.issue import IssueCode


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a source.

    Parameters
    ----------
    key
        The source's own: a person_id, or the id of a Patient resource.
    patient_id
        Patient ID (0010,0020) of the person's images; "" if the source has none.
    gender, birth_year
        As the source codes them; "" if unknown.
    """

    key: str
    patient_id: str
    gender: str = ""
    birth_year: str = ""


@dataclass(frozen=True, slots=True)
class Persons:
    """Whose a source's records are.

    Parameters
    ----------
    agreed
        By key, those who can be told apart.
    contradicted
        Patient IDs that stand for different people.
    """

    agreed: Mapping[str, Person]
    contradicted: frozenset[str]


def told_apart(persons: Iterable[Person], faults: FaultList, *, where: str) -> Persons:
    """Find out who can be told apart; the others' records are not read.

    Several persons may stand for one patient. Those of one Patient ID who differ in sex or birth
    year are different people: whose record is whose cannot be known, so none of it is read.
    """
    by_patient: dict[str, list[Person]] = defaultdict(list)
    n_nameless = 0
    for person in persons:
        if person.patient_id:
            by_patient[person.patient_id].append(person)
        else:
            n_nameless += 1
    if n_nameless:
        faults.add(where, f"{n_nameless} persons have no Patient ID; their records were not read")
    agreed: dict[str, Person] = {}
    contradicted = set()
    for patient_id, same in by_patient.items():
        if _differ(person.gender for person in same) or _differ(
            person.birth_year for person in same
        ):
            message = f"{len(same)} persons of different sex or birth year carry one Patient ID; "
            message += "their records were not read"
            faults.add(where, message, code=IssueCode.IDENTITY_CONTRADICTED)
            contradicted.add(patient_id)
        else:
            agreed.update({person.key: person for person in same})
    return Persons(agreed, frozenset(contradicted))


def _differ(values: Iterable[str]) -> bool:
    return len({value for value in values if value}) > 1
