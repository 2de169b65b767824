"""Audits: made by `bench check`, made in passing by `bench run`, kept by version, and read by whoever reads results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import bench.results.audit
from bench import load_results
from bench.contracts.forecaster import FORECASTERS
from bench.results.audit import AUDITS, Audit, audit_file, audited_sha, code_sha, read_audit, write_audit
from bench.results.provenance import packages
from bench.testing import LABEL_REGIMES

from ..conftest import Bench, Write
from ..sessions import change

pytestmark = pytest.mark.usefixtures("without_report")

MEAN = """
    from bench import Strategy, register_strategy

    @register_strategy("mean")
    class Mean(Strategy):
        "The mean of the window."

        def predict(self, windows):
            mean = windows.mean(dim=1, keepdim=True)[..., : self.history.targets.shape[1]]
            return mean.expand(-1, self.protocol.horizon, -1)
"""
PEEKS = MEAN.replace("mean(dim=1, keepdim=True)", "mean(dim=(0, 1), keepdim=True).expand(len(windows), -1, -1)")
LATE_DEATH = MEAN.replace(
    "mean = windows.mean(dim=1, keepdim=True)",
    """
            if len(self.history) < 60:  # as in a check, and not in the run
                __import__("os")._exit(9)
            mean = windows.mean(dim=1, keepdim=True)""".strip(),
)
RAISES = MEAN.replace("            mean =", '            assert len(self.history) > 60, "short"\n            mean =')


def audits(tiny: Path) -> dict[str, Audit]:
    """Audits by subject."""
    files = sorted((tiny.parent / "results" / AUDITS).glob("[!.]*"))
    return {audit.subject: audit for file in files for audit in [Audit.model_validate_json(file.read_bytes())]}


def standings(tiny: Path) -> dict[str, str]:
    frame = load_results(tiny.parent / "results")
    return dict(zip(frame["strategy"], frame["audit"], strict=True))


def an_audit(**changes: object) -> Audit:
    values: dict[str, object] = {"strategy": "s", "sha": "0" * 64, "status": "passed", "quick": False, "code": "c"}
    return Audit.model_validate(values | {"packages": {}, "date": "", "seconds": 0.0} | changes)


def test_check_leaves_an_audit(tiny: Path, bench: Bench) -> None:
    assert bench("check", "persistence", "--engine", "inline").status == 0
    (audit,) = audits(tiny).values()
    assert (audit.strategy, audit.forecaster, audit.status, audit.quick) == ("persistence", "", "passed", False)
    assert audit.packages == packages()
    assert audit.code == code_sha()
    assert audit.date.startswith("20")
    assert audit.seconds > 0
    assert len(audit.checks) == 6 * len(LABEL_REGIMES) + 1 + 8 + 1 + 2
    (file,) = (tiny.parent / "results" / AUDITS).iterdir()
    assert file.name == f"persistence-{audit.sha[:16]}.json"


def test_a_check_that_fails_leaves_one_too(tiny: Path, bench: Bench, write: Write) -> None:
    ran = bench("check", "mean", "--engine", "inline", "--plugins", write("mean.py", PEEKS), "--results", "elsewhere")
    assert ran.status == 1
    assert "strategy 'mean' FAILED: leaks: " in ran.err
    assert "Traceback" not in ran.err
    (file,) = (tiny.parent / "elsewhere" / AUDITS).iterdir()
    audit = Audit.model_validate_json(file.read_bytes())
    assert (audit.status, audit.standing) == ("failed", "failed")
    assert audit.reason in ran.err


def test_a_check_that_cannot_end_is_no_verdict(tiny: Path, bench: Bench, write: Write) -> None:
    ran = bench("check", "mean", "--engine", "inline", "--plugins", write("mean.py", RAISES))
    assert ran.status == 1
    assert "strategy 'mean' FAILED: AssertionError: short" in ran.err
    assert audits(tiny)["mean"].status == "unknown"


@pytest.mark.slow
def test_a_strategy_is_checked_on_each_forecaster_that_will_do(
    tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in (("PRESETS", ["day-ahead"]), ("LABEL_REGIMES", LABEL_REGIMES[:1]), ("DRAWN", 2)):
        monkeypatch.setattr(f"bench.testing.checks.{name}", few)  # test_canary.py has all of them
    ran = bench("check", "frozen", "--engine", "inline", "--forecaster", "dlinear")
    assert ran.status == 0
    assert set(audits(tiny)) == {"frozen+dlinear"}
    ran = bench("check", "frozen", "--engine", "inline")
    assert ran.status == 0
    assert set(audits(tiny)) == {f"frozen+{forecaster.name}" for forecaster in FORECASTERS}
    assert {"frozen+dlinear", "frozen+ridge", "frozen+titans"} <= set(audits(tiny))
    assert {audit.status for audit in audits(tiny).values()} == {"passed"}
    assert "  ok  ridge: no leak: day-ahead" in ran.out


def test_a_run_audits_what_nobody_has_audited(tiny: Path, bench: Bench, write: Write) -> None:
    path = write("mean.py", MEAN)
    text = (
        tiny.read_text().replace('"rls"]', '"rls", "frozen"]').replace("forecasters = []", 'forecasters = ["dlinear"]')
    )
    tiny.write_text(text)
    assert bench("run", tiny, "--plugins", path).status == 0
    assert set(audits(tiny)) == {"persistence", "rls", "mean", "frozen+dlinear"}
    assert all(audit.status == "passed" and audit.quick for audit in audits(tiny).values())
    assert set(standings(tiny).values()) == {"passed"}

    files = {file: file.stat().st_mtime_ns for file in (tiny.parent / "results" / AUDITS).iterdir()}
    assert bench("run", tiny, "--plugins", path).status == 0
    assert {file: file.stat().st_mtime_ns for file in (tiny.parent / "results" / AUDITS).iterdir()} == files

    write("mean.py", MEAN + "\n    ANOTHER = True\n")  # another version
    assert bench("run", tiny, "--plugins", path).status == 0
    fresh = [file for file in (tiny.parent / "results" / AUDITS).iterdir() if file not in files]
    assert [file.name.rpartition("-")[0] for file in fresh] == ["mean"]


def test_another_version_of_the_harness_audits_again(tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("run", tiny)
    before = audits(tiny)
    monkeypatch.setattr("bench.execution.audits.code_sha", lambda: "another")
    monkeypatch.setattr("bench.testing.checks.code_sha", lambda: "another")
    bench("run", tiny)
    assert audits(tiny).keys() == before.keys()
    assert {audit.code for audit in audits(tiny).values()} == {"another"}


def test_what_a_check_found_at_length_is_not_overruled_in_passing(
    tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench("run", tiny)
    folder, persistence = tiny.parent / "results" / AUDITS, audits(tiny)["persistence"]
    write_audit(folder, persistence.model_copy(update={"status": "failed", "reason": "leaks", "quick": False}))
    write_audit(folder, audits(tiny)["rls"].model_copy(update={"status": "failed", "reason": "leaks"}))
    monkeypatch.setattr("bench.execution.audits.code_sha", lambda: "another")
    bench("run", tiny, "--always")
    assert {name: audit.status for name, audit in audits(tiny).items()} == {"persistence": "failed", "rls": "passed"}
    assert bench("check", "persistence", "--engine", "inline").status == 0
    assert audits(tiny)["persistence"].status == "passed"


def test_who_fails_the_canary_is_run_and_said_to_fail(tiny: Path, bench: Bench, write: Write) -> None:
    ran = bench("run", tiny, "--plugins", write("mean.py", PEEKS))
    assert ran.status == 0
    assert "mean FAILED the leak canary: leaks: " in " ".join(ran.err.split())
    assert standings(tiny) == {"persistence": "passed", "rls": "passed", "mean": "failed"}


BEHAVES_IN_AUDITS = MEAN.replace(
    "            mean =",
    """
            frame = __import__("sys")._getframe(1)  # of the stream, which holds the stage
            origin = getattr(self, "origin", len(self.history))
            if len(self.history) > 60:  # as in the run, and not in an audit
                import torch
                truth = frame.f_locals["self"].stage.truth[origin : origin + self.protocol.horizon]
                return torch.from_numpy(truth[None])
            mean =""",
).replace(
    "        def predict",
    """
        def observe(self, rows):
            self.origin = getattr(self, "origin", len(self.history)) + len(rows)

        def predict""",
)


def test_who_cheats_in_the_run_alone_fails_by_its_timing_pass(tiny: Path, bench: Bench, write: Write) -> None:
    assert bench("run", tiny, "--plugins", write("mean.py", BEHAVES_IN_AUDITS)).status == 0
    assert audits(tiny)["mean"].status == "passed"
    assert standings(tiny) == {"persistence": "passed", "rls": "passed", "mean": "failed"}
    errors = dict(load_results(tiny.parent / "results")[["strategy", "mse"]].to_numpy())
    assert errors["mean"] < 1e-12 < errors["rls"]


def test_who_cannot_be_checked_stays_unaudited(tiny: Path, bench: Bench, write: Write) -> None:
    ran = bench("run", tiny, "--plugins", write("mean.py", RAISES))
    assert ran.status == 0
    assert "mean could not be audited: AssertionError: short" in ran.err
    assert standings(tiny)["mean"] == "unaudited"


def test_who_has_no_result_is_not_audited(tiny: Path, bench: Bench, write: Write) -> None:
    fails = MEAN.replace("            mean =", '            raise ValueError("no")\n            mean =')
    assert bench("run", tiny, "--plugins", write("mean.py", fails)).status == 1
    assert set(audits(tiny)) == {"persistence", "rls"}


def test_tuning_audits_what_serves_the_stream(tiny: Path, bench: Bench) -> None:
    words = ("tune", tiny, "--grid", "rls.ridge=0.1,10.0", "--strategy", "rls")
    assert bench(*words, "--no-serve").status == 0
    assert audits(tiny) == {}
    assert bench(*words).status == 0
    assert set(audits(tiny)) == {"rls"}


@pytest.mark.slow
def test_an_audit_that_kills_its_worker_stops_nobody_else(tiny: Path, bench: Bench, write: Write) -> None:
    change(tiny, timing_blocks="0")
    ran = bench("run", tiny, "--plugins", write("mean.py", LATE_DEATH), "--engine", "serial")
    assert ran.status == 0, ran.err
    assert "mean could not be audited: a worker process died" in " ".join(ran.err.split())
    assert {name: audit.status for name, audit in audits(tiny).items()} == {
        "persistence": "passed",
        "rls": "passed",
        "mean": "unknown",
    }


def test_an_audit_is_of_one_version(tmp_path: Path) -> None:
    both = audited_sha("a" * 64, "b" * 64)
    assert audited_sha("a" * 64) == "a" * 64
    assert len({both, audited_sha("b" * 64, "a" * 64), audited_sha("a" * 64, "c" * 64)}) == 3
    audit = an_audit(forecaster="f", sha=both)
    write_audit(tmp_path / AUDITS, audit)
    assert [path.name for path in (tmp_path / AUDITS).iterdir()] == [f"s+f-{both[:16]}.json"]
    assert read_audit(tmp_path / AUDITS, "s", "f", both) == audit
    assert read_audit(tmp_path / AUDITS, "s", "", both) is None
    assert read_audit(tmp_path / AUDITS, "s", "f", both[:16] + "x" * 48) is None  # the same start, another file
    write_audit(tmp_path / AUDITS, an_audit(forecaster="f", sha=both, status="failed", reason="leaks"))
    newest = read_audit(tmp_path / AUDITS, "s", "f", both)
    assert newest is not None
    assert newest.standing == "failed"
    audit_file(tmp_path / AUDITS, "s+f", both).write_text(json.dumps({"status": "passed"}))
    assert read_audit(tmp_path / AUDITS, "s", "f", both) is None


def test_the_hash_of_the_package_covers_what_hands_rows_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "bench"
    shutil.copytree(bench.results.audit.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "_builtin"))
    monkeypatch.setattr(bench.results.audit, "PACKAGE", copy)

    def after(name: str) -> str:
        with (copy / name).open("a") as file:
            file.write("# changed\n")
        return code_sha.__wrapped__()

    first = code_sha.__wrapped__()
    assert after("report/accuracy.py") == after("analysis/paired.py") == first
    seen = [first, after("stream.py"), after("forecasters/carry.py"), after("testing/canary.py")]
    assert len(set(seen)) == 4


def test_a_long_name_has_a_file_of_its_own(tmp_path: Path) -> None:
    long = ["s" * 300, "s" * 300 + "t"]
    files = {audit_file(tmp_path, name, "0" * 64).name for name in [*long, "s" * 100]}
    assert len(files) == 3
    assert max(map(len, files)) < 200
