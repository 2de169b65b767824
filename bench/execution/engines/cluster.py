"""A ray cluster as a session sees it: what is asked of it, what room it has, and its actors."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from bench.contracts.engine import EngineConfig
from bench.contracts.errors import BenchError


class RayOptions(EngineConfig):
    """How runs are spread over a ray cluster.

    Attributes:
        address: ``HOST:PORT``, ``ray://HOST:PORT`` (needs ``ray[client]``), or ``auto`` for one that this machine is
            part of; ``local`` starts one, here and for this session. By default what ``RAY_ADDRESS`` says, or
            ``local``.
        gpus: Of each worker; a part of one (``0.25``) is shared by several. By default 1 where the device is ``cuda``,
            else 0. What a worker's threads need of the processor is its CPUs.
        exclusive: Whether the timing pass has a whole machine of the cluster to itself; else it has what a worker has.
    """

    address: str = ""
    gpus: float | None = Field(None, ge=0)
    exclusive: bool = True

    @field_validator("gpus")
    @classmethod
    def _is_part_or_whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise ValueError("more than one GPU must be a whole number of them")
        return gpus


@dataclass(frozen=True)
class Share:
    """What a worker has of a machine.

    Attributes:
        node: Id of the machine that it must be; empty for any.
    """

    cpus: float
    gpus: float = 0.0
    node: str = ""

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs" + (f" and {self.gpus:g} GPUs" if self.gpus else "")


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        raise_pending: Raises what a signal that came meanwhile asks for.
    """

    ray: Any
    place: str
    raise_pending: Callable[[], None]

    def slots(self, share: Share) -> int:
        """How many workers there is room for.

        Raises:
            BenchError: There is none.
        """
        if count := sum(_slots(node, share) for node in self._nodes()):
            return count
        raise BenchError(f"{self.place} has no machine with {share}. Ask for less (threads, ray.gpus), or add one")

    def has_room(self, share: Share) -> bool:
        """Whether any machine that is left could hold a worker, were it idle."""
        return any(_slots(node, share) for node in self._nodes())

    def whole(self, share: Share) -> Share:
        """All of the largest machine that has at least so much; the same one, whoever asks."""
        fitting = [node for node in self._nodes() if _slots(node, share)]
        if not fitting:
            return share
        largest = max(fitting, key=lambda node: (_has(node, "GPU"), _has(node, "CPU"), node["NodeID"]))
        return Share(_has(largest, "CPU"), _has(largest, "GPU"), largest["NodeID"])

    def actor(self, cls: type, share: Share, variables: dict[str, str]) -> Any:
        """An actor in a process of its own, begun with these environment variables, which ends with this process."""
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        place = strategies.NodeAffinitySchedulingStrategy(share.node, soft=False) if share.node else "SPREAD"
        made = self.ray.remote(cls).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=place,
            runtime_env={"env_vars": variables},
        )
        return made.remote()

    def end(self, actor: Any) -> None:
        """End an actor, whatever it is doing, and what it started."""
        with contextlib.suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.kill(actor, no_restart=True)

    def wait(self, answers: list[Any], seconds: float) -> list[Any]:
        """Those of some answers that are there, as soon as there is one."""
        ready, _ = self.ray.wait(answers, num_returns=1, timeout=seconds)
        self.raise_pending()
        if ready and len(answers) > 1:
            ready, _ = self.ray.wait(answers, num_returns=len(answers), timeout=0)
        return list(ready)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]


def _has(node: dict[str, Any], what: str) -> float:
    return float(node["Resources"].get(what, 0.0))


def _slots(node: dict[str, Any], share: Share) -> int:
    fitting = _has(node, "CPU") // share.cpus
    return int(min(fitting, (_has(node, "GPU") + 1e-6) // share.gpus) if share.gpus else fitting)
