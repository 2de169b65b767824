"""Several worker processes on this machine (joblib's loky), with the threads of each one limited."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from bench.errors import WorkerLostError

J = TypeVar("J")
R = TypeVar("R")


def run_in_processes(function: Callable[[J], R], jobs: Iterable[J], workers: int, threads: int) -> Iterator[R]:
    """Do the jobs with ``workers`` at a time; a new job starts whenever a worker is free.

    Args:
        function: Importable by name.
        jobs: Picklable; names and numbers.
        workers: Processes.
        threads: For the numerical libraries of each process.

    Raises:
        WorkerLostError: A worker died.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config(backend="loky", inner_max_num_threads=threads):
        parallel = Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
        try:
            yield from parallel(delayed(function)(job) for job in jobs)
        except TerminatedWorkerError:
            raise WorkerLostError("a worker process died: it was killed, or ran out of memory") from None
