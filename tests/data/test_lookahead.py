"""Inputs that are a target some rows ahead are found, and nothing that only goes along with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data.user_files.lookahead import Ahead, targets_ahead
from tests.conftest import Bench

from .conftest import Load

Floats = NDArray[np.float64]
MOST, ROWS = 30, 400


def series(kind: str, draw: np.random.Generator) -> Floats:
    made: dict[str, Callable[[], Floats]] = {
        "noise": lambda: draw.normal(size=ROWS),
        "walk": lambda: draw.normal(size=ROWS).cumsum(),
        "season": lambda: np.sin(np.arange(ROWS) / 4) + 0.3 * draw.normal(size=ROWS),
        "trend": lambda: np.arange(ROWS) + draw.normal(size=ROWS),
        "counts": lambda: draw.poisson(3, size=ROWS).astype(float),
    }
    return made[kind]()


KINDS = ("noise", "walk", "season", "trend", "counts")


@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, MOST),
    seed=st.integers(0, 10**6),
    unit=st.sampled_from([1.0, -2.5, 1e-14, 1e9]),
    offset=st.sampled_from([0.0, 3.0, 1e6]),
)
def test_a_target_some_rows_ahead_is_found(kind: str, rows: int, seed: int, unit: float, offset: float) -> None:
    draw = np.random.default_rng(seed)
    target, other = series(kind, draw), series("noise", draw)
    ahead = unit * (np.append(target[rows:], draw.normal(size=rows)) + offset)
    ahead[-rows:] = ahead[0]  # the file's last rows have nothing to copy
    inputs = np.column_stack([other, target, ahead])
    assert Ahead(2, 0, rows) in targets_ahead(inputs[:-rows], target[:-rows, None], MOST)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["alone", "copy", "noisy copy", "behind", "its difference", "its mean", "noisy ahead"])
def test_what_only_goes_along_is_not(kind: str, how: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    target = series(kind, draw)
    made: dict[str, Callable[[], Floats]] = {
        "alone": lambda: series(kind, draw),
        "copy": lambda: 3 * target + 1,
        "noisy copy": lambda: target + 0.1 * target.std() * draw.normal(size=ROWS),
        "behind": lambda: np.append(np.full(5, target[0]), target[:-5]),
        "its difference": lambda: np.diff(target, prepend=target[0]),
        "its mean": lambda: np.convolve(target, np.ones(7) / 7)[:ROWS],
        "noisy ahead": lambda: np.roll(target, -5) + 0.1 * target.std() * draw.normal(size=ROWS),
    }
    assert targets_ahead(np.column_stack([made[how](), target]), target[:, None], MOST) == []


def test_what_stands_still_and_what_is_short_is_nothing() -> None:
    assert targets_ahead(np.ones((50, 2)), np.ones((50, 1)), MOST) == []
    assert targets_ahead(np.arange(6.0)[:, None], np.arange(6.0)[:, None], MOST) == []
    lines = np.arange(100.0)[:, None]
    assert targets_ahead(np.column_stack([lines, 2 * lines + 3]), lines, MOST) == []


def test_a_file_s_note_and_the_check_name_it(bench: Bench, load: Load, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    walk = draw.normal(size=ROWS + 3).cumsum()
    table = pd.DataFrame({"when": pd.date_range("2024-01-01", periods=ROWS, freq="h"), "load": walk[:ROWS]})
    table = table.assign(forecast=walk[3:], wind=draw.normal(size=ROWS))
    table.to_csv(tmp_path / "ahead.csv", index=False)
    table.drop(columns="forecast").to_csv(tmp_path / "plain.csv", index=False)
    said = "input 'forecast' is target 'load' 3 rows ahead: whoever reads it knows the truth before it is forecast"
    assert said in load(f"csv:{tmp_path / 'ahead.csv'}").notes
    ran = bench("check", f"csv:{tmp_path / 'ahead.csv'}", "--engine", "inline")
    assert ran.status == 1
    assert said in ran.err.replace("\n", " ")
    assert bench("check", f"csv:{tmp_path / 'plain.csv'}", "--engine", "inline").status == 0
