from datetime import datetime
from types import SimpleNamespace

import pytest
import torch

from pipeline.explain import evidence_of
from pipeline.tensors import ModelInput, TableInput
from schemas.history import ConceptValue, History, TableValue
from schemas.notes_rule import Concept
from schemas.protocol import Protocol

SCAN = datetime(2024, 5, 31, 14, 30)


def test_columns_and_concepts_get_their_own_parts_in_order(protocol: Protocol) -> None:
    concepts = (Concept(name="weakness", label="Side", kind="side", words=("weak",)),)
    asked = protocol.model_copy(update={"concepts": concepts})
    history = History(
        at=SCAN,
        values=tuple(TableValue(name=c.name, value=None) for c in protocol.table),
        concepts=(
            ConceptValue(
                name="weakness", value="left", written_at=SCAN, kind="letter",
                quote="Left arm weak.",
            ),
        ),
    )  # fmt: skip
    additions = torch.tensor([[[0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]]])
    output = SimpleNamespace(
        table=additions, bias=torch.tensor([0.5, -1.0]), image=torch.zeros(1, 2, 3),
        text=torch.zeros(1, 2, 0),
    )  # fmt: skip
    inputs = ModelInput(
        None, None, TableInput(torch.zeros(4, 5), torch.ones(4, dtype=torch.bool), 1)
    )
    evidence = evidence_of(output, 1, inputs, history, asked)  # type: ignore[arg-type]
    assert [part.contribution for part in evidence.table] == [1.0, 2.0, 3.0]
    concept = evidence.concepts[0]
    assert (concept.label, concept.value, concept.quote) == ("Side", "left", "Left arm weak.")
    assert concept.contribution == 4.0
    assert evidence.total() == pytest.approx(-1.0 + 10.0)
