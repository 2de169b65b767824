"""The rooms of ``bench/``: which may import which, what stands at the top, how many modules share a folder."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from .rooms import PICTURE, ROOMS, ROOT, TOP_LEVEL, imports, modules, picture, room

MOST_MODULES = 20


def test_no_import_leads_back_up() -> None:
    order = list(ROOMS)
    upward = [
        f"{a} -> {b}"
        for a, b in imports()
        if room(a) in ROOMS and room(b) in ROOMS and order.index(room(b)) < order.index(room(a))
    ]
    assert upward == []


@pytest.mark.parametrize("name", ROOMS)
def test_no_files_of_a_room_import_each_other(name: str) -> None:
    graph: dict[str, set[str]] = {}
    for a, b in imports():
        if a != b and room(a) == room(b) == name:
            graph.setdefault(a, set()).add(b)
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_top_level_holds_two_modules() -> None:
    assert {path.stem for path in (ROOT / "bench").glob("*.py")} == TOP_LEVEL
    assert {room(name) for name in modules()} == {"bench", "__main__", *ROOMS}


def test_no_folder_holds_more_modules_than_one_can_look_over() -> None:
    folders: dict[Path, int] = {}
    for path in modules().values():
        if path.stem != "__init__":
            folders[path.parent] = folders.get(path.parent, 0) + 1
    assert {str(folder.relative_to(ROOT)): n for folder, n in folders.items() if n > MOST_MODULES} == {}


def test_the_picture_is_of_these_imports() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "draw it again: python -m tests.rooms"
