"""Strategies with the schedule of their public code, which leaks: to show what the leak is worth, and never ranked."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from bench import BenchError, Feedback, Planned, StrategyConfig, register_strategy

from .calibration import TAFAS, CalibrationConfig


class PublishedConfig(CalibrationConfig):
    """Options of `tafas-as-published`; public code takes its steps in ``train`` mode."""

    mode: Literal["eval", "train"] = "train"


@register_strategy("tafas-as-published")
class TAFASAsPublished(TAFAS):
    """TAFAS as its public code schedules it: forecasts of a batch are made and revised with the batch's own rows.

    A batch is a block of the protocol, of one season and one more origins (``block = 25`` on hourly data). Its later
    windows hold rows that come after the origins of its earlier ones. First a step is taken on each batch whose truths
    are over at the last origin of this one. Then all windows are forecast. Then a step is taken on the first rows of
    the first window's truth, and all leads that come after these rows are forecast again. In blocks of one it is
    `tafas`.

    Source: Kim and others (AAAI 2025), by its public schedule. The period, which public code finds anew for each batch,
    is the block's.
    """

    Config: ClassVar[type[StrategyConfig]] = PublishedConfig
    group: ClassVar[Any] = "leaky"
    labels_from_rows = True
    takes_partial: ClassVar[bool] = False
    ablation_of: ClassVar[dict[str, str]] = {"revising with later rows": "tafas"}
    carries = "the calibration layers, the optimiser's moments, and batches whose truths are not over"

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """It reads truths off consecutive rows, which hold the targets."""
        del config
        protocol = planned.protocol
        if planned.task.target_index is None or (protocol.stride > 1 and protocol.block > 1):
            raise BenchError(
                "tafas-as-published takes truths from the rows of consecutive origins, where targets are inputs. Use "
                "tafas, or a stride of 1."
            )

    def setup(self) -> None:
        """Start without batches."""
        super().setup()
        self.now, self.rows = len(self.history), self.history.inputs[:0]
        self.batches: list[tuple[int, Tensor]] = []  # first origin and windows of those whose truths are not over

    def observe(self, rows: Tensor) -> None:
        """Keep the rows of truths that are waited for."""
        self.now += len(rows)
        protocol = self.protocol
        kept = 2 * protocol.horizon + protocol.block + protocol.stride
        self.rows = torch.cat([self.rows, rows])[-kept:]

    def adapt(self, feedback: Feedback) -> None:
        """Nothing: truths are taken from rows."""

    def predict(self, windows: Tensor) -> Tensor:
        """Learn from the block's own rows, and revise what was forecast before."""
        later = windows[1:, -1, list(self.history.target_index or ())]
        self._learn_from_ended(windows, later)
        made = self._forecasts(windows)
        seen = min(len(later), self.protocol.horizon)
        if not seen:
            return made
        truth = later[None, :seen]
        self.online.learn(lambda: self.loss(self.forecast(windows[:1])[:, :seen], truth, None))
        leads = torch.arange(self.protocol.horizon, device=self.device)
        origins = torch.arange(len(windows), device=self.device)
        unseen = origins[:, None] + leads >= len(later)
        return torch.where(unseen[..., None], self._forecasts(windows), made)

    @torch.no_grad()
    def _forecasts(self, windows: Tensor) -> Tensor:
        return self.online.sound(lambda: self.forecast(windows))

    def _learn_from_ended(self, windows: Tensor, later: Tensor) -> None:
        """A step on each batch whose truths end with the block's rows; the block joins those that wait."""
        horizon = self.protocol.horizon
        known = torch.cat([self.rows[:, list(self.history.target_index or ())], later])
        end = self.now + len(later)
        waiting = []
        for first, x in self.batches:
            if first + len(x) - 1 + horizon > end:
                waiting.append((first, x))
                continue
            begins = torch.arange(first, first + len(x), device=self.device) - end + len(known)
            y = known[begins[:, None] + torch.arange(horizon, device=self.device)]
            self.online.learn(lambda x=x, y=y: self.loss(self.forecast(x), y, None))  # type: ignore[misc]
        self.batches = [*waiting, (self.now, windows)]
