"""`bench compare` from folders, files and git commits to exit statuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import Protocol
from bench.analysis.compare import Bounds, is_worse
from bench.report.compare.loading import compare
from bench.report.render.numbers import MINUS, NONE
from bench.results.record import DatasetRecord, Errors, PluginRecord, Record, StepTimes, Timing
from bench.results.run_key import key_of_record
from bench.results.store import ORIGINS, RECORD, TRIALS, Store

from ..conftest import Bench, Ran

STATUSES = st.sampled_from(["ok", "ok", "failed", "skipped"])


def errors(mse: float) -> Errors:
    parts = {"mse_by_channel": [mse], "mae_by_channel": [1.0], "mse_by_lead": [mse, mse], "mae_by_lead": [1.0, 1.0]}
    scaled = {"mae": 1.0, "mse": mse, "rmse": mse**0.5}
    return Errors(windows=10, **scaled, **{f"{name}_original": 1.0 for name in scaled}, **parts)


def timing(ms: float, device_name: str = "one CPU") -> Timing:
    steps = StepTimes(steps=7, total_ms=7 * ms, p50_ms=ms, p95_ms=ms, p99_ms=ms)
    speed = {"windows": 7, "windows_per_s": 500 / ms, "predict": steps, "adapt": steps, "warmup": 3}
    where = {"threads": 1, "device": "cpu", "device_name": device_name, "clock": "perf_counter", "load": 0.0}
    return Timing(alone=True, first_predict_ms=ms, peak_memory_mb=1.0, **speed, **where)


def write(
    folder: Path,
    seed: int = 0,
    *,
    strategy: str = "rls",
    status: str = "ok",
    mse: float = 0.4,
    ms: float | None = 2.0,
    device_name: str = "one CPU",
    fingerprint: str = "f",
    version: str = "1",
    windows: int = 10,
) -> str:
    """One run, with a timing pass unless ``ms`` is None; its id."""
    run_id = f"{strategy}-{seed}-{version}"
    dataset = {"name": "d", "fingerprint": fingerprint, "rows": 90, "inputs": ["a"], "targets": ["a"]}
    record = Record(
        run_id=run_id,
        experiment=folder.name,
        status=status,
        reason="" if status == "ok" else "because",
        strategy=PluginRecord(name=strategy, sha=version, config={"version": version}),
        dataset=DatasetRecord(borders=(40, 50, 90), **dataset),
        protocol=Protocol(lookback=8, horizon=2, stride=2),
        seed=seed,
        errors=errors(mse).model_copy(update={"windows": windows}) if status == "ok" else None,
        environment={"device": "cpu", "device_name": device_name, "threads": 1},
    )
    store = Store(folder)
    store.write(record, {})
    if ms is not None and status == "ok":
        store.write_timing(run_id, timing(ms, device_name))
    return run_id


def benchmark_file(path: Path, date: str = "2026-01-02", /, machine: str = "one CPU", **medians: Any) -> Path:
    """A file as pytest-benchmark writes it; a median in seconds, or with its ratio as a pair."""
    entries = []
    for name, value in medians.items():
        median, ratio = value if isinstance(value, tuple) else (value, None)
        extra = {} if ratio is None else {"ratio": ratio, "against": "reference"}
        entries.append({"name": name, "fullname": f"tests/{name}", "extra_info": extra, "stats": {"median": median}})
    path.parent.mkdir(parents=True, exist_ok=True)
    info = {"cpu": {"brand_raw": machine}}
    path.write_text(json.dumps({"machine_info": info, "benchmarks": entries, "datetime": date}))
    return path


def summary(ran: Ran, status: int) -> str:
    """The last line of a comparison that ended with a status."""
    assert ran.status == status, ran
    assert ran.err == ""
    return ran.out.rstrip("\n").rpartition("\n")[2]


def table(ran: Ran) -> list[dict[str, str]]:
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in ran.out.split("\n") if line.startswith("|")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def mistake(ran: Ran) -> str:
    assert ran.status == 2, ran
    assert ran.out == ""
    (line,) = ran.err.strip().splitlines()
    return line


@pytest.fixture
def a(tmp_path: Path) -> Path:
    """Two strategies with two seeds each, of which the first was timed."""
    for strategy in ("rls", "frozen"):
        for seed in (0, 1):
            write(tmp_path / "a", seed, strategy=strategy, ms=None if seed else 2.0)
    return tmp_path / "a"


@pytest.fixture
def b(tmp_path: Path) -> Path:
    """As ``a``, of another version."""
    for strategy in ("rls", "frozen"):
        for seed in (0, 1):
            write(tmp_path / "b", seed, strategy=strategy, ms=None if seed else 2.0, version="2")
    return tmp_path / "b"


def test_nothing_changed(a: Path, b: Path, bench: Bench) -> None:
    ran = bench("compare", a, b)
    assert summary(ran, 0) == "4 runs compared: 0 worse, 0 slower"
    assert table(ran) == []
    everything = bench("compare", a, b, "--all")
    assert summary(everything, 0) == "4 runs compared: 0 worse, 0 slower"
    assert [row["measure"] for row in table(everything) if row["what"] == "rls"] == [
        *("status", "MSE", "windows/s", "predict p50, ms", "adapt p50, ms")
    ]


def test_more_error(a: Path, b: Path, bench: Bench) -> None:
    write(b, 1, mse=0.44, ms=None, version="2")
    ran = bench("compare", a, b)
    assert summary(ran, 1) == "4 runs compared: 0 worse, 0 slower, 2 higher (not tested)"
    (row,) = table(ran)
    assert row == {
        "verdict": "**higher (not tested)**",
        "dataset": "d",
        "what": "rls",
        "measure": "MSE",
        "reason": "no errors by origin",
        "A": "0.4000",
        "B": "0.4200",
        "change": "+5.0 %",
        "worst seed": "+10.0 % (1)",
        "seeds": "0, 1",
    }
    assert summary(bench("compare", a, b, "--worse", "0.06"), 0) == "4 runs compared: 0 worse, 0 slower"
    assert summary(bench("compare", b, a), 0) == "4 runs compared: 0 worse, 0 slower, 2 lower (not tested)"


def with_origins(folder: Path, strategy: str, factors: Any, version: str = "1") -> None:
    """A run of 300 origins, whose errors are those of chance times factors."""
    origins = np.exp(np.random.default_rng(len(strategy)).standard_normal(300)) * factors
    run_id = write(folder, strategy=strategy, mse=float(origins.mean()), ms=None, version=version, windows=300)
    frame = pd.DataFrame({"origin": 50 + 2 * np.arange(300), "mse": origins})
    record = Store(folder).read(run_id)
    assert record is not None
    Store(folder).write(record, {ORIGINS: frame.assign(time=frame["origin"], mae=frame["mse"])})


def test_whether_errors_differ_is_a_verdict_as_in_a_report(tmp_path: Path, bench: Bench) -> None:
    noise = np.exp(0.8 * np.random.default_rng(0).standard_normal(300))
    for strategy, factors in {"rls": 1.2, "ogd": noise / noise.mean(), "frozen": 1.0, "retrain": 0.7}.items():
        with_origins(tmp_path / "a", strategy, 1.0)
        with_origins(tmp_path / "b", strategy, factors, "2")
    ran = bench("compare", "a", "b")
    said = "4 runs compared: 1 worse, 0 slower, 1 no significant difference, 1 better"
    assert summary(ran, 1) == said
    rows = {row["what"]: row for row in table(ran)}
    assert [row["verdict"] for row in rows.values()] == ["**worse**", "no significant difference", "better"]
    assert rows["rls"]["skill, % ↑"] == f"{MINUS}20.0 [{MINUS}20.0, {MINUS}20.0]"
    assert rows["rls"]["adjusted p"] == "< 0.001"
    assert re.fullmatch(r"\d+\.\d \(length\)", rows["ogd"]["could show, %"])
    assert "p-values are adjusted (Holm) for all entries whose errors are not the same." in ran.out
    assert summary(bench("compare", "a", "b", "--worse", 0.5), 0) == "4 runs compared: 0 worse, 0 slower"
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "--all", "--force")
    git(tmp_path, "commit", "-q", "-m", "Results")
    assert summary(bench("compare", "HEAD:a", "HEAD:b"), 1) == said


def test_more_time(a: Path, b: Path, bench: Bench) -> None:
    write(b, 0, strategy="frozen", ms=3.0, version="2")
    ran = bench("compare", a, b)
    assert summary(ran, 1) == "4 runs compared: 0 worse, 1 slower"
    assert [(row["what"], row["measure"], row["change"]) for row in table(ran)] == [
        ("frozen", "windows/s", "+50.0 %"),
        ("frozen", "predict p50, ms", "+50.0 %"),
        ("frozen", "adapt p50, ms", "+50.0 %"),
    ]
    assert summary(bench("compare", a, b, "--slower", 0.6), 0) == "4 runs compared: 0 worse, 0 slower"


def test_a_new_failure(a: Path, b: Path, bench: Bench) -> None:
    write(b, 1, status="failed", version="2")
    ran = bench("compare", a, b, "--worse", 9, "--slower", 9)
    assert summary(ran, 1) == "4 runs compared: 0 worse, 0 slower, 1 newly failed"
    (row,) = table(ran)
    assert (row["verdict"], row["seeds"]) == ("**newly failed**", "1")
    assert row["reason"] == "ok in A, failed in B: because"
    assert summary(bench("compare", b, a), 0) == "4 runs compared: 0 worse, 0 slower, 1 no longer failed"


def test_another_machine_and_other_data(a: Path, b: Path, bench: Bench) -> None:
    write(b, 0, ms=99.0, device_name="another CPU", version="2")
    for seed in (0, 1):
        write(b, seed, strategy="frozen", mse=9.0, fingerprint="g", ms=None if seed else 2.0, version="2")
    ran = bench("compare", a, b)
    assert summary(ran, 0) == "4 runs compared: 0 worse, 0 slower"
    assert "- errors of 2 runs not compared: the data differ (fingerprint)." in ran.out
    assert "- speed of 1 run not compared: device: one CPU in A, another CPU in B." in ran.out
    quiet = [row["reason"] for row in table(bench("compare", a, b, "--all")) if row["verdict"] == "not comparable"]
    assert quiet == ["the data differ (fingerprint)", "device: one CPU in A, another CPU in B"]


def test_runs_that_only_one_side_has_are_listed(a: Path, b: Path, bench: Bench) -> None:
    write(b, 2, version="2")
    write(a, 0, strategy="gone")
    ran = bench("compare", a, b)
    assert summary(ran, 0) == "4 runs compared: 0 worse, 0 slower, 1 only in A, 1 only in B"
    assert [(row["verdict"], row["what"], row["seeds"]) for row in table(ran)] == [
        ("only in A", "gone", "0"),
        ("only in B", "rls", "2"),
    ]


def test_the_newest_version_of_a_run_counts(a: Path, bench: Bench) -> None:
    store, record = Store(a), Store(a).read("rls-0-1")
    assert record is not None
    later = record.environment | {"started": "2026-01-02T00:00:00+00:00"}
    plugin = record.strategy.model_copy(update={"sha": "2"})
    for seed in (0, 1):
        changes = {"run_id": f"new-{seed}", "seed": seed, "strategy": plugin, "environment": later}
        store.write(record.model_copy(update=changes | {"errors": errors(0.8)}), {})
    before = a.with_name("before")
    for seed in (0, 1):
        write(before, seed)
    ran = bench("compare", before, a)
    assert summary(ran, 1) == "2 runs compared: 0 worse, 0 slower, 2 higher (not tested), 2 only in B"
    assert table(ran)[0]["change"] == "+100.0 %"


def test_a_record_that_cannot_be_read_is_said_to_be(a: Path, b: Path, bench: Bench) -> None:
    (b / "rls-1-2" / RECORD).write_text("{")
    ran = bench("compare", a, b)
    assert summary(ran, 0) == "3 runs compared: 0 worse, 0 slower, 1 only in A"
    assert "- 1 listed run in B missing or damaged, and left out." in ran.out


def test_experiments_of_two_roots_are_matched_by_name(tmp_path: Path, bench: Bench) -> None:
    for root, names in (("old", ("one", "two")), ("new", ("two", "three"))):
        for name in names:
            write(tmp_path / root / name, mse=0.8 if root == "new" else 0.4)
    ran = bench("compare", "old", "new")
    assert summary(ran, 1) == "1 run compared: 0 worse, 0 slower, 1 higher (not tested), 1 only in A, 1 only in B"
    assert [(row["experiment"], row["verdict"]) for row in table(ran)] == [
        ("two", "**higher (not tested)**"),
        ("one", "only in A"),
        ("three", "only in B"),
    ]
    ran = bench("compare", "old/two", "new")
    assert summary(ran, 1) == "1 run compared: 0 worse, 0 slower, 1 higher (not tested), 1 only in B"
    assert summary(bench("compare", "old/one", "new/three"), 1).endswith("0 slower, 1 higher (not tested)")


def test_what_tuning_tried_is_passed_over(tmp_path: Path, a: Path, b: Path, bench: Bench) -> None:
    for root, experiment in (("old", a), ("new", b)):
        (tmp_path / root).mkdir()
        experiment.rename(tmp_path / root / "e")
    write(tmp_path / "new" / "swept" / TRIALS)
    assert summary(bench("compare", "old", "new"), 0) == "4 runs compared: 0 worse, 0 slower"


def test_benchmarks(tmp_path: Path, bench: Bench) -> None:
    old = benchmark_file(tmp_path / "old.json", x=0.010, y=(0.010, 3.0), z=0.010)
    new = benchmark_file(tmp_path / "new.json", x=0.020, y=(0.030, 2.9))
    ran = bench("compare", old, new)
    assert summary(ran, 1) == "2 benchmarks compared: 0 worse, 1 slower, 1 only in A"
    assert [(row["verdict"], row["what"], row["A"], row["B"]) for row in table(ran)] == [
        ("**slower**", "tests/x", "10.00", "20.00"),
        ("only in A", "tests/z", NONE, NONE),
    ]
    elsewhere = benchmark_file(tmp_path / "elsewhere.json", machine="another CPU", x=0.020, y=(0.030, 2.0))
    ran = bench("compare", old, elsewhere)
    assert summary(ran, 1) == "2 benchmarks compared: 0 worse, 1 slower, 1 only in A"
    assert [row["measure"] for row in table(ran)] == ["ratio", "median, ms"]
    assert "- median, ms of 1 benchmark not compared: device: one CPU in A, another CPU in B." in ran.out


def test_of_a_folder_of_benchmarks_the_newest_count(tmp_path: Path, a: Path, bench: Bench) -> None:
    root = tmp_path / "root"
    root.mkdir()
    a.rename(root / "e")
    benchmark_file(root / "throughput" / "a.json", "2026-03-01", x=0.010)
    benchmark_file(root / "throughput" / "z.json", "2026-01-01", x=0.500, y=0.010)
    benchmark_file(tmp_path / "new.json", x=0.010, y=0.010)
    assert summary(bench("compare", "root/throughput", "new.json"), 0) == "2 benchmarks compared: 0 worse, 0 slower"
    ran = bench("compare", "root", "root")  # beside the experiments
    assert summary(ran, 0) == "4 runs and 2 benchmarks compared: 0 worse, 0 slower"


def git(folder: Path, *words: str) -> None:
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], cwd=folder, env=os.environ | identity | names, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder as a repository with one commit: ``results/e`` and ``results/throughput``."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    write(tmp_path / "results" / "e")
    benchmark_file(tmp_path / "results" / "throughput" / "a.json", x=0.010)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "--all", "--force")
    git(tmp_path, "commit", "-q", "-m", "Results")
    return tmp_path


def test_results_in_a_commit(repository: Path, bench: Bench) -> None:
    write(repository / "results" / "e", mse=0.8)
    benchmark_file(repository / "results" / "throughput" / "a.json", x=0.020)
    assert summary(bench("compare", "HEAD:results", "results"), 1) == (
        "1 run and 1 benchmark compared: 0 worse, 1 slower, 1 higher (not tested)"
    )
    assert summary(bench("compare", "HEAD:results/e/", "results/e"), 1).endswith("1 higher (not tested)")
    file = "results/throughput/a.json"
    assert summary(bench("compare", f"HEAD:{file}", file), 1) == "1 benchmark compared: 0 worse, 1 slower"
    git(repository, "commit", "-q", "-a", "-m", "More")
    assert summary(bench("compare", "HEAD~1:results", "HEAD:results"), 1).endswith(
        "0 worse, 1 slower, 1 higher (not tested)"
    )
    assert summary(bench("compare", "HEAD:results", "results"), 0).endswith("0 worse, 0 slower")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere:results", "nowhere:results: no commit 'nowhere' in this repository"),
        ("HEAD:x", "HEAD:x: commit 'HEAD' has no 'x'"),  # and not an emoji
        ("HEAD:nowhere", "HEAD:nowhere: commit 'HEAD' has no 'nowhere'. Give the path from the top of the repository."),
        ("--upload-pack=x:results", "No such option"),
        (":results", ":results: no such file or folder, and no commit."),
        ("HEAD:results/e/rls-0-1/record.json", "record.json: not a file of pytest-benchmark"),
        (
            "nowhere",
            "nowhere: no such file or folder. Name an experiment's results, a folder of several, an archive of them",
        ),
        ("empty", "empty: no results of runs and no benchmarks here. Name an experiment's results"),
        ("results/throughput", "Nothing is both in results/throughput (1 benchmark) and in results/e (runs of e)"),
    ],
)
def test_mistakes(repository: Path, bench: Bench, place: str, message: str) -> None:
    (repository / "empty").mkdir()
    for words in ((place, "results/e"), ("results/e", place)):
        ran = bench("compare", *words)
        assert ran.status == 2
        assert "Traceback" not in ran.err
        if words[0] == place or "Nothing" not in message:
            assert message in ran.err.replace("\n", " ")


def test_a_commit_without_a_repository_or_without_git(
    tmp_path: Path, a: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "HEAD:results: not in a git repository" in mistake(bench("compare", "HEAD:results", a))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "COMMIT:PATH needs git, which is not installed here" in mistake(bench("compare", "HEAD:results", a))


def test_a_bound_below_zero_is_a_mistake(a: Path, bench: Bench) -> None:
    for option in ("--worse", "--slower"):
        assert bench("compare", a, a, option, "-0.1").status == 2


@pytest.mark.usefixtures("without_report")
def test_a_run_has_the_same_cell_before_and_after(tiny: Path, bench: Bench) -> None:
    text = tiny.read_text().replace('"rls"]', '{ name = "rls", ridge = 2.0 }, "frozen"]')
    text = text.replace("forecasters = []", 'forecasters = [{ name = "ridge" }]')
    tiny.write_text(text.replace('["csv:waves.csv"]', '[{ name = "abrupt-mean", rows = 400 }]'))
    assert bench("run", tiny).status == 0
    store = Store(tiny.parent / "results" / "tiny")
    cells = store.read_manifest()
    assert len(set(cells.values())) == 3
    assert {record.run_id: key_of_record(record) for record in store.records()} == cells
    assert summary(bench("compare", "results", "results/tiny"), 0) == "3 runs compared: 0 worse, 0 slower"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(runs=st.lists(st.tuples(st.integers(0, 2), STATUSES, st.floats(0, 10), st.floats(1e-4, 10)), min_size=1))
def test_nothing_is_worse_than_itself(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, str, float, float]]
) -> None:
    folder = tmp_path_factory.mktemp("itself") / "e"
    for seed, status, mse, ms in runs:
        write(folder, seed, status=status, mse=mse, ms=ms)
    assert not is_worse(compare(str(folder), str(folder), Bounds(0, 0)).changes)
