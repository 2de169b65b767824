"""Several sessions at once in one folder: each run is done once, none is timed while others run, each says so."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import load_results
from bench.execution import sharing
from bench.execution.sharing import Claims, Sharing
from bench.results.audit import AUDITS
from bench.results.disk import HERE, RUNNING, SESSIONS
from bench.results.file_lock import Lock
from bench.results.maintenance import check
from bench.results.owner import process_name
from bench.results.store import RECORD

from ..conftest import Bench, Write
from ..sessions import ENVIRONMENT, change, clean, command, store_of

WATCHED = """
    import os, time, traceback
    from pathlib import Path
    from bench import Strategy, register_strategy

    @register_strategy("watched")
    class Watched(Strategy):
        "Persistence that takes its time, and writes down when it was at work."

        def setup(self):
            kind = "timing" if "time_alone" in {{frame.name for frame in traceback.extract_stack()}} else "run"
            self.file = Path({folder!r}) / f"{{kind}}-{{os.getpid()}}-{{time.monotonic_ns()}}"
            self.note()

        def note(self):
            with self.file.open("a") as file:
                file.write(f"{{time.monotonic()}}\\n")

        def predict(self, windows):
            time.sleep(0.01)
            self.note()
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""


@pytest.fixture
def watched(tiny: Path, bench: Bench, write: Write) -> Path:
    """The tiny experiment with six runs that are watched; what they write is in ``seen``, and audits are made."""
    seen = tiny.parent / "seen"
    seen.mkdir()
    write("watched.py", WATCHED.format(folder=str(seen)))
    change(tiny, strategies='["watched", "persistence"]', timing_blocks="0")
    assert bench("run", tiny, "--plugins", "watched.py", "--results", "first", "--shard", "1/1").status == 0
    shutil.copytree(tiny.parent / "first" / AUDITS, tiny.parent / "results" / AUDITS)
    for file in seen.iterdir():
        file.unlink()
    change(
        tiny,
        seeds="[0, 1, 2, 3, 4, 5]",
        protocol="{ lookback = 12, horizon = 6 }",
        timing_blocks="20",
    )
    return tiny


def start(tiny: Path, *words: object, report: bool = False) -> subprocess.Popen[str]:
    words = ("run", tiny, "--plugins", tiny.parent / "watched.py", *words)
    return subprocess.Popen(
        command(*words, report=report, forked=True),
        cwd=tiny.parent,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def spans(tiny: Path) -> list[tuple[str, int, float, float]]:
    """Kind, process, begin and end of everything that was at work."""
    found = []
    for file in sorted((tiny.parent / "seen").iterdir()):
        kind, pid, _ = file.name.split("-")
        moments = [float(line) for line in file.read_text().split()]
        if moments:
            found.append((kind, int(pid), min(moments), max(moments)))
    return found


def overlaps(tiny: Path) -> list[tuple[object, object]]:
    """Pairs of a timing pass and of something else that was at work at the same time, in another process."""
    return [
        (one, other)
        for one, other in itertools.permutations(spans(tiny), 2)
        if one[0] == "timing" and one[1] != other[1] and one[2] < other[3] and other[2] < one[3]
    ]


def done(said: str) -> Counter[str]:
    """What a session says that it did."""
    (line,) = [line for line in said.splitlines() if line.startswith("Now: ")]
    return Counter({name: int(number) for number, name in re.findall(r"(\d+) (ok|kept|by|timed)", line)})


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_two_sessions_share_the_work_and_time_one_after_the_other(watched: Path, engine: str, bench: Bench) -> None:
    both = engine == "inline"
    sessions = [start(watched, "--engine", engine, "--workers", 2, report=both) for _ in range(2)]
    said = [session.communicate()[1] for session in sessions]
    assert [session.returncode for session in sessions] == [0, 0], said
    counts = [done(text) for text in said]
    assert sum(count["ok"] for count in counts) == 12
    assert all(count["ok"] + count["kept"] + count["by"] == 12 for count in counts)
    assert sum(count["timed"] for count in counts) == 2
    assert [kind for kind, *_ in spans(watched)].count("run") == 6
    assert len({pid for kind, pid, *_ in spans(watched) if kind == "timing"}) == 1  # several passes where it stalled
    assert overlaps(watched) == []
    for mine, other in zip(said, reversed(sessions), strict=True):
        assert mine.count(f"Another session (process {other.pid})") == 1
    assert clean(watched)
    assert check(watched.parent / "results") == []
    assert not (watched.parent / "results" / SESSIONS).exists()
    assert load_results(watched.parent / "results")["timed_alone"].sum() == 2
    if both:
        report = watched.parent / "reports" / "tiny" / "README.md"
        before = report.read_text()
        assert bench("report").status == 0
        assert report.read_text() == before
        assert [path.name for path in report.parent.parent.iterdir()] == ["tiny"]


def text_of(path: Path) -> str:
    """What a file holds; nothing where it has gone meanwhile."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def test_of_three_sessions_one_is_killed_and_nothing_is_lost_or_done_twice(watched: Path) -> None:
    sessions = [start(watched, "--engine", "inline") for _ in range(3)]
    folder, victim = store_of(watched).folder, sessions[1]
    claims = folder / ".tmp"

    def at_work() -> bool:
        return any(process_name(victim.pid) in text_of(path) for path in claims.glob("*.lock"))

    while not at_work() or not list(folder.glob(f"[!.]*/{RECORD}")):
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    said = [session.communicate()[1] for session in sessions]
    assert [session.returncode for session in sessions] == [0, -signal.SIGKILL, 0], said
    assert {record.status for record in store_of(watched).records()} == {"ok"}
    assert len(store_of(watched).run_ids()) == 12
    runs = [pid for kind, pid, *_ in spans(watched) if kind == "run"]
    assert 6 <= len(runs) <= 7  # only what the victim had under way was done again
    assert len({pid for kind, pid, *_ in spans(watched) if kind == "timing"}) == 1
    assert overlaps(watched) == []
    assert clean(watched)
    assert check(watched.parent / "results") == []


# without processes: what one session sees of another


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LOOK_S", 0.01)
    monkeypatch.setattr(sharing, "PATIENCE_S", 0.2)


@pytest.fixture
def two(tmp_path: Path, quick: None) -> Iterator[tuple[Sharing, list[str], Sharing, list[str]]]:
    first, second = list[str](), list[str]()
    with ExitStack() as stack:
        one = stack.enter_context(Sharing(tmp_path, first.append))
        other = stack.enter_context(Sharing(tmp_path, second.append))
        yield one, first, other, second
    assert list(tmp_path.iterdir()) == []


Two = tuple[Sharing, list[str], Sharing, list[str]]


def test_each_says_once_that_the_other_is_there(two: Two) -> None:
    one, first, other, second = two
    for _ in range(3):
        one.notice()
        other.notice()
    assert [line.partition(" works")[0] for line in [*first, *second]] == [
        f"Another session (process {process_name().split('-')[1]})"
    ] * 2


def test_nobody_times_while_another_runs_and_the_wait_has_an_end(two: Two) -> None:
    one, first, other, _ = two
    with other.running(), one.alone() as is_alone:
        assert not is_alone
    assert "has runs under way, and strategies are timed alone." in first[-2]
    assert first[-1].startswith("Waited for ")
    with one.alone() as is_alone:
        assert is_alone


def test_no_two_time_at_once_and_none_begins_runs_meanwhile(two: Two) -> None:
    one, _, other, second = two
    with one.alone() as is_alone:
        assert is_alone
        with other.alone() as at_once:
            assert not at_once
        with other.running():  # after the wait, rather than never
            pass
    assert sum("times strategies" in line for line in second) == 4  # for each: waiting, and waited no longer


JOBS = ["a", "b", "c", "d"]


def claims_in(folder: Path, found: Callable[[str], str | None]) -> Claims[str, str]:
    return Claims(lambda job: folder / f"{job}.lock", found, str.lower)


def test_what_another_has_claimed_is_left_for_the_end(two: Two, tmp_path: Path) -> None:
    one, *_ = two
    taken = {job: Lock(tmp_path / f"{job}.lock", tmp_path) for job in "ab"}
    assert all(lock.try_to_hold() for lock in taken.values())
    ended = set[str]()

    def do(jobs: Iterator[str]) -> Iterator[str]:
        for job in jobs:
            yield job.upper()
            if job == "c":
                taken["b"].let_go()  # the other session did it
                ended.add("b")
            if job == "d":
                taken["a"].let_go()  # the other session was killed

    results = one.shared(JOBS, do, claims_in(tmp_path, lambda job: f"{job} there" if job in ended else None))
    assert sorted(results) == ["A", "C", "D", "b there"]


def test_what_takes_another_too_long_is_left_to_it(two: Two, tmp_path: Path) -> None:
    one, first, *_ = two
    lock = Lock(tmp_path / "a.lock", tmp_path)
    assert lock.try_to_hold()
    results = one.shared(JOBS, lambda jobs: (job.upper() for job in jobs), claims_in(tmp_path, lambda job: None))
    assert sorted(results) == ["B", "C", "D"]
    assert first[-2] == "Waiting: 1 still under way in another session."
    lock.let_go()


def test_claims_are_given_back_whatever_happens(two: Two, tmp_path: Path) -> None:
    one, *_ = two

    def do(jobs: Iterator[str]) -> Iterator[str]:
        for job in jobs:
            yield job
            raise RuntimeError("a worker was lost")

    with pytest.raises(RuntimeError, match="lost"):
        list(one.shared(JOBS, do, claims_in(tmp_path, lambda job: None)))
    stopped = one.shared(JOBS, iter, claims_in(tmp_path, lambda job: None))
    assert next(stopped) == "a"
    del stopped
    assert list(tmp_path.glob("*.lock")) == []


def test_a_session_of_another_machine_runs_while_this_one_times(two: Two, tmp_path: Path) -> None:
    one, *_ = two
    elsewhere = "00000000-1-1-0123456789ab"
    for kind in (HERE, RUNNING):
        (tmp_path / SESSIONS / kind).mkdir(exist_ok=True)
        (tmp_path / SESSIONS / kind / elsewhere).write_text(elsewhere)
    with one.alone() as is_alone:
        assert is_alone
    for kind in (HERE, RUNNING):
        (tmp_path / SESSIONS / kind / elsewhere).unlink()
