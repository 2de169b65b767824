"""What runs do wrong stays with them: each becomes a record with its reason, and the others finish."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from bench.evaluation.run import RunPaths
from bench.execution.experiment import expand, load_experiment
from bench.execution.worker import Work, run_one
from bench.results.maintenance import check
from bench.results.record import Record
from bench.results.store import DAMAGED, LOG, ORIGINS, RECORD, Store

from ..conftest import Bench, Write
from ..execution.test_engines import RAY_LOST
from ..results.test_store import spoil
from ..sessions import ENVIRONMENT, change, clean, command, mine, records, run_apart, store_of

pytestmark = pytest.mark.usefixtures("without_report")

TROUBLE = """
    import os, subprocess, sys, time, warnings
    import numpy as np
    from bench import Strategy, register_strategy

    class Trouble(Strategy):
        "Persistence, until it comes to trouble."

        def predict(self, windows):
            self.served = getattr(self, "served", 0) + 1
            if self.served == 30:
                self.fail()
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)

    @register_strategy("raises")
    class Raises(Trouble):
        def fail(self):
            print("just before")
            raise RuntimeError("no luck")

    @register_strategy("diverges")
    class Diverges(Trouble):
        def predict(self, windows):
            return super().predict(windows) + (np.inf if self.served > 20 else 0.0)

    @register_strategy("leaves")
    class Leaves(Trouble):
        def fail(self):
            sys.exit("enough")
"""

WORSE = """
    @register_strategy("exits")
    class Exits(Trouble):
        def fail(self):
            print("goodbye", flush=True)
            os._exit(5)

    @register_strategy("hangs")
    class Hangs(Trouble):
        def fail(self):
            subprocess.run([sys.executable, "-c", "print('from a child', flush=True)"])
            warnings.warn("this may take long")
            while True:
                time.sleep(1)
"""


def log_of(tiny: Path, record: Record) -> str:
    return (store_of(tiny).folder / record.run_id / LOG).read_text()


def reasons(tiny: Path) -> dict[str, str]:
    return {name: record.reason for name, record in records(tiny).items() if record.status == "failed"}


CAUGHT = {
    "raises": "RuntimeError: no luck",
    "diverges": "StreamError: diverged: the forecast at origin 142 is not finite",
    "leaves": "SystemExit: enough",
}


def test_trouble_in_this_process(tiny: Path, bench: Bench, write: Write) -> None:
    change(tiny, timing_blocks="0")
    ran = bench("run", tiny, "--plugins", write("trouble.py", TROUBLE))
    assert ran.status == 1
    assert "Now: 3 failed, 2 ok" in ran.err
    assert reasons(tiny) == CAUGHT
    found = records(tiny)
    assert "just before" in log_of(tiny, found["raises"])
    assert "RuntimeError: no luck" in log_of(tiny, found["raises"])
    assert "just before" not in ran.out + ran.err
    assert not (store_of(tiny).folder / found["rls"].run_id / LOG).exists()
    assert clean(tiny)
    assert check(tiny.parent / "results") == []


DIED = {
    "serial": "a worker process died (exit status 5), as the one before it",
    "ray": f"a worker process died on {platform.node()} {RAY_LOST}, as the one before it",
}


SOON = {"serial": 10, "ray": 40}  # a busy machine starts ray's workers slowly


@pytest.mark.parametrize("engine", ["serial", "ray"])  # a serial session's one worker is that of ``processes``
def test_trouble_that_takes_a_process_with_it(engine: str, tiny: Path, bench: Bench, write: Write) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra [ray] is not installed")
    change(tiny, timing_blocks="0", engine=f'"{engine}"', timeout=f"{SOON[engine]}.0")  # imports count too
    words = ("--plugins", write("trouble.py", TROUBLE + WORSE))
    ran = run_apart(tiny, *words) if engine == "ray" else bench("run", tiny, *words)
    assert ran.status == 1, ran.err
    assert "Traceback" not in ran.err
    assert "Now: 5 failed, 2 ok" in ran.err
    assert reasons(tiny) == CAUGHT | {
        "exits": DIED[engine],
        "hangs": f"timed out after {SOON[engine]} s",
    }
    found = records(tiny)
    assert log_of(tiny, found["exits"]) == 2 * "goodbye\n"
    hung = log_of(tiny, found["hangs"])
    assert "from a child" in hung
    assert "UserWarning: this may take long" in hung
    assert 'trouble.py", line' in hung  # where it stood
    assert "in fail" in hung
    assert clean(tiny)
    assert check(tiny.parent / "results") == []


def test_failed_runs_are_done_again_unless_they_are_to_be_kept(tiny: Path, bench: Bench, write: Write) -> None:
    change(tiny, timing_blocks="0")
    words = ("run", tiny, "--plugins", write("trouble.py", TROUBLE))
    bench(*words)
    kept = bench(*words, "--keep-failed")
    assert (kept.status, "Now: nothing to do; 5 kept from before" in kept.err) == (0, True)
    again = bench(*words, "--retry-failed")
    assert (again.status, "Now: 3 failed; 2 kept from before" in again.err) == (1, True)
    assert bench(*words).err == again.err  # which is what happens anyway


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_a_reason(tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames do not fit, records do."""
    change(tiny, timing_blocks="0")
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", no_space)
        ran = bench("run", tiny)
    assert ran.status == 1
    assert "Now: 2 failed" in ran.err
    reason = "not written: OSError: [Errno 28] No space left on device"
    assert reasons(tiny) == {"persistence": reason, "rls": reason}
    assert clean(tiny)
    assert "Now: 2 ok; 0 kept" in bench("run", tiny).err


def test_a_disk_that_takes_no_record_loses_that_run_only(
    tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(tiny, timing_blocks="0")
    write_text, calls = "bench.results.store.write_durably", []

    def full_at_first(path: Path, text: str) -> None:
        calls.append(path.name)
        if calls.count(RECORD) in (1, 2) and path.name == RECORD:
            no_space()
        path.write_text(text)

    with monkeypatch.context() as patch:
        patch.setattr(write_text, full_at_first)
        ran = bench("run", tiny)
    assert ran.status == 1
    assert "Now: 1 failed, 1 ok" in ran.err
    assert "No space left on device" in ran.err
    assert clean(tiny)
    assert "Now: 1 ok; 1 kept from before" in bench("run", tiny).err


def test_a_disk_full_from_the_start_ends_in_a_line(tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.results.disk.write_durably", no_space)
    ran = bench("run", tiny)
    assert ran.status == 1
    assert ran.err.splitlines()[-1] == (
        "Stopped: [Errno 28] No space left on device. What was done is kept; the same command goes on from there."
    )


def test_a_damaged_run_is_named_set_aside_and_run_again(tiny: Path, bench: Bench) -> None:
    change(tiny, timing_blocks="0", strategies='["persistence", "seasonal-naive", "rls"]')
    bench("run", tiny)
    before = records(tiny)
    folder = store_of(tiny).folder
    spoil(folder / before["rls"].run_id / RECORD, lambda data: data[: len(data) // 2])
    (folder / before["persistence"].run_id / ORIGINS).unlink()
    ran = bench("run", tiny)
    assert ran.status == 0
    assert f"damaged: persistence on csv:waves.csv, seed 0: {ORIGINS} is missing. Set aside in " in ran.err
    assert f"damaged: rls on csv:waves.csv, seed 0: {RECORD} cannot be read" in ran.err
    assert "Now: 2 ok; 1 kept from before" in ran.err
    assert {name: record.errors for name, record in records(tiny).items()} == {
        name: record.errors for name, record in before.items()
    }
    assert len(list((folder / DAMAGED).iterdir())) == 2
    assert check(tiny.parent / "results") == []


SLEEPS = """
    import time
    from bench import Strategy, register_strategy

    @register_strategy("sleeps")
    class Sleeps(Strategy):
        "Takes its time."

        def predict(self, windows):
            time.sleep(3)
"""


MARK = "BENCH_TEST"


def marked(mark: str) -> list[psutil.Process]:
    """Processes, whoever's children they are by now, that were begun with a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def ends(group: int) -> bool:
    """Whether nobody is left of a group of processes, in a while."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("number", "status", "engine"),
    [
        (signal.SIGTERM, 143, "inline"),  # raised like SIGINT, and in a process that has no worker
        (signal.SIGINT, 130, "processes"),
        *((number, status, "ray") for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143))),
    ],
)
def test_a_session_that_is_stopped_says_how_to_go_on(
    tiny: Path, write: Write, number: signal.Signals, status: int, engine: str
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra [ray] is not installed")
    change(tiny, timing_blocks="0", engine=f'"{engine}"', strategies='["persistence", "sleeps"]', seeds="[0, 1, 2]")
    mark = uuid.uuid4().hex
    words = command("run", tiny, "--plugins", write("sleeps.py", SLEEPS))
    folder = store_of(tiny).folder
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    try:
        process = subprocess.Popen(
            words,
            cwd=tiny.parent,
            env=ENVIRONMENT | {MARK: mark},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    while len(list(folder.glob(f"[!.]*/{RECORD}"))) < 3 or not list(folder.glob(".progress/*/[!.]*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, number)  # as a terminal does it: to all of them
    _, said = process.communicate(timeout=30)
    assert process.returncode == status
    assert said.splitlines()[-1].endswith("What was done is kept; the same command goes on from there.")
    assert "Traceback" not in said
    assert len(store_of(tiny).found()) == 3
    assert clean(tiny)
    assert ends(process.pid)
    assert not marked(mark)


COUNTS = """
    import os, time
    import torch
    from bench import Forecaster, ForecasterConfig, register_forecaster

    @register_forecaster("counted")
    class Counted(torch.nn.Module):
        "Leaves a file whenever it is trained."

        class Config(ForecasterConfig):
            pass

        def __init__(self, config, task):
            super().__init__()
            self.task, self.weight = task, torch.nn.Parameter(torch.zeros(1))

        def prepare(self, pairs):
            open(f"trained-{len(pairs)}-{os.getpid()}-{time.monotonic_ns()}", "w").close()
            time.sleep(2 * (len(pairs) == 66))  # in the runs, and not in audits

        def forward(self, x):
            return x[:, -1:].expand(-1, self.task.horizon, -1) + self.weight
"""


def test_sessions_at_once_train_a_checkpoint_once(tiny: Path, write: Write) -> None:
    change(tiny, timing_blocks="0", strategies='["frozen"]', forecasters='["counted"]', seeds="[0, 1]")
    words = command("run", tiny, "--plugins", write("counted.py", COUNTS.replace("Forecaster, ", "")))
    both = [subprocess.Popen(words, cwd=tiny.parent, env=ENVIRONMENT, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(list(tiny.parent.glob("trained-66-*"))) == 2  # two seeds; audits train on series of their own
    assert {path.suffix for path in (tiny.parent / "results" / ".checkpoints").iterdir()} == {".safetensors"}
    assert {record.status for record in store_of(tiny).records()} == {"ok"}
    assert check(tiny.parent / "results") == []
    assert clean(tiny)


def test_what_another_session_did_meanwhile_is_not_done_again(tiny: Path, bench: Bench) -> None:
    change(tiny, timing_blocks="0")
    bench("run", tiny)
    folder = store_of(tiny).folder
    (run, *_) = expand(load_experiment(str(tiny)), "cpu")
    before = (folder / run.run_id / RECORD).read_bytes()
    place = RunPaths(folder, folder.parent / ".checkpoints")
    assert run_one(run, Work(place, folder / ".progress" / "x")).elsewhere
    assert (folder / run.run_id / RECORD).read_bytes() == before
    assert run_one(run, Work(place, folder / ".progress" / "x", replace=True)).status == "ok"
    assert (folder / run.run_id / RECORD).read_bytes() != before


def test_shards_do_all_once_and_merge_to_the_whole(tiny: Path, bench: Bench) -> None:
    change(tiny, seeds="[0, 1, 2, 3, 4, 5]")
    whole = bench("run", tiny, "--results", "whole")
    assert "Now: 12 ok; 0 kept from before; 2 timed alone." in whole.err
    done, timed = [], 0
    for index in (1, 2):
        ran = bench("run", tiny, "--shard", f"{index}/2", "--results", f"part{index}")
        assert ran.status == 0
        assert ran.out == ""  # no report of a part
        assert f"This was share {index}/2. Once all are done: bench report tiny" in ran.err
        store = Store(tiny.parent / f"part{index}" / "tiny")
        done += store.found()
        timed += sum(store.read_timing(run_id) is not None for run_id in store.found())
        assert "nothing to do" in bench("run", tiny, "--shard", f"{index}/2", "--results", f"part{index}").err
    expected = Store(tiny.parent / "whole" / "tiny")
    assert sorted(done) == expected.found()
    assert timed == 2  # each by who has the run
    assert bench("results", "merge", "part1", "part2", "whole", "--to", "all").status == 0
    merged = Store(tiny.parent / "all" / "tiny")
    assert merged.run_ids() == expected.run_ids()
    assert bench("run", tiny, "--results", "all").err.splitlines()[-1].startswith("Now: nothing to do; 12 kept")
    for index in (1, 2, 3):  # in one folder, too
        bench("run", tiny, "--shard", f"{index}/3", "--results", "shared")
    assert Store(tiny.parent / "shared" / "tiny").run_ids() == expected.run_ids()


def test_shards_without_runs_merge(tiny: Path, bench: Bench) -> None:
    change(tiny, timing_blocks="0")
    shards = [f"{index}/8" for index in range(1, 9)]
    for index, shard in enumerate(shards):
        assert bench("run", tiny, "--shard", shard, "--results", f"part{index}").status == 0
    parts = [Store(tiny.parent / f"part{index}" / "tiny").found() for index in range(8)]
    assert [] in parts
    assert bench("results", "merge", *(f"part{index}" for index in range(8)), "--to", "all").status == 0
    assert Store(tiny.parent / "all" / "tiny").found() == sorted(run_id for part in parts for run_id in part)
    assert bench("results", "check", f"part{parts.index([])}").status == 1  # what it lists is elsewhere


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_share_that_cannot_be_is_a_mistake(tiny: Path, bench: Bench, shard: str) -> None:
    ran = bench("run", tiny, f"--shard={shard}")
    assert ran.status == 2
    assert f"--shard {shard}: give I/N with I from 1 to N, such as 2/8" in ran.err


def test_a_dry_run_says_what_there_is_and_changes_nothing(
    tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    change(tiny, strategies='["persistence", "frozen", "titans-a"]', forecasters='["dlinear"]', seeds="[0, 1]")
    ran = bench("run", tiny, "--dry-run")
    assert ran.status == 0
    assert "6 runs: 0 kept, 6 to do. 2 to pre-train first. Estimate: former runs do not say how long." in ran.out
    assert not (tiny.parent / "results").exists()
    bench("run", tiny, "--strategy", "persistence")
    store = store_of(tiny)
    spoil(store.folder / store.found()[0] / RECORD, lambda _: b"")
    before = {path: path.read_bytes() for path in (tiny.parent / "results").rglob("*") if path.is_file()}
    ran = bench("run", tiny, "--dry-run")
    assert "6 runs: 1 kept, 5 to do. 2 to pre-train first. Estimate: about 1 s, by the runs that were" in ran.out
    lines = {line.split()[0]: " ".join(line.split()) for line in ran.out.splitlines() if line.strip()}
    assert "csv:waves.csv day-ahead (L=12, H=3, S=3, K=1) 2 1 1 1 damaged about 1 s" in lines["persistence"]
    assert "2 0 2 about 1 s" in lines["frozen"]
    assert "cannot be: titans-a needs memory" in " ".join(ran.out.split())
    assert {path: path.read_bytes() for path in (tiny.parent / "results").rglob("*") if path.is_file()} == before


def test_what_a_good_run_prints_is_kept_with_it(tiny: Path, bench: Bench, write: Write) -> None:
    text = mine().replace("            mean = ", "            print('a line')\n            mean = ")
    bench("run", tiny, "--plugins", write("mine.py", text), "--strategy", "mine")
    assert set(log_of(tiny, records(tiny)["mine"]).splitlines()) == {"a line", "In the timing pass:"}
