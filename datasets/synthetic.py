"""Drift sets with known truth: one drift each, in three magnitudes, with a twin that does not drift."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, NonNegativeInt, PositiveInt

from bench import Dataset, DatasetConfig, DriftSeries, Seed, register_dataset
from bench.contracts.config import build
from bench.data.synthetic import MAGNITUDES, Base, Drift, Kind, Magnitude, Shape
from bench.data.synthetic.series import drifting_series


class SyntheticConfig(DatasetConfig):
    """Options of all drift sets.

    Attributes:
        rows: Of the series; the stream is the last three quarters.
        seed: Of the noise.
        channels: Columns ``x1``, ``x2`` and so on.
        twin: Whether nothing drifts, with the same noise.
    """

    rows: int = Field(6000, gt=0, le=10**8)
    seed: Seed = 0
    channels: int = Field(4, gt=0, le=10**4)
    twin: bool = False


class DriftConfig(SyntheticConfig):
    """Options of sets with one drift.

    Attributes:
        magnitude: ``small`` (0.5), ``medium`` (1), ``large`` (2), or a number; docs/drift.md gives each kind's unit.
        onset: Row around which it drifts; None is the middle.
        width: Rows that the transition takes; None is the set's own. Abrupt ones have none.
        drifting: Positions of the channels that drift; None is the set's own.
    """

    magnitude: Magnitude | float = "medium"
    onset: NonNegativeInt | None = None
    width: PositiveInt | None = None
    drifting: tuple[NonNegativeInt, ...] | None = None


class Synthetic(Dataset):
    """What drift sets share: the series, and its one drift."""

    Config: ClassVar[type[DatasetConfig]] = DriftConfig
    kind: ClassVar[Kind]
    transition: ClassVar[Shape] = "abrupt"
    width: ClassVar[float] = 0.1
    drifting: ClassVar[tuple[int, ...] | None] = None

    def load(self) -> DriftSeries:
        """The series, unitless.

        Raises:
            BenchError: The drift cannot be: of such a magnitude, there, or of these channels.
        """
        return drifting_series(
            self.name, self.base(), self.drifts(), self.config.rows, self.config.seed, twin=self.config.twin
        )

    def base(self) -> Base:
        """The series before it drifts."""
        return Base(channels=self.config.channels)

    def drifts(self) -> tuple[Drift, ...]:
        """What happens to it."""
        return (self.drift(),)

    def drift(self, **more: object) -> Drift:
        """The set's drift as its options say; ``more`` are further fields of it."""
        config = self.config
        abrupt = self.transition == "abrupt"
        fields = {
            "kind": self.kind,
            "onset": config.rows // 2 if config.onset is None else config.onset,
            "magnitude": MAGNITUDES.get(config.magnitude, config.magnitude),
            "transition": self.transition,
            "width": 0 if abrupt else config.width or int(self.width * config.rows),
            "channels": config.drifting or self.drifting,
        }
        return build(Drift, fields | more, f"dataset {self.name!r}")


@register_dataset("no-drift")
class NoDrift(Synthetic):
    """Four seasonal channels with correlated autoregressive noise, and no drift: what adaptation costs."""

    Config: ClassVar[type[DatasetConfig]] = SyntheticConfig

    def drifts(self) -> tuple[Drift, ...]:
        """None."""
        return ()


@register_dataset("abrupt-mean")
class AbruptMean(Synthetic):
    """The level of every channel jumps by a number of deviations."""

    kind = "mean"


@register_dataset("incremental-trend")
class IncrementalTrend(Synthetic):
    """A flat level begins to rise, more and more steeply, and goes on rising."""

    kind = "trend"
    transition = "linear"


@register_dataset("gradual-concept")
class GradualConcept(Synthetic):
    """A hidden target follows its inputs in another way, season by season more often; the inputs do not drift."""

    kind = "concept"
    transition = "sigmoid"

    def base(self) -> Base:
        """With a target that is not among the inputs."""
        return Base(channels=self.config.channels, concept=True)

    def drifts(self) -> tuple[Drift, ...]:
        """Gradual: whole seasons of the old or the new concept."""
        return (self.drift(mode="gradual", block=self.base().season),)


@register_dataset("frequency")
class Frequency(Synthetic):
    """The season becomes shorter at once, with continuous phase."""

    kind = "frequency"


@register_dataset("variance")
class Variance(Synthetic):
    """The noise becomes louder at once."""

    kind = "variance"


@register_dataset("amplitude")
class Amplitude(Synthetic):
    """The season swings further, slowly."""

    kind = "amplitude"
    transition = "cosine"


@register_dataset("phase")
class Phase(Synthetic):
    """The season jumps ahead."""

    kind = "phase"


@register_dataset("autoregression")
class Autoregression(Synthetic):
    """The noise forgets sooner, and then alternates, its variance as before."""

    kind = "autoregression"
    transition = "sigmoid"
    width = 0.05


@register_dataset("correlation")
class Correlation(Synthetic):
    """The noise of half of the channels comes apart from that of the others, each channel on its own as before."""

    kind = "correlation"
    transition = "linear"
    drifting = (0, 1)


@register_dataset("recurring-aba")
class Recurring(Synthetic):
    """A law, another one for a quarter of the series, and the first one again."""

    class Config(DriftConfig):
        """Options.

        Attributes:
            kind: What changes and changes back.
        """

        kind: Kind = "frequency"

    kind = "frequency"
    transition = "recurring"
    width = 0.25

    def drifts(self) -> tuple[Drift, ...]:
        """The new law for ``width`` rows around the middle of the stream; then none until the series ends."""
        onset = self.config.rows // 2 if self.config.onset is None else self.config.onset
        return (self.drift(kind=self.config.kind, rest=self.config.rows - onset),)


@register_dataset("sensor-stuck")
class SensorStuck(Synthetic):
    """Half of the sensors begin to repeat their last reading for seasons at a time."""

    kind = "stuck"
    drifting = (0, 1)


@register_dataset("composed-drift")
class Composed(Synthetic):
    """Any drifts together, each as a table of its fields."""

    class Config(SyntheticConfig):
        """Options.

        Attributes:
            drifts: Fields of `bench.data.synthetic.Drift`.
        """

        drifts: tuple[Drift, ...] = (
            Drift(kind="mean", onset=2500, magnitude=1.0),
            Drift(kind="variance", onset=4000, magnitude=1.0, transition="cosine", width=600),
        )

    def base(self) -> Base:
        """With a target where a concept is to drift."""
        return Base(channels=self.config.channels, concept=any(d.kind == "concept" for d in self.config.drifts))

    def drifts(self) -> tuple[Drift, ...]:
        """Those that the options list."""
        return tuple(self.config.drifts)
