"""Files of your own: ``csv:PATH`` and ``parquet:PATH``. What you do not say is guessed, and every guess is printed."""

from __future__ import annotations

from pathlib import Path

from bench import register_dataset
from bench.data.user_files.csv_table import read_csv
from bench.data.user_files.parquet_table import read_parquet
from bench.data.user_files.user_options import CsvOptions
from bench.data.user_files.user_series import UserFile
from bench.data.user_files.user_table import UserTable


@register_dataset("csv")
class UserCsv(UserFile):
    """A CSV file of your own, written 'csv:PATH': a header, then a row of numbers for each time step."""

    Config = CsvOptions

    def read(self, path: Path) -> UserTable:
        """Its rows; the header is row 1, unless lines above it are left out."""
        return read_csv(path, self.config.dialect, self.config.cells, text=self.config.named_as_text)


@register_dataset("parquet")
class UserParquet(UserFile):
    """A Parquet file of your own, written 'parquet:PATH': a row of numbers for each time step."""

    def read(self, path: Path) -> UserTable:
        """Its rows, counted from 1."""
        return read_parquet(path, self.config.cells, text=self.config.named_as_text)
