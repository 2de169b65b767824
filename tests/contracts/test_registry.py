"""Registry: loud collisions, helpful misses, and a hash that follows the file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench import BenchError
from bench.contracts.registry import Entry, Registry, unknown


def define(file: Path, *bases: type, doc: str = "One line.") -> type[Any]:
    """A class as if it had been defined in a plug-in file."""
    name = f"bench_plugins.test.{file.stem}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    return type("Thing", bases, {"__module__": name, "__doc__": doc})


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    for name in [name for name in sys.modules if name.startswith("bench_plugins.test.")]:
        del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.py"
    path.write_text("one")
    return path


def test_what_is_registered_is_found(file: Path) -> None:
    registry: Registry[Any] = Registry("thing")
    cls = define(file, doc="\n    First line.\n\n    More.")
    assert registry.register("a-1.b_c")(cls) is cls
    assert registry["a-1.b_c"] == Entry("a-1.b_c", cls, file, "thing")
    assert registry["a-1.b_c"].summary == "First line."
    assert "a-1.b_c" in registry
    assert "a" not in registry
    assert len(registry) == 1


def test_entries_come_in_the_order_of_their_names(file: Path) -> None:
    registry: Registry[Any] = Registry("thing")
    for name in ("b", "c", "a"):
        registry.register(name)(define(file))
    assert [entry.name for entry in registry] == ["a", "b", "c"]


def test_an_unknown_name_gives_the_nearest_and_all(file: Path) -> None:
    registry: Registry[Any] = Registry("strategy")
    for name in ("titans-b", "frozen", "ogd"):
        registry.register(name)(define(file))
    with pytest.raises(BenchError) as caught:
        registry["titan-b"]
    assert str(caught.value) == (
        "Unknown strategy 'titan-b'. Did you mean 'titans-b'? Available: frozen, ogd, titans-b"
    )
    with pytest.raises(BenchError, match=r"^Unknown strategy 'xyz'\. Available: frozen, ogd, titans-b$"):
        registry["xyz"]


def test_an_empty_registry_says_so() -> None:
    assert str(unknown("dataset", "x", ())) == "Unknown dataset 'x'. Available: (none)"


def test_a_name_taken_names_both_files(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other.py"
    registry: Registry[Any] = Registry("strategy")
    first = define(file)
    registry.register("same")(first)
    with pytest.raises(BenchError) as caught:
        registry.register("same")(define(other))
    assert str(caught.value) == (
        f"The strategy name 'same' is registered twice: in {file} and in {other}. Rename one of them."
    )
    assert registry["same"].cls is first


@pytest.mark.parametrize("name", ["", "-a", ".a", "Upper", "a b", "a/b", "a:b", "@core", "é", "a\n"])
def test_a_malformed_name_is_refused(name: str) -> None:
    registry: Registry[Any] = Registry("dataset")
    with pytest.raises(BenchError, match="cannot name a dataset: use lower-case letters, digits"):
        registry.register(name)
    assert len(registry) == 0


def test_the_hash_follows_the_file(file: Path) -> None:
    cls = define(file)
    before = Entry("a", cls, file)
    assert before.sha == Entry("b", cls, file).sha
    file.write_text("two")
    after = Entry("a", cls, file)
    assert after.sha != before.sha
    file.write_text("one")
    assert Entry("a", cls, file).sha == before.sha


def test_the_hash_follows_the_files_that_are_inherited_from(tmp_path: Path, file: Path) -> None:
    parent_file = tmp_path / "parent.py"
    parent_file.write_text("parent")
    child = define(file, define(parent_file))
    before = Entry("a", child, file).sha
    parent_file.write_text("changed")
    assert Entry("a", child, file).sha != before


def test_the_hash_is_of_content_and_not_of_place(tmp_path: Path) -> None:
    shas = set()
    for child_name, parent_name in (("a.py", "z.py"), ("y.py", "b.py")):  # either may come first in the alphabet
        child_file, parent_file = tmp_path / child_name, tmp_path / parent_name
        child_file.write_text("child")
        parent_file.write_text("parent")
        shas.add(Entry("a", define(child_file, define(parent_file)), child_file).sha)
    link = tmp_path / "link.py"
    link.symlink_to(tmp_path / "z.py")  # the same parent by another path is not another file
    child = define(tmp_path / "a.py", define(tmp_path / "z.py"), define(link))
    shas.add(Entry("a", child, tmp_path / "a.py").sha)
    assert len(shas) == 1


def test_what_fails_leaves_nothing_behind(tmp_path: Path, file: Path) -> None:
    registry: Registry[Any] = Registry("thing")
    registry.register("stays")(define(tmp_path / "two.py"))

    def load() -> None:
        with registry.undone_on_error():
            registry.register("goes")(define(file))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load()
    assert [entry.name for entry in registry] == ["stays"]
