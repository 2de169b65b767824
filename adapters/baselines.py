"""What every method must beat: persistence, the season before, and no adaptation at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench import BenchError, Feedback, Planned, Strategy, StrategyConfig, Together, register_strategy
from bench.adaptation.stack import Stack, can_stack


class LatestTargets(Strategy):
    """Keeps the last released value of the targets at each phase of a season; a season of one row has one phase."""

    adapts = False
    reads_exogenous: ClassVar[bool] = False
    takes_partial: ClassVar[bool] = True
    season: int = 1

    def setup(self) -> None:
        """Start from the labelled rows of the history; a phase that it lacks has its last value."""
        targets = self.history.targets
        known = torch.nonzero(~targets.isnan().any(dim=1)).flatten()
        last = [known[known % self.season == phase][-1:] for phase in range(self.season)]
        self.latest = targets[torch.cat([row if len(row) else known[-1:] for row in last])]
        self.origin = len(self.history)

    def observe(self, rows: Tensor) -> None:
        """Targets that are inputs are known when they are seen."""
        if self.history.target_index is not None:
            self.latest = self._with(self.origin, rows[:, list(self.history.target_index)])
        self.origin += len(rows)

    def adapt(self, feedback: Feedback) -> None:
        """Targets that are not inputs are known when their pair matures, or as far as it has."""
        if self.history.target_index is not None:
            return
        for s, y in zip(feedback.origins.tolist(), feedback.y, strict=True):
            self.latest = self._with(s, y)
        if partial := feedback.partial:
            for s, y, known in zip(partial.origins.tolist(), partial.y, partial.known, strict=True):
                self.latest = self._with(s, y[known])

    def predict(self, windows: Tensor) -> Tensor:
        """The last known value of each forecast row's phase: the block's, and what each window adds to it."""
        protocol, ahead = self.protocol, torch.arange(self.protocol.horizon, device=windows.device)
        forecasts = []
        for k, window in enumerate(windows):
            origin, latest = self.origin + k * protocol.stride, self.latest
            if k and self.history.target_index is not None:
                latest = self._with(origin - protocol.lookback, window[:, list(self.history.target_index)])
            forecasts.append(latest[(origin + ahead) % self.season])
        return torch.stack(forecasts)

    def _with(self, start: int, rows: Tensor) -> Tensor:
        """The latest values ``(season, C_out)``, once the targets' rows from ``start`` on are known."""
        phases = torch.arange(start, start + len(rows), device=rows.device)[-self.season :] % self.season
        return self.latest.index_copy(0, phases, rows[-self.season :])


@register_strategy("persistence")
class Persistence(LatestTargets):
    """The last value, held; where targets are not inputs, the last released target."""

    group = "core"
    carries = "the last value"
    colour = "#707070"


@register_strategy("seasonal-naive")
class SeasonalNaive(LatestTargets):
    """The values one season before; where the data have no season, persistence."""

    class Config(StrategyConfig):
        """Options.

        Attributes:
            season: Rows in a season; None takes the dataset's.
        """

        season: PositiveInt | None = None

    group = "core"
    carries = "the last season"
    colour = "#a58f73"

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """A season must have been seen when service begins."""
        if config.season is not None and config.season > planned.history:
            raise BenchError(
                f"season={config.season} is more than the {planned.history} rows before service: give at most as many."
            )

    def setup(self) -> None:
        """Keep one season."""
        self.season = self.config.season or self.history.season or 1
        super().setup()


class StackedFrozen(Together):
    """Several models as they were trained."""

    def __init__(self, models: Sequence[Any]) -> None:
        self.stack = Stack(models)

    @torch.inference_mode()
    def predict(self, windows: Tensor) -> Tensor:
        """``(M, K, H, C_out)``."""
        return self.stack.forecast(windows)


@register_strategy("frozen")
class Frozen(Strategy):
    """The forecaster as it was trained; a neural memory is read, never written."""

    group: ClassVar[Any] = "core"
    adapts: ClassVar[bool] = False
    colour = "#222222"
    uses_forecaster: ClassVar[bool] = True
    reads_exogenous: ClassVar[bool] = False

    def setup(self) -> None:
        """Switch memory writes off, where there is a memory, and gradients."""
        if isinstance(self.forecaster, torch.nn.Module):
            self.forecaster.requires_grad_(requires_grad=False)
        if "memory" in getattr(self.forecaster, "provides", ()):
            self.forecaster.memory_writes = False

    @classmethod
    def together(cls, strategies: Sequence[Any]) -> Together | None:
        """Stacked."""
        models = [strategy.forecaster for strategy in strategies]
        return StackedFrozen(models) if can_stack(models) else None

    @torch.inference_mode()
    def predict(self, windows: Tensor) -> Tensor:
        """Forecast, and remember nothing."""
        return self.forecaster(windows)  # type: ignore[no-any-return]
