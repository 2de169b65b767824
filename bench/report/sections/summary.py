"""The answer in a few sentences, written from the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import Contest, contest, leaky_scenarios
from bench.analysis.leaderboard import FROZEN, PERSISTENCE, reference_base
from bench.analysis.statistics.pairs import LEVEL
from bench.report.blocks import Block, Bullets, Heading, Paragraph, escape, paragraphs
from bench.report.render.numbers import UNDEFINED, brief, count, fixed, places, words
from bench.report.section import register_section
from bench.report.sections.audits import strategies_that
from bench.report.sections.significance import difference_sentence
from bench.report.view.comparisons import against_best, cost_of, judged, pair_table
from bench.report.view.detail import collapsed, detail, detailed, on_own_page
from bench.report.view.loaded import Results

MOST = 12
MUCH = 0.05
"""Share of a target's stream that was filled in from which it is said."""
BRACKETS = (
    "Brackets hold 95 % block-bootstrap intervals; p is of Diebold and Mariano's test, adjusted after Holm: "
    "see [Statistical significance](#statistical-significance)."
)


@register_section("question", after="", in_html=False)
def question(results: Results) -> list[Block]:
    """What is asked, of how many runs, and whether any of them saw too much."""
    runs = results.runs
    size = (
        f"{count(runs['entry'].nunique(), 'strategy', 'strategies')}, {count(runs['dataset'].nunique(), 'dataset')}, "
        f"{count(runs['seed'].nunique(), 'seed')}: {count(len(runs), 'run')}."
    )
    seen = "none saw a row before its time"
    if results.lost:
        size += f" {count(len(results.lost), 'more run')} listed, and missing or damaged: see the problems."
    if failed := strategies_that(results, "failed"):
        seen += f", except for what failed the leak canary ({escape(', '.join(failed))})"
    if leaky := leaky_scenarios(runs):
        seen += f", except that with instant labels ({escape(', '.join(sorted(leaky)))}) all did, on purpose"
    if unaudited := strategies_that(results, "unaudited"):
        seen += f", as far as is known: nobody has audited {escape(', '.join(unaudited))}"
    asked = "When the data drift, which way of adapting a forecaster at test time is worth its cost? Every strategy "
    text = f"{asked}forecast the same stream, and {seen}. {size}"
    return [Heading(f"Benchmark report: {escape(results.name)}", 1), Paragraph(text)]


@register_section("answer", after="question", in_html=False)
def answer(results: Results) -> list[Block]:
    """Who has the lowest error on each dataset, by how much, whether significantly, and its cost."""
    others = on_own_page(results)
    shown = list(detail(results).shown) if others else [*detailed(results), *collapsed(results)]
    lines = [answer_line(results, scenario) for scenario in shown[:MOST]]
    if others:
        lines.append(f"And {len(others)} more: see [Every dataset](#every-dataset).")
    elif len(results.scenarios) > MOST:
        lines.append(f"And {len(results.scenarios) - MOST} more below.")
    texts = []
    if any(len(against_best(results, scenario)) for scenario in shown):
        texts += [_nothing_found(results), BRACKETS]
    texts.append(_unmeasured(results))
    if bad := int((results.runs["status"] != "ok").sum()):
        texts.append(f"**{bad} of {count(len(results.runs), 'run')} did not end well**: see [Problems](#problems).")
    return [Heading("Answer"), *paragraphs(_over_all(results)), Bullets(lines), *paragraphs(*texts)]


def _unmeasured(results: Results) -> str:
    """Where much of what forecasts were scored against was never measured but filled in."""
    named = []
    for scenario in results.scenarios:
        dataset = results.first(scenario).dataset
        much = [(name, share) for name, share in dataset.filled.items() if name in dataset.targets and share >= MUCH]
        if much:
            shares = words([f"{escape(name)} {100 * share:.3g} %" for name, share in much])
            named.append(f"{escape(scenario)} ({shares})")
    if not named:
        return ""
    return (
        "**Scored against values that were never measured**, but filled in with the last one before: "
        f"{words(named)} of the stream. Persistence looks better there than it is."
    )


def _nothing_found(results: Results) -> str:
    """That no pair of strategies differs significantly, where so; of a single pair its dataset's line says it."""
    pairs = pair_table(results)
    if len(pairs) < 2 or any(against_best(results, scenario)["significant"].any() for scenario in results.scenarios):
        return ""
    near = pairs.loc[pairs["p_holm"] < LEVEL, "scenario"].unique()
    if any(judged(results, scenario)["significant"].any() for scenario in near):
        return ""
    tested = int(pairs["p"].notna().sum())
    what = f"{len(pairs):,} pairs of strategies"
    what += " (all datasets together)" if pairs["scenario"].nunique() > 1 else ""
    if not tested:
        return f"**None of the {what} could be tested for significance.**"
    beside = "" if tested == len(pairs) else f"; {len(pairs) - tested:,} could not be tested"
    return f"**Of {what} none differs significantly{beside}.**"


def _over_all(results: Results) -> str:
    ranked = results.overall[results.overall["mean_rank"].notna()]
    if len(results.scenarios) < 2 or ranked.empty:
        return ""
    best = ranked.iloc[0]
    tied = ranked[ranked["mean_rank"] == best["mean_rank"]]["entry"]
    names = words([f"**{escape(entry)}**" for entry in tied])
    have = "have" if len(tied) > 1 else "has"
    text = f"Over the {_scenarios(results)}, {names} {have} the best average rank ({best['mean_rank']:.3g})"
    if len(tied) == 1:
        versus = _versus(best, PERSISTENCE, FROZEN, prefix="its MSE is on average ")
        text += f": {versus}" if versus else ""
        undefined = [name for name in (PERSISTENCE, FROZEN) if best[f"undefined_{name}"]]
        if undefined:
            text += f". Over all of them skill against {words(undefined)} is {UNDEFINED}: somewhere it has no error"
    return f"{text}."


def _scenarios(results: Results) -> str:
    """How many scenarios are ranked, and what tells them apart."""
    ranked = results.runs[~results.runs["scenario"].isin(leaky_scenarios(results.runs))]
    number, datasets = ranked["scenario"].nunique(), ranked["dataset"].nunique()
    what = "datasets" if datasets == number else "protocols" if datasets == 1 else "datasets and protocols"
    return f"{number} {what}"


def answer_line(results: Results, scenario: str) -> str:
    """Who has the lowest error on one scenario, by how much, whether significantly, and its cost."""
    board = results.board_of(scenario)
    found = contest(board)
    name = escape(scenario)
    if scenario in leaky_scenarios(results.runs):
        return f"**{name}**: nothing is ranked, because labels came before they could be known (instant labels)."
    if found is None:
        return f"**{name}**: no ranked strategy has a result."
    sentences = [_winner(found), _gap(results, scenario, found)]
    if scenario in detailed(results):
        sentences += [_cost(results, scenario, found), _losers(board)]
    return f"**{name}**: {' '.join(sentence for sentence in sentences if sentence)}"


def _winner(found: Contest) -> str:
    best = found.best
    text = f"**{escape(best['entry'])}** has the lowest MSE, {fixed(best['mse'], places([best['mse']]))} (scaled)"
    text = text if best["mse"] > 0 else f"**{escape(best['entry'])}** has no error"
    if best["strategy"] == PERSISTENCE:
        return f"{text}: nothing beats repeating the last value."
    if best["strategy"] == FROZEN:
        versus = _versus(best, PERSISTENCE)
        return f"{text}{', ' + versus if versus else ''}: no way of adapting beats leaving the forecaster alone."
    versus = _versus(best, PERSISTENCE, FROZEN)
    return f"{text}: {versus}." if versus else f"{text}."


def _versus(row: pd.Series, *references: str, prefix: str = "") -> str:
    parts = []
    for reference in references:
        value = row[f"skill_{reference}"]
        if np.isfinite(value):
            parts.append(f"{fixed(abs(value), 1)} % {'below' if value >= 0 else 'above'} {reference}")
    return prefix + words(parts) if parts else ""


def _gap(results: Results, scenario: str, found: Contest) -> str:
    if found.next is None:
        return ""
    text = f"The next, {escape(found.next['entry'])}, {_behind(found)}"
    pairs = against_best(results, scenario)
    pair = pairs[pairs["other"] == found.next["entry"]]
    if pair.empty:
        return f"{text} (not tested: they share no seed)."
    return f"{text}: {difference_sentence(pair.iloc[0])}"


def _behind(found: Contest) -> str:
    """How far the next is from the best; where the best has no error, that is no share of it."""
    assert found.next is not None
    if found.best["mse"] > 0:
        return f"is {fixed(100 * found.gap / found.best['mse'], 1)} % above it"
    return f"has {fixed(found.gap, places([found.gap]))}" if found.gap > 0 else "has none either"


def _cost(results: Results, scenario: str, found: Contest) -> str:
    cost = cost_of(results)[cost_of(results)["scenario"] == scenario].set_index("entry")["stream_s_per_1000"]
    own = cost.get(found.best["entry"], float("nan"))
    if not np.isfinite(own):
        return ""
    runs = results.ok[(results.ok["scenario"] == scenario) & (results.ok["strategy"] == FROZEN)]
    base = reference_base(runs["base"], found.best["base"])
    frozen = runs.loc[runs["base"] == base, "entry"].head(1).tolist()
    others = ([found.next["entry"]] if found.next is not None else []) + frozen
    others = [entry for entry in dict.fromkeys(others) if entry != found.best["entry"] and np.isfinite(cost[entry])]
    beside = f" ({', '.join(f'{escape(entry)}: {brief(cost[entry])} s' for entry in others)})" if others else ""
    return f"It costs {brief(own)} s per 1,000 windows{beside}."


def _losers(board: pd.DataFrame) -> str:
    losers = board[board["rank"].notna() & (board["skill_persistence"] < 0)]["entry"]
    diverged = board[board["rank"].notna() & np.isinf(board["mse"])]["entry"]
    names = [escape(entry) for entry in [*losers, *diverged]]
    return f"**Worse than persistence:** {words(names)}." if names else ""
