"""Borders and sizes that suit a user's series, where the user did not give them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.series import Split
from bench.data.user_files.timestamps.time_grid import Times, rows_apart, step_seconds
from bench.data.user_files.user_options import UserOptions

HOUR, DAY = 3600.0, 86400.0
WEEKS_OF_YEAR = np.timedelta64(52 * 7, "D")
MOST_OF_YEAR = 53  # rows: of more than one a week, the week is the season
NO_DATES = "usual where time is not in dates"


def choose_split(path: Path, rows: int, options: UserOptions) -> tuple[Split, list[str]]:
    """Borders from fractions or counts, 20/5/75 by default; raises if a part would be empty."""
    train = 0.20 if options.train is None else options.train
    validation = 0.05 if options.validation is None else options.validation
    if train < 1 and validation < 1:
        split = Split.by_fraction(rows, train, validation)
    else:
        border = int(train if train >= 1 else train * rows)
        split = Split(border, border + int(validation if validation >= 1 else validation * rows), rows)
    parts = (split.train, split.validation - split.train, rows - split.validation)
    if min(parts) < 1:
        raise BenchError(
            f"{path}: train = {train:g} and validation = {validation:g} make {parts[0]:,} training, {parts[1]:,} "
            f"validation and {parts[2]:,} stream rows of {rows:,}; each part needs some. "
            "Give fractions of all rows, or numbers of rows."
        )
    if options.train is not None and options.validation is not None:
        return split, []
    return split, [
        f"split: {parts[0]:,} training, {parts[1]:,} validation, {parts[2]:,} stream rows (usual: 20/5/75 %)"
    ]


def choose_sizes(time: Times, split: Split, options: UserOptions) -> tuple[int, int, int | None, list[str]]:
    """Lookback, horizon and season that fit the split, and a note for each that was not given."""
    season, why_season = usual_season(time) if options.season is None else (options.season, "")
    usual_lookback, usual_horizon, why = usual_sizes(step_seconds(time), season)
    # Training keeps half of its rows to slide the window over; every part holds one horizon.
    room = min(split.train // 4, split.validation - split.train, split.end - split.validation)
    lookback = options.lookback or max(1, min(usual_lookback, split.train // 2))
    horizon = options.horizon or max(1, min(usual_horizon, room))
    notes = []
    for name, given, size, usual in (
        ("lookback", options.lookback, lookback, usual_lookback),
        ("horizon", options.horizon, horizon, usual_horizon),
    ):
        if given is None:
            notes.append(f"{name} {size}: {why if size == usual else f'as many as the split has room for ({usual})'}")
    if options.season is None:
        if season is not None and season > split.train:
            season, why_season = None, f"one of {season} rows is longer than the training rows"
        notes.append(f"season {season or 'none'}: {why_season}")
    return lookback, horizon, season, notes


def usual_season(time: Times) -> tuple[int | None, str]:
    """After how many rows most rows are a day, a week or a year later, if any, and the words for it.

    Rows are counted, not steps divided, so that a season is guessed for uneven rows only where it is one: trading days
    make five a week, hours of trading as many as a day has of them.
    """
    if time.dtype.kind != "M":
        return None, NO_DATES
    stamps = cast("NDArray[np.datetime64]", time)
    for words, length in (("a day", np.timedelta64(1, "D")), ("a week", np.timedelta64(7, "D"))):
        rows = rows_apart(stamps, stamps + length)
        if rows is not None and rows > 1:
            return rows, f"as many rows make {words}"
    months = stamps.astype("datetime64[M]")
    one_a_month = bool((np.diff(months) > np.timedelta64(0, "M")).all())
    rows = rows_apart(months, months + 12) if one_a_month else rows_apart(stamps, stamps + WEEKS_OF_YEAR)
    if rows is not None and 1 < rows <= MOST_OF_YEAR:
        return rows, "as many rows make a year"
    return None, "no fixed number of rows makes a day, a week or a year here"


def usual_sizes(step: float | None, season: int | None) -> tuple[int, int, str]:
    """Lookback and horizon that suit rows ``step`` seconds apart (None: not in dates), and the words for it."""
    if step is None:
        return 96, 24, NO_DATES
    per_day = DAY / step
    days = f"{step / DAY:g} day{'' if step == DAY else 's'}"
    apart = f"usual for rows {days if step >= DAY else f'{step / HOUR:.3g} h'} apart"
    if step <= HOUR:
        return 96, 24, apart
    if step < DAY:
        return round(7 * per_day), max(1, round(per_day)), apart
    if season is not None and step * season <= 7 * DAY:
        return 4 * season, season, f"usual for {season} rows a week"
    if step < 2 * DAY:
        return 28, 7, apart
    return (36, 12, apart) if step < 28 * DAY else (24, 6, apart)
