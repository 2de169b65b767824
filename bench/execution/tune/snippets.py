"""What tuning chose, written down as experiments that are ready to run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.evaluation.run_spec import Choice, Pair
from bench.execution.experiment import Experiment, stated_options
from bench.execution.tune.toml_text import toml_lines
from bench.results.disk import replace_whole, slug
from bench.results.plain import make_folder, remove

NOTE = "# Chosen on the validation rows by bench tune."


def write_snippets(
    experiment: Experiment,
    choices: Iterable[tuple[str, str | dict[str, Any], Pair]],
    folder: Path,
    within: Path,
    *,
    keep: bool,
) -> list[Path]:
    """Write one experiment for each dataset and, where strategies want other options of it, each forecaster.

    Args:
        choices: Each dataset, by its title and as the experiment gives it, with a strategy and its forecaster, options
            as chosen.
        within: The folder of results; below it, nothing is written through a link.
        keep: Whether files for other datasets stay.

    Returns:
        The files, datasets in the order of ``choices``.
    """
    make_folder(folder, within)
    if not keep:
        _remove(folder.glob("*.toml"), within)
    by_dataset: dict[str, tuple[str | dict[str, Any], list[Pair]]] = {}
    for title, dataset, pair in choices:
        by_dataset.setdefault(title, (dataset, []))[1].append(pair)
    written = []
    for title, (dataset, pairs) in by_dataset.items():
        stem = slug(title)
        _remove(folder.glob(f"{stem}.*toml"), within)
        for i, (forecaster, strategies) in enumerate(_by_forecaster(pairs, experiment)):
            path = folder / (f"{stem}.{i + 1}.toml" if i else f"{stem}.toml")
            replace_whole(path, _experiment(experiment, dataset, forecaster, strategies, folder), within)
            written.append(path)
    return written


def _remove(files: Iterable[Path], within: Path) -> None:
    for file in files:
        remove(file, within)


def _by_forecaster(pairs: Sequence[Pair], experiment: Experiment) -> list[tuple[Choice | None, list[Choice]]]:
    """Strategies by the forecaster that they adapt; what adapts none goes with the first."""
    found: dict[str, tuple[Choice | None, list[Choice]]] = {}
    alone = [strategy for strategy, forecaster in pairs if forecaster is None]
    for strategy, forecaster in pairs:
        if forecaster is not None:
            stated = Choice(forecaster.name, stated_options(forecaster, experiment.training))
            key = json.dumps([stated.name, stated.options])
            found.setdefault(key, (stated, [] if found else [*alone]))[1].append(strategy)
    return list(found.values()) or [(None, alone)]


def _experiment(
    experiment: Experiment,
    dataset: str | dict[str, Any],
    forecaster: Choice | None,
    strategies: Iterable[Choice],
    folder: Path,
) -> str:
    plugins = [os.path.relpath(Path(plugin).resolve(), folder.resolve()) for plugin in experiment.plugins]
    values = {
        "name": f"{experiment.name}-tuned",
        "protocol": experiment.protocol,
        "strategies": [_table(strategy) for strategy in strategies],
        "forecasters": [_table(forecaster)] if forecaster else [],
        "datasets": [dataset],
        "seeds": experiment.seeds,
        "training": experiment.training or None,
        "plugins": plugins or None,
    }
    return f"{NOTE}\n{toml_lines(values)}"


def _table(choice: Choice) -> str | dict[str, Any]:
    return {"name": choice.name, **choice.options} if choice.options else choice.name
