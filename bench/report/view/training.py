"""How forecasters were trained: what their runs recorded of it, a row for each training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.report.view.detail import detailed
from bench.report.view.loaded import Results, derived
from bench.results.record import Record
from bench.results.store import TRAINING

REFERENCES = ("ridge", "seasonal_naive", "persistence")
STRONG = ("ridge", "seasonal_naive")
"""What a forecaster must beat on validation, so that adapting it is worth a question."""

FEWEST_LOOKS = 5
LEAST = 0.01
"""Share of an error below which a difference counts for nothing."""


@derived
def trainings(results: Results) -> pd.DataFrame:
    """A row for each training by gradients or in closed form that a run in full tables used.

    Returns:
        Columns ``scenario, forecaster`` (with options, as tables name it), ``seed, steps, budget, kept`` (the step of
        the weights that were kept), ``converged, error`` (where training stopped, by its own objective), ``windows,
        validation, ridge, seasonal_naive, persistence`` (of `bench.results.record.Validation`), ``curve`` (arrays of
        steps and validation errors, or None). What was not recorded is NaN or None.
    """
    runs = results.ok[(results.ok["base"] != "none") & results.ok["scenario"].isin(detailed(results))]
    first = runs.drop_duplicates(["scenario", "base", "seed"]).sort_values(["scenario", "base", "seed"], kind="stable")
    rows = []
    for run_id, scenario, base, seed in first[["run_id", "scenario", "base", "seed"]].itertuples(index=False):
        record = results.records[run_id]
        found = record.validation
        row = {"scenario": scenario, "forecaster": base, "seed": seed, **_training(record, _curve(results, run_id))}
        row |= {"windows": found.windows if found else 0, "validation": found.forecaster if found else np.nan}
        rows.append(row | {name: getattr(found, name) if found else np.nan for name in REFERENCES})
    return pd.DataFrame(rows)


@derived
def pooled_trainings(results: Results) -> pd.DataFrame:
    """`trainings` of each forecaster on each scenario, brought together over seeds.

    Returns:
        Columns ``scenario, forecaster, seeds, steps, most_steps, kept, most_kept, budget, trained, converged``
        (numbers of seeds), ``validation, spread, ridge, seasonal_naive, persistence``, ``weak``: what of `STRONG` the
        mean over seeds is above, by more than `LEAST` of it.
    """
    found = trainings(results)
    if found.empty:
        return found
    rows = []
    for (scenario, forecaster), here in found.groupby(["scenario", "forecaster"], sort=False):
        mean = here[["validation", *REFERENCES]].mean()
        trained = here[here["steps"].notna()]
        rows.append(
            {"scenario": scenario, "forecaster": forecaster, "seeds": len(here)}
            | {"steps": trained["steps"].min(), "most_steps": trained["steps"].max()}
            | {"kept": trained["kept"].min(), "most_kept": trained["kept"].max(), "budget": trained["budget"].max()}
            | {"trained": len(trained), "converged": int(trained["converged"].sum())}
            | {**mean, "spread": here["validation"].std()}
            | {"weak": [name for name in STRONG if mean["validation"] > (1 + LEAST) * mean[name]]}
        )
    return pd.DataFrame(rows)


def _curve(results: Results, run_id: str) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Steps and validation errors of the looks, and the last step; None where nothing was trained by gradients."""
    read = results.store.read_columns(run_id, TRAINING, ["step", "validation_error"])
    return None if read is None else (read["step"], read["validation_error"])


def _training(record: Record, curve: tuple[NDArray[Any], NDArray[Any]] | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("steps", "budget", "kept", "error"), np.nan)
    looked = np.isfinite(curve[1]) if curve is not None else np.empty(0, dtype=bool)
    if curve is None or not looked.any():
        return nothing | {"converged": False, "curve": None}
    steps, at, errors = curve[0], curve[0][looked], curve[1][looked]
    best = int(errors.argmin())
    return {
        "steps": int(steps[-1]),
        "budget": budget_of(record),
        "kept": int(at[best]),
        "error": float(errors[best]),
        "converged": has_converged(errors, int((record.training or {}).get("patience", 0))),
        "curve": (at, errors),
    }


def budget_of(record: Record) -> float:
    """Steps that a training may take at most; NaN where its settings are not recorded."""
    training, protocol = record.training or {}, record.protocol
    if training.get("steps"):
        return float(training["steps"])
    pairs = record.dataset.borders[0] - protocol.lookback - protocol.horizon + 1
    if "epochs" in training and "batch" in training:
        return float(training["epochs"] * -(-pairs // training["batch"]))
    return float("nan")


def has_converged(errors: NDArray[Any], patience: int) -> bool:
    """Whether validation errors, look by look, stopped improving.

    They did where ``patience`` looks in a row found no lower error, or where the last quarter of the looks lowered the
    lowest error by less than `LEAST`. Fewer than four looks after the first say nothing.
    """
    if len(errors) < FEWEST_LOOKS:
        return False
    if patience and len(errors) - 1 - int(errors.argmin()) >= patience:
        return True
    before = errors[: -(len(errors) // 4)]
    return bool(errors.min() > (1 - LEAST) * before.min())
