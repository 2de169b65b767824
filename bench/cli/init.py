"""``bench init``: a user's file is looked at, and an experiment is written that runs on it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.data import options_of
from bench.cli.new import TEMPLATES
from bench.contracts.errors import BenchError
from bench.contracts.text import shown
from bench.execution.console import load_all, out, print_table

if TYPE_CHECKING:
    from bench.data.user_files.proposals import Found

init = typer.Typer(no_args_is_help=True, help="Begin with a file of your own.")

LEFT_OUT = ("estimated drift", "source", "licence")
"""Facts that are not shown: they say nothing about how the file was read."""


@init.callback()
def _group() -> None:
    """A command in a group, so that there may be others."""


@init.command("data")
def init_data(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file.")],
    to: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The TOML file to write; by default named after the data, here.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="What is known; may be repeated.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(metavar="TIME=NAME", help="A known drift, such as a holiday; may be repeated.")
    ] = None,
) -> None:
    """Look at a CSV or Parquet file, say what was found, and write an experiment on it, to keep and edit."""
    from bench.data.user_files.proposals import find_options
    from bench.report.dataset_card import Portrait

    target = to or Path(f"{_name_for(file)}.toml")
    if target.suffix != ".toml":
        raise BenchError(f"--to {target}: an experiment is a TOML file; name one that ends in .toml")
    if target.exists():
        raise BenchError(f"{target} is there already. Remove it, or name another file: --to other.toml")
    load_all()
    name = f"{'parquet' if file.suffix.lower() in ('.parquet', '.pq') else 'csv'}:{file}"
    given = options_of(set_ or ()) | _events(event or ())
    given.setdefault("label", _label_for(file))
    found = find_options(name, given)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(experiment_text(target.stem, name, given, found), encoding="utf-8")

    facts = [fact for fact in Portrait(found.series, None).facts() if fact[0] not in LEFT_OUT]
    needs = [(f"needs {option} = {_toml(value)}", found.reasons[option]) for option, value in found.options.items()]
    print_table(file.name, ("what", "found"), [*facts, *needs])
    out.say(target)
    out.say(f"  bench run {target} --dry-run")
    out.say(f"  bench run {target}")


def experiment_text(experiment: str, name: str, given: dict[str, Any], found: Found) -> str:
    """The experiment's file: the template's, on this dataset, with what was found as comments."""
    template = (TEMPLATES / "experiment.txt").read_text(encoding="utf-8").replace("my-plugin", experiment)
    text = re.sub(r"# Names, or files:.*?\n\n", "", template, flags=re.DOTALL)
    series, lines = found.series, ["", "[[datasets]]", f"name = {_toml(name)}"]
    lines += [f"{option} = {_toml(value)}" for option, value in given.items()]
    for option, value in found.options.items():
        lines += [f"# {shown(found.reasons[option])}.", f"{option} = {_toml(value)}"]
    sizes = {"lookback": series.lookback, "horizon": series.horizon, "season": series.season}
    guessed = {
        **{option: value for option, value in sizes.items() if value is not None},
        "targets": list(series.targets),
        "train": series.split.train,
        "validation": series.split.validation - series.split.train,
    }
    lines.append("# Guessed; uncomment a line to change it. docs/data.md has all options.")
    lines += [f"# {option} = {_toml(value)}" for option, value in guessed.items() if option not in given]
    if "events" not in given:
        when = str(series.time[series.split.validation]) if series.time.dtype.kind == "M" else series.split.validation
        lines.append(f'# events = [{{ time = {_toml(when)}, name = "what happened then" }}]')
    lines += ["# How it was read:", *(f"# - {shown(note)}" for note in series.notes)]
    return text + "\n".join(lines) + "\n"


def _events(said: Iterable[str]) -> dict[str, Any]:
    events = []
    for one in said:
        time, equals, name = one.partition("=")
        if not equals or not time.strip() or not name.strip():
            raise BenchError(f"--event {one!r}: write TIME=NAME, such as --event '2024-05-01=Labour Day'")
        when = time.strip()
        events.append({"time": int(when) if re.fullmatch(r"\d{1,9}", when) else when, "name": name.strip()})
    return {"events": events} if events else {}


def _toml(value: Any) -> str:
    from bench.execution.tune.toml_text import toml_lines

    return toml_lines({"v": value}).removeprefix("v = ").rstrip("\n")


def _name_for(file: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._") or "data"


def _label_for(file: Path) -> str:
    from bench.contracts.dataset import LONGEST_LABEL

    return "".join(filter(str.isprintable, file.stem))[:LONGEST_LABEL].strip() or "data"
