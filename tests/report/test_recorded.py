"""What is reported is what was recorded: whatever is missing or changed is a finding, and is named in the report."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.report import _replacing, write_report
from bench.report.sections.problems import problem_rows
from bench.report.view.loading import read_results
from bench.results.audit import AUDITS
from bench.results.disk import CHANGE_POINTS
from bench.results.maintenance import check
from bench.results.owner import machine
from bench.results.provenance import CODE
from bench.results.record import Record
from bench.results.store import CHOSEN, FORECASTS, MANIFEST, ORIGINS, RECORD, TIMING, TRACE, TRIALS, Store
from bench.results.trials import SERVED, Trial

from ..conftest import Bench

DEEP = b'{"a":' * 50_000
TRIAL = Trial(strategy="rls", forecaster="none", dataset="d", protocol="p", seed=0, point={})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Path:
    """Results of four runs, with all that lies beside them."""
    here = tmp_path_factory.mktemp("whole") / "results"
    strategies = [fakes.strategies[0], fakes.strategies[5]]  # of these, the last leaves a trace
    store = fakes.write_results(here / "default", [fakes.Scenario(origins=20)], strategies, 2)
    cells = {r.run_id: json.dumps([r.strategy.name, {}, None, r.dataset.name, {}, {}, r.seed]) for r in store.records()}
    store.write_manifest(cells, keep=False)
    swept = Store(store.folder / TRIALS)
    swept.write(fakes.record(fakes.strategies[0], fakes.Scenario(), 0, run_id="trial", val_mse=0.5), {})
    swept.write_manifest({"trial": TRIAL.model_dump_json()}, keep=False)
    (swept.folder / SERVED).write_text("{}")
    (store.folder / CHANGE_POINTS).mkdir()
    (store.folder / CHANGE_POINTS / f"{next(store.records()).dataset.fingerprint}.json").write_text("{}")
    return here


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    """A copy of them."""
    shutil.copytree(whole, tmp_path / "results")
    return Store(tmp_path / "results" / "default")


def bit(name: str, number: int, _: Store, run: Path) -> None:
    """Change one bit of a run's file; which, a seed says."""
    path = run / name
    data = bytearray(path.read_bytes())
    data[random.Random(number).randrange(len(data))] ^= 1 << number % 8
    path.write_bytes(data)


def gone(name: str, _: Store, run: Path) -> None:
    (run / name).unlink()


def replaced(path: Path, old: bytes, new: bytes) -> None:
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))


def unlisted(store: Store, run: Path) -> None:
    """The list names another run in its place."""
    replaced(store.folder / MANIFEST, run.name.encode(), b"0" * len(run.name))


def victim_of(store: Store) -> Record:
    return next(r for r in store.records() if r.seed == 1 and r.strategy.name.startswith("titans-b"))


SPOILT: dict[str, tuple[Callable[[Store, Path], object], str, str]] = {
    "a run is gone": (lambda _, run: shutil.rmtree(run), "RUN", "missing"),
    "a run is renamed": (lambda _, run: run.rename(run.with_name("renamed")), "RUN", "missing"),
    "its record is gone": (lambda _, run: (run / RECORD).unlink(), "RUN", "damaged"),
    "its id is edited": (lambda _, run: replaced(run / RECORD, run.name.encode(), b"0" * 12), "RUN", "damaged"),
    "its errors are edited": (lambda _, run: replaced(run / RECORD, b'"mse": 0', b'"mse": 1'), "RUN", "damaged"),
    "its seal is cut off": (
        lambda _, run: (run / RECORD).write_bytes((run / RECORD).read_bytes().partition(b',\n "seal')[0] + b"\n}"),
        "RUN",
        "damaged",
    ),
    "its record is nested": (lambda _, run: (run / RECORD).write_bytes(DEEP), "RUN", "damaged"),
    "the list has another id": (unlisted, "000000000000", "missing"),
    **{
        f"bit {n} of {name} is changed": (partial(bit, name, n), "RUN", "damaged")
        for name in (ORIGINS, TRACE, RECORD)
        for n in range(5)
    },
    **{f"{name} is gone": (partial(gone, name), "RUN", "damaged") for name in (ORIGINS, FORECASTS)},
}
"""What happens to a run, of what there is a finding, and what the report calls the run."""


@pytest.mark.parametrize("what", SPOILT)
def test_a_run_that_is_not_as_it_was_recorded_is_a_finding_and_a_problem(store: Store, what: str) -> None:
    spoil, found, state = SPOILT[what]
    victim = victim_of(store)
    spoil(store, store.folder / victim.run_id)
    assert store.folder / found.replace("RUN", victim.run_id) in {finding.path for finding in check(store.folder)}
    results = read_results(store.folder)
    assert [(lost.state, lost.strategy, lost.seed) for lost in results.lost] == [(state, victim.strategy.name, "1")]
    assert victim.run_id not in set(results.runs["run_id"])
    ((strategy, _, seeds, status, _),) = problem_rows(results)
    assert (strategy, seeds, status) == (victim.strategy.name, "1", state)


@pytest.mark.parametrize("what", ["a run is gone", f"bit 0 of {ORIGINS} is changed"])
def test_what_is_missing_or_damaged_is_named_in_the_report(store: Store, bench: Bench, what: str) -> None:
    spoil, _, state = SPOILT[what]
    victim = victim_of(store)
    spoil(store, store.folder / victim.run_id)
    assert bench("results", "check").status == 1
    assert bench("report", "--html").status == 0
    folder = store.folder.parent.parent / "reports" / "default"
    text, page = (folder / "README.md").read_text(), (folder / "report.html").read_text()
    assert "Every run ended well" not in text
    assert "3 runs. 1 more run listed, and missing or damaged" in text
    assert f"| {victim.strategy.name} " in text.partition("## Problems")[2].partition("## How")[0]
    assert f">{state}<" in page
    assert f",1,{state}," in (folder / "tables" / "problems.csv").read_text()
    assert victim.run_id not in (folder / "tables" / "runs.csv").read_text()


def test_a_missing_run_is_told_of_by_every_command(store: Store, bench: Bench) -> None:
    shutil.rmtree(store.folder / next(record.run_id for record in store.records() if record.seed == 1))
    for words in (("leaderboard",), ("compare", "results", "results"), ("results", "export", "all.csv")):
        ran = bench(*words)
        assert (ran.status, "missing or damaged" in ran.out + ran.err) == (0, True), words


def test_results_of_which_only_the_list_is_left_are_found(store: Store, bench: Bench) -> None:
    for run_id in store.run_ids():
        shutil.rmtree(store.folder / run_id)
    shutil.rmtree(store.folder / TRIALS)
    ran = bench("results", "check")
    assert ran.status == 1
    assert ran.out.count("is listed in runs.json, and is not there") == 4
    assert bench("report").status == 2


BESIDE = {
    MANIFEST: f"default/{MANIFEST}",
    TIMING: f"default/RUN/{TIMING}",
    "trials": f"default/{TRIALS}/{MANIFEST}",
    SERVED: f"default/{TRIALS}/{SERVED}",
    "trial": f"default/{TRIALS}/trial/{RECORD}",
    "change points": f"default/{CHANGE_POINTS}/FINGERPRINT.json",
    "audit": f"{AUDITS}/AUDIT",
    "code": f"{CODE}/0123456789abcdef.json",
    "chosen": f"default/{TRIALS}/{CHOSEN}/d.toml",
    "throughput": "throughput/t.json",
}
FORMS = {
    "nested": DEEP,
    "a nested list": b"[" * 50_000,
    "a nested value": b'{"a": ' + b"[" * 40_000 + b"]" * 40_000 + b"}",
    "a list": b"[1, [2], {}]",
    "a number": b"1" * 5000,
    "no text": bytes(range(256)),
    "nothing": b"",
    "names of no file": b'{"\\ud800": "x", "\\u0000": "y", "' + b"a" * 500 + b'": "z", "..": "z", "a/b": "c"}',
    "of other types": b'{"a": null, "method": 1, "points": [{"row": "x", "shift": [], "column": 3}], "trial": {}}',
    "rows that are text": b'{"method": 1, "points": [{"row": "3", "shift": "2", "column": 3}]}',
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("only_the_list", [False, True])
def test_whatever_a_file_beside_the_runs_holds_no_command_fails_on_it(
    store: Store, bench: Bench, form: str, only_the_list: bool
) -> None:
    first = next(record for record in store.records() if record.seed == 0)
    audit = next((store.folder.parent / AUDITS).glob("*.json")).name
    for name, place in BESIDE.items():
        if (name == MANIFEST) is only_the_list:
            where = place.replace("RUN", first.run_id).replace("AUDIT", audit)
            file = store.folder.parent / where.replace("FINGERPRINT", first.dataset.fingerprint)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(FORMS[form])
    assert bench("report").status == 0
    assert bench("results", "check").status in (0, 1)
    assert bench("results", "prune", "--dry-run").status in (0, 2)
    if not only_the_list:
        assert bench("leaderboard").status == 0
        assert bench("compare", "results", "results").status == 0
        assert bench("results", "merge", "results", "--to", "merged").status in (0, 1)


def test_a_report_that_is_killed_in_the_middle_leaves_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step is the last: either all parts are of one report, or there is no ``README.md``."""
    report, step, seen = tmp_path / "reports" / "default", 0, set()
    before, after = written(tmp_path / "a", b"old"), written(tmp_path / "b", b"new")
    while step != -1:
        shutil.rmtree(report.parent, ignore_errors=True)
        written(report, b"old")
        step = stopped_at(step, report, monkeypatch)
        now = contents(report)
        assert "README.md" not in now or now in (before, after)
        seen.add(now.get("README.md"))
        assert written(report, b"new") == after
        assert [path.name for path in report.parent.iterdir()] == ["default"]
    assert seen == {b"old", None, b"new"}


def written(report: Path, text: bytes) -> dict[str, bytes]:
    """Put a report of this text in place."""
    with _replacing(report) as work:
        for name in ("tables/a.csv", "figures/a.svg", "datasets/a.md", "report.html", "README.md"):
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_bytes(text)
    return contents(report)


class Killed(BaseException):
    """As a signal that cannot be caught: nothing is cleared up."""


def stopped_at(step: int, report: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Write a report up to the ``step``-th part that is moved; the next step, or -1 where it was written whole."""
    left = iter(range(step))

    def moving(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(path: Path, target: Path) -> Path:
            if report in (path.parent, Path(target).parent) and next(left, None) is None:
                raise Killed
            return move(path, target)

        return moved

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", moving(Path.rename))
        patch.setattr(Path, "replace", moving(Path.replace))
        patch.setattr("bench.report.remove", lambda *_: None)
        patch.setattr("bench.report.unique_name", lambda: gone_name(step))
        try:
            written(report, b"new")
        except Killed:
            return step + 1
    return -1


def gone_name(number: int) -> str:
    """As a process of this machine that has ended names what it writes."""
    return f"{machine()}-{2**30}-1-{number:012x}"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_reports_written_at_once_are_whole_and_leave_nothing_behind(store: Store, tmp_path: Path) -> None:
    report = tmp_path / "reports" / "default"
    write_report(store.folder, tmp_path / "one" / "default")
    with ThreadPoolExecutor(3) as several:
        list(several.map(lambda _: write_report(store.folder, report), range(3)))
    assert contents(report) == contents(tmp_path / "one" / "default")
    assert [path.name for path in report.parent.iterdir()] == ["default"]


def test_a_report_that_is_asked_to_end_leaves_nothing_behind(
    store: Store, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr("bench.report.render.latex.write_latex", asked)
    ran = bench("report")
    assert (ran.status, ran.out) == (143, "")
    assert list((store.folder.parent.parent / "reports").iterdir()) == []


def test_what_a_killed_process_was_writing_goes_with_the_next_that_writes_there(store: Store, bench: Bench) -> None:
    first = next(store.records())
    timing = store.read_timing(first.run_id)
    assert timing is not None
    out = store.folder.parent.parent / "out"
    left = [folder / f".{gone_name(1)}" for folder in (store.folder / first.run_id, out, store.folder)]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    (out / ".mine-1-2-3").write_text("mine")
    found = {finding.path: finding.reason for finding in check(store.folder)}
    assert found == {left[0]: "left half-written", left[2]: "left half-written"}
    store.write_timing(first.run_id, timing)
    store.write_manifest({"another": "run"}, keep=True)
    assert bench("results", "export", "out/all.csv").status == 0
    assert [path for path in left if path.exists()] == []
    assert sorted(path.name for path in out.iterdir()) == [".mine-1-2-3", "all.csv"]


def test_a_timing_pass_of_a_run_that_is_gone_makes_no_folder(store: Store) -> None:
    first = next(store.records())
    timing = store.read_timing(first.run_id)
    assert timing is not None
    shutil.rmtree(store.folder / first.run_id)
    with pytest.raises(OSError, match="the run is no longer there"):
        store.write_timing(first.run_id, timing)
    assert not (store.folder / first.run_id).exists()


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "packages that are a list": {"environment": {"packages": [1]}},
    "packages that are a truth": {"environment": {"packages": True}},
    "a git that is text": {"environment": {"git": "x"}},
    "targets that are none": {"targets": []},
    "more targets": {"targets": ["a"] * 50},
    "other leads": {"horizon": 5},
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_record_that_contradicts_itself_is_damaged_whatever_its_seal(store: Store, what: str) -> None:
    changes = dict(CONTRADICTIONS[what])
    victim = victim_of(store)
    parts = {"dataset": victim.dataset, "protocol": victim.protocol}
    for part, key in (("dataset", "targets"), ("protocol", "horizon")):
        if key in changes:
            changes[part] = parts[part].model_copy(update={key: changes.pop(key)})
    store.write(victim.model_copy(update=changes), {})
    assert store.folder / victim.run_id in {finding.path for finding in check(store.folder)}
    assert [lost.state for lost in read_results(store.folder).lost] == ["damaged"]
