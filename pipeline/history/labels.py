"""Known outcomes of a cohort's studies."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import RecordsError, UsageError
from pipeline.history.faults import cell_faults, fault
from pipeline.history.frames import find_table, read_text_table
from pipeline.history.identifiers import identifiers_of
from pipeline.history.values import MISSING
from schemas.identity import IdentityRule
from schemas.protocol import Protocol
from schemas.series import SkippedFile
from schemas.task import Task

KEYS = ("patient_id", "study_uid")
_BINARY = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
Reader = Callable[[str], float | None]
"""A label's text, stripped, to its number; None if it is no label."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What is known of how studies ended.

    Parameters
    ----------
    values
        By study UID: one number for each label column, in the order of `label_columns`; None where
        unknown.
    patients
        By study UID: whose study it is, by labels.csv.
    source
        The file's name.
    doubts
        What was assumed in reading it.
    """

    values: Mapping[str, tuple[float | None, ...]]
    patients: Mapping[str, str]
    source: str
    doubts: tuple[SkippedFile, ...] = ()

    def require_same_patients(self, owners: Mapping[str, str], identity: IdentityRule) -> None:
        """Check that each labelled study is of the patient that its images name.

        Where the protocol lets another spelling pair, it does here, by the same rule: only if
        neither the labels nor the studies have two spellings that are alike.

        Parameters
        ----------
        owners
            Patient ID of each of the cohort's studies by its UID, "" where it has none.
        identity
            The protocol's.

        Raises
        ------
        RecordsError
            If any is not: a label would be learned with another patient's images. Rows are named
            by their study, patients are not named.
        """
        named = [patient for patient in owners.values() if patient]
        spellings = identifiers_of(self.patients.values(), (), named)

        def is_same(one: str, other: str) -> bool:
            is_alike = identity.match == "normalised" and other in spellings.others(one)
            return one == other or (is_alike and spellings.is_one_patient(one))

        wrong = [
            uid
            for uid, patient in owners.items()
            if uid in self.patients and patient and not is_same(patient, self.patients[uid])
        ]
        if wrong:
            text = "has another patient_id than the study's Patient ID (0010,0020)"
            raise RecordsError([fault(f"{self.source}, study {uid}", text) for uid in wrong])


def label_columns(task: Task) -> Mapping[str, tuple[Reader, str]]:
    """Return the columns of labels.csv that hold a task's outcome: how to read, what is allowed.

    A class is read by its name and becomes its number.
    """
    is_binary = (_BINARY.get, "may hold only 0, 1 or nothing")
    match task.kind:
        case "binary":
            return {task.name: is_binary}
        case "survival":
            days, event = task.label_columns
            return {days: (_days, "may hold only days from 0 on, or nothing"), event: is_binary}
        case _:
            numbers = {name: float(number) for number, name in enumerate(task.classes)}
            return {task.name: (numbers.get, f"may hold only {', '.join(task.classes)} or nothing")}


def _days(text: str) -> float | None:
    try:
        days = float(text)
    except ValueError:
        return None
    return days if 0.0 <= days < math.inf else None


def has_labels(cohort: Path) -> bool:
    """Say whether a cohort folder states any outcome."""
    return find_table(cohort, "labels") is not None


def read_labels(cohort: Path, protocol: Protocol) -> Labels:
    """Read a cohort's ``labels.csv`` (or parquet); see :func:`read_label_file`.

    Raises
    ------
    UsageError
        If there is no such file.
    RecordsError
        If it is malformed.
    """
    path = find_table(cohort, "labels")
    if path is None:
        msg = f"{cohort} has no labels.csv: training needs known outcomes"
        raise UsageError(msg)
    return read_label_file(path, protocol)


def read_label_file(path: Path, protocol: Protocol) -> Labels:
    """Read a table of outcomes, one row a study; an empty label is unknown.

    Raises
    ------
    RecordsError
        If it cannot be read, lacks a column, names a study twice or a patient nowhere, or holds
        what is no label; all such places are named.
    """
    columns = {name: read for task in protocol.tasks for name, read in label_columns(task).items()}
    needed = (*KEYS, *columns)
    table = read_text_table(path, protocol.export, needed=needed)
    frame = table.frame
    faults = _key_faults(frame)
    numbers = []
    for name, (read, allowed) in columns.items():
        number = frame[name].map(read).astype("float64")
        # A class may be called what elsewhere means that nothing is known: none, unknown.
        is_empty = frame[name].str.casefold().isin(MISSING)
        wrong = frame.loc[number.isna() & ~is_empty, ["source", "row"]]
        faults += cell_faults(wrong.assign(name=name, fault=allowed))
        numbers.append([None if pd.isna(value) else float(value) for value in number])
    if faults:
        raise RecordsError(faults)
    rows = zip(*numbers, strict=True) if numbers else ()
    return Labels(
        dict(zip(frame["study_uid"], rows, strict=True)),
        dict(zip(frame["study_uid"], frame["patient_id"], strict=True)),
        path.name,
        table.doubts,
    )


def _key_faults(frame: pd.DataFrame) -> list[str]:
    faults = []
    for name in KEYS:
        empty = frame.loc[frame[name] == "", ["source", "row"]]
        faults += cell_faults(empty.assign(name=name, fault="is empty"))
    twice = frame["study_uid"].duplicated(keep=False) & (frame["study_uid"] != "")
    again = frame.loc[twice, ["source", "row"]]
    return faults + cell_faults(again.assign(name="study_uid", fault="names a study twice"))
