"""A metric in one file of a user's: its column is in the report, the tables, the frames and the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import load_results
from bench.results.record import Record
from bench.results.store import ORIGINS, RECORD, Store

from ..conftest import Bench, Write

BIAS = """
    from bench import Metric, register_metric


    @register_metric("bias")
    class Bias(Metric):
        \"\"\"Mean error: above 0 where forecasts are too high.\"\"\"

        title = "Bias"
        better = "neither"

        def add(self, scored):
            return {factor} * scored.error.mean(axis=(1, 2))
"""
HITS = """
    import numpy as np
    from bench import Metric, register_metric


    @register_metric("hits")
    class Hits(Metric):
        \"\"\"Share of values forecast to within a standard deviation.\"\"\"

        unit = "none"
        better = "higher"

        def setup(self):
            self.within = self.all = 0

        def add(self, scored):
            self.within += (np.abs(scored.error) < 1).sum()
            self.all += scored.error.size

        def value(self, means):
            return self.within / self.all
"""
BROKEN = """
    import numpy as np
    import torch
    from bench import Metric, register_metric


    @register_metric("broken")
    class Broken(Metric):
        \"\"\"It fails, draws random numbers and writes to what it is handed.\"\"\"

        def add(self, scored):
            np.random.seed(3)
            torch.manual_seed(3)
            scored.error[:] = 0
"""


@pytest.fixture
def place(tiny: Path) -> Path:
    """The results of the tiny experiment."""
    return tiny.parent / "results" / "tiny"


def records(place: Path) -> dict[str, Record]:
    return {record.strategy.name: record for record in Store(place).records()}


def test_a_metric_in_one_file_is_a_column_everywhere(tiny: Path, place: Path, bench: Bench, write: Write) -> None:
    write("mine.py", BIAS.format(factor=1) + HITS)
    assert bench("run", tiny, "--plugins", "mine.py").status == 0
    bench("report", "tiny", "--html")
    report = tiny.parent / "reports" / "tiny"
    text = (report / "README.md").read_text()
    head = next(line for line in text.splitlines() if line.startswith("| Strategy") and "MSE ↓" in line)
    assert [cell.strip() for cell in head.split("|")[5:9]] == ["MASE ↓", "RMSSE ↓", "Bias", "hits ↑"]
    assert "- Bias: Mean error: above 0 where forecasts are too high." in text
    assert "No value of" not in text
    for table in ("runs", "leaderboard"):
        frame = pd.read_csv(report / "tables" / f"{table}.csv")
        assert np.isfinite(frame[["mase", "rmsse", "bias", "hits"]]).all(axis=None)
    assert "Bias & hits $\\uparrow$" in next((report / "tables" / "latex").glob("*.tex")).read_text()
    assert '"key":"bias","label":"Bias"' in (report / "report.html").read_text()
    frame = load_results(place).set_index("strategy")
    for name, record in records(place).items():
        origins = Store(place).read_frame(record.run_id, ORIGINS)
        assert origins is not None
        assert frame["bias"][name] == pytest.approx(origins["bias"].mean(), rel=1e-12)
        assert 0 < frame["hits"][name] <= 1
        assert "hits" not in origins
    assert "bias" in bench("leaderboard", "results").out.lower()


def test_a_metric_changes_no_run_and_what_it_raises_is_told(
    tiny: Path, place: Path, bench: Bench, write: Write
) -> None:
    bench("run", tiny)
    before = records(place)
    write("mine.py", BROKEN)
    again = bench("run", tiny, "--plugins", "mine.py")
    assert "Now: nothing to do; 2 kept from before" in again.err  # a metric makes no old run a new one
    assert "No value of broken in" not in (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert "Now: 2 ok; 0 kept from before" in bench("run", tiny, "--plugins", "mine.py", "--rescore").err
    assert "Now: nothing to do" in bench("run", tiny, "--plugins", "mine.py", "--rescore").err
    for name, record in records(place).items():
        assert record.errors is not None
        broken = record.errors.metrics.pop("broken")
        assert broken.value is None
        assert broken.reason == "ValueError: assignment destination is read-only (mine.py, line 14)"
        assert record.errors == before[name].errors
    text = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert "- No value of broken in 2 of 2 runs: ValueError: assignment destination is read-only" in text


def test_values_by_other_code_do_not_stand_beside_new_ones(tiny: Path, place: Path, bench: Bench, write: Write) -> None:
    write("mine.py", BIAS.format(factor=1))
    bench("run", tiny, "--strategy", "persistence", "--plugins", "mine.py")
    write("mine.py", BIAS.format(factor=2))
    bench("run", tiny, "--plugins", "mine.py")
    frame = load_results(place).set_index("strategy")
    assert frame["bias"].isna().to_dict() == {"persistence": True, "rls": False}
    text = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert "- No value of Bias in 1 of 2 runs: measured by other code of it (1). `bench run --rescore` makes" in text
    bench("run", tiny, "--plugins", "mine.py", "--rescore")
    again = load_results(place).set_index("strategy")
    assert np.isfinite(again["bias"]).all()
    assert (again["mse"] == frame["mse"]).all()
    assert (again["run_id"] == frame["run_id"]).all()


def test_runs_made_before_a_metric_was_recorded_have_no_value_and_are_told(
    tiny: Path, place: Path, bench: Bench
) -> None:
    bench("run", tiny)
    old = records(place)["rls"]
    file = place / old.run_id / RECORD
    values = json.loads(file.read_text())
    assert set(values["errors"].pop("metrics")) == {"mase", "rmsse"}
    store = Store(place)
    origins = store.read_frame(old.run_id, ORIGINS)
    assert origins is not None
    store.write(Record.model_validate({k: v for k, v in values.items() if k != "seal"}), {ORIGINS: origins})
    bench("report", "tiny")
    text = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert ("- No value of MASE and RMSSE in 1 of 2 runs: made before it was recorded (1).") in text
    frame = load_results(place).set_index("strategy")
    assert frame["mase"].isna().to_dict() == {"persistence": False, "rls": True}
