"""Recurring regimes: a pool of forecasters, each for windows of a level and a deviation of its own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Feedback, Search, StrategyConfig, register_strategy
from bench.adaptation.online_optimizer import OnlineConfig, OnlineOptimizer, mean_square

from .online_gradient import LEAST_DEVIATION, LearnsOnline


class CEPConfig(OnlineConfig):
    """Options of `cep`. Windows count once in a horizon, as where they do not overlap.

    Attributes:
        apart: Whether each target has a pool of its own, where it is an input, at a step each; otherwise all share one.
        distance: A window is of a new regime where its mean is so many of the nearest member's deviations from that
            member's mean.
        least: Windows that a member must have had before another one may come out of it.
        follows: Weight of each new window in the fast means of a member.
        fast: Share of the fast means in a member's key; the rest are means over all its windows.
        patience: A member dies when it was not the nearest for so many times the windows that it had.
        shortest: It lives at least so long.
        most: Members of a pool; beyond them, the one that was not the nearest for longest dies.
        fresh: Share of the step size that a new member starts with.
        fading: Steps after which it has the whole step size.
    """

    apart: bool = False
    distance: Annotated[PositiveFloat, Search(1.0, 6.0)] = 3.0
    least: NonNegativeInt = 15
    follows: float = Field(0.2, gt=0, le=1)
    fast: float = Field(0.8, ge=0, le=1)
    patience: PositiveFloat = 1.5
    shortest: NonNegativeInt = 2
    most: PositiveInt = 8
    fresh: float = Field(0.5, gt=0, le=1)
    fading: PositiveInt = 20


@dataclass
class Member:
    """A forecaster of a pool.

    Attributes:
        fast: Exponential means of its windows' means and deviations.
        slow: Their means over all its windows.
        count: Windows that it had.
        used: Windows of its pool when it was last the nearest.
        steps: Steps that it took since it came.
    """

    forecaster: nn.Module
    online: OnlineOptimizer
    fast: Tensor
    slow: Tensor
    count: int
    used: int
    steps: int

    def key(self, fast: float) -> Tensor:
        """What windows are compared with."""
        return fast * self.fast + (1 - fast) * self.slow

    def learn(self, x: Tensor, y: Tensor, targets: list[int], config: CEPConfig) -> None:
        """Steps on pairs, smaller ones as long as it is new."""
        faded = min(1.0, self.steps / config.fading)
        self.online.set_rate(config.online_lr * (config.fresh + (1 - config.fresh) * faded))
        self.online.learn(lambda: mean_square(self.forecaster(x)[..., targets], y[..., targets]))
        self.steps += 1


class Pool:
    """Members for some targets, told apart by some inputs.

    Args:
        config: The strategy's options.
        inputs: Columns of a window that make its key.
        targets: Columns of the forecast.
        history: ``(N, C_in)``: its windows make the first member's key.
        task: Rows of a window, and of a forecast.
        forecaster: Of the first member; it is copied.
    """

    def __init__(
        self,
        config: CEPConfig,
        inputs: list[int],
        targets: list[int],
        history: Tensor,
        task: tuple[int, int],
        forecaster: Any,
    ) -> None:
        self.config, self.inputs, self.targets, self.seen = config, inputs, targets, 0
        statistics = self.statistics(history.unfold(0, *task).mT)
        mean = statistics.mean(dim=0)
        self.members = [self._member(forecaster, mean, count=len(statistics), steps=config.fading)]

    def statistics(self, windows: Tensor) -> Tensor:
        """Means and deviations of windows ``(B, L, C_in)``: ``(B, 2 n)`` for n columns."""
        variance, mean = torch.var_mean(windows[..., self.inputs], dim=1, correction=0)
        return torch.cat([mean, variance.sqrt()], dim=1)

    def places(self, statistics: Tensor) -> Tensor:
        """Places of the members nearest to windows, ``(B,)``."""
        keys = torch.stack([member.key(self.config.fast) for member in self.members])
        return (statistics[:, None] - keys).square().sum(dim=-1).argmin(dim=1)

    def nearest(self, statistic: Tensor) -> Member:
        """The member nearest to a window ``(2 n,)``."""
        return self.members[int(self.places(statistic[None]))]

    def placed(self, statistic: Tensor) -> Member:
        """The nearest member, or a new one if that is far; its key follows the window, and who is not used dies."""
        config = self.config
        self.seen += 1
        member = self.nearest(statistic)
        mean, deviation = member.key(config.fast).chunk(2)
        away = (statistic[: len(mean)] - mean).abs() > config.distance * deviation.clamp(min=LEAST_DEVIATION)
        if bool(away.any()) and member.count > config.least:
            member = self._member(member.forecaster, statistic, count=0, steps=0)
            self.members.append(member)
        else:
            member.fast = member.fast + config.follows * (statistic - member.fast)
            member.slow = member.slow + (statistic - member.slow) / (member.count + 1)
        member.count, member.used = member.count + 1, self.seen
        self.members = [one for one in self.members if self.seen - one.used <= self._patience(one)]
        if len(self.members) > config.most:
            self.members.remove(min(self.members, key=lambda one: one.used))
        return member

    def _patience(self, member: Member) -> float:
        return max(self.config.shortest, self.config.patience * member.count)

    def _member(self, forecaster: nn.Module, statistic: Tensor, count: int, steps: int) -> Member:
        own = copy.deepcopy(forecaster)
        online = OnlineOptimizer(own, [p for p in own.parameters() if p.requires_grad], self.config)
        return Member(own, online, statistic, statistic, count, self.seen, steps)


@register_strategy("cep")
class CEP(LearnsOnline):
    """CEP: the member of a pool whose windows were most like this one forecasts it, and learns from its pairs.

    A window far from all members makes a new one, a copy of the nearest; who is not used dies.

    Source: Zhan and others (2025, arXiv 2506.14790), for one column and windows that do not overlap. The slow means,
    over all windows of a member, and the limit on members are ours.
    """

    Config: ClassVar[type[StrategyConfig]] = CEPConfig
    takes_partial = False
    ablation_of: ClassVar[dict[str, str]] = {"keeping a forecaster for each regime": "ogd"}
    carries = "the weights and optimisers of each pool's members, and their keys"
    tiny: ClassVar[dict[str, Any]] = {"least": 3, "most": 2, "patience": 100.0}

    def setup(self) -> None:
        """Start with one member in each pool."""
        super().setup()
        index = self.history.target_index
        inputs, targets = (list(range(rows.shape[1])) for rows in (self.history.inputs, self.history.targets))
        groups = [(inputs, targets)]
        if self.config.apart and index is not None:
            groups = [([place], [column]) for column, place in enumerate(index)]
        rows, task = self.history.inputs, (self.protocol.lookback, self.protocol.horizon)
        self.pools = [Pool(self.config, *group, rows, task, self.forecaster) for group in groups]
        self.judged_until = 0

    @property
    def members(self) -> list[Member]:
        """Of all pools."""
        return [member for pool in self.pools for member in pool.members]

    def learned(self) -> list[nn.Parameter]:
        """All members' parameters."""
        return [parameter for member in self.members for parameter in member.online.parameters]

    def adapt(self, feedback: Feedback) -> None:
        """Each pair to the nearest member, once in a horizon perhaps a new one; a step of each that has pairs."""
        if not self.online.learns or not len(feedback):
            return
        judged = [self._is_judged(origin) for origin in feedback.origins.tolist()]
        for pool in self.pools:
            statistics = pool.statistics(feedback.x)
            placed = [
                pool.placed(statistic) if own else pool.nearest(statistic)
                for statistic, own in zip(statistics, judged, strict=True)
            ]
            for member in {id(one): one for one in placed}.values():
                own = torch.tensor([one is member for one in placed], device=self.device)
                member.learn(feedback.x[own], feedback.y[own], pool.targets, self.config)

    def _is_judged(self, origin: int) -> bool:
        """Whether a window is so far from the last one that counted that their truths do not overlap."""
        if origin < self.judged_until:
            return False
        self.judged_until = origin + self.protocol.horizon
        return True

    @torch.inference_mode()
    def predict(self, windows: Tensor) -> Tensor:
        """Each window by the nearest member of each pool."""
        if not self.online.learns:
            return super().predict(windows)
        made = windows.new_empty(len(windows), self.protocol.horizon, self.history.targets.shape[1])
        for pool in self.pools:
            nearest = pool.places(pool.statistics(windows))
            for place in nearest.unique().tolist():
                member = pool.members[place]
                forecast = member.online.sound(lambda member=member: member.forecaster(windows))
                own = (nearest == place)[:, None, None]
                made[..., pool.targets] = torch.where(own, forecast[..., pool.targets], made[..., pool.targets])
        return made

    def trace(self) -> dict[str, float]:
        """Steps and returns of the members that are there, and how many these are."""
        online = [member.online for member in self.members]
        sums = {"steps": sum(one.taken for one in online), "returns": sum(one.returns for one in online)}
        return {name: float(value) for name, value in (sums | {"members": len(online)}).items()}
