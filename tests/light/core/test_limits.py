"""Bounds on what is read: each refuses what is larger, and nothing takes the square of a size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from flopbench.core import toml_lines
from flopbench.core.errors import LONGEST_MESSAGE, DataError, InputError, near_match, nearest
from flopbench.core.files import parse_json, read_json
from flopbench.core.limits import MOST_UNPACKED, most_unpacked_bytes
from flopbench.core.records import decode
from flopbench.core.toml_lines import key_lines, read_toml


def test_names_are_compared_only_where_that_is_quick() -> None:
    """difflib takes the square of a length, for each name: the long and the 1001st are left out."""
    assert nearest("b" * 100, ["a", "b" * 99]) == "b" * 99
    assert nearest("b" * 101, ["b" * 100]) == ""
    assert nearest("skip", [*(f"{n}" for n in range(1000)), "skpi"]) == ""
    assert near_match("x", ["y" * 300], "names") == f"names: {'y' * 57}..."


def test_a_message_that_quotes_something_without_end_is_cut() -> None:
    """Its beginning, which names the file, and its end stay."""
    error = DataError(f"run.jsonl:1: {'x' * 10**6} is no name")
    assert len(error.message) < LONGEST_MESSAGE + 10
    assert error.message.startswith("run.jsonl:1: xx")
    assert error.message.endswith("xx is no name")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1,\n"c": 2}}', "the key 'c' twice"),
        ("[" * 10_000 + "]" * 10_000, "nested too deeply"),
        ('{"a": [NaN]}', "NaN is not a finite number"),
        ('{"a": -Infinity}', "-Infinity is not a finite number"),
        ('{"a": 1e400}', "1e400 is not a finite number"),
        ('{"a": ' + "9" * 40 + "}", "a is an integer of more than 64 bits"),
        ('{"a": ' + "9" * 400 + "}", "a is an integer of more than 64 bits"),
        ('{"a": ' + "9" * 5000 + "}", "x.json is not a table"),
        ('{"a": "\\udc80"}', "a has half of a surrogate pair"),
    ],
    ids=range(9),
)
def test_json_that_cannot_be_computed_with_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """Every JSON file of ours is read in one place, which names the file and the value."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.json") as caught:
        read_json(path, "a table")
    assert said in str(caught.value)


def test_a_foreign_file_may_hold_infinity() -> None:
    """As configurations of transformers do, which Python's json wrote."""
    assert parse_json("[0.0, Infinity]", "c", "c", "", finite=False) == [0.0, float("inf")]


def test_the_wrong_key_of_a_map_is_found_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4,096 keys the 3,001st: 12 halves, not 3,000 attempts; each copies the map."""
    calls: list[int] = []
    convert = msgspec.convert

    def counted(data: Any, *args: Any, **options: Any) -> Any:
        calls.append(len(data))
        return convert(data, *args, **options)

    monkeypatch.setattr(msgspec, "convert", counted)
    data: dict[str, Any] = {f"k{n}": n for n in range(4096)} | {"k3000": "x"}
    with pytest.raises(DataError, match="'k3000' is 'x' where a whole number was expected"):
        decode(data, dict[str, int], "f")
    assert len(calls) <= 1 + 12
    assert sum(calls) <= 3 * 4096


def test_a_dotted_key_has_at_most_32_parts(tmp_path: Path) -> None:
    """tomllib takes the square of their number; text in quotes may hold any number."""
    path = tmp_path / "x.toml"
    path.write_text(f'a = "{"b." * 50}c"\n{"b." * 31}c = 1\n')
    assert len(read_toml(path)[1]) == 2
    for key in ("b." * 32 + "c", '"b" . ' * 32 + "c"):
        for text in (f"a = 1\n{key} = 1\n", f"[{key}]\n", f"a = {{ {key} = 1 }}\n"):
            path.write_text(text)
            with pytest.raises(DataError, match="a key of more than 32 parts"):
                read_toml(path)


def test_lines_of_a_long_value_are_looked_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of a long array is read with all before it: 8 MB for 0.2 MB, were it not bounded.

    4,000 lines of 50 characters: 4000² / 2 · 50 = 400 MB without the bound.
    """
    read: list[int] = []
    parsed = toml_lines._parsed

    def counted(text: str) -> Any:
        read.append(len(text))
        return parsed(text)

    monkeypatch.setattr(toml_lines, "MOST_AGAIN", 10_000)
    monkeypatch.setattr(toml_lines, "_parsed", counted)
    lines = key_lines("a = [\n" + f'  {{ b = "{"x" * 38}" }},\n' * 4000 + "]\n")
    assert lines["a", 3, "b"] == 5
    assert sum(read) < 50_000


def test_how_much_may_be_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB, or 100 times the file's size; the variable says otherwise."""
    assert most_unpacked_bytes(1000) == 200 * 10**6
    assert most_unpacked_bytes(6 * 10**6) == 600 * 10**6
    monkeypatch.setenv(MOST_UNPACKED, "2")
    assert most_unpacked_bytes(6 * 10**6) == 2 * 10**6
    for text in ("x", "-1", "1.5", "9" * 400, "²"):
        monkeypatch.setenv(MOST_UNPACKED, text)
        with pytest.raises(InputError, match=MOST_UNPACKED):
            most_unpacked_bytes(1)
