"""A Sobol design over what plug-ins declare: the same number of trials for every strategy, the defaults first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contracts.config import Search, searches
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS, fits_itself
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run_spec import Pair, forecaster_config, strategy_config
from bench.execution.tune.grid import Axis, Point, point_of
from bench.execution.tune.options import TuneOptions

WIDTH = 64
"""Options of a strategy and its forecaster that can be searched together. All designs are cut out of one of so many."""

SPARE = 8
"""Points for each trial: two of them may come to the same options, and options may not go together."""


def design(pair: Pair, options: TuneOptions, given: Mapping[str, Any]) -> list[Point]:
    """The trials of a pair, the first of them as the experiment has it; none where nothing is to be searched.

    Options that the experiment sets stay. A forecaster's come first in the design: in trial i all strategies that set
    none of them adapt the same one.

    Args:
        given: What the experiment says of the forecaster's options, see `given_options`.
    """
    space = [*_space(pair, given)]
    if not space:
        return []
    if len(space) > WIDTH:
        raise BenchError(f"strategy {pair[0].name!r}: {len(space)} options to search, and at most {WIDTH} can be")
    axes = [axis for axis, _ in space]
    first = Point(_values(pair, axes), pair)
    found = {json.dumps(first.values): first}
    for row in _shares(options.trials, options.seed):
        values = [search.at(float(share)) for (_, search), share in zip(space, row, strict=False)]
        try:
            point = point_of(pair, list(zip(axes, values, strict=True)))
        except BenchError:  # these values do not go together
            continue
        if len(found) < options.trials:
            found.setdefault(json.dumps(point.values), point)
    return list(found.values())


def _space(pair: Pair, given: Mapping[str, Any]) -> Iterator[tuple[Axis, Search]]:
    """What is to be searched, the forecaster's options first."""
    strategy, forecaster = pair
    if forecaster is not None:
        cls = FORECASTERS[forecaster.name].cls
        for path, search in searches(cls.Config).items():
            is_trained = path[0] == "training"
            if not _is_set(given, path) and not (is_trained and fits_itself(cls)):
                yield Axis(forecaster.name, path), search
    for path, search in searches(STRATEGIES[strategy.name].cls.Config).items():
        if not _is_set(strategy.options, path):
            yield Axis(strategy.name, path), search


def _is_set(options: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(options, Mapping) or name not in options:
            return False
        options = options[name]
    return True


def _values(pair: Pair, axes: Sequence[Axis]) -> dict[str, Any]:
    """What a pair's options are now, as a point shows them."""
    configs = {pair[0].name: strategy_config(pair[0])}
    if pair[1] is not None:
        configs |= {pair[1].name: forecaster_config(pair[1])}
    dumped = {name: config.model_dump(mode="json") for name, config in configs.items()}
    found = {}
    for axis in axes:
        value: Any = dumped[axis.plugin]
        for name in axis.path:
            value = value[name]
        found[axis.shown(pair[0])] = value
    return found


@cache
def _shares(trials: int, seed: int) -> NDArray[np.float64]:
    """``(points, WIDTH)``, from 0 to 1; those of a smaller number of trials come first."""
    from scipy.stats import qmc

    sampler = qmc.Sobol(WIDTH, rng=np.random.default_rng(seed))
    return np.asarray(sampler.random_base2(math.ceil(math.log2(SPARE * trials))))
