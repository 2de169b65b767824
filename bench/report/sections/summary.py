"""The answer in a few sentences, written from the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import Contest, contest, leaky_scenarios
from bench.analysis.leaderboard import FROZEN, PERSISTENCE, reference_base
from bench.analysis.statistics.pairs import LEVEL
from bench.report.render.markdown import count, escape, words
from bench.report.render.numbers import UNDEFINED, brief, fixed, places
from bench.report.sections.significance import difference_sentence
from bench.report.view.loaded import Results
from bench.report.view.rankings import judged

MOST = 12
MUCH = 0.05
"""Share of a target's stream that was filled in from which it is said."""
BRACKETS = (
    "Brackets hold 95 % block-bootstrap intervals; p is of Diebold and Mariano's test, adjusted after Holm: "
    "see [Is the difference more than chance?](#is-the-difference-more-than-chance)."
)


def answer(results: Results) -> list[str]:
    """Blocks: who has the lowest error on each dataset, by how much, whether it is more than chance, and its cost."""
    elsewhere = results.elsewhere
    shown = list(results.focus.shown) if elsewhere else [*results.in_detail, *results.aside]
    lines = [answer_line(results, scenario) for scenario in shown[:MOST]]
    if elsewhere:
        lines.append(f"- And {len(elsewhere)} more: see [Every dataset](#every-dataset).")
    elif len(results.scenarios) > MOST:
        lines.append(f"- And {len(results.scenarios) - MOST} more below.")
    blocks = ["## Answer", *_over_all(results), "\n".join(lines)]
    if any(len(results.against_best(scenario)) for scenario in shown):
        blocks += [*_nothing_found(results), BRACKETS]
    blocks += _unmeasured(results)
    if bad := int((results.runs["status"] != "ok").sum()):
        blocks.append(f"**{bad} of {count(len(results.runs), 'run')} did not end well**: see [Problems](#problems).")
    return blocks


def _unmeasured(results: Results) -> list[str]:
    """Where much of what forecasts were scored against was never measured but filled in."""
    named = []
    for scenario in results.scenarios:
        dataset = results.first(scenario).dataset
        much = [(name, share) for name, share in dataset.filled.items() if name in dataset.targets and share >= MUCH]
        if much:
            shares = words([f"{escape(name)} {100 * share:.3g} %" for name, share in much])
            named.append(f"{escape(scenario)} ({shares})")
    if not named:
        return []
    return [
        "**Scored against values that were never measured**, but filled in with the last one before: "
        f"{words(named)} of the stream. Persistence looks better there than it is."
    ]


def _nothing_found(results: Results) -> list[str]:
    """That no pair of strategies is told apart, where that is so; of a single pair its dataset's line says it."""
    pairs = results.pairs
    if len(pairs) < 2 or any(results.against_best(scenario)["significant"].any() for scenario in results.scenarios):
        return []
    near = pairs.loc[pairs["p_holm"] < LEVEL, "scenario"].unique()
    if any(judged(results, scenario)["significant"].any() for scenario in near):
        return []
    tested = int(pairs["p"].notna().sum())
    what = f"{len(pairs):,} pairs of strategies"
    what += " (all datasets together)" if pairs["scenario"].nunique() > 1 else ""
    if not tested:
        return [f"**None of the {what} could be tested for significance.**"]
    beside = "" if tested == len(pairs) else f"; {len(pairs) - tested:,} could not be tested"
    return [f"**Of {what} none differs significantly{beside}.**"]


def _over_all(results: Results) -> list[str]:
    if len(results.scenarios) < 2:
        return []
    ranked = results.overall[results.overall["mean_rank"].notna()]
    if ranked.empty:
        return []
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
    return [f"{text}."]


def _scenarios(results: Results) -> str:
    """How many scenarios are ranked, and what tells them apart."""
    ranked = results.runs[~results.runs["scenario"].isin(leaky_scenarios(results.runs))]
    number, datasets = ranked["scenario"].nunique(), ranked["dataset"].nunique()
    what = "datasets" if datasets == number else "protocols" if datasets == 1 else "datasets and protocols"
    return f"{number} {what}"


def answer_line(results: Results, scenario: str) -> str:
    """Who has the lowest error on one scenario, by how much, whether it is more than chance, and its cost."""
    board = results.board_of(scenario)
    found = contest(board)
    name = escape(scenario)
    if scenario in leaky_scenarios(results.runs):
        return f"- **{name}**: nothing is ranked, because labels came before they could be known (instant labels)."
    if found is None:
        return f"- **{name}**: no ranked strategy has a result."
    sentences = [_winner(found), _gap(results, scenario, found)]
    if scenario in results.in_detail:
        sentences += [_cost(results, scenario, found), _losers(board)]
    return f"- **{name}**: {' '.join(sentence for sentence in sentences if sentence)}"


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
    pairs = results.against_best(scenario)
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
    cost = results.cost[results.cost["scenario"] == scenario].set_index("entry")["stream_s_per_1000"]
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
