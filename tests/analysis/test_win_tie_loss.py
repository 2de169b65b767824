"""Wins, ties and losses: by hand."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import totals, win_tie_loss
from bench.analysis.win_tie_loss import COLUMNS


def pairs(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["scenario", "one", "other", "verdict"])


def runs(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["scenario", "entry", "seed", "mse"])


def test_by_hand() -> None:
    found = win_tie_loss(
        pairs(
            ("d", "a", "b", "better"),
            ("e", "a", "b", "too short"),
            ("f", "b", "a", "better"),
            ("f", "b", "c", "worse"),
        ),
        runs(
            ("d", "a", 0, 1.0), ("d", "b", 0, 2.0), ("d", "a", 1, 3.0), ("d", "b", 1, 2.0),
            ("e", "a", 0, 2.0), ("e", "b", 0, 2.0), ("e", "a", 1, 2.0),
            ("f", "a", 0, 1.0), ("f", "b", 0, 9.0), ("f", "c", 0, 1.0),
            ("not compared", "a", 0, 1.0), ("not compared", "b", 0, 2.0),
        ),
    )  # fmt: skip
    assert list(found.columns) == COLUMNS
    assert found.to_numpy().tolist() == [
        ["a", "b", 1, 1, 1, 1, 2, 1, 1],
        ["b", "a", 1, 1, 1, 1, 1, 1, 2],
        ["b", "c", 0, 0, 1, 0, 0, 0, 1],
        ["c", "b", 1, 0, 0, 0, 1, 0, 0],
    ]
    assert totals(found).to_numpy()[1].tolist() == [1, 1, 2, 1]


def test_nobody() -> None:
    assert win_tie_loss(pairs(), runs()).empty


VERDICTS = ["better", "worse", "no significant difference", "too short", "undefined"]


@given(st.lists(st.tuples(st.sampled_from("de"), st.sampled_from(["ab", "bc", "ca"]), st.sampled_from(VERDICTS))))
def test_what_one_wins_the_other_loses(rows: list[tuple[str, str, str]]) -> None:
    compared = pairs(*((scenario, names[0], names[1], verdict) for scenario, names, verdict in rows))
    found = win_tie_loss(compared, runs(("d", "a", 0, 1.0), ("d", "b", 0, 2.0), ("e", "b", 0, 1.0), ("e", "c", 0, 0.5)))
    both = {(row.entry, row.other): row for row in found.itertuples(index=False)}
    for (one, other), row in both.items():
        back = both[other, one]
        assert (row.wins, row.ties, row.losses) == (back.losses, back.ties, back.wins)
        assert (row.seeds_lower, row.seeds_equal) == (back.seeds_higher, back.seeds_equal)
    assert found[["wins", "ties", "losses"]].to_numpy().sum() == 2 * len(rows)
