"""One parser decides about zones, however they are written and whatever stands before them."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.user_files.timestamps.time_zones import are_dates, split_zones, to_utc

FORMS = [
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%d/%m/%Y %I:%M %p",
    "%a %b %d %Y %H:%M:%S",
    "%d.%m.%y %H:%M",
]
WRITTEN = ["{z}", " {z}", "{c}", " {c}", " GMT{z}", " UTC{c}", "{c}[Some/Place]", " GMT{z} (Some Standard Time)"]
offsets = st.integers(-48, 56).map(lambda quarters: quarters * 15)


def written(stamp: datetime, offset: int, form: str, how: str) -> tuple[str, str]:
    """The time with its zone, and without."""
    local = stamp.replace(tzinfo=timezone(timedelta(minutes=offset)))
    zone = local.strftime("%z")
    return local.strftime(form) + how.format(z=zone, c=f"{zone[:3]}:{zone[3:]}"), local.strftime(form)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2060, 1, 1)), offsets, st.sampled_from(FORMS), st.sampled_from(WRITTEN)
)
def test_an_offset_is_taken_off(stamp: datetime, offset: int, form: str, how: str) -> None:
    text, local = written(stamp, offset, form, how)
    found = split_zones(pd.Series([text, local], dtype="str"))
    assert found.local.tolist() == [local, local]
    assert found.offset[0] == offset
    assert np.isnan(found.offset[1])
    assert not found.named.any()
    there = np.array([stamp], dtype="datetime64[s]")
    assert to_utc(there, found.offset[:1])[0] == there[0] - np.timedelta64(offset, "m")


@pytest.mark.parametrize("zone", ["Z", " Z", "UTC", " UTC", " GMT", "+00", "+0000", "+00:00", "-00:00", " UTC+0"])
def test_universal_time_has_many_names(zone: str) -> None:
    found = split_zones(pd.Series([f"2024-01-05 01:00{zone}"], dtype="str"))
    assert (found.local[0], found.offset[0]) == ("2024-01-05 01:00", 0)


@pytest.mark.parametrize("zone", ["CET", "CEST", "EST", "NZDT"])
def test_letters_that_places_share_say_no_offset(zone: str) -> None:
    found = split_zones(pd.Series([f"2024-01-05 01:00 {zone}"], dtype="str"))
    assert found.local[0] == "2024-01-05 01:00"
    assert np.isnan(found.offset[0])
    assert found.named[0]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2024-01-05",
            "2024-01",
            "05-01-2024",
            "05-Jan-24",
            "2024-01-05-01",
            "2000 JAN",
            "2024-005",
            "01:00 AM",
            "2024",
        ),
        *("2024-01-05 01:00 PM", "2024-01-05 01:00+20:00", "2024-01-05 10-12", "1 UTC unit", "ABC", "", "-5", "1e+05"),
    ],
)
def test_what_is_no_zone_stays(text: str) -> None:
    found = split_zones(pd.Series([text], dtype="str"))
    assert found.local[0] == text
    assert np.isnan(found.offset[0])
    assert not found.named[0]


@pytest.mark.parametrize(
    ("times", "dates"),
    [
        (np.arange(10).astype("M8[D]").astype("M8[s]"), True),
        (np.arange(10).astype("M8[D]").astype("M8[s]") + np.timedelta64(9, "h"), True),
        (np.arange(10).astype("M8[M]").astype("M8[s]"), True),
        (np.arange(10).astype("M8[h]").astype("M8[s]"), False),
        (np.arange(10).astype("M8[D]").astype("M8[s]") + np.arange(10) * np.timedelta64(1, "m"), False),
    ],
)
def test_dates_are_all_at_one_hour(times: np.ndarray, dates: bool) -> None:
    assert are_dates(times) is dates
    assert are_dates(np.repeat(times, 2)) is dates  # of a long file
