from pathlib import Path

import pytest

from pipeline.errors import RecordsError, UsageError
from pipeline.history import read_labels
from schemas.identity import IdentityRule
from schemas.protocol import Protocol
from schemas.series import Study
from tests.pipeline.history.malformed import PROTOCOL

LABELS = "patient_id,study_uid,lesion\n007,1.2,1\n8,1.3,\n9,1.4,0.0\n10,1.5,N/A\n"


def study(uid: str, patient_id: str) -> Study:
    return Study(study_uid=uid, patient_id=patient_id, series=(), content_sha256="0" * 64)


def test_an_empty_label_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    labels = read_labels(tmp_path, PROTOCOL)
    assert labels.values == {"1.2": (1.0,), "1.3": (None,), "1.4": (0.0,), "1.5": (None,)}


def test_a_class_may_be_called_what_elsewhere_says_that_nothing_is_known(tmp_path: Path) -> None:
    grades = {
        "name": "grade", "question": "How bad is it?", "kind": "ordinal",
        "classes": ["none", "mild", "severe"],
    }  # fmt: skip
    asked = Protocol.model_validate({**PROTOCOL.model_dump(), "tasks": [grades]})
    rows = "".join(f"7,1.{n},{word}\n" for n, word in enumerate(["none", "severe", "", "N/A"]))
    (tmp_path / "labels.csv").write_text(f"patient_id,study_uid,grade\n{rows}")
    found = read_labels(tmp_path, asked).values
    assert found == {"1.0": (0.0,), "1.1": (2.0,), "1.2": (None,), "1.3": (None,)}


def test_no_label_file_says_what_training_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labels"):
        read_labels(tmp_path, PROTOCOL)


def test_a_label_of_another_patient_is_named_by_its_study_alone(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    labels = read_labels(tmp_path, PROTOCOL)
    exact = IdentityRule()
    labels.require_same_patients({"1.2": "007", "1.4": "", "1.9": "x"}, exact)
    with pytest.raises(RecordsError) as caught:
        labels.require_same_patients({"1.2": "7", "1.3": "SECRET"}, exact)
    assert [text.split(":")[0] for text in caught.value.faults] == [
        "labels.csv, study 1.2", "labels.csv, study 1.3"
    ]  # fmt: skip
    assert "SECRET" not in str(caught.value)


def test_another_spelling_of_a_patient_is_the_same_where_it_pairs_and_only_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "labels.csv").write_text(LABELS)
    labels = read_labels(tmp_path, PROTOCOL)
    normalised = IdentityRule(match="normalised")
    labels.require_same_patients({"1.2": "7", "1.3": "0-8"}, normalised)
    for refused in (
        {"1.2": "7", "1.9": "07"},  # two spellings among the images
        {"1.2": "70"},
        {"1.2": "--"},
    ):
        with pytest.raises(RecordsError, match=r"labels\.csv, study 1\.2: "):
            labels.require_same_patients(refused, normalised)
    # two spellings among the labels
    (tmp_path / "labels.csv").write_text(LABELS + "7,1.6,1\n")
    twice = read_labels(tmp_path, PROTOCOL)
    twice.require_same_patients({"1.2": "007", "1.6": "7"}, normalised)
    with pytest.raises(RecordsError, match=r"labels\.csv, study 1\.2: "):
        twice.require_same_patients({"1.2": "07"}, normalised)
