"""A model that is there already becomes a forecaster: it passes the checks, its options count, and so does its code."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bench
from bench import BenchError, Task, load_plugins, load_results
from bench.contracts.forecaster import FORECASTERS, Pairs, abilities
from bench.testing import check_forecaster

from ..conftest import Bench, Write, forgetting

pytestmark = pytest.mark.usefixtures("registries")


class Affine(nn.Module):
    """One linear map of the flattened window."""

    def __init__(self, lookback: int, horizon: int, inputs: int, targets: int, scale: float = 1.0) -> None:
        super().__init__()
        self.shape, self.scale = (horizon, targets), scale
        self.map = nn.Linear(lookback * inputs, horizon * targets)

    def forward(self, windows: Tensor) -> Tensor:
        made: Tensor = self.map(windows.flatten(1)).unflatten(1, self.shape)
        return self.scale * made


class LeastSquares:
    """A regressor of scikit-learn's kind."""

    def __init__(self, penalty: float = 1e-3) -> None:
        self.penalty = penalty

    def get_params(self) -> dict[str, Any]:
        return {"penalty": self.penalty, "verbose": None}

    def set_params(self, penalty: float) -> None:
        self.penalty = penalty

    def fit(self, x: Any, y: Any) -> LeastSquares:
        self.weights = np.linalg.solve(x.T @ x + self.penalty * np.eye(x.shape[1]), x.T @ y)
        return self

    def predict(self, x: Any) -> Any:
        return x @ self.weights


def last_value(windows: Tensor, horizon: int, factor: float = 1.0) -> Tensor:
    """The last value."""
    return factor * windows[:, -1:].repeat(1, horizon, 1)


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (Affine, {}),
        (lambda task: Affine(task.lookback, task.horizon, task.inputs, task.targets), {"kind": "module"}),
        (LeastSquares(), {}),
        (LeastSquares, {}),
        (lambda: LeastSquares(0.1), {"kind": "regressor", "shared": False}),
        (last_value, {"kind": "zero-shot", "provides": {"any-window"}}),
        (partial(last_value, factor=0.5), {"kind": "zero-shot"}),
        (lambda windows, horizon: windows[:, -1:].repeat(1, horizon, 1).numpy(), {"kind": "zero-shot"}),
    ],
)
def test_each_kind_of_model_passes_the_checks_of_forecasters(model: Any, given: dict[str, Any]) -> None:
    cls = bench.wrap("wrapped", model, **given)
    checked = check_forecaster("wrapped")
    hidden = [line for line in checked if "targets hidden" in line]
    assert len(hidden) == 1
    assert hidden[0].startswith("refused") == (given.get("kind") == "zero-shot")
    assert ("gradients" in abilities(cls)) == (model is Affine or given.get("kind") == "module")


@pytest.mark.parametrize("shared", [True, False])
def test_a_regressor_sees_a_row_for_each_target_or_for_each_window(shared: bool) -> None:
    cls = bench.wrap("wrapped", LeastSquares, shared=shared)
    inputs = torch.randn(40, 3)
    pairs = Pairs(inputs, inputs[:, [2, 0]].clone(), torch.arange(4, 38), 4, 2)
    pairs.targets[20, 0] = np.nan
    forecaster = cls(cls.Config(), Task(4, 2, 3, 2, (2, 0)))
    forecaster.fit(pairs, pairs)
    windows, truths = pairs.take(slice(None))
    if shared:
        x = torch.cat([windows[..., 2], windows[..., 0]])
        y = torch.cat([truths[..., 0], truths[..., 1]])
    else:
        x, y = windows.flatten(1), truths.flatten(1)
    known = ~y.isnan().any(dim=1)
    alone = LeastSquares().fit(x[known].double().numpy(), y[known].double().numpy())
    made = alone.predict(x.double().numpy())
    expected = np.stack(np.split(made, 2), axis=2) if shared else made.reshape(-1, 2, 2)
    np.testing.assert_allclose(forecaster(windows), expected, atol=1e-5)


def test_defaults_that_are_numbers_become_options() -> None:
    module, regressor = bench.wrap("a", Affine, training={"steps": 7}), bench.wrap("b", LeastSquares)
    instance, function = bench.wrap("c", LeastSquares(4.0)), bench.wrap("d", last_value, kind="zero-shot")
    assert module.Config().training.steps == 7
    task = Task(4, 2, 1, 1, (0,))
    assert module(module.Config(scale=3.0), task).wrapped.scale == 3.0
    assert regressor(regressor.Config(penalty=2.0), task).regressor.penalty == 2.0
    assert instance(instance.Config(), task).regressor.penalty == 4.0
    assert instance(instance.Config(penalty=2.0), task).regressor.penalty == 2.0
    assert function(function.Config(factor=2.0), task)(torch.ones(1, 4, 1)).tolist() == [[[2.0], [2.0]]]


def test_a_regressor_that_is_given_is_never_fitted_itself() -> None:
    given = LeastSquares()
    cls = bench.wrap("wrapped", given)
    forecaster = cls(cls.Config(), Task(2, 1, 1, 1, (0,)))
    pairs = Pairs(torch.randn(9, 1), torch.randn(9, 1), torch.arange(2, 8), 2, 1)
    forecaster.fit(pairs, pairs)
    assert not hasattr(given, "weights")


def test_a_regressor_may_be_fitted_on_some_windows_evenly_spaced() -> None:
    cls = bench.wrap("wrapped", LeastSquares())
    rows = torch.randn(60, 1)
    pairs = Pairs(rows, rows, torch.arange(4, 55), 4, 2)
    some, alone = (cls(cls.Config(fit_windows=n), Task(4, 2, 1, 1, (0,))) for n in (11, None))
    some.fit(pairs, pairs)
    alone.fit(replace(pairs, origins=pairs.origins[::5]), pairs)
    np.testing.assert_array_equal(some.regressor.weights, alone.regressor.weights)


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (last_value, {}, "cannot tell what .* is. Say kind='module'"),
        (nn.Linear(2, 2), {}, "cannot tell what an instance of Linear is"),
        (nn.Linear(2, 2), {"kind": "module"}, "give a class or a function"),
        (max, {"kind": "zero-shot"}, "the parameters of <built-in function max> cannot be read"),
        (3, {"kind": "zero-shot"}, "give a class or a function"),
        (nn.Linear, {}, "parameter 'in_features' has no default, and is none of task, lookback"),
        (Affine, {"training": {"stepz": 3}}, "unknown option 'stepz'. Did you mean 'steps'"),
        (Affine, {"kind": "network"}, "kind should be one of module, regressor, zero-shot"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(model: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        bench.wrap("wrapped", model, **given)
    assert "wrapped" not in FORECASTERS


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (lambda: nn.Flatten(), "module", r"gives \(2, 4\) for windows .* expected \(B, H, C_out\) = \(2, 2, 1\)"),
        (lambda: nn.Linear(7, 1), "module", r"fails on windows \(B, L, C_in\) = \(2, 4, 1\): RuntimeError"),
        (lambda: 3, "module", "made a int, which is no torch.nn.Module"),
        (lambda: 3, "regressor", "made a int, which has no fit and predict"),
    ],
)
def test_a_model_that_cannot_serve_a_task_refuses_it(model: Any, kind: Any, message: str) -> None:
    cls = bench.wrap("wrapped", model, kind=kind)
    with pytest.raises(BenchError, match=message):
        cls(cls.Config(), Task(4, 2, 1, 1, (0,)))


# Its code


NETWORK = """
    import torch
    from .layers import Layer

    class Network(torch.nn.Module):
        "A network in several files."

        def __init__(self, lookback, horizon):
            super().__init__()
            self.layer = Layer(lookback, horizon)

        def forward(self, windows):
            return self.layer(windows.transpose(1, 2)).transpose(1, 2)
"""
LAYERS = """
    import torch

    class Layer(torch.nn.Linear):
        def forward(self, rows):
            return {factor} * super().forward(rows)
"""
PLUGIN = """
    import importlib
    import bench

    network = importlib.import_module(f"{__package__}.own")  # by a name that no reader of the text can tell
    bench.wrap("own-network", network.Network, training={"steps": 6, "batch": 8, "evaluations": 2})

    class Mean:
        def fit(self, x, y):
            self.mean = y.mean(axis=0)

        def predict(self, x):
            return x[:, -1:] * 0 + self.mean

    bench.wrap("own-mean", Mean())

    def last(windows, horizon):
        return windows[:, -1:].repeat(1, horizon, 1)

    bench.wrap("own-last", last, kind="zero-shot")
"""


def plugin(write: Write, folder: str, factor: int) -> Path:
    write(f"{folder}/own/__init__.py", NETWORK)
    write(f"{folder}/own/layers.py", LAYERS.format(factor=factor))
    return write(f"{folder}/mine.py", PLUGIN)


def test_all_files_of_a_model_and_the_code_that_wraps_it_decide_its_identity(write: Write) -> None:
    codes, files = {}, {}
    for folder, factor in (("a", 1), ("b", 1), ("c", 2)):
        with forgetting():
            load_plugins([plugin(write, folder, factor)])
            entries = {name: FORECASTERS[f"own-{name}"] for name in ("network", "mean")}
            files = {name: {*entry.code.files} for name, entry in entries.items()}
            codes[folder] = {name: entry.sha for name, entry in entries.items()}
    assert {"mine.py", "bench/forecasters/wrapped.py"} <= files["mean"]
    assert files["network"] == files["mean"] | {"own/__init__.py", "own/layers.py"}
    assert codes["a"] == codes["b"]
    assert codes["a"]["network"] != codes["c"]["network"]
    assert codes["a"]["mean"] == codes["c"]["mean"]


def test_a_model_without_a_file_is_refused() -> None:
    module = ModuleType("typed_in")
    exec("class Typed:\n    def fit(self, x, y): ...\n    def predict(self, x): ...\n", vars(module))
    sys.modules["typed_in"] = module
    try:
        with pytest.raises(BenchError, match="the source of module 'typed_in' cannot be read"):
            bench.wrap("wrapped", module.Typed)
    finally:
        del sys.modules["typed_in"]


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_wrapped_models_are_served_from_a_plug_in_s_file(
    engine: str, bench: Bench, tiny: Path, write: Write, tmp_path: Path
) -> None:
    words = [word for name in ("network", "mean", "last") for word in ("--forecaster", f"own-{name}")]
    ran = bench(
        "run", tiny, "--plugins", plugin(write, "a", 1), "--strategy", "frozen", "--strategy", "ogd", *words,
        "--seed", "0", "--engine", engine,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    runs = load_results(tmp_path / "results")
    ok = runs[runs["status"] == "ok"]
    assert {*zip(ok["strategy"], ok["forecaster"], strict=True)} >= {
        ("frozen", "own-network"), ("ogd", "own-network"), ("frozen", "own-mean"), ("frozen", "own-last"),
    }  # fmt: skip
    assert set(runs["status"]) <= {"ok", "skipped"}


def test_a_report_marks_results_on_data_that_a_model_may_have_been_trained_on(
    bench: Bench, tiny: Path, write: Write, tmp_path: Path
) -> None:
    text = PLUGIN.replace('kind="zero-shot")', 'kind="zero-shot", trained_on=("etth2", "csv:wav*"))')
    write("a/own.py", NETWORK.replace("from .layers import Layer", "Layer = torch.nn.Linear"))
    words = ["--forecaster", "own-last", "--forecaster", "own-mean", "--strategy", "frozen", "--seed", "0"]
    ran = bench("run", tiny, "--plugins", write("a/mine.py", text), *words)
    assert ran.status == 0, ran.err
    report = (tmp_path / ran.out.strip()).read_text(encoding="utf-8")
    answer, *marked = [line for line in report.splitlines() if "ay have seen the data" in line]
    assert answer.startswith("**May have seen the data**: own-last on csv:waves.csv")
    assert "own-mean" not in answer
    assert marked
    assert all(line.startswith("| frozen + own-last") for line in marked)
    pooled = bench("leaderboard", "results")
    assert pooled.status == 0, pooled.err
    (marked_there,) = [line for line in pooled.out.splitlines() if "may have seen the data" in line]
    assert "frozen + own-last" in marked_there


def test_a_file_in_a_working_folder_counts_if_all_that_it_does_is_wrap(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "from bench import wrap\nwrap('at-hand', lambda windows, horizon: windows[:, :horizon], kind='zero-shot')\n"
    write("adapters/short.py", text)
    write("adapters/broken.py", "import bench\nbench.wrap('gone', None)\n")
    (broken,) = load_plugins()
    assert "at-hand" in FORECASTERS
    assert broken.names[1] == ("gone",)
