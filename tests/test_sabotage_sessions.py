"""A run may do anything to itself and nothing to others: saboteurs and honest strategies, together in one session.

The honest ones end well, each saboteur is a failed record with its reason, and a report is there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.engines.processes import MUTE
from bench.storage.upkeep import check

from .conftest import Bench, Ran, Write
from .sessions import change, clean, records, store_of

HEAD = """
import os, signal, sys, time
from bench import Strategy, register_strategy

class Silent(Exception):
    def __str__(self):
        raise RuntimeError

class Ends(BaseException):
    pass

class Saboteur(Strategy):
    "Persistence, until something comes to its mind."

    def predict(self, windows):
        self.served = getattr(self, "served", 0) + 1
        if self.served == 30:
            self.act()
        return windows[:, -1:, : self.history.targets.shape[1]].expand(-1, self.protocol.horizon, -1)
"""

RAISES = {
    "exits": ("sys.exit(0)", "SystemExit: 0"),
    "ends": ("raise Ends('all of it')", "Ends: all of it"),
    "closes-generator": ("raise GeneratorExit", "GeneratorExit: "),
    "no-utf8": ("raise ValueError(os.fsdecode(b'caf\\xe9 ') + '\\ud800')", r"ValueError: caf\udce9 \ud800"),
    "silent": ("raise Silent", "Silent: its message cannot be made: RuntimeError"),
    "talks": ("raise ValueError('word ' * 10**6)", "ValueError: word word"),
}
"""What a process survives, also one that does all runs: the saboteur's code, and how its reason begins."""

DIED = "a worker process died ({}), as the one before it"
SPOILS = {
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
    "leaves": ("os._exit(0)", DIED.format("exit status 0")),
    "closes": ("os.closerange(0, 256)", MUTE),
    "asks": ("input('Go on?')", "EOFError: EOF when reading a line"),
}
"""What takes a process with it, or leaves it unable to answer."""

FORKS = {"forks": ("os.fork() or print('a fork', flush=True)", "")}
"""A run that ends well, once."""


def saboteurs(acts: dict[str, tuple[str, str]]) -> str:
    """A file of strategies, each with what it does in its thirtieth forecast."""
    classes = [
        f'@register_strategy("{name}")\nclass S{i}(Saboteur):\n    def act(self):\n        {code}\n'
        for i, (name, (code, _)) in enumerate(acts.items())
    ]
    return "\n".join([HEAD, *classes])


def require_apart(ran: Ran, tiny: Path, acts: dict[str, tuple[str, str]]) -> None:
    """See that each failed with its reason, and that all others ended well."""
    failing = {name: reason for name, (_, reason) in acts.items() if reason}
    assert ran.status == 1, ran.err
    assert "Traceback" not in ran.out + ran.err
    found = records(tiny)
    assert {name: r.reason[: len(failing[name])] for name, r in found.items() if r.status == "failed"} == failing
    assert {name for name, r in found.items() if r.status == "ok"} == {"persistence", "rls", *acts} - {*failing}
    assert found["forks"].errors == found["persistence"].errors
    assert f"Now: {len(failing)} failed, {len(found) - len(failing)} ok; 0 kept" in ran.err
    assert len(list(store_of(tiny).records())) == len(acts) + 2
    assert "could not be audited" not in ran.err
    assert clean(tiny)
    assert check(tiny.parent / "results") == []


def test_what_a_saboteur_raises_is_its_own(tiny: Path, bench: Bench, write: Write) -> None:
    acts = RAISES | FORKS
    change(tiny, timing_blocks="0")
    require_apart(bench("run", tiny, "--plugins", write("saboteurs.py", saboteurs(acts))), tiny, acts)
    report = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert all(name in report for name in acts)


@pytest.mark.usefixtures("without_report")
def test_what_a_saboteur_does_to_its_process_is_its_own(tiny: Path, bench: Bench, write: Write) -> None:
    acts = RAISES | SPOILS | FORKS
    change(tiny, timing_blocks="0", engine="'processes'", workers="2")
    require_apart(bench("run", tiny, "--plugins", write("saboteurs.py", saboteurs(acts))), tiny, acts)
