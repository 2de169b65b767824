"""One at a time, over processes; what was held by a process that is gone is held by the next."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from bench.results import file_lock as lock
from bench.results.file_lock import break_left, file_lock
from bench.results.owner import process_name

ROOT = Path(__file__).parents[2]

COUNTS = """
    import sys
    from pathlib import Path
    from bench.results.file_lock import file_lock

    folder = Path(sys.argv[1])
    for _ in range(50):
        with file_lock(folder / "lock", folder):
            count = int((folder / "count").read_text())
            (folder / "count").write_text(str(count + 1))
"""


def start(text: str, *words: object) -> subprocess.Popen[bytes]:
    code = [sys.executable, "-c", dedent(text), *map(str, words)]
    return subprocess.Popen(code, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)


def test_what_is_read_and_written_under_a_lock_is_counted_right(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    processes = [start(COUNTS, tmp_path) for _ in range(3)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "150"
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


HOLDS = """
    import sys, time
    from pathlib import Path
    from bench.results.file_lock import file_lock

    with file_lock(Path(sys.argv[1]), Path(sys.argv[1]).parent):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_lock_of_a_process_that_was_killed_is_broken_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with start(HOLDS, path) as process:
        assert process.stdout
        process.stdout.readline()
        break_left(path, path.parent)
        assert path.exists()  # it lives
        process.kill()
        process.wait()
        begun = time.monotonic()
        with file_lock(path, path.parent):
            assert process_name() in path.read_text()
        assert time.monotonic() - begun < 5
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_is_broken_after_silence_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    path.write_text("00000000-1-1-0123456789ab")
    break_left(path, path.parent)
    assert path.exists()
    monkeypatch.setattr(lock, "SILENT_S", 0.5)
    begun = time.monotonic()
    with file_lock(path, path.parent):
        assert time.monotonic() - begun > 0.5
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_touched_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    with file_lock(path, path.parent):
        first = path.stat().st_mtime_ns
        time.sleep(0.3)
        assert path.stat().st_mtime_ns > first
        path.write_text("another holder, who took it for left")
    assert path.exists()  # which is then not ours to remove
