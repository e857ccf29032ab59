from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.errors import UsageError
from pipeline.preprocess import fit_table_transform
from pipeline.progress import silent
from pipeline.train import Source, curves, train_bundle
from pipeline.train.checkpoints import Work
from pipeline.train.loop import fit
from pipeline.train.work import Keeping
from schemas.protocol import Protocol
from tests.pipeline.model.networks import new_network
from tests.pipeline.train.test_fit import example


def test_curves_hold_the_losses_and_what_each_modality_moves(
    tiny_protocol: Protocol, tmp_path: Path
) -> None:
    training = tiny_protocol.training.model_copy(update={"epochs": 2, "freeze_image": True})
    protocol = tiny_protocol.model_copy(update={"training": training})
    cases = [example(number) for number in range(48)]
    transform = fit_table_transform([case.history for case in cases], protocol.table)
    torch.manual_seed(0)
    network = new_network(protocol, transform.width)
    work = Work(tmp_path / "work", curves=tmp_path / "curves").member(3)
    fit(network, cases[:32], cases[32:], transform, protocol, silent, work=work)
    found = EventAccumulator(str(tmp_path / "curves" / "member_3" / "fused")).Reload()
    names = {"train/loss", "eval/outcome_loss", "eval/logits_lesion", "eval/image_moves_lesion"}
    assert names <= set(found.Tags()["scalars"])
    assert [point.step for point in found.Scalars("eval/outcome_loss")] == [2, 4]
    assert all(point.value > 0 for point in found.Scalars("train/loss"))


def test_without_tensorboard_curves_are_refused_before_anything_is_read(
    tiny_protocol: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"synopt\[tensorboard\]"):
        train_bundle(
            Source(tmp_path / "none"),
            tiny_protocol,
            tmp_path / "bundle",
            keeping=Keeping(curves=tmp_path),
        )
