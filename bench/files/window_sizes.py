"""Borders and sizes that suit a user's series, where the user did not give them."""

from __future__ import annotations

from pathlib import Path

from bench.errors import BenchError
from bench.files.user_options import UserOptions
from bench.series import Split

HOUR, DAY = 3600.0, 86400.0


def choose_split(path: Path, rows: int, options: UserOptions) -> tuple[Split, list[str]]:
    """Borders from fractions or counts; 20/5/75 for what is not given.

    Raises:
        BenchError: A part would be empty.
    """
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


def choose_sizes(step: float | None, split: Split, options: UserOptions) -> tuple[int, int, int | None, list[str]]:
    """Lookback, horizon, season, and the reasons for those that were not given.

    Args:
        step: Seconds from one row to the next, or None where time is not in dates.
        split: The borders that the windows must fit into.
        options: What the user gave.
    """
    usual_lookback, usual_horizon, season, reason = usual_sizes(step)
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
            notes.append(
                f"{name} {size}: {reason if size == usual else f'as many as the split has room for ({usual})'}"
            )
    if options.season is None:
        if season is not None and season > split.train:
            season, reason = None, f"one of {season} rows is longer than the training rows"
        notes.append(f"season {season or 'none'}: {reason}")
    return lookback, horizon, options.season or season, notes


def usual_sizes(step: float | None) -> tuple[int, int, int | None, str]:
    """Lookback, horizon and season that suit rows ``step`` seconds apart, and the words for it."""
    if step is None:
        return 96, 24, None, "usual where time is not in dates"
    per_day = DAY / step
    day = round(per_day) if per_day >= 2 and abs(per_day - round(per_day)) < 1e-6 else None
    days = f"{step / DAY:g} day{'' if step == DAY else 's'}"
    apart = f"usual for rows {days if step >= DAY else f'{step / HOUR:.3g} h'} apart"
    if step <= HOUR:
        return 96, 24, day, apart
    if step < DAY:
        return round(7 * per_day), max(1, round(per_day)), day, apart
    if step < 2 * DAY:
        return 28, 7, 7, apart
    if step < 28 * DAY:
        return 36, 12, 52 if step == 7 * DAY else None, apart
    return 24, 6, 12 if step <= 31 * DAY else None, apart
