"""A run may do anything to itself and nothing to others: saboteurs and honest strategies, together in one session.

The honest ones end well, each saboteur is a failed record with its reason, and a report is there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.execution.engines.processes import MUTE
from bench.results.audit import AUDITS
from bench.results.maintenance import check
from bench.results.store import LOG

from ..conftest import Bench, Ran, Write
from ..sessions import change, clean, records, run_apart, store_of

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
    change(tiny, timing_blocks="0", engine="'serial'")  # one worker after the other
    require_apart(bench("run", tiny, "--plugins", write("saboteurs.py", saboteurs(acts))), tiny, acts)


LATER = """
import traceback

def stands_in(function):
    return any(frame.name == function for frame in traceback.extract_stack())

class Later(Saboteur):
    "As honest as can be in its run; another in its audit and its timing pass."

    def predict(self, windows):
        if windows.isnan().any() or stands_in("audit_strategy") or stands_in("time_alone"):
            self.act()
        return windows[:, -1:, : self.history.targets.shape[1]].expand(-1, self.protocol.horizon, -1)
"""

LATE = {
    "waits": ("while True: time.sleep(0.1)", "timed out after 10 s"),  # as a loop does, for less of the processor
    "exits": ("sys.exit(0)", "SystemExit: 0"),
    "no-utf8": ("raise ValueError(chr(0xd800))", r"ValueError: \ud800"),
    "prints": ("os.write(1, b'a library was here, '); print('and so was', self.act.__name__)", ""),
}
"""What is done in an audit and in the timing pass, and why nothing is known then."""


def test_what_is_done_in_an_audit_or_a_timing_pass_ends_no_session(tiny: Path, write: Write) -> None:
    """No report is without the honest; what was printed is in the log, and nowhere else."""
    change(tiny, timing_blocks="2", engine="'processes'", workers="2")
    text = saboteurs(LATE).replace("(Saboteur):\n    def act", "(Later):\n    def act").replace(HEAD, HEAD + LATER)
    ran = run_apart(tiny, "--plugins", write("saboteurs.py", text), "--timeout", 10, report=True, forked=True)
    assert ran.status == 0, ran.err
    assert "Now: 6 ok; 0 kept from before; 3 timed alone." in ran.err
    assert "Traceback" not in ran.out + ran.err
    assert "library" not in ran.out + ran.err
    audits = {file.name.rpartition("-")[0]: json.loads(file.read_text()) for file in audits_in(tiny)}
    for name, (_, reason) in LATE.items():
        assert audits[name]["status"] == ("unknown" if reason else "passed")
        assert audits[name]["reason"][: len(reason)] == reason
        assert (f"not timed: {name} on csv:waves.csv, seed 0: {reason}" in ran.err) == bool(reason)
    assert "a library was here, and so was act" in audits["prints"]["printed"]
    log = (store_of(tiny).folder / records(tiny)["prints"].run_id / LOG).read_text()
    assert log.startswith("In the timing pass:\na library was here, and so was act")
    stood = (store_of(tiny).folder / records(tiny)["waits"].run_id / LOG).read_text()
    assert 'saboteurs.py", line' in stood  # where it hung
    assert all(name in (tiny.parent / "reports" / "tiny" / "README.md").read_text() for name in LATE)
    assert clean(tiny)
    assert check(tiny.parent / "results") == []


def audits_in(tiny: Path) -> list[Path]:
    return sorted((tiny.parent / "results" / AUDITS).glob("*.json"))


CHECKED = {
    "exits": ("sys.exit(0)", "SystemExit: 0"),
    "leaves": ("os._exit(0)", DIED.format("exit status 0")),
    "loops": ("while True: pass", "timed out after 2 s"),
}


@pytest.mark.parametrize("name", CHECKED)
def test_a_check_never_ends_without_a_word(name: str, tiny: Path, bench: Bench, write: Write) -> None:
    late = ["--timeout", 2] if name == "loops" else []
    ran = bench("check", name, "--plugins", write("saboteurs.py", saboteurs(CHECKED)), *late)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"strategy {name!r} FAILED: {CHECKED[name][1]}")
    (audit,) = audits_in(tiny)
    assert json.loads(audit.read_text())["status"] == "unknown"
