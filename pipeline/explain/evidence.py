"""Which facts moved a logit, and by how much."""

from pipeline.tensors import ModelInput, ModelOutput
from schemas.history import History
from schemas.prediction import ConceptEvidence, Evidence, NoteEvidence, TableEvidence
from schemas.protocol import Protocol


def evidence_of(
    output: ModelOutput,
    task_number: int,
    model_input: ModelInput,
    history: History,
    protocol: Protocol,
) -> Evidence:
    """Return the parts of one task's logit for the single case of a batch.

    Parameters
    ----------
    output
        Of a batch of one.
    task_number
        Position of the task in the protocol.
    model_input, history
        What the network read.
    protocol
        Its columns and concepts, in the history's order.
    """
    table = output.table[0, task_number].tolist()
    n_columns = len(protocol.table)
    return Evidence(
        bias=float(output.bias[task_number]),
        image=float(output.image[0, task_number].sum()),
        table=_table(table[:n_columns], history, protocol) if model_input.table else (),
        concepts=_concepts(table[n_columns:], history, protocol) if model_input.table else (),
        notes=_notes(output, task_number, model_input),
    )


def _table(
    additions: list[float], history: History, protocol: Protocol
) -> tuple[TableEvidence, ...]:
    return tuple(
        TableEvidence(
            name=value.name,
            label=column.label,
            value=value.value,
            unit=value.unit,
            contribution=addition,
        )
        for value, column, addition in zip(history.values, protocol.table, additions, strict=True)
    )


def _concepts(
    additions: list[float], history: History, protocol: Protocol
) -> tuple[ConceptEvidence, ...]:
    return tuple(
        ConceptEvidence(
            name=value.name, label=concept.label, value=value.value, unit=value.unit,
            written_at=value.written_at, kind=value.kind, quote=value.quote,
            contexts=value.contexts, contribution=addition,
        )
        for value, concept, addition in zip(
            history.concepts, protocol.concepts, additions, strict=True
        )
    )  # fmt: skip


def _notes(
    output: ModelOutput, task_number: int, model_input: ModelInput
) -> tuple[NoteEvidence, ...]:
    text = model_input.text
    if text is None:
        return ()
    additions = output.text[0, task_number].tolist()[: len(text.sentences)]
    return tuple(
        NoteEvidence(
            written_at=sentence.written_at, kind=sentence.kind, quote=sentence.text,
            contribution=addition,
        )
        for sentence, addition in zip(text.sentences, additions, strict=True)
    )  # fmt: skip
