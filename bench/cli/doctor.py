"""``bench doctor``: what a report of a fault needs: versions, device, threads, disk, data, plug-ins."""

from __future__ import annotations

import json
import os
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.contracts.errors import BenchError
from bench.execution.console import load_all, out, print_table

EXTRAS = {
    "drift": ("ruptures",),
    "datasets": ("river",),
    "detectors": ("river",),
    "ray": ("ray",),
    "trackers": ("mlflow", "tensorboard", "wandb"),
}
"""Extras of this distribution, and the modules that each brings."""

VARIABLES = ("BENCH_DATA_DIR", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "RAY_ADDRESS", "NO_COLOR")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Versions, device, threads, disk, and which data and plug-ins are there: for a first look, and for bug reports."""
    found = examined()
    if as_json:
        out.print(json.dumps(found, indent=2))
        return
    print_table("", ("what", "found"), [(name, _text(value)) for name, value in found.items()])


def examined() -> dict[str, Any]:
    """What there is, by name; a place or a device that cannot be used says why."""
    from bench.contracts.discovery import home
    from bench.results.provenance import git_state, packages

    torch_is_here = _imports_torch()
    broken = load_all() if torch_is_here else []
    disk = shutil.disk_usage(Path.cwd())
    return {
        **packages(),
        "code": git_state() or "not a checkout",
        "python": platform.python_version(),
        "platform": platform.platform(),
        **(_device() if torch_is_here else {"device": "torch is not installed: only reports can be made"}),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
        "disk here": f"{disk.free / 1e9:.1f} of {disk.total / 1e9:.1f} GB free",
        "extras": {name: all(map(find_spec, modules)) for name, modules in EXTRAS.items()},
        **(_data() if torch_is_here else {}),
        "built-in plug-ins": str(home()),
        "plug-ins that cannot be loaded": [str(file) for file in broken],
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def _imports_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def _device() -> dict[str, Any]:
    import torch

    from bench.evaluation.profiling.clocks import device_name, resolve_device

    device = resolve_device("auto")
    build = (torch.version.cuda and f"CUDA {torch.version.cuda}") or (torch.version.hip and f"ROCm {torch.version.hip}")
    return {
        "device": f"{device} ({device_name(device)})",
        "torch build": build or "CPU",
        "threads": f"{torch.get_num_threads()} by default; an experiment's runs have 1 each, or `threads`",
    }


def _memory() -> str:
    import psutil

    memory = psutil.virtual_memory()
    return f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"


def _data() -> dict[str, Any]:
    from bench.contracts.dataset import DATASETS
    from bench.data.download import cache_folder, data_folder, locate

    try:
        folder: Path | str | None = data_folder()
    except BenchError as error:
        return {"data folder": str(error)}
    files = {entry.name: entry.cls.remote_file for entry in DATASETS if entry.cls.remote_file}
    here = sorted(name for name, file in files.items() if locate(file))
    return {
        "data folder": str(folder or cache_folder()),
        "data here": here,
        "data to fetch": sorted({*files} - {*here}),
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{key}: {'yes' if one is True else 'no' if one is False else one}" for key, one in value.items()
        )
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


def start(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Which way of adapting a forecaster at test time is worth its cost?"""
    if version:
        from bench import __version__

        out.say(f"adaptbench {__version__}")
        raise typer.Exit
