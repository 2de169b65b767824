"""The committed reference results: the page that is made of them, and a strategy of one's own beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import load_results
from bench.results.archive import unpacked
from bench.results.maintenance import check

from .. import results_page
from ..conftest import Bench, Write

MINE = """
    from bench import Strategy, StrategyConfig, register_strategy


    @register_strategy("mine")
    class Mine(Strategy):
        \"\"\"The mean of the window.\"\"\"

        class Config(StrategyConfig):
            pass

        def predict(self, windows):
            mean = windows[..., : self.history.targets.shape[-1]].mean(dim=1, keepdim=True)
            return mean.expand(-1, self.protocol.horizon, -1)
"""


def test_the_page_says_what_the_committed_results_give() -> None:
    assert results_page.PAGE.read_text(encoding="utf-8") == results_page.page(), "run: python -m tests.results_page"


def test_the_readme_says_what_the_page_says() -> None:
    readme = " ".join((results_page.ROOT / "README.md").read_text(encoding="utf-8").split())
    assert results_page.headline(results_page.read()) in readme


def test_the_committed_results_are_whole() -> None:
    runs = load_results(results_page.REFERENCE)
    assert set(runs["experiment"]) == {"reference", "reference-titans"}
    assert set(runs["status"]) <= {"ok", "skipped"}
    assert (runs["audit"] != "failed").all()
    with unpacked(results_page.REFERENCE) as folder:
        assert check(folder) == []


def test_no_committed_file_is_large() -> None:
    sizes = {path: path.stat().st_size for path in results_page.REFERENCE.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 10_000_000
    assert sum(sizes.values()) < 25_000_000


@pytest.mark.usefixtures("without_report")
def test_a_strategy_of_ones_own_stands_beside_the_reference(bench: Bench, write: Write, tmp_path: Path) -> None:
    write("mine.py", MINE)
    ran = bench(
        "run", "reference", "--plugins", "mine.py", "--strategy", "mine", "--dataset", "gradual-concept", "--seed", "0"
    )
    assert ran.status == 0, ran.err
    assert len(load_results(tmp_path / "results")) == 1
    ran = bench("leaderboard", results_page.REFERENCE, "results")
    assert ran.status == 0
    table = ran.out.partition("\n## gradual-concept\n")[2].partition("\n## ")[0]
    names = {
        re.sub(r"[*\\]| \(.*", "", line.split("|")[1].strip()) for line in table.split("\n") if line.startswith("|")
    }
    assert {"mine", "rls"} <= names
    assert any(name.startswith("titans-d") for name in names)
