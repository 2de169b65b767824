"""A longer window and no training: what more context alone is worth to a forecaster that takes any window."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench import Search, StrategyConfig, register_strategy

from .baselines import Frozen


class ContextConfig(StrategyConfig):
    """Options of `context`.

    Attributes:
        times: Length of the windows that the forecaster is given, in lookbacks; less as long as fewer rows are known.
    """

    times: Annotated[PositiveInt, Search(choices=(1, 2, 4, 8))] = 4


@register_strategy("context")
class Context(Frozen):
    """The forecaster as it was trained, on windows several times as long; for those that take any window.

    It is the control of strategies that adapt zero-shot forecasters, which may as well be given more rows. Where
    windows of a block are further apart than they are long, the rows between them are left out: nobody is given them.
    """

    Config: ClassVar[type[StrategyConfig]] = ContextConfig
    group: ClassVar[Any] = "control"
    needs = frozenset({"any-window"})
    carries = "the latest rows"
    ablation_of: ClassVar[dict[str, str]] = {"a longer window without training": "frozen"}
    colour = ""

    def setup(self) -> None:
        """Start from the history's last rows."""
        super().setup()
        self.longest = self.config.times * self.protocol.lookback
        self.rows = self.history.inputs[-self.longest :]

    def observe(self, rows: Tensor) -> None:
        """Keep the latest rows."""
        self.rows = torch.cat([self.rows, rows])[-self.longest :]

    def predict(self, windows: Tensor) -> Tensor:
        """Forecast from each window with the rows before it."""
        stride = min(self.protocol.stride, windows.shape[1])
        rows = torch.cat([self.rows, windows[1:, -stride:].flatten(0, 1)])
        return super().predict(rows.unfold(0, len(self.rows), stride).mT.contiguous())
