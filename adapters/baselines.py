"""What every method must beat: persistence, the season before, recursive least squares, and no adaptation at all."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveInt
from scipy.linalg import lapack
from torch import Tensor

from bench import Feedback, Pairs, Strategy, StrategyConfig, Task, register_strategy
from bench.forecasters.linear import design, forecast, normal_equations, outcome


class LatestTargets(Strategy):
    """Keeps the last released value of the targets at each phase of a season; a season of one row has one phase."""

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
        if young := feedback.young:
            for s, y, known in zip(young.origins.tolist(), young.y, young.known, strict=True):
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

    def setup(self) -> None:
        """Keep one season."""
        self.season = self.config.season or self.history.season or 1
        super().setup()


@register_strategy("rls")
class RecursiveLeastSquares(Strategy):
    """Linear forecaster with weights shared by channels, updated by recursive least squares on every matured window."""

    class Config(StrategyConfig):
        """Options.

        Attributes:
            forgetting: Weight of the past at each window; 1 forgets nothing.
            ridge: Penalty of the first solution, on the history.
        """

        forgetting: float = Field(0.9999, gt=0, le=1)
        ridge: NonNegativeFloat = 1.0

    group = "core"
    carries = "the weights and the inverse Gram matrix"

    def setup(self) -> None:
        """Start from ridge regression on the history."""
        L, H = self.protocol.lookback, self.protocol.horizon
        history = self.history
        self.task = Task(L, H, history.inputs.shape[1], history.targets.shape[1], history.target_index)
        pairs = Pairs(history.inputs, history.targets, torch.arange(L, len(history) - H + 1), L, H)
        gram, moment = normal_equations(pairs, self.task, "last", constant=True)
        self.inverse = np.linalg.inv(gram + self.config.ridge * np.eye(len(gram)))
        self.weights = self.inverse @ moment

    def adapt(self, feedback: Feedback) -> None:
        """One update for each pair, all of its channels together."""
        if not len(feedback):
            return
        rows, level = design(feedback.x.double(), self.task, "last", constant=True)
        target = outcome(feedback.y.double(), level, self.task)
        for x, y in zip(rows.cpu().numpy(), target.cpu().numpy(), strict=True):
            self._update(x, y)

    def _update(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """One pair: ``(R, F)`` regressors and ``(R, M)`` outcomes.

        By the Woodbury identity; with the Cholesky factor of the innovations' covariance, what is taken off the inverse
        is a product of a matrix with its own transpose, so that rounding cannot make it lopsided.
        """
        seen = x @ self.inverse
        covariance = seen @ x.T
        covariance.flat[:: len(x) + 1] += self.config.forgetting
        factor, failed = lapack.dpotrf(covariance, lower=1)
        if failed:  # past what double precision can tell apart, as where much is forgotten
            self._update_by_solving(seen, covariance, y - x @ self.weights)
            return
        solved, _ = lapack.dtrtrs(factor, np.concatenate([seen, y - x @ self.weights], axis=1), lower=1)
        gain, innovation = solved[:, : len(self.weights)], solved[:, len(self.weights) :]
        self.weights += gain.T @ innovation
        self.inverse -= gain.T @ gain
        if self.config.forgetting < 1:
            self.inverse *= 1 / self.config.forgetting

    def _update_by_solving(
        self, seen: NDArray[np.float64], covariance: NDArray[np.float64], innovation: NDArray[np.float64]
    ) -> None:
        """The same where there is no Cholesky factor: ``(R, F)``, ``(R, R)`` and ``(R, M)``."""
        gain = np.linalg.solve(covariance, seen).T
        self.weights += gain @ innovation
        self.inverse = (self.inverse - gain @ seen) / self.config.forgetting
        self.inverse = (self.inverse + self.inverse.T) / 2

    def predict(self, windows: Tensor) -> Tensor:
        """Apply the weights of the moment."""
        rows, level = design(windows.double(), self.task, "last", constant=True)
        weights = torch.from_numpy(self.weights).to(rows.device)
        return forecast(rows, level, weights, self.task).float()


@register_strategy("frozen")
class Frozen(Strategy):
    """The forecaster as it was trained; a neural memory is read, never written."""

    group = "core"
    uses_forecaster: ClassVar[bool] = True

    def setup(self) -> None:
        """Switch memory writes off, where there is a memory, and gradients."""
        if isinstance(self.forecaster, torch.nn.Module):
            self.forecaster.requires_grad_(requires_grad=False)
        if "memory" in getattr(self.forecaster, "provides", ()):
            self.forecaster.memory_writes = False

    @torch.inference_mode()
    def predict(self, windows: Tensor) -> Tensor:
        """Forecast, and remember nothing."""
        return self.forecaster(windows)  # type: ignore[no-any-return]
