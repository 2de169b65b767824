"""``python -m tests.results_page``: ``docs/results.md`` from the committed results in ``reports/reference/``.

Every number of the page is computed here, and each statement in words is checked against the numbers, by `stated`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import pareto_front
from bench.analysis.leaderboard import FROZEN
from bench.report.blocks import Block, Bullets, Heading, Paragraph, Table
from bench.report.render.markdown import render
from bench.report.render.numbers import NONE, brief, percent, words
from bench.report.sections.verdict_cells import marked_skill, p_text
from bench.report.view.comparisons import skill_table, tuned_beside_default, verdict_table
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.rankings import skill_over_datasets
from bench.report.view.tuning import read_tuning
from bench.results.archive import unpacked

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "reports" / "reference"
PAGE = ROOT / "docs" / "results.md"

KINDS = {
    "jump": ("akl-pedestrians", "realistic-drift", "abrupt-mean"),
    "return": ("recurring-aba",),
    "slow": ("gradual-concept", "incremental-trend", "bike-share", "etth1", "etth2", "co2", "brent-oil"),
    "none": ("no-drift", "meter-savings"),
}
"""Datasets by what drifts in them. Slow ones have a known slow drift, or a stream that lies at least one standard
deviation from the training rows; of `none`, one has no drift and the other uses a tenth less from some day on."""
TITLES = {
    "jump": "the level or the law jumps",
    "return": "an earlier law returns",
    "slow": "the drift is slow",
    "none": "nothing, or almost nothing, drifts",
}
GRADIENT = ("ogd", "er", "der-pp", "mir", "dsof", "dsof-slow", "proceed", "cep")
"""Strategies that take gradient steps on all weights of the network at each release of labels."""


def row_of(frame: pd.DataFrame, name: str) -> Any:
    """A row of a frame by its label; None where there is none."""
    return frame.loc[name] if name in frame.index else None


def stated(holds: bool, sentence: str) -> str:
    """A sentence, if what it says holds; otherwise the page has to be written anew."""
    assert holds, f"no longer true: {sentence}"
    return sentence


@dataclass(frozen=True)
class Reference:
    """One experiment of the reference results."""

    results: Results

    @cached_property
    def skills(self) -> pd.DataFrame:
        """Of each entry against frozen: a row for each dataset."""
        found = skill_table(self.results)
        found = found[found["reference"] == FROZEN]
        datasets = {scenario: self.results.first(scenario).dataset.name for scenario in self.results.scenarios}
        return found.assign(dataset=found["scenario"].map(datasets))

    @cached_property
    def over(self) -> pd.DataFrame:
        """Of each entry against frozen over all datasets, best average rank first."""
        return skill_over_datasets(self.results).set_index("entry")

    @cached_property
    def board(self) -> pd.DataFrame:
        """Over all datasets, best average rank first."""
        return self.results.overall.set_index("entry")

    @cached_property
    def seconds(self) -> pd.Series:
        """Seconds for 1,000 windows, median over datasets, of each entry."""
        runs = self.results.ok
        return runs.groupby(["entry", "scenario"])["stream_s_per_1000"].mean().groupby("entry").median()

    @cached_property
    def tuned(self) -> pd.DataFrame:
        """`tuned_beside_default` of the strategies that were tuned, with the column ``strategy``."""
        found = tuned_beside_default(self.results)
        strategies = self.results.board.drop_duplicates("entry").set_index("entry")["strategy"]
        return pd.DataFrame(found.assign(strategy=found["entry"].map(strategies)) if len(found) else found)

    def by_kind(self, kind: str) -> pd.DataFrame:
        """Of each entry: ``skill`` against frozen in percent, geometric mean, ``better`` and ``worse`` on how many."""
        here = self.skills[self.skills["dataset"].isin(KINDS[kind])]
        ratio = np.log1p(-here["skill"] / 100)
        counted = here.assign(ratio=ratio, better=here["verdict"] == "better", worse=here["verdict"] == "worse")
        found = counted.groupby("entry").agg(
            ratio=("ratio", "mean"), better=("better", "sum"), worse=("worse", "sum"), datasets=("dataset", "nunique")
        )
        found = found[found["datasets"] == found["datasets"].max()]
        skills = -100 * found["ratio"].apply(np.expm1)
        return pd.DataFrame(found.assign(skill=skills).sort_values("skill", ascending=False))

    def skill(self, entry: str, kind: str) -> float:
        """Of one entry on the datasets of a kind, in percent."""
        return float(self.by_kind(kind)["skill"][entry])

    def verdicts_between(self, one: str, other: str) -> pd.DataFrame:
        """The verdicts on one entry over another, a row for each dataset."""
        pairs = verdict_table(self.results)
        here = pairs[(pairs["one"] == one) & (pairs["other"] == other)]
        flipped = pairs[(pairs["one"] == other) & (pairs["other"] == one)]
        flipped = flipped.assign(verdict=flipped["verdict"].replace({"better": "worse", "worse": "better"}))
        return pd.concat([here, flipped])


def ranking(reference: Reference, entries: Sequence[str]) -> Table:
    """Entries over all datasets."""
    rows = []
    for entry in entries:
        board, over = (
            row_of(reference.board, entry),
            row_of(reference.over, entry) if entry in reference.over.index else None,
        )
        skill = "reference" if board["strategy"] == FROZEN else marked_skill(over) if over is not None else NONE
        on = [NONE, NONE] if over is None else [str(over["better"]), str(over["worse"])]
        cost = brief(float(reference.seconds[entry]))
        rows.append([entry, f"{board['mean_rank']:.1f}", percent(board["skill_persistence"]), skill, *on, cost])
    of = len(reference.results.scenarios)
    headers = ["Strategy", "average rank ↓", "MSE below persistence, % ↑", "skill against frozen, % ↑"]
    return Table([*headers, f"better on, of {of}", f"worse on, of {of}", "s per 1,000 windows ↓"], rows)


def kinds_table(reference: Reference, entries: Sequence[str]) -> Table:
    """Skill against frozen of some entries by kind of drift."""
    found = {kind: reference.by_kind(kind) for kind in KINDS}
    best = {kind: rows["skill"].max() for kind, rows in found.items()}
    rows = []
    for entry in entries:
        cells = []
        for kind, here in found.items():
            known = row_of(here, entry)
            text = NONE if known is None else f"{percent(known['skill'])} ({known['better']:.0f}/{known['worse']:.0f})"
            cells.append(f"**{text}**" if known is not None and known["skill"] == best[kind] else text)
        rows.append([entry, *cells])
    return Table(["Strategy", *(f"{TITLES[kind]} ({len(sets)})" for kind, sets in KINDS.items())], rows)


def front(reference: Reference) -> list[str]:
    """Entries on the Pareto front of cost and mean error, cheapest first."""
    board = reference.board[reference.board["mean_rank"].notna()]
    cost = reference.seconds.reindex(board.index)
    kept = board.index[pareto_front(cost, -board["skill_persistence"])]
    return cost[kept].sort_values().index.tolist()


@cache
def read(folder: Path = REFERENCE) -> Mapping[str, Reference]:
    """The experiments of the reference results, by name, with all that the page needs looked up."""
    with unpacked(folder) as place:
        found = {
            path.name: Reference(replace(read_results(path), tuning=read_tuning(path)))
            for path in sorted(place.glob("[!.]*"))
        }
        for reference in found.values():  # while the files are there
            assert len(reference.skills), reference
            assert len(reference.over), reference
            assert reference.tuned is not None
        return found


def significant(rows: pd.DataFrame) -> str:
    """On how many datasets one entry is significantly better and worse than another."""
    counts = rows["verdict"].value_counts()
    return f"better on {counts.get('better', 0)} and worse on {counts.get('worse', 0)} of {len(rows)} datasets"


def blocks(found: Mapping[str, Reference]) -> list[Block]:
    """The page."""
    linear, titans = found["reference"], found["reference-titans"]
    return [
        Heading("Results", 1),
        Paragraph(_what_was_run(linear, titans)),
        Heading("The answer"),
        Bullets(_answer(linear, titans)),
        Heading("All strategies over all datasets"),
        *_all(linear),
        Heading("By kind of drift"),
        *_kinds(linear),
        Heading("Titans, and what else the same network can do"),
        *_titans(titans),
        Heading("Error and cost"),
        *_cost(linear),
        Heading("Defaults and tuned options"),
        *_tuned(found["reference-tuned"]),
        Heading("Limits"),
        Bullets(_limits(linear, titans)),
        Heading("Your strategy beside these"),
        *_yours(),
    ]


def _what_was_run(linear: Reference, titans: Reference) -> str:
    stated(set(datasets_of(linear)) == set(datasets_of(titans)), "both experiments have the same datasets")
    ok = {name: found.results.ok for name, found in (("linear", linear), ("titans", titans))}
    seeds = {len(set(runs["seed"])) for runs in ok.values()}
    stated(len(seeds) == 1, "both experiments have as many seeds")
    return (
        f"{ok['linear']['strategy'].nunique()} strategies, most of which adapt DLinear "
        f"(`experiments/reference.toml`), and {ok['titans']['strategy'].nunique()} that serve a Titans model or "
        f"stand beside it (`experiments/reference-titans.toml`), on {len(datasets_of(linear))} datasets, with a "
        f"forecast each horizon (`day-ahead`) and {seeds.pop()} seeds: {sum(map(len, ok.values())):,} runs on two "
        f"CPU cores. Records and reports are committed in [reports/reference](../reports/reference/). This page is "
        f"made of them: `python -m tests.results_page` computes every number, and fails where a sentence is no "
        f"longer true."
    )


def datasets_of(reference: Reference) -> list[str]:
    """Names of the datasets."""
    return [reference.results.first(scenario).dataset.name for scenario in reference.results.scenarios]


def _answer(linear: Reference, titans: Reference) -> list[str]:
    return [
        *_leaders(linear),
        *_by_drift(linear),
        *_forecaster_first(linear, titans),
        *_memory(titans),
        *_significance(linear),
        *_failures(linear),
    ]


def _leaders(linear: Reference) -> list[str]:
    over, leaders = linear.over["skill"], ["onenet", "rls", "hedge", "ridge-d"]
    times = linear.seconds["onenet"] / linear.seconds["rls"]
    between = significant(linear.verdicts_between("onenet", "rls"))
    return [
        stated(
            set(linear.board["mean_rank"].nsmallest(len(leaders)).index) == set(leaders) and close(linear),
            f"**Linear recursion comes close to deep adaptation, and is far cheaper.** The best average ranks are "
            f"those of {words([f'`{name}` ({percent(over[name])} %)' for name in leaders])} of skill over frozen. "
            f"`onenet`, two networks and weights for each column, takes {times:.0f} times as long as `rls`, "
            f"recursive least squares, and is significantly {between}.",
        )
    ]


def close(linear: Reference) -> bool:
    """Whether `rls` and `onenet` have skills within two points over all datasets."""
    return bool(abs(linear.over["skill"]["rls"] - linear.over["skill"]["onenet"]) < 2)


def _by_drift(linear: Reference) -> list[str]:
    skill = {kind: linear.by_kind(kind)["skill"] for kind in KINDS}
    lines = [("ridge-d", "onenet", "rls", "hedge"), ("error-memory", "ridge-d", "rls")]
    jump, back = (
        words([f"`{name}` ({percent(skill[kind][name])} %)" for name in names])
        for kind, names in zip(("jump", "return"), lines, strict=True)
    )
    gradient = {kind: sorted(skill[kind][list(GRADIENT)]) for kind in KINDS}
    between = {kind: f"{percent(found[0])} to {percent(found[-1])} %" for kind, found in gradient.items()}
    calm = skill["none"].drop(["persistence", "seasonal-naive", "onenet"])
    return [
        stated(
            skill["jump"].index[:4].tolist() == list(lines[0]),
            f"**If your data jump**, {jump} gain most. Gradient steps on all weights of DLinear (`ogd`, replay, "
            f"`dsof`, `proceed`, `cep`) gain {between['jump']}.",
        ),
        stated(
            skill["return"].index[:3].tolist() == list(lines[1]),
            f"**If an earlier law returns**, {back} gain most; the first two keep what was missed, by window. "
            f"Gradient steps gain {between['return']}.",
        ),
        stated(
            gradient["slow"][0] > 0 and skill["slow"]["ogd"] > skill["slow"]["retrain (start=last, steps=200)"],
            f"**If the drift is slow**, adapting pays in many ways: gradient steps gain {between['slow']}, `rls` "
            f"{percent(skill['slow']['rls'])} %. Plain online gradient descent (`ogd`, "
            f"{percent(skill['slow']['ogd'])} %) gains more than retraining "
            f"({percent(skill['slow']['retrain (start=last, steps=200)'])} %).",
        ),
        stated(
            bool(calm.abs().max() < 2) and skill["none"].index[0] == "onenet",
            f"**If nothing drifts**, adapting costs little and gains little: from {percent(calm.min())} to "
            f"{percent(calm.max())} %. `onenet`, which brings two networks, has {percent(skill['none']['onenet'])} %.",
        ),
    ]


def _significance(linear: Reference) -> list[str]:
    over, better = linear.over, linear.over[linear.over["verdict"] == "better"]
    parts = [f"`{name}` ({marked_skill(row)} %, {p_text(row['p_adjusted'])})" for name, row in better.iterrows()]
    datasets, least = len(datasets_of(linear)), brief(float(over["resolution"].median()))
    return [
        stated(
            len(better) > 0,
            f"**Few differences are certain.** Over all datasets {words(parts)} are significantly better than "
            f"frozen, of {len(over)} entries that are tested together. As {datasets} datasets differ so much, a "
            f"skill has to be {least} % (median over entries) to be shown with 80 % probability.",
        )
    ]


def _failures(linear: Reference) -> list[str]:
    mse = linear.results.board.pivot_table(index="scenario", columns="entry", values="mse")
    ratios = mse[["solid", "norm-stats"]].div(mse[FROZEN], axis=0)
    worst = [
        f"`{name}` has {ratios[name].max():.0f} times the MSE of frozen on {ratios[name].idxmax()}" for name in ratios
    ]
    return [
        stated(
            bool(ratios.max().min() > 5),
            f"**Two strategies can fail at their defaults**: {words(worst)}.",
        )
    ]


def _forecaster_first(linear: Reference, titans: Reference) -> list[str]:
    dlinear, network = (found.board["skill_persistence"] for found in (linear, titans))
    behind = [entry for entry in ranked(linear) if dlinear[entry] < network[FROZEN]]
    return [
        stated(
            network[FROZEN] > dlinear[FROZEN] and len(behind) > len(ranked(linear)) / 2,
            f"**Choose the forecaster first.** A frozen Titans has an MSE {network[FROZEN]:.1f} % below persistence, "
            f"a frozen DLinear {dlinear[FROZEN]:.1f} %: {len(behind)} of the {len(ranked(linear))} entries on "
            f"DLinear, adapted or not, stay behind the better model that never adapts. The best on Titans is "
            f"`titans-d` ({network['titans-d']:.1f} %), on DLinear `{dlinear.idxmax()}` ({dlinear.max():.1f} %).",
        )
    ]


def _memory(titans: Reference) -> list[str]:
    over, tokens = titans.over, ["titans-a", "titans-b"]
    skill = over["skill"]
    d, row = "titans-d", row_of(titans.over, "titans-d")
    gradient = over.loc[["ogd", "der-pp", "titans-c"], "skill"]
    same = titans.verdicts_between(d, "error-memory")["verdict"] == "no significant difference"
    times = titans.seconds[gradient.index] / titans.seconds[d]
    return [
        stated(
            bool((over.loc[tokens, "skill"].abs() < 1).all() and not over.loc[tokens, ["better", "worse"]].any().any()),
            f"**A memory of tokens, within the window or carried, gains nothing here** (`titans-a` "
            f"{percent(skill['titans-a'])} %, `titans-b` {percent(skill['titans-b'])} %, significant on no dataset).",
        ),
        stated(
            titans.board["mean_rank"].idxmin() == d
            and row["verdict"] == "no significant difference"
            and bool(same.all()),
            f"**A memory of errors helps a strong model too**: `titans-d` has the best average rank and "
            f"{marked_skill(row)} % of skill, significantly better than frozen on {row['better']} of "
            f"{len(datasets_of(titans))} datasets and over all of them not ({p_text(row['p_adjusted'])}). It is the "
            f"memory that helps, not what is special in Titans: the same memory around the network (`error-memory`) "
            f"is level on each dataset. Against the same memory on a ridge regression (`ridge-d`) it is "
            f"{significant(titans.verdicts_between(d, 'ridge-d'))}. Gradient steps on the network gain "
            f"{percent(gradient.min())} to {percent(gradient.max())} % in {times.min():.1f} to {times.max():.1f} "
            f"times the time.",
        ),
    ]


def _all(linear: Reference) -> list[Block]:
    return [
        ranking(linear, ranked(linear)),
        Paragraph(
            "Skill: how far the MSE is below that of the frozen forecaster, in the geometric mean over stretches of "
            "the stream and datasets, with its 95 % interval ([statistics](statistics.md)). Bold: significant over "
            "all datasets. *better on* and *worse on*: datasets on which the difference is significant by itself. "
            "`rls`, `ridge-d`, `hedge`, `onenet`, persistence and seasonal-naive bring models of their own: their "
            "skill is not that of adapting DLinear alone."
        ),
    ]


def ranked(reference: Reference) -> list[str]:
    """Entries with a result on each dataset, best average rank first; tuned ones are told of apart."""
    found = reference.board[reference.board["mean_rank"].notna()].index
    return [entry for entry in found if "(tuned)" not in entry]


def _kinds(linear: Reference) -> list[Block]:
    best = [entry for kind in KINDS for entry in linear.by_kind(kind).index[:4]]
    shown = [entry for entry in ranked(linear) if entry in {*best, "rls", "ogd", "retrain (start=last, steps=200)"}]
    return [kinds_table(linear, shown), *_words_of_kinds()]


def _words_of_kinds() -> list[Block]:
    return [
        Paragraph(
            "Skill against frozen in %, mean over the datasets of a kind; in brackets, on how many of them it is "
            "significantly better and worse. Bold: the highest of all strategies. One dataset is one drift: these "
            "are descriptions, not verdicts."
        ),
        Bullets([f"{TITLES[kind][0].upper()}{TITLES[kind][1:]}: {', '.join(names)}." for kind, names in KINDS.items()]),
    ]


def _titans(titans: Reference) -> list[Block]:
    return [ranking(titans, ranked(titans)), kinds_table(titans, ranked(titans))]


def _cost(linear: Reference) -> list[Block]:
    parts = [
        f"`{entry}` ({brief(float(linear.seconds[entry]))} s)" for entry in front(linear) if "(tuned)" not in entry
    ]
    return [
        Paragraph(
            f"The Pareto front of seconds for 1,000 windows (median over datasets, one thread) and MSE below "
            f"persistence: {words(parts)}. No other strategy is both as fast as one of these and better."
        )
    ]


def _tuned(reference: Reference) -> list[Block]:
    found = reference.tuned
    ratios = (found["mse_tuned"] / found["mse_default"]).apply(np.log).groupby(found["strategy"])
    table = pd.DataFrame(
        {
            "change": 100 * np.expm1(ratios.mean()),
            "tuned": (found["prefers"] == "tuned").groupby(found["strategy"]).sum(),
            "defaults": (found["prefers"] == "defaults").groupby(found["strategy"]).sum(),
        }
    ).sort_values("change")
    rows = [
        [str(name), percent(row["change"]), f"{row['tuned']:.0f}", f"{row['defaults']:.0f}"]
        for name, row in table.iterrows()
    ]
    datasets, seeds = found["scenario"].nunique(), int(found["seeds"].max())
    gains, losses = table.index[table["change"] < 0], table.index[table["change"] > 0]
    tuned_badly = set(GRADIENT) & set(table.index) <= set(losses)
    return [
        Paragraph(
            stated(
                tuned_badly,
                f"`bench tune reference-tuned` gave {len(table)} strategies {int(found['trials'].max())} trials each "
                f"on the validation rows of {datasets} datasets (all but the two longest streams), the defaults "
                f"among them and the network's training too; the stream was then served with seed 0. Strategies that "
                f"train networks of their own first are not tuned yet. On the stream, tuning lowers the mean error "
                f"of {words([f'`{name}`' for name in gains]) or 'none'}, and raises that of "
                f"{words([f'`{name}`' for name in losses]) or 'none'}: validation rows that do not drift prefer "
                f"options that adapt little ([choosing options](tuning.md)).",
            )
        ),
        Table(["Strategy", "MSE, change by tuning, % ↓", "lower on", "higher on"], rows),
        Paragraph(f"Geometric mean over datasets; {seeds} seed. On the other datasets validation chose the defaults."),
    ]


def _limits(linear: Reference, titans: Reference) -> list[str]:
    seeds = linear.results.ok["seed"].nunique()
    skipped = sorted(set(linear.results.runs.loc[linear.results.runs["status"] == "skipped", "strategy"]))
    return [
        f"{seeds} seeds, one protocol (`day-ahead`), two forecasters. TCN and PatchTST are not run yet.",
        "Options are the defaults. Some were chosen while results on streams of these datasets were known: those of "
        "Titans ([how it was chosen](titans.md)), the step of `ogd`, and the few steps of `retrain`.",
        stated(
            skipped == ["fsnet"],
            "`fsnet` is skipped: it needs a network with its own controllers, which DLinear lacks.",
        ),
        "Datasets of a kind are few, and the five made ones are our own.",
        "Times were taken while the machine did other work: ratios below two mean nothing.",
        "ETT data may not be passed on with changes: the records hold errors only, no values.",
        "What labels that come too early would be worth is measured elsewhere ([leaks](leaks.md)).",
    ]


def _yours() -> list[Block]:
    return [
        Paragraph(
            "`bench run reference --strategy mine --dataset etth2`, then `bench leaderboard reports/reference "
            "results`: one table; nothing of the reference is run again."
        )
    ]


def headline(found: Mapping[str, Reference]) -> str:
    """Three sentences for the README."""
    linear, over = found["reference"], found["reference"].over["skill"]
    gradient = linear.by_kind("slow")["skill"][list(GRADIENT)]
    times = linear.seconds["onenet"] / linear.seconds["rls"]
    assert close(linear), "the README says that rls is level with onenet"
    return " ".join(
        [
            f"Over {len(datasets_of(linear))} datasets, recursive least squares (`rls`) is {over['rls']:.0f} % "
            f"better than the frozen DLinear, level with the best deep method (`onenet`, {over['onenet']:.0f} %), "
            f"which takes {times:.0f} times as long.",
            f"Where the drift is slow, gradient steps on all weights gain {gradient.min():.0f} to "
            f"{gradient.max():.0f} %; where an earlier law returns, a memory of past errors gains most "
            f"({linear.skill('error-memory', 'return'):.0f} %).",
            f"Datasets differ so much that only {words([f'`{name}`' for name in significant_entries(linear)])} are "
            f"significantly better than frozen over all of them.",
        ]
    )


def significant_entries(reference: Reference) -> list[str]:
    """Entries that are significantly better than frozen over all datasets."""
    return reference.over.index[reference.over["verdict"] == "better"].tolist()


def page(folder: Path = REFERENCE) -> str:
    """The text of ``docs/results.md``."""
    return render(blocks(read(folder)))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
