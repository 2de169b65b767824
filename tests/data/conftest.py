"""The built-in datasets, loaded by file, and no way to the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import DriftSeries
from bench.contracts.dataset import RemoteFile, resolve_dataset
from bench.contracts.discovery import home
from bench.contracts.plugin_import import load as load_plugin
from bench.contracts.plugin_import import plugins_in
from bench.data import download
from bench.data.download import locate

Load = Callable[..., DriftSeries]
Need = Callable[[RemoteFile], Path]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, *_args: object) -> Path:
        raise OSError(f"tests do not download ({url})")

    monkeypatch.setattr(download, "_download", refuse)


@pytest.fixture(autouse=True, scope="session")
def _registered() -> None:
    """Only the datasets: these tests need no torch."""
    for file in plugins_in(home() / "datasets"):
        load_plugin(file, "datasets")


@pytest.fixture
def load() -> Load:
    """Load and check a dataset by name, options as keywords."""

    def load_checked(name: str, **options: Any) -> DriftSeries:
        return resolve_dataset(name, options).series()

    return load_checked


@pytest.fixture
def need() -> Need:
    """Skip where neither BENCH_DATA_DIR nor the user's cache has a file."""

    def need_file(file: RemoteFile) -> Path:
        path = locate(file)
        if path is None:
            pytest.skip(f"{file.filename} is neither in BENCH_DATA_DIR nor in the user's cache")
        return path

    return need_file
