"""Drifts that a user knows of: by date and name, in the options of a file or in a small file of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import BenchError

from ..conftest import Write
from .conftest import Load


@pytest.fixture
def hourly(write: Write) -> str:
    hours = np.datetime64("2024-03-01T00", "h") + np.arange(960)
    lines = [f"{hour},{np.sin(k / 4) + k % 7:.3f}" for k, hour in enumerate(hours)]
    return f"csv:{write('hourly.csv', chr(10).join(['when,a', *lines]))}"


def test_a_drift_begins_at_the_first_row_at_its_time_or_later(load: Load, hourly: str) -> None:
    events = [
        {"time": "2024-03-20 12:30", "name": "strike", "kind": "gradual"},
        {"time": "2024-03-10", "name": "holiday"},
        {"time": "2024-03-20T14:00+01:00", "name": "zoned"},
    ]
    found = load(hourly, events=events).events
    assert [(event.row, event.name, event.kind) for event in found] == [
        (9 * 24, "holiday", "abrupt"),
        (19 * 24 + 13, "strike", "gradual"),
        (19 * 24 + 13, "zoned", "abrupt"),
    ]
    lagos = load(hourly, events=events[1:2], timezone="Africa/Lagos")
    assert str(lagos.time[lagos.events[0].row]) == "2024-03-09T23:00:00"


def test_dates_stay_dates_of_their_place(load: Load, write: Write) -> None:
    days = np.datetime64("2024-01-01") + np.arange(200)
    path = write("daily.csv", "\n".join(["day,a", *(f"{day},{k % 7}.5" for k, day in enumerate(days))]))
    events = [{"time": "2024-03-10", "name": "holiday"}]
    for zone in ("America/Bogota", "Asia/Tokyo"):
        (event,) = load(f"csv:{path}", events=events, timezone=zone).events
        assert event.row == 69


def test_drifts_in_a_small_file(load: Load, hourly: str, write: Write) -> None:
    file = write("drifts.csv", "time,name,kind\n2024-03-10,holiday,\n2024-03-20,7,gradual\n")
    found = load(hourly, events=str(file)).events
    assert [(event.row, event.name, event.kind) for event in found] == [
        (216, "holiday", "abrupt"),
        (456, "7", "gradual"),
    ]


def test_counted_rows_take_numbers(load: Load, write: Write) -> None:
    path = write("counted.csv", "\n".join(["n,a", *(f"{k},{k % 5}.5" for k in range(100, 200))]))
    (event,) = load(f"csv:{path}", events=[{"time": 150, "name": "moved"}]).events
    assert event.row == 50


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([{"time": "soon", "name": "x"}], "the drift 'x': its time 'soon' is not a date, such as 2024-05-01"),
        ([{"time": "2023-01-01", "name": "x"}], "is not within the rows, 2024-03-01T00:00:00 to 2024-04-09T23:00:00"),
        ([{"time": "2024-03-10", "nam": "x"}], "unknown option"),
        ([{"time": "2024-03-10", "name": ""}], "events"),
        ("none.csv", "csv:none.csv: there is no such file"),
    ],
)
def test_mistakes(load: Load, hourly: str, events: Any, message: str) -> None:
    with pytest.raises(BenchError, match=message.replace("(", r"\(")):
        load(hourly, events=events)


def test_drifts_change_no_data(load: Load, hourly: str) -> None:
    with_event = load(hourly, events=[{"time": "2024-03-10", "name": "holiday"}])
    assert with_event.fingerprint == load(hourly).fingerprint
