"""Untrusted files are parsed without a word: libraries would repeat what the files hold."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from pydicom import config

_LOGGERS = [
    logging.getLogger(name) for name in ("pydicom", "pylibjpeg", "openjpeg", "libjpeg", "rle")
]


@dataclass(slots=True)
class _Silence:
    """Who is inside ``quiet`` now, and what the last one to leave must restore."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    n_inside: int = 0
    restore: ExitStack = field(default_factory=ExitStack)


_SILENCE = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and log records of the DICOM libraries, which may show header values, away.

    Values are not validated meanwhile; ingest checks each that it uses. The state belongs to the
    process: the first thread to enter changes it, the last to leave restores it, and what other
    threads warn of in between is lost too.
    """
    with _SILENCE.lock:
        _SILENCE.n_inside += 1
        if _SILENCE.n_inside == 1:
            _SILENCE.restore.enter_context(_silenced())
    try:
        yield
    finally:
        with _SILENCE.lock:
            _SILENCE.n_inside -= 1
            if _SILENCE.n_inside == 0:
                _SILENCE.restore.close()


@contextmanager
def _silenced() -> Iterator[None]:
    before = [logger.propagate for logger in _LOGGERS]
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in _LOGGERS:
                logger.propagate = False
            yield
        finally:
            for logger, propagate in zip(_LOGGERS, before, strict=True):
                logger.propagate = propagate
