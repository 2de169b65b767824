"""What a dataset is to the harness: values in time order, borders, and known drifts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.registry import unknown
from bench.contracts.rounding import LARGEST_SINGLE, is_flat

if TYPE_CHECKING:
    from bench.contracts.drift.truth import Truth

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DriftEvent:
    """A known drift.

    Attributes:
        row: First row after the change began.
        name: What happened, in a few words; it labels figures.
        kind: ``abrupt`` or ``gradual``.
    """

    row: int
    name: str
    kind: str = "abrupt"


@dataclass(frozen=True)
class Split:
    """Borders of a series, as row indices.

    Training is ``[0, train)``, validation ``[train, validation)``, the stream ``[validation, end)``.
    """

    train: int
    validation: int
    end: int

    @classmethod
    def by_fraction(cls, rows: int, train: float = 0.20, validation: float = 0.05) -> Split:
        """Borders at fractions of the rows; 20/5/75 by default."""
        # Rounded first: (0.7 + 0.1) * 1000 is 799.9999999999999, and the border is row 800.
        first, second = (int(round(share * rows, 6)) for share in (train, train + validation))
        return cls(first, second, rows)


@dataclass(frozen=True)
class Scaler:
    """Standardisation of each column by the mean and deviation of the training rows.

    Attributes:
        mean: ``(C,)``.
        std: ``(C,)``, never zero.
    """

    mean: Floats
    std: Floats

    def scale(self, values: Floats) -> Floats:
        """``(..., C)`` in original units to standard deviations from the training mean."""
        return (values - self.mean) / self.std

    def select(self, columns: tuple[int, ...]) -> Scaler:
        """The scaler of some of the columns."""
        return Scaler(self.mean[list(columns)], self.std[list(columns)])


@dataclass(frozen=True, eq=False)
class DriftSeries:
    """A multivariate series that drifts.

    Attributes:
        name: The dataset's name.
        values: ``(T, C)`` float64, original units, time order, no NaN.
        columns: ``C`` names.
        time: ``(T,)`` ``datetime64`` or integers, strictly increasing.
        split: Borders of training, validation and stream rows.
        inputs: Names of the columns that a forecaster reads.
        targets: Names of the columns that it forecasts.
        events: Known drifts, in order of their rows.
        lookback: Rows that a forecaster should read, where the experiment does not say.
        horizon: Rows that it should forecast, where the experiment does not say.
        season: Rows in one season, for seasonal baselines; None where there is none.
        source: Where the data come from.
        licence: Under which terms.
        notes: What the loader guessed or mended, one line each.
        truth: What is known of a series that was made; it decides no hash.
        filled: For each column with values in the stream that were never measured but filled in, their share of it.
    """

    name: str
    values: Floats
    columns: tuple[str, ...]
    time: NDArray[np.datetime64] | NDArray[np.int64]
    split: Split
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    events: tuple[DriftEvent, ...] = ()
    lookback: int = 96
    horizon: int = 24
    season: int | None = None
    source: str = ""
    licence: str = ""
    notes: tuple[str, ...] = field(default=())
    truth: Truth | None = None
    filled: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def input_index(self) -> tuple[int, ...]:
        """Columns that are inputs."""
        return tuple(self.columns.index(name) for name in self.inputs)

    @cached_property
    def target_column(self) -> tuple[int, ...]:
        """Columns that are targets."""
        return tuple(self.columns.index(name) for name in self.targets)

    @cached_property
    def target_index(self) -> tuple[int, ...] | None:
        """Where each target stands among the inputs, or None when the targets are not inputs."""
        if not set(self.targets) <= set(self.inputs):
            return None
        return tuple(self.inputs.index(name) for name in self.targets)

    @cached_property
    def scaler(self) -> Scaler:
        """Standardisation by the training rows, over all columns."""
        train = self.values[: self.split.train]
        std = train.std(axis=0)
        return Scaler(train.mean(axis=0), np.where(std > 0, std, 1.0))  # 0 only in columns that nothing uses

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that a result can depend on."""
        return self._hash(len(self.values), self.split.end)

    @cached_property
    def training_fingerprint(self) -> str:
        """The same for the rows before the stream: what pre-training may depend on."""
        return self._hash(self.split.validation)

    def _hash(self, rows: int, *end: int) -> str:
        # The border before the stream belongs to both hashes; where the stream ends does not decide training.
        borders = (self.split.train, self.split.validation, *end)
        layout = json.dumps([self.columns, self.inputs, self.targets, borders, self.season])
        digest = hashlib.sha256(layout.encode())
        digest.update(np.ascontiguousarray(self.values[:rows]).tobytes())
        # One unit for all dates: which one a loader gets differs between releases of pandas.
        time = self.time[:rows].astype("datetime64[us]") if self.time.dtype.kind == "M" else self.time[:rows]
        digest.update(np.ascontiguousarray(time).astype("int64").tobytes())
        return digest.hexdigest()

    def choosing(self, inputs: tuple[str, ...] | None, targets: tuple[str, ...] | None) -> DriftSeries:
        """The same rows with other inputs and targets; None leaves them as they are.

        Where inputs are chosen and targets are not, what is no longer read is no longer forecast either, unless the
        targets were not among the inputs to begin with.

        Args:
            inputs: Names of the columns to read.
            targets: Names of the columns to forecast.

        Raises:
            BenchError: A name is not there (the nearest is suggested), or no target is left.
        """
        for name in (*(inputs or ()), *(targets or ())):
            if name not in self.columns:
                raise unknown(f"column of dataset {self.name!r}:", name, self.columns)
        if targets is None and inputs is not None and self.target_index is not None:
            targets = tuple(name for name in self.targets if name in inputs)
            if not targets:
                raise BenchError(
                    f"dataset {self.name!r}: none of the inputs {', '.join(inputs)} is among its targets "
                    f"({', '.join(self.targets)}). Say what to forecast: targets = [...]"
                )
        if inputs is None and targets is None:
            return self
        return replace(
            self,
            inputs=self.inputs if inputs is None else inputs,
            targets=self.targets if targets is None else targets,
        )

    def with_values(self, values: Floats) -> DriftSeries:
        """The same series with other values, unchecked (NaN included)."""
        return replace(self, values=values)

    @property
    def twin(self) -> DriftSeries | None:
        """A made series without its drifts, with the same noise; None for other series."""
        if self.truth is None:
            return None
        return replace(self, values=self.truth.twin, events=(), truth=replace(self.truth, drifts=()))

    def before_stream(self) -> DriftSeries:
        """The same series up to the stream: no later row is in it."""
        stop = self.split.validation
        return replace(
            self,
            values=self.values[:stop].copy(),
            time=self.time[:stop].copy(),
            split=Split(self.split.train, stop, stop),
            events=tuple(event for event in self.events if event.row < stop),
            truth=None,
        )

    def validated(self) -> DriftSeries:
        """This series, once it is known to be usable.

        Raises:
            BenchError: Names the column and row at fault: shapes that disagree, unknown or repeated columns, a
                value that is not finite or that float32 cannot square once it is scaled, time stamps out of order or
                repeated, borders out of order, a drift beyond the rows, a column that is constant over the training
                rows but for rounding.
        """
        self._check_layout()
        self._check_time()
        self._check_values()
        return self

    def _check_layout(self) -> None:
        who = f"dataset {self.name!r}"
        if self.values.ndim != 2:
            raise BenchError(f"{who}: values have shape {self.values.shape}, expected (rows, columns)")
        T, C = self.values.shape
        if len(self.columns) != C or len(self.time) != T:
            raise BenchError(
                f"{who}: {T} rows x {C} columns of values, but {len(self.time)} time stamps "
                f"and {len(self.columns)} names"
            )
        if repeated := sorted({c for c in self.columns if self.columns.count(c) > 1}):
            raise BenchError(f"{who}: column {repeated[0]!r} appears twice. Rename one of the two.")
        for role, names in (("input", self.inputs), ("target", self.targets)):
            if not names:
                raise BenchError(f"{who}: no {role} columns")
            if len(set(names)) < len(names):
                raise BenchError(f"{who}: a column is named twice among its {role} columns: {', '.join(names)}")
            for name in names:
                if name not in self.columns:
                    raise BenchError(f"{who}: {role} column {name!r} is not there. Columns: {', '.join(self.columns)}")
        split = self.split
        if not 0 < split.train < split.validation <= split.end <= T:  # the last two meet where the stream is left out
            raise BenchError(
                f"{who}: borders train={split.train}, validation={split.validation}, end={split.end} "
                f"must rise within the {T} rows"
            )
        for event in self.events:
            if not 0 <= event.row < T:
                raise BenchError(f"{who}: the drift {event.name!r} at row {event.row:,} is not within the {T:,} rows")

    def _check_time(self) -> None:
        steps = np.diff(self.time).astype("int64")
        if (steps > 0).all():
            return
        row = int(np.argmax(steps <= 0)) + 1
        fault = "repeats the one before" if steps[row - 1] == 0 else "is earlier than the one before"
        raise BenchError(
            f"dataset {self.name!r}: row {row:,}, time stamp {self.time[row]} {fault}. "
            "Sort the rows by time and drop or average duplicates."
        )

    def _check_values(self) -> None:
        finite = np.isfinite(self.values)
        if not finite.all():
            row, column = map(int, np.argwhere(~finite)[0])
            raise BenchError(
                f"dataset {self.name!r}: row {row:,}, column {self.columns[column]!r} is {self.values[row, column]}. "
                "Fill or drop missing values first; forward-fill does not look ahead, interpolation does."
            )
        train = self.values[: self.split.train]
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            std = train.std(axis=0)
        if len(boundless := np.flatnonzero(~np.isfinite(std))):
            column = int(boundless[0])
            raise BenchError(
                f"dataset {self.name!r}: column {self.columns[column]!r} holds {np.abs(train[:, column]).max():.3g}, "
                "too large to be squared and scaled. Is it a mark of a missing value?"
            )
        flat = is_flat(train)
        for column in sorted({*self.input_index, *self.target_column}):
            who = f"dataset {self.name!r}: column {self.columns[column]!r}"
            if flat[column]:
                raise BenchError(
                    f"{who} is constant over the {self.split.train:,} training rows and cannot be scaled. "
                    "Leave it out of the inputs and targets."
                )
            if std[column] == 0:
                raise BenchError(
                    f"{who} varies by {np.ptp(train[:, column]):.3g} over the {self.split.train:,} training rows, too "
                    "little to be squared and scaled. Give it in a smaller unit."
                )
            if (far := self.row_beyond_float32(column)) is not None:
                raise BenchError(
                    f"dataset {self.name!r}: row {far:,} ({self.time[far]}), column {self.columns[column]!r} is "
                    f"{self.values[far, column]:.3g}, so many standard deviations of the training rows from their mean "
                    "that float32, in which strategies compute, cannot square them. Is it a mark of a missing value?"
                )

    def row_beyond_float32(self, column: int) -> int | None:
        """The row whose scaled value float32 cannot square (strategies compute in it); None without one."""
        train = self.values[: self.split.train, column]
        away = np.abs(self.values[:, column] - train.mean())
        row = int(away.argmax())
        return row if away[row] >= LARGEST_SINGLE * train.std() else None
