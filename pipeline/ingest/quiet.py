"""Untrusted files are parsed without a word: libraries would repeat what the files hold."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config

_LOGGERS = ("pydicom", "pylibjpeg", "openjpeg", "libjpeg", "rle")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and log records of the DICOM libraries, which may show header values, away.

    Values are not validated meanwhile; ingest checks each that it uses. The state is that of the
    process, so what other threads warn meanwhile may be lost too.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.propagate for logger in loggers]
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.propagate = False
            yield
        finally:
            for logger, propagate in zip(loggers, before, strict=True):
                logger.propagate = propagate
