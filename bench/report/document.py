"""The report's README, top down."""

from __future__ import annotations

from bench.analysis import leaky_scenarios
from bench.report.gallery import Gallery
from bench.report.render.markdown import count, escape
from bench.report.sections.accuracy import by_dataset, leaderboard
from bench.report.sections.audits import strategies_that
from bench.report.sections.breakdown import channels, leads
from bench.report.sections.cost import expense
from bench.report.sections.drift import over_the_stream, recovery
from bench.report.sections.known_drift import known_drift
from bench.report.sections.label_curves import labels
from bench.report.sections.memory_ablation import memory_ablation
from bench.report.sections.overview import overview
from bench.report.sections.problems import problems
from bench.report.sections.ranks import ranks
from bench.report.sections.reproduction import provenance
from bench.report.sections.significance import significance
from bench.report.sections.skill import adapting_pays
from bench.report.sections.summary import answer
from bench.report.sections.sweep_results import Sweeps
from bench.report.sections.sweeps import sweeps
from bench.report.sections.throughput import Throughput
from bench.report.view.loaded import Results


def compose(
    results: Results, gallery: Gallery, measured: Throughput | None = None, searched: Sweeps | None = None
) -> str:
    """The Markdown of the whole report; sections without data are left out.

    Args:
        results: The experiment.
        gallery: The figures that were drawn.
        measured: What `make throughput` left, if anything.
        searched: The experiment's sweep, if it has one.
    """
    blocks = [
        f"# Benchmark report: {escape(results.name)}",
        *question(results),
        *answer(results),
        *leaderboard(results),
        *overview(results, gallery),
        *adapting_pays(results, gallery),
        *expense(results, gallery, measured),
        *significance(results),
        *ranks(results, gallery),
        *by_dataset(results),
        *leads(results, gallery),
        *channels(results),
        *known_drift(results, gallery),
        *over_the_stream(results, gallery),
        *recovery(results, gallery),
        *memory_ablation(results, gallery),
        *labels(results, gallery),
        *(sweeps(searched, gallery) if searched else []),
        *problems(results),
        *provenance(results),
    ]
    return "\n\n".join(blocks) + "\n"


def question(results: Results) -> list[str]:
    """Blocks: what is asked, of how many runs, and whether any of them saw too much."""
    runs = results.runs
    size = (
        f"{count(runs['entry'].nunique(), 'strategy')}, {count(runs['dataset'].nunique(), 'dataset')}, "
        f"{count(runs['seed'].nunique(), 'seed')}: {count(len(runs), 'run')}."
    ).replace("strategys", "strategies")
    seen = "none saw a row before its time"
    if results.lost:
        size += f" {count(len(results.lost), 'more run')} listed, and missing or damaged: see the problems."
    if failed := strategies_that(results, "failed"):
        seen += f", except for what failed the leak canary ({escape(', '.join(failed))})"
    if leaky := leaky_scenarios(runs):
        seen += f", except that with instant labels ({escape(', '.join(sorted(leaky)))}) all did, on purpose"
    if unaudited := strategies_that(results, "unaudited"):
        seen += f", as far as is known: nobody has audited {escape(', '.join(unaudited))}"
    return [
        "When the data drift, which way of adapting a forecaster at test time is worth its cost? Every strategy "
        f"forecast the same stream, and {seen}. {size}"
    ]
