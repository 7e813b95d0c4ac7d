"""The forms of policy logs, one file each: which one a file is in, and its reader and writer."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from msgspec import Struct

from flopbench.core.errors import DataError, InputError
from flopbench.policy.forms.base import Reader
from flopbench.policy.forms.raw import (
    BOM,
    Remote,
    columns_in,
    open_bytes,
    read_some,
    without_packing,
)


class Form(Struct, frozen=True):
    """A form of log.

    Attributes:
        name: what messages call it.
        reader: file and class, below this folder.
        suffixes: of its files; none: it cannot be written.
        magic: what its files begin with; only then the reader is asked whether it is one.
        is_text: whether blanks may stand before, and a file may be compressed as a whole.
    """

    name: str
    reader: str
    suffixes: tuple[str, ...] = ()
    magic: bytes = b""
    is_text: bool = False

    def load(self) -> type[Reader]:
        """Return its reader, which is imported only here."""
        module, name = self.reader.split(":")
        found: type[Reader] = getattr(import_module(f"{__name__}.{module}"), name)
        return found


FORMS = (
    Form("json-map", "json_bare:MapReader", magic=b"{", is_text=True),
    Form("json-list", "json_bare:ListReader", magic=b"[", is_text=True),
    Form("json", "json_form:JsonReader", (".json",), magic=b"{", is_text=True),
    Form("jsonl", "jsonl_form:JsonlReader", (".jsonl", ".ndjson"), magic=b"{", is_text=True),
    Form("csv", "csv_form:CsvReader", (".csv",), is_text=True),
    Form("parquet", "parquet_form:ParquetReader", (".parquet",), magic=b"PAR1"),
    Form("npz", "npz_form:NpzReader", (".npz",), magic=b"PK"),
    Form("arnet-npz", "arnet_npz:ArnetNpzReader", magic=b"PK"),
)
"""Every form that holds samples; of those with one magic number, the first that recognises it."""

SHARE_FORMS = ("arnet-console", "usage")
"""Forms that hold shares of actions instead of samples; see ``policy/usage.py``."""

SNIFFED_BYTES = 1 << 16
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_TORCH_BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9c"
_USAGE_LINE = re.compile(
    rb"^[ \t]*[rms]\d+\s*\(.*\)\s*:\s*\d+\s*\(\s*[\d.]+\s*%\s*\)", re.MULTILINE
)


def sniff(path: Path) -> str:
    """Return the name of a file's form, by its content first and its suffix second."""
    if isinstance(path, Remote) and ".parquet" in str(path).lower():
        return "parquet"
    with open_bytes(path) as stream:
        head = read_some(stream, path, SNIFFED_BYTES).removeprefix(BOM)
    if not head.strip():
        hint = "a policy log starts with a header; --allow-truncated leaves out one of many shards"
        raise DataError(f"{path} is empty", hint)
    _refuse_pickles(head, path)
    # A form without a magic number is asked last: asking loads its reader.
    for form in sorted(FORMS, key=lambda form: not form.magic):
        begin = head.lstrip() if form.is_text else head
        if begin.startswith(form.magic) and form.load().recognises(head, path):
            return form.name
    if _USAGE_LINE.search(head):
        return "arnet-console"
    names = columns_in(head)
    if "share" in names and {"action", "exit"} & set(names):
        return "usage"
    suffix = without_packing(path).suffix.lower()
    for form in FORMS:
        if suffix in form.suffixes:
            return form.name  # its reader says where the defect is
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().lower()
    forms = ", ".join((*(form.name for form in FORMS), *SHARE_FORMS))
    raise DataError(
        f"{path} is not a policy log: it starts with {first[:40]!r}",
        f"formats: {forms}; see docs/policy-log.md",
    )


def is_without_header(path: Path) -> bool:
    """Whether a file of lines ends before its first line does, as that of a killed run may."""
    if path.suffix.lower() not in form_named("jsonl").suffixes:
        return False
    with open(path, "rb") as stream:
        return not stream.readline().endswith(b"\n")


def _refuse_pickles(head: bytes, path: Path) -> None:
    """Refuse what would be unpickled, and an array without names, with the way out.

    Raises:
        DataError: a file of torch.save, pickle.dump or numpy.save.
    """
    of_torch = head.startswith(_TORCH_BEFORE_1_6) or (head[:2] == b"PK" and b"/data.pkl" in head)
    if of_torch or _PICKLE.match(head):
        made, load = ("torch.save", "torch.load") if of_torch else ("pickle.dump", "pickle.load")
        opened = f"'{path.name}'" if of_torch else f"open('{path.name}', 'rb')"
        problem = f"is a pickle ({made}); opening one can run any code, so flopbench never does"
        way = f"data = {load}({opened})\n  json.dump(data, open('{path.stem}.json', 'w'))"
        what = "data: [{'id': ..., 'actions': [...]}, ...] or {id: [...]}, without tensors"
    elif head.startswith(b"\x93NUMPY"):
        problem = "is one array (numpy.save), which has no names"
        way = f"actions = numpy.load('{path.name}')\n  "
        way += f"numpy.savez('{path.stem}.npz', id=names, actions=actions)"
        what = "names (N,), actions (N, T)"
    else:
        return
    raise DataError(f"{path} {problem}", f"convert it once, in Python ({what}):\n  {way}")


def form_named(name: str) -> Form:
    """Return the form of a name that ``sniff`` returned."""
    return next(form for form in FORMS if form.name == name)


def form_to_write(path: Path) -> Form:
    """Return the form that a file name asks for."""
    plain = without_packing(path)
    suffix = plain.suffix.lower()
    for form in FORMS:
        if suffix in form.suffixes:
            if plain != path and not form.is_text:
                raise InputError(
                    f"{path.name!r}: {form.name} is already compressed; leave out {path.suffix}"
                )
            return form
    known = ", ".join(suffix for form in FORMS for suffix in form.suffixes)
    raise InputError(
        f"cannot tell from {path.name!r} which format to write",
        f"suffixes: {known}; text formats also with .gz or .zst",
    )
