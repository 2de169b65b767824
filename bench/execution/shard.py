"""A share of an experiment's runs, for machines that have nothing in common but a folder, or a later merge."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bench.contracts.errors import BenchError


@dataclass(frozen=True)
class Shard:
    """One of several equal shares; which runs are in it is decided by their ids alone."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/8``.

        Raises:
            BenchError: It is not of this form, or there is no such share.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(int(found[1]), int(found[2])) if found else cls(0)
        if not 1 <= shard.index <= shard.count:
            raise BenchError(f"--shard {text}: give I/N with I from 1 to N, such as 2/8")
        return shard

    def owns(self, run_id: str) -> bool:
        """Whether a run is in this share."""
        return int(hashlib.sha256(run_id.encode()).hexdigest()[:15], 16) % self.count == self.index - 1


WHOLE = Shard()
"""All runs."""
