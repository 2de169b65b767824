"""What one run leaves behind in its process: found, put back, said, and without a trace in the next run's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench import register_strategy
from bench.record import Record
from bench.run import execute
from bench.run_spec import Choice, RunSpec
from bench.store import ORIGINS

from .saboteurs import SABOTAGES, SETTINGS, leaves
from .served_runs import place_in, run_of

pytestmark = pytest.mark.usefixtures("registries")


TRAINING = {"steps": 3, "batch": 8, "evaluations": 1}


def honest(run: RunSpec) -> RunSpec:
    """A run beside another that trains, draws and computes: in torch with gradients, and in numpy."""
    return replace(run, strategy=Choice("retrain", {}), forecaster=Choice("dlinear", {"training": TRAINING}))


def served(run: RunSpec, folder: Path) -> tuple[Record, pd.DataFrame]:
    record, frames = execute(run, place_in(folder))
    assert record.status == "ok", record.traceback
    return record, frames[ORIGINS]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    from .conftest import forgetting

    with forgetting():
        record, frame = served(honest(run_of("persistence")), tmp_path_factory.mktemp("alone"))
    assert (record.left, record.beside) == ([], [])
    return frame


def groups(names: Iterable[str], size: int) -> list[list[str]]:
    listed = list(names)
    return [listed[i : i + size] for i in range(0, len(listed), size)]


@pytest.mark.parametrize("names", groups(SABOTAGES, 8), ids="-".join)
def test_what_a_run_leaves_is_said_and_reaches_no_other(names: list[str], alone: pd.DataFrame, tmp_path: Path) -> None:
    run = run_of("persistence")
    for number, name in enumerate(names):
        sabotage, said = SABOTAGES[name]
        register_strategy(f"leaves-{number}")(leaves(sabotage))
        record, _ = execute(replace(run, strategy=Choice(f"leaves-{number}", {})), place_in(tmp_path))
        assert any(said in what for what in record.left), (name, record.left, record.reason)
    _, frame = served(honest(run), tmp_path)
    pd.testing.assert_frame_equal(alone, frame, check_exact=True)


@pytest.mark.parametrize("names", groups(SETTINGS, 9), ids="-".join)
def test_settings_are_every_run_s_own(names: list[str], alone: pd.DataFrame, tmp_path: Path) -> None:
    """A strategy may set them for itself: nothing is said, and no other run hears of it."""
    run = run_of("persistence")
    for number, name in enumerate(names):
        register_strategy(f"sets-{number}")(leaves(SETTINGS[name]))
        record, _ = execute(replace(run, strategy=Choice(f"sets-{number}", {})), place_in(tmp_path))
        assert (record.left, record.beside) == ([], []), name
    record, frame = served(honest(run), tmp_path)
    pd.testing.assert_frame_equal(alone, frame, check_exact=True)
    assert (record.left, record.beside) == ([], [])
