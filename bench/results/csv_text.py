"""Frames as CSV files, whose text no spreadsheet takes for a formula."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

from bench.contracts.text import in_cell


def write_frames(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write frames as CSV by name, without empty ones; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        if len(frame):
            write_frame(frame, folder / f"{name}.csv")


def write_frame(frame: pd.DataFrame, file: Path) -> None:
    """Write a frame as CSV, numbers with eight digits."""
    file.write_text(csv_text(frame, "%.8g"), encoding="utf-8", newline="\n")


def csv_text(frame: pd.DataFrame, float_format: str | None = None) -> str:
    """A frame as CSV, in which no text is a formula to a spreadsheet."""
    told = frame.copy(deep=False)
    for name in frame.columns:
        if not (is_numeric_dtype(frame[name]) or is_datetime64_any_dtype(frame[name])):
            told[name] = frame[name].map(_cell)
    return told.rename(columns=in_cell).to_csv(index=False, float_format=float_format, lineterminator="\n")


def _cell(value: object) -> object:
    return in_cell(value) if isinstance(value, str) else value
