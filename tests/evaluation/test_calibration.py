"""Calibration: the numbers that independent code computed from ETTh2, and a cell or two of them computed here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from bench import BenchError
from bench.contracts.dataset import DATASETS
from bench.data.download import locate
from bench.evaluation.run_spec import Choice
from bench.testing import calibration
from bench.testing.calibration import RECIPES, TOLERANCE, Recipe, recompute, verify

pytestmark = pytest.mark.usefixtures("registries")

PUBLISHED = {  # MSE by horizon; lookback 96, stride 1
    "persistence": {1: 0.4043, 24: 1.8178, 48: 2.8522},
    "ridge, frozen": {1: 0.4419, 24: 2.0698, 48: 3.1666},
    "ridge, recursive least squares": {1: 0.3577, 24: 1.6943, 48: 2.8019},
    "ordinary least squares": {96: 0.2306, 192: 0.2840, 336: 0.3210, 720: 0.3996},
}
RECIPE = {recipe.name: recipe for recipe in RECIPES}


@pytest.fixture
def _etth2() -> None:
    file = DATASETS["etth2"].cls.remote_file
    assert file is not None
    if locate(file) is None:
        pytest.skip("ETTh2.csv is neither in BENCH_DATA_DIR nor in the user's cache")


def test_the_table_is_the_published_one() -> None:
    assert {recipe.name: recipe.expected for recipe in RECIPES} == PUBLISHED
    assert TOLERANCE <= 0.002


@pytest.mark.usefixtures("_etth2")
@pytest.mark.parametrize(
    ("name", "horizon", "windows"), [("persistence", 24, 10_777), ("ordinary least squares", 96, 3389)]
)
def test_a_cell_of_the_table(name: str, horizon: int, windows: int) -> None:
    mse, scored = recompute(RECIPE[name], horizon)
    assert scored == windows
    assert mse == pytest.approx(PUBLISHED[name][horizon], abs=TOLERANCE)


@pytest.mark.usefixtures("_etth2")
def test_another_recipe_gives_another_number() -> None:
    """The tolerance is tight enough to tell a heavy penalty from none."""
    ols = RECIPE["ordinary least squares"]
    other = replace(ols, forecaster=Choice("ols", {"penalty": 1e5}))
    mse, _ = recompute(other, 96)
    assert abs(mse - PUBLISHED["ordinary least squares"][96]) > TOLERANCE


FROZEN = {  # MSE by horizon, in DSOF's tables 2 and 3 (ICLR 2025), read from the paper's images; one seed each
    "dlinear": {1: 0.470, 24: 2.269, 48: 3.389},
    "fits": {1: 0.522, 24: 2.189, 48: 3.275},
}


@pytest.mark.slow
@pytest.mark.usefixtures("_etth2")
@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_forecaster_is_at_most_as_wrong_as_published(name: str) -> None:
    """One seed; docs/reproductions.md has the mean of three, and the other horizons."""
    frozen = Recipe(name, "frozen", Choice(name, {}), "online", warm_start=True, expected=FROZEN[name])
    mse, _ = recompute(frozen, 24)
    assert 0.85 * FROZEN[name][24] < mse <= FROZEN[name][24]


def table(monkeypatch: pytest.MonkeyPatch, off_by: float) -> tuple[bool, str]:
    """What verify prints where every cell is off by so much."""

    def compute(recipe: Recipe, horizon: int) -> tuple[float, int]:
        return recipe.expected[horizon] + off_by, 1000

    monkeypatch.setattr(calibration, "recompute", compute)
    console = Console(width=200)
    with console.capture() as captured:
        good = verify(console)
    return good, captured.get()


def test_verify_tells_whether_all_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    good, text = table(monkeypatch, 0.0019)
    assert good
    assert "All cells agree." in text
    assert text.count("+0.0019") == sum(len(recipe.expected) for recipe in RECIPES)
    good, text = table(monkeypatch, -0.0021)
    assert not good
    assert "DIFFERS" in text
    assert "Some cells differ by more than 0.002." in text


def test_without_the_file_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise BenchError("ETTh2.csv is not here: bench data fetch etth2")

    monkeypatch.setattr(calibration, "load_series", absent)
    with pytest.raises(BenchError, match=r"bench verify needs ETTh2: ETTh2\.csv is not here: bench data fetch etth2"):
        recompute(RECIPES[0], 1)
