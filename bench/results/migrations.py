"""Records of earlier versions: read as if they were of today's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.results.record import SCHEMA_VERSION

Values = dict[str, Any]


def _unchanged(values: Values) -> Values:
    return values


SAID: dict[str, Values] = {
    "frozen": {"adapts": False, "colour": "#222222"},
    "persistence": {"adapts": False, "colour": "#707070"},
    "seasonal-naive": {"adapts": False, "colour": "#a58f73"},
    "rls": {"colour": "#e69f00"},
    "retrain": {"colour": "#009e73"},
    "titans-a": {"ablation_of": {"writing within the window": "frozen"}, "colour": "#56b4e9"},
    "titans-b": {
        "ablation_of": {
            "carrying the memory": "titans-a",
            "writing on during service": "titans-b-stale",
            "writing in order": "titans-b-shuffled",
            "carrying exactly": "titans-b-window",
        },
        "colour": "#0072b2",
    },
    "titans-b-shuffled": {"colour": "#882255"},
    "titans-b-stale": {"colour": "#cc79a7"},
    "titans-b-window": {"colour": "#332288"},
    "titans-c": {"ablation_of": {"training the backbone": "titans-b"}, "colour": "#d55e00"},
}
"""What the strategies of version 3 would have said of themselves."""

TOKENS, ERRORS = "tokens (needs no labels)", "errors (learns from matured labels)"
REMEMBERS = {"titans-a": TOKENS, "titans-b": TOKENS, "titans-d": ERRORS, "error-memory": ERRORS}
"""What the strategies of version 4 would have said that they remember."""


def _statements_came(values: Values) -> Values:
    """Version 3 held MSE, MAE and RMSE and no other metrics, and not what strategies say of themselves."""
    strategy = values["strategy"]
    return values | {"strategy": strategy | (SAID.get(strategy["name"], {}) if strategy.get("group") != "user" else {})}


def _memories_and_validation_came(values: Values) -> Values:
    """Version 4 did not say what strategies remember, nor how a forecaster and its references validated."""
    strategy = values["strategy"]
    of = REMEMBERS.get(strategy["name"], "") if strategy.get("group") != "user" else ""
    return values | {"strategy": strategy | {"memory_of": of}}


MIGRATIONS: dict[int, Callable[[Values], Values]] = {  # from each version to the next
    1: _unchanged,  # had no seal, and is read without one
    2: _unchanged,  # did not say which harness and checkpoint a run used
    3: _statements_came,
    4: _memories_and_validation_came,
}


def migrated(values: Values) -> Values:
    """A record's values in today's version; `KeyError` for a version that never was."""
    for version in range(values["schema_version"], SCHEMA_VERSION):
        values = MIGRATIONS[version](values) | {"schema_version": version + 1}
    return values
