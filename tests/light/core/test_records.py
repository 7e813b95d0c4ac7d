"""Records out of JSON values: what is wrong is named with its whole path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


class Whole(Record, frozen=True, kw_only=True):
    """A record of records."""

    name: str
    parts: Mapping[str, list[Part]] = {}
    first: tuple[Part, ...] = ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "f.json: expected 'object', got 'int'"),
        ({}, "f.json: object missing required field 'name'"),
        ({"name": None}, "f.json: name: expected 'str', got 'null'"),
        ({"name": "a", "more": 1}, "f.json: object contains unknown field 'more'"),
        ({"name": "a", "parts": {3: []}}, "f.json: expected 'str'"),
        (
            {"name": "a", "parts": {"x.y": [], "z": [{"low": 1}, {"low": -1}]}},
            "f.json: parts.z[1].low: expected 'int' >= 0",
        ),
        # Of two keys with the same defect one is named.
        (
            {"name": "a", "parts": {"u": [], "v": [{"low": "1"}], "w": [{"low": "1"}]}},
            "f.json: parts.w[0].low: expected 'int', got 'str'",
        ),
        ({"name": "a", "parts": {"x": [{"low": 99}]}}, "f.json: parts.x[0]: low is 99, above 9"),
        ({"name": "a"}, "f.json: parts is missing"),
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
        decode(data, Whole, "f.json", complete=True)
    assert caught.value.message.startswith(message)


def test_defaults_stand_in_where_that_is_allowed() -> None:
    """A record that people write need not be complete; data are left as they were."""
    data = {"name": "a", "parts": {"x": [{"low": 1}]}}
    assert decode(data, Whole, "f") == Whole(name="a", parts={"x": [Part(low=1)]})
    wrong = {"name": "a", "parts": {"x": [], "y": 3}}
    with pytest.raises(DataError, match=r"f: parts\.y: expected 'array'"):
        decode(wrong, Whole, "f")
    assert wrong == {"name": "a", "parts": {"x": [], "y": 3}}
