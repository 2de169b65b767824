"""The nine files that long-term forecasting is measured on: downloaded on first use, checked, never carried."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bench import BenchError, Dataset, DatasetConfig, DriftSeries, RemoteFile, Split, fetch, register_dataset

if TYPE_CHECKING:
    import pandas as pd

ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small"
TSL = "https://huggingface.co/datasets/thuml/Time-Series-Library/resolve/2b66e59ee19dac8f6f19fb5d4997f289fdfea357"


def ett(name: str, sha256: str) -> RemoteFile:
    """A file of the electricity transformer set."""
    return RemoteFile(f"{name}.csv", (f"{ETT}/{name}.csv",), (sha256,))


def tsl(path: str, *sha256: str) -> RemoteFile:
    """A file of the Time-Series-Library's collection."""
    return RemoteFile(path.rpartition("/")[2], (f"{TSL}/{path}",), sha256)


class LongTermForecasting(Dataset):
    """One file: a column ``date``, then the channels, all of them inputs and targets.

    Attributes:
        online: Borders of the online split, in rows; None takes 20/5/75 of all rows.
        lookback: Rows to read by default.
        horizon: Rows to forecast by default.
        season: Rows in one season, or None.
        source: Where the data come from.
        licence: Under which terms.
    """

    class Config(DatasetConfig):
        """Options.

        Attributes:
            split: ``online`` (the borders of the online-forecasting literature, 4/1/15 months for ETT; 20/5/75 where
                there are none) or ``60-20-20`` (of all rows, as in offline forecasting).
        """

        split: Literal["online", "60-20-20"] = "online"

    download = True
    remote_file: ClassVar[RemoteFile]
    online: ClassVar[Split | None] = None
    lookback: ClassVar[int] = 96
    horizon: ClassVar[int] = 24
    season: ClassVar[int | None] = 24
    source: ClassVar[str]
    licence: ClassVar[str] = "not stated by the source"

    def load(self) -> DriftSeries:
        """The series, cut where the split ends; values in the file's own units.

        Raises:
            BenchError: The file cannot be had or is not the published one.
        """
        import pandas as pd

        table = pd.read_csv(fetch(self.remote_file), encoding="utf-8")
        stamps = pd.to_datetime(table.pop("date"))
        repeated = stamps.duplicated().to_numpy()
        table, stamps = table.loc[~repeated], stamps.loc[~repeated]
        split = self._split(len(table))
        table, left_out = _without_constants(table.iloc[: split.end], split.train)
        notes = [f"row {row:,} left out: its time stamp repeats an earlier one" for row in np.flatnonzero(repeated)]
        notes += [f"column {name!r} left out: constant over the training rows" for name in left_out]
        return DriftSeries(
            name=self.name,
            values=table.to_numpy("float64"),
            columns=tuple(table.columns),
            time=stamps.iloc[: split.end].to_numpy().astype("datetime64[s]"),
            split=split,
            inputs=tuple(table.columns),
            targets=tuple(table.columns),
            lookback=self.lookback,
            horizon=self.horizon,
            season=self.season,
            source=self.source,
            licence=self.licence,
            notes=tuple(notes),
        )

    def _split(self, rows: int) -> Split:
        if self.config.split == "60-20-20":
            return Split.by_fraction(rows, 0.6, 0.2)
        split = self.online or Split.by_fraction(rows)
        if split.end > rows:
            raise BenchError(f"dataset {self.name!r}: {rows:,} rows, but its online split ends at row {split.end:,}")
        return split


def _without_constants(table: pd.DataFrame, train: int) -> tuple[pd.DataFrame, list[str]]:
    """The columns that move within the first ``train`` rows, and the names of the others: those cannot be scaled."""
    moves = table.iloc[:train].nunique() > 1
    return table.loc[:, moves], [str(name) for name in moves.index[~moves]]


class TransformerHourly(LongTermForecasting):
    """ETTh: 20 months of 30 days, split 4/1/15."""

    online = Split(2880, 3600, 14400)
    source = "zhouhaoyi/ETDataset, electricity transformer temperature"
    licence = "CC BY-ND 4.0"


class TransformerQuarterHourly(TransformerHourly):
    """ETTm: the same months in steps of 15 minutes."""

    online = Split(4 * 2880, 4 * 3600, 4 * 14400)
    season = 96


@register_dataset("etth1")
class ETTh1(TransformerHourly):
    """Electricity transformer 1: oil temperature and six loads, hourly."""

    remote_file = ett("ETTh1", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066")


@register_dataset("etth2")
class ETTh2(TransformerHourly):
    """Electricity transformer 2: oil temperature and six loads, hourly."""

    remote_file = ett("ETTh2", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b")


@register_dataset("ettm1")
class ETTm1(TransformerQuarterHourly):
    """Electricity transformer 1: oil temperature and six loads, every 15 minutes."""

    remote_file = ett("ETTm1", "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e")


@register_dataset("ettm2")
class ETTm2(TransformerQuarterHourly):
    """Electricity transformer 2: oil temperature and six loads, every 15 minutes."""

    remote_file = ett("ETTm2", "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd")


@register_dataset("illness")
class Illness(LongTermForecasting):
    """Influenza-like illness in the United States: seven weekly figures, 2002 to 2020."""

    remote_file = tsl(
        "illness/national_illness.csv",
        "93601f64d2566dc796ca4305adad8b8560c2db1a1ff04543c3bd813a7263570a",
        "8594cecb98c6f2f9dc014eca11c4d5d1e38ad5ce6ed0592d4abe65b146fce395",
    )
    lookback, horizon, season = 36, 12, 52
    source = "US CDC ILINet, as published by thuml/Time-Series-Library"


@register_dataset("exchange")
class Exchange(LongTermForecasting):
    """Exchange rates of eight currencies against the US dollar, daily, 1990 to 2010."""

    remote_file = tsl(
        "exchange_rate/exchange_rate.csv",
        "48b4d9d3d508f5104162e85b9a6042e3557fde11aa9f2944eba8c0d0efc89842",
        "d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
    )
    season = None
    source = "laiguokun/multivariate-time-series-data, as published by thuml/Time-Series-Library"


@register_dataset("weather")
class Weather(LongTermForecasting):
    """Weather in Jena: 21 measurements every 10 minutes, 2020."""

    remote_file = tsl("weather/weather.csv", "34ee981d07313e51da2a50bb600072c8ae4a69cb4b0651f4cb93a069d7a2ba63")
    season = 144
    source = "Max Planck Institute for Biogeochemistry, Jena, as published by thuml/Time-Series-Library"


@register_dataset("electricity")
class Electricity(LongTermForecasting):
    """Consumption of 321 electricity customers in Portugal, hourly; the file's dates are not the real ones."""

    remote_file = tsl("electricity/electricity.csv", "7e45845d54c5219bad0ae6bc1b5316cf8ff9cead5d33fa998a5a51c2e4a497ad")
    season = 168
    source = "UCI ElectricityLoadDiagrams20112014, as published by thuml/Time-Series-Library"


@register_dataset("traffic")
class Traffic(LongTermForecasting):
    """Occupancy of 862 motorway lanes around San Francisco, hourly."""

    remote_file = tsl("traffic/traffic.csv", "cb06463d56fa17d87f47027cd9389ceae82a69eddee51cdb61480e120dab0b16")
    season = 168
    source = "California Department of Transportation (PeMS), as published by thuml/Time-Series-Library"
