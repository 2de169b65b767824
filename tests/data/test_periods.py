"""Periods of pandas in Parquet: months, quarters, weeks as their first moment, the same in every process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.user_files.parquet_table import read_parquet

from .conftest import Load

ROWS = 300
SEASONS = {"M": 12, "Q-DEC": 4, "Q-JAN": 4, "W-SUN": 52, "W-WED": 52, "D": 7, "h": 24, "30min": 48, "Y-DEC": None}


def table(freq: str) -> pd.DataFrame:
    index = pd.period_range("1850-01-01" if freq.startswith("Y") else "1990-01-01", periods=ROWS, freq=freq)
    return pd.DataFrame({"load": np.random.default_rng(0).normal(size=ROWS)}, index=index)


@contextmanager
def periods_known(known: bool) -> Iterator[None]:
    """A process in which pandas has written a Parquet file before, or not."""
    pd.DataFrame({"x": [1]}).to_parquet(pa.BufferOutputStream())
    kind = pa.array(pd.period_range("2000", periods=1, freq="D")).type
    if not known:
        pa.unregister_extension_type("pandas.period")
    try:
        yield
    finally:
        if not known:
            pa.register_extension_type(kind)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("freq", SEASONS)
def test_periods_are_the_time(load: Load, tmp_path: Path, freq: str, known: bool) -> None:
    frame, path = table(freq), tmp_path / "my.parquet"
    frame.to_parquet(path)
    with periods_known(known):
        series = load(f"parquet:{path}", train=0.5, validation=0.1)
    assert series.columns == ("load",)
    assert series.time.tolist() == [period.start_time for period in frame.index]
    assert series.season == SEASONS[freq]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("old", "new"), [("A-DEC", "Y-DEC"), ("H", "h"), ("T", "min"), ("30T", "30min"), ("S", "s")])
def test_steps_as_older_versions_of_pandas_wrote_them(tmp_path: Path, old: str, new: str, known: bool) -> None:
    options = {b"ARROW:extension:name": b"pandas.period", b"ARROW:extension:metadata": b'{"freq": "%s"}' % old.encode()}
    expected = pd.period_range("1970-01-01", periods=6, freq=new)
    numbers = pa.array([expected[0].ordinal, None, expected[5].ordinal], pa.int64())
    file = pa.table([numbers], schema=pa.schema([pa.field("when", pa.int64(), metadata=options)]))
    pq.write_table(file, tmp_path / "my.parquet")
    with periods_known(known):
        found = read_parquet(tmp_path / "my.parquet").frame["when"]
    assert found.isna().tolist() == [False, True, False]
    assert found.dropna().tolist() == [expected[0].start_time, expected[5].start_time]


@pytest.mark.parametrize("known", [True, False])
def test_a_step_that_is_none_is_refused(load: Load, tmp_path: Path, known: bool) -> None:
    options = {b"ARROW:extension:name": b"pandas.period", b"ARROW:extension:metadata": b'{"freq": "fortnight"}'}
    schema = pa.schema([pa.field("when", pa.int64(), metadata=options)])
    pq.write_table(pa.table([pa.array(range(60))], schema=schema), tmp_path / "my.parquet")
    with periods_known(known), pytest.raises(Exception, match="not a whole Parquet file"):
        load(f"parquet:{tmp_path / 'my.parquet'}")
