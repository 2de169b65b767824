"""What decides what a class computes: the code of every module that it imports, and its data files."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import io
import re
import site
import sys
import sysconfig
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, TypeGuard

from bench.contracts.errors import BenchError
from bench.contracts.plugin_import import ROOT, TextLoader

PACKAGE = Path(__file__).resolve().parents[1]
BUILT_IN = ("adapters", "datasets")
STRINGS = ("Constant", "JoinedStr", "TemplateStr")
"""Nodes of a syntax tree that may hold the end of a line as a part of their value."""


@dataclass(frozen=True)
class Sources:
    """The code and data behind a class."""

    # digest of each file, by a name that does not depend on the machine. See `bare_code` for what counts
    files: Mapping[str, str] = field(default_factory=dict)
    # version of each installed distribution that the files import, by name
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """Hash of the files' contents; their names and places are not in it."""
        return hashlib.sha256("\n".join(sorted(set(self.files.values()))).encode()).hexdigest()

    def changed_since(self, before: Sources) -> list[str]:
        """Names of the files and distributions that are new, gone or changed."""
        found = []
        for now, then in ((self.files, before.files), (self.packages, before.packages)):
            found += sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
        return found


@dataclass(frozen=True)
class Module:
    """A module's source."""

    label: str  # its name in `Sources.files`
    text: bytes  # the file's content
    is_package: bool  # whether it is the __init__ of a package

    @property
    def digest(self) -> str:
        """Hash of the text without what decides no number, 32 hexadecimal digits."""
        return _parsed(self.text)[0]


def sources_of(cls: type[Any], leaves_out: Callable[[str], bool] = lambda _: False) -> Sources:
    """The code of a plug-in's class, and the data files in its ``depends_on``, relative to its own file.

    The code is that of the class, of its bases, and of the modules named in its ``code_modules``. Modules whose name
    ``leaves_out`` accepts are neither counted nor followed.

    Raises:
        BenchError: A file in ``depends_on`` is missing.
    """
    roots = [*(base.__module__ for base in cls.__mro__), *getattr(cls, "code_modules", ())]
    found, packages = modules_behind(roots, leaves_out)
    files = {module.label: module.digest for module in found.values()}
    return Sources(dict(sorted({**files, **_data_files(cls)}.items())), packages)


def modules_behind(
    roots: Iterable[str], leaves_out: Callable[[str], bool] = lambda _: False
) -> tuple[dict[str, Module], dict[str, str]]:
    """Modules, by name, with all that they import, transitively; and versions of the distributions that they import.

    An import counts wherever it stands, in functions too, but not under ``if TYPE_CHECKING``. Nothing is imported to
    find out, and an import by a name put together at run time is not seen. Installed distributions are not followed,
    except that of the first root.
    """
    waiting = list(roots)
    followed = {PACKAGE.name, waiting[0].partition(".")[0]}
    found, packages, seen = dict[str, Module](), dict[str, str](), set[str]()
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if name in seen or top in sys.stdlib_module_names or leaves_out(name):
            continue
        seen.add(name)
        if top not in followed and (installed := _distributions(top)):
            packages |= installed
        elif (module := _located(name)) is not None:
            found[name] = module
            waiting += (wanted for one in _parsed(module.text)[1] for wanted in one.modules(name, module.is_package))
    return found, dict(sorted(packages.items()))


def bare_code(text: str, tree: ast.AST) -> str:
    """Source text without what decides no number: comments, docstrings, blanks, and what a class is shown as."""
    written = text.split("\n")
    lines = [line.encode() for line in written]
    nodes = list(_nodes(tree))
    kept = set[int]()  # lines that end within a string
    for node in nodes:
        if type(node).__name__ in STRINGS:
            kept.update(range(node.lineno - 1, node.end_lineno - 1))  # type: ignore[attr-defined]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = written[row - 1][:column].encode()
    for node in (*filter(_is_bare_string, nodes), *_shown_as(nodes)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first, start, last, end = node.lineno - 1, node.col_offset, node.end_lineno - 1, node.end_col_offset
        rest = lines[last][end:]
        lines[first : last + 1] = [lines[first][:start], *[b""] * (last - first)]
        lines[last] += rest
        kept.difference_update(range(first, last + 1))
    plain = (line if row in kept else line.rstrip() for row, line in enumerate(lines))
    return b"\n".join(line for row, line in enumerate(plain) if line or row in kept).decode()


def _nodes(tree: ast.AST, *, at_run_time: bool = False) -> Iterator[ast.AST]:
    """All nodes of a tree, in the order of `ast.walk`, which takes five times as long.

    Args:
        at_run_time: Whether what stands under ``if TYPE_CHECKING`` is left out.
    """
    waiting = [tree]
    for node in waiting:
        yield node
        if at_run_time and isinstance(node, ast.If) and _is_for_types(node):
            waiting += node.orelse
            continue
        for value in vars(node).values():
            if isinstance(value, ast.AST):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [one for one in value if isinstance(one, ast.AST)]


def _is_for_types(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_bare_string(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Whether a statement is nothing but a string."""
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _shown_as(nodes: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """Statements of classes for reports only: comparisons, kind of memory, colour, and where labels come from."""
    for node in (one for cls in nodes if isinstance(cls, ast.ClassDef) for one in cls.body):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names, value = {target.id for target in targets if isinstance(target, ast.Name)}, node.value
        is_table = isinstance(value, ast.Dict) and all(map(_is_text, (*value.keys, *value.values)))
        is_colour = isinstance(value, ast.Constant) and re.fullmatch("#[0-9a-f]{6}", str(value.value)) is not None
        is_flag = isinstance(value, ast.Constant) and isinstance(value.value, bool)
        known = [{"ablation_of"}, {"lacks"}] * is_table + [{"colour"}] * is_colour + [{"labels_from_rows"}] * is_flag
        if names in known + [{"memory_of"}] * _is_text(value):
            yield node


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@dataclass(frozen=True)
class _Import:
    """An import statement: ``from <dots of level><module> import <members>``."""

    module: str
    level: int = 0
    members: tuple[str, ...] = ()

    def modules(self, importer: str, is_package: bool) -> Iterator[str]:
        """Names of what it may load in module ``importer``: the module, its parents, and its members."""
        parts = importer.split(".") if self.level else []
        parts = parts[: len(parts) - self.level + is_package]
        parts += self.module.split(".") if self.module else []
        yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
        yield from (".".join([*parts, member]) for member in self.members)


@cache
def _parsed(text: bytes) -> tuple[str, tuple[_Import, ...]]:
    """A file's digest, and its imports."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text).readline)
        source = io.TextIOWrapper(io.BytesIO(text), encoding).read()
        tree = ast.parse(source)
        code = bare_code(source, tree).encode(errors="surrogatepass")
    except (SyntaxError, ValueError, tokenize.TokenError):  # a compiled extension, say
        return _digest(text), ()
    return _digest(code), tuple(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[_Import]:
    for node in _nodes(tree, at_run_time=True):
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.module or "", node.level, tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield _Import(name)


def _imported_by_call(node: ast.Call) -> str:
    """The module that ``import_module("name")`` or ``__import__("name")`` loads; empty for any other call."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in ("import_module", "__import__") or not node.args or not isinstance(node.args[0], ast.Constant):
        return ""
    name = node.args[0].value
    return name if isinstance(name, str) and not name.startswith(".") else ""


def _located(name: str) -> Module | None:
    """A module's source, imported or not; None if there is no such module, or it has no file."""
    module, spec = sys.modules.get(name), _spec(name)
    file = getattr(module, "__file__", None) or (spec.origin if spec and spec.has_location else None)
    if file is None:
        return None
    path = Path(file)
    loader = getattr(spec, "loader", None)
    try:
        text = loader.text if module and isinstance(loader, TextLoader) else path.read_bytes()
    except OSError:
        return None
    return Module(_label(name, path), text, path.stem == "__init__")


def has_source(name: str) -> bool:
    """Whether a module's file can be read, or it belongs to Python."""
    return name.partition(".")[0] in sys.stdlib_module_names or _located(name) is not None


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module is, without importing it or its parents."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    parent, path = name.rpartition(".")[0], None
    if parent:
        above = _spec(parent)
        path = getattr(sys.modules.get(parent), "__path__", above.submodule_search_locations if above else None)
        if path is None:
            return None
    for finder in sys.meta_path:
        if (spec := finder.find_spec(name, path)) is not None:
            return spec
    return None


def _label(name: str, path: Path) -> str:
    """A module's label: ``bench/evaluation/stream.py``, a plug-in's ``replay.py``; otherwise its name."""
    parts = name.split(".")
    if parts[0] == ROOT:
        parts = parts[1 if parts[1] in BUILT_IN else 2 :]
    elif parts[0] != PACKAGE.name:
        return name
    return "/".join([*parts, path.name] if path.stem == "__init__" else [*parts[:-1], path.name])


@cache
def _distributions(top: str) -> dict[str, str]:
    """Versions of the installed distributions of a top-level module; none for a module in a folder."""
    spec = _spec(top)
    places = (
        [spec.origin] if spec and spec.has_location else list(spec.submodule_search_locations or ()) if spec else []
    )
    if not any(place and _site_folders() & {*Path(place).resolve().parents} for place in places):
        return {}
    return {name: version(name).partition("+")[0] for name in _installed().get(top, ())}


@cache
def _installed() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _site_folders() -> set[Path]:
    paths = sysconfig.get_paths()
    folders = [paths["purelib"], paths["platlib"], site.getusersitepackages(), *site.getsitepackages()]
    return {Path(folder).resolve() for folder in folders}


def _data_files(cls: type[Any]) -> dict[str, str]:
    """Digests of the files that the classes name in ``depends_on``."""
    found = {}
    for base in cls.__mro__:
        for name in vars(base).get("depends_on", ()):
            folder = Path(sys.modules[base.__module__].__file__ or "").resolve().parent
            try:
                with (folder / name).open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()[:32]
            except OSError as error:
                fault = error.strerror or str(error)
                raise BenchError(
                    f"{cls.__name__} depends on {name!r} (depends_on), which cannot be read in {folder}: {fault}."
                ) from None
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
