"""Trainings, or other long jobs, beside each other on a CPU, each in a process with one thread.

What that gains over one after the other with all threads: `python -m benchmarks.members`.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

import torch
from threadpoolctl import threadpool_limits

from pipeline.progress import Progress
from pipeline.train.processes import is_on_cpu, n_processes

logger = logging.getLogger(__name__)

Job = Callable[[Progress], object]

PER_THREAD = 2
"""Jobs at once for each thread, at most: each has memory of its own beside what they share."""
SECONDS_BETWEEN_LOOKS = 0.2
"""At whether the process that forked a job is still there."""
SECONDS_TO_END = 5.0
"""For a job that was asked to; then it is killed."""


def is_worth_it(n_jobs: int) -> bool:
    """Say whether so many jobs keep all threads of this process busy, and may be forked."""
    is_alone = is_on_cpu() and n_processes() == 1 and "fork" in get_all_start_methods()
    return is_alone and 1 < torch.get_num_threads() <= n_jobs


def run_beside(jobs: Sequence[Job], progress: Progress) -> None:
    """Run all jobs, each in a fork of this process; return when all have ended.

    What a job makes must lie on disk: nothing is handed back. One that fails says so in the log,
    and stops no other. If this process is killed, they end too.

    Parameters
    ----------
    jobs
        Each takes where to report its progress, which is passed on to ``progress``.
    """
    waiting, most = list(jobs), PER_THREAD * torch.get_num_threads()
    running: dict[Connection, ForkProcess] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                reader, process = _start(waiting.pop(0))
                running[reader] = process
            for reader in [one for one in wait(list(running)) if isinstance(one, Connection)]:
                try:
                    progress(*reader.recv())
                except EOFError:
                    _ended(running.pop(reader))
    finally:
        _end(list(running.values()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, as a job beside others does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _start(job: Job) -> tuple[Connection, ForkProcess]:
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(job, writer, os.getpid()), daemon=True)
    process.start()
    writer.close()  # its end is then seen as the end of what can be read
    return reader, process


def _run(job: Job, writer: Connection, parent: int) -> None:
    """Run a job in this new process; OpenMP's threads do not survive a fork, so it has one."""
    # A progress bar may have put itself in their place, and its lock may be held in the parent.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with one_thread():
        job(lambda what, done, total: writer.send((what, done, total)))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _end(processes: Sequence[ForkProcess]) -> None:
    """End them, so that nobody writes any more."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(SECONDS_TO_END)
        if process.is_alive():
            process.kill()
            process.join()


def _ended(process: ForkProcess) -> None:
    process.join()
    if process.exitcode:
        logger.warning("a process beside others ended with %d before it was done", process.exitcode)
