"""Two learners at two speeds: DSOF's student beside its teacher, and OneNet's ensemble of two branches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from bench import BenchError, Feedback, Pairs, Planned, Search, StrategyConfig, Task, register_strategy
from bench.adaptation.calibration_layers import zero_linear
from bench.adaptation.online_optimizer import OnlineConfig, OnlineOptimizer, mean_square
from bench.adaptation.replay_buffers import ReplayBuffer
from bench.contracts.forecaster import FORECASTERS, TrainingConfig, abilities, check_task
from bench.evaluation.pretraining import train_by_gradients

from .online_gradient import LearnsOnline

STUDENT_TRAINING = TrainingConfig(steps=400, lr=1e-3, evaluations=8, patience=3)
DISCOUNT = 0.9
"""Weight of each row of a fast step's target, in units of the row before."""


class Student(nn.Module):
    """A linear network of three layers from window and forecast to what is added to the forecast, shared by channels.

    It adds nothing at first. Where targets are not inputs it reads all inputs, and all forecasts, at once.
    """

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        self.task = task
        shared = task.target_index is not None
        window, forecast = (task.lookback, task.horizon)
        if not shared:
            window, forecast = window * task.inputs, forecast * task.targets
        layers = nn.Linear(window + forecast, width), nn.Linear(width, width), zero_linear(width, forecast)
        self.layers = nn.Sequential(*layers)

    def forward(self, windows: Tensor, forecasts: Tensor) -> Tensor:
        """``(B, L, C_in)`` and ``(B, H, C_out)`` to ``(B, H, C_out)``."""
        index = self.task.target_index
        if index is None:
            flat = torch.cat([windows.flatten(1), forecasts.flatten(1)], dim=1)
            return self.layers(flat).view_as(forecasts)  # type: ignore[no-any-return]
        rows = torch.cat([windows[:, :, list(index)], forecasts], dim=1).mT
        return self.layers(rows).mT  # type: ignore[no-any-return]


class Taught(nn.Module):
    """A student beside a fixed teacher."""

    def __init__(self, student: nn.Module, teacher: Any) -> None:
        super().__init__()
        self.student = student
        self._teacher = [teacher]  # no part of what is trained

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        with torch.no_grad():
            forecasts: Tensor = self._teacher[0](windows)
        return forecasts + self.student(windows, forecasts)  # type: ignore[no-any-return]


class DSOFConfig(OnlineConfig):
    """Options of `dsof`: of the slow steps, and of the student.

    Attributes:
        size: Latest pairs, from which a slow step draws.
        batch: Pairs in a slow step.
        least: There is no slow step before so many pairs have come.
        student: Whether there is one; without it, this is `dsof-slow`.
        student_lr: Step size of the student's slow steps.
        fast_lr: Step size of its fast steps.
        student_width: Of its layers.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    size: int = Field(300, ge=1)
    batch: PositiveInt = 32
    least: PositiveInt = 32
    student: bool = True
    student_lr: Annotated[NonNegativeFloat, Search(1e-6, 1e-2, log=True)] = 1e-4
    fast_lr: Annotated[NonNegativeFloat, Search(1e-6, 1e-2, log=True)] = 1e-4
    student_width: PositiveInt = 16


@register_strategy("dsof")
class DSOF(LearnsOnline):
    """DSOF: teacher and student learn slowly from the latest pairs, and the student fast from the rows that just came.

    A slow step takes a batch of the latest pairs. A fast step asks the student for the window of the block before: its
    target begins with the rows that came since, and goes on with the teacher's forecast of the present window. It needs
    targets among the inputs.

    Source: Lau and others (ICLR 2025). The student is trained beside the teacher that is there, not together with it.
    """

    Config: ClassVar[type[StrategyConfig]] = DSOFConfig
    ablation_of: ClassVar[dict[str, str]] = {"the student and its fast steps": "dsof-slow"}
    labels_from_rows = True
    takes_partial = False
    carries = "the weights of teacher and student, the optimisers' moments, and the latest pairs"
    pretrain_options = ("student", "student_width")
    tiny: ClassVar[dict[str, Any]] = {"size": 10, "batch": 3, "least": 3, "student_width": 3}

    @classmethod
    def make_parts(cls, config: Any, task: Task, forecaster: Any) -> nn.Module | None:
        """The student."""
        del forecaster
        return Student(task, config.student_width) if config.student else None

    @classmethod
    def train_parts(
        cls, parts: nn.Module, forecaster: Any, pairs: Pairs, validation: Pairs, config: Any, seed: int
    ) -> None:
        """On what the teacher, which is fixed, misses."""
        del config
        train_by_gradients(Taught(parts, forecaster), pairs, validation, STUDENT_TRAINING, seed)

    def setup(self) -> None:
        """Start with an empty buffer."""
        super().setup()
        config = self.config
        self.buffer = ReplayBuffer("fifo", config.size, self.rng)
        self.slow = self.fast = None
        if self.parts is not None:
            self.slow, self.fast = (self._optimizer(rate) for rate in (config.student_lr, config.fast_lr))
        self._since: list[Tensor] = []
        self._before: Tensor | None = None

    def _optimizer(self, rate: float) -> OnlineOptimizer:
        config = self.config.model_copy(update={"online_lr": rate})
        return OnlineOptimizer(self.parts, self.parts.parameters(), config)

    def observe(self, rows: Tensor) -> None:
        """Keep the rows of one block."""
        if self.fast is not None and self.history.target_index is not None:
            self._since.append(rows[:, list(self.history.target_index)])

    def adapt(self, feedback: Feedback) -> None:
        """A slow step, and a fast one."""
        if len(feedback):
            self.buffer.add(feedback.x, feedback.y)
            if len(self.buffer) >= self.config.least:
                self._learn_slowly(*self.buffer.draw(self.config.batch))
        if self.fast is not None and feedback.present is not None:
            self._learn_fast(self.fast, feedback.present[None])

    def _learn_slowly(self, x: Tensor, y: Tensor) -> None:
        made = list[Tensor]()

        def teachers() -> Tensor:
            made[:] = [self.forecaster(x)]
            return mean_square(made[0], y)

        self.online.learn(teachers)
        if self.slow is not None and self.slow.learns:
            if not made:
                with torch.no_grad():
                    made = [self.forecaster(x)]
            forecast = made[0].detach()
            self.slow.learn(lambda: mean_square(forecast + self.parts(x, forecast), y))

    def _learn_fast(self, optimizer: OnlineOptimizer, present: Tensor) -> None:
        """A step on the window of the block before; none where all its truth has come."""
        before, rows, self._before, self._since = self._before, self._since, present, []
        came = sum(map(len, rows))
        if before is None or not 0 < came < self.protocol.horizon or not optimizer.learns:
            return
        with torch.no_grad():
            taught, forecast = self.forecaster(torch.cat([before, present])).split(1)
        target = torch.cat([*rows, forecast[0, : len(forecast[0]) - came]])[None]
        weights = DISCOUNT ** torch.arange(target.shape[1], device=target.device)[:, None]
        optimizer.learn(lambda: (weights * (taught + self.parts(before, taught) - target).square()).mean())

    def forecast(self, windows: Tensor) -> Tensor:
        """The teacher's forecast, and what the student adds."""
        forecasts = super().forecast(windows)
        return forecasts if self.parts is None else forecasts + self.parts(windows, forecasts.detach())


class OneNetConfig(OnlineConfig):
    """Options of `onenet`.

    Attributes:
        branch: The second branch: a forecaster, at its defaults, that is trained beside the first; None (in TOML,
            ``"none"``) has no second branch, and is `ogd`.
        mix_lr: Step size of the weights of the two, and of their bias.
        bias: Whether a small network adds a short-term bias to the weights.
        bias_width: Of its layers.
    """

    branch: Annotated[str | None, BeforeValidator(lambda v: None if v == "none" else v)] = "tcn"
    mix_lr: Annotated[NonNegativeFloat, Search(1e-5, 1e-1, log=True)] = 1e-3
    bias: bool = True
    bias_width: PositiveInt = 32


@register_strategy("onenet")
class OneNet(LearnsOnline):
    """OneNet: two forecasters, each with a step on its own error, and weights for each channel that follow both.

    The forecast is ``s y1 + (1 - s) y2`` with ``s = sigmoid(w + b)``. The weights ``w`` take a step on the error of the
    mixture; the bias ``b`` comes from a network that reads both forecasts and the truth of the newest matured pair, so
    that it is a horizon old.

    Source: Wen and others (NeurIPS 2023). With a forecaster that treats channels apart and a branch that reads them
    together these are its cross-time and cross-variable branches.
    """

    Config: ClassVar[type[StrategyConfig]] = OneNetConfig
    ablation_of: ClassVar[dict[str, str]] = {"a second branch, mixed by learned weights": "ogd"}
    takes_partial = False
    carries = "the weights of both branches, of their mixture, and the optimisers' moments"
    pretrain_options = ("branch",)
    tiny: ClassVar[dict[str, Any]] = {"bias_width": 3, "branch": "nlinear"}

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """The second branch must be a forecaster that learns by gradients, and serve the task."""
        if config.branch is None:
            return
        entry = FORECASTERS[config.branch]
        if "gradients" not in abilities(entry.cls):
            raise BenchError(
                f'onenet: branch = "{config.branch}" has no gradients to learn by. Choose another, or "none".'
            )
        check_task(entry.cls, entry.cls.Config(), planned.task, "cpu")

    @classmethod
    def make_parts(cls, config: Any, task: Task, forecaster: Any) -> nn.Module | None:
        """The second branch."""
        del forecaster
        if config.branch is None:
            return None
        branch: nn.Module = FORECASTERS[config.branch].cls(FORECASTERS[config.branch].cls.Config(), task)
        return branch

    @classmethod
    def train_parts(
        cls, parts: nn.Module, forecaster: Any, pairs: Pairs, validation: Pairs, config: Any, seed: int
    ) -> None:
        """As any forecaster of its kind is trained."""
        del forecaster
        if prepare := getattr(parts, "prepare", None):
            prepare(pairs)
        training = FORECASTERS[config.branch].cls.Config().training
        train_by_gradients(parts, pairs, validation, training, seed)

    def setup(self) -> None:
        """Start with equal weights."""
        super().setup()
        if self.parts is None:
            return
        horizon, targets = self.protocol.horizon, self.history.targets.shape[1]
        width = self.config.bias_width
        self.second = OnlineOptimizer(self.parts, list(self.parts.parameters()), self.config)
        self.mixture = nn.ParameterDict({"w": nn.Parameter(torch.zeros(targets, device=self.device))})
        hidden = nn.Linear(3 * horizon, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        layers = *hidden, zero_linear(width, 1)
        self.bias_of = nn.Sequential(*layers).to(self.device)
        self.bias = torch.zeros(targets, device=self.device)
        mixes = SimpleNamespace(**self.config.model_dump() | {"online_lr": self.config.mix_lr, "mode": "eval"})
        self.weighs = OnlineOptimizer(self.mixture, list(self.mixture.parameters()), mixes)
        self.biases = OnlineOptimizer(self.bias_of, list(self.bias_of.parameters()), mixes)

    def adapt(self, feedback: Feedback) -> None:
        """A step of each branch, of their weights, and of the bias."""
        if self.parts is None or not len(feedback):
            super().adapt(feedback)
            return
        x, y = feedback.x, feedback.y
        with torch.no_grad():
            y1, y2 = self.forecaster(x), self.parts(x)
        self.online.learn(lambda: mean_square(self.forecaster(x), y))
        self.second.learn(lambda: mean_square(self.parts(x), y))
        weight = self.mixture["w"]
        self.weighs.learn(lambda: mean_square(mixed(weight, y1, y2), y))
        if self.config.bias:
            share = torch.sigmoid(weight.detach())
            read = torch.cat([share * y1, (1 - share) * y2, y], dim=1).mT
            fixed = weight.detach()
            self.biases.learn(lambda: mean_square(mixed(fixed + self.bias_of(read).mT, y1, y2), y))
            with torch.no_grad():
                self.bias = self.bias_of(read[-1:]).flatten()

    def forecast(self, windows: Tensor) -> Tensor:
        """The mixture of both branches."""
        first = super().forecast(windows)
        return first if self.parts is None else mixed(self.mixture["w"] + self.bias, first, self.parts(windows))

    def trace(self) -> dict[str, float]:
        """Also the mean share of the first branch."""
        if self.parts is None:
            return super().trace()
        return super().trace() | {"first_share": float(torch.sigmoid(self.mixture["w"].detach() + self.bias).mean())}


def mixed(logit: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """``s one + (1 - s) other`` with ``s = sigmoid(logit)``, which broadcasts to the forecasts ``(B, H, C_out)``."""
    share = torch.sigmoid(logit)
    return share * one + (1 - share) * other
