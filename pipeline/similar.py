"""One case to its nearest cases, in the space that the contrastive loss made of two."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.assess import is_readable
from pipeline.bundle import Bundle
from pipeline.case import Case
from pipeline.cohort import Cohort, read_case
from pipeline.errors import UsageError
from pipeline.history.identifiers import normalised
from pipeline.inputs import model_input
from pipeline.progress import Progress, silent
from pipeline.unlike import header_issues, unlike_training
from schemas.issue import Issue, IssueCode, Severity, has_errors
from schemas.series import Study
from schemas.similar import (
    ComparedBy,
    Comparison,
    LeftOut,
    Neighbour,
    SimilarCases,
    SpaceCheck,
)

IMAGE, HISTORY = 0, 1
COMPARISONS: dict[Comparison, tuple[int, int]] = {
    "image": (IMAGE, IMAGE),
    "history": (HISTORY, HISTORY),
    "image-to-history": (IMAGE, HISTORY),
    "history-to-image": (HISTORY, IMAGE),
}
"""Which part of the case is compared with which part of another."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for.

    Parameters
    ----------
    study_uid
        The case whose neighbours are wanted.
    by
        What is compared.
    n
        How many are listed.
    same_patient
        Whether other studies of the case's patient may be among them.
    """

    study_uid: str
    by: ComparedBy = "both"
    n: int = 10
    same_patient: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a study lies.

    Parameters
    ----------
    vectors : shape (2, E)
        Of its image and of its history, of unit length; zeros where absent.
    is_unlike_training
        Whether the case is unlike those that the bundle was trained on.
    """

    study: Study
    vectors: Array
    is_unlike_training: bool = False


def require_common_space(bundle: Bundle) -> None:
    """Refuse a bundle that was not trained to put image and history near each other.

    Raises
    ------
    UsageError
        If its space was never trained: its directions are random.
    """
    training, fusion = bundle.protocol.training, bundle.protocol.model.fusion
    if fusion in {"image_only", "history_only"}:
        msg = (
            f"the bundle {bundle.identity.name} reads only one of image and history (model.fusion "
            f"is {fusion}): train one that reads both, with training.contrast_weight above 0"
        )
        raise UsageError(msg)
    if not training.contrast_weight > 0:
        msg = (
            f"the bundle {bundle.identity.name} was trained with training.contrast_weight 0, so "
            "its space of image and history is random: train one with a weight above 0, say 0.1"
        )
        raise UsageError(msg)


def find_similar(
    cohort: Cohort, bundle: Bundle, question: Question, *, progress: Progress = silent
) -> SimilarCases:
    """Place every study of a cohort and list those nearest to one of them.

    Of an ensemble the first member's space is used: the members' axes have nothing in common.

    Parameters
    ----------
    cohort
        Opened with the bundle's protocol.

    Raises
    ------
    UsageError
        If the case is not in the cohort, cannot be placed, or has nothing of what is to be
        compared, or if the bundle has no trained space.
    """
    require_common_space(bundle)
    known = {study.study_uid: study for study in cohort.inventory.studies}
    if question.study_uid not in known:
        msg = (
            f"the cohort has no study {question.study_uid}: give one of its Study Instance UIDs, "
            "which studies.csv of synopt inspect lists"
        )
        raise UsageError(msg)
    asked = _place_of_case(cohort, bundle, known[question.study_uid], question.by)
    places, left_out = [asked], []
    others = [study for uid, study in known.items() if uid != question.study_uid]
    for number, study in enumerate(others):
        progress("placing cases", number, len(others))
        found = place(cohort, bundle, study)
        if isinstance(found, Place):
            places.append(found)
        else:
            left_out.append(found)
    progress("placing cases", len(others), len(others))
    return _answer(bundle, question, places, left_out)


def place(cohort: Cohort, bundle: Bundle, study: Study) -> Place | LeftOut:
    """Return where a study lies, or why it lies nowhere, by the rules of an assessment."""
    case = read_case(cohort, study)
    if not is_readable(study, case):
        return LeftOut(study_uid=study.study_uid, status="refused", reasons=_reasons(case))
    if case.is_empty or has_errors(case.issues):
        return LeftOut(study_uid=study.study_uid, status="withheld", reasons=_reasons(case))
    first = replace(bundle, networks=bundle.networks[:1])
    inputs = model_input(case, bundle.protocol, bundle.text_encoder, bundle.table_transform)
    output = first.unsettled([inputs])
    unlike = [*unlike_training(bundle, output, inputs, case), *header_issues(bundle, study, case)]
    if has_errors(unlike):
        return LeftOut(study_uid=study.study_uid, status="withheld", reasons=_errors(unlike))
    is_unlike = any(issue.severity is Severity.WARNING for issue in unlike)
    return Place(study, output.embedding[0].double().cpu().numpy(), is_unlike)


def similarities(case: Array, others: Array, by: ComparedBy) -> tuple[Array, list[Comparison]]:
    """Return the cosines of a case with others, NaN where either lacks a part.

    Parameters
    ----------
    case : shape (2, E)
    others : shape (n, 2, E)
        Of unit length, or zeros where absent.

    Returns
    -------
    cosines : shape (n, P)
    comparisons
        What each of the P columns compares.
    """
    asked, columns = _comparisons(by), []
    for comparison in asked:
        mine, theirs = COMPARISONS[comparison]
        there = case[mine].any() & others[:, theirs].any(-1)
        cosine = np.clip(others[:, theirs] @ case[mine], -1.0, 1.0)
        columns.append(np.where(there, cosine, np.nan))
    return np.stack(columns, axis=-1), asked


def check_space(vectors: Array, patients: Sequence[str]) -> SpaceCheck | None:
    """Say how often an image lies nearer to its own history than to another patient's.

    Parameters
    ----------
    vectors : shape (n, 2, E)
        Zeros where absent.
    patients
        Whose each is; "" if unknown, and then like no other.

    Returns
    -------
    SpaceCheck, or None if no two patients have both an image and a history.
    """
    there = vectors.any(-1).all(-1)
    keys = np.array([key or f"\0{row}" for row, key in enumerate(patients)])[there]
    alike = vectors[there, IMAGE] @ vectors[there, HISTORY].T
    other = keys[:, None] != keys[None]
    if not other.any():
        return None
    own = np.diag(alike)[:, None]
    won = np.where(own > alike, 1.0, np.where(own == alike, 0.5, 0.0))
    return SpaceCheck(n_cases=int(there.sum()), own_nearer=float(won[other].mean()))


def _place_of_case(cohort: Cohort, bundle: Bundle, study: Study, by: ComparedBy) -> Place:
    found = place(cohort, bundle, study)
    if isinstance(found, LeftOut):
        msg = (
            f"the study {study.study_uid} is {found.status} ({', '.join(found.reasons)}): "
            "it has no place among the others"
        )
        raise UsageError(msg)
    needed = [COMPARISONS[comparison][0] for comparison in _comparisons(by)]
    if not found.vectors[needed].any():
        what, other = ("image", "history") if needed == [IMAGE] else ("history", "image")
        msg = f"the study {study.study_uid} has no {what} to compare: ask by its {other}"
        raise UsageError(msg)
    return found


def _comparisons(by: ComparedBy) -> list[Comparison]:
    return ["image", "history"] if by == "both" else [by]


def _answer(
    bundle: Bundle, question: Question, places: Sequence[Place], left_out: Sequence[LeftOut]
) -> SimilarCases:
    """Rank the places against the first of them."""
    asked, patients = places[0], [normalised(one.study.patient_id) for one in places]
    own = [bool(patients[0]) and patient == patients[0] for patient in patients[1:]]
    if question.same_patient:
        own = [False] * len(own)
    others = [one for one, is_own in zip(places[1:], own, strict=True) if not is_own]
    neighbours = _ranked(asked, others, question.by)
    return SimilarCases(
        bundle=bundle.identity,
        study_uid=question.study_uid,
        is_unlike_training=asked.is_unlike_training,
        by=question.by,
        neighbours=tuple(neighbours[: question.n]),
        n_compared=len(neighbours),
        n_nothing_in_common=len(others) - len(neighbours),
        n_same_patient=sum(own),
        left_out=tuple(left_out),
        space=check_space(np.stack([one.vectors for one in places]), patients),
    )


def _ranked(asked: Place, others: Sequence[Place], by: ComparedBy) -> list[Neighbour]:
    """Return all that can be compared, nearest first; of equal ones by UID."""
    if not others:
        return []
    vectors = np.stack([one.vectors for one in others])
    cosines, comparisons = similarities(asked.vectors, vectors, by)
    found = [
        Neighbour(
            study_uid=one.study.study_uid,
            similarity=float(np.nanmean(row)),
            compared=tuple(
                name for name, cosine in zip(comparisons, row, strict=True) if not np.isnan(cosine)
            ),
            is_unlike_training=one.is_unlike_training,
        )
        for one, row in zip(others, cosines, strict=True)
        if not np.isnan(row).all()
    ]
    return sorted(found, key=lambda one: (-one.similarity, one.study_uid))


def _reasons(case: Case) -> tuple[IssueCode, ...]:
    """Return the codes for which a case cannot be used: its own, else those of its series."""
    groups: list[Sequence[Issue]] = [
        case.issues, [issue for use in case.series for issue in use.issues]
    ]  # fmt: skip
    return next(filter(None, map(_errors, groups)), (IssueCode.NOTHING_TO_READ,))


def _errors(issues: Sequence[Issue]) -> tuple[IssueCode, ...]:
    errors = [issue.code for issue in issues if issue.severity is Severity.ERROR]
    return tuple(dict.fromkeys(errors))
