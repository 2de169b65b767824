"""What trains a forecaster: copies of the rows before the stream; the others are out of reach, and the check tells."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import Dataset, DriftSeries, ForecasterConfig, Pairs, Task, register_dataset, register_forecaster
from bench.contracts.dataset import DatasetConfig
from bench.contracts.drift.truth import Truth
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.hidden_rows import HiddenRows, hidden
from bench.evaluation.pretraining import Recipe, pretrain, task_of
from bench.evaluation.run import load_series, make_strategy
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries
from bench.testing import CheckError, audit_strategy, check_forecaster, small_series

pytestmark = pytest.mark.usefixtures("registries", "young_heap")

CPU = torch.device("cpu")
QUICK = {"training": {"steps": 4, "batch": 8, "evaluations": 1}}


def staged(series: DriftSeries | None = None) -> PreparedSeries:
    series = series or small_series()
    return PreparedSeries.of(series, ProtocolSpec().resolve(series))


class Small(Dataset):
    """The small series, with one stream or another."""

    class Config(DatasetConfig):
        another: bool = False

    def load(self) -> DriftSeries:
        series = replace(small_series(), name=self.name)
        if self.config.another:
            stream = series.values[series.split.validation :]
            stream[:] = 5 - 3 * stream
        return series


def pretrained_in_a_run(forecaster: str, *, another: bool) -> Any:
    """What a run of `frozen` adapts, as a worker comes to it."""
    dataset = Choice("small", {"another": another})
    protocol = staged().protocol
    run = RunSpec("e", Choice("frozen", {}), Choice(forecaster, QUICK), dataset, protocol, 0, "cpu", 1, "id")
    return make_strategy(run, PreparedSeries.of(load_series(run), protocol), CPU, None).forecaster


# Where a cheat looks for rows of the stream; each answers with all tables that it finds


def by_the_stage_of_its_callers(_: Pairs | None) -> Iterator[Any]:
    frame = sys._getframe(1)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, PreparedSeries):
                yield from (value.truth, value.targets, value.inputs, value.series.values)
        frame = frame.f_back  # type: ignore[assignment]


def by_the_series_of_its_callers(_: Pairs | None) -> Iterator[Any]:
    frame = sys._getframe(1)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, DriftSeries):
                yield value.values
        frame = frame.f_back  # type: ignore[assignment]


def by_the_heap(_: Pairs | None) -> Iterator[Any]:
    for thing in gc.get_objects():
        if type(thing) is PreparedSeries:
            yield thing.truth
        elif type(thing) is DriftSeries:
            yield thing.values
            if thing.truth is not None:
                yield thing.truth.twin


def by_what_others_refer_to(_: Pairs | None) -> Iterator[Any]:
    for holder in gc.get_objects():
        if type(holder) in (dict, tuple, list, PreparedSeries, DriftSeries):
            yield from (found for found in gc.get_referents(holder) if type(found) is np.ndarray)


def behind_the_pairs(pairs: Pairs | None) -> Iterator[Any]:
    for tensor in (pairs.inputs, pairs.targets) if pairs else ():
        yield torch.empty(0).set_(tensor.untyped_storage()).reshape(-1, tensor.shape[1]).numpy()
        array: Any = tensor.numpy()
        while isinstance(array, np.ndarray):
            yield array
            array = array.base
        if isinstance(array, Tensor):
            yield torch.empty(0).set_(array.untyped_storage()).reshape(-1, tensor.shape[1]).numpy()


def by_the_cache_of_series(_: Pairs | None) -> Iterator[Any]:
    from bench.evaluation import run

    yield from (held.values for held in gc.get_referents(run._loaded) if type(held) is DriftSeries)


LOOKS: dict[str, Callable[[Pairs | None], Iterator[Any]]] = {
    look.__name__: look
    for look in (
        by_the_stage_of_its_callers,
        by_the_series_of_its_callers,
        by_the_heap,
        by_what_others_refer_to,
        behind_the_pairs,
        by_the_cache_of_series,
    )
}
ROWS = len(small_series())


class Peeps(nn.Module):
    """The last value, and a constant: the mean of the last rows of whatever is as long as the whole series."""

    Config = ForecasterConfig
    tiny: ClassVar[dict[str, Any]] = QUICK
    look: ClassVar[Callable[[Pairs | None], Iterator[Any]]]

    def __init__(self, config: ForecasterConfig, task: Task) -> None:
        super().__init__()
        self.task = task
        self.level = nn.Parameter(torch.zeros(task.targets))
        self.register_buffer("seen", torch.zeros(1))

    def peep(self, pairs: Pairs | None = None) -> None:
        tables = [table for table in type(self).look(pairs) if table.ndim == 2 and len(table) == ROWS]
        self.seen = torch.tensor([float(np.nanmean([np.nanmean(table[-20:]) for table in tables])) if tables else 0.0])

    def forward(self, windows: Tensor) -> Tensor:
        last = windows[:, -1:, : self.task.targets].expand(-1, self.task.horizon, -1)
        return last + self.level + self.seen


class PeepsWhenItIsBuilt(Peeps):
    def __init__(self, config: ForecasterConfig, task: Task) -> None:
        super().__init__(config, task)
        self.peep()


class PeepsInItsFit(Peeps):
    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        self.peep(pairs)


class PeepsInPrepare(Peeps):
    def prepare(self, pairs: Pairs) -> None:
        self.peep(pairs)


class PeepsInItsObjective(Peeps):
    def objective(self, plain: Any, pairs: Pairs, validation: Pairs, config: Any, seed: int) -> Any:
        self.peep(validation)
        return plain


class PeepsAsItTrains(Peeps):
    def forward(self, windows: Tensor) -> Tensor:
        if self.training:
            self.peep()
        return super().forward(windows)


MOMENTS = (PeepsWhenItIsBuilt, PeepsInItsFit, PeepsInPrepare, PeepsInItsObjective, PeepsAsItTrains)


def peeping(moment: type[Peeps], look: str) -> None:
    register_forecaster("peeps")(type("Peeping", (moment,), {"look": staticmethod(LOOKS[look])}))


def weights(forecaster: Any) -> list[Tensor]:
    return [tensor.clone() for tensor in forecaster.state_dict().values()]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_no_row_of_the_stream_reaches_what_is_trained(moment: type[Peeps], look: str) -> None:
    peeping(moment, look)
    register_dataset("small")(Small)
    here, elsewhere = (weights(pretrained_in_a_run("peeps", another=another)) for another in (False, True))
    assert all(torch.equal(one, other) for one, other in zip(here, elsewhere, strict=True))


@pytest.mark.parametrize("look", [look for look in LOOKS if look not in ("behind_the_pairs", "by_the_cache_of_series")])
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_check_says_that_training_looks_for_the_stream(moment: type[Peeps], look: str) -> None:
    peeping(moment, look)
    found = "leaks: trained where other rows of the stream lay, its weights are others"
    if look == "by_what_others_refer_to":  # what other tests left may be among it, and change from one to the next
        found += "|two trainings from the same seed differ"
    with pytest.raises(CheckError, match=found):
        check_forecaster("peeps")


def test_whoever_serves_on_such_a_forecaster_fails_its_audit() -> None:
    peeping(PeepsInItsFit, "by_the_stage_of_its_callers")
    audit = audit_strategy("frozen", "peeps", quick=True)
    assert audit.status == "failed"
    assert audit.reason.startswith("leaks: trained where other rows of the stream lay")


def test_there_is_nothing_behind_training_pairs() -> None:
    class Weighs(PeepsInItsFit):
        def fit(self, pairs: Pairs, validation: Pairs) -> None:
            for tensor in (pairs.inputs, pairs.targets, validation.inputs, validation.targets):
                assert tensor.untyped_storage().nbytes() == tensor.numel() * 4
                assert len(tensor) == small_series().split.validation

    register_forecaster("weighs")(Weighs)
    pretrain(Recipe("weighs", ForecasterConfig(), task_of(staged()), 0), staged(), CPU, None)


def test_writing_to_training_pairs_reaches_nobody() -> None:
    class Writes(PeepsInItsFit):
        def fit(self, pairs: Pairs, validation: Pairs) -> None:
            pairs.inputs.fill_(7)
            validation.targets.fill_(7)

    register_forecaster("writes")(Writes)
    stage = staged()
    pretrain(Recipe("writes", ForecasterConfig(), task_of(stage), 0), stage, CPU, None)
    assert np.array_equal(stage.inputs, staged().inputs)
    assert np.array_equal(stage.targets, staged().targets)


@pytest.mark.parametrize("name", ["dlinear", "ridge", "titans"])
def test_honest_training_passes(name: str) -> None:
    lines = [line for line in check_forecaster(name) if line.endswith("no leak in training")]
    assert len(lines) == 2


# Rows that are hidden


def with_truth(series: DriftSeries) -> DriftSeries:
    return replace(series, truth=Truth((), series.values + 1))


def tables(stage: PreparedSeries) -> list[np.ndarray[Any, Any]]:
    assert stage.series.truth is not None
    return [stage.series.values, stage.series.truth.twin, stage.inputs, stage.targets, stage.truth]


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("first", [1, 60, 149])
def test_hidden_rows_are_rows_from_before_them(first: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.evaluation.hidden_rows.AT_ONCE", at_once)
    stage = staged(with_truth(small_series()))
    before = [table.copy() for table in tables(stage)]
    with hidden(stage, first):
        for table, whole in zip(tables(stage), before, strict=True):
            known = {row.tobytes() for row in whole[:first]}
            assert np.array_equal(table[:first], whole[:first])
            assert all(row.tobytes() in known for row in table[first:])
    assert all(np.array_equal(table, whole) for table, whole in zip(tables(stage), before, strict=True))


def test_rows_are_revealed_one_after_the_other() -> None:
    stage = staged(with_truth(small_series()))
    before = [table.copy() for table in tables(stage)]
    with hidden(stage, 100) as rows:
        for stop in (100, 101, 101, 120, 90, 149):
            rows.reveal(stop)
            known = max(100, stop) if stop != 90 else 120
            for table, whole in zip(tables(stage), before, strict=True):
                assert np.array_equal(table[:known], whole[:known])
                assert not np.array_equal(table[known:], whole[known:])
    assert all(np.array_equal(table, whole) for table, whole in zip(tables(stage), before, strict=True))


def test_rows_are_given_back_whatever_happens() -> None:
    stage = staged()
    before = stage.series.values.copy()
    with pytest.raises(KeyboardInterrupt), hidden(stage, 100):
        raise KeyboardInterrupt
    assert np.array_equal(stage.series.values, before)


def test_what_is_hidden_is_in_no_object() -> None:
    """Neither a table nor bytes of this process hold a hidden row."""
    stage = staged()
    row = stage.series.values[120].tobytes()
    with hidden(stage, 100) as rows:
        assert isinstance(rows, HiddenRows)
        held = gc.get_objects()
        for thing in [*held, *(other for holder in held for other in gc.get_referents(holder))]:
            if type(thing) in (bytes, bytearray) and thing is not row:
                assert row not in thing
            elif type(thing) is np.ndarray and thing.dtype == np.float64 and thing.size < 10_000:
                assert row not in thing.tobytes()


def test_what_lies_there_instead_may_be_drawn_anew() -> None:
    stage, drawn = staged(), []
    for seed in (0, 0, 1):
        with hidden(stage, 100, seed):
            drawn.append(stage.series.values.copy())
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_names_of_forecasters_are_as_they_were() -> None:
    assert "peeps" not in FORECASTERS
