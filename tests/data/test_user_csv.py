"""Dataset csv:PATH: what is guessed is said, and what cannot be used is named to the cell."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import BenchError, DriftSeries, Split

from .conftest import Load

Write = Callable[..., Path]


def frame(rows: int = 400, step: str = "h", start: str = "2024-01-01") -> pd.DataFrame:
    draw = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "when": pd.date_range(start, periods=rows, freq=step).strftime("%Y-%m-%d %H:%M:%S"),
            "load": draw.normal(size=rows).round(3),
            "price": draw.normal(size=rows).round(3),
        }
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_csv(table: pd.DataFrame | str | bytes, name: str = "my.csv") -> Path:
        path = tmp_path / name
        if isinstance(table, pd.DataFrame):
            table.to_csv(path, index=False)
        else:
            path.write_bytes(table.encode() if isinstance(table, str) else table)
        return path

    return write_csv


def lines(rows: int = 60, **cells: str) -> str:
    """A file of two columns, ``t,x``; ``r5="a,b"`` replaces row 5 as numbered in the file."""
    text = ["t,x", *(f"{k},{k % 7}.5" for k in range(rows))]
    for row, cell in cells.items():
        text[int(row[1:]) - 1] = cell
    return "\n".join(text) + "\n"


def noted(series: DriftSeries, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in series.notes)


def test_everything_is_guessed_and_said(load: Load, write: Write) -> None:
    table = frame(2000)
    path = write(table)
    series = load(f"csv:{path}")
    assert series.name == f"csv:{path}"
    np.testing.assert_array_equal(series.values, table[["load", "price"]].to_numpy())
    assert series.columns == series.inputs == series.targets == ("load", "price")
    assert series.time.dtype == np.dtype("datetime64[s]")
    assert str(series.time[-1]) == table["when"].iloc[-1].replace(" ", "T")
    assert series.split == Split(400, 500, 2000)
    assert (series.lookback, series.horizon, series.season) == (96, 24, 24)
    assert noted(series, "time column 'when'", "the first column whose values parse as dates")
    assert noted(series, "inputs and targets: all columns but the time column: load, price")
    assert noted(series, "split: 400 training, 100 validation, 1,500 stream rows")
    assert noted(series, "lookback 96: usual for rows 1 h apart")
    assert noted(series, "horizon 24")
    assert noted(series, "season 24")


def test_what_is_given_is_not_guessed(load: Load, write: Write) -> None:
    series = load(
        f"csv:{write(frame(400))}",
        time="when",
        inputs=["price"],
        targets=["load"],
        train=200,
        validation=0.1,
        lookback=10,
        horizon=2,
        season=12,
    )
    assert series.notes == ()
    assert series.columns == ("load", "price")
    assert series.inputs == ("price",)
    assert series.targets == ("load",)
    assert series.split == Split(200, 240, 400)
    assert (series.lookback, series.horizon, series.season) == (10, 2, 12)


def test_targets_alone_and_inputs_alone(load: Load, write: Write) -> None:
    path = write(frame())
    series = load(f"csv:{path}", targets=["load"])
    assert (series.inputs, series.targets) == (("load", "price"), ("load",))
    assert noted(series, "inputs: all columns but the time column: load, price")
    series = load(f"csv:{path}", inputs=["price"])
    assert (series.inputs, series.targets, series.columns) == (("price",), ("price",), ("price",))
    assert noted(series, "targets: the inputs")


def test_a_path_given_as_an_option_names_the_series(load: Load, write: Write) -> None:
    path = write(frame())
    assert load("csv", path=str(path)).name == f"csv:{path}"


@pytest.mark.parametrize(
    ("form", "said"),
    [("%d/%m/%Y %H:%M", "%d/%m/%Y"), ("%m/%d/%Y %H:%M", "%m/%d/%Y"), ("%d.%m.%Y %H:%M", "%d.%m.%Y")],
)
def test_the_order_of_day_and_month_is_found(load: Load, write: Write, form: str, said: str) -> None:
    table = frame(800, start="2024-02-03")
    stamps = pd.to_datetime(table["when"])
    series = load(f"csv:{write(table.assign(when=stamps.dt.strftime(form)))}")
    assert (series.time == stamps.to_numpy().astype("datetime64[s]")).all()
    assert noted(series, "time column 'when'", f"read as {said}")


def test_time_zones_become_utc(load: Load, write: Write) -> None:
    local = pd.date_range("2024-03-30", periods=400, freq="h", tz="Europe/Berlin")
    text = local.strftime("%Y-%m-%dT%H:%M:%S%z").str.replace(r"(\d\d)$", r":\1", regex=True)
    series = load(f"csv:{write(frame().assign(when=text))}")
    assert (series.time == local.tz_convert(None).to_numpy().astype("datetime64[s]")).all()
    assert noted(series, "converted to UTC")


@pytest.mark.parametrize("precise", ["2024-01-01 00:00:00.250", "2024-01-01T00:00:00.250000"])
def test_fractions_of_seconds_are_kept(load: Load, write: Write, precise: str) -> None:
    stamps = pd.Timestamp(precise) + pd.to_timedelta(np.arange(400) * 0.5, unit="s")
    text = stamps.strftime("%Y-%m-%d %H:%M:%S.%f")
    series = load(f"csv:{write(frame().assign(when=text))}")
    assert series.time.dtype == np.dtype("datetime64[ns]")
    assert (series.time == stamps.to_numpy()).all()


def test_dates_with_and_without_hours(load: Load, write: Write) -> None:
    table = frame()
    table["when"] = table["when"].str.removesuffix(" 00:00:00")
    assert (load(f"csv:{write(table)}").time == pd.to_datetime(frame()["when"]).to_numpy()).all()


def test_an_index_is_the_time_where_there_are_no_dates(load: Load, write: Write) -> None:
    series = load(f"csv:{write(lines(400))}")
    assert series.columns == ("x",)
    assert series.time.tolist() == list(range(400))
    assert noted(series, "time column 't'", "count the rows")
    assert series.season is None


def test_a_total_that_rises_is_not_the_time(load: Load, write: Write) -> None:
    table = frame().drop(columns="when")
    table["total"] = np.cumsum(np.arange(400) % 5 + 1)
    series = load(f"csv:{write(table)}")
    assert series.columns == ("load", "price", "total")
    assert noted(series, "time: row numbers")


def test_a_column_that_is_named_as_a_target_is_not_the_time(load: Load, write: Write) -> None:
    series = load(f"csv:{write(lines(400))}", inputs=["x"], targets=["t"])
    assert series.columns == ("t", "x")
    assert noted(series, "time: row numbers")


def test_time_in_fractions_counts_rows(load: Load, write: Write) -> None:
    table = frame().assign(when=np.arange(400) / 4)
    series = load(f"csv:{write(table)}")
    assert series.time.tolist() == list(range(400))
    assert noted(series, "'when'", "not in whole numbers")


def test_a_row_counter_without_a_name_is_left_out(load: Load, tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "my.csv", index=True)
    series = load(f"csv:{tmp_path / 'my.csv'}")
    assert series.columns == ("load", "price")
    assert noted(series, "no name and counts the rows")


def test_uneven_steps_are_refused_or_kept(load: Load, write: Write) -> None:
    path = write(frame(400).drop(index=[7, 8]))
    with pytest.raises(BenchError, match=r"row 9, column 'when': 2024-01-01T09:00:00 is 3 h after the row"):
        load(f"csv:{path}")
    series = load(f"csv:{path}", irregular="keep")
    assert len(series) == 398
    assert noted(series, "'when'", "uneven steps, kept as if they were even")


@pytest.mark.parametrize(
    ("step", "sizes"),
    [
        ("10min", (96, 24, 144)),
        ("15min", (96, 24, 96)),
        ("h", (96, 24, 24)),
        ("6h", (28, 4, 4)),
        ("D", (28, 7, 7)),
        ("7D", (36, 12, 52)),
        ("MS", (24, 6, 12)),
    ],
)
def test_sizes_suit_the_step(load: Load, write: Write, step: str, sizes: tuple[int, int, int]) -> None:
    series = load(f"csv:{write(frame(1000, step, start='1950-01-01'))}")
    assert (series.lookback, series.horizon, series.season) == sizes


def test_sizes_fit_a_small_file(load: Load, write: Write) -> None:
    series = load(f"csv:{write(frame(40))}")
    assert series.split == Split(8, 10, 40)
    assert (series.lookback, series.horizon, series.season) == (4, 2, None)
    assert noted(series, "lookback 4: as many as the split has room for (96)")
    assert noted(series, "season none")


def test_marks_and_blank_lines_at_the_ends_do_no_harm(load: Load, write: Write) -> None:
    text = frame().to_csv(index=False)
    plain = load(f"csv:{write(text)}")
    other = write("\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n", "other.csv")
    marked = load(f"csv:{other}")
    assert plain.fingerprint == marked.fingerprint
    assert marked.columns == plain.columns


FAULTS: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "text": (lines(r7="5,n/a"), {}, "row 7, column 'x' is not a number ('n/a')"),
    "text column": (lines().replace("x", "place").replace(".5", "th"), {}, "row 2, column 'place' is not a number"),
    "empty cell": (lines(r9="7,"), {}, "row 9, column 'x' is empty"),
    "nan": (lines(r9="7,NaN"), {}, "row 9, column 'x' is not a number ('NaN')"),
    "infinite": (lines(r9="7,inf"), {}, "row 9, column 'x' is not a number ('inf')"),
    "thousands": (lines(r1202='1200,"1,234"', rows=1300), {}, "row 1,202, column 'x' is not a number ('1,234')"),
    "blank line": (lines(r9=""), {"time": "t"}, "row 9, column 't' is empty"),
    "short row": (lines(r9="7"), {}, "row 9, column 2: the row ends here"),
    "long row": (lines(r9="7,1,2"), {}, "row 9, column 3: the header ends before"),
    "all rows long": (
        lines().replace("\n", ",1\n").replace("t,x,1", "t,x"),
        {},
        "row 2, column 3: the header ends before",
    ),
    "open quote": (lines(r9='7,"1'), {}, "row 9: not cells between commas"),
    "empty file": ("", {}, "the first line is empty"),
    "header only": ("t,x\n", {}, "a header and no rows"),
    "few rows": (lines(12), {}, "12 rows are too few"),
    "no header": (lines().removeprefix("t,x\n"), {}, "row 1 holds values (0, 0.5)"),
    "duplicate header": (lines(r1="x, x"), {}, "row 1 names 'x' twice, in columns 1 and 2"),
    "nameless column": (lines(r1="t,"), {}, "row 1, column 2 has no name"),
    "semicolons": (
        lines().replace(",", ";"),
        {},
        "row 1: its cells stand between semicolons, not commas. Give sep = ';'.",
    ),
    "encoding": (b"t,gr\xf6\xdfe\n1,2\n", {}, "not UTF-8 text"),
    "only a time": ("t\n" + "\n".join(map(str, range(50))), {}, "no column but the time column 't'"),
    "constant": (lines().replace("5,", "4,")[:4] + "\n".join(f"{k},1.5" for k in range(60)), {}, "'x' is constant"),
    "unsorted": (lines(r9="3,1"), {"time": "t"}, "row 9, column 't': 3 is earlier than the row before"),
    "infinite time": (lines(r9="inf,1"), {"time": "t"}, "row 9, column 't' is not a number ('inf')"),
    "repeated": (lines(r9="6,1"), {"time": "t"}, "row 9, column 't': 6 repeats the row before"),
    "unknown time": (lines(), {"time": "date"}, "Unknown column 'date'. Available: t, x"),
    "unknown input": (lines(r1="t,load"), {"inputs": ["laod"]}, "Unknown column 'laod'. Did you mean 'load'?"),
    "time as target": (lines(), {"time": "t", "targets": ["t"]}, "column 't' is the time column"),
    "twice": (lines(), {"inputs": ["x", "x"]}, "a column is named twice among its input columns"),
    "no rows left": (lines(), {"train": 50, "validation": 10}, "50 training, 10 validation and 0 stream rows of 60"),
    "too many rows": (lines(), {"train": 0.9, "validation": 0.2}, "each part needs some"),
    "share": (lines(), {"train": 1.5}, "a fraction between 0 and 1, or a whole number of rows"),
    "lookback": (lines(), {"lookback": 0}, "option 'lookback'"),
    "option": (lines(), {"lookbak": 3}, "Did you mean 'lookback'?"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_error(load: Load, write: Write, fault: str) -> None:
    text, options, message = FAULTS[fault]
    path = write(text)
    with pytest.raises(BenchError) as caught:
        load(f"csv:{path}", **options)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({4: "2024-01-01 02:00:00"}, "row 6, column 'when': 2024-01-01 02:00:00 is earlier than the row before"),
        ({4: "2024-01-01 03:00:00"}, "row 6, column 'when': 2024-01-01 03:00:00 repeats the row before"),
        ({4: "soon"}, "row 6, column 'when' is not a date ('soon')"),
        ({4: ""}, "row 6, column 'when' is empty, expected a date"),
    ],
)
def test_a_wrong_time_is_named(load: Load, write: Write, cells: dict[int, str], message: str) -> None:
    table = frame()
    for row, cell in cells.items():
        table.loc[row, "when"] = cell
    with pytest.raises(BenchError) as caught:
        load(f"csv:{write(table)}")
    assert message in str(caught.value)


@pytest.mark.parametrize("first", ["12.5", "2024", "10.12", "20240101", "1.2024"])
def test_numbers_with_one_bad_cell_are_not_taken_for_dates(load: Load, write: Write, first: str) -> None:
    text = "x,y\n" + "".join(f"{first},{k % 9}\n" for k in range(60)) + "n/a,1\n"
    with pytest.raises(BenchError, match=r"row 62, column 'x' is not a number \('n/a'\)"):
        load(f"csv:{write(text)}")
    with pytest.raises(BenchError, match=r"row 62, column 'x' is not a number \('n/a'\)\. .*time = "):
        load(f"csv:{write(text)}", time="x")


@pytest.mark.parametrize("mark", ["NA", "n/a", "nan", "null", "-", "?"])
def test_a_mark_of_a_missing_value_leads_to_an_empty_cell(load: Load, write: Write, mark: str) -> None:
    with pytest.raises(
        BenchError,
        match=rf"If it marks a missing value give na_values = \['{re.escape(mark)}'\].* \(missing = 'ffill' then",
    ):
        load(f"csv:{write(lines(r7=f'5,{mark}'))}")
    with pytest.raises(BenchError) as caught:  # a time has to be there
        load(f"csv:{write(lines(r9=f'{mark},1'))}", time="t")
    assert "missing = 'ffill'" not in str(caught.value)


@pytest.mark.parametrize("names", [("load", "price"), ("001", "010"), ("7", "8")])
def test_a_long_file_that_is_read_as_a_wide_one_leads_to_its_options(
    load: Load, write: Write, names: tuple[str, str]
) -> None:
    table = frame().set_axis(["when", *names], axis=1).melt(id_vars="when", var_name="place", value_name="count")
    path = write(table)
    options = "time = 'when', id = 'place' and value = 'count'"
    with pytest.raises(BenchError, match=rf"If 'place' says whose a row is, give {options}\.$"):
        load(f"csv:{path}")
    assert load(f"csv:{path}", time="when", id="place", value="count").columns == names


def test_whole_numbers_do_not_name_series_where_few_times_repeat(load: Load, write: Write) -> None:
    table = frame().assign(place=np.arange(400) % 7)
    with pytest.raises(BenchError, match=r"drop or average repeated ones\.$"):
        load(f"csv:{write(pd.concat([table.iloc[:6], table.iloc[5:].assign(place=9)]))}")


@pytest.mark.parametrize("columns", [2, 3, 12])
@pytest.mark.parametrize("index", [False, True])
def test_columns_may_be_numbered(load: Load, write: Write, columns: int, index: bool) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, columns)).round(3))
    series = load(f"csv:{write(table.to_csv(index=index))}")
    assert series.columns == tuple(map(str, range(columns)))
    np.testing.assert_array_equal(series.values, table.to_numpy())
    assert noted(series, "columns are called 0, 1") is not index
    assert load(f"csv:{write(table.to_csv(index=index))}", targets=["1"]).targets == ("1",)


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        ("0,1", [f"{k},{k % 7}" for k in range(1, 60)]),
        ("0,1,2", [f"{k},{k % 7},{k % 3}" for k in range(1, 60)]),
        ("0", [f"{k % 7}" for k in range(60)]),
        ("1,2,3", [f"{k % 7},1,{k % 3}" for k in range(60)]),
        ("0,2", [f"{k % 7},1" for k in range(60)]),
        ("0.0,1.0", [f"{k % 7},1" for k in range(60)]),
    ],
)
def test_a_first_row_of_values_is_no_header(load: Load, write: Write, first: str, rows: list[str]) -> None:
    with pytest.raises(BenchError, match=r"row 1 holds values"):
        load(f"csv:{write(chr(10).join([first, *rows]))}")


def test_a_day_is_one(load: Load, write: Write) -> None:
    assert noted(load(f"csv:{write(frame(step='D'))}"), "lookback 28: usual for 7 rows a week")


def test_a_time_column_that_holds_words_is_named(load: Load, write: Write) -> None:
    with pytest.raises(BenchError, match=r"row 2, column 'place' is not a date \('Aotea'\)"):
        load(f"csv:{write(frame().assign(place='Aotea'))}", time="place")


def test_naming_the_columns_leaves_a_bad_one_out(load: Load, write: Write) -> None:
    path = write(frame().assign(place="Aotea"))
    with pytest.raises(BenchError, match=r"column 'place' is not a number \('Aotea'\)\. .*drop = \['place'\]"):
        load(f"csv:{path}")
    assert load(f"csv:{path}", drop="place").columns == ("load", "price")
    assert load(f"csv:{path}", inputs=["load"]).columns == ("load",)


@pytest.mark.parametrize(("name", "message"), [("absent.csv", "no such file"), ("", "is a folder")])
def test_a_missing_file_is_named(load: Load, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        load(f"csv:{tmp_path / name}")


def test_a_path_is_needed(load: Load) -> None:
    with pytest.raises(BenchError, match="write 'csv:PATH'"):
        load("csv")
    with pytest.raises(BenchError, match="Write 'csv:PATH'"):
        load("csv:")


def test_the_users_home_is_known(load: Load, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(frame())
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("USERPROFILE", str(path.parent))
    assert len(load("csv:~/my.csv")) == 400


def test_options_may_come_from_toml(load: Load, write: Write) -> None:
    options: dict[str, Any] = {"inputs": ["load"], "train": 0.7, "validation": 0.1}
    assert load(f"csv:{write(frame(1000))}", **options).split == Split(700, 800, 1000)
