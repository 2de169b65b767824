"""The answer in a few sentences, written from the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import Contest, contest, leaky_scenarios
from bench.analysis.leaderboard import FROZEN, PERSISTENCE, reference_base
from bench.report.blocks import Block, Bullets, Heading, Paragraph, escape, paragraphs
from bench.report.render.numbers import UNDEFINED, brief, count, fixed, places, words
from bench.report.section import register_section
from bench.report.sections.audits import seen_before, strategies_that
from bench.report.sections.skill import better_on
from bench.report.sections.training import weak_forecasters
from bench.report.sections.verdict_cells import CLEAR, UNTESTED, could_show, is_carried_by_few, p_text, skill_text
from bench.report.view.comparisons import against_best, cost_of, skill_table
from bench.report.view.detail import collapsed, detail, detailed, on_own_page
from bench.report.view.loaded import Results
from bench.report.view.rankings import skill_over_datasets

MOST = 12
MUCH = 0.05
"""Share of a target's stream that was filled in from which it is said."""
BRACKETS = (
    "Skill is how far the MSE is below the other's, in the geometric mean over stretches of the stream, with its 95 % "
    "interval for that pair alone. p-values are adjusted (Holm) for a family of pairs, so a skill whose interval "
    "excludes 0 need not be significant: see [Statistical significance](#statistical-significance)."
)


@register_section("question", after="", in_html=False)
def question(results: Results) -> list[Block]:
    """What is asked, of how many runs, and whether any of them saw too much."""
    runs = results.runs
    size = (
        f"{count(runs['entry'].nunique(), 'strategy', 'strategies')}, {count(runs['dataset'].nunique(), 'dataset')}, "
        f"{count(runs['seed'].nunique(), 'seed')}: {count(runs['run_id'].nunique(), 'run')}."
    )
    seen = "none saw a row before its time"
    if results.lost:
        size += f" {count(len(results.lost), 'more run')} listed, and missing or damaged: see the problems."
    if failed := strategies_that(results, "failed"):
        seen += f", except for what failed the leak canary ({escape(', '.join(failed))})"
    if leaky := leaky_scenarios(runs):
        seen += f", except that with instant labels ({escape(', '.join(sorted(leaky)))}) all did, on purpose"
    if unaudited := strategies_that(results, "unaudited"):
        seen += f", as far as is known (unaudited: {escape(', '.join(unaudited))})"
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
        more = len([scenario for scenario in others if scenario not in shown])
        lines += [f"And {more} more: see [Every dataset](#every-dataset)."] if more else []
    elif len(results.scenarios) > MOST:
        lines.append(f"And {len(results.scenarios) - MOST} more below.")
    texts = []
    if any(len(against_best(results, scenario)) for scenario in shown):
        texts.append(BRACKETS)
    texts += [seen_before(results), weak_forecasters(results), _unmeasured(results)]
    status, see = results.runs["status"], "see [Problems](#problems)."
    if bad := int((~status.isin(["ok", "skipped"])).sum()):
        texts.append(f"**{bad} of {count(len(status), 'run')} did not end well**: {see}")
    if skipped := int((status == "skipped").sum()):
        texts.append(f"{skipped} of {count(len(status), 'run')} cannot be made and were skipped: {see}")
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
        versus = _versus(best, PERSISTENCE, prefix="its MSE is on average ")
        text += f": {versus}" if versus else ""
        if best[f"undefined_{PERSISTENCE}"]:
            text += f". Over all of them the share below {PERSISTENCE} is {UNDEFINED}: somewhere it has no error"
        over = skill_over_datasets(results)
        text += "".join(f". {_skill_over(row)}" for _, row in over[over["entry"] == best["entry"]].iterrows())
    return f"{text}."


def _skill_over(row: pd.Series) -> str:
    """The verdict on an entry against frozen over all datasets, or with too few of them on how many it is better."""
    if row["verdict"] == "undefined":
        return f"Its skill against {FROZEN} is {UNDEFINED} on one of them"
    if row["verdict"] in UNTESTED:
        return f"It is {better_on(row)}"
    text = f"Its skill against {FROZEN} over {count(row['datasets'], 'dataset')} is {skill_text(row)} %"
    could = "" if row["verdict"] in CLEAR else f"; a skill of {could_show(row['resolution'])} % could have been shown"
    return f"{text}, {_sure(row)}{could}"


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
    sentences = [_winner(found), _over_frozen(results, scenario, found), _rivals(results, scenario)]
    if scenario in detailed(results):
        sentences += [_cost(results, scenario, found), _losers(board)]
    return f"**{name}**: {' '.join(sentence for sentence in sentences if sentence)}"


def _winner(found: Contest) -> str:
    best = found.best
    text = f"**{escape(best['entry'])}** has the lowest MSE, {fixed(best['mse'], places([best['mse']]))} (scaled)"
    text = text if best["mse"] > 0 else f"**{escape(best['entry'])}** has no error"
    if best["strategy"] == PERSISTENCE:
        return f"{text}: nothing is better than repeating the last value."
    if best["strategy"] == FROZEN:
        return f"{text}: no way of adapting is better than leaving the forecaster alone."
    return f"{text}."


def _over_frozen(results: Results, scenario: str, found: Contest) -> str:
    """The skill of the best over frozen, or else over persistence."""
    table = skill_table(results)
    own = table[(table["scenario"] == scenario) & (table["entry"] == found.best["entry"])]
    if own.empty:
        return ""
    row = own.iloc[0]
    text = f"Its skill against {row['reference']} is {skill_text(row)}"
    text += " %" if np.isfinite(row["skill"]) else ""
    text += f", {_sure(row)}" if row["verdict"] != "undefined" else ""
    if is_carried_by_few(row):
        text += "; the mean MSE says the opposite, because a few stretches decide it"
    return f"{text}."


def _sure(row: pd.Series) -> str:
    """The verdict on a skill, as the end of a sentence."""
    if row["verdict"] == "too short":
        return "not tested (too few stretches)"
    significant = "**significant**" if row["verdict"] in CLEAR else "not significant"
    seeds = ", one seed only" if row.get("seeds") == 1 else ""
    return f"{significant} ({p_text(row['p_adjusted'])}{seeds})"


def _rivals(results: Results, scenario: str) -> str:
    """Who is not significantly worse than the best, and what could have been shown."""
    pairs = against_best(results, scenario)
    if pairs.empty:
        return ""
    if (pairs["verdict"] == "better").all():
        return "Every other entry is significantly worse."
    if pairs["verdict"].isin(UNTESTED).all():
        return "No other entry could be compared with it by a test."
    equal = pairs[~pairs["verdict"].isin(CLEAR)]
    names = words([escape(entry) for entry in equal["other"]])
    text = f"Not significantly worse: {names}"
    if worse := [escape(entry) for entry in pairs.loc[pairs["verdict"] == "worse", "other"]]:
        text = (
            f"Significantly better in most stretches: {words(worse)}. {text}"
            if len(equal)
            else (f"Significantly better in most stretches: {words(worse)}")
        )
    known = equal[equal["resolution"] > 0]
    if known.empty:
        return f"{text}."
    low, high = known["resolution"].min(), known["resolution"].max()
    could = " to ".join(dict.fromkeys([could_show(low), could_show(high)]))
    limits = words(sorted(set(known["limit"])))
    return f"{text} (a skill of {could} % could have been shown; limited by {limits})."


def _versus(row: pd.Series, *references: str, prefix: str = "") -> str:
    parts = []
    for reference in references:
        value = row[f"skill_{reference}"]
        if np.isfinite(value):
            parts.append(f"{fixed(abs(value), 1)} % {'below' if value >= 0 else 'above'} {reference}")
    return prefix + words(parts) if parts else ""


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
