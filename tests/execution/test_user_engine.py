"""An engine is one file: what a user's file registers carries an experiment out, and the report says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.contracts.config import build
from bench.contracts.engine import ENGINES
from bench.contracts.errors import BenchError
from bench.execution.experiment import Experiment
from bench.execution.resources import engine_of, workers_expected

from ..conftest import Bench, Write

ENGINE = '''
    """Runs in threads of the session's process, and leaves a note of each job."""

    from concurrent.futures import ThreadPoolExecutor
    from contextlib import contextmanager
    from pathlib import Path

    from bench import Engine, EngineConfig, FailedJob, register_engine


    class Threads:
        def __init__(self, workers, note):
            self.workers, self.note = workers, note

        def __call__(self, function, jobs, timeout=None):
            for job in jobs:
                with ThreadPoolExecutor(1) as threads:
                    try:
                        yield threads.submit(function, job).result()
                    except Exception as error:
                        yield FailedJob.of(job, error)
                with Path(self.note).open("a") as file:
                    file.write("done\\n")

        def alone(self):
            return self

        def close(self):
            pass


    @register_engine("threads-here")
    class ThreadsHere(Engine):
        """One thread after another."""

        has_workers = False
        has_timeouts = False
        one_at_a_time = True

        class Config(EngineConfig):
            note: str = "note.txt"

        @contextmanager
        def pool(self, workers, threads, device="cpu"):
            yield Threads(workers or 1, self.config.note)
'''


def test_an_engine_of_one_file_runs_an_experiment_and_the_report_says_so(
    tiny: Path, bench: Bench, write: Write
) -> None:
    text = tiny.read_text().replace('engine = "inline"', 'engine = "threads-here"')
    tiny.write_text(f'{text}\n[threads-here]\nnote = "jobs.txt"\n')
    ran = bench("run", tiny, "--plugins", write("threads_here.py", ENGINE))
    assert ran.status == 0, ran.err
    assert "2 ok" in ran.err
    assert len((tiny.parent / "jobs.txt").read_text().splitlines()) >= 2
    page = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert "- Engine: threads-here\n" in page


def test_what_such_an_engine_cannot_do_is_said(tiny: Path, bench: Bench, write: Write) -> None:
    path = write("threads_here.py", ENGINE)
    ran = bench("run", tiny, "--plugins", path, "--engine", "threads-here", "--timeout", "5")
    assert ran.status == 2
    assert "engine 'threads-here' has no worker that a timeout could end" in ran.err
    ran = bench("run", tiny, "--plugins", path, "--engine", "threads-there")
    assert ran.status == 2
    assert "Unknown engine 'threads-there'. Did you mean 'threads-here'? Available: inline, proc" in ran.err
    listed = bench("list", "--plugins", path).out
    assert "One thread after another." in listed
    assert "threads-here" not in bench("list").out


def experiment(**more: object) -> Experiment:
    return build(Experiment, {"name": "e", "strategies": ["rls"], "datasets": ["etth1"]} | more, "e.toml")


def test_options_of_an_engine_stand_in_a_table_of_its_name() -> None:
    made = experiment(ray={"gpus": 0.25})
    assert made.engine_options == {"ray": {"gpus": 0.25}}
    assert engine_of(made.model_copy(update={"engine": "ray"})).config.gpus == 0.25
    with pytest.raises(BenchError, match=r"engine 'ray': unknown option 'gpu'\. Did you mean 'gpus'\?"):
        engine_of(experiment(ray={"gpu": 1}))
    with pytest.raises(BenchError, match="unknown option 'rey'"):
        experiment(rey={"gpus": 1})


def test_an_engine_says_what_it_can_do() -> None:
    able = {entry.name: (entry.cls.has_workers, entry.cls.has_timeouts, entry.cls.is_remote) for entry in ENGINES}
    assert able["inline"] == (False, False, False)
    assert able["serial"] == able["processes"] == (True, True, False)
    assert able["ray"] == (True, True, True)
    assert ENGINES["ray"].cls.package == "ray"
    assert workers_expected(experiment(engine="serial", workers=4)) == 1
    assert workers_expected(experiment(engine="processes", workers=4)) == 4


def test_no_code_compares_an_engine_by_its_name() -> None:
    root = Path(__file__).parents[2] / "bench"
    names = [f'== "{entry.name}"' for entry in ENGINES] + [f'!= "{entry.name}"' for entry in ENGINES]
    texts = {path: path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    assert [path for path, text in texts.items() if any(name in text for name in names)] == []


def test_the_engine_of_the_documentation_works(tiny: Path, bench: Bench, write: Write, without_report: None) -> None:
    text = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    ran = bench("run", tiny, "--plugins", write("in_thread.py", example), "--engine", "in-thread")
    assert ran.status == 0, ran.err
    assert "2 ok; 0 kept from before; 2 timed alone" in ran.err
