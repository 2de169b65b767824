"""Results looked after: what is damaged is named, folders are merged and nothing is overwritten, what is old goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import BenchError, load_results
from bench.results.audit import AUDITS
from bench.results.disk import CHANGE_POINTS
from bench.results.maintenance import check, export, prune
from bench.results.merging import merge
from bench.results.owner import ABANDONED_S, process_name
from bench.results.store import CHOSEN, DAMAGED, FORECASTS, LOG, MANIFEST, ORIGINS, RECORD, TIMING, TRIALS, Store

from ..conftest import Bench
from ..results.test_store import ERRORS, FRAMES, record, spoil, timing


def filled(folder: Path, *run_ids: str, **changes: Any) -> Store:
    """An experiment ``e`` with these runs."""
    store = Store(folder / "e")
    store.folder.mkdir(parents=True, exist_ok=True)
    for run_id in run_ids:
        store.write(record(run_id, **changes), FRAMES)
    store.write_manifest({run_id: f"cell {run_id}" for run_id in run_ids}, keep=True)
    return store


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_good_results_have_no_findings(tmp_path: Path) -> None:
    store = filled(tmp_path, "a", "b")
    store.write_timing("a", timing(alone=True))
    (store.folder / "b" / LOG).write_text("hello")
    Store(store.folder / TRIALS).write(record("t"), {})
    assert check(tmp_path) == []
    assert check(store.folder) == []


def test_change_points_that_are_kept_are_not_stray_however_old_they_are(tmp_path: Path) -> None:
    store = filled(tmp_path / "one", "a")
    kept = store.folder / CHANGE_POINTS / "f.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    long_ago = time.time() - 3 * ABANDONED_S
    os.utime(kept.parent, (long_ago, long_ago))
    assert check(tmp_path / "one") == []
    merge([tmp_path / "one"], tmp_path / "merged")
    assert (tmp_path / "merged" / "e" / CHANGE_POINTS / "f.json").read_text() == "{}"


def test_everything_damaged_or_stray_is_named(tmp_path: Path, bench: Bench) -> None:
    store = filled(tmp_path / "results", "bit", "gone", "json", "timing", "stray", "good")
    tried = Store(store.folder / TRIALS)
    tried.write(record("trial"), {})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        left = store.folder / ".tmp" / f"{process_name(ended.pid)}-0123456789ab"
        ended.communicate(b"\n")
    for path in (left, store.folder / ".tmp" / f"{process_name()}-0123456789ab", store.folder / "empty"):
        path.mkdir(parents=True)
    spoil(store.folder / "bit" / FORECASTS, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    (store.folder / "gone" / ORIGINS).unlink()
    spoil(store.folder / "json" / RECORD, lambda data: data[:300])
    store.write_timing("timing", timing())
    spoil(store.folder / "timing" / TIMING, lambda data: data.replace(b'"warmup": 3', b'"warmup": 4'))
    (store.folder / "stray" / "notes.txt").write_text("")
    (store.folder / "notes.txt").write_text("")
    (store.folder / MANIFEST).write_text("[")
    spoil(tried.folder / "trial" / RECORD, lambda data: b"")
    (tmp_path / "results" / AUDITS).mkdir()
    (tmp_path / "results" / AUDITS / "x-1.json").write_text("{")
    before = content(tmp_path)
    ran = bench("results", "check", "results")
    assert ran.status == 1
    named = dict(line.split(": ", 1) for line in ran.out.splitlines()[:-1])
    assert {name.removeprefix("results/") for name in named} == {
        "e/bit",
        "e/gone",
        "e/json",
        "e/timing/timing.json",
        "e/stray/notes.txt",
        "e/notes.txt",
        "e/runs.json",
        "e/empty",
        "e/_sweep/trial",
        ".audits/x-1.json",
        str(left.relative_to(tmp_path / "results")),
    }
    assert named["results/e/bit"] == "forecasts.parquet: wrong checksum"
    assert named["results/e/gone"] == "origins.parquet is missing"
    assert ran.out.splitlines()[-1] == "8 runs, 11 findings"
    assert content(tmp_path) == before


def test_merged_results_are_as_if_run_in_one_place(tmp_path: Path, bench: Bench) -> None:
    a, b = filled(tmp_path / "a", "r1", "both"), filled(tmp_path / "b", "r2")
    b.write(record("both", seconds=9.0, environment={"device": "cpu"}), FRAMES)
    b.write_timing("both", timing(alone=True))
    Store(b.folder / TRIALS).write(record("trial"), {})
    (tmp_path / "b" / AUDITS).mkdir()
    (tmp_path / "b" / AUDITS / "rls-1.json").write_text("{}")
    before = content(tmp_path)
    ran = bench("results", "merge", "a", "b", "--to", "c")
    assert ran.status == 0
    assert ran.out.strip() == "4 taken, 1 the same, 0 conflicts, 0 damaged"
    merged = Store(tmp_path / "c" / "e")
    assert merged.run_ids() == ["r1", "both", "r2"]
    assert [read.seconds for read in merged.records()] == [1.5, 1.5, 1.5]
    assert merged.read_timing("both") is not None
    assert Store(merged.folder / TRIALS).found() == ["trial"]
    assert (tmp_path / "c" / AUDITS / "rls-1.json").is_file()
    assert {name: data for name, data in content(tmp_path).items() if not name.startswith("c/")} == before
    assert check(merged.folder) == []
    once = content(tmp_path / "c")
    assert merge([a.folder.parent, b.folder.parent], tmp_path / "c").taken == 0
    assert content(tmp_path / "c") == once


def test_an_experiment_s_own_folder_brings_its_audits_along(tmp_path: Path) -> None:
    filled(tmp_path / "a", "r1")
    (tmp_path / "a" / AUDITS).mkdir()
    (tmp_path / "a" / AUDITS / "rls-1.json").write_text("{}")
    assert merge([tmp_path / "a" / "e"], tmp_path / "c").taken == 1
    assert (tmp_path / "c" / AUDITS / "rls-1.json").is_file()


OTHER = ERRORS.model_copy(update={"mse": 0.4000001})


def test_runs_of_one_id_that_differ_are_named_and_stay_as_they_were(tmp_path: Path, bench: Bench) -> None:
    a, b = filled(tmp_path / "a", "errors", "frame", "same"), filled(tmp_path / "b", "same")
    b.write(record("errors", errors=OTHER), FRAMES)
    b.write(record("frame"), FRAMES | {ORIGINS: FRAMES[ORIGINS] * 2})
    ran = bench("results", "merge", "a", "b", "--to", "c")
    assert ran.status == 1
    assert "conflict: c/e/errors: errors differs in b/e/errors; what is there stays" in ran.out
    assert "conflict: c/e/frame: origins.parquet differs in b/e/frame; what is there stays" in ran.out
    assert "3 taken, 1 the same, 2 conflicts, 0 damaged" in ran.out
    merged = Store(tmp_path / "c" / "e")
    assert [read.errors for read in merged.records()] == [ERRORS] * 3
    assert bench("results", "merge", "b", "--to", "a").status == 1  # into a folder that holds some already
    assert [read.errors for read in a.records()] == [ERRORS] * 3


def test_a_merge_prefers_what_ended_well_and_leaves_damage_out(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "a"), filled(tmp_path / "b", "bad", "mended", "kept")
    a.write(record("mended", "failed"), {})
    a.write(record("kept"), FRAMES)
    b.write(record("kept", "failed"), {})
    spoil(b.folder / "bad" / ORIGINS, lambda data: data[1:] + b"x")
    merged = merge([a.folder, b.folder], tmp_path / "c")
    assert [finding.path for finding in merged.damaged] == [b.folder / "bad"]
    assert merged.conflicts == []
    here = Store(tmp_path / "c" / "e")
    assert here.found() == ["kept", "mended"]
    assert {here.condition(run_id).state for run_id in here.found()} == {"ok"}


def test_what_no_report_is_about_is_pruned(tmp_path: Path, bench: Bench) -> None:
    store = filled(tmp_path / "results", "old", "a", "b")
    store.write_manifest({"a": "cell a", "b": "cell b"}, keep=False)
    store.write(record("b", "failed"), {})
    spoil(store.folder / "a" / RECORD, lambda _: b"")
    store.set_aside("a")
    before = content(tmp_path)
    ran = bench("results", "prune", "results", "--dry-run")
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "2 would be removed")
    assert content(tmp_path) == before
    ran = bench("results", "prune", "results")
    assert "results/e/old: is of a superseded version, or listed no longer" in ran.out
    assert "2 removed" in ran.out
    assert store.found() == ["b"]
    assert list((store.folder / DAMAGED).iterdir()) == []


def test_what_tuning_chose_is_no_run(tmp_path: Path) -> None:
    swept = Store(filled(tmp_path / "results", "a").folder / TRIALS)
    swept.write(record("trial"), {})
    swept.write_manifest({"trial": "{}"}, keep=False)
    (swept.folder / CHOSEN).mkdir()
    (swept.folder / CHOSEN / "d.toml").write_text("seeds = [0]")
    assert swept.found() == ["trial"]
    assert prune(tmp_path / "results") == []
    merged = merge([tmp_path / "results"], tmp_path / "merged")
    assert (merged.taken, merged.damaged) == (2, [])
    for results in ("results", "merged"):
        assert (tmp_path / results / "e" / TRIALS / CHOSEN / "d.toml").read_text() == "seeds = [0]"


def test_nothing_is_pruned_where_no_list_says_what_counts(tmp_path: Path) -> None:
    store = filled(tmp_path, "a")
    (store.folder / MANIFEST).write_text("{")
    with pytest.raises(BenchError, match=r"no runs\.json says which runs the report is about"):
        prune(tmp_path)
    assert store.found() == ["a"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_all_runs_go_into_one_file(tmp_path: Path, ending: str, bench: Bench) -> None:
    filled(tmp_path / "results", "a", "b", seed=3)
    ran = bench("results", "export", f"out/all.{ending}")
    assert ran.out.strip() == f"2 runs in out/all.{ending}"
    read = pd.read_parquet if ending == "parquet" else pd.read_csv
    frame = read(tmp_path / "out" / f"all.{ending}")
    whole = load_results(tmp_path / "results")
    assert list(frame.columns) == list(whole.columns)
    assert frame[["run_id", "seed", "mse"]].equals(whole[["run_id", "seed", "mse"]])
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"all.{ending}"]


def test_a_file_of_another_kind_is_a_mistake(tmp_path: Path) -> None:
    filled(tmp_path, "a")
    with pytest.raises(BenchError, match=r"must end in \.parquet or \.csv"):
        export(tmp_path, tmp_path / "all.xlsx")


def test_a_name_in_a_manifest_removes_nothing_elsewhere(tmp_path: Path) -> None:
    store, other = filled(tmp_path, "a"), filled(tmp_path / "other", "b")
    (store.folder / MANIFEST).write_text(json.dumps({"a": "x", "../../other/e/b": "y"}))
    assert prune(store.folder) == []
    assert other.found() == ["b"]
