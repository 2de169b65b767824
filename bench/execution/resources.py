"""Where an experiment's runs are carried out: engine, workers, device."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from bench.contracts.errors import BenchError
from bench.evaluation.profiling.clocks import resolve_device
from bench.execution.engines import Pool, engine
from bench.execution.engines.processes import cores_for
from bench.execution.experiment import Experiment

ONE_AT_A_TIME = ("serial", "inline")


def pool_of(experiment: Experiment, device: str) -> AbstractContextManager[Pool]:
    """Who carries the runs out.

    Args:
        experiment: For engine, workers, threads, and what is said of ray.
        device: From `device_of`: a worker of ray's on ``cuda`` has a GPU, unless another share is asked for.
    """
    options = experiment.ray
    if options.gpus is None and torch.device(device).type == "cuda":
        options = options.model_copy(update={"gpus": 1.0})
    return engine(experiment.engine, options)(experiment.workers, experiment.threads)


def workers_expected(experiment: Experiment) -> int:
    """How many runs there will be at a time, while nobody has asked a cluster yet."""
    return 1 if experiment.engine in ONE_AT_A_TIME else experiment.workers or cores_for(experiment.threads)


def device_of(experiment: Experiment) -> str:
    """The device of an experiment's runs, resolved.

    With ``ray`` it may be another machine's: then a kind that is given counts as it is, ``auto`` is what this machine
    has, or ``cuda`` where the experiment asks for GPUs; which GPUs a worker has, ray decides.

    Raises:
        BenchError: There is no such device, or it is not here.
    """
    if experiment.engine != "ray" or (experiment.device == "auto" and not experiment.ray.gpus):
        return str(resolve_device(experiment.device))
    if experiment.device == "auto":
        return "cuda"
    try:
        return torch.device(experiment.device).type
    except RuntimeError:
        raise BenchError(f"Unknown device {experiment.device!r}: use auto, cpu, cuda or mps") from None
