"""``bench init data``: from a messy file to a finished report, and nothing of the machine in it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ..conftest import Bench, Write


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Hours with their offset, through a change of the clock; a gap, ``n/a``, texts, and a drop of level."""
    times = pd.date_range("2024-03-01", "2024-05-01", freq="h", tz="Europe/Berlin", inclusive="left")
    k = np.arange(len(times))
    marked = {300: "n/a", 301: "n/a"}
    noise = np.random.default_rng(0).normal(size=(2, len(k)))
    bikes = 10 + 3 * np.sin(2 * np.pi * k / 24) + 0.3 * noise[0] - 4.0 * ((k >= 1000) & (k < 1100))
    cars = 5 + np.cos(2 * np.pi * k / 24) + 0.3 * noise[1]
    lines = [
        f"{time.isoformat()},{'north' if i % 2 else 'south'},{marked.get(i, f'{bikes[i]:.2f}')},{cars[i]:.2f}"
        for i, time in enumerate(times)
        if not 500 <= i < 505
    ]
    file = tmp_path / "data" / "Messy Counts.csv"
    file.parent.mkdir()
    file.write_text("\n".join(["when,site,bikes,cars", *lines]) + "\n", encoding="utf-8")
    return file


def test_a_messy_file_becomes_a_report_in_two_commands(messy: Path, bench: Bench, tmp_path: Path) -> None:
    made = bench("init", "data", messy, "--event", "2024-04-11T17:00+02:00=Easter fair")
    assert made.status == 0, made.err
    assert "1 h, no gaps" in made.out
    assert "needs na_values" in made.out
    assert made.out.splitlines()[-3:] == [
        "messy-counts.toml",
        "  bench run messy-counts.toml --dry-run",
        "  bench run messy-counts.toml",
    ]
    (dataset,) = tomllib.loads((tmp_path / "messy-counts.toml").read_text(encoding="utf-8"))["datasets"]
    assert dataset == {
        "name": f"csv:{messy}",
        "label": "Messy Counts",
        "events": [{"time": "2024-04-11T17:00+02:00", "name": "Easter fair"}],
        "drop": ["site"],
        "na_values": ["n/a"],
        "missing": "ffill",
        "resample": "1h",
    }

    few = ["--strategy", "rls", "--strategy", "frozen", "--forecaster", "ridge", "--seed", 0]
    ran = bench("run", "messy-counts.toml", *few, "--engine", "inline")
    assert ran.status == 0, ran.err
    report = (tmp_path / ran.out.strip()).read_text(encoding="utf-8")
    assert "Easter fair (2024-04-11)" in report
    assert "Messy Counts" in report
    for file in [*(tmp_path / "reports").rglob("*"), *(tmp_path / "results").rglob("*")]:
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file


def test_the_file_says_what_may_be_changed(bench: Bench, write: Write, tmp_path: Path) -> None:
    write("plain.csv", "\n".join(["a,b", *(f"{k % 7}.5,{k % 5}.25" for k in range(400))]) + "\n")
    assert bench("init", "data", "plain.csv", "--set", "horizon=6", "--to", "own/first.toml").status == 0
    text = (tmp_path / "own" / "first.toml").read_text(encoding="utf-8")
    assert 'name = "csv:plain.csv"\nhorizon = 6\nlabel = "plain"\n' in text
    marked = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and " = " in line]
    options = [
        line for line in marked if line.split(" = ")[0] in ("lookback", "targets", "train", "validation", "events")
    ]
    assert len(options) == 5
    for line in options:  # each is an option as it stands
        (tmp_path / "own" / "first.toml").write_text(text.replace(f"# {line}", line), encoding="utf-8")
        ran = bench("run", "own/first.toml", "--dry-run")
        assert ran.status == 0, ran.err
    assert "first" in ran.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.csv"], "csv:none.csv: there is no such file"),
        (
            ["data.csv", "--event", "Easter"],
            "--event 'Easter': write TIME=NAME, such as --event '2024-05-01=Labour Day'",
        ),
        (["data.csv", "--event", "2031-01-01=late"], "the drift 'late': its time 2031-01-01 is not"),
        (["data.csv", "--to", "here.toml"], "here.toml is there already. Remove it, or name another file"),
        (["data.csv", "--to", "here.txt"], "--to here.txt: an experiment is a TOML file"),
        (["data.csv", "--set", "missin=ffill"], "unknown option 'missin'. Did you mean 'missing'?"),
    ],
)
def test_mistakes(bench: Bench, write: Write, words: list[str], message: str) -> None:
    write("here.toml", "kept")
    write("data.csv", "\n".join(["day,a", *(f"{np.datetime64('2024-01-01') + k},{k % 7}.5" for k in range(100))]))
    ran = bench("init", "data", *words)
    assert ran.status == 2
    assert message in ran.err
    assert write("here.toml", "kept").read_text() == "kept"
