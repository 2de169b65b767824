"""The text of a CSV file: its bytes decoded, and what is no text named."""

from __future__ import annotations

from pathlib import Path

from bench.contracts.errors import BenchError

WIDE_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")
KINDS = {
    b"\x1f\x8b": "a gzip archive, not text. Unpack it: gunzip",
    b"PK\x03\x04": "a zip archive, as spreadsheets are, not text. Unpack it, or save the sheet as CSV, UTF-8",
    b"BZh": "a bzip2 archive, not text. Unpack it: bunzip2",
    b"\xfd7zXZ\x00": "an xz archive, not text. Unpack it: unxz",
    b"\x28\xb5\x2f\xfd": "a zstd archive, not text. Unpack it: unzstd",
    b"PAR1": "a Parquet file, not text. Write 'parquet:' before its path, in place of 'csv:'",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls), not text. Save the sheet as CSV, UTF-8",
}
"""What files begin with that are taken for CSV, and what to do with them."""


def decode(path: Path) -> str:
    """The file's text.

    Raises:
        BenchError: It cannot be read, or is not UTF-8; the row and the cell are named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror or error}).") from None
    for start, kind in KINDS.items():
        if content.startswith(start):
            raise BenchError(f"{path}: {kind}.")
    if content.startswith(WIDE_ENCODINGS):
        raise BenchError(f"{path}: row 1, column 1: UTF-16 text. Save it as CSV, UTF-8.")
    bad, fault = content.find(b"\0"), "a NUL byte"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start_of_text = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        if bad < 0 or error.start + start_of_text < bad:
            bad, fault = error.start + start_of_text, f"not UTF-8 text ({error.reason})"
    if bad >= 0:
        line = content[content.rfind(b"\n", 0, bad) + 1 : bad]
        row, column = content.count(b"\n", 0, bad) + 1, line.count(b",") + 1
        raise BenchError(f"{path}: row {row:,}, column {column}: {fault}. Save it as CSV, UTF-8.")
    return text
