"""Sight of what runs: workers leave a line on disk, the front end draws them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from bench.contracts.text import shown
from bench.execution.console import Screen
from bench.results.owner import is_stale, unique_name
from bench.results.plain import NotPlainError, make_folder, remove, remove_if_empty

EVERY = 0.3
"""Seconds between two lines of one run, and between two looks at them."""

SAY_S = 60.0
"""Seconds without a word, where nothing can be drawn, after which a line says how far all is."""


@dataclass
class ProgressFile:
    """Where one run says how far it is: ``<folder>/<run id>``, rewritten every moment, in a folder of the session's."""

    folder: Path
    run_id: str
    label: str
    _last: float = 0.0

    def __call__(self, done: int, total: int, rolling_mse: Callable[[], float]) -> None:
        """Leave a line, unless one was left a moment ago."""
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        line = {"label": self.label, "done": done, "total": total, "mse": rolling_mse()}
        work = self.folder / f".{self.run_id}"
        with contextlib.suppress(OSError):  # the folder may be gone: what is not seen is still done
            work.write_text(json.dumps(line))
            work.rename(self.folder / self.run_id)

    def erase(self) -> None:
        """The run is over."""
        with contextlib.suppress(OSError):  # the folder is gone
            remove(self.folder / self.run_id, self.folder)


@dataclass
class ProgressDisplay:
    """A progress bar over all runs, and one for each that is under way.

    Attributes:
        folder: Where sessions have their progress files, each in a folder of its own.
        console: Where to draw; nothing moves on one that is not a terminal: there it is a line now and then.
    """

    folder: Path
    console: Screen
    _progress: Progress = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)
    _bars: dict[str, TaskID] = field(default_factory=dict)
    _said: float = field(default_factory=time.monotonic)
    _name: str = field(default_factory=unique_name)

    @property
    def progress_folder(self) -> Path:
        """Where the runs of this session say how far they are, and what they print until they are over."""
        return self.folder / self._name

    def __enter__(self) -> ProgressDisplay:
        make_folder(self.progress_folder, self.folder.parent)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self._progress = Progress(*columns, console=self.console, transient=True)
        self._progress.start()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._watcher.join()
        self._progress.stop()
        for path in self.folder.glob("*"):
            if path == self.progress_folder or is_stale(path):  # of a session that was killed
                with contextlib.suppress(NotPlainError):
                    remove(path, self.folder.parent)
        remove_if_empty(self.folder, self.folder.parent)  # otherwise another session is there

    def stage(self, description: str, total: int) -> TaskID:
        """A bar for one stage of the work."""
        return self._progress.add_task(description, total=total, note="")

    def advance(self, stage: TaskID, line: str = "", note: str = "") -> None:
        """One piece of a stage is done.

        Args:
            line: Printed above the bars.
            note: Beside the bar, until the next.
        """
        self._progress.update(stage, advance=1, note=note)
        if line:
            self.say(line)
        elif not self.console.is_terminal and time.monotonic() - self._said > SAY_S:
            task = self._progress.tasks[self._progress.task_ids.index(stage)]
            self.say(f"{task.description}: {task.completed:g} of {task.total:g} done, {note}".removesuffix(", "))

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._said = time.monotonic()
        self.console.say(line)

    def _watch(self) -> None:
        while not self._stop.wait(EVERY):
            seen = set()
            for path in self.progress_folder.glob("[!.]*"):
                try:
                    line = json.loads(path.read_text())
                except (OSError, ValueError):  # just erased, or not yet whole
                    continue
                seen.add(path.name)
                if path.name not in self._bars:
                    label = f"  {shown(line['label'])}"
                    self._bars[path.name] = self._progress.add_task(label, total=line["total"], note="")
                note = f"MSE {line['mse']:.4f}" if line["mse"] == line["mse"] else ""
                bar = self._bars[path.name]
                self._progress.update(bar, completed=line["done"], total=line["total"], note=note)
            for name in set(self._bars) - seen:
                self._progress.remove_task(self._bars.pop(name))
