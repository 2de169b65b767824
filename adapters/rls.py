"""Recursive least squares: the linear forecaster that learns from every matured window."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat
from scipy.linalg import lapack
from torch import Tensor

from bench import Feedback, Pairs, Search, Strategy, StrategyConfig, Task, register_strategy
from bench.forecasters.linear import design, forecast, normal_equations, outcome

FORGETTING = (0.99, 0.997, 0.999, 0.9997, 0.9999, 0.99997, 1.0)


def compressed(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Few rows with the Gram matrix and moment of many: the triangle of their QR decomposition.

    The time of an update grows with the cube of R, that of the decomposition grows linearly. It pays from about two
    rows for each regressor; fewer are returned as they are.

    Args:
        x: ``(R, F)`` regressors.
        y: ``(R, M)`` outcomes.

    Returns:
        ``(r, F)`` and ``(r, M)``, with r = F where R > 2 F, and otherwise R.
    """
    features = x.shape[1]
    if len(x) <= 2 * features:
        return x, y
    both = np.concatenate([x, y], axis=1)
    triangle = np.triu(lapack.dgeqrf(both, lwork=32 * both.shape[1])[0][:features])
    return triangle[:, :features], triangle[:, features:]


@register_strategy("rls")
class RecursiveLeastSquares(Strategy):
    """Linear forecaster with weights shared by channels, updated by recursive least squares on every matured window."""

    class Config(StrategyConfig):
        """Options.

        Attributes:
            forgetting: Weight of the past at each window; 1 forgets nothing.
            ridge: Penalty of the first solution, on the history.
        """

        forgetting: Annotated[float, Search(choices=FORGETTING)] = Field(0.9999, gt=0, le=1)
        ridge: Annotated[NonNegativeFloat, Search(0.01, 100.0, log=True)] = 1.0

    group = "core"
    colour = "#e69f00"
    reads_exogenous: ClassVar[bool] = False
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

        By the Woodbury identity; with the Cholesky factor of the innovations' covariance, the inverse is reduced
        by a product of a matrix with its own transpose, so that rounding keeps it symmetric.
        """
        x, y = compressed(x, y)
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
