"""Reading headers starts garbage collections, which need not look through all that is imported."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Frozen:
    """Who is inside ``fewer_collected`` now, and whether the last one to leave must unfreeze."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    n_inside: int = 0
    is_ours: bool = False


_FROZEN = _Frozen()


@contextmanager
def fewer_collected() -> Iterator[None]:
    """Keep what lives already out of garbage collections, and give it back afterwards.

    The state belongs to the process: the first thread to enter changes it, the last to leave
    restores it. Where the program has frozen something itself, nothing is changed.
    """
    with _FROZEN.lock:
        _FROZEN.n_inside += 1
        if _FROZEN.n_inside == 1 and gc.get_freeze_count() == 0:
            gc.freeze()
            _FROZEN.is_ours = True
    try:
        yield
    finally:
        with _FROZEN.lock:
            _FROZEN.n_inside -= 1
            if _FROZEN.n_inside == 0 and _FROZEN.is_ours:
                gc.unfreeze()
                _FROZEN.is_ours = False
