"""Readers of policy logs, one module per format; ``reader_for`` picks one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from flopbench.policy.readers.base import Options, Reader
from flopbench.policy.readers.raw import sniff

_READERS = {
    "json": "json_forms:JsonReader",
    "jsonl": "json_forms:JsonlReader",
    "csv": "csv_form:CsvReader",
    "parquet": "parquet_form:ParquetReader",
    "npz": "npz_forms:NpzReader",
    "arnet-npz": "arnet_npz:ArnetNpzReader",
}
SHARE_FORMS = ("arnet-console", "usage")
"""Formats that hold shares of actions instead of samples; see ``policy.usage``."""


def reader_for(path: Path, options: Options) -> Reader:
    """Return a reader for a file, by its format.

    Raises:
        InputError: the file cannot be read.
        DataError: it is not a policy log.
    """
    module, cls = _READERS[sniff(path)].split(":")
    reader: Reader = getattr(import_module(f"{__name__}.{module}"), cls)(path, options)
    return reader
