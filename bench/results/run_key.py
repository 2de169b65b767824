"""What a run is, apart from versions of code and data: by this, runs of two versions are told to be the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.contracts.naming import PLACES, Called, plain_options
from bench.results.plain import parse_json

if TYPE_CHECKING:
    from bench.contracts.protocol import Protocol
    from bench.results.record import Record

Named = tuple[str, dict[str, Any]]
"""A plug-in's name, and the options that were given to it."""


def called(record: Record, key: str) -> Record:
    """A record whose dataset is called as a list of runs has it: its file may have another name now, or a label."""
    now = record.dataset.called
    try:
        _, _, _, name, options, *_ = parse_json(key)
        listed = Called.of(name, options, now.fingerprint)
    except (ValueError, TypeError, AttributeError, KeyError):
        return record
    listed = listed if listed.is_file and now.is_file else replace(now, label=listed.label)
    return record if listed == now else record.with_dataset(listed.name, listed.given)


def key_of_record(record: Record) -> str:
    """The key of a recorded run; options that a protocol gained since then are at their defaults."""
    forecaster = (record.forecaster.name, record.forecaster.given) if record.forecaster else None
    given = {key: value for key, value in record.dataset.given.items() if key not in PLACES}
    dataset = record.dataset.name, given
    return run_key((record.strategy.name, record.strategy.given), forecaster, dataset, record.protocol, record.seed)


def named_in(key: str) -> tuple[str, str, str] | None:
    """Strategy with its forecaster, dataset and seed of a run key; None if the text is none."""
    try:
        strategy, _, forecaster, name, options, _, seed = parse_json(key)
        data = Called.of(name, options, "")
        return f"{strategy} ({forecaster[0]})" if forecaster else str(strategy), data.label or data.name, str(seed)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def run_key(strategy: Named, forecaster: Named | None, dataset: Named, protocol: Protocol, seed: int) -> str:
    """The key of a run: a line of JSON."""
    named = [[name, plain_options(options)] for name, options in (strategy, forecaster or ("", {}))]
    what = [*named[0], named[1] if forecaster else None, *dataset]
    return json.dumps([*what, protocol.model_dump(), seed], sort_keys=True)
