"""The whole report, from records on disk to files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from syrupy.assertion import SnapshotAssertion

import bench.report
from bench import BenchError
from bench.report import write_report
from bench.report.blocks import figures_in
from bench.report.render.numbers import NONE
from bench.report.sections.memory_ablation import memory_ablation
from bench.report.sections.problems import problem_rows
from bench.report.view.loading import read_results
from bench.results.audit import AUDITS
from bench.results.store import Store

from ..conftest import pictures

KINDS = ("memory", "when", "cost", "lead", "forecasts")


def report(folder: Path, tmp_path: Path) -> str:
    return write_report(folder, tmp_path / "report").read_text(encoding="utf-8")


def sections(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, flags=re.MULTILINE)


def rows_of(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, header first."""
    _, _, rest = text.partition(f"{heading}\n")
    lines = re.search(r"(?:^\|.*\n?)+", rest, flags=re.MULTILINE)
    assert lines is not None
    found = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[0].strip().split("\n")]
    return [found[0], *found[2:]]


def test_golden(readme: Path, snapshot: SnapshotAssertion) -> None:
    assert readme.read_text(encoding="utf-8") == snapshot(name="README.md")
    tables = sorted((readme.parent / "tables").glob("*.csv"))
    assert [path.name for path in tables] == [
        "ablations.csv",
        "by_channel.csv",
        "by_lead.csv",
        "cost.csv",
        "drifts.csv",
        "leaderboard.csv",
        "overall.csv",
        "pairs.csv",
        "problems.csv",
        "rank_pairs.csv",
        "ranks.csv",
        "runs.csv",
        "skill.csv",
        "skill_over_datasets.csv",
        "trace.csv",
        "training.csv",
        "win_tie_loss.csv",
    ]
    for path in tables:
        assert path.read_text(encoding="utf-8") == snapshot(name=path.name)


def test_every_figure_is_there_and_is_linked(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((figures/[^)]*)\)", text))
    expected = {f"figures/{kind}-akl-pedestrians.svg" for kind in KINDS}
    expected |= {f"figures/{kind}-etth2.svg" for kind in KINDS[:-1]}  # no drift, no forecasts
    expected |= {"figures/skill-datasets.svg", "figures/training-datasets.svg"}
    assert linked == expected
    for name in linked:
        assert (readme.parent / name).is_file()
        assert (readme.parent / name).with_suffix(".png").is_file()


def test_the_same_records_give_the_same_bytes(readme: Path, two_datasets: Path, tmp_path: Path) -> None:
    with pictures():
        again = write_report(two_datasets, tmp_path / "report")
    assert again == tmp_path / "report" / "README.md"
    files = sorted(path.relative_to(readme.parent) for path in readme.parent.rglob("*") if path.is_file())
    assert len(files) > 10
    for path in files:
        assert (readme.parent / path).read_bytes() == (again.parent / path).read_bytes(), path


def test_neither_torch_nor_a_plugin_is_imported(tmp_path: Path, fakes: Any) -> None:
    results = fakes.write_results(tmp_path / "small", strategies=fakes.strategies[:4], seeds=1).folder
    code = f"""
import sys
sys.modules["torch"] = None  # an import of it raises, as where it is not installed
import bench.report
assert "matplotlib" not in sys.modules and "pandas" not in sys.modules
from pathlib import Path
bench.report.write_report(Path({str(results)!r}), Path({str(tmp_path / "report")!r}))
assert not [name for name in sys.modules if name.startswith("bench_plugins")]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert (tmp_path / "report" / "README.md").is_file()


def test_a_new_report_replaces_the_old_one_and_nothing_else(two_datasets: Path, tmp_path: Path, fakes: Any) -> None:
    small = fakes.write_results(tmp_path / "small", strategies=fakes.strategies[:1], seeds=1)
    target = tmp_path / "report"
    write_report(two_datasets, target)
    (target / "notes.txt").write_text("mine")
    write_report(small.folder, target)
    assert (target / "notes.txt").read_text() == "mine"
    assert not (target / "tables" / "overall.csv").read_text().count("etth2")
    assert not list((target / "figures").glob("*etth2*"))
    assert {path.name for path in tmp_path.iterdir()} == {"report", "small", AUDITS}  # no work folder is left


def test_a_report_that_fails_leaves_the_old_one(
    two_datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report"
    before = write_report(two_datasets, target).read_bytes()

    def fail(*_: object) -> str:
        raise RuntimeError("half-way")

    monkeypatch.setattr("bench.report.document.report", fail)
    with pytest.raises(RuntimeError, match="half-way"):
        write_report(two_datasets, target)
    assert (target / "README.md").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_no_records_is_a_user_mistake(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="No readable results"):
        write_report(tmp_path, tmp_path / "report")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text("{}")
    with pytest.raises(BenchError, match="No readable results"):
        write_report(tmp_path, tmp_path / "report")


def test_it_starts_with_the_answer(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Benchmark report: default\n\nWhen the data drift, which way of adapting")
    assert sections(text)[0] == "Answer"
    best = rows_of(text, "### akl-pedestrians")[1]
    line = re.search(r"^- \*\*akl-pedestrians\*\*: \*\*(.*?)\*\* has the lowest MSE, ([\d.]+)", text, re.MULTILINE)
    assert line is not None
    assert (best[0], best[1].strip("*").split(" ")[0]) == line.groups()


def test_a_loser_looks_like_one(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.strategies[0], fakes.Strategy("ogd", 3.0, 3.0), fakes.Strategy("rls", 0.2)]
    text = report(fakes.write_results(tmp_path / "r", strategies=strategies).folder, tmp_path)
    table = rows_of(text, "### akl-pedestrians")
    column = table[0].index("skill against persistence, % ↑")
    assert [row[0] for row in table[1:]] == ["rls", "persistence", "ogd"]
    assert table[2][column] == "reference"
    assert table[3][column].startswith("**\N{MINUS SIGN}")
    assert "**Worse than persistence:** ogd." in text


def test_leaky_strategies_are_shown_and_never_ranked(tmp_path: Path, fakes: Any) -> None:
    strategies = [*fakes.strategies[:3], fakes.Strategy("oracle", 0.01, group="leaky")]
    text = report(fakes.write_results(tmp_path / "r", strategies=strategies).folder, tmp_path)
    table = rows_of(text, "### akl-pedestrians")
    assert table[-1][0] == "oracle (leaky, not ranked)"
    assert "**" not in table[-1][1]
    assert "**rls** has the lowest MSE" in text
    assert "oracle" not in text.partition("## Leaderboard")[0]
    assert "Pareto front of error and cost, cheapest first: persistence, seasonal-naive and rls" in text


def test_who_leaks_on_purpose_is_not_marked_twice(tmp_path: Path, fakes: Any) -> None:
    strategies = [*fakes.strategies[:3], fakes.Strategy("oracle", 0.01, group="leaky")]
    store = fakes.write_results(tmp_path / "r", strategies=strategies)
    record = fakes.record(strategies[-1], fakes.Scenario(), 0)
    fakes.write_verdict(store, record, "failed", "leaks on purpose, as its group says, and is never ranked")
    text = report(store.folder, tmp_path)
    assert rows_of(text, "### akl-pedestrians")[-1][0] == "oracle (leaky, not ranked)"
    assert "except for what failed the leak canary (oracle)" in text
    assert "**FAILED the leak canary**" not in text


def test_who_failed_the_leak_canary_is_marked_and_never_ranked(tmp_path: Path, fakes: Any) -> None:
    strategies = [*fakes.strategies[:3], fakes.Strategy("peeks", 0.01, group="user")]
    scenarios = [fakes.Scenario(), fakes.Scenario("other")]
    store = fakes.write_results(tmp_path / "r", scenarios=scenarios, strategies=strategies)
    record = fakes.record(strategies[-1], scenarios[0], 0)
    fakes.write_verdict(store, record, "failed", "leaks: it sees row 67 | and more")
    text = report(store.folder, tmp_path)
    for heading in ("### akl-pedestrians", "## Leaderboard"):
        table = rows_of(text, heading)
        assert table[-1][0] == "peeks (user, **FAILED the leak canary**, not ranked)"
        assert not any("**" in cell for cell in table[-1][1:])
    assert "peeks" not in text.partition("## Answer")[2].partition("## Leaderboard")[0]
    assert "and none saw a row before its time, except for what failed the leak canary (peeks)." in text
    assert "- **FAILED the leak canary**: its forecasts use what was not known" in text
    assert rows_of(text, "## Problems")[1:] == [
        ["peeks", "FAILED the leak canary", r"leaks: it sees row 67 \| and more"],
    ]
    assert "unaudited" not in text.lower()
    assert "Pareto front of error and cost, cheapest first: persistence, seasonal-naive and rls" in text


@pytest.mark.parametrize("why", ["no audit", "an older version", "it took too long"])
def test_who_was_not_audited_is_marked_and_ranked(why: str, tmp_path: Path, fakes: Any) -> None:
    strategies = [*fakes.strategies[:2], fakes.Strategy("mine", 0.01)]
    store = fakes.write_results(tmp_path / "r", strategies=strategies)
    record = fakes.record(strategies[-1], fakes.Scenario(), 0)
    (audit,) = (tmp_path / AUDITS).glob("mine-*")
    audit.unlink()
    if why == "an older version":
        older = record.strategy.model_copy(update={"sha": "older"})
        fakes.write_verdict(store, record.model_copy(update={"strategy": older}))
    if why == "it took too long":
        fakes.write_verdict(store, record, "unknown", why)
    text = report(store.folder, tmp_path)
    table = rows_of(text, "### akl-pedestrians")
    assert table[1][0] == "mine (unaudited)"
    assert table[1][1].startswith("**")
    assert "**mine** has the lowest MSE" in text
    assert "run `bench check mine` (with `--plugins PATH` for what comes by it), then `bench report`." in text
    assert "as far as is known (unaudited: mine)." in text
    assert ("could not be audited" in text) == (why == "it took too long")


def test_where_all_were_audited_nothing_is_said_of_it(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8").lower()
    assert "audit" not in text
    assert "canary" not in text


def test_failures_and_skips_appear_with_their_reasons(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    assert "**3 of 60 runs did not end well**" in text
    assert "3 of 60 runs cannot be made and were skipped" in text
    assert rows_of(text, "## Problems")[1:] == [
        ["ogd", "akl-pedestrians", "0, 1, 2", "failed", "RuntimeError: the loss is not finite"],
        ["ogd", "etth2", "0, 1, 2", "skipped", "needs gradients"],
    ]
    assert rows_of(text, "### akl-pedestrians")[-1][-1] == "3 failed"


@pytest.mark.parametrize("keep", ["one seed", "one strategy", "no baselines", "one origin", "nothing ok"])
def test_partial_experiments(keep: str, tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    scenario = fakes.Scenario(origins=1 if keep == "one origin" else 30)
    chosen = {"one strategy": fakes.strategies[3:4], "no baselines": fakes.strategies[4:7]}.get(keep, fakes.strategies)
    for strategy in chosen:
        for seed in range(1 if keep == "one seed" else 2):
            write = fakes.write_failure if keep == "nothing ok" else fakes.write_run
            write(store, strategy, scenario, seed)
    text = report(store.folder, tmp_path)
    assert sections(text)[0] == "Answer"
    assert sections(text)[-2:] == ["Problems", "How to reproduce"]
    assert "nan" not in text
    if keep == "nothing ok":
        assert "No run ended well" in text
        assert sections(text) == ["Answer", "Leaderboard", "Strategies", "Problems", "How to reproduce"]
    if keep == "no baselines":
        assert "Persistence was not run, so nothing is compared with persistence." in text
        assert "skill against persistence" not in text
    if keep == "one seed":
        assert ", one seed only" in text
        assert "±" not in rows_of(text, "### akl-pedestrians")[1][1]


def test_without_a_timing_pass_it_says_so(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    for strategy in fakes.strategies[:3]:
        fakes.write_run(store, strategy, fakes.Scenario(), 1)
    text = report(store.folder, tmp_path)
    assert "There was no timing pass" in text
    header = rows_of(text, "### Cost on akl-pedestrians")[0]
    assert header == ["Strategy", "whole stream, s per 1,000 windows ↓"]


def test_the_cost_table_names_the_machine(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    assert "Timing pass on cpu (Some CPU @ 2.0 GHz), 1 thread; n = 40 windows, seed 0." in text
    table = {row[0]: row for row in rows_of(text, "### Cost on akl-pedestrians")}
    assert table["Strategy"][2] == "predict, ms: p50 / p95 / p99 ↓"
    assert table["retrain †"][3] == "55.0 / 71.5 / 88.0"  # the timing pass saw no retraining
    assert table["retrain †"][6] == "2,205"  # the whole stream did


def test_what_other_work_disturbed_is_named_and_not_in_the_table(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    table = {row[0]: row for row in rows_of(text, "### Cost on akl-pedestrians")}
    assert table["seasonal-naive"][1:6] == [NONE] * 5
    assert "kept the run's cores busy meanwhile: seasonal-naive (3.60 cores)" in text
    assert "`bench run default --retime` times them again" in text


def test_horizon_one_has_no_leads_and_one_target_no_channels(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(targets=("OT",), horizon=1, stride=1, preset="online", dates=False)
    text = report(fakes.write_results(tmp_path / "r", [scenario], fakes.strategies[:3], 1).folder, tmp_path)
    assert "Where the error is" not in text
    assert "first 50 origins" in text  # integer time stamps have no days


def test_several_forecasters_and_protocols(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    order = []
    dense = fakes.Scenario(stride=1, block=24, preset="dense", origins=40, events=())
    for scenario in (fakes.Scenario(), dense):
        for strategy in (fakes.strategies[2], fakes.strategies[3], fakes.strategies[7]):
            record = fakes.write_run(store, strategy, scenario, 0)
            order.append(record.run_id)
            if record.forecaster is not None:
                linear = record.forecaster.model_copy(update={"name": "linear"})
                order.append(f"{record.run_id}-l")
                fakes.write_run(store, strategy, scenario, 0, run_id=order[-1], forecaster=linear)
    store.write_manifest({run_id: run_id for run_id in order}, keep=False)  # titans is listed first
    text = report(store.folder, tmp_path)
    table = rows_of(text, "### akl-pedestrians, day-ahead")
    assert {row[0] for row in table[1:]} == {
        "rls",
        "frozen + titans",
        "frozen + linear",
        "retrain + titans",
        "retrain + linear",
    }
    assert "strategies without a forecaster with frozen on titans" in text
    assert "### akl-pedestrians, dense" in text
    assert "Over the 2 protocols" in text  # of one dataset


def test_runs_of_an_edited_plugin_are_left_out_and_counted(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:3], seeds=2)
    old = next(record for record in store.records() if record.strategy.name == "rls" and record.seed == 0)
    edited = old.strategy.model_copy(update={"sha": "s1"})
    later = old.environment | {"started": "2026-02-01T00:00:00+00:00"}
    fakes.write_run(
        store, fakes.strategies[2], fakes.Scenario(), 0, run_id="edited", strategy=edited, environment=later
    )
    text = report(store.folder, tmp_path)
    assert "2 older runs left out" in text  # both seeds: the second has not been done again
    assert {row[0]: row[-1] for row in rows_of(text, "### akl-pedestrians")}["rls"] == "1"


def test_unreadable_records_are_counted(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:2], seeds=1)
    (store.folder / "broken").mkdir()
    (store.folder / "broken" / "record.json").write_text("{")
    text = report(store.folder, tmp_path)
    assert ["broken", "", "", "damaged"] in [row[:4] for row in rows_of(text, "## Problems")]


HOSTILE = "a | b `c` <script>alert(1)</script> $x_1$ *d* [e](f) 漢字\n# heading\u202e"


def test_hostile_names_stay_in_their_cells(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(name=f"csv:../{HOSTILE}", targets=(HOSTILE, "$y"), events=((0.4, HOSTILE),), origins=20)
    strategies = [*fakes.strategies[:2], fakes.Strategy("mine", 0.2, options={"path": HOSTILE}, group="user")]
    store = fakes.write_results(tmp_path / "r", [scenario], strategies, 1)
    fakes.write_failure(store, fakes.strategies[2], scenario, 0, reason=f"{HOSTILE}\n\n| x | y |")
    with pictures():
        text = report(store.folder, tmp_path)
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "# heading" not in re.findall(r"^#.*", text, re.MULTILINE)
    pipes = [line for line in text.split("\n") if line.startswith("|")]
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().split("\n")}
        assert len(widths) == 1
    assert pipes
    folder = (tmp_path / "report").resolve()
    for path in (tmp_path / "report" / "figures").iterdir():
        assert re.fullmatch(r"[a-z]+-[a-z0-9-]+\.(svg|png)", path.name)
        assert path.resolve().is_relative_to(folder)


def test_a_strategy_without_end_is_ranked_last(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:4], seeds=2)
    record = next(record for record in store.records() if record.strategy.name == "rls")
    assert record.errors is not None
    endless = record.errors.model_copy(update={"mse": float("inf"), "rmse": float("inf")})
    fakes.write_run(store, fakes.strategies[2], fakes.Scenario(), record.seed, errors=endless)
    text = report(store.folder, tmp_path)
    row = rows_of(text, "### akl-pedestrians")[-1]
    assert row[:2] == ["rls", "∞"]
    assert row[-1] == "1 diverged"
    assert "**Worse than persistence:** rls." in text


def test_write_report_is_all_that_is_public() -> None:
    assert bench.report.write_report is write_report


def test_a_drift_without_forecasts_on_both_sides_has_no_table_and_says_so(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(events=((0.0, "opening"),))
    text = report(fakes.write_results(tmp_path / "r", [scenario]).folder, tmp_path)
    assert "Without forecasts on both sides, so not in a table: opening (row 1,200)." in text


def test_drifts_before_the_stream_are_counted_apart(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(events=((0.3, "lockdown"), (-0.5, "holiday")))
    text = report(fakes.write_results(tmp_path / "r", [scenario], seeds=1).folder, tmp_path)
    assert "known drifts: 2 (1 before the stream)" in text


def test_a_broken_line_of_half_lives_is_explained(two_datasets: Path) -> None:
    results = read_results(two_datasets)

    def caption() -> str:
        found = figures_in(memory_ablation(results))
        return next(one.caption for one in found if (one.kind, one.subject) == ("memory", "akl-pedestrians"))

    whole = caption()
    trace = results.traces
    lives = trace["name"] == "memory_half_life"
    results.__dict__["traces"] = trace.assign(value=trace["value"].mask(lives & (trace.index % 7 == 0), float("inf")))
    assert caption() == f"{whole} Where a line is broken, nothing was being forgotten."


def test_a_reference_that_was_not_run_did_not_fail(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", [fakes.Scenario()], [fakes.Strategy("rls", 0.2)], seeds=1)
    fakes.write_failure(store, fakes.Strategy("frozen", 0.2), fakes.Scenario(), 0)
    text = report(store.folder, tmp_path)
    assert "- Persistence was not run, so nothing is compared with persistence." in text
    assert "- No frozen run ended well, so nothing is compared with frozen." in text
    assert "- MSE below a reference" not in text


def test_what_happened_on_many_datasets_is_one_row() -> None:
    names = [f"set-{i}" for i in range(5)]
    bad = [("mine", "skipped", "needs memory", name, 0) for name in names]
    bad += [("yours", "failed", "no", name, 0) for name in names[:4]] + [("theirs", "failed", "no", names[0], 0)]
    runs = pd.DataFrame(bad, columns=["entry", "status", "reason", "scenario", "seed"]).assign(run_id="0")
    rows = problem_rows(SimpleNamespace(runs=runs, lost=[], scenarios=names))  # type: ignore[arg-type]
    assert rows == [
        ("mine", "all 5", "0", "skipped", "needs memory"),
        ("theirs", "set-0", "0", "failed", "no"),
        ("yours", "4 of 5: set-0, set-1, set-2, set-3", "0", "failed", "no"),
    ]
