"""Results as one file: what it holds, that nothing of this machine is in it, and that it is read like a folder."""

from __future__ import annotations

import getpass
import io
import lzma
import socket
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bench import BenchError, load_results
from bench.report.compare.loading import compare
from bench.results.archive import publish, unpacked
from bench.results.store import FORECASTS, ORIGINS, RECORD, TRIALS, Store

from ..conftest import Bench, Write
from ..results.test_store import FRAMES, record, timing
from .test_maintenance import content, filled

EXAMPLE = Path(__file__).parents[2] / "reports" / "example" / "results" / "default"
FAILING = """
from pathlib import Path
from bench import Strategy, register_strategy

@register_strategy("failing")
class Failing(Strategy):
    def predict(self, windows):
        raise OSError(f"cannot open {Path(__file__).resolve()} and {Path.home() / 'x'}")
"""


def archived(tmp_path: Path) -> Path:
    store = filled(tmp_path / "results", "a", "b")
    store.write_timing("a", timing(alone=True))
    Store(store.folder / TRIALS).write(record("t"), FRAMES)
    return publish(store.folder, tmp_path / "public").path


def test_an_archive_holds_records_errors_timings_and_trials(tmp_path: Path) -> None:
    path = archived(tmp_path)
    with unpacked(path) as folder:
        assert {*content(folder)} >= {f"e/a/{RECORD}", f"e/a/{ORIGINS}", "e/a/timing.json", f"e/{TRIALS}/t/{RECORD}"}
        assert not [name for name in content(folder) if FORECASTS in name]
        store = Store(folder / "e")
        assert store.condition("a", closely=True).state == "ok"
        assert store.read_manifest() == {"a": "cell a", "b": "cell b"}
        frame = store.read_frame("a", ORIGINS)
        assert frame is not None
        np.testing.assert_allclose(frame["mse"], FRAMES[ORIGINS]["mse"], rtol=1e-6)
    assert not folder.exists()


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    first = archived(tmp_path).read_bytes()
    assert publish(tmp_path / "results" / "e", tmp_path / "again").path.read_bytes() == first


def test_a_damaged_run_is_left_out_and_counted(tmp_path: Path) -> None:
    store = filled(tmp_path, "a", "b")
    (store.folder / "b" / ORIGINS).unlink()
    made = publish(store.folder, tmp_path / "public")
    assert (made.runs, made.lost) == (1, 1)


def test_without_a_readable_run_there_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="No readable results"):
        publish(tmp_path, tmp_path / "public")


def test_the_example_is_reported_from_an_archive_as_from_its_folder(tmp_path: Path, bench: Bench) -> None:
    made = publish(EXAMPLE, tmp_path / "public")
    assert made.path.stat().st_size < 1_000_000
    packed = lzma.decompress(made.path.read_bytes())
    for word in (str(Path.home()), str(tmp_path), str(EXAMPLE.parents[3]), f"{getpass.getuser()}@"):
        assert word.encode() not in packed
    board = load_results(made.path)
    assert board["mse"].tolist() == load_results(EXAMPLE)["mse"].tolist()
    from_folder, from_archive = bench("leaderboard", str(EXAMPLE)), bench("leaderboard", str(made.path))
    assert from_archive.status == 0
    tables = [
        text.partition("Sources")[0].replace(str(EXAMPLE), "").replace(str(made.path), "")
        for text in (from_folder.out, from_archive.out)
    ]
    assert tables[0].splitlines()[:30] == tables[1].splitlines()[:30]
    assert bench("report", "--results", "public").status == 0
    assert (tmp_path / "reports" / "default" / "README.md").is_file()


@pytest.mark.usefixtures("without_report")
def test_no_path_of_the_machine_is_published(tiny: Path, bench: Bench, write: Write) -> None:
    """Neither of a user's file, nor of a plug-in that fails, nor of the command; nor of what was tried."""
    write("mine/failing.py", FAILING)
    plugins = ["--plugins", tiny.parent / "mine"]
    assert bench("run", tiny, "--results", tiny.parent / "results", *plugins, "--strategy", "failing").status == 1
    assert bench("tune", tiny, "--trials", "2", "--strategy", "rls").status == 0
    assert bench("results", "publish", "public").status == 0
    packed = lzma.decompress((tiny.parent / "public" / "tiny.tar.xz").read_bytes())
    assert b"cannot open" in packed
    assert b"_sweep" in packed
    for place in (tiny.parent, Path.home(), Path(tempfile.gettempdir()), Path(__file__).parents[2]):
        assert str(place).encode() not in packed
    assert socket.gethostname().encode() not in packed
    assert bench("leaderboard", "public").status == 0


def test_results_in_git_are_compared_from_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archived(tmp_path)
    monkeypatch.chdir(tmp_path)
    for words in (
        ["init", "-q"],
        ["add", "public"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], check=True)
    for place in ("HEAD:public", f"HEAD:public/{path.name}"):
        assert not len(compare(place, "results").changes.query("verdict != 'same'"))


@pytest.mark.parametrize("broken", [b"", b"no archive", lzma.compress(b"no archive either")])
def test_what_is_no_archive_is_refused(tmp_path: Path, bench: Bench, broken: bytes) -> None:
    (tmp_path / "x.tar.xz").write_bytes(broken)
    ran = bench("leaderboard", "x.tar.xz")
    assert ran.status == 2
    assert "x.tar.xz: cannot be unpacked" in ran.err


def test_an_archive_unpacks_to_files_in_its_folder_only(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        link = tarfile.TarInfo("e/a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    (tmp_path / "x.tar.xz").write_bytes(buffer.getvalue())
    with pytest.raises(BenchError, match="more than files"), unpacked(tmp_path / "x.tar.xz"):
        pass
