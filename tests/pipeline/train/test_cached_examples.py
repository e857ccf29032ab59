import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import torch

from pipeline import seen
from pipeline.cohort import Cohort, open_cohort
from pipeline.errors import UsageError
from pipeline.history import read_labels
from pipeline.model.text_encoder import TextEncoder, load_text_encoder
from pipeline.progress import silent
from pipeline.protocol import read_protocol
from pipeline.store import Kept, Store, open_store
from pipeline.train.examples import Example, read_examples
from schemas.protocol import Protocol

SAMPLES = Path(__file__).parents[3] / "data_samples"
PATIENTS = ("BR167-00001", "BR167-00007")


@pytest.fixture(scope="module")
def asked() -> Protocol:
    return read_protocol(SAMPLES / "protocols" / "brain_mr.yaml")


@pytest.fixture(scope="module")
def encoder(asked: Protocol) -> TextEncoder:
    return load_text_encoder(asked.model)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled patients of the sample."""
    folder = tmp_path_factory.mktemp("cohort")
    shutil.copytree(SAMPLES / "brain_mr" / "annotations", folder / "annotations")
    for patient in PATIENTS:
        shutil.copytree(SAMPLES / "brain_mr" / "dicom" / patient, folder / "dicom" / patient)
    for name in ("tabular.csv", "notes.csv", "labels.csv"):
        frame = pd.read_csv(SAMPLES / "brain_mr" / name, dtype=str, keep_default_na=False)
        frame[frame["patient_id"].isin(PATIENTS)].to_csv(folder / name, index=False)
    return folder


@pytest.fixture
def cohort(few: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(few, tmp_path / "cohort"))


def read(
    folder: Path, asked: Protocol, encoder: TextEncoder, store: Store | None = None
) -> list[Example]:
    opened = open_cohort(folder, asked)
    labels = read_labels(folder, asked)
    return read_examples(opened, labels, encoder, progress=silent, store=store)


def flat(value: object) -> object:
    """Everything that a value holds, arrays as their type, shape and bytes."""
    if isinstance(value, torch.Tensor):
        return flat(value.numpy())
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: flat(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [flat(one) for one in value]
    return repr(value) if isinstance(value, slice) else value


@pytest.fixture
def n_read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often an image was read, and sentences."""
    counts = {"image": 0, "text": 0}
    read_one, encode = seen._read, seen.encode_phrases

    def counted(cohort: Cohort, study: object) -> object:
        counts["image"] += 1
        return read_one(cohort, study)  # type: ignore[arg-type]

    def counted_text(bert: TextEncoder, texts: list[str]) -> torch.Tensor:
        counts["text"] += 1
        return encode(bert, texts)

    monkeypatch.setattr(seen, "_read", counted)
    monkeypatch.setattr(seen, "encode_phrases", counted_text)
    return counts


def test_what_is_kept_is_what_is_read_to_the_byte(
    cohort: Path, asked: Protocol, encoder: TextEncoder, tmp_path: Path, n_read: dict[str, int]
) -> None:
    plain = read(cohort, asked, encoder)
    assert len(plain) == 2
    assert all(one.image is not None and one.text is not None for one in plain)
    store = open_store(tmp_path / "cache")
    n_read.update(image=0, text=0)
    first = read(cohort, asked, encoder, store)
    assert n_read == {"image": 2, "text": 2}
    again = read(cohort, asked, encoder, store)
    assert n_read == {"image": 2, "text": 2}
    assert flat(plain) == flat(first) == flat(again)


def test_the_cache_names_nobody_and_holds_no_note(
    cohort: Path, asked: Protocol, encoder: TextEncoder, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    (one, _) = read(cohort, asked, encoder, open_store(folder))
    assert folder.stat().st_mode & 0o077 == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 4
    word = one.history.notes[0].text.split(".")[0].encode()
    for path in files:
        name, content = str(path.relative_to(folder)), path.read_bytes()
        for known in (*PATIENTS, one.study_uid):
            assert known not in name
            assert known.encode() not in content
        assert word not in content


def test_nothing_stale_is_taken(
    cohort: Path, asked: Protocol, encoder: TextEncoder, tmp_path: Path, n_read: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = open_store(tmp_path / "cache")

    def newly_read(folder: Path = cohort, protocol: Protocol = asked) -> tuple[int, int]:
        n_read.update(image=0, text=0)
        read(folder, protocol, encoder, store)
        return n_read["image"], n_read["text"]

    assert newly_read() == (2, 2)
    assert newly_read() == (0, 0)
    # What neither images nor sentences hang on.
    training = asked.training.model_copy(update={"seed": 9})
    assert newly_read(protocol=asked.model_copy(update={"training": training})) == (0, 0)
    window = asked.intensity.model_copy(update={"headroom": asked.intensity.headroom + 0.5})
    assert newly_read(protocol=asked.model_copy(update={"intensity": window})) == (2, 0)
    # One bit of one pixel of one file.
    path = sorted((cohort / "dicom" / PATIENTS[0]).rglob("*.dcm"))[0]
    dataset = pydicom.dcmread(path)
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 1
    dataset.PixelData = bytes(pixels)
    dataset.save_as(path)
    assert newly_read() == (1, 0)
    notes = pd.read_csv(cohort / "notes.csv", dtype=str, keep_default_na=False)
    row = notes.index[notes["patient_id"] == PATIENTS[1]][0]
    notes.loc[row, "text"] += " No more fits."
    notes.to_csv(cohort / "notes.csv", index=False)
    assert newly_read() == (0, 1)
    monkeypatch.setattr(seen, "code_sha256", lambda _: "edited")
    assert newly_read() == (2, 2)


def test_a_damaged_file_is_made_anew_and_said_once(
    cohort: Path, asked: Protocol, encoder: TextEncoder, tmp_path: Path, n_read: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder = tmp_path / "cache"
    plain = read(cohort, asked, encoder, open_store(folder))
    for number, path in enumerate(sorted(folder.rglob("*.safetensors"))):
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content[: len(content) // 2] if number % 2 else content)
    n_read.update(image=0, text=0)
    with caplog.at_level(logging.WARNING):
        again = read(cohort, asked, encoder, open_store(folder))
    assert n_read == {"image": 2, "text": 2}
    assert flat(plain) == flat(again)
    assert len([one for one in caplog.records if "damaged" in one.message]) == 1
    read(cohort, asked, encoder, open_store(folder))
    assert n_read == {"image": 2, "text": 2}


def test_a_study_that_cannot_be_read_is_tried_again(
    cohort: Path, asked: Protocol, encoder: TextEncoder, tmp_path: Path, n_read: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = open_store(tmp_path / "cache")
    whole = seen._read
    with monkeypatch.context() as patched:
        patched.setattr(seen, "_read", lambda *of: dataclasses.replace(whole(*of), has_errors=True))
        with pytest.raises(UsageError, match="no study"):
            read(cohort, asked, encoder, store)
    assert len(read(cohort, asked, encoder, store)) == 2


def test_a_full_disk_stops_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    kept = Kept({"a": torch.ones(2)}, {})
    with caplog.at_level(logging.WARNING):
        store.put("one", kept)
        store.put("two", kept)
    assert len(caplog.records) == 1
    assert store.get("one") is None


def test_code_that_is_new_counts_until_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import code_version  # noqa: PLC0415

    monkeypatch.setattr(code_version, "ROOT", tmp_path)
    for name in ("pipeline/a.py", "pipeline/report/b.py", "schemas/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    def now(*without: str) -> str:
        code_version.code_sha256.cache_clear()
        return code_version.code_sha256(without)

    before, narrow = now(), now("pipeline/report")
    assert before != narrow
    (tmp_path / "pipeline/report/b.py").write_text("x = 1")
    assert now() != before
    assert now("pipeline/report") == narrow
    (tmp_path / "pipeline/report_too.py").write_text("")
    assert now("pipeline/report") != narrow
    code_version.code_sha256.cache_clear()


def test_every_file_that_does_not_read_is_there() -> None:
    root = Path(seen.__file__).parent.parent
    assert [name for name in seen.NOT_READING if not (root / name).exists()] == []
