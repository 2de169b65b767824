"""Options for a user's file, found by doing what messages about it propose, until it loads."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contracts.dataset import resolve_dataset
from bench.contracts.errors import BenchError
from bench.contracts.series import DriftSeries

OPTION = re.compile(r"\b([a-z_]+) = (\[[^\]]*\]|'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
APART = re.compile(r"; |\. | or, | or |, or ")
"""What stands between two alternatives of a message."""

ASKED = {"time", "time_format", "inputs", "id"}
"""Options that decide what the file means: where two values of one of them read it, only the user knows."""

QUESTIONS = ("Say which", "timezone = ")
"""What a message holds where its options are a guess as likely wrong as right, or an example."""

NAMING = {"time", "id", "value"}
"""Options that choose among columns."""

MOST_FILLED = 0.1
"""Share up to which rows of even steps are filled; beyond, the rows count as even, as trading days do."""

DEEPEST = 12
Options = dict[str, Any]


def proposals(message: str) -> list[Options]:
    """The options that a message proposes: alternatives, each of options that go together."""
    found: list[Options] = []
    end = 0
    for match in OPTION.finditer(message):
        between, end = message[end : match.start()], match.end()
        if not found or APART.search(between):
            found.append({})
        if "..." not in match[2]:
            found[-1][match[1]] = ast.literal_eval(match[2])
    return [options for options in found if options]


@dataclass(frozen=True)
class Found:
    """A file that loads.

    Attributes:
        series: What is in it.
        options: With which it loads, beyond those that were given.
        reasons: Why it needs each of them, by name.
    """

    series: DriftSeries
    options: Options
    reasons: dict[str, str]


def find_options(name: str, given: Options) -> Found:
    """Load a user's file with the options that it needs.

    Args:
        name: ``csv:PATH`` or ``parquet:PATH``.
        given: Options that the user gave.

    Raises:
        BenchError: No options read it, or several do that mean different things; the message names the fault.
    """
    options, reasons = dict(given), dict[str, str]()
    for _ in range(DEEPEST):
        try:
            series = resolve_dataset(name, options).series()
        except BenchError as error:
            for option, value in _chosen(name, options, error).items():
                options[option] = value
                reasons.setdefault(option, _reason(str(error), name, option))
        else:
            return Found(series, {key: value for key, value in options.items() if key not in given}, reasons)
    raise BenchError(f"{name}: no options were found that read this file. With {options} it was not read either.")


def _chosen(name: str, options: Options, error: BenchError) -> Options:
    """The alternative to take of those that a message proposes; raises the error where there is none, or several."""
    ways = [way for way in proposals(str(error)) if not way.items() <= options.items()]
    for way in [way for way in ways if "resample" in way]:
        other = "irregular" if _share_filled(name, options | way) <= MOST_FILLED else "resample"
        ways = [way for way in ways if other not in way]
    leading = [way for way in ways if _leads_on(name, options | way, str(error))]
    if not leading:
        raise error
    if any(question in str(error) for question in QUESTIONS) or (
        len(leading) > 1 and any(ASKED & {*way} for way in leading)
    ):
        raise BenchError(f"{error} Only you can tell: give one, --set OPTION=VALUE.")
    return leading[0]


def _share_filled(name: str, options: Options) -> float:
    """The largest share of a column's stream that is not measured with some options; 0 where they are not enough."""
    try:
        return max(resolve_dataset(name, options).series().filled.values(), default=0.0)
    except BenchError:
        return 0.0


def _leads_on(name: str, options: Options, message: str) -> bool:
    """Whether a file loads with some options, or has another fault than before that names a way out."""
    try:
        resolve_dataset(name, options).series()
    except BenchError as error:
        return str(error) != message and any(not way.items() <= options.items() for way in proposals(str(error)))
    return True


def _reason(message: str, name: str, option: str) -> str:
    """The first sentence of a message, without the file's path; where columns are chosen, the one that names them."""
    path = name.partition(":")[2]
    sentences = re.split(r"\.\s+(?=[A-Z])", message.removeprefix(f"{Path(path).expanduser()}: "))
    naming = [sentence for sentence in sentences if f"{option} = " in sentence]
    return (naming if option in NAMING and naming else sentences)[0].rstrip(".")
