"""Options for a file are found by doing what messages propose: they read the true values, or only a user can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import BenchError
from bench.data.user_files.proposals import find_options

from ..conftest import Write
from .test_clock_choice import weeks_of_days
from .test_hints import WRITTEN, is_true, plain, rows, table


@pytest.mark.parametrize("name", [*WRITTEN][::3])
def test_a_table_written_otherwise_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / "my.csv"
    content = WRITTEN[name].content
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert is_true(find_options(f"csv:{file}", {}).series, WRITTEN[name].truth)


def test_what_is_read_without_options_needs_none(write: Write) -> None:
    stamps, values = table()
    found = find_options(f"csv:{write('my.csv', rows(stamps, plain(values)))}", {})
    assert (found.options, found.reasons) == ({}, {})
    assert is_true(found.series, values)


def test_each_option_has_its_reason(write: Write) -> None:
    stamps, values = table(columns=2)
    cells = plain(values)
    cells["x0"][5] = "n/a"
    cells["site"] = ["north"] * len(stamps)
    found = find_options(f"csv:{write('my.csv', rows(stamps, cells))}", {})
    assert found.options == {"drop": ["site"], "na_values": ["n/a"], "missing": "ffill"}
    assert found.reasons["drop"] == "row 2, column 'site' is not a number ('north')"
    assert found.reasons["na_values"] == "row 7, column 'x0' is not a number ('n/a')"


def test_a_gap_in_the_clock_is_filled_on_even_steps(write: Write) -> None:
    stamps, values = table()
    kept = [k for k in range(len(stamps)) if not 60 <= k < 64]
    cells = {name: [f"{column[k]:.2f}" for k in kept] for name, column in values.items()}
    found = find_options(f"csv:{write('my.csv', rows([stamps[k] for k in kept], cells))}", {})
    assert found.options == {"resample": "1h", "missing": "ffill"}
    assert len(found.series) == len(stamps)
    assert (np.diff(found.series.time) == np.timedelta64(1, "h")).all()


METER = np.cumsum(1 + np.arange(60) % 3)


def test_trading_days_stay_rows(write: Write) -> None:
    days = [
        day
        for day in pd.bdate_range("2020-01-01", periods=300)
        if (day.month, day.day) not in ((1, 1), (5, 1), (12, 25))
    ]
    path = write("my.csv", "\n".join(["day,a", *(f"{day.date()},{k % 7}.5" for k, day in enumerate(days))]))
    found = find_options(f"csv:{path}", {})
    assert found.options == {"irregular": "keep"}
    assert len(found.series) == len(days)


def test_a_long_file_says_which_columns_it_could_be(write: Write) -> None:
    stamps, values = table(columns=2)
    lines = [
        f"{stamps[k]},{who},{values['x0'][k] + add},{values['x1'][k]}"
        for k in range(len(stamps))
        for who, add in (("a", 0), ("b", 1))
    ]
    found = find_options(f"csv:{write('my.csv', chr(10).join(['when,who,u,v', *lines]))}", {})
    assert found.options == {"time": "when", "id": "who", "value": "u"}
    assert found.reasons["value"].endswith("give time = 'when', id = 'who' and value = 'u' (or 'v')")


def test_a_zone_is_asked(write: Write) -> None:
    clock = pd.date_range("2024-03-01", "2024-05-01", freq="h", tz="America/New_York").tz_localize(None)
    path = write("my.csv", "\n".join(["when,a", *(f"{when},{k % 7}.5" for k, when in enumerate(clock))]))
    with pytest.raises(BenchError, match=r"timezone = .* Only you can tell: give one"):
        find_options(f"csv:{path}", {})
    assert find_options(f"csv:{path}", {"timezone": "America/New_York"}).options == {}


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (["when,a", *(f"{when},{k % 7}.5" for k, when in enumerate(weeks_of_days("%m/%d/%Y %H:%M")))], "time_format"),
        (["seconds,a", *(f"{METER[k]},{k % 7}.5" for k in range(60))], "inputs"),  # a time or a meter
    ],
)
def test_what_only_the_user_knows_is_asked(write: Write, lines: list[str], options: str) -> None:
    path = write("my.csv", "\n".join(lines) + "\n")
    with pytest.raises(BenchError, match=f"{options}.*Only you can tell: give one"):
        find_options(f"csv:{path}", {})


def test_what_cannot_be_mended_says_why(write: Write) -> None:
    path = write("my.csv", "a,b\n1,2\n3\n")
    with pytest.raises(BenchError, match="row 3, column 2: the row ends here"):
        find_options(f"csv:{path}", {})
