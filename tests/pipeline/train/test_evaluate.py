from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.bundle import Bundle
from pipeline.errors import RecordsError, UsageError
from pipeline.train import Source, labelled
from pipeline.train import evaluate as judging
from schemas.bundle import BundleIdentity
from schemas.protocol import Protocol
from tests.pipeline.history.malformed import PROTOCOL

IDENTITY = BundleIdentity(
    name="p", sha256="0" * 64, protocol_sha256=PROTOCOL.sha256(), image_encoder="i",
    text_encoder="t", text_sha256="0" * 64, n_train=1, is_simulated=True,
)  # fmt: skip


class Reached(Exception):  # noqa: N818
    """The cohort was to be opened."""


@pytest.fixture
def opened_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Protocol | None], Protocol]:
    """Evaluate a bundle without a network, up to where the cohort is opened."""
    nothing: Any = None
    bundle = Bundle(
        PROTOCOL, nothing, nothing, nothing, calibrators=(), reference=nothing, metrics=(),
        identity=IDENTITY,
    )  # fmt: skip

    def reach(_: Path, protocol: Protocol, **__: object) -> None:
        raise Reached(protocol)

    monkeypatch.setattr(judging, "load_bundle", lambda _: bundle)
    monkeypatch.setattr(labelled, "open_cohort", reach)

    def run(cohort: Path, protocol: Protocol | None) -> Protocol:
        with pytest.raises(Reached) as reached:
            judging.evaluate(Source(cohort), Path("bundle"), protocol=protocol)
        (found,) = reached.value.args
        assert isinstance(found, Protocol)
        return found

    return run


def test_the_sites_own_parts_reach_labels_and_cohort(
    opened_with: Callable[[Path, Protocol | None], Protocol], tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("patient_id,study_uid,lesion\n7,1.2,1\n")
    changes = {"timezone": "Europe/Berlin", "identity": {"match": "normalised"}}
    site = Protocol.model_validate(PROTOCOL.model_dump() | changes)
    assert opened_with(tmp_path, site) == site
    assert opened_with(tmp_path, None) == PROTOCOL
    other = Protocol.model_validate(PROTOCOL.model_dump() | {"export": {"delimiter": ";"}})
    with pytest.raises(RecordsError, match="no column patient_id"):
        opened_with(tmp_path, other)


def test_a_protocol_that_training_did_not_see_is_refused(
    opened_with: Callable[[Path, Protocol | None], Protocol], tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("patient_id,study_uid,lesion\n7,1.2,1\n")
    other = PROTOCOL.model_copy(update={"look_back_days": PROTOCOL.look_back_days + 1})
    with pytest.raises(UsageError, match="another protocol"):
        opened_with(tmp_path, other)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"table": PROTOCOL.table[:1]}, "table"),
        ({"look_back_days": 1}, "look_back_days"),
        ({"tasks": ({"name": "other", "question": "Is there another?"},)}, "tasks"),
    ],
)
def test_a_rival_that_reads_or_answers_something_else_is_refused(
    change: dict[str, object], what: str
) -> None:
    nothing: Any = None
    encoder: Any = SimpleNamespace(sha256="0")
    one, other = (
        Bundle(protocol, nothing, encoder, nothing, calibrators=(), reference=nothing, metrics=(),
               identity=IDENTITY)
        for protocol in (PROTOCOL, Protocol.model_validate(PROTOCOL.model_dump() | change))
    )  # fmt: skip
    judging._require_comparable(one, one)
    with pytest.raises(UsageError, match=f"has other {what}"):
        judging._require_comparable(one, other)
