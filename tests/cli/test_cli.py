"""The command line: every mistake is one clear line and exit status 2; what is asked for is printed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import load_results
from bench.execution.console import Screen

from ..conftest import Bench, Write

ROWS = [f"{row % 7}.5,{row % 5}.25" for row in range(60)]


def mistake(bench: Bench, *words: object) -> str:
    """The one line that a command answers a mistake with."""
    ran = bench(*words)
    assert ran.status == 2, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    (line,) = ran.err.strip().splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize(
    "words",
    [
        ["run", "tiny.toml", "--results", "taken/results"],
        ["check", "persistence", "--engine", "inline", "--results", "taken/results"],
        ["data", "card", "no-drift", "--folder", "taken/pages"],
    ],
)
def test_a_place_that_cannot_be_used(tiny: Path, bench: Bench, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "tiny.toml").write_text(tiny.read_text())
    (tmp_path / "taken").write_text("a file where a folder should be")
    ran = bench(*words)
    assert ran.status == 2, ran
    last = ran.err.strip().splitlines()[-1]
    assert last.startswith("Error: taken/")
    assert last.endswith("cannot be used: Not a directory. Mend that, or name another place.")
    assert "Traceback" not in ran.err


PLUGIN = """
    from bench import Strategy, register_strategy

    @register_strategy("{name}")
    class Mine(Strategy):
        "Mine."
        {body}
"""


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("rls", "", "The strategy name 'rls' is registered twice: in "),
        ("My Strategy", "", "'My Strategy' cannot name a strategy: use lower-case letters, digits, '-', '_' and '.'"),
        ("mine", "import nothing_of_the_kind", "failed to load: ModuleNotFoundError: No module named 'nothing_of_th"),
    ],
)
def test_mistakes_in_plug_ins(tiny: Path, bench: Bench, write: Write, name: str, body: str, message: str) -> None:
    path = write("mine.py", PLUGIN.format(name=name, body=body))
    for words in (["run", tiny], ["list"], ["check", "rls"], ["data", "describe", "csv:waves.csv"]):
        line = mistake(bench, *words, "--plugins", path)
        assert message in line
        assert name != "rls" or str(path) in line


def lines(**cells: str) -> str:
    """Sixty rows under ``a,b``; ``r5="x,1"`` replaces row 5 as it is numbered in an editor."""
    text = ["a,b", *ROWS]
    for row, cell in cells.items():
        text[int(row[1:]) - 1] = cell
    return "\n".join(text) + "\n"


def timed(change: Callable[[list[str]], object]) -> str:
    """The same with a column of hours, after a change to them."""
    hours = [f"2024-01-{1 + row // 24:02d} {row % 24:02d}:00" for row in range(60)]
    change(hours)
    return "\n".join(["when,a,b", *(f"{hour},{row}" for hour, row in zip(hours, ROWS, strict=True))]) + "\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(r9="n/a,1.0"), "row 9, column 'a' is not a number ('n/a')"),
        (lines(r9=",1.0"), "row 9, column 'a' is empty, expected a number"),
        (lines(r9="1.0,NaN"), "row 9, column 'b' is not a number ('"),
        (lines(r9="inf,1.0"), "row 9, column 'a' is not a number ('inf')"),
        ("a,b\n" + "".join(f"{row % 7}.5,3.0\n" for row in range(60)), "column 'b' is constant over the 12 training"),
        ("a,b\n" + "\n".join(ROWS[:30]), "30 rows are too few"),
        (timed(lambda hours: hours.insert(20, hours.pop(30))), "is earlier than the row before"),
        (timed(lambda hours: hours.__setitem__(20, hours[19])), "2024-01-01 19:00 repeats the row before"),
        (timed(lambda hours: hours.__setitem__(20, "noon")), "row 22, column 'when' is not a date ('noon')"),
        ("", "the first line is empty"),
        ("a,b\n", "a header and no rows"),
        ("a,a\n1,2\n", "row 1 names 'a' twice"),
    ],
)
def test_mistakes_in_a_csv_file(tiny: Path, bench: Bench, write: Write, text: str, message: str) -> None:
    write("bad.csv", text)
    for words in (["run", tiny, "--dataset", "csv:bad.csv"], ["data", "describe", "csv:bad.csv"]):
        line = mistake(bench, *words)
        assert message in line
        assert "bad.csv" in line


def test_a_series_too_short_for_the_protocol(tiny: Path, bench: Bench, write: Write) -> None:
    write("short.csv", lines())
    line = mistake(bench, "run", tiny, "--dataset", "csv:short.csv")
    assert "12 training rows, but lookback + horizon needs 15 (lookback 12, horizon 3). Give more rows" in line


def test_the_results_folder_must_not_be_a_file(tiny: Path, bench: Bench, write: Write) -> None:
    write("occupied", "")
    for option in ("--results", "--reports"):
        ran = bench("run", tiny, option, "occupied")
        assert ran.status == 2
        assert "occupied" in ran.err
        assert "Traceback" not in ran.err


def test_a_mistake_in_a_process_of_its_own(tiny: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "run", str(tiny), "--strategy", "rsl"],
        cwd=tiny.parent,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("Error: Unknown strategy 'rsl'. Did you mean 'rls'?")
    assert ran.stderr.count("\n") == 1


def test_an_interruption_says_that_nothing_is_lost(tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.execution.session.run_experiment", interrupt)
    ran = bench("run", tiny)
    assert ran.status == 130
    assert "What was done is kept" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_run_and_report_in_full(tiny: Path, bench: Bench) -> None:
    ran = bench("run", tiny)
    assert ran.status == 0
    assert ran.out.strip() == "reports/tiny/README.md"
    page = tiny.parent / "reports" / "tiny" / "README.md"
    text = page.read_text()
    assert all(name in text for name in ("persistence", "rls", "csv:waves.csv"))
    assert list((page.parent / "tables").glob("*.csv"))
    page.unlink()
    ran = bench("report")
    assert ran.status == 0
    assert ran.out.strip() == "reports/tiny/README.md"
    assert page.read_text() == text
    assert "Unknown experiment with results 'tin'. Did you mean 'tiny'?" in mistake(bench, "report", "tin")
    assert len(load_results(tiny.parent / "results")) == 2


def test_list(bench: Bench, write: Write) -> None:
    path = write("mine.py", PLUGIN.format(name="mine", body=""))
    ran = bench("list", "--plugins", path)
    assert ran.status == 0
    for word in ("mine", "Mine.", "rls", "titans", "etth2", "day-ahead", "smoke"):
        assert word in ran.out
    assert "mine" not in bench("list").out.split()


def test_help(bench: Bench) -> None:
    for words in (["--help"], ["run", "--help"], ["data", "--help"]):
        ran = bench(*words)
        assert ran.status == 0
        assert "Usage: " in ran.out


def test_a_table_in_a_pipe_has_a_line_for_each_row(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = [line.split() for line in bench("list").out.splitlines()]
    (stale,) = [line for line in lines if line[:1] == ["titans-b-stale"]]
    assert " ".join(stale[-5:]) == "once the stream has begun."


def test_a_narrow_terminal_does_not_break_names(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    listed = bench("list").out
    assert "titans-b-shuffled " in listed
    assert max(map(len, listed.partition("Experiments")[0].splitlines())) <= 60


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("strategies", "rls"),
        ("forecasters", "dlinear"),
        ("datasets", "etth2"),
        ("metrics", "mase"),
        ("engines", "serial"),
        ("presets", "online"),
        ("experiments", "smoke"),
    ],
)
def test_list_of_one_kind(bench: Bench, kind: str, name: str) -> None:
    ran = bench("list", kind)
    assert f"\n{name} " in ran.out
    assert ran.out.count("\nname") == 1
    (found,) = json.loads(bench("list", kind, "--json").out).items()
    assert found[0] == kind
    assert name in [row["name"] for row in found[1]]


def test_list_of_an_unknown_kind(bench: Bench) -> None:
    assert "Unknown kind to list 'strategie'. Did you mean 'strategies'?" in mistake(bench, "list", "strategie")


def test_a_command_that_needs_torch_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("bench.cli.listing.load_all", fails)
    assert "torch is not installed. Without it there are bench report" in mistake(bench, "list")


def test_version(bench: Bench) -> None:
    ran = bench("--version")
    assert (ran.status, ran.out) == (0, "adaptbench 0.1.0\n")


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in (True, False):
        monkeypatch.delenv("NO_COLOR", raising=False) if wanted else monkeypatch.setenv("NO_COLOR", "1")
        text = io.StringIO()
        Screen(file=text, force_terminal=True, color_system="standard").say("no", style="red")
        assert ("\x1b[31m" in text.getvalue()) == wanted


def test_doctor(bench: Bench, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    broken = write("adapters/broken.py", "from bench import register_strategy\nimport nothing_of_the_kind\n")
    ran = bench("doctor")
    assert ran.status == 0
    assert len(ran.out.splitlines()) <= 30
    for word in ("python", "torch", "titans-pytorch", "device", "threads", "disk", "etth1", str(tmp_path)):
        assert word in ran.out
    found = json.loads(bench("doctor", "--json").out)
    assert {"adaptbench", "torch build", "cores", "memory", "extras"} <= {*found}
    assert "etth1" in found["data to fetch"]
    assert ["nothing_of_the_kind" in line for line in found["plug-ins that cannot be loaded"]] == [True]
    assert found["variables"]["BENCH_DATA_DIR"] == str(tmp_path)
    broken.unlink()
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "gone"))
    assert "gone: no such folder. Create it, or unset the variable." in mistake(bench, "data", "list")


def test_data(bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    assert "realistic-drift" in bench("data", "list").out
    assert "realistic-drift: needs no file" in bench("data", "fetch", "realistic-drift").out
    assert "brent-oil: comes with adaptbench[datasets]" in bench("data", "fetch", "brent-oil").out
    described = bench("data", "describe", "realistic-drift").out
    for words in ("5,000", "rows 0 to 3,500", "rows 3,500 to 4,000", "pattern 3 to 4", "64, 1, none", "fingerprint"):
        assert words in described
    later = [f"2024-02-01 {hour:02d}:00" for hour in range(10)]
    write("mine.csv", timed(lambda hours: hours.__setitem__(slice(50, 60), later)))
    assert "is 28.96 days after the row before, where the usual step is 1 h" in mistake(
        bench, "data", "describe", "csv:mine.csv"
    )
    described = bench("data", "describe", "csv:mine.csv", "--set", "irregular=keep").out
    assert "1 irregular" in described
    assert "the first column whose values parse as dates" in described


def test_fetching_all_names_what_could_not_be_had(
    bench: Bench, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(url: str, *_: object) -> Path:
        raise OSError("no route to the host")

    monkeypatch.setattr("bench.data.download._download", offline)
    monkeypatch.setattr("bench.data.download.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    ran = bench("data", "fetch", "all")
    assert ran.status == 2
    assert ran.out == ""
    assert "etth1: ETTh1.csv is not on this machine and could not be downloaded." in ran.err
    assert "(no route to the host). Go online and try again" in ran.err
    assert "of 12 datasets are not here: beijing-pm25, bike-share, electricity, etth1," in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err


LEAKS = """
    import torch
    from bench import Strategy, register_strategy

    @register_strategy("peeks")
    class Peeks(Strategy):
        "Forecasts of a block are mixed: each uses all windows."

        def predict(self, windows):
            return windows.mean(dim=(0, 1)).expand(len(windows), self.protocol.horizon, -1)[..., : self.width]

        def setup(self):
            self.width = self.history.targets.shape[1]
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "Error: dataset 'broken': load returned None, expected a bench.DriftSeries"),
        ("1 / 0", "dataset 'broken' FAILED: ZeroDivisionError: division by zero (broken.py, line 6)"),
    ],
)
def test_check_of_what_cannot_be_used(bench: Bench, write: Write, body: str, message: str) -> None:
    text = "from bench import Dataset, register_dataset\n\n@register_dataset('broken')\nclass Broken(Dataset):\n"
    path = write("broken.py", f"{text}    def load(self):\n        {body}\n")
    ran = bench("check", "broken", "--engine", "inline", "--plugins", path)
    assert ran.status in (1, 2)
    found, *explained = ran.err.strip().splitlines()
    assert found == message
    assert len(explained) == (2 if ran.status == 1 else 0)


def test_check(bench: Bench, write: Write) -> None:
    ran = bench("check", "realistic-drift", "--engine", "inline")
    assert ran.status == 0
    assert "dataset 'realistic-drift' passes" in ran.out
    ran = bench("check", "dlinear", "--engine", "inline")
    assert ran.status == 0
    assert "forecaster 'dlinear' passes" in ran.out
    ran = bench("check", "rls", "--forecaster", "dlinear", "--engine", "inline")
    assert (ran.status, ran.err.strip()) == (2, "Error: strategy 'rls' cannot be checked on dlinear. On: none")
    ran = bench("check", "peeks", "--engine", "inline", "--plugins", write("peeks.py", LEAKS))
    assert ran.status == 1
    assert "Traceback" not in ran.err
    found, why, what_to_do = ran.err.strip().splitlines()
    assert found.startswith("strategy 'peeks' FAILED: leaks: ")
    assert why.startswith("Why it matters: In deployment these rows do not exist yet")
    assert what_to_do.startswith("What to do: Compute forecast k from windows[k]")


def test_a_quick_check_takes_one_forecaster_and_is_not_kept(bench: Bench, tmp_path: Path) -> None:
    ran = bench("check", "ogd", "--quick", "--engine", "inline")
    assert ran.status == 0, ran.err
    assert "  ok  dlinear: no leak: day-ahead" in ran.out
    assert "titans" not in ran.out
    passes, left_out = ran.out.splitlines()[-2:]
    assert passes == "strategy 'ogd' passes the quick check"
    assert left_out.startswith("Left out: other forecasters; ")
    assert left_out.endswith(": bench check ogd")
    assert not (tmp_path / "results").exists()
