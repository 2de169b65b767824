"""What the command line changes of an experiment: a selection, and options by name as ``NAME.FIELD=VALUE``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contracts.config import build
from bench.contracts.errors import BenchError
from bench.contracts.naming import place_of
from bench.contracts.registry import unknown
from bench.evaluation.run_spec import Choice
from bench.execution.experiment import KINDS, Experiment, spread_groups


@dataclass(frozen=True)
class Override:
    """One option of one plug-in.

    Attributes:
        target: ``NAME.FIELD``, as the user wrote it; a field within a field is ``NAME.FIELD.FIELD``.
    """

    target: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Override:
        """Read ``NAME.FIELD=VALUE``.

        Raises:
            BenchError: It is not of that form.
        """
        target, equals, value = text.partition("=")
        target = target.strip()
        if not equals or "." not in target:
            raise BenchError(
                f"{text!r} is not an option of a plug-in: write NAME.FIELD=VALUE, such as titans.memory_model=attention"
            )
        return cls(target, parse_value(value))


def parse_value(text: str) -> Any:
    """A value as in TOML (``1e-5``, ``true``, ``[1, 2]``, ``"text"``); what is none is text as it stands."""
    text = text.strip()
    try:
        value = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if set(value) != {"value"}:  # a line break smuggled in another key
        return text
    return json.loads(json.dumps(value["value"], default=str))  # dates become text, as in an experiment's file


def split_target(target: str, names: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The plug-in and the path of the field that ``NAME.FIELD`` means; a name may itself have dots in it.

    Raises:
        BenchError: None of them is meant; the nearest is suggested.
    """
    names = set(names)
    fitting = [name for name in names if target.startswith(f"{name}.")]
    if not fitting:
        raise unknown("plug-in of this experiment", target.partition(".")[0], names)
    name = max(fitting, key=len)
    fields = tuple(target.removeprefix(f"{name}.").split("."))
    if not all(fields):
        raise BenchError(f"{target!r} names no option: write NAME.FIELD")
    return name, fields


def override(experiment: Experiment, overrides: Iterable[Override]) -> Experiment:
    """An experiment in which some options are others, wherever it names the plug-in.

    Whether a plug-in has such an option, and takes such a value, is found when the experiment is expanded.

    Raises:
        BenchError: The experiment has no such plug-in.
    """
    for change in overrides:
        experiment = _with_option(experiment, change)
    return experiment


def _with_option(experiment: Experiment, change: Override) -> Experiment:
    values = {key: getattr(experiment, key) for key in KINDS}
    values["strategies"] = spread_groups(experiment.strategies)
    choices = {key: [Choice.parse(value, KINDS[key]) for value in values[key]] for key in KINDS}
    name, fields = split_target(change.target, [choice.name for listed in choices.values() for choice in listed])
    update = {}
    for key, listed in choices.items():
        if any(choice.name == name for choice in listed):
            update[key] = [
                {"name": name, **with_value(choice.options, fields, change.value)} if choice.name == name else value
                for choice, value in zip(listed, values[key], strict=True)
            ]
    return experiment.model_copy(update=update)


def with_value(options: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """The same options with the one at the end of a path of names set; None leaves it unset, which is its default."""
    first, *rest = path
    if rest:
        inner = options.get(first, {})
        return {**options, first: with_value(inner if isinstance(inner, dict) else {}, rest, value)}
    others = {key: old for key, old in options.items() if key != first}
    return others if value is None else {**options, first: value}


def filtered(
    experiment: Experiment,
    strategies: Iterable[str] = (),
    datasets: Iterable[str] = (),
    seeds: Iterable[int] = (),
    forecasters: Iterable[str] = (),
    **changes: Any,
) -> Experiment:
    """An experiment with what the command line said.

    Args:
        strategies: Keep only these; one that is not there is added. Empty keeps all. So do other names and seeds.
        **changes: Other fields to replace; None leaves them.
    """
    update: dict[str, Any] = {k: v for k, v in changes.items() if v is not None}
    for (key, kind), names in zip(KINDS.items(), map(list, (strategies, forecasters, datasets)), strict=True):
        if names:
            values = spread_groups(experiment.strategies) if key == "strategies" else getattr(experiment, key)
            update[key] = _keep(values, names, kind)
    if seeds := list(seeds):
        update["seeds"] = seeds
    return build(Experiment, experiment.model_dump() | update, "command line")


def _keep(values: list[str | dict[str, Any]], names: list[str], kind: str) -> list[str | dict[str, Any]]:
    """The values that have one of these names, and the names that no value has."""
    kept: list[str | dict[str, Any]] = []
    for name in names:
        same = [value for value in values if _is_called(value, name, kind)]
        kept += [value for value in same if value not in kept] or [name]
    return kept


def _is_called(value: str | dict[str, Any], name: str, kind: str) -> bool:
    return Choice.parse(value, kind).name == name or (kind == "dataset" and _is_so(value, name))


def _is_so(value: str | dict[str, Any], name: str) -> bool:
    """Whether a dataset is labelled so, or is the file at that path."""
    choice, place = Choice.parse(value, "dataset"), place_of(name, {})
    return name == choice.options.get("label") or (place != "" and place == place_of(choice.name, choice.options))
