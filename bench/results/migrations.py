"""Records of earlier versions: read as if they were of today's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.results.record import SCHEMA_VERSION

Values = dict[str, Any]


def _seals_came(values: Values) -> Values:
    """Version 1 had no seal: such a record is read without one, otherwise unchanged."""
    return values


def _code_came(values: Values) -> Values:
    """Version 2 did not say which harness and checkpoint a run used."""
    return values


def _metrics_came(values: Values) -> Values:
    """Version 3 held MSE, MAE and RMSE, and no other metrics."""
    return values


MIGRATIONS: dict[int, Callable[[Values], Values]] = {1: _seals_came, 2: _code_came, 3: _metrics_came}
"""From each version to the next."""


def migrated(values: Values) -> Values:
    """A record's values in today's version; `KeyError` for a version that never was."""
    for version in range(values["schema_version"], SCHEMA_VERSION):
        values = MIGRATIONS[version](values) | {"schema_version": version + 1}
    return values
