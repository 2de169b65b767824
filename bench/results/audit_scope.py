"""What an audit speaks of: a version with some options, and the services that it was seen to give."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.contracts.naming import plain_options
from bench.contracts.protocol import Protocol


@dataclass(frozen=True)
class Options:
    """Options that were given to a strategy and to its forecaster: other options are audited apart.

    Attributes:
        text: Both as JSON, of paths their last parts. A forecaster's training settings are not among them: they are the
            harness's.
        given: The same with whole paths.
    """

    text: str = "[{}, {}]"
    given: str = field(default="[{}, {}]", compare=False)

    @classmethod
    def of(cls, strategy: Mapping[str, Any], forecaster: Mapping[str, Any] | None = None) -> Options:
        """Those of a run or a record."""
        other = {key: value for key, value in (forecaster or {}).items() if key != "training"}
        both = [dict(strategy), other]
        plain = [plain_options(options) for options in both]
        return cls(*(json.dumps(options, sort_keys=True) for options in (plain, both)))

    @property
    def strategy(self) -> dict[str, Any]:
        """The strategy's."""
        options: dict[str, Any] = json.loads(self.given)[0]
        return options

    @property
    def forecaster(self) -> dict[str, Any]:
        """The forecaster's."""
        options: dict[str, Any] = json.loads(self.given)[1]
        return options

    def join(self, sha: str) -> str:
        """One hash for a version and these options; that of the version where none were given."""
        return sha if self == NO_OPTIONS else hashlib.sha256(f"{sha} {self.text}".encode()).hexdigest()


NO_OPTIONS = Options()


def service_of(protocol: Protocol, *, hidden: bool) -> str:
    """What a run serves, in a line.

    Args:
        protocol: Its schedule.
        hidden: Whether targets are not among the inputs.
    """
    return f"{protocol.label}, targets {'hidden' if hidden else 'among the inputs'}"


def traits_of(protocol: Protocol, *, hidden: bool) -> frozenset[str]:
    """What may be refused of a service: an audit that could not serve it says nothing of runs that have it.

    Args:
        protocol: The schedule.
        hidden: Whether targets are not among the inputs.
    """
    traits = {
        "targets hidden": hidden,
        "targets among the inputs": not hidden,
        "warm start": protocol.warm_start,
        "cold start": not protocol.warm_start,
        "blocks of one": protocol.block == 1,
        "blocks of several": protocol.block > 1,
        "every n-th label": protocol.label_every > 1,
        "a share of labels": protocol.label_rate < 1,
        "late labels": protocol.delay > 0,
        "partial labels": protocol.labels == "partial",
    }
    return frozenset(name for name, is_so in traits.items() if is_so)
