"""Text from files as it goes out: what would steer a terminal, a page or a spreadsheet is spelled out.

A header of a file, a name of a file, the words of a server and the message of an error are text, whatever they hold.
The borders use these functions: the console, the log of a run, records, tables and reports.
"""

from __future__ import annotations

import re
import unicodedata

STEERS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that steer: controls, marks of direction and of nothing, half pairs, ends of lines."""

FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20].")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf", re.IGNORECASE)


def shown(text: object) -> str:
    r"""Text on one line, in which what steers is spelled out as Python does it.

    Examples:
        >>> print(shown("a\x1b[31m\u202eb\udcff\n"))
        a\x1b[31m\u202eb\udcff\n
    """
    line = str(text)
    return line if line.isprintable() else "".join(map(_spelled, line))


def shown_lines(text: object) -> str:
    """Text in which control characters are escaped, except line ends."""
    lines = str(text)
    return lines if lines.isprintable() else "\n".join(map(shown, lines.split("\n")))


def one_line(text: object) -> str:
    """Text of a report on one line: white space and control characters become single spaces."""
    line = str(text)
    if line.isascii() and line.isprintable():  # the usual case, and quick
        return " ".join(line.split())
    kept = "".join(" " if unicodedata.category(c) in STEERS else c for c in line)
    return " ".join(kept.split())


def in_cell(text: object) -> str:
    """Text in a table that a spreadsheet may open: on one line, and never a formula; a number stays one.

    Examples:
        >>> in_cell("=1+1"), in_cell("-0.5"), in_cell("rls")
        ("'=1+1", '-0.5', 'rls')
    """
    line = shown(text)
    return f"'{line}" if FORMULA.match(line) and not NUMBER.fullmatch(line) else line


def in_json(text: str) -> str:
    """JSON text in which control characters are escaped, except its own line ends."""
    if text.isascii() and "\x7f" not in text:  # what else steers in ASCII, JSON escapes itself
        return text
    return "".join(c if c == "\n" or unicodedata.category(c) not in STEERS else _escaped(c) for c in text)


def in_log(data: bytes) -> str:
    """What a run printed, in lines; a progress bar has a line for each of its states."""
    return shown_lines(data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\r", "\n"))


def _spelled(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) not in STEERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
