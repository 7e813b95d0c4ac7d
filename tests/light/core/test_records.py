"""Records out of JSON values: what is wrong is named with its whole path."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

import pytest

from flopbench.core.errors import DataError
from flopbench.core.records import Count, Record, decode


class Part(Record, frozen=True, kw_only=True):
    """A record with a constraint over several fields."""

    low: Count
    high: Count = 9

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above {self.high}")


class Apple(Record, frozen=True, kw_only=True, tag_field="kind", tag="apple"):
    """A record with a tag, whose size is whole."""

    size: int


class Pear(Record, frozen=True, kw_only=True, tag_field="kind", tag="pear"):
    """Another one, whose size is exact."""

    size: Fraction


class Whole(Record, frozen=True, kw_only=True):
    """A record of records."""

    name: str
    parts: Mapping[str, list[Part]] = {}
    first: tuple[Part, ...] = ()
    fruits: tuple[Apple | Pear, ...] = ()
    by: Mapping[Literal["day", "night"], tuple[bool, float] | None] = {}


def exact(_kind: type, value: Any) -> Fraction:
    """Take whole numbers only."""
    if isinstance(value, int):
        return Fraction(value)
    raise ValueError("a whole number of pears")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "f.json is 3 where an object was expected"),
        ({}, "f.json: 'name' is missing"),
        ({"name": None}, "f.json: 'name' is null where text was expected"),
        ({"name": "a", "more": 1}, "f.json: 'more' is an unknown key"),
        ({"name": "a", "parts": {3: []}}, "f.json: parts[3] is an unknown key"),
        (
            {"name": "a", "parts": {"x.y": [], "z": [{"low": 1}, {"low": -1}]}},
            "f.json: parts.z[1].low is -1 where a whole number of at least 0 was expected",
        ),
        # Of two keys with the same defect the first is named.
        (
            {"name": "a", "parts": {"u": [], "v": [{"low": "1"}], "w": [{"low": "1"}]}},
            "f.json: parts.v[0].low is '1' where a whole number of at least 0 was expected",
        ),
        ({"name": "a", "parts": {"x": [{"low": 99}]}}, "f.json: parts.x[0]: low is 99, above 9"),
        (
            {"name": "a", "parts": {"x.y": 3}},
            "f.json: parts['x.y'] is 3 where a list was expected",
        ),
        ({"name": "a", "fruits": [{"size": 1}]}, "f.json: fruits[0].kind is missing"),
        (
            {"name": "a", "fruits": [{"kind": "plum"}]},
            "f.json: fruits[0].kind is 'plum' where 'apple' or 'pear' was expected",
        ),
        (
            {"name": "a", "fruits": [{"kind": "apple", "size": 0.5}]},
            "f.json: fruits[0].size is 0.5 where a whole number was expected",
        ),
        (
            {"name": "a", "fruits": [{"kind": "pear", "size": {}}]},
            "f.json: fruits[0].size is an object where a whole number of pears was expected",
        ),
        (
            {"name": "a", "by": {"day": [True, "x"]}},
            "f.json: by.day[1] is 'x' where a number was expected",
        ),
        (
            {"name": "a", "by": {"day": [1, 2.0]}},
            "f.json: by.day[0] is 1 where true or false was expected",
        ),
        (
            {"name": "a", "by": {"day": [True]}},
            "f.json: by.day is a list of 1 where a list of 2 or null was expected",
        ),
        ({"name": "a", "\ud800": 1, "parts": {"\ud800": []}}, "f.json: a key has half of a surr"),
        ({"name": "a"}, "f.json: 'parts' is missing"),
        ({"name": "a", "parts": {"x": [{"low": 1}]}}, "f.json: parts.x[0].high is missing"),
        (
            {"name": "a", "parts": {}, "first": [{"low": 1, "high": 2}, {"low": 1}]},
            "f.json: first[1].high is missing",
        ),
    ],
)
def test_a_defect_is_named_with_its_place(data: Any, message: str) -> None:
    """File, path with indices and keys, and what was expected; nothing is left out."""
    with pytest.raises(DataError) as caught:
        decode(data, Whole, "f.json", complete=True, dec_hook=exact)
    assert caught.value.message.startswith(message)


def test_an_unknown_key_has_a_near_match() -> None:
    """Of a record, of one with a tag, of a map with few keys; what else is to be done follows."""
    for data, place, near in (
        ({"nam": "a"}, "'nam'", "did you mean 'name'? keys: name, parts, first, fruits, by"),
        ({"fruits": [{"kind": "pear", "siz": 1}]}, "fruits[0].siz", "did you mean 'size'? keys: "),
        ({"by": {"nihgt": None}}, "by.nihgt", "did you mean 'night'? keys: day, night"),
        ({"parts": {3: []}}, "parts[3]", "a key is text"),
    ):
        with pytest.raises(DataError) as caught:
            decode(data, Whole, "f.json", dec_hook=exact, hint="write it again")
        assert caught.value.message == f"f.json: {place} is an unknown key"
        assert caught.value.hint.startswith(near)
        assert caught.value.hint.endswith("; write it again")


def test_a_defect_of_toml_is_told_in_its_words() -> None:
    """A table, text in quotes; nothing is null."""
    for data, message in (
        ({"name": {}}, "f: 'name' is a table where text in quotes was expected"),
        ({"name": "a", "parts": 3}, "f: 'parts' is 3 where a table { name = ... } was expected"),
        ({"name": "a", "by": {"day": 3}}, "f: by.day is 3 where a list of 2 was expected"),
    ):
        with pytest.raises(DataError) as caught:
            decode(data, Whole, "f", dec_hook=exact, toml=True)
        assert caught.value.message == message


def test_defaults_stand_in_where_that_is_allowed() -> None:
    """A record that people write need not be complete; data are left as they were."""
    data = {"name": "a", "parts": {"x": [{"low": 1}]}}
    assert decode(data, Whole, "f", dec_hook=exact) == Whole(name="a", parts={"x": [Part(low=1)]})
    wrong = {"name": "a", "parts": {"x": [], "y": 3}}
    with pytest.raises(DataError, match=r"f: parts\.y is 3 where a list was expected"):
        decode(wrong, Whole, "f", dec_hook=exact)
    assert wrong == {"name": "a", "parts": {"x": [], "y": 3}}
