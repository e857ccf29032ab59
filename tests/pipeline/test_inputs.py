"""What the input check measures, and that it tells odd images and notes from usual ones."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from pipeline.calibration import Reference, Summary, fit_reference, fit_space, outside_reference
from pipeline.geometry import Geometry
from pipeline.inputs import intensities, note_lengths, quantities
from pipeline.preprocess import image_input
from pipeline.tensors import ImageInput
from pipeline.volume import Volume
from schemas.grid import Intensity
from schemas.history import History, Note
from schemas.issue import Severity
from schemas.protocol import Protocol

WRITTEN = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def mr(tiny_protocol: Protocol) -> Protocol:
    scaled = Intensity(kind="percentile", low=1.0, high=75.0, headroom=1.0)
    return tiny_protocol.model_copy(update={"intensity": scaled})


def head(volume: Volume, radius_mm: float) -> Volume:
    """A bright ball of tissue in dark air; gain and noise are other ones for each size."""
    random = np.random.default_rng(int(100 * radius_mm))
    geometry = volume.geometry
    places = geometry.to_mm(np.stack(np.indices(geometry.shape), axis=-1)) - geometry.centre_mm
    inside = np.linalg.norm(places, axis=-1) < radius_mm
    tissue = random.normal(100, 25, geometry.shape) * inside
    array = (tissue + np.abs(random.normal(0, 3, geometry.shape))) * random.uniform(0.5, 5)
    return replace(volume, array=array.astype(np.float32))


def notes(*texts: str) -> History:
    found = tuple(Note(written_at=WRITTEN, kind="letter", text=text) for text in texts)
    return History(at=WRITTEN, notes=found)


def measured(volume: Volume, protocol: Protocol, history: History) -> dict[str, float]:
    return dict(quantities(volume, image_input([volume], protocol), history))


@pytest.fixture
def known(volume: Volume, mr: Protocol) -> Reference:
    random = np.random.default_rng(0)
    space = fit_space(random.normal(size=(20, 2)), random.normal(size=(20, 2)))
    cases = [
        measured(head(volume, radius), mr, notes("word " * (20 + 5 * number)))
        for number, radius in enumerate(np.linspace(38.0, 44.0, 13))
    ]
    return fit_reference(space, None, cases)


def flagged(known: Reference, values: dict[str, float]) -> list[str]:
    nothing = Summary(image=None, history=None)
    found = outside_reference(known, nothing, values, severity=Severity.WARNING)
    return [issue.message for issue in found]


def test_usual_images_and_notes_are_let_through(
    volume: Volume, mr: Protocol, known: Reference
) -> None:
    for radius in (38.7, 40.3, 42.9):
        assert flagged(known, measured(head(volume, radius), mr, notes("word " * 60))) == []


@pytest.mark.parametrize("fault", ["inverted", "clipped", "flat"])
def test_an_odd_image_is_flagged(
    volume: Volume, mr: Protocol, known: Reference, fault: str
) -> None:
    usual = head(volume, 41.3).array
    arrays = {
        "inverted": usual.max() - usual,
        "clipped": np.minimum(usual, usual.max() / 10),
        "flat": 100.0 + usual / usual.max(),
    }
    odd = replace(volume, array=arrays[fault].astype(np.float32))
    said = flagged(known, measured(odd, mr, notes("word " * 60)))
    assert said
    assert all("intensities of series 1" in message for message in said)


def test_an_image_that_is_inverted_on_the_networks_scale_is_flagged(
    volume: Volume, mr: Protocol, known: Reference
) -> None:
    image = image_input([head(volume, 41.3)], mr)
    assert flagged(known, dict(intensities(image))) == []
    assert flagged(known, dict(intensities(replace(image, voxels=-image.voxels))))


def test_notes_of_a_length_that_no_training_case_had_are_flagged(known: Reference) -> None:
    (said,) = flagged(known, dict(note_lengths(notes("word " * 50_000))))
    assert "length of the notes (words) is 50000" in said
    said = " ".join(flagged(known, dict(note_lengths(notes(*["word"] * 40)))))
    assert "number of notes is 40" in said


def test_missing_notes_and_a_missing_image_are_not_compared(known: Reference) -> None:
    assert quantities(None, None, History(at=None)) == {}
    assert flagged(known, dict(note_lengths(History(at=None)))) == []


def test_quartiles_are_of_scanned_voxels_alone_and_a_missing_series_has_none() -> None:
    voxels = torch.full((2, 1, 2, 5), -1.0)
    scanned = torch.zeros_like(voxels, dtype=torch.bool)
    voxels[1, 0, 0] = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    scanned[1, 0, 0] = True
    found = intensities(ImageInput(voxels, scanned, Geometry(np.eye(4)[[2, 1, 0, 3]], (1, 2, 5))))
    of = "of the intensities of series 2 (scaled)"
    assert found == {
        f"lower quartile {of}": 0.25, f"median {of}": 0.5, f"upper quartile {of}": 0.75,
    }  # fmt: skip


def test_an_image_kept_in_half_precision_has_the_same_quartiles_within_the_slack(
    volume: Volume, mr: Protocol
) -> None:
    image = image_input([head(volume, 41.3)], mr)
    kept = intensities(replace(image, voxels=image.voxels.half().float()))
    assert kept == pytest.approx(dict(intensities(image)), abs=0.001)
