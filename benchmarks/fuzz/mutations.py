"""How a valid input is damaged: in its structure (values, keys, nesting, rows) and in its bytes.

Everything is drawn from the ``random.Random`` that is given, so a seed gives the same inputs again.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

DEEP = 10_000
GROWN = 300_000
LONG = "x" * 100_000
WHOLE = ("0", "-1", "1", "255", "2147483648", "9223372036854775808", "9" * 40)
JSON_TOKENS = (
    *(*WHOLE, "0.5", "-0.0", "1e308", "1e400", "1e-400", "null", "true", "[]", "{}", '""'),
    *('"0"', '"NaN"', '"=1+1"', '"\\u0000"', '"\\n"', '"../x"', '"🎬"', f'"{LONG}"', "[[]]"),
    *("[" + "0," * 3000 + "0]", '{"a": 1}', '[1, "a"]', '"' + "ab " * 400 + '"'),
)
"""What may stand in place of any value; whether it is allowed there depends on the place."""
NEVER = (
    *("9" * 400, "9" * 5000, "NaN", "-Infinity", '"\\ud800"', '"a\\udfffb"', "tru", "01", "'x'"),
    *("[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "0" + "}" * DEEP),
)
"""What no file may have in place of any value."""
TOML_TOKENS = (
    *(*WHOLE, "9" * 400, "0x" + "f" * 4000, "0.5", "nan", "-inf", "1e400", "true", "[]", "{}"),
    *('""', '"x"', f'"{LONG}"', "[1, 2]", "1979-05-27", "[" * DEEP + "]" * DEEP, "'''", '"""'),
    *('"\\ud800"', '"\\u0000"', "value:1e400", "{ a = 1 }", "[[x]]", "a.b.c", "resnet18@9"),
)
CELLS = (
    *(*WHOLE, "9" * 400, "", " ", "nan", "inf", "1e400", "0x10", "1_000", "+1", "1,5", "=1+1"),
    *("[]", "[1, 2]", "{}", '"', '"x', "\0", "\r", "é", "\u202e", LONG, "[" * DEEP, "-0", "1.0"),
)
BYTES = (
    *(b'"', b"\n", b",", b"[", b"}", b"\0", b"\xff", b"\r", b" ", b"%", b"\xef\xbb\xbf"),
    *(b"null", b"NaN", b"-1", b"1e400", b"9" * 40, b"9" * 5000, b'\\ud800"', b"[" * 2000),
)
HALVED = '"a\\ud800"'
HOLE = "<<hole>>"
Mutate = Callable[[Random, bytes], tuple[bytes, bool]]
"""Returns the damaged input, and whether no reader may accept it."""


# --- bytes ----------------------------------------------------------------------------------------


def _flip(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.choice([rng.randrange(256), *b'0123,"[]{}-:\n'])
    return bytes(changed)


def _delete(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice([1, 2, 20, 500]) :]


def _insert(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(BYTES) + data[at:]


def _swap(rng: Random, data: bytes) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _repeat(rng: Random, data: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:b] + data[a:b] * rng.choice([1, 2, 50 if b - a < 5000 else 1]) + data[b:]


def _encode(rng: Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    as_other = [text.encode(name, "replace") for name in ("utf-16", "utf-32", "latin-1")]
    return rng.choice([*as_other, b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"), b""])


DAMAGES = (_flip, _delete, _insert, _swap, _cut, _repeat, _encode)


def damaged_bytes(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage bytes; a reader may or may not notice."""
    return rng.choice(DAMAGES)(rng, data or b"\0"), False


# --- JSON -----------------------------------------------------------------------------------------


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container in a value with each of its keys."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        found += [(inner, key) for key in keys]
        waiting += [inner[key] for key in keys if isinstance(inner[key], (dict, list))]
    return found


def _changed(rng: Random, value: Any) -> str:
    """Return another value of about the same kind, as JSON."""
    if isinstance(value, bool) or value is None:
        return rng.choice(["true", "false", "null", "0"])
    if isinstance(value, (int, float)):
        return repr(rng.choice([-value, value + 1, value * 10**6, value + 0.5, 0, str(value)]))
    if isinstance(value, str):
        cut = value[: rng.randrange(len(value) + 1)]
        options = [cut, value + "x", value * 3, value.upper(), f"{cut}\n{value}", f"\u202e{value}"]
        return json.dumps(rng.choice(options))
    if isinstance(value, list):
        options = [value * 2, value[:-1], value[::-1], [value], dict(enumerate(value)), value * 200]
        return json.dumps(rng.choice(options if len(value) < 100 else options[:5]))
    return json.dumps([*value.items()])


def _grown(value: Any) -> str:
    """Return a list or an object with so many items that it has ``GROWN`` characters."""
    times = GROWN // (len(json.dumps(value)) + 10)
    if isinstance(value, list):
        return json.dumps(value * times)
    return json.dumps({f"{key}{n}": item for n in range(times) for key, item in value.items()})


def damaged_json(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage one or two places of a JSON document; its layout is lost."""
    value = json.loads(data)
    raw: dict[str, str] = {}
    for number in range(rng.choice([1, 1, 2])):
        places = _places(value)
        if not places:
            break
        holder, key = rng.choice(places)
        hole = f"{HOLE}{number}"
        way = rng.randrange(10)
        if way < 2:
            raw[hole] = rng.choice(NEVER)
            holder[key] = hole
        elif way < 5:
            raw[hole] = rng.choice(JSON_TOKENS)
            holder[key] = hole
        elif way == 5:
            grown = rng.random() < 0.3 and isinstance(holder[key], (dict, list))
            raw[hole] = _grown(holder[key]) if grown else _changed(rng, holder[key])
            holder[key] = hole
        elif way == 6:
            del holder[key]
        elif way == 7:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        elif isinstance(holder, dict):
            names = [key, "unknown", LONG, "", str(key).upper(), HALVED, "__proto__"]
            name = rng.choice(names)  # the first one repeats a key
            raw[hole] = name if name == HALVED else json.dumps(name)
            holder[hole] = holder[key]
        else:
            holder.insert(key, holder[key])
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    never = False
    for hole, token in raw.items():
        never |= f'"{hole}"' in text and token in {*NEVER, HALVED}
        text = text.replace(f'"{hole}"', token)
    if rng.random() < 0.05:
        text, never = text[: rng.randrange(1, len(text) - 1)], True
    return text.encode("utf-8", "surrogatepass"), never


def damaged_lines(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage JSONL: a value of one line, or the order and number of lines."""
    lines = data.rstrip(b"\n").split(b"\n")
    at = rng.choice([0, rng.randrange(len(lines))])
    way, never = rng.randrange(10), False
    if way < 7:
        lines[at], never = damaged_json(rng, lines[at])
    elif way == 7:
        lines.insert(at, rng.choice(lines))
    elif way == 8:
        lines[at] = rng.choice([b"", b"[]", b"0", b"null", b"{", b"\0", b"\xff", b'"x"', b"{}"])
    else:
        del lines[at]
    return rng.choice([b"\n", b"\n", b"\n", b"\r\n", b""]).join(lines) + b"\n", never


# --- other text -----------------------------------------------------------------------------------

_TOKEN = re.compile(r"""-?\d+(?:\.\d+)?|"[^"\n]*"|[A-Za-z_]{2,}|[\[\]{}=:,@]""")


def _with_tokens(tokens: Sequence[str]) -> Mutate:
    def damaged(rng: Random, data: bytes) -> tuple[bytes, bool]:
        text = data.decode("utf-8", "surrogateescape")
        if rng.random() < 0.3:
            lines = text.split("\n")
            at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[at : at + rng.randint(0, 1)] = [lines[other]] * rng.choice([0, 1, 1, 1, 5000])
            return "\n".join(lines).encode("utf-8", "surrogateescape"), False
        for _ in range(rng.choice([1, 1, 2])):
            found = list(_TOKEN.finditer(text))
            if found:
                at = rng.choice(found)
                text = text[: at.start()] + rng.choice(tokens) + text[at.end() :]
        return text.encode("utf-8", "surrogateescape"), False

    return damaged


damaged_toml = _with_tokens(TOML_TOKENS)
damaged_text = _with_tokens((*TOML_TOKENS, *CELLS, *JSON_TOKENS))


def damaged_csv(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage CSV: a cell, a column, a row, the separator or the quotes."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    row, column = rng.choice(rows), rng.randrange(len(rows[0]))
    way = rng.randrange(9)
    if way < 4:
        row[min(column, len(row) - 1)] = rng.choice(CELLS)
    elif way == 4:
        row[min(column, len(row) - 1) :] = row[column:] * rng.choice([0, 2, 500])
    elif way == 5:
        rows = [[*one, one[column] if column < len(one) else ""] for one in rows]
    elif way == 6:
        rows = [one[:column] + one[column + 1 :] for one in rows]
    elif way == 7:
        rows.insert(rng.randrange(len(rows)), rng.choice(rows))
    else:
        rng.shuffle(rows[rng.randrange(2) :])
        rows[0] = rows[0] * rng.choice([1, 1, 2, 3000])
        size = sum(len(cell) + 1 for one in rows for cell in one)
        rows = rows * rng.choice([1, 1, 1, 1 + GROWN // size])
    text = io.StringIO()
    sign = rng.choice([",", ",", ",", ";", "\t", "|"])
    csv.writer(text, delimiter=sign, lineterminator=rng.choice(["\n", "\r\n"])).writerows(rows)
    return text.getvalue().encode("utf-8"), False


# --- packed and binary ----------------------------------------------------------------------------


def damaged_gzip(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage what a gzip file of JSONL holds."""
    inner, never = damaged_lines(rng, gzip.decompress(data))
    return gzip.compress(inner, 1), never


def damaged_zstd(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage what a zstd file of JSONL holds."""
    import zstandard

    inner = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    inner, never = damaged_lines(rng, inner)
    return zstandard.ZstdCompressor(level=1).compress(inner), never


def damaged_npz(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage the arrays of an NPZ file: types, shapes, values, names; and the JSON in them."""
    import numpy as np

    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    name = rng.choice(list(arrays))
    array = arrays[name]
    if array.ndim == 0 and array.dtype.kind == "U" and rng.random() < 0.7:
        text, _ = damaged_json(rng, str(array).encode())
        arrays[name] = np.array(text.decode("utf-8", "replace"))
    else:
        with np.errstate(all="ignore"):
            arrays[name] = _other_array(rng, np, array)
    if rng.random() < 0.1:
        arrays[rng.choice(["unknown", "id", "rs", "../x", "a" * 300])] = arrays.pop(name)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue(), False


def _other_array(rng: Random, np: Any, array: Any) -> Any:
    kinds = ["i1", "u8", "f2", "f8", "c16", "?", "U3", "S2", "M8[s]", "V4", ">i4"]
    ways: list[Callable[[], Any]] = [
        lambda: array.astype(rng.choice(kinds)),
        lambda: array[..., None],
        lambda: array.reshape(-1),
        lambda: array[:0],
        lambda: array[:-1] if array.ndim else array,
        lambda: np.full_like(array, rng.choice([0, 1, 100])),
        lambda: np.zeros(array.shape, [("a", "i4"), ("b", "f8")]),
        lambda: np.asfortranarray(array)[::-1] if array.ndim else array,
        lambda: np.full(array.shape, np.nan),
        lambda: np.full(array.shape, 2**63, np.uint64),
        lambda: np.full(array.shape, "x\0\ud800".encode("utf-8", "replace").decode()),
    ]
    try:
        return rng.choice(ways)()
    except (IndexError, TypeError, ValueError, OverflowError):
        return np.zeros(3)


EXPRESSIONS = (
    *("NULL", "CAST({0} AS VARCHAR)", "[{0}]", "{{'a': {0}}}", "'nan'::DOUBLE", "1e30::HUGEINT"),
    *("MAP(['a'], [1])", "DATE '2020-01-01'", "INTERVAL 1 DAY", "'\\x00\\xFF'::BLOB", "-1", "true"),
    *("''", "repeat('x', 100000)", "range(3000)", "uuid()", "0.5::DECIMAL(5, 2)", "[NULL]"),
)


def damaged_parquet(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage the columns of a Parquet file, or the header in its metadata."""
    import tempfile
    from pathlib import Path

    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        old, new = Path(folder) / "old.parquet", Path(folder) / "new.parquet"
        old.write_bytes(data)
        found = connection.execute(f"SELECT value FROM parquet_kv_metadata('{old}')").fetchall()
        header = bytes(found[0][0]) if found else b"{}"
        names = [row[0] for row in connection.execute(f"DESCRIBE FROM '{old}'").fetchall()]
        name = rng.choice(names)
        query = f"SELECT * FROM '{old}'"
        if found and rng.random() < 0.4:
            header, _ = damaged_json(rng, header)
        else:
            other = rng.choice(EXPRESSIONS).format(f'"{name}"')
            query = (
                f'SELECT * EXCLUDE ("{name}"), {other} AS "{rng.choice([name, "unknown"])}" FROM'
            )
            query += f" '{old}'"
        text = header.decode("utf-8", "replace").replace("'", "''").replace("\0", "")
        more = f", KV_METADATA {{'flopbench.policy-log': '{text}'}}" if found else ""
        try:
            connection.execute(f"COPY ({query}) TO '{new}' (FORMAT parquet{more})")
        except duckdb.Error:
            return damaged_bytes(rng, data)
        return new.read_bytes(), False
