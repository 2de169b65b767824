"""Real series that drift and that packages carry: nothing is downloaded, and one needs the extra ``datasets``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench import BenchError, Dataset, DriftEvent, DriftSeries, Split, register_dataset

if TYPE_CHECKING:
    import pandas as pd


class Packaged(Dataset):
    """A CSV file inside a package, split 20/5/75; every column is an input and a target.

    Attributes:
        package: Its import name.
        path: The file inside it.
        happened: Known drifts: the date each began, its name and its kind.
        lookback: Rows to read by default.
        horizon: Rows to forecast by default.
        season: Rows in one season, or None.
    """

    package: ClassVar[str]
    path: ClassVar[str]
    happened: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    lookback: ClassVar[int]
    horizon: ClassVar[int]
    season: ClassVar[int | None] = None

    def load(self) -> DriftSeries:
        """The series.

        Raises:
            BenchError: The package is not installed, or its file is not the one that it was.
        """
        try:
            table, notes = self.arrange(self._read())
        except (ImportError, OSError, ValueError, KeyError) as error:
            wanted = f"'adaptbench[{self.extra}]'" if self.extra else self.package
            raise BenchError(
                f"dataset {self.name!r}: cannot read {self.path} of the package {self.package} ({error}). "
                f"Install it: pip install {wanted}"
            ) from error
        time = table.index.to_numpy().astype("datetime64[s]")
        columns = tuple(map(str, table.columns))
        return DriftSeries(
            name=self.name,
            values=table.to_numpy("float64"),
            columns=columns,
            time=time,
            split=Split.by_fraction(len(table)),
            inputs=columns,
            targets=columns,
            events=tuple(
                DriftEvent(int(time.searchsorted(time.dtype.type(date))), name, kind)
                for date, name, kind in self.happened
            ),
            lookback=self.lookback,
            horizon=self.horizon,
            season=self.season,
            source=self.source,
            licence=self.licence,
            notes=notes,
        )

    def arrange(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """The file as columns of numbers over an index of times, without gaps, and what was mended for it."""
        raise NotImplementedError

    def _read(self) -> pd.DataFrame:
        from importlib import resources

        import pandas as pd

        with (resources.files(self.package) / self.path).open("rb") as file:
            return pd.read_csv(file)


@register_dataset("brent-oil")
class BrentOil(Packaged):
    """Price of Brent crude oil in US dollars a barrel, each trading day, 1987 to 2019."""

    extra = "datasets"
    package, path = "river", "drift/datasets/brent_crude_oil.csv"
    lookback, horizon = 60, 5
    # After each, the mean price of a month had fallen by more than a quarter within four months.
    happened = (("2008-09-15", "financial crisis", "abrupt"), ("2014-11-27", "OPEC keeps its output", "abrupt"))
    source = "US Energy Information Administration, from the Python package river"
    licence = "public domain"

    def arrange(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """8,195 trading days x 1."""
        import pandas as pd

        days = pd.to_datetime(table["day"], format="%m/%d/%Y")
        prices = table[["DPB"]].set_axis(["price"], axis=1).set_index(days)
        return prices, ("trading days stand side by side, as if there were no weekends and holidays",)


@register_dataset("co2")
class CarbonDioxide(Packaged):
    """Carbon dioxide in the air of Mauna Loa, parts per million, weekly, 1958 to 2001: a season on a rising level."""

    package, path = "statsmodels", "datasets/co2/co2.csv"
    lookback, horizon, season = 52, 4, 52
    source = "Keeling and Whorf, CDIAC (2004), from the Python package statsmodels"
    licence = "public domain"

    def arrange(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """2,284 weeks x 1; a missing week takes the value of the one before, which is known by then."""
        import pandas as pd

        weeks = pd.to_datetime(table["date"].astype(str), format="%Y%m%d")
        filled = table[["co2"]].ffill().set_index(weeks)
        return filled, (f"{int(table['co2'].isna().sum())} missing weeks filled with the value of the week before",)


@register_dataset("el-nino")
class ElNino(Packaged):
    """Temperature of the sea off Peru, degrees Celsius, monthly, 1950 to 2010, with three strong El Niños."""

    package, path = "statsmodels", "datasets/elnino/elnino.csv"
    lookback, horizon, season = 24, 6, 12
    # From the first of six months or more that were 0.9 degrees or more above their mean of 1950 to 1970.
    happened = (
        ("1972-02-01", "El Niño of 1972", "gradual"),
        ("1982-07-01", "El Niño of 1982", "gradual"),
        ("1997-03-01", "El Niño of 1997", "gradual"),
    )
    source = "NOAA National Weather Service, ERSST.V3B, from the Python package statsmodels"
    licence = "public domain"

    def arrange(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """732 months x 1: in the file, a row is a year."""
        import pandas as pd

        years = table.set_index("YEAR")
        months = pd.date_range(f"{years.index[0]}-01-01", periods=years.size, freq="MS")
        return pd.DataFrame({"temperature": years.to_numpy("float64").reshape(-1)}, index=months), ()
