"""Runs that differ in seeds and rates share a pass over the stream; whatever goes wrong there, each is carried out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import load_results
from bench.execution import plan
from bench.execution.experiment import expand, load_experiment
from bench.execution.plan import grouped
from bench.report.sections.reproduction import provenance
from bench.report.view.loading import read_results
from bench.results.record import Record
from bench.results.store import LOG, ORIGINS, TRIALS, Store

from ..conftest import Bench, Write
from ..sessions import change, run_apart, stamps, store_of

pytestmark = pytest.mark.usefixtures("without_report")

LEVELS = """
    import os, time
    import numpy as np
    from bench import Strategy, StrategyConfig, Together, register_strategy

    @register_strategy("level")
    class Level(Strategy):
        "A share of the last value."

        class Config(StrategyConfig):
            share: float = 0.5
            whole: int = 1

        def predict(self, windows):
            return (self.config.share * windows[:, -1:]).expand(-1, self.protocol.horizon, -1)

        @classmethod
        def together(cls, strategies):
            return All(strategies)

    class All(Together):
        def __init__(self, strategies):
            self.all, self.served = strategies, 0

        def predict(self, windows):
            self.served += 1
            if self.served == 40:
                {trouble}
            return np.stack([one.predict(windows).numpy() for one in self.all])
"""


@pytest.fixture(name="seeds")
def seeds_fixture(tiny: Path) -> Path:
    """Three seeds of two settings of `ogd`, of `frozen`, and of what is always served alone, on `dlinear`."""
    strategies = '["frozen", "ogd", { name = "ogd", online_lr = 1e-3 }, "rls"]'
    change(tiny, strategies=strategies, forecasters='["dlinear"]', seeds="[0, 1, 2]")
    return tiny


def all_of(folder: Path) -> dict[str, Record]:
    return {record.run_id: record for record in Store(folder).records()}


def test_served_together_and_one_by_one(seeds: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench("run", seeds).status == 0
    with monkeypatch.context() as alone:
        alone.setattr(plan, "MOST_TOGETHER", 1)
        assert bench("run", seeds, "--results", "alone").status == 0
    one, other = all_of(seeds.parent / "alone" / "tiny"), all_of(store_of(seeds).folder)
    assert one.keys() == other.keys()  # a run's id says nothing of how it was served
    sizes = {"frozen": 3, "ogd": 6, "rls": 1}
    for run_id, record in other.items():
        assert len(record.together) == sizes[record.strategy.name] - 1
        assert {other[it].strategy.name for it in record.together} <= {record.strategy.name}
        assert run_id not in record.together
        assert (record.timing is None) == bool(record.together)
        assert not one[run_id].together
        made, expected = record.errors, one[run_id].errors
        assert made is not None
        assert expected is not None
        assert made.windows == expected.windows
        np.testing.assert_allclose(made.mse, expected.mse, rtol=1e-5)
        np.testing.assert_allclose(made.val_mse or 0, expected.val_mse or 0, rtol=1e-5)
        assert made.metrics.keys() == expected.metrics.keys()
    timings = [store_of(seeds).read_timing(run_id) for run_id in other]
    found = [timing for timing in timings if timing]
    assert len(found) == 4  # the first seed's, each alone
    assert all(timing.alone and timing.replay and timing.replay.verdict == "same" for timing in found)
    frame = load_results(seeds.parent / "results").query("strategy == 'ogd'")
    assert (frame["together"] == 6).all()
    assert frame["windows_per_s"].notna().sum() == 2


def test_a_report_says_so_and_has_costs(seeds: Path, bench: Bench) -> None:
    bench("run", seeds)
    results = read_results(store_of(seeds).folder)
    said = [line for block in provenance(results) for line in getattr(block, "items", ())]
    assert [line for line in map(str, said) if "Served together: 9 of 12 runs, up to 6 in one pass" in line]
    costs = results.runs[results.runs["seed"] == 0]
    assert costs["stream_s_per_1000"].notna().all()


def test_what_is_missing_is_served_together(seeds: Path, bench: Bench) -> None:
    bench("run", seeds, "--strategy", "frozen", "--seed", 1)
    before = stamps(store_of(seeds).folder)
    bench("run", seeds)
    after = stamps(store_of(seeds).folder)
    assert {name: after[name] for name in before} == before
    frozen = [record for record in all_of(store_of(seeds).folder).values() if record.strategy.name == "frozen"]
    assert sorted((record.seed, len(record.together)) for record in frozen) == [(0, 1), (1, 0), (2, 1)]


def levels(tiny: Path, write: Write, trouble: str) -> Path:
    change(tiny, strategies='["level", { name = "level", share = 0.25 }]', seeds="[0, 1]", timing_blocks="0")
    return write("levels.py", LEVELS.format(trouble=trouble))


def test_a_users_own_strategy(tiny: Path, bench: Bench, write: Write) -> None:
    bench("run", tiny, "--plugins", levels(tiny, write, "pass"))
    found = list(all_of(store_of(tiny).folder).values())
    assert [len(record.together) for record in found] == [3, 3, 3, 3]
    assert len({record.errors.mse for record in found if record.errors}) == 2
    change(tiny, strategies='["level", { name = "level", share = 0.25 }, { name = "level", whole = 2, share = 0.0 }]')
    bench("run", tiny, "--plugins", tiny.parent / "levels.py", "--results", "more")
    sizes = {
        record.strategy.config["share"]: len(record.together) for record in all_of(tiny.parent / "more/tiny").values()
    }
    assert sizes == {0.5: 3, 0.25: 3, 0.0: 1}


def test_one_that_is_not_finite_is_served_again_alone(tiny: Path, bench: Bench, write: Write) -> None:
    text = levels(tiny, write, "self.all[1].config = type('C', (), {'share': np.nan})()")
    bench("run", tiny, "--plugins", text)
    found = list(all_of(store_of(tiny).folder).values())
    assert sorted(len(record.together) for record in found) == [0, 2, 2, 2]
    assert {record.status for record in found} == {"ok"}  # what was lost was lost in the pass that was shared


@pytest.mark.parametrize("trouble", ["raise RuntimeError('no luck')", "return windows"])
def test_a_pass_that_fails_leaves_its_runs_to_be_served_alone(
    trouble: str, tiny: Path, bench: Bench, write: Write
) -> None:
    assert bench("run", tiny, "--plugins", levels(tiny, write, trouble)).status == 0
    found = all_of(store_of(tiny).folder)
    assert [(record.status, record.together) for record in found.values()] == [("ok", [])] * 4
    logs = [(store_of(tiny).folder / run_id / LOG) for run_id in found]
    assert sum("Not served together" in log.read_text() for log in logs if log.is_file()) == 1


def test_a_pass_whose_worker_dies_leaves_its_runs_to_be_served_alone(tiny: Path, write: Write) -> None:
    ran = run_apart(tiny, "--plugins", levels(tiny, write, "os._exit(3)"), "--engine", "serial", forked=True)
    assert ran.status == 0, ran.err
    found = all_of(store_of(tiny).folder).values()
    assert [(record.status, record.together) for record in found] == [("ok", [])] * 4
    assert all(store_of(tiny).read_frame(record.run_id, ORIGINS) is not None for record in found)


def test_no_group_is_larger_than_the_share_of_a_worker(
    seeds: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(seeds.parent)
    runs = expand(load_experiment(str(seeds)), "cpu")
    for share, sizes in ((12, [3, 6, 1, 1, 1]), (4, [3, 4, 2, 1, 1, 1]), (1, [1] * 12)):
        groups = list(grouped(runs, share))
        assert [run for group in groups for run in group] == runs
        assert [len(group) for group in groups] == sizes


def test_trials_of_tuning_are_served_together(seeds: Path, bench: Bench) -> None:
    change(seeds, strategies='["ogd"]', seeds="[0, 1]", timing_blocks="0")
    with seeds.open("a") as file:
        file.write("\n[tune]\ntrials = 3\n")
    ran = bench("tune", seeds)
    assert ran.status == 0, ran.err
    trials = [r for r in all_of(store_of(seeds).folder / TRIALS).values() if r.rows == "validation"]
    assert len(trials) == 6
    assert all(len(record.together) > 1 and record.val_mse is not None for record in trials)
