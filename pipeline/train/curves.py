"""Training curves as TensorBoard's event files."""

from importlib.util import find_spec
from pathlib import Path

from transformers.integrations.integration_utils import TensorBoardCallback

from pipeline.errors import UsageError


def require_tensorboard() -> None:
    """Refuse curves where the package that writes them is not there.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    if find_spec("tensorboard") is None:
        msg = "curves need the package tensorboard: pip install 'synopt[tensorboard]'"
        raise UsageError(msg)


def curves_in(folder: Path) -> TensorBoardCallback:
    """Return what writes each epoch's training loss and what the monitor finds to a folder."""
    callback = TensorBoardCallback()  # type: ignore[no-untyped-call]
    callback.logging_dir = str(folder)
    return callback
