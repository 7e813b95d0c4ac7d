"""Quantities: exact rounding, and MACs never taken for FLOPs."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flopbench.core.errors import InputError
from flopbench.core.limits import LARGEST_COST
from flopbench.core.units import (
    PREFIXES,
    SCALES,
    about,
    cost_readings,
    gflops,
    giga,
    gigabytes,
    macs_per_unit,
    macs_text,
    millions,
    milliseconds,
    ms,
    parse_macs,
    parse_number,
    percent,
    percentage,
    plain_number,
    plural,
    rate,
    readable_giga,
    scale_of,
)


def test_a_noun_follows_its_number() -> None:
    """One view, no views, three views; irregular plurals are given."""
    assert [plural(n, "view") for n in (0, 1, 3)] == ["views", "view", "views"]
    assert plural(2, "entry", "entries") == "entries"


UNITS = [
    # unit, MACs in one under each reading
    ("MACs", {"MACs": 1}),
    ("MAC", {"MACs": 1}),
    ("MMACs", {"MACs": 10**6}),
    ("GMACS", {"MACs": 10**9}),  # one meaning in any spelling
    ("Gmacs", {"MACs": 10**9}),
    ("FLOPs", {"FLOPs": Fraction(1, 2)}),
    ("FLOP", {"FLOPs": Fraction(1, 2)}),
    ("GFLOPs", {"FLOPs": 5 * 10**8}),
    ("TFLOP", {"FLOPs": 5 * 10**11}),
    ("FLOPS", {"MACs": 1, "FLOPs": Fraction(1, 2)}),
    ("flops", {"MACs": 1, "FLOPs": Fraction(1, 2)}),
    ("kFLOPS", {"MACs": 10**3, "FLOPs": 500}),
    ("KFLOPS", {"MACs": 10**3, "FLOPs": 500}),
    ("GFLOPS", {"MACs": 10**9, "FLOPs": 5 * 10**8}),
    ("gflops", {"MACs": 10**9, "FLOPs": 5 * 10**8}),
    ("Gflops", {"MACs": 10**9, "FLOPs": 5 * 10**8}),
    ("GFlop", {"MACs": 10**9, "FLOPs": 5 * 10**8}),
    ("mflops", {"MACs": 10**6, "FLOPs": 5 * 10**5}),
    ("gmacs", {}),
    ("gFLOPs", {}),
    ("PFLOPS", {}),
    ("G", {}),
    ("", {}),
    ("GB", {}),
    ("mAP", {}),
    ("GFLOPS/s", {}),
    ("ratio", {}),
]


@pytest.mark.parametrize(("unit", "readings"), UNITS)
def test_a_unit_of_cost_has_one_reading_or_two(unit: str, readings: dict[str, object]) -> None:
    """GFLOPs is 2 per MAC; GFLOPS, and whatever else is not written GFLOPs, may be MACs too."""
    assert cost_readings(unit) == readings
    assert list(cost_readings(unit)) == list(readings)


@pytest.mark.parametrize("prefix", [*PREFIXES, "K"])
def test_every_prefix_goes_with_every_unit(prefix: str) -> None:
    """MACs and FLOPs are read with each prefix, and FLOPS is refused with each."""
    factor = PREFIXES[prefix.replace("K", "k")]
    assert parse_macs(f"4 {prefix}MACs") == 4 * factor
    assert parse_macs(f"4{prefix}FLOPs") == 2 * factor
    assert parse_macs(f"4 {prefix}") == 4 * factor
    with pytest.raises(InputError, match="can mean 4 "):
        parse_macs(f"4 {prefix}FLOPS")


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        # half to even, on exact integers: no float stands in between
        (giga(52_921_376), "0.0529"),
        (giga(2_249_000_192), "2.2490"),
        (giga(50_000), "0.0000"),
        (giga(150_000), "0.0002"),
        (giga(10**18), "1000000000.0000"),
        (giga(4_110_285_824, 2), "4.11"),
        (readable_giga(1), "1.00e-09"),
        # a table's unit is the one that its largest count reaches a tenth of
        (macs_text(1_814_073_344), "1.8141 GMACs"),
        (macs_text(100_000_000), "0.1000 GMACs"),
        (macs_text(99_999_999), "100.000 MMACs"),
        (macs_text(606_208), "0.606 MMACs"),
        (macs_text(42), "42 MACs"),
        (macs_text(0), "0.0000 GMACs"),
        (SCALES[1].text(9_999), "1.00e-02"),
        (SCALES[1].text(10_000), "0.010"),
        (millions(11_279_112), "11.279"),
        (percent(1, 4), "25.0 %"),
        (percent(1, 0), "-"),
        # four decimals from a million on, three digits below
        (readable_giga(0), "0.0000"),
        (readable_giga(999_999), "1.00e-03"),
        (readable_giga(1_000_000), "0.0010"),
        (readable_giga(8_960), "8.96e-06"),
        (millions(1_234_500, 2), "1.23"),
        (percent(2, 3, 2), "66.67 %"),
        # four digits, at most four decimals
        (milliseconds(0.000_012_34), "0.0123"),
        (milliseconds(0.000_999_94), "0.9999"),
        (milliseconds(0.001_234_56), "1.235"),
        (milliseconds(0.012_345_6), "12.35"),
        (milliseconds(0.123_456), "123.5"),
        (milliseconds(1.234_56), "1235"),
        # one decimal below ten per cent, either way
        (percentage(0.0), "0.0 %"),
        (percentage(0.0526), "5.3 %"),
        (percentage(-0.0526), "-5.3 %"),
        (percentage(0.1), "10 %"),
        (percentage(-0.526), "-53 %"),
        (gigabytes(1_234_567_890), "1.23"),
        (plain_number(0.05), "0.05"),
        (plain_number(1449.9), "1,450"),
        (plain_number(1e-7), "0.0000001"),
        (rate(35.84e9, "FLOP"), "35.8 GFLOP/s"),
        (rate(999.4e9, "B"), "999 GB/s"),
        (rate(1000e9, "B"), "1 TB/s"),
        (rate(1.4499e12, "FLOP"), "1.45 TFLOP/s"),
    ],
)
def test_quantities_are_printed_with_the_digits_that_they_have(printed: str, text: str) -> None:
    """Where the number of decimals changes, on both sides; the unit is the one that is meant."""
    assert printed == text


def test_units_are_converted_by_their_factor() -> None:
    """1e9 MACs are one GFLOPS of the papers, whatever type holds them; a second is 1,000 ms."""
    assert gflops(2_500_000_000) == gflops(2.5e9) == gflops(Fraction(5 * 10**9, 2)) == 2.5
    assert ms(0.25) == 250.0


@pytest.mark.parametrize(
    ("largest", "prefix", "value"),
    [(0, "", 0.0), (999, "", 999.0), (1000, "k", 1.0), (10**6, "M", 1.0), (2 * 10**9, "G", 2.0)],
)
def test_an_axis_has_the_largest_unit_that_its_bars_reach(
    largest: int, prefix: str, value: float
) -> None:
    """A bar of exactly one unit is one; below a thousand there is no prefix."""
    scale = scale_of(largest)
    assert (scale.prefix, scale.of(largest)) == (prefix, value)


def test_a_cost_beyond_any_model_is_refused() -> None:
    """The largest cost is a septillion MACs, and it can be read itself."""
    assert parse_macs("1e24") == LARGEST_COST == 10**24
    with pytest.raises(InputError, match="beyond any model"):
        parse_macs("1.1e24")


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("1.8e9", 1_800_000_000),
        ("1.8 GMACs", 1_800_000_000),
        ("1.8G", 1_800_000_000),
        ("3.6 GFLOPs", 1_800_000_000),
        ("+3.6 GFLOP", 1_800_000_000),
        (".5 kMACs", 500),
        ("52921376", 52_921_376),
        ("12 MMACs", 12_000_000),
        ("7k", 7_000),
        ("0", 0),
        (str(LARGEST_COST), LARGEST_COST),
    ],
)
def test_parse_macs(text: str, macs: int) -> None:
    """Numbers of MACs are read exactly; FLOPs are halved."""
    assert parse_macs(text) == macs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not a number"),
        ("fast", "'fast' is not a number"),
        ("nan", "'nan' is not a number"),
        ("1..2", "'1..2' is not a number"),
        ("4.2 GB", "the unit 'GB', which is not a unit of MACs"),
        ("1e", "the unit 'e'"),
        ("1.8 GMACs/video", "the unit 'GMACs/video'"),
        ("4,2 GMACs", "'4,2 GMACs' has a comma: a point stands before decimals"),
        ("1,800,000", "nothing between thousands"),
        ("1.5", "not a whole number of MACs"),
        ("3 FLOPs", "not a whole number of MACs"),
        ("-4", "'-4' is negative"),
        ("1e25", "beyond any model"),
        ("1e999999999", "beyond any model"),
        ("9" * 61, "has too many digits"),
    ],
)
def test_parse_macs_refuses(text: str, words: str) -> None:
    """Another unit, a fraction of a MAC, or no number at all is refused."""
    with pytest.raises(InputError) as refused:
        parse_macs(text)
    assert words in refused.value.message
    assert "MACs" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "1.8 GFLOPS",
            "'1.8 GFLOPS' can mean 1.8 GMACs (as papers on efficient networks print it) or "
            "1.8 billion FLOPs = 0.9 GMACs: write '1.8 GMACs' or '1.8 GFLOPs'",
        ),
        (
            "312mflops",
            "'312mflops' can mean 312 MMACs (as papers on efficient networks print it) or "
            "312 million FLOPs = 156 MMACs: write '312 MMACs' or '312 MFLOPs'",
        ),
        (
            "7 FLOPS",
            "'7 FLOPS' can mean 7 MACs (as papers on efficient networks print it) or "
            "7 FLOPs = 3.5 MACs: write '7 MACs' or '7 FLOPs'",
        ),
    ],
)
def test_both_readings_of_flops_are_named(text: str, line: str) -> None:
    """The message gives both readings, what each comes to, and how to write each."""
    with pytest.raises(InputError) as refused:
        parse_macs(text)
    assert refused.value.line == line


def test_a_number_and_its_unit_are_told_apart() -> None:
    """Exact, the unit as it was written; what follows a unit is named in a refusal."""
    assert parse_number(" 4.20e1 GMACs ", "") == (42, "GMACs")
    assert parse_number("0.1%", "") == (Fraction(1, 10), "%")
    assert macs_per_unit("2 GMACs", Fraction(2), "GMACs") == 10**9
    assert macs_per_unit("2 ms", Fraction(2), "ms") is None
    with pytest.raises(InputError, match="write '2 GMACs/video' or '2 GFLOPs/video'"):
        macs_per_unit("2 GFLOPS/video", Fraction(2), "GFLOPS", "/video")


@given(st.integers(min_value=0, max_value=10**15))
def test_parse_macs_reads_what_was_printed(macs: int) -> None:
    """Every integer survives being printed and read."""
    assert parse_macs(str(macs)) == macs


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "about 5 s"),
        (72.0, "about 70 s"),
        (97.4, "about 95 s"),
        (100.0, "about 2 min"),
        (1000.0, "about 17 min"),
        (5400.0, "about 1.5 h"),
        (36_000.0, "about 10 h"),
    ],
)
def test_an_estimate_has_no_more_digits_than_it_is_worth(seconds: float, text: str) -> None:
    """Fives of seconds, minutes, halves of hours."""
    assert about(seconds) == text
