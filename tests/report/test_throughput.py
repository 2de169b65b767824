"""What `make throughput` left, beside the cost of the runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import load_results
from bench.report import write_report
from bench.report.render.markdown import render
from bench.report.sections.throughput import throughput
from bench.report.view.throughput import read_throughput
from bench.results.store import TRACE, experiments_in

from ..conftest import Bench


def benchmark(median: float, **extra: Any) -> dict[str, Any]:
    """An entry as pytest-benchmark writes it."""
    return {"name": "test_x", "params": None, "extra_info": extra, "stats": {"median": median, "rounds": 9}}


def session(folder: Path, name: str, date: str, *benchmarks: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    machine = {"node": "box", "processor": "x86_64", "cpu": {"brand_raw": "Some CPU @ 2.0 GHz", "count": 2}}
    file.write_text(json.dumps({"machine_info": machine, "benchmarks": list(benchmarks), "datetime": date}))
    return file


TITANS = {"strategy": "titans-b", "batch": 24, "lookback": 96, "chunk": 8, "kind": "predict"}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    folder = tmp_path / "throughput"
    fast = benchmark(0.0231, **TITANS, engine="fast", ratio=3.12, against="reference")
    session(folder, "a.json", "2026-01-02T03:04:05+00:00", fast, benchmark(0.0721, **TITANS, engine="reference"))
    session(folder, "z.json", "2025-12-31T00:00:00+00:00", benchmark(9.0, **TITANS, engine="fast"))
    return folder


def table(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.split("|")[1:-1]] for line in text.split("\n") if line.startswith("| ")]


def shown(folder: Path | None) -> str:
    return render(throughput(read_throughput(folder)))


@pytest.fixture
def one_run(tmp_path: Path, fakes: Any) -> Path:
    folder: Path = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:2], seeds=1).folder
    return folder


def test_the_newest_session_is_shown_with_medians_and_ratios(measured: Path) -> None:
    text = shown(measured)
    assert text.startswith("### Throughput on this machine\n")
    assert table(text) == [
        ["Strategy", "memory engine", "step", "windows", "lookback", "chunk", "median, ms ↓", "ratio ↑"],
        ["titans-b", "fast", "predict", "24", "96", "8", "23.1", "3.12 x reference"],
        ["titans-b", "reference", "predict", "24", "96", "8", "72.1", "\N{EN DASH}"],
    ]
    assert "Measured by `make throughput` on 2026-01-02 on Some CPU @ 2.0 GHz" in text


def test_without_a_session_nothing_is_shown(tmp_path: Path, one_run: Path) -> None:
    for folder in (None, tmp_path / "nowhere", one_run):
        assert throughput(read_throughput(folder)) == []


def test_columns_are_those_that_are_known(tmp_path: Path) -> None:
    slow, quick = (benchmark(s, strategy="rls", batch=n) for s, n in ((0.002, 24), (0.001, 3)))
    session(tmp_path, "a.json", "", slow, quick)
    text = shown(tmp_path)
    assert table(text) == [["Strategy", "windows", "median, ms ↓"], ["rls", "3", "1.00"], ["rls", "24", "2.00"]]
    assert "A ratio is" not in text
    assert "Measured by `make throughput` on Some CPU" in text


def test_it_stands_with_the_cost_and_a_report_does_without(measured: Path, one_run: Path, tmp_path: Path) -> None:
    text = write_report(one_run, tmp_path / "report", throughput=measured).read_text()
    assert text.index("## Cost") < text.index("### Throughput") < text.index("## Who is ahead when")
    assert "Throughput" not in write_report(one_run, tmp_path / "report").read_text()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"benchmarks": 3}', '{"benchmarks": [{"extra_info": {"strategy": 1}}]}'],
)
def test_files_of_another_format_are_passed_over(measured: Path, text: str) -> None:
    (measured / "b.json").write_text(text)
    found = read_throughput(measured)
    assert found is not None
    assert found.date.startswith("2026-01-02")
    session(measured, "c.json", "2027-01-01", benchmark(1.0, **{"late / early": 1.01}))  # none of a strategy's
    assert read_throughput(measured) == found


def test_the_folder_is_no_experiment_and_the_command_line_reads_it(
    measured: Path, one_run: Path, tmp_path: Path, bench: Bench
) -> None:
    assert experiments_in(tmp_path) == [one_run]
    assert len(load_results(tmp_path)) == 2
    done = bench("report", "--results", tmp_path, "--reports", tmp_path / "reports")
    assert done.status == 0
    assert re.findall("^### Throughput.*", (tmp_path / "reports" / "r" / "README.md").read_text(), re.MULTILINE)
    done = bench("report", "--results", one_run, "--reports", tmp_path / "again")
    assert "### Throughput" in (tmp_path / "again" / "r" / "README.md").read_text()


def test_what_compiling_took_stands_apart(one_run: Path, tmp_path: Path) -> None:
    assert "Compiling" not in write_report(one_run, tmp_path / "p").read_text()
    record = next(iter(one_run.glob("[!.]*/record.json")))
    frame = pd.DataFrame({"origin": [100, 200], "time": [100, 200], "name": "compile_s", "value": [20.0, 41.5]})
    frame.to_parquet(record.parent / TRACE)
    text = write_report(one_run, tmp_path / "p").read_text()
    assert re.search(r"Compiling took [\w-]+ 41\.5 s \(median over seeds\)", text)
    assert "Half-life" not in text
