"""Where an experiment's runs are carried out: engine, workers, device."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from bench.contracts.config import build
from bench.contracts.engine import ENGINES, Engine, Pool
from bench.contracts.errors import BenchError
from bench.evaluation.profiling.clocks import resolve_device
from bench.execution.engines.processes import cores_for
from bench.execution.experiment import Experiment


def engine_of(experiment: Experiment) -> Engine:
    """The engine of an experiment, with its options.

    Raises:
        BenchError: There is no such engine, an option is wrong, or a timeout is asked for and it has none.
    """
    name = experiment.engine
    cls = ENGINES[name].cls
    if experiment.timeout and not cls.has_timeouts:
        able = ", ".join(entry.name for entry in ENGINES if entry.cls.has_timeouts)
        raise BenchError(
            f"engine {name!r} has no worker that a timeout could end: leave the timeout out, or take one of {able}"
        )
    given = experiment.engine_options
    configs = {e.name: build(e.cls.Config, given[e.name], f"engine {e.name!r}") for e in ENGINES if e.name in given}
    return cls(configs.get(name))


def pool_of(experiment: Experiment, device: str) -> AbstractContextManager[Pool]:
    """Who carries the runs out."""
    return engine_of(experiment).pool(experiment.workers, experiment.threads, device)


def workers_expected(experiment: Experiment) -> int:
    """How many runs there will be at a time, while nobody has asked a cluster yet."""
    return 1 if engine_of(experiment).one_at_a_time else experiment.workers or cores_for(experiment.threads)


def device_of(experiment: Experiment) -> str:
    """The device of an experiment's runs, resolved.

    With a remote engine it may be another machine's: then a kind that is given counts as it is, ``auto`` is what this
    machine has, or ``cuda`` where the engine's options ask for GPUs; which GPUs a worker has, the engine decides.

    Raises:
        BenchError: There is no such device, or it is not here; or the engine cannot be used.
    """
    engine, device = engine_of(experiment), experiment.device
    if not engine.is_remote or (device == "auto" and not engine.wants_gpus):
        return str(resolve_device(device))
    if device == "auto":
        return "cuda"
    try:
        return torch.device(device).type
    except RuntimeError:
        raise BenchError(f"Unknown device {device!r}: use auto, cpu, cuda or mps") from None


def with_address(experiment: Experiment, address: str | None) -> Experiment:
    """An experiment on the cluster at an address; None leaves it as it is.

    Raises:
        BenchError: The experiment's engine has no option ``address``.
    """
    if address is None:
        return experiment
    name, able = experiment.engine, [e.name for e in ENGINES if "address" in e.cls.Config.model_fields]
    if name in ENGINES and name not in able:
        raise BenchError(
            f"--address is of a cluster, and the engine {name!r} uses none: add --engine {' or '.join(able)}"
        )
    options = experiment.engine_options.get(name, {}) | {"address": address}
    return experiment.model_copy(update={"engine_options": experiment.engine_options | {name: options}})
