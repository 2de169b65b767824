"""Records of earlier versions: read as if they were of today's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.results.record import SCHEMA_VERSION

Values = dict[str, Any]


def _unchanged(values: Values) -> Values:
    return values


MIGRATIONS: dict[int, Callable[[Values], Values]] = {  # from each version to the next
    1: _unchanged,  # had no seal, and is read without one
    2: _unchanged,  # did not say which harness and checkpoint a run used
    3: _unchanged,  # held MSE, MAE and RMSE, and no other metrics
}


def migrated(values: Values) -> Values:
    """A record's values in today's version; `KeyError` for a version that never was."""
    for version in range(values["schema_version"], SCHEMA_VERSION):
        values = MIGRATIONS[version](values) | {"schema_version": version + 1}
    return values
