"""Links, pipes and sockets in results that came from elsewhere: named by every command, followed by none."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from bench.results.audit import AUDITS
from bench.results.benchmark_files import THROUGHPUT
from bench.results.disk import CHANGE_POINTS, WORK, sweep
from bench.results.plain import DEEPEST, NotPlainError, read_file, remove, strangers
from bench.results.store import CHOSEN, DAMAGED, FORECASTS, LOG, MANIFEST, ORIGINS, RECORD, TIMING, TRIALS, Store
from bench.results.trials import SERVED, Trial

from ..conftest import Bench
from ..results.test_store import FRAMES, record
from ..sessions import change

ROOT = Path(__file__).parents[2]
GONE = "00000000-1-1-0123456789ab"  # as a process of another machine names what it writes

TRIAL = Trial(strategy="rls", forecaster="none", dataset="d", protocol="p", seed=0, point={})

KINDS = ("a link to a folder", "a link to a file", "a link to nothing", "a link to itself", "a pipe", "a socket")


def plant(path: Path, kind: str, outside: Path) -> None:
    """Put something in the place of whatever is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.path.relpath(path))  # a socket's path must be short
    else:
        leads = {"a link to a folder": outside, "a link to a file": outside / "thesis.txt", "a link to itself": path}
        path.symlink_to(leads.get(kind, outside / "nothing"))


def photographed(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in [folder, *sorted(folder.rglob("*"))]
    }


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Whatever waits for longer, for a pipe say, is interrupted."""

    def late(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is none of ours, with all that tempts: names that this package gives, and that look left."""
    home = tmp_path / "home"
    for name in ("thesis.txt", RECORD, TIMING, "README.md", "d.toml", "x.lock", "e.lock.break", f".{GONE}"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("{}")
    for name in (GONE, f"run/{GONE}", "run-0123456789ab", "tables", "figures", f"{WORK}/{GONE}"):
        (home / name).mkdir(parents=True)
        (home / name / ORIGINS).write_text("mine")
    for path in [*home.rglob("*"), home]:
        os.utime(path, (0, 0))
    return home


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a small experiment and its trials, with everything that results can hold."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def results(tiny: Path, bench: Bench, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them; one run is still to be done."""
    monkeypatch.setattr("bench.execution.session.audit_missing", lambda *_, **__: None)
    here = tiny.parent / "results"
    change(tiny, seeds="[0, 1]", timing_blocks="1")
    if not (prepared / "results").exists():
        bench("run", tiny)
        store = Store(here / "tiny")
        swept = Store(store.folder / TRIALS)
        swept.write(record("trial", experiment="tiny"), FRAMES)
        for name in (f"{CHOSEN}/d.toml", SERVED):
            (swept.folder / name).parent.mkdir(exist_ok=True)
            (swept.folder / name).write_text("{}")
        swept.write_manifest({"trial": TRIAL.model_dump_json()}, keep=False)
        for name in (f"{AUDITS}/a-1.json", ".checkpoints/c.safetensors", f"{THROUGHPUT}/t.json"):
            (here / name).parent.mkdir(exist_ok=True)
            (here / name).write_text("{}")
        for name in (f"{DAMAGED}/old", f"{CHANGE_POINTS}", f"{WORK}/{GONE}", f".progress/{GONE}"):
            (store.folder / name).mkdir(parents=True, exist_ok=True)
        first = store.run_ids()[0]
        frames = {name: store.read_frame(first, name) for name in (ORIGINS, FORECASTS)}
        store.write(record("unlisted", experiment="tiny"), {k: v for k, v in frames.items() if v is not None})
        (store.folder / first / LOG).write_text("said")
        shutil.rmtree(store.folder / store.run_ids()[-1])
        shutil.copytree(here, prepared / "results")
        shutil.copytree(tiny.parent / "reports", prepared / "reports")
        shutil.rmtree(here)
        shutil.rmtree(tiny.parent / "reports")
    for name in ("results", "reports"):
        shutil.copytree(prepared / name, tiny.parent / name)
    return here


NEEDED = {
    "tiny": "folder",
    f"tiny/{WORK}": "folder",
    f"tiny/{WORK}/{MANIFEST}.lock": "file",
    "tiny/.progress": "folder",
    f"tiny/{DAMAGED}": "folder",
    f"tiny/{MANIFEST}": "file",
    "tiny/RUN": "folder",
    AUDITS: "folder",
    ".checkpoints": "folder",
}
"""Where a session writes, and what belongs there: it does not begin."""

OTHERS = {
    f"tiny/{WORK}/{GONE}": "folder",
    f"tiny/.progress/{GONE}": "folder",
    f"tiny/{DAMAGED}/old": "folder",
    f"tiny/{CHANGE_POINTS}": "folder",
    f"tiny/{TRIALS}/{CHOSEN}": "folder",
    f"tiny/{TRIALS}/{SERVED}": "file",
    f"tiny/{TRIALS}/trial": "folder",
    "tiny/unlisted": "folder",
    f"tiny/RUN/{TIMING}": "file",
    f"tiny/RUN/{LOG}": "file",
    f"tiny/OTHER/{RECORD}": "file",
    f"tiny/THIRD/{ORIGINS}": "file",
    "tiny/stray": "folder",
    f"{AUDITS}/a-1.json": "file",
    ".checkpoints/c.safetensors": "file",
    ".checkpoints/x.lock": "file",
    f"{THROUGHPUT}/t.json": "file",
}
COMMANDS = (
    ("report",),
    ("leaderboard",),
    ("compare", "results", "results"),
    ("results", "export", "all.csv"),
    ("results", "merge", "results", "--to", "merged"),
    ("results", "merge", "theirs", "--to", "results"),
    ("results", "prune"),
    ("run", "tiny.toml", "--dry-run"),
    ("run", "tiny.toml"),
    ("results", "check"),
)


def survived(results: Path, places: dict[Path, str], outside: Path, bench: Bench) -> dict[tuple[str, ...], int]:
    """The exit status of each command; none followed what was planted, all named it, and nothing waited."""
    shutil.copytree(results, results.with_name("theirs"))
    for path, kind in places.items():
        plant(path, kind, outside)
    planted, before = {path.lstat().st_ino for path in places}, photographed(outside)
    names, status = [str(path.relative_to(results.parent)) for path in places], dict[tuple[str, ...], int]()
    with within(300):
        first = bench("results", "check").out
        assert [name for name in names if name not in first] == []
        for words in COMMANDS:
            ran = bench(*words)
            status[words] = ran.status
            assert photographed(outside) == before, words
            if words[-1] not in ("--dry-run", "check"):  # by then, a damaged run was set aside
                assert [name for name in names if name not in ran.out + ran.err] == [], words
    assert planted <= {found.lstat().st_ino for found, _ in strangers(results)}
    copied = [path.read_bytes() for path in (results.parent / "merged").rglob("*") if path.is_file()]
    assert not [content for content in copied if b"mine" in content]
    return status


def located(results: Path, place: str) -> Path:
    for name, run_id in zip(("RUN", "OTHER", "THIRD"), Store(results / "tiny").run_ids(), strict=True):
        place = place.replace(name, run_id)
    return results / place


@pytest.mark.parametrize(("place", "kind"), [(place, KINDS[i % 6]) for i, place in enumerate(NEEDED)])
def test_a_session_does_not_begin_where_it_would_write_through_a_link(
    results: Path, bench: Bench, outside: Path, place: str, kind: str
) -> None:
    status = survived(results, {located(results, place): kind}, outside, bench)
    assert status["run", "tiny.toml"] == 2


@pytest.mark.parametrize("shift", range(3))
def test_what_is_no_file_and_no_folder_is_named_and_left_alone(
    results: Path, bench: Bench, outside: Path, shift: int
) -> None:
    kinds = [lambda belongs: f"a link to a {belongs}", *(lambda _, kind=kind: kind for kind in KINDS[2:])]
    places = {
        located(results, place): kinds[(number + shift) % len(kinds)](belongs)
        for number, (place, belongs) in enumerate(OTHERS.items())
    }
    status = survived(results, places, outside, bench)
    assert status["run", "tiny.toml"] == 0


REPORTED = ("", "README.md", "tables", "figures", "report.html")


@pytest.mark.parametrize(("part", "kind"), [(part, KINDS[i]) for i, part in enumerate(REPORTED)])
def test_a_report_is_not_written_through_a_link(
    results: Path, bench: Bench, outside: Path, part: str, kind: str
) -> None:
    path = results.parent / "reports" / "tiny" / part
    plant(path, kind, outside)
    before = photographed(outside)
    with within(60):
        ran = bench("report")
    assert ran.status == 2
    assert f"reports/tiny{'/' if part else ''}{part} is {KINDS_NAMED[kind]}: nothing is read, written or" in ran.err
    assert photographed(outside) == before
    assert path.lstat()
    assert sorted(found.name for found in (results.parent / "reports").iterdir()) == ["tiny"]


KINDS_NAMED = dict.fromkeys(KINDS[:4], "a symbolic link") | {"a pipe": "a named pipe", "a socket": "a socket"}


def test_a_folder_that_the_user_names_may_be_a_link(results: Path, bench: Bench) -> None:
    shutil.rmtree(results / AUDITS)
    (results.parent / "named").symlink_to(results)
    (results.parent / "elsewhere").mkdir()
    (results.parent / "shown").symlink_to("elsewhere")
    for place in ("named", "named/tiny"):
        ran = bench("results", "check", place)
        assert len(ran.out.splitlines()) == 2  # the run that is still to be done, and the sum
    assert bench("results", "prune", "named").status == 0
    assert bench("run", "tiny.toml", "--results", "named", "--reports", "shown").status == 0
    assert (results.parent / "elsewhere" / "tiny" / "README.md").is_file()
    assert len(Store(results / "tiny").run_ids()) == 4


def test_a_swap_between_a_look_and_a_deletion_deletes_nothing_elsewhere(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process puts a link in the place of a folder just when it is about to be entered."""
    folder = tmp_path / "results"
    (folder / "e" / GONE).mkdir(parents=True)
    opened, before = os.open, photographed(outside)

    def swapped(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "e" and not (folder / "e").is_symlink():
            (folder / "e").rename(folder / "old")
            (folder / "e").symlink_to(outside)
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(NotPlainError, match="results/e is a symbolic link"):
        remove(folder / "e" / GONE, folder)
    assert photographed(outside) == before


def test_nothing_outside_a_folder_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "thesis.txt").write_text("mine")
    for path in ("results/../thesis.txt", "thesis.txt", "results"):
        with pytest.raises(ValueError, match=r"not below|not in the subpath"):
            remove(tmp_path / path, tmp_path / "results")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_folder_goes_with_its_links_and_not_with_what_they_lead_to(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "results" / "run"
    for i, kind in enumerate(KINDS):
        plant(folder / str(i), kind, outside)
    before = photographed(outside)
    remove(folder, tmp_path / "results")
    assert not folder.exists()
    assert photographed(outside) == before


def test_what_is_too_deep_or_too_large_is_named(tmp_path: Path) -> None:
    deep = tmp_path / "e" / "/".join("d" * DEEPEST)
    deep.mkdir(parents=True)
    ((path, kind),) = strangers(tmp_path)
    assert (path, kind) == (deep, f"a folder more than {DEEPEST} folders deep")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="has 1,099,511,627,776 bytes, more than the 1,000 that one may have"):
        read_file(tmp_path / "large", tmp_path, at_most=1000)


def test_only_names_that_this_package_gives_are_swept(tmp_path: Path) -> None:
    """However old they are."""
    kept = (".my-notes-of-2020", f"{WORK}/a-b-c-d", f"{WORK}/notes.txt", ".config", "thesis", f"{WORK}/notes.lock")
    gone = (f".{GONE}", f"{WORK}/{GONE}")
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    sweep(tmp_path)
    assert {name for name in (*kept, *gone) if (tmp_path / name).exists()} == set(kept)


def test_a_folder_that_is_no_run_is_not_pruned(tmp_path: Path, bench: Bench) -> None:
    store = Store(tmp_path / "results" / "e")
    store.write(record("a"), FRAMES)
    store.write_manifest({"a": "cell"}, keep=False)
    (store.folder / "figures-for-the-paper").mkdir()
    assert bench("results", "prune").out.strip() == "0 removed"
    assert (store.folder / "figures-for-the-paper").is_dir()


DELETES = {"unlink", "rmdir", "rmtree", "remove", "removedirs", "move"}


def test_every_deletion_is_in_one_module() -> None:
    for path in sorted((ROOT / "bench").rglob("*.py")):
        if path.name == "plain.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DELETES:
                assert ast.unparse(node.func.value) not in ("os", "shutil"), f"{path}: {ast.unparse(node)}"
                assert node.func.attr in ("remove", "move"), f"{path}: {ast.unparse(node)}"
