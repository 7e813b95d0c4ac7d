"""Quantities: exact rounding, and MACs never taken for FLOPs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flopbench.core.errors import InputError
from flopbench.core.units import giga, millions, parse_macs, percent, plural, small_giga


def test_giga_rounds_half_to_even_on_exact_integers() -> None:
    """No float stands between the integer and the printed digits."""
    assert giga(52_921_376) == "0.0529"
    assert giga(486_322_176) == "0.4863"
    assert giga(2_249_000_192) == "2.2490"
    assert giga(50_000) == "0.0000"  # half way: to the even digit
    assert giga(150_000) == "0.0002"
    assert giga(1_800_000_000) == "1.8000"
    assert giga(10**18) == "1000000000.0000"
    assert giga(4_110_285_824, 2) == "4.11"


def test_small_costs_keep_their_digits() -> None:
    """A cost that four decimals would print as nothing is printed in scientific notation."""
    assert small_giga(8_960) == "8.96e-06"
    assert small_giga(1) == "1.00e-09"


def test_a_noun_follows_its_number() -> None:
    """One view, no views, three views; irregular plurals are given."""
    assert [plural(n, "view") for n in (0, 1, 3)] == ["views", "view", "views"]
    assert plural(2, "entry", "entries") == "entries"


def test_millions_and_percent() -> None:
    """Parameters in millions; a share of nothing is not a number."""
    assert millions(11_279_112) == "11.279"
    assert percent(1, 4) == "25.0 %"
    assert percent(1, 0) == "-"


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("1.8e9", 1_800_000_000),
        ("1.8 GMACs", 1_800_000_000),
        ("1.8G", 1_800_000_000),
        ("3.6 GFLOPs", 1_800_000_000),
        ("3.6 gflops".replace("g", "G"), 1_800_000_000),
        ("52921376", 52_921_376),
        ("12 MMACs", 12_000_000),
        ("7k", 7_000),
    ],
)
def test_parse_macs(text: str, macs: int) -> None:
    """Numbers of MACs are read exactly; FLOPs are halved."""
    assert parse_macs(text) == macs


@pytest.mark.parametrize(
    "text", ["", "fast", "4.2 GB", "1.5", "3 FLOPs", "-4", "1..2", "nan", "1e"]
)
def test_parse_macs_refuses(text: str) -> None:
    """Another unit, a fraction of a MAC, or no number at all is refused."""
    with pytest.raises(InputError):
        parse_macs(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_parse_macs_reads_what_was_printed(macs: int) -> None:
    """Every integer survives being printed and read."""
    assert parse_macs(str(macs)) == macs
