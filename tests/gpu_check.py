"""``make gpu-check``: what a machine with an accelerator has to show, in 8 minutes, as a report.

It runs the leak canary, a small experiment with its timing pass, which serves each run's first blocks again while later
rows are hidden, both Titans engines side by side, and a throughput table. Without an accelerator it says so, and ends.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from bench import BenchError, load_results
from bench.contracts.config import build
from bench.contracts.forecaster import Task
from bench.evaluation.isolation import seeded
from bench.evaluation.profiling.clocks import device_name, resolve_device, stopwatch
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.report.blocks import Block, Heading, Paragraph, Table
from bench.report.render.markdown import render
from bench.results.provenance import git_state, packages
from bench.results.store import Store, experiments_in

from .small_titans import ROW_TOKENS

SECONDS = 480.0
L, H, CHANNELS = 96, 24, 7
TASK = Task(L, H, CHANNELS, CHANNELS, tuple(range(CHANNELS)))
OPTIONS = ROW_TOKENS | {"dim": 64, "depth": 2, "neural_memory_segment_len": 24}
BATCHES = (1, 32)
CLOSE = 1e-3
"""Largest difference of forecasts, as a share of their largest, at which two engines in float32 agree."""

EXPERIMENT = """
name = "gpu-check"
protocol = {{ lookback = 96, horizon = 24 }}
strategies = ["persistence", "frozen", "ogd", "titans-a", "titans-c", "titans-d"]
forecasters = ["dlinear", {{ name = "titans", dim = 32, depth = 1 }}]
datasets = ["realistic-drift"]
device = "{device}"
engine = "serial"
training = {{ steps = 100 }}
timing_blocks = 20
timeout = 120
"""


@dataclass(frozen=True)
class Deadline:
    """When the check has to be done."""

    at: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.at - time.monotonic()


def titans(device: torch.device, *, engine: str = "fast", compiled: bool = False) -> Titans:
    """A Titans model, its weights the same on each device and with each engine."""
    options = OPTIONS | {"memory_engine": engine, "compile": compiled}
    with seeded(0):
        model = Titans(build(TitansConfig, options, "forecaster 'titans'"), TASK)
    return model.to(device).eval()


def windows(batch: int, device: torch.device) -> Tensor:
    """Windows (B, L, C), the same on each device."""
    return torch.randn(batch, L, CHANNELS, generator=torch.Generator().manual_seed(0)).to(device)


@torch.no_grad()
def parity(device: torch.device) -> list[tuple[str, int, float]]:
    """Largest differences of forecasts: against the library's own modules, and against the CPU; as `CLOSE`."""
    fast, library, host = titans(device), titans(device, engine="reference"), titans(torch.device("cpu"))
    found = []
    for batch in BATCHES:
        ours = fast(windows(batch, device)).cpu()
        for name, model, place in (("the library, same device", library, device), ("the CPU", host, host_device())):
            theirs = model(windows(batch, place)).cpu()
            found.append((name, batch, float((ours - theirs).abs().max() / theirs.abs().max())))
    return found


def host_device() -> torch.device:
    """The CPU."""
    return torch.device("cpu")


@torch.no_grad()
def milliseconds(step: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median time of a step, after some that do not count."""
    for _ in range(3):
        step()
    watch = stopwatch(device)
    for _ in range(rounds):
        with watch:
            step()
    return float(torch.tensor(watch.milliseconds()).median())


@torch.no_grad()
def captured(model: Titans, x: Tensor) -> Callable[[], object]:
    """A forward pass as one CUDA graph; raises where the model does what a graph cannot hold."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model(x)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x)
    return graph.replay


def ways(device: torch.device, x: Tensor) -> Iterator[tuple[str, Callable[[], Callable[[], object]]]]:
    """Ways of making the same forecasts, each as a function that prepares a step."""

    def plain(compiled: bool) -> Callable[[], object]:
        model = titans(device, compiled=compiled)
        return lambda: model(x)

    yield "eager", lambda: plain(False)
    yield "compiled", lambda: plain(True)
    if device.type == "cuda":
        yield "CUDA graph", lambda: captured(titans(device), x)


def throughput(
    device: torch.device, deadline: Deadline, rounds: int = 50, only: tuple[str, ...] = ()
) -> list[tuple[str, int, str, str]]:
    """How, B, milliseconds for a forward pass, and windows/s; or the reason why there is none."""
    found = []
    for batch in BATCHES:
        x = windows(batch, device)
        for how, prepare in ways(device, x):
            if only and how not in only:
                continue
            if deadline.left < 0:
                found.append((how, batch, "left out: no time was left", ""))
                continue
            try:
                with torch.no_grad():
                    took = milliseconds(prepare(), device, rounds)
            except Exception as error:  # what a backend cannot do is a line of the report
                found.append((how, batch, f"not possible: {type(error).__name__}", ""))
            else:
                found.append((how, batch, f"{took:.3f}", f"{1000 * batch / took:,.0f}"))
    return found


def served(device: torch.device, folder: Path, deadline: Deadline) -> list[tuple[str, ...]]:
    """Runs of a small experiment: how they ended, their audit, their replay, and their timing passes.

    Raises:
        BenchError: No run was made.
    """
    file = folder / "gpu-check.toml"
    file.write_text(EXPERIMENT.format(device=device.type), encoding="utf-8")
    command = [sys.executable, "-m", "bench", "run", str(file), "--results", str(folder / "results")]
    command += ["--reports", str(folder / "reports")]
    try:
        subprocess.run(command, check=False, timeout=max(1.0, deadline.left))
    except subprocess.TimeoutExpired:
        print("The experiment did not end in time; what was done is reported.")
    rows, (store,) = [], map(Store, experiments_in(folder / "results"))
    for run in load_results(folder / "results").to_dict("records"):
        timing = store.read_timing(run["run_id"])
        replay = timing.replay.verdict if timing and timing.replay else "none"
        numbers = [f"{run[name]:.3g}" for name in ("windows_per_s", "predict_p50_ms", "adapt_p50_ms")]
        rows.append((run["strategy"], run["forecaster"], run["status"], run["audit"], replay, run["device"], *numbers))
    return rows


def report(device: torch.device, folder: Path, deadline: Deadline) -> tuple[list[Block], bool]:
    """The report, and whether all is well: runs that ended, canaries that passed, engines that agree."""
    versions = ", ".join(f"{name} {packages()[name]}" for name in ("adaptbench", "torch"))
    commit = str(git_state().get("commit", ""))[:8] or "no checkout"
    made = f"{device_name(device)} ({device.type}), {versions}, commit {commit}, {datetime.now(UTC):%Y-%m-%d}"
    blocks: list[Block] = [Heading("Check on an accelerator", 1), Paragraph(made)]
    agree = parity(device)
    well = all(difference <= CLOSE for *_, difference in agree)
    blocks += [
        Heading("Titans: our engine against others"),
        Table(["against", "B", "largest difference"], [[name, str(b), f"{d:.1e}"] for name, b, d in agree]),
        Paragraph(f"Of forecasts, as a share of the largest; at most {CLOSE:g} is expected."),
        Heading("Throughput of a Titans forward pass"),
        Table(
            ["how", "B", "ms", "windows/s"],
            [[how, str(b), *numbers] for how, b, *numbers in throughput(device, Deadline(deadline.at - SECONDS / 2))],
        ),
    ]
    try:
        runs = served(device, folder, deadline)
    except BenchError as error:
        return [*blocks, Paragraph(f"No run was made: {error}")], False
    heads = ["strategy", "forecaster", "status", "canary", "replay", "device", "windows/s", "predict, ms", "adapt, ms"]
    blocks += [
        Heading("Runs, with the leak canary and the timing pass"),
        Table(heads, list(map(list, runs)), text_columns=6),
    ]
    well &= all(row[2] != "failed" and row[3] != "failed" and row[4] not in ("leaks", "differs") for row in runs)
    return blocks, well


def main(name: str = "auto", folder: Path = Path("reports/gpu-check")) -> int:
    """Exit status: 0 if all is well or there is no accelerator, 1 otherwise."""
    device = resolve_device(name)
    if name == "auto" and device.type == "cpu":
        print("No accelerator on this machine: there is nothing to check.")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    blocks, well = report(device, folder, Deadline(time.monotonic() + SECONDS))
    page = folder / "README.md"
    page.write_text(render(blocks), encoding="utf-8")
    print(f"{page}: {'all is well' if well else 'something is wrong'}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "auto"))
