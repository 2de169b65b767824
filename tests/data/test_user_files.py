"""Files of the user's own: long ones, Parquet, zones, uneven steps, missing values; nothing looks ahead."""

from collections.abc import Callable
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import BenchError, DriftSeries
from bench.contracts.dataset import resolve_dataset
from bench.data.user_files.gaps import fill
from bench.data.user_files.timestamps.time_grid import first_irregular, resample_mean

from .conftest import Load

Save = Callable[..., str]
ROWS = 240
EXACT = Context(prec=50)


def wide(rows: int = ROWS, step: str = "h", start: str = "2024-01-01") -> pd.DataFrame:
    draw = np.random.default_rng(3)
    when = pd.date_range(start, periods=rows, freq=step)
    return pd.DataFrame({"when": when, "b": draw.normal(size=rows), "a": draw.normal(size=rows)})


def long(table: pd.DataFrame) -> pd.DataFrame:
    return table.melt(id_vars="when", var_name="site", value_name="count")


LONG = {"time": "when", "id": "site", "value": "count"}


@pytest.fixture(params=["csv", "parquet"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Write a frame in either format and give the dataset's name."""

    def save_as(table: pd.DataFrame) -> str:
        path = tmp_path / f"my.{request.param}"
        table.to_csv(path, index=False) if request.param == "csv" else table.to_parquet(path, index=False)
        return f"{request.param}:{path}"

    return save_as


@pytest.fixture
def save_arrow(tmp_path: Path) -> Callable[[pa.Table], str]:
    def save_table(table: pa.Table) -> str:
        pq.write_table(table, tmp_path / "my.parquet")
        return f"parquet:{tmp_path / 'my.parquet'}"

    return save_table


def refusal(load: Load, name: str, **options: Any) -> str:
    with pytest.raises(BenchError) as caught:
        load(name, **options)
    return str(caught.value)


def first_row(name: str) -> int:
    return 2 if name.startswith("csv:") else 1


def noted(series: DriftSeries, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in series.notes)


def test_both_formats_give_the_same_series(load: Load, save: Save) -> None:
    table = wide()
    name = save(table)
    series = load(name)
    assert series.name == name
    assert series.columns == ("b", "a")
    np.testing.assert_array_equal(series.values, table[["b", "a"]].to_numpy())
    assert (series.time == table["when"].to_numpy().astype("datetime64[s]")).all()
    assert (series.lookback, series.season) == (24, 24)


def test_a_long_file_is_the_wide_one(load: Load, save: Save) -> None:
    table = wide()
    series = load(save(long(table)), **LONG)
    assert series.columns == ("b", "a")
    np.testing.assert_array_equal(series.values, table[["b", "a"]].to_numpy())
    assert noted(series, "2 series of column 'site' side by side: b, a")
    assert load(save(long(table)), **LONG, inputs=["a"]).columns == ("a",)
    mixed = long(table).sort_values("when", kind="stable")
    assert load(save(mixed), **LONG).fingerprint == series.fingerprint
    assert "Unknown series 'A'. Available: a, b" in refusal(load, save(long(table)), **LONG, inputs=["A"])


def test_numbers_may_name_series(load: Load, save: Save) -> None:
    table = long(wide().rename(columns={"a": "7", "b": "12"}))
    assert load(save(table.assign(site=table["site"].astype(int))), **LONG).columns == ("12", "7")


@pytest.mark.parametrize("codes", [("001", "010"), ("1", "01"), ("1e3", "1000"), ("0x1", "-1"), ("1.0", "1.00")])
def test_what_names_a_series_is_text(load: Load, save: Save, codes: tuple[str, str]) -> None:
    name = save(long(wide().rename(columns=dict(zip("ba", codes, strict=True)))))
    assert load(name, **LONG).columns == codes
    for code in codes:
        assert load(name, **LONG, inputs=[code]).columns == (code,)


def test_a_series_without_a_row_is_missing_there(load: Load, save: Save) -> None:
    table = long(wide())
    gone = table.index[(table["site"] == "a") & (table["when"] == "2024-01-02 03:00")]
    name = save(table.drop(index=gone))
    assert "series 'a' at 2024-01-02T03:00:00 is empty" in refusal(load, name, **LONG)
    series = load(name, **LONG, missing="ffill")
    assert series.values[27, 1] == series.values[26, 1]
    assert noted(series, "1 missing values filled with the column's last one before")


def test_two_rows_for_one_time_of_a_series_are_refused(load: Load, save: Save) -> None:
    table = long(wide())
    twice = pd.concat([table, table.iloc[[5]]])
    name = save(twice)
    message = refusal(load, name, **LONG)
    assert f"row {len(table) + first_row(name)}, column 'when'" in message
    assert "is earlier than the row before" in message
    name = save(pd.concat([table.iloc[:6], table.iloc[5:]]))
    assert f"row {6 + first_row(name)}, column 'when'" in refusal(load, name, **LONG)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "site", "time": "when"}, "id and value go together"),
        ({"id": "site", "value": "count"}, "a long file needs its time column named"),
        ({"id": "site", "value": "site", "time": "when"}, "three different columns"),
        (LONG | {"value": "cuont"}, "Unknown column 'cuont'. Did you mean 'count'?"),
        ({"missing": "mask"}, "masks are not carried"),
        ({"resample": "1 month"}, "give a fixed step"),
        ({"resample": "-1h"}, "give a fixed step"),
        ({"timezone": "Mars/Olympus", "time": "when"}, "timezone = 'Mars/Olympus' is not known"),
    ],
)
def test_options_that_cannot_be_are_refused(load: Load, save: Save, options: dict[str, Any], message: str) -> None:
    assert message in refusal(load, save(long(wide())), **options)


def test_what_a_series_is_called_must_be_there(load: Load, save: Save) -> None:
    table = long(wide())
    table.loc[3, "site"] = None
    name = save(table)
    assert f"row {3 + first_row(name)}, column 'site' is empty" in refusal(load, name, **LONG)


def test_missing_cells_are_refused_or_filled(load: Load, save: Save) -> None:
    table = wide()
    table.loc[[0, 1, 50, 51], "a"] = np.nan
    name = save(table)
    assert f"row {first_row(name)}, column 'a' is empty, expected a number" in refusal(load, name)
    series = load(name, missing="ffill")
    assert len(series) == ROWS - 2
    assert series.time[0] == np.datetime64("2024-01-01T02")
    assert series.values[48, 1] == series.values[49, 1] == table["a"][49]
    assert noted(series, "2 rows dropped at the start")
    assert noted(series, "2 missing values filled")


def test_filling_looks_back_only() -> None:
    values = np.array([[2.0, 1.0], [2.5, np.nan], [np.nan, np.nan], [5.0, 6.0]])
    filled = fill(values, np.arange(4), ("a", "b")).values
    np.testing.assert_array_equal(filled, [[2, 1], [2.5, 1], [2.5, 1], [5, 6]])
    changed = values.copy()
    changed[3] = 99
    np.testing.assert_array_equal(fill(changed, np.arange(4), ("a", "b")).values[:3], filled[:3])


def test_resampled_rows_know_nothing_later_than_their_stamp() -> None:
    draw = np.random.default_rng(0)
    time = np.datetime64("2024-01-01T00:00:07", "s") + np.cumsum(draw.integers(1, 900, size=400))
    values = draw.normal(size=(400, 2))
    step = np.timedelta64(3600, "s")
    means, stamps = resample_mean(values, time, step)
    assert stamps[-1] <= time[-1] < stamps[-1] + step
    assert (np.diff(stamps) == step).all()
    for row in range(0, len(stamps), 7):
        inside = (time > stamps[row] - step) & (time <= stamps[row])
        expected = values[inside].mean(axis=0) if inside.any() else [np.nan, np.nan]
        np.testing.assert_allclose(means[row], expected)
        later = values.copy()
        later[time > stamps[row]] = 1e6
        np.testing.assert_array_equal(resample_mean(later, time, step)[0][: row + 1], means[: row + 1])


def test_resampling_even_rows_to_their_own_step_changes_nothing(load: Load, save: Save) -> None:
    name = save(wide())
    even, again = load(name), load(name, resample="1h")
    np.testing.assert_array_equal(even.values, again.values)
    assert (even.time == again.time).all()


def test_uneven_rows_are_resampled_and_empty_steps_told(load: Load, save: Save) -> None:
    table = wide(2000, "10min").drop(index=[*range(7, 11), *range(100, 120)])
    name = save(table)
    assert "is 50 min after the row before, where the usual step is 10 min" in refusal(load, name)
    assert "column 'b' at 2024-01-01T18:00:00 is empty" in refusal(load, name, resample="1h")
    series = load(name, resample="1h", missing="ffill")
    assert (np.diff(series.time) == np.timedelta64(1, "h")).all()
    assert noted(series, "each row is the mean of the 1h that ended with its time stamp")
    assert noted(series, "missing values filled")
    counted = save(pd.DataFrame({"t": np.arange(100), "x": np.arange(100) % 7}))
    assert "needs a time column of dates" in refusal(load, counted, resample="1h")
    assert "finer than the rows, which are 365 days apart" in refusal(
        load, save(wide(40, "YS", "1900-01-01")), resample="1s"
    )
    assert "0 rows of 2 columns; give a step that suits" in refusal(load, save(wide(40, "s")), resample="5D")


@pytest.mark.parametrize("freq", ["15min", "h", "D", "7D", "MS", "ME", "QS", "YS", "B", "3MS"])
def test_calendars_are_even(freq: str) -> None:
    times = pd.date_range("2023-01-02", periods=120, freq=freq).to_numpy()
    assert first_irregular(times) is None
    assert first_irregular(np.delete(times, 61)) == 61


def test_uneven_counts_are_refused(load: Load, save: Save) -> None:
    name = save(pd.DataFrame({"t": np.delete(np.arange(101), 60), "x": np.arange(100) % 7}))
    message = refusal(load, name, time="t")
    assert f"row {60 + first_row(name)}, column 't': 61 is 2 after the row before" in message
    assert "resample" not in message


BERLIN = pd.date_range("2024-10-20", periods=ROWS * 4, freq="15min", tz="Europe/Berlin")


def test_the_hour_that_comes_twice_is_told_by_its_order(load: Load, save: Save) -> None:
    table = wide(len(BERLIN)).assign(when=BERLIN.tz_localize(None))
    name = save(table)
    message = refusal(load, name)
    assert "2024-10-27 02:00:00 is earlier than the row before" in message
    assert "timezone = 'Europe/Berlin'" in message
    series = load(name, timezone="Europe/Berlin")
    assert (series.time == BERLIN.tz_convert(None).to_numpy().astype("datetime64[s]")).all()
    assert noted(series, "8 in the hour that comes twice")
    halves = load(save(long(table)), **LONG, timezone="Europe/Berlin")
    np.testing.assert_array_equal(halves.values, series.values)
    assert (halves.time == series.time).all()


def test_the_hour_that_is_skipped_is_hinted_at_or_does_not_exist(load: Load, save: Save) -> None:
    spring = pd.date_range("2024-03-28", periods=ROWS, freq="h", tz="Europe/Berlin").tz_localize(None)
    name = save(wide().assign(when=spring))
    assert "is 2 h after the row before" in refusal(load, name)
    assert "daylight saving" in refusal(load, name)
    assert (np.diff(load(name, timezone="Europe/Berlin").time) == np.timedelta64(1, "h")).all()
    message = refusal(load, save(wide(start="2024-03-28")), timezone="Europe/Berlin")
    assert "2024-03-31 02:00:00 does not exist in Europe/Berlin" in message


def test_aware_times_become_utc_and_take_no_zone(load: Load, save: Save) -> None:
    name = save(wide(len(BERLIN)).assign(when=BERLIN))
    series = load(name)
    assert (series.time == BERLIN.tz_convert(None).to_numpy().astype("datetime64[s]")).all()
    assert noted(series, "converted to UTC")
    assert "needs no timezone" in refusal(load, name, timezone="Europe/Berlin")


def test_times_with_and_without_a_zone_do_not_mix(load: Load, save: Save) -> None:
    text = wide()["when"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    text[9] += "+02:00"
    name = save(wide().assign(when=text))
    assert f"row {9 + first_row(name)}, column 'when': '2024-01-01T09:00:00+02:00' has a time zone" in refusal(
        load, name
    )


def test_days_that_could_be_months_are_asked_for(load: Load, save: Save) -> None:
    months = pd.date_range("2012-01-01", periods=60, freq="MS")
    table = wide(60).assign(when=months.strftime("%d/%m/%Y"))
    assert (load(save(table)).time == months.to_numpy()).all()  # even as months, uneven as days
    days = pd.date_range("2024-01-02", periods=11, freq="D")
    hours = [f"{day:%m/%d/%Y} {k % 24:02d}:{k * 7 % 60:02d}" for k, day in enumerate(days.repeat(24))]
    message = refusal(load, save(wide(len(hours)).assign(when=hours)), irregular="keep")
    assert "'01/02/2024 00:00' may be read as %m/%d/%Y %H:%M or as %d/%m/%Y %H:%M" in message


def test_a_format_settles_it(load: Load, save: Save) -> None:
    table = wide(400, "D").assign(when=lambda frame: frame["when"].dt.strftime("%Y%m%d").astype(int))
    name = save(table)
    assert load(name, time="when", time_format="count", irregular="keep").time.dtype == np.int64
    series = load(name, time="when", time_format="%Y%m%d")
    assert (series.time == wide(400, "D")["when"].to_numpy()).all()
    assert "is not a date like %d" in refusal(load, name, time="when", time_format="%d.%m.%Y")
    assert "time_format needs the time column named" in refusal(load, name, time_format="%Y%m%d")


def test_types_of_parquet_that_are_numbers(load: Load, save_arrow: Callable[[pa.Table], str]) -> None:
    count = np.arange(60)
    table = pa.table(
        {
            "day": pa.array(count.astype("datetime64[D]")),
            "decimal": pa.array([f"{k % 7}.25" for k in count]).cast(pa.decimal128(9, 2)),
            "flag": pa.array([bool(k % 2) for k in count]),
            "small": pa.array(count % 5, pa.int8()),
            "half": pa.array((count % 4).astype("float16")),
            "category": pa.array([f"{k % 3}.5" for k in count]).dictionary_encode(),
        }
    )
    series = load(save_arrow(table))
    expected = np.column_stack([count % 7 + 0.25, count % 2, count % 5, count % 4, count % 3 + 0.5])
    np.testing.assert_array_equal(series.values, expected)
    assert str(series.time[1]) == "1970-01-02T00:00:00"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(digits=st.integers(1, 38), data=st.data())
def test_decimals_and_the_same_csv_have_one_fingerprint(tmp_path: Path, digits: int, data: st.DataObject) -> None:
    scale = data.draw(st.integers(0, digits))
    most = 10**digits - 1
    numbers = [*(data.draw(st.integers(-most, most)) for _ in range(11)), 0] * 5  # all of them in the training rows
    texts = [f"{Decimal(number).scaleb(-scale, EXACT):.{scale}f}" for number in numbers]
    texts[11] = f"-{0:.{scale}f}"
    decimals = pa.array([Decimal(text) for text in texts], pa.decimal128(digits, scale))
    pq.write_table(pa.table({"t": range(60), "x": decimals}), tmp_path / "my.parquet")
    rows = "".join(f"{row},{text}\n" for row, text in enumerate(texts))
    (tmp_path / "my.csv").write_text(f"t,x\n{rows}", encoding="utf-8")
    exact, read = (resolve_dataset(f"{kind}:{tmp_path / 'my'}.{kind}").load() for kind in ("csv", "parquet"))
    assert exact.values[:, 0].tolist() == [float(text) for text in texts]
    assert read.fingerprint == exact.fingerprint


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[k] for k in range(60)]),
        pa.array([{"a": k} for k in range(60)]),
        pa.array(range(60), pa.timestamp("s")),
        pa.array(range(60), pa.duration("s")),
        pa.array(range(60), pa.time32("s")),
        pa.array([b"1"] * 60),
        pa.array([None] * 60),
    ],
    ids=["list", "struct", "timestamp", "duration", "time", "bytes", "null"],
)
def test_types_of_parquet_that_are_none(load: Load, save_arrow: Callable[[pa.Table], str], column: pa.Array) -> None:
    table = pa.table({"t": pa.array(range(60)), "x": pa.array([k % 7 for k in range(60)]), "odd": column})
    message = refusal(load, save_arrow(table), time="t")
    assert "row 1, column 'odd'" in message or "nothing was measured in 'odd'" in message
    assert "drop = ['odd']" in message
    assert load(save_arrow(table), time="t", inputs=["x"]).columns == ("x",)


def test_an_index_that_pandas_wrote_is_the_time(load: Load, tmp_path: Path) -> None:
    wide().set_index("when").to_parquet(tmp_path / "my.parquet")
    assert str(load(f"parquet:{tmp_path / 'my.parquet'}").time[1]) == "2024-01-01T01:00:00"


def test_a_path_is_needed(load: Load, tmp_path: Path) -> None:
    assert "write 'parquet:PATH'" in refusal(load, "parquet")
    assert "there is no such file" in refusal(load, f"parquet:{tmp_path / 'none.parquet'}")
    assert "is a folder" in refusal(load, f"parquet:{tmp_path}")
