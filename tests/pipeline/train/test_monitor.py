import logging

import numpy as np
import pytest
import torch
from transformers import EvalPrediction

from pipeline.model.network import FusedNetwork
from pipeline.train.monitor import Monitor
from pipeline.train.supervised import Supervised
from schemas.protocol import Protocol

LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, np.nan]], dtype=np.float32)
SIGNS = np.where(LABELS == 1, 1.0, -1.0).astype(np.float32)


@pytest.fixture
def monitor(protocol: Protocol) -> Monitor:
    network = FusedNetwork(
        protocol, 2, torch.randn(2, 8), text_mean=torch.zeros(8), text_scale=torch.ones(8)
    )
    return Monitor(Supervised(network, protocol, image_only=False), protocol)


def judged(
    *, whole: float, image: float, history: float, notes: float = 0.0, moves: float = 1.0
) -> EvalPrediction:
    """Logits of the right sign and of these sizes; what each modality moved."""
    parts = [SIGNS * size for size in (whole, image, history, notes, 0.0)]
    return EvalPrediction(predictions=(*parts, *[SIGNS * moves] * 3), label_ids=LABELS)


def test_the_losses_and_what_each_modality_moves_are_measured(monitor: Monitor) -> None:
    found = monitor(judged(whole=2.0, image=1.0, history=0.0, moves=0.5))
    assert found["logits_lesion"] == pytest.approx(np.log1p(np.exp(-2.0)), abs=1e-6)
    assert found["history_alone_fit"] == pytest.approx(np.log(2.0), abs=1e-6)
    assert found["outcome_loss"] == pytest.approx(np.log1p(np.exp(-2.0)), abs=1e-6)
    assert found["table_moves_lesion"] == pytest.approx(0.5)  # half each way from their mean of 0


def test_fusion_that_is_no_worse_than_its_parts_raises_no_alarm(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        monitor(judged(whole=2.0, image=1.0, history=2.0))
    assert not caplog.records


def test_where_a_part_is_never_read_nobody_is_told_that_it_moves_nothing(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    model = monitor.protocol.model.model_copy(update={"fusion": "image_only"})
    monitor.protocol = monitor.protocol.model_copy(update={"model": model})
    with caplog.at_level(logging.WARNING):
        monitor(judged(whole=1.0, image=1.0, history=0.0, moves=0.0))
    assert not caplog.records


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param({"whole": 0.5, "image": 1.0, "history": 0.1}, "worse than image", id="image"),
        pytest.param({"whole": 0.5, "image": 0.1, "history": 1.0}, "worse than history", id="rest"),
        pytest.param(
            {"whole": 1.0, "image": 0.1, "history": 0.1, "moves": 0.01},
            "moves the logit",
            id="still",
        ),
    ],
)
def test_a_fusion_below_its_best_part_or_a_still_modality_raises_an_alarm(
    monitor: Monitor, caplog: pytest.LogCaptureFixture, parts: dict[str, float], message: str
) -> None:
    with caplog.at_level(logging.WARNING):
        monitor(judged(**parts))
    assert any(message in record.getMessage() for record in caplog.records)


def test_notes_by_themselves_are_watched_where_they_are_taught_so(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    said = judged(whole=0.5, image=0.1, history=0.1, notes=1.0)
    with caplog.at_level(logging.WARNING):
        assert "text_alone_lesion" not in monitor(said)
        assert not caplog.records
        training = monitor.protocol.training.model_copy(update={"modality_weight": 0.3})
        monitor.protocol = monitor.protocol.model_copy(update={"training": training})
        assert monitor(said)["text_alone_lesion"] == pytest.approx(np.log1p(np.exp(-1.0)), abs=1e-6)
    assert any("worse than text alone" in record.getMessage() for record in caplog.records)


def test_while_the_image_branch_trains_alone_there_is_no_alarm(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    monitor.supervised.image_only = True
    with caplog.at_level(logging.WARNING):
        monitor(judged(whole=0.1, image=1.0, history=1.0, moves=0.0))
    assert not caplog.records
