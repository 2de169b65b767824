"""Results on disk: whole or not at all, picked up where they were left, and one tidy frame of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest

from bench import BenchError, Protocol, load_results
from bench.contracts.discovery import load_plugins
from bench.execution.experiment import expand, load_experiment
from bench.results.checksums import add_checksum, verify
from bench.results.condition import Condition
from bench.results.migrations import MIGRATIONS
from bench.results.owner import has_exited, process_name
from bench.results.record import SCHEMA_VERSION, DatasetRecord, Errors, PluginRecord, Record, StepTimes, Timing
from bench.results.store import (
    DAMAGED,
    FORECASTS,
    LOG,
    MANIFEST,
    ORIGINS,
    RECORD,
    TIMING,
    Store,
    experiments_in,
)

ERRORS = Errors(
    windows=10,
    mae=0.5,
    mse=0.4,
    rmse=0.4**0.5,
    mae_original=5.0,
    mse_original=40.0,
    rmse_original=40.0**0.5,
    val_mse=0.3,
    mse_by_channel=[0.4],
    mae_by_channel=[0.5],
    mse_by_lead=[0.3, 0.5],
    mae_by_lead=[0.4, 0.6],
)
FRAMES = {
    ORIGINS: pd.DataFrame({"origin": np.arange(10), "mse": np.linspace(0, 1, 10)}),
    FORECASTS: pd.DataFrame({"origin": np.arange(4), "channel": list("abab")}),
}


def timing(p50: float = 2.0, *, alone: bool = False) -> Timing:
    steps = StepTimes(steps=7, total_ms=7 * p50, p50_ms=p50, p95_ms=2 * p50, p99_ms=3 * p50)
    return Timing(
        alone=alone,
        windows=7,
        windows_per_s=500 / p50,
        predict=steps,
        adapt=steps,
        warmup=3,
        first_predict_ms=9.0,
        peak_memory_mb=1.5,
        threads=1,
        device="cpu",
        device_name="a CPU",
        clock="perf_counter",
        load=float("nan"),
    )


def record(run_id: str = "r1", status: str = "ok", **changes: Any) -> Record:
    ok = status == "ok"
    values: dict[str, Any] = {
        "run_id": run_id,
        "experiment": "e",
        "status": status,
        "reason": "" if ok else "because",
        "strategy": PluginRecord(name="rls", group="core", given={"ridge": 2.0}, config={"ridge": 2.0}),
        "dataset": DatasetRecord(name="d", fingerprint="f", rows=90, inputs=["a"], targets=["a"], borders=(40, 50, 90)),
        "protocol": Protocol(lookback=8, horizon=2, stride=2),
        "seed": 0,
        "errors": ERRORS if ok else None,
        "timing": timing() if ok else None,
        "seconds": 1.5,
        "environment": {"device": "cpu", "threads": 1},
    }
    return Record(**(values | changes))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results" / "e")


def left_over(store: Store) -> list[str]:
    return [path.name for path in (store.folder / ".tmp").glob("*")]


def test_a_run_comes_back_as_it_was_written(store: Store) -> None:
    for written in (record(), record("r2", "failed", traceback="Traceback ..."), record("r3", "skipped")):
        store.write(written, FRAMES if written.status == "ok" else {})
        read = store.read(written.run_id)
        assert read is not None
        assert read.model_dump_json() == written.model_dump_json()  # as text: the load is NaN
    for name, frame in FRAMES.items():
        found = store.read_frame("r1", name)
        assert found is not None
        pd.testing.assert_frame_equal(found, frame)
    assert store.read_frame("r3", ORIGINS) is None
    columns = store.read_columns("r1", FORECASTS, ["channel", "origin"])
    assert columns is not None
    assert {name: values.tolist() for name, values in columns.items()} == {
        "channel": list("abab"),
        "origin": [0, 1, 2, 3],
    }
    assert store.read_columns("r3", ORIGINS, ["origin"]) is None
    assert sorted(path.name for path in (store.folder / "r1").iterdir()) == [FORECASTS, ORIGINS, RECORD]
    assert left_over(store) == []
    assert [found.run_id for found in store.records()] == ["r1", "r2", "r3"]


def test_numbers_that_are_not_finite_come_back(store: Store) -> None:
    bad = ERRORS.model_copy(update={"mse": float("nan"), "mae": float("inf")})
    store.write(record(errors=bad), {})
    read = store.read("r1")
    assert read is not None
    assert read.errors is not None
    assert np.isnan(read.errors.mse)
    assert read.errors.mae == float("inf")


def test_what_ended_well_is_kept_and_what_failed_is_to_be_done_again(store: Store) -> None:
    for run_id, status in (("a", "ok"), ("b", "skipped"), ("c", "failed")):
        store.write(record(run_id, status), {})
    assert [store.has(run_id) for run_id in ("a", "b", "c", "none")] == [True, True, False, False]
    store.write(record("c"), FRAMES)
    assert store.has("c")
    assert sorted(path.name for path in (store.folder / "c").iterdir()) == [FORECASTS, ORIGINS, RECORD]
    assert left_over(store) == []


class BreaksOff(pd.DataFrame):
    """A frame that cannot be written to the end."""

    def to_parquet(self, path: Any, **_: Any) -> None:  # type: ignore[override]
        path.write(b"half")
        raise OSError("no space left on device")


def test_a_run_is_written_whole_or_not_at_all(store: Store) -> None:
    frames = {ORIGINS: FRAMES[ORIGINS], FORECASTS: BreaksOff()}
    with pytest.raises(OSError, match="no space left"):
        store.write(record(), frames)
    assert not (store.folder / "r1").exists()
    assert store.read("r1") is None
    assert left_over(store) == []  # what there was of it takes no room, on a disk that is full perhaps
    store.write(record(), FRAMES)
    assert store.has("r1")


def test_a_run_that_replaces_another_does_not_lose_it_before_it_is_whole(store: Store) -> None:
    store.write(record(status="failed"), {})
    with pytest.raises(OSError, match="no space left"):
        store.write(record(), {ORIGINS: BreaksOff()})
    kept = store.read("r1")
    assert kept is not None
    assert kept.status == "failed"


def test_the_record_is_the_last_thing_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    to_parquet, fsync, rename = pd.DataFrame.to_parquet, os.fsync, Path.rename

    def watch_parquet(self: pd.DataFrame, file: BinaryIO, **options: Any) -> None:
        order.append(Path(file.name).name)
        to_parquet(self, file, **options)

    def watch_fsync(descriptor: int) -> None:
        order.append("fsync")
        fsync(descriptor)

    def watch_rename(self: Path, target: Path) -> Path:
        assert (self / RECORD).is_file()
        order.append(f"rename to {target.name}")
        return rename(self, target)

    monkeypatch.setattr(pd.DataFrame, "to_parquet", watch_parquet)
    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(Path, "rename", watch_rename)
    store.write(record(), FRAMES)
    assert order == [ORIGINS, FORECASTS, "fsync", "rename to r1"]


def test_what_a_process_that_is_gone_left_is_swept_and_what_a_live_one_writes_is_not(store: Store) -> None:
    gone, live = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    elsewhere, long_ago = f"00000000-{gone.pid}-1-0123456789ab", f"00000000-{gone.pid}-2-0123456789ab"
    names = [f"{process_name(pid)}-0123456789ab" for pid in (gone.pid, live.pid, os.getpid())]
    for name in [*names, elsewhere, long_ago]:
        work = store.folder / ".tmp" / name
        work.mkdir(parents=True)
        (work / ORIGINS).write_bytes(b"half")
    yesterday = time.time() - 2 * 86_400
    os.utime(store.folder / ".tmp" / long_ago, (yesterday, yesterday))
    gone.communicate(b"\n")
    store.sweep()
    assert sorted(left_over(store)) == sorted([names[1], elsewhere])  # numbers of other machines say nothing here
    live.communicate(b"\n")
    store.sweep()
    assert left_over(store) == [elsewhere]


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    machine, pid, start = process_name().split("-")
    assert not has_exited(f"{machine}-{pid}-{start}-0123456789ab")
    assert has_exited(f"{machine}-{pid}-{int(start) - 1}-0123456789ab")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while process_name(process.pid).split("-")[2]:  # not waited for: its number is still taken
            time.sleep(0.01)
        assert has_exited(f"{machine}-{process.pid}-{int(start) + 1}-0123456789ab")


def spoil(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def reseal(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A change to a record's text that its seal agrees with."""
    return lambda data: add_checksum(change(verify(data)[0]).decode()).encode()


RECORD_DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "cannot be read"),
    "brace": (lambda _: b"{", "cannot be read"),
    "list": (lambda _: b"[]", "cannot be read"),
    "null": (lambda _: b"null", "cannot be read"),
    "zeros": (lambda data: b"\0" * len(data), "cannot be read"),
    "other JSON": (lambda _: b'{"run_id": "r1"}', "cannot be read"),
    "truncated": (lambda data: data[: len(data) // 2], "cannot be read"),
    "seal truncated": (lambda data: data[:-20], "its seal cannot be read"),
    "one digit": (lambda data: data.replace(b'"mse": 0.4,', b'"mse": 0.3,'), "wrong checksum"),
    "one bit of the seal": (lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:], "wrong checksum"),
    "seal lost": (lambda data: verify(data)[0], "its seal is missing"),
    "another run": (reseal(lambda body: body.replace(b'"run_id": "r1"', b'"run_id": "r7"')), "of another run, 'r7'"),
    "not a record": (reseal(lambda body: body.replace(b'"seed": 0', b'"seed": "x"')), "cannot be read"),
    "version 0": (reseal(lambda body: re.sub(rb'_version": \d', b'_version": 0', body)), "cannot be read"),
}


@pytest.mark.parametrize("how", RECORD_DAMAGES)
def test_a_damaged_record_is_named_and_as_good_as_none(store: Store, how: str) -> None:
    change, reason = RECORD_DAMAGES[how]
    store.write(record(), FRAMES)
    store.write(record("r2"), FRAMES)
    spoil(store.folder / "r1" / RECORD, change)
    found = store.condition("r1")
    assert found.state == "damaged"
    assert reason in found.reason
    assert store.read("r1") is None
    assert not store.has("r1")
    assert load_results(store.folder)["run_id"].tolist() == ["r2"]
    store.write(record(), FRAMES)
    assert store.has("r1")


def test_damaged_frames_are_found_by_size_or_when_looked_at_closely(store: Store) -> None:
    for run_id in ("gone", "short", "bit", "whole"):
        store.write(record(run_id), FRAMES)
    (store.folder / "gone" / ORIGINS).unlink()
    spoil(store.folder / "short" / ORIGINS, lambda data: data[:-1])
    spoil(store.folder / "bit" / FORECASTS, lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:])
    reasons = {run_id: store.condition(run_id).reason for run_id in store.found()}
    size = len((store.folder / "whole" / ORIGINS).read_bytes())
    short = f"{ORIGINS} has {size - 1:,} bytes, not {size:,}"
    assert reasons == {"bit": "", "gone": f"{ORIGINS} is missing", "short": short, "whole": ""}
    assert store.condition("bit", closely=True) == Condition("damaged", f"{FORECASTS}: wrong checksum")
    assert store.condition("whole", closely=True) == Condition("ok")


def test_many_runs_are_found_as_each_is_by_itself(store: Store) -> None:
    """Looking at many at once is quicker and sees the same: every damage, links, pipes, runs of no good name."""
    assert store.conditions(["r1"]) == {"r1": Condition("absent")}
    outside = store.folder.parent / "outside"
    Store(outside).write(record("linked"), FRAMES)
    for how, (change, _) in RECORD_DAMAGES.items():
        store.write(record("r1"), FRAMES)
        spoil(store.folder / "r1" / RECORD, change)
        (store.folder / "r1").rename(store.folder / how)
    for run_id in ("whole", "record linked", "record a folder", "record a pipe", "short", "gone", "frame linked", "r1"):
        store.write(record(run_id), FRAMES)
    store.write(record("failed", status="failed"), {})
    store.write(record("newer", schema_version=SCHEMA_VERSION + 1), FRAMES)
    (store.folder / "linked").symlink_to(outside / "linked")
    for run_id in ("record linked", "record a folder", "record a pipe"):
        (store.folder / run_id / RECORD).unlink()
    (store.folder / "record linked" / RECORD).symlink_to(outside / "linked" / RECORD)
    (store.folder / "record a folder" / RECORD).mkdir()
    os.mkfifo(store.folder / "record a pipe" / RECORD)
    (store.folder / "gone" / ORIGINS).unlink()
    spoil(store.folder / "short" / ORIGINS, lambda data: data[:-1])
    (store.folder / "frame linked" / ORIGINS).unlink()
    (store.folder / "frame linked" / ORIGINS).symlink_to(outside / "linked" / ORIGINS)
    (store.folder / "r1").rename(store.folder / "a file")
    (store.folder / "no record").mkdir()
    (store.folder / "file").write_text("")
    ids = [*(path.name for path in store.folder.iterdir()), "absent"]
    found = store.conditions(ids)
    one_by_one = {run_id: store.condition(run_id) for run_id in ids}
    assert {run_id: vars(now) for run_id, now in found.items()} == {
        run_id: vars(now) for run_id, now in one_by_one.items()
    }
    assert {now.state for now in found.values()} == {"ok", "failed", "damaged", "absent", "newer"}
    assert [run_id for run_id, now in found.items() if now.is_done] == ["whole"]


def test_a_folder_without_a_record_is_damaged_and_none_is_absent(store: Store) -> None:
    (store.folder / "r1").mkdir(parents=True)
    assert store.condition("r1") == Condition("damaged", f"{RECORD} is missing")
    assert store.condition("r2") == Condition("absent")


def test_what_is_damaged_is_set_aside_and_what_is_whole_is_not(store: Store) -> None:
    for run_id in ("bad", "good"):
        store.write(record(run_id), FRAMES)
    spoil(store.folder / "bad" / RECORD, lambda data: data[:100])
    assert [store.set_aside(run_id) for run_id in ("bad", "good", "none")] == [True, False, False]
    assert store.condition("bad").state == "absent"
    assert store.condition("good").state == "ok"
    (aside,) = (store.folder / DAMAGED).iterdir()
    assert aside.name.startswith("bad-")
    assert len((aside / RECORD).read_bytes()) == 100
    assert (aside / ORIGINS).is_file()
    assert left_over(store) == []
    assert store.found() == ["good"]


def test_a_whole_run_that_was_moved_gives_way_to_one_written_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(record(), FRAMES)
    condition = Store.condition

    def another_session_writes(self: Store, run_id: str) -> Any:
        if self.folder != store.folder:
            Store(store.folder).write(record(seed=5), FRAMES)
        return condition(self, run_id)

    monkeypatch.setattr(Store, "condition", another_session_writes)
    assert not store.set_aside("r1")
    monkeypatch.undo()
    found = store.read("r1")
    assert found is not None
    assert found.seed == 5
    assert left_over(store) == []


def test_what_is_printed_later_follows_in_the_log(store: Store, tmp_path: Path) -> None:
    store.write(record(), FRAMES)
    log = tmp_path / "log"
    for text in ("one\n", "two\n", ""):
        log.write_text(text)
        store.add_to_log("r1", "Later:\n", log)
        assert not log.exists()
    store.add_to_log("r1", "Later:\n", log)
    assert (store.folder / "r1" / LOG).read_text() == "Later:\none\nLater:\ntwo\n"


def test_a_record_of_a_later_version_is_not_read_and_not_damaged(store: Store) -> None:
    store.write(record(schema_version=SCHEMA_VERSION + 1), FRAMES)
    assert store.condition("r1").state == "newer"
    assert store.read("r1") is None
    assert not store.set_aside("r1")


RECORDS = Path(__file__).parents[1] / "records"


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_records_of_earlier_versions_are_read(store: Store, version: int) -> None:
    """As that version left them: a file for each one."""
    text = (RECORDS / f"v{version}.json").read_text()
    run_id = json.loads(text)["run_id"]
    (store.folder / run_id).mkdir(parents=True)
    (store.folder / run_id / RECORD).write_text(text)
    assert store.condition(run_id, closely=True) == Condition("ok")
    read = store.read(run_id)
    assert read is not None
    expected = record(run_id)
    expected.strategy.colour = "#e69f00"  # what rls would have said of itself
    assert read.model_dump_json() == expected.model_dump_json()
    assert set(MIGRATIONS) == set(range(1, SCHEMA_VERSION))
    (store.folder / run_id / RECORD).write_text(text[:-100])
    assert store.condition(run_id).state == "damaged"


def test_the_form_of_records_may_change_and_no_run_gets_another_id(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)
    load_plugins()
    ids = [run.run_id for run in expand(load_experiment(str(tiny)), "cpu")]
    monkeypatch.setattr("bench.results.record.SCHEMA_VERSION", 77)
    assert [run.run_id for run in expand(load_experiment(str(tiny)), "cpu")] == ids
    monkeypatch.setattr("bench.evaluation.run_spec.harness_sha", lambda: "another")
    assert not set(ids) & {run.run_id for run in expand(load_experiment(str(tiny)), "cpu")}


def test_a_timing_pass_stands_beside_its_record(store: Store) -> None:
    store.write(record(), FRAMES)
    assert store.read_timing("r1") is None
    before = (store.folder / "r1" / RECORD).read_bytes()
    store.write_timing("r1", timing(1.0, alone=True))
    found = store.read_timing("r1")
    assert found is not None
    assert found.alone
    assert (store.folder / "r1" / RECORD).read_bytes() == before
    assert left_over(store) == []
    (store.folder / "r1" / TIMING).write_text("{")
    assert store.read_timing("r1") is None


def test_the_manifest_says_what_the_report_is_about(store: Store) -> None:
    for run_id in ("a", "b", "c", "old"):
        store.write(record(run_id), {})
    assert store.run_ids() == ["a", "b", "c", "old"]  # no list was made
    store.write_manifest({"c": "cell c", "a": "cell a", "not yet run": "cell d"}, keep=False)
    assert store.run_ids() == ["c", "a"]
    assert list(store.read_manifest()) == ["c", "a", "not yet run"]
    assert store.has("old")  # it stays on disk, and counts again if it is listed again
    assert left_over(store) == []


def test_a_narrowed_experiment_keeps_other_rows_and_replaces_its_own(store: Store) -> None:
    store.write_manifest({"a1": "cell a", "b1": "cell b"}, keep=False)
    store.write_manifest({"c1": "cell c"}, keep=True)
    assert store.read_manifest() == {"a1": "cell a", "b1": "cell b", "c1": "cell c"}
    store.write_manifest({"b2": "cell b"}, keep=True)  # the plug-in was edited: another run, the same cell
    assert store.read_manifest() == {"a1": "cell a", "c1": "cell c", "b2": "cell b"}
    store.write_manifest({"a1": "cell a"}, keep=False)
    assert store.read_manifest() == {"a1": "cell a"}


def test_names_on_disk_lead_nowhere_else(store: Store) -> None:
    store.write(record(), FRAMES)
    secret = store.folder.parent / "secret"
    Store(secret.parent).write(record("secret"), {})
    hostile = {"../secret": "a", "/etc": "b", ".damaged": "c", "a/../../secret": "d", "r1": "e", "..\\secret": "f"}
    (store.folder / MANIFEST).write_text(json.dumps(hostile))
    assert list(store.read_manifest()) == ["r1"]
    assert store.run_ids() == ["r1"]
    text = add_checksum(record().model_dump_json(indent=1), [secret / RECORD])
    (store.folder / "r1" / RECORD).write_text(text)
    assert "names files that no run leaves" in store.condition("r1", closely=True).reason


def test_what_a_run_printed_goes_with_it_unless_it_is_nothing(store: Store, tmp_path: Path) -> None:
    for run_id, text in (("silent", ""), ("loud", "hello\n")):
        log = tmp_path / f"{run_id}.txt"
        log.write_text(text)
        store.write(record(run_id), FRAMES, log=log)
    assert not (store.folder / "silent" / LOG).exists()
    assert (store.folder / "loud" / LOG).read_text() == "hello\n"
    assert store.condition("loud", closely=True).state == "ok"


def test_what_ended_well_meanwhile_gives_way_only_when_it_is_to(store: Store) -> None:
    store.write(record(seconds=1.0), FRAMES)
    store.write_timing("r1", timing(alone=True))
    store.write(record(status="failed"), {}, replace=False)
    kept = store.read("r1")
    assert kept is not None
    assert (kept.status, kept.seconds) == ("ok", 1.0)
    assert store.read_timing("r1") is not None
    store.write(record(status="failed"), {})
    assert store.condition("r1").state == "failed"
    store.write(record(seconds=2.0), FRAMES, replace=False)
    assert store.condition("r1").state == "ok"
    assert left_over(store) == []


WRITERS = """
    import sys
    from pathlib import Path
    from bench.results.store import Store
    from tests.results.test_store import FRAMES, record

    store, who = Store(Path(sys.argv[1])), int(sys.argv[2])
    for i in range(40):
        store.write(record("same", seconds=float(who)), FRAMES)
        store.write(record(f"own-{who}-{i}"), FRAMES)
        store.write_manifest({f"own-{who}-{i}": f"cell {who} {i}"}, keep=True)
"""


def test_processes_that_write_to_one_folder_lose_nothing(store: Store) -> None:
    """The same run again and again, runs of their own, and one list of all."""
    words = [sys.executable, "-W", "ignore", "-c", dedent(WRITERS), str(store.folder)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    writers, seen = [subprocess.Popen([*words, str(who)], cwd=root, env=environment) for who in range(3)], set()
    while any(writer.poll() is None for writer in writers):
        seen.add(store.condition("same"))
        store.set_aside("same")
    assert seen <= {Condition("ok"), Condition("absent")}
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    own = {f"own-{who}-{i}" for who in range(3) for i in range(40)}
    assert set(store.found()) == own | {"same"}
    assert {store.condition(run_id, closely=True).state for run_id in store.found()} == {"ok"}
    assert set(store.read_manifest()) == own
    assert left_over(store) == []


def test_a_damaged_manifest_is_as_good_as_none(store: Store) -> None:
    store.write(record(), {})
    (store.folder / MANIFEST).write_text("{")
    assert store.run_ids() == ["r1"]


PROMISED = """
    strategy forecaster dataset protocol lookback horizon stride block seed status reason windows mae mse rmse
    mae_original mse_original rmse_original val_mse windows_per_s predict_p50_ms predict_p95_ms adapt_p50_ms
    adapt_p95_ms peak_memory_mb device
"""  # by the design
MORE = """
    experiment run_id group label_every label_rate label_seed delay labels warm_start timed_alone service_s seconds
    threads strategy_config predict_p99_ms adapt_p99_ms first_predict_ms setup_s state_bytes parameters trainable
    updated predict_flops adapt_flops harness_us trace_us disturbed labels_from_rows audit mase rmsse together
"""
WHOLE = "lookback horizon stride block seed windows label_every threads together"
TEXT = "experiment run_id group strategy forecaster dataset protocol status reason device strategy_config audit"
NUMBERS = PROMISED.split("windows ")[1].removesuffix("device\n").split()


def test_all_runs_in_one_frame(store: Store) -> None:
    store.write(record("a"), FRAMES)
    store.write(record("b", "failed", seed=1), {})
    store.write(record("c", "skipped", seed=2, forecaster=PluginRecord(name="ridge")), {})
    frame = load_results(store.folder)
    assert set(frame.columns) == {*PROMISED.split(), *MORE.split()}
    assert sorted(frame["run_id"]) == ["a", "b", "c"]
    for name in NUMBERS:
        assert frame[name].dtype == np.float64, name
        by_status = frame.set_index("status")[name]
        assert np.isfinite(by_status["ok"]), name
        assert by_status[["failed", "skipped"]].isna().all(), name
    for name in WHOLE.split():
        assert frame[name].dtype == np.int64, name
    for name in ("warm_start", "timed_alone"):
        assert frame[name].dtype == bool, name
    for name in TEXT.split():
        assert all(isinstance(cell, str) for cell in frame[name]), name
    row = frame.set_index("run_id").loc["a"]
    assert (row["mse"], row["mae_original"], row["val_mse"], row["windows"]) == (0.4, 5.0, 0.3, 10)
    assert (row["strategy"], row["forecaster"], row["protocol"]) == ("rls", "none", "day-ahead")
    assert json.loads(str(row["strategy_config"])) == {"ridge": 2.0}
    assert frame["windows"].tolist() == [10, 0, 0]
    assert frame["reason"].tolist() == ["", "because", "because"]


def test_a_frame_of_failures_alone_has_the_same_types(store: Store) -> None:
    store.write(record("b", "failed"), {})
    frame = load_results(store.folder)
    assert {frame[name].dtype for name in NUMBERS} == {np.dtype("float64")}
    assert frame["windows"].dtype == np.int64


def test_timings_are_those_of_the_timing_pass_where_there_is_one(store: Store) -> None:
    store.write(record("a"), {})
    store.write(record("b", seed=1), {})
    store.write_timing("a", timing(1.0, alone=True))
    frame = load_results(store.folder).set_index("run_id")
    assert frame["timed_alone"].to_dict() == {"a": True, "b": False}
    assert frame["predict_p50_ms"].to_dict() == {"a": 1.0, "b": 2.0}
    assert frame["windows_per_s"].to_dict() == {"a": 500.0, "b": 250.0}
    assert frame["service_s"].tolist() == [0.028, 0.028]  # as measured in the runs themselves


def test_one_experiment_or_all_of_a_folder(tmp_path: Path) -> None:
    for name in ("two", "one"):
        Store(tmp_path / name).write(record(f"run-{name}", experiment=name), {})
    (tmp_path / "empty").mkdir()
    (tmp_path / ".checkpoints").mkdir()
    assert load_results(tmp_path)["experiment"].tolist() == ["one", "two"]
    assert load_results(str(tmp_path / "two"))["run_id"].tolist() == ["run-two"]
    assert [folder.name for folder in experiments_in(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_no_results_is_a_mistake_with_a_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match=r"No results in .*\. Run an experiment first \(bench run\), or name its fol"):
        load_results(tmp_path / name)


def test_results_that_cannot_be_read_are_said_to_be(store: Store) -> None:
    store.write(record(), {})
    (store.folder / "r1" / RECORD).write_text("{")
    with pytest.raises(BenchError, match="No readable results in"):
        load_results(store.folder)
