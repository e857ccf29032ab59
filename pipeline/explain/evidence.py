"""Which facts moved a logit, and by how much."""

from pipeline.tensors import ModelInput, ModelOutput
from schemas.column import Column
from schemas.history import History
from schemas.prediction import Evidence, NoteEvidence, TableEvidence


def evidence_of(
    output: ModelOutput,
    task_number: int,
    model_input: ModelInput,
    history: History,
    columns: tuple[Column, ...],
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
    columns
        The protocol's table variables, in the history's order.
    """
    table = output.table[0, task_number].tolist()
    return Evidence(
        bias=float(output.bias[task_number]),
        image=float(output.image[0, task_number].sum()),
        table=_table(table, history, columns) if model_input.table else (),
        notes=_notes(output, task_number, model_input),
    )


def _table(
    additions: list[float], history: History, columns: tuple[Column, ...]
) -> tuple[TableEvidence, ...]:
    return tuple(
        TableEvidence(
            name=value.name,
            label=column.label,
            value=value.value,
            unit=value.unit,
            contribution=addition,
        )
        for value, column, addition in zip(history.values, columns, additions, strict=True)
    )


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
