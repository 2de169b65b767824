"""An ablation in one file of a user's: what it says of itself and another strategy is a row of the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench import BenchError
from bench.contracts.discovery import load_plugins
from bench.results.store import Store

from ..conftest import Bench, Write

MINE = """
    import torch
    from bench import Strategy, register_strategy


    @register_strategy("halved")
    class Halved(Strategy):
        \"\"\"Half the last value.\"\"\"

        {stated}
        def predict(self, windows):
            return 0.5 * windows[:, -1:, :].expand(-1, self.protocol.horizon, -1)
"""


def asked(folder: Path) -> list[tuple[str, str, str]]:
    table = folder / "reports" / "tiny" / "tables" / "ablations.csv"
    return (
        list(pd.read_csv(table)[["subject", "one", "other"]].itertuples(index=False, name=None))
        if table.exists()
        else []
    )


def test_an_ablation_in_one_file_is_a_row_of_the_report(tiny: Path, bench: Bench, write: Write) -> None:
    """Also where it is stated after the runs were made, which stay as they are."""
    store = Store(tiny.parent / "results" / "tiny")
    write("mine.py", MINE.format(stated=""))
    assert bench("run", tiny, "--plugins", "mine.py").status == 0
    assert asked(tiny.parent) == []
    before = {run_id: store.read(run_id) for run_id in store.listed()}

    said = 'ablation_of = {"halving": "persistence"}\n        lacks = {"learning": "rls"}\n        colour = "#123456"\n'
    write("mine.py", MINE.format(stated=said))
    again = bench("run", tiny, "--plugins", "mine.py")
    assert "Now: nothing to do; 3 kept from before" in again.err
    assert asked(tiny.parent) == [("halving", "halved", "persistence"), ("learning", "rls", "halved")]
    text = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert "## Ablations" in text
    assert "| halving" in text
    assert "halved against persistence" in text
    for run_id, record in before.items():
        now = store.read(run_id)
        assert now is not None
        assert record is not None
        assert store.condition(run_id, closely=True).state == "ok"
        as_before = now.model_copy(update={"strategy": record.strategy})
        assert as_before.model_dump_json() == record.model_dump_json()
        assert (now.strategy.colour == "#123456") == (now.strategy.name == "halved")


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('ablation_of = "frozen"', "has ablation_of = 'frozen': write what differs and a strategy's name"),
        ('lacks = {"the memory": 3}', "has lacks = {'the memory': 3}: write what differs"),
        ('colour = "red"', "has the colour 'red': write it as #rrggbb"),
    ],
)
def test_what_cannot_be_stated_is_refused(write: Write, said: str, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        load_plugins([write("mine.py", MINE.format(stated=said + "\n"))])
    assert message in str(caught.value)
