"""Calibration: the numbers that independent code computed from ETTh2, and a cell or two of them computed here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from bench import BenchError
from bench.contracts.dataset import DATASETS
from bench.contracts.discovery import home
from bench.data.download import locate
from bench.evaluation.run_spec import Choice
from bench.testing import calibration
from bench.testing.calibration import PUBLISHED, RECIPES, TOLERANCE, WORSE, Recipe, recompute, verify

pytestmark = pytest.mark.usefixtures("registries")

EXACT = {  # MSE by horizon; lookback 96, stride 1
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
    assert {recipe.name: recipe.expected for recipe in RECIPES} == EXACT
    assert TOLERANCE <= 0.002


@pytest.mark.usefixtures("_etth2")
@pytest.mark.parametrize(
    ("name", "horizon", "windows"), [("persistence", 24, 10_777), ("ordinary least squares", 96, 3389)]
)
def test_a_cell_of_the_table(name: str, horizon: int, windows: int) -> None:
    mse, scored = recompute(RECIPE[name], horizon)
    assert scored == windows
    assert mse == pytest.approx(EXACT[name][horizon], abs=TOLERANCE)


@pytest.mark.usefixtures("_etth2")
def test_another_recipe_gives_another_number() -> None:
    """The tolerance is tight enough to tell a heavy penalty from none."""
    ols = RECIPE["ordinary least squares"]
    other = replace(ols, forecaster=Choice("ols", {"penalty": 1e5}))
    mse, _ = recompute(other, 96)
    assert abs(mse - EXACT["ordinary least squares"][96]) > TOLERANCE


@pytest.mark.slow
@pytest.mark.usefixtures("_etth2")
@pytest.mark.parametrize("recipe", PUBLISHED[:2], ids=lambda recipe: recipe.name)
def test_a_frozen_forecaster_is_at_most_as_wrong_as_published(recipe: Recipe) -> None:
    """One seed; docs/reproductions.md has the mean of three, and the other horizons."""
    assert recipe.strategy == "frozen"
    mse, _ = recompute(recipe, 24)
    assert 0.85 * recipe.expected[24] < mse <= recipe.expected[24]


def test_published_figures_are_those_of_the_page() -> None:
    """The page gives them with three digits, by horizon 1 / 24 / 48."""
    page = (home() / "docs/reproductions.md").read_text()
    for recipe in PUBLISHED:
        figures = " / ".join(f"{expected:.3f}" for expected in recipe.expected.values())
        assert set(recipe.expected) == {1, 24, 48}
        assert figures in page, recipe.name
        assert recipe.is_published


def table(monkeypatch: pytest.MonkeyPatch, off_by: float, *, times: float = 1.0) -> tuple[bool, str]:
    """What verify prints where exact cells are off by so much, and published ones by a factor, if that is given."""

    def compute(recipe: Recipe, horizon: int) -> tuple[float, int]:
        expected = recipe.expected[horizon]
        return times * expected if recipe.is_published else expected + off_by, 1000

    monkeypatch.setattr(calibration, "recompute", compute)
    console = Console(width=200)
    with console.capture() as captured:
        good = verify(console, published=times != 1)
    return good, captured.get()


def test_verify_tells_whether_all_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    good, text = table(monkeypatch, 0.0019)
    assert good
    assert "All cells agree." in text
    assert text.count("+0.0019") == sum(len(recipe.expected) for recipe in RECIPES)
    good, text = table(monkeypatch, -0.0021)
    assert not good
    assert "DIFFERS" in text
    assert "Some cells differ by more than their bound." in text


@pytest.mark.parametrize(("times", "good"), [(0.5, True), (0.999 * WORSE, True), (1.001 * WORSE, False)])
def test_a_published_cell_may_be_beaten_and_not_missed(
    monkeypatch: pytest.MonkeyPatch, times: float, good: bool
) -> None:
    assert WORSE <= 1.05
    agree, text = table(monkeypatch, 0.0, times=times)
    assert agree == good
    assert text.count("≤ 1.05 x") == 3 * len(PUBLISHED)
    assert ("DIFFERS" in text) != good


def test_published_cells_are_skipped_without_the_file_and_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise BenchError("ETTh2.csv is not here: bench data fetch etth2")

    monkeypatch.setattr(calibration, "load_series", absent)
    console = Console(width=200)
    with console.capture() as captured:
        assert verify(console, published=True)
    assert captured.get() == "Skipped: bench verify needs ETTh2: ETTh2.csv is not here: bench data fetch etth2\n"
    with pytest.raises(BenchError, match="needs ETTh2"):
        verify(console)


def test_without_the_file_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise BenchError("ETTh2.csv is not here: bench data fetch etth2")

    monkeypatch.setattr(calibration, "load_series", absent)
    with pytest.raises(BenchError, match=r"bench verify needs ETTh2: ETTh2\.csv is not here: bench data fetch etth2"):
        recompute(RECIPES[0], 1)
