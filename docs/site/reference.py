"""Pages of the site that are made from code: the public names, the command line, options, and fields of records."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel

import bench
import bench.analysis
import bench.testing
from bench.cli.main import app
from bench.contracts.config import Search
from bench.contracts.discovery import load_plugins
from bench.contracts.engine import ENGINES
from bench.contracts.forecaster import FORECASTERS, TrainingConfig, abilities
from bench.contracts.protocol import PRESETS, Protocol, ProtocolSpec
from bench.contracts.strategy import GROUPS, STRATEGIES
from bench.contracts.tracker import TRACKERS
from bench.execution.experiment import Experiment
from bench.execution.tune.options import TuneOptions
from bench.results.record import Record

MARKS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "min_length": "at least so many:"}


def pages() -> Iterator[tuple[str, str]]:
    """Each page's place in the site's sources, and its Markdown."""
    load_plugins()
    for module in (bench, bench.testing, bench.analysis):
        yield f"reference/{module.__name__}.md", names_page(module)
    yield "reference/commands.md", commands_page()
    yield "reference/experiments.md", experiments_page()
    yield "reference/strategies.md", strategies_page()
    yield "reference/forecasters.md", forecasters_page()
    yield "reference/records.md", records_page()


def names_page(module: Any) -> str:
    """The public names of a module, for mkdocstrings."""
    parts = [f"# {module.__name__}", paragraphs(module)]
    parts += [f"::: {module.__name__}.{name}" for name in module.__all__]
    return "\n\n".join(parts)


def commands_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# The command line", "`bench COMMAND --help` says the same."]
    for name, command in commands(typer.main.get_command(app), "bench"):
        rows = [(f"`{parameter_text(one)}`", getattr(one, "help", None) or "") for one in command.params]
        parts += [f"## {name}", command.help or "", table(("option", "what it does"), rows)]
    return "\n\n".join(parts)


def parameter_text(parameter: Any) -> str:
    """An option by all its names, an argument in capitals."""
    is_option = parameter.param_type_name == "option"
    return ", ".join([*parameter.opts, *parameter.secondary_opts]) if is_option else str(parameter.name).upper()


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The commands of a group and of the groups in it, by their whole names."""
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


def experiments_page() -> str:
    """The keys of an experiment's TOML file."""
    presets = [(f"`{name}`", f"S = {one['stride'] or 'H'}, K = {one['block']}") for name, one in PRESETS.items()]
    parts = [
        "# Keys of an experiment",
        "An experiment is a TOML file with these keys, or a `bench.Experiment` with these fields. Others are errors.",
        options_table(Experiment),
        "## protocol",
        "A preset's name, or a table with these keys; what they mean is explained under [protocol](../protocol.md).",
        options_table(ProtocolSpec, also=Protocol),
        table(("preset", "schedule"), presets),
        "## training",
        "Settings of the recipe that pre-trains forecasters. A forecaster's own table `training` takes the same keys.",
        options_table(TrainingConfig),
        "## tune",
        "What [`bench tune`](../tuning.md) tries.",
        options_table(TuneOptions),
    ]
    plug_ins: list[Any] = [*ENGINES, *TRACKERS]
    for entry in plug_ins:
        parts += [f"## {entry.name}", f"Options of this {entry.kind}. {entry.summary}", options_table(entry.cls.Config)]
    return "\n\n".join(parts)


def strategies_page() -> str:
    """Every built-in strategy with its options."""
    parts = ["# Strategies", 'An experiment gives options in a table: `{ name = "rls", forgetting = 0.99 }`.']
    for group in GROUPS:
        entries = [entry for entry in STRATEGIES if entry.cls.group == group]
        parts += [f"## Group {group}"] if entries else []
        for entry in entries:
            needs = f"Needs of a forecaster: {', '.join(sorted(entry.cls.needs))}." if entry.cls.needs else ""
            parts += described(entry, "###", needs)
    return "\n\n".join(parts)


def described(entry: Any, mark: str, said: str) -> list[str]:
    """A plug-in: its name as a heading, its docstring, a sentence, its options."""
    return [f"{mark} {entry.name}", paragraphs(entry.cls), said, options_table(entry.cls.Config)]


def forecasters_page() -> str:
    """Every built-in forecaster with its options."""
    parts = [
        "# Forecasters",
        "Settings of the option `training` are [keys of an experiment](experiments.md#training) too.",
    ]
    for entry in FORECASTERS:
        offers = f"Offers: {', '.join(sorted(abilities(entry.cls)))}."
        parts += described(entry, "##", offers)
    return "\n\n".join(parts)


def records_page() -> str:
    """The fields of a run's record, and of its parts."""
    parts = [
        "# Fields of a record",
        "Each run leaves a `record.json` with these fields. `bench.load_results` gives them as a frame.",
    ]
    for cls in models(Record):
        parts += [f"## {cls.__name__}", paragraphs(cls), options_table(cls)]
    return "\n\n".join(parts)


def models(cls: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and those in its fields, each once."""
    found = [cls]
    for model in found:
        for field in model.model_fields.values():
            found += [one for one in within(field.annotation) if one not in found]
    return found


def within(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation) if get_origin(annotation) is not Literal else ():
        yield from within(inner)


def options_table(cls: type[BaseModel], also: type[BaseModel] | None = None) -> str:
    """The fields of a model: type, default, meaning (or what ``also`` says of it), and what ``bench tune`` tries."""
    said, rows = (meanings(also) if also else {}) | meanings(cls), []
    for name, field in cls.model_fields.items():
        default = (
            "required" if field.is_required() else f"`{default_text(field.get_default(call_default_factory=True))}`"
        )
        search = " ".join(search_text(one) for one in field.metadata if isinstance(one, Search))
        rows.append(
            (
                f"`{name}`",
                type_text(field.annotation, field.metadata),
                default,
                f"{said.get(name, '')} {search}".strip(),
            )
        )
    return table(("name", "type", "default", "meaning"), rows) if rows else "No options."


def meanings(cls: type[BaseModel]) -> dict[str, str]:
    """What docstrings, or comments beside fields, say of the fields of a model and of those that it inherits."""
    found: dict[str, str] = {}
    for base in reversed([one for one in cls.__mro__ if issubclass(one, BaseModel) and one is not BaseModel]):
        found |= from_comments(base) | from_docstring(base)
    return found


def from_docstring(cls: type[Any]) -> dict[str, str]:
    """The entries of the section ``Attributes:`` of a class's own docstring."""
    section = re.search(
        r"^Attributes:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(cls.__dict__.get("__doc__") or ""), re.M | re.S
    )
    entries = re.findall(r"^(\w+): (.*?)(?=^\w+: |\Z)", textwrap.dedent(section[1]), re.M | re.S) if section else []
    return {name: " ".join(text.split()) for name, text in entries}


@cache
def from_comments(cls: type[Any]) -> dict[str, str]:
    """Comments that stand behind the fields of a class, or on the lines above them."""
    lines = textwrap.dedent(inspect.getsource(cls)).splitlines()
    found = {}
    (body,) = (
        node.body
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            above = list[str]()
            while lines[first - 1].lstrip().startswith("#"):
                first -= 1
                above.insert(0, lines[first].lstrip(" #"))
            behind = lines[last][node.end_col_offset :].lstrip(" #")
            found[node.target.id] = " ".join(filter(None, [*above, behind]))
    return {name: text for name, text in found.items() if text}


def type_text(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """A type in words that a TOML file's author reads: ``int > 0``, ``"a"`` or ``"b"``."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(inner[0], inner[1:])
    if origin is Literal:
        return " or ".join(f'`"{one}"`' for one in inner)
    if origin in (Union, UnionType):
        return " or ".join(type_text(one, metadata if one is not NoneType else ()) for one in inner)
    if origin is not None:
        items = ", ".join(type_text(one) for one in inner if one is not Ellipsis)
        return f"{origin.__name__} of {items}" if items else origin.__name__
    bounds = [
        f"{MARKS[key]} {getattr(one, key)}" for one in metadata for key in MARKS if getattr(one, key, None) is not None
    ]
    name = "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))
    return f"{name} {' and '.join(bounds)}" if bounds else name


def default_text(value: Any) -> str:
    """A default as it would be written; of a model, the fields that differ from its own defaults."""
    if not isinstance(value, BaseModel):
        return repr(value)
    usual = type(value)().model_dump()
    given = {name: one for name, one in value.model_dump().items() if one != usual[name]}
    return f"{type(value).__name__}({', '.join(f'{name}={one!r}' for name, one in given.items())})"


def search_text(search: Search) -> str:
    """What ``bench tune`` tries of an option."""
    if search.choices:
        return f"Tuned over {', '.join(map(str, search.choices))}."
    return f"Tuned from {search.low:g} to {search.high:g}{' (logarithmic)' if search.log else ''}."


def paragraphs(value: Any) -> str:
    """A docstring without its sections on attributes and its examples."""
    text = inspect.cleandoc(value.__doc__ or "")
    return re.split(r"^(?:Class attributes|Attributes|Args|Examples?|Raises|Returns):", text, flags=re.MULTILINE)[
        0
    ].strip()


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; none if there are no rows."""
    lines = [" | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) for row in rows]
    titles = list(head)
    return (
        "\n".join(f"| {line} |" for line in [" | ".join(titles), " | ".join(["---"] * len(titles)), *lines])
        if lines
        else ""
    )
