"""Several columns as one: a date and a time of day, or year, month, day and hour."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from bench.data.user_files.timestamps.counters import as_numbers
from bench.data.user_files.user_table import UserTable

if TYPE_CHECKING:
    import pandas as pd

LETTERS = {"Q": "quarters?|qtr", "W": "weeks?|wk"}
"""What stands before a number whose column is called so."""

MIDNIGHT = r"[ T]00:00(?::00(?:\.0+)?)?$"


def joined(table: UserTable, names: tuple[str, ...]) -> tuple[UserTable, str]:
    """A table that has one more column, whose cells are those of several with a blank between them; and its name.

    Whole numbers are as wide as the widest, so that 30 and 930 are 0030 and 0930, or ``Q1`` and ``W05`` in a column of
    that name; a date loses its midnight. One column stays as it is.
    """
    import pandas as pd

    if len(names) == 1:
        return table, names[0]
    text = reduce(lambda left, right: left + " " + right, (_cells(table.frame[name], name) for name in names))
    name = " + ".join(names)
    return replace(table, frame=pd.concat([table.frame, text.rename(name)], axis=1)), name


def _cells(column: pd.Series[Any], name: str) -> pd.Series[str]:
    numbers = as_numbers(column)
    if numbers is not None and numbers.dtype.kind == "i" and numbers.min() >= 0:
        letter = next((letter for letter, called in LETTERS.items() if re.fullmatch(called, name, re.IGNORECASE)), "")
        width = 1 if letter == "Q" else max(2, len(str(int(numbers.max()))))
        cells = [f"{letter}{number:0{width}d}" for number in numbers.tolist()]
        return column.__class__(cells, index=column.index, dtype="str")
    text = column.map(str, na_action="ignore").astype("str").str.strip()
    is_date = bool(text.str.contains(MIDNIGHT, na=False).all())
    return text.str.replace(MIDNIGHT, "", regex=True) if is_date else text
