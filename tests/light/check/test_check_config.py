"""The configuration of a check: what it means, and each mistake with its file, line and key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flopbench.check.config import (
    DEFAULT_COUNTER,
    budget_for,
    find_config,
    latency_budget,
    read_config,
    unmatched_budgets,
)
from flopbench.check.limits import parse_amount, parse_limit, parse_share
from flopbench.check.records import BASELINE, LATENCY_INCREASE, METRICS, Budget, Config, Metric
from flopbench.core.errors import DataError, InputError
from flopbench.core.limits import LARGEST_COST
from flopbench.core.toml_lines import key_lines, line_of, tomllib

ENTRIES = """\
[[entries]]
name = "net"
model = "resnet18@112"

[[entries]]
name = "run"
policy-log = "run.jsonl"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str, name: str = "flopbench.toml") -> Config:
    """Write a configuration into the working folder and read it."""
    Path(name).write_bytes(text.encode())
    return read_config(Path(name))


def refused(text: str, name: str = "flopbench.toml") -> str:
    """Return message and hint of a configuration that is refused."""
    with pytest.raises((DataError, InputError)) as caught:
        read(text, name)
    assert "\n" not in caught.value.line
    return caught.value.line


# --- limits


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("4.2 GMACs", "dense_macs", 4_200_000_000),
        ("8.4 GFLOPs", "dense_macs", 4_200_000_000),
        ("4.2 GMACS", "dense_macs", 4_200_000_000),
        ("1 MAC", "dense_macs", 1),
        ("2 FLOPs", "dense_macs", 1),
        ("7 kMACs", "dense_macs", 7_000),
        ("1.5 TMACs", "dense_macs", 1_500_000_000_000),
        ("4.2e9 MACs", "dense_macs", 4_200_000_000),
        (" .5 GMACs ", "dense_macs", 500_000_000),
        ("13.8 GMACs/video", "macs_per_video", 13_800_000_000),
        ("27.6 GFLOPs/video", "macs_per_video", 13_800_000_000),
        ("27.6 GFLOPs / video", "macs_per_video", 13_800_000_000),
        ("13.8 GMACs", "macs_per_video", 13_800_000_000),
        ("1 FLOP/video", "macs_per_video", Fraction(1, 2)),
        ("25.6 M params", "params", 25_600_000),
        ("11689512 params", "params", 11_689_512),
        ("1 parameter", "params", 1),
        ("11.1 M activations", "activations", 11_100_000),
        ("11.1 M elements", "activations", 11_100_000),
        ("3 ms", "latency", Fraction(3, 1000)),
        ("0.1 s", "latency", Fraction(1, 10)),
        ("250 us", "latency", Fraction(1, 4000)),
        ("250 µs", "latency", Fraction(1, 4000)),
        ("250 μs", "latency", Fraction(1, 4000)),
    ],
)
def test_limits_are_read_exactly(text: str, metric: Metric, value: Fraction | int) -> None:
    """A number and a unit of the metric; MACs and FLOPs differ by two."""
    assert parse_limit(text, metric) == value
    assert parse_amount(text, metric) == value


@pytest.mark.parametrize(
    ("text", "metric", "words"),
    [
        ("4.2 GB", "dense_macs", "'GB'"),
        ("4.2", "dense_macs", "no unit"),
        ("4.2 G", "dense_macs", "'G'"),
        ("GMACs", "dense_macs", "not a number"),
        ("", "dense_macs", "not a number"),
        ("1.2.3 GMACs", "dense_macs", "not a number"),
        ("4,2 GMACs", "dense_macs", "has a comma"),
        ("-4.2 GMACs", "dense_macs", "negative"),
        ("0 GMACs", "dense_macs", "allows nothing"),
        ("4.2 GFLOPS", "dense_macs", "or 4.2 billion FLOPs = 2.1 GMACs: write '4.2 GMACs' or"),
        ("4.2 FLOPS", "dense_macs", "or 4.2 FLOPs = 2.1 MACs: write '4.2 MACs' or '4.2 FLOPs'"),
        ("4.2 gflops", "dense_macs", "'4.2 gflops' can mean 4.2 GMACs (as papers on"),
        ("4.2 GFLOPS / video", "macs_per_video", "write '4.2 GMACs/video' or '4.2 GFLOPs/video'"),
        ("4.2 gmacs", "dense_macs", "'gmacs'"),
        ("4.2 GMACs/video", "dense_macs", "not one of dense_macs"),
        ("1 FLOP", "dense_macs", "not a whole number of MACs"),
        ("0.5 MACs", "dense_macs", "not a whole number of MACs"),
        ("1.0000001 k params", "params", "not a whole number of parameters"),
        ("25.6 GMACs", "params", "not one of params"),
        ("25.6 M", "params", "'M'"),
        ("11 M params", "activations", "not one of activations"),
        ("3 MACs", "latency", "not one of latency"),
        ("3 Ms", "latency", "'Ms'"),
        ("1e25 MACs", "dense_macs", "beyond any model"),
        ("1e999999999 MACs", "dense_macs", "exponent"),
        ("1e" + "9" * 5000 + " MACs", "dense_macs", "digits"),
        ("9" * 5000 + " MACs", "dense_macs", "digits"),
    ],
)
def test_limits_are_refused_with_an_example(text: str, metric: Metric, words: str) -> None:
    """An invalid limit is named, with an example of a valid one; nothing hangs."""
    with pytest.raises(InputError) as caught:
        parse_limit(text, metric)
    assert words in caught.value.line
    assert "expected such as '" in caught.value.hint or caught.value.hint.startswith("write '4.2 ")
    assert len(caught.value.line) < 300


def test_a_smallest_difference_may_be_zero_and_a_limit_may_not() -> None:
    """``min-delta = "0 MACs"`` is the default spelled out."""
    assert parse_amount("0 MACs", "dense_macs") == 0
    with pytest.raises(InputError, match="allows nothing"):
        parse_limit("0.000 MACs", "dense_macs")
    assert parse_limit(f"{LARGEST_COST} MACs", "dense_macs") == LARGEST_COST
    with pytest.raises(InputError, match="beyond any model"):
        parse_limit(f"{LARGEST_COST + 1} MACs", "dense_macs")


def test_shares_are_percentages() -> None:
    """The sign is required, so that 2 and 0.02 are never mixed up."""
    assert parse_share("2%") == Fraction(2, 100)
    assert parse_share(" 0.5 % ") == Fraction(1, 200)
    assert parse_share("0%") == 0
    for wrong in ("2", "0.02", "2 percent", "-2%", "%", "x%", "2%%", "1e999%", ""):
        with pytest.raises(InputError) as caught:
            parse_share(wrong)
        assert "such as '2%'" in caught.value.hint


UNITS: dict[str, tuple[str, Fraction]] = {
    "dense_macs": ("TFLOPs", Fraction(10**12, 2)),
    "macs_per_video": ("GMACs/video", Fraction(10**9)),
    "params": ("M params", Fraction(10**6)),
    "activations": ("k elements", Fraction(10**3)),
    "latency": ("ms", Fraction(1, 10**3)),
}


@given(st.sampled_from(METRICS), st.integers(1, 10**18))
def test_a_written_amount_is_read_back_exactly(metric: Metric, value: int) -> None:
    """Any amount comes back to the last digit, from decimals."""
    unit, factor = UNITS[metric]
    whole, decimals = divmod(int(value / factor * 10**15), 10**15)
    assert parse_limit(f"{whole}.{decimals:015d} {unit}", metric) == value


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"[-+]?[0-9.]{1,5}([eE][-+]?[0-9]{1,12})? ?[kMGT]?[A-Za-z%/ ]{0,12}"),
    ),
    st.sampled_from(METRICS),
)
@example("1e99 s", "latency")
@example("٣ MACs", "dense_macs")
def test_any_text_is_an_amount_or_an_input_error(text: str, metric: Metric) -> None:
    """No text causes another exception, and what is read is within bounds."""
    for parse in (lambda: parse_limit(text, metric), lambda: parse_share(text)):
        try:
            assert parse() >= 0
        except InputError as error:
            complaint = (bool(error.message), bool(error.hint))
        else:
            complaint = (True, True)
        assert complaint == (True, True)


# --- lines of keys


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the path of every key and every element."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield (*path, number)
            yield from paths(inner, (*path, number))


TRICKY = '''\
# [[entries]]  a comment
title = """
[[entries]]
model = "not this" \\"""
""" # and = "this"
other = \'\'\'
name = 'x' """ # \'\'\'
a.b . "c d" = [ # comment ]
  1, "]", { x = 1, "y.z" = [2,
  3] },
]
when = 1979-05-27 07:32:00 # a space
quotes = """"a"""""
[tool."flop.bench"]
"\\u0061\\t" = 'C:\\'

[[tool.flopbench.entries]]
model = "one"
  [tool.flopbench.entries.more]
  deep = 1
[[tool.flopbench.entries]]

model = "two"
[[tool.flopbench.entries.more.inner]]
x = 1
[[tool.flopbench.entries.more.inner]]
x = 2
'''


def test_lines_survive_whatever_toml_allows() -> None:
    """Comments, all four kinds of strings, quoted and dotted keys, nested blocks."""
    lines = key_lines(TRICKY)
    assert set(lines) == set(paths(tomllib.loads(TRICKY)))
    expected: dict[tuple[str | int, ...], int] = {
        ("title",): 2,
        ("other",): 6,
        ("a", "b", "c d"): 8,
        ("a", "b", "c d", 1): 9,
        ("a", "b", "c d", 2, "y.z"): 9,
        ("a", "b", "c d", 2, "y.z", 1): 9,
        ("when",): 12,
        ("quotes",): 13,
        ("tool", "flop.bench"): 14,
        ("tool", "flop.bench", "a\t"): 15,
        ("tool", "flopbench", "entries"): 17,
        ("tool", "flopbench", "entries", 0): 17,
        ("tool", "flopbench", "entries", 0, "more", "deep"): 20,
        ("tool", "flopbench", "entries", 1): 21,
        ("tool", "flopbench", "entries", 1, "model"): 23,
        ("tool", "flopbench", "entries", 1, "more", "inner", 1, "x"): 27,
    }
    assert {path: lines[path] for path in expected} == expected
    assert line_of(lines, ("tool", "flopbench", "entries", 1, "name")) == 21
    assert line_of(lines, ("nowhere",)) == 1


STATEMENTS = (
    "a = 1979-05-27 07:32:00  # ] }",
    'b-2 = "[[x]] # \\" = ["',
    '"d.e" = """\n[[x]]\nk = 1\n"""',
    "'f g' = '''\n\"\"\" #'''",
    '"\\u0041" = [\n  1, # c ] }\n  ["]"],\n]',
    '3 = { x = [1, 2], "=" = { y = "}" } }',
    "'' = [{ z = 1 }, { z = 2 }]",
)
NAMES = ("a", "b-2", "d.e", "f g", "A", "3", "")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["blocks", "tool.x.blocks"]),
            st.sampled_from(["", "\n", "  # k = 1\n", "  "]),
            st.lists(st.sampled_from(range(len(STATEMENTS))), max_size=4, unique=True),
        ),
        max_size=4,
    )
)
def test_every_key_is_found_on_its_line(blocks: list[tuple[str, str, list[int]]]) -> None:
    """The keys are exactly those that ``tomllib`` reads, on the lines they were put."""
    text = "# [[blocks]]\n"
    lines: dict[tuple[str | int, ...], int] = {}
    for prefix, gap, chosen in blocks:
        path = tuple(prefix.split("."))
        count = sum(1 for known in lines if known[:-1] == path)
        lines[(*path, count)] = text.count("\n") + 1
        text += f"[[{prefix}]] # x\n"
        for number in chosen:
            text += gap
            lines[(*path, count, NAMES[number])] = text.count("\n") + 1
            text += f"{STATEMENTS[number]}\n"
    found = key_lines(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    assert {path: found[path] for path in lines} == lines


# --- finding


def test_a_file_is_found_here_and_above_up_to_the_repository(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest folder wins; the search ends at the folder that holds ``.git``."""
    (folder / "flopbench.toml").write_text(ENTRIES)
    repository = folder / "repository"
    inner = repository / "a" / "b"
    inner.mkdir(parents=True)
    (repository / ".git").mkdir()
    monkeypatch.chdir(inner)
    with pytest.raises(InputError, match="flopbench init"):
        find_config(None)
    (repository / "pyproject.toml").write_text("[tool.flopbench]\n")
    assert find_config(None) == Path("../../pyproject.toml")
    (repository / "a" / "pyproject.toml").write_text("[tool.ruff]\n")
    assert find_config(None) == Path("../../pyproject.toml")
    (repository / "a" / "flopbench.toml").write_text(ENTRIES)
    assert find_config(None) == Path("../flopbench.toml")
    config = read_config(find_config(None))
    assert (config.path, config.root) == ("../flopbench.toml", str(repository / "a"))


def test_outside_a_repository_only_the_working_folder_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that somebody put into a shared folder above is not run."""
    (folder / "flopbench.toml").write_text(ENTRIES)
    assert find_config(None) == Path("flopbench.toml")
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    with pytest.raises(InputError, match=r"there is no flopbench\.toml here"):
        find_config(None)


def test_two_configurations_in_one_folder_are_an_error_that_names_both(folder: Path) -> None:
    """It must be clear which one counts; a named one is used."""
    (folder / "flopbench.toml").write_text(ENTRIES)
    (folder / "pyproject.toml").write_text("[tool.other]\n")
    assert find_config(None) == Path("flopbench.toml")
    (folder / "pyproject.toml").write_text("[tool.flopbench]\ncounter = 'torch'\n")
    with pytest.raises(InputError) as caught:
        find_config(None)
    assert "flopbench.toml and [tool.flopbench] in pyproject.toml both" in caught.value.message
    assert find_config("flopbench.toml") == Path("flopbench.toml")
    assert find_config("pyproject.toml") == Path("pyproject.toml")


def test_a_broken_pyproject_is_reported_only_where_it_names_us(folder: Path) -> None:
    """Somebody else's broken file is not ours to complain about."""
    (folder / "pyproject.toml").write_text("[tool.other\n")
    with pytest.raises(InputError, match="flopbench init"):
        find_config(None)
    (folder / "pyproject.toml").write_text("[tool.other]\n[tool.flopbench\n")
    with pytest.raises(DataError, match=r"pyproject\.toml:2: not TOML"):
        find_config(None)
    (folder / "flopbench.toml").write_text(ENTRIES)
    assert find_config(None) == Path("flopbench.toml")


def test_a_given_path_must_be_a_file(folder: Path) -> None:
    """A wrong ``--config`` is named."""
    with pytest.raises(InputError, match=r"no configuration file other\.toml"):
        find_config("other.toml")
    with pytest.raises(InputError, match=r"is a folder"):
        find_config(str(folder))
    with pytest.raises(InputError, match=r"cannot read gone\.toml"):
        read_config(Path("gone.toml"))


# --- reading

FULL = """\
counter = "fvcore"
baseline = "costs/base.json"

[[entries]]
model = "nets.py:build@224"
name = "backbone"

[[entries]]
model = "resnet18@112"

[[entries]]
name = "run"
policy-log = "logs/*.jsonl"
preset = "arnet-resnet"
rule = "published"

[[budgets]]
match = "backbone*"
metric = "dense_macs"
limit = "4.2 GMACs"
max-increase = "2%"
min-delta = "1 MMACs"
gate = "advisory"
note = \"\"\"
No room
for more.\"\"\"

[[budgets]]
metric = "latency"
"""


@pytest.mark.parametrize("shared", [False, True])
def test_a_full_configuration_means_what_it_says(folder: Path, shared: bool) -> None:
    """Every key, in either file, with the lines of entries and budgets."""
    text = FULL
    if shared:
        text = "[tool.flopbench]\n" + text.replace("[[", "[[tool.flopbench.")
    config = read(text, "pyproject.toml" if shared else "flopbench.toml")
    off = 1 if shared else 0
    assert config.root == str(folder)
    assert (config.counter, config.baseline) == ("fvcore", "costs/base.json")
    assert [(e.name, e.what, e.line - off) for e in config.entries] == [
        ("backbone", "nets.py:build@224", 4),
        ("resnet18@112", "resnet18@112", 8),
        ("run", "logs/*.jsonl", 11),
    ]
    assert (config.entries[2].preset, config.entries[2].rule) == ("arnet-resnet", "published")
    assert config.budgets == (
        Budget(
            match="backbone*",
            metric="dense_macs",
            limit=Fraction(4_200_000_000),
            limit_text="4.2 GMACs",
            max_increase=Fraction(1, 50),
            min_delta=Fraction(1_000_000),
            gate="advisory",
            note="No room for more.",
            line=17 + off,
        ),
        Budget(metric="latency", max_increase=LATENCY_INCREASE, gate="same-machine", line=28 + off),
    )


def test_defaults_are_those_of_the_records(folder: Path) -> None:
    """Omitted keys have the defaults of ``Config``."""
    config = read(ENTRIES)
    assert config == Config(path=config.path, root=config.root, entries=config.entries)
    assert (config.counter, config.baseline) == (DEFAULT_COUNTER, BASELINE)


def test_line_ends_of_windows_and_a_byte_order_mark_are_read(folder: Path) -> None:
    """An editor's habits do not move the lines."""
    config = read("\ufeff" + FULL.replace("\n", "\r\n"))
    assert [entry.line for entry in config.entries] == [4, 8, 11]
    assert config.budgets[0].note == "No room for more."


def test_inline_arrays_are_entries_too(folder: Path) -> None:
    """``entries = [...]`` is the same thing."""
    config = read('entries = [\n  { model = "resnet18" },\n  { model = "resnet34" },\n]\n')
    assert [entry.line for entry in config.entries] == [2, 3]


BUDGET = ENTRIES + '[[budgets]]\nmetric = "dense_macs"\n'
LATENCY = ENTRIES + '[[budgets]]\nmetric = "latency"\n'


MISTAKES = [
    # not TOML
    ("a = 1\nb = \n", ":2: not TOML: Invalid value", ""),
    ("a = 1\n\n[[entries]\n", ":3: not TOML: ", "[[entries]]"),
    ("a = 1\na = 2\n", ":2: not TOML: ", ""),
    ('a = """\n', ":1: not TOML: ", ""),
    ("a = " + "1" * 5000, ":1: not TOML: ", ""),
    ("a = " + "[" * 100_000, ":1: not TOML: nested too deeply", ""),
    # unknown keys
    ("counters = 'torch'\n" + ENTRIES, ":1: counters is", "mean 'counter'?"),
    (ENTRIES + "nmae = 'x'\n", ":8: entries[2].nmae is an", "mean 'name'?"),
    (ENTRIES + "'' = 'x'\n", ":8: entries[2].'' is an", "unknown key"),
    (ENTRIES + r'"a\nb" = 1' + "\n", r":8: entries[2].'a\nb' is", "unknown"),
    (BUDGET + "max_increase = '2%'\n", ":10: budgets[1].max_increase", "-incre"),
    (ENTRIES + "[entry]\n", ":8: entry is an unknown key", "'entries'?"),
    # missing, or another type
    ("", " has no entry to guard", "flopbench init"),
    ("entries = []\n", " has no entry to guard", "[[entries]]"),
    ("entries = 3\n", ":1: entries is 3", "[[entries]] blocks"),
    ("[entries]\nmodel='resnet18'\n", ":1: entries is a table", "[[entries]]"),
    ("\nentries = ['x']\n", ":2: entries[1] is 'x'", "[[entries]] block"),
    ("budgets = true\n" + ENTRIES, ":1: budgets is true", "[[budgets]] blocks"),
    ("counter = 1\n" + ENTRIES, ":1: counter is 1", "text in quotes"),
    ("counter = 0x" + "f" * 9000 + "\n" + ENTRIES, ":1: counter is a huge", ""),
    ("counter = 'tourch'\n" + ENTRIES, ":1: counter is 'tour", "'torch'?"),
    ("baseline = []\n" + ENTRIES, ":1: baseline is an array", "text in quotes"),
    ("baseline = ' '\n" + ENTRIES, ":1: baseline is empty", ""),
    # entries
    (ENTRIES + "model = 'resnet18'\n", ":5: entries[2] has both model and", ""),
    (ENTRIES + "[[entries]]\nname = 'x'\n", ":8: entries[3] has neither", ""),
    ("[[entries]]\nmodel = true\n", ":2: entries[1].model is true", "text in"),
    ("[[entries]]\nmodel = ''\n", ":2: entries[1].model is empty", ""),
    ("[[entries]]\nmodel = 'net@'\n", ":2: entries[1].model is invalid", "@224"),
    ("[[entries]]\nmodel = 'a:b:3'\n", ":2: entries[1].model is invalid", ""),
    ("[[entries]]\nmodel='value:1e9'\n", ":2: entries[1].model is", "constant"),
    ("[[entries]]\nmodel='a'\nrule='exact'\n", ":3: entries[1].rule does", "log"),
    ("[[entries]]\nmodel='a'\npreset='x'\n", ":3: entries[1].preset does", "log"),
    (ENTRIES + "rule = 'exakt'\n", ":8: entries[2].rule is 'exakt'", "'exact'?"),
    (ENTRIES + "preset = 'arnte'\n", ":8: entries[2].preset is", "'arnet'?"),
    ("[[entries]]\nmodel='a'\nname=''\n", ":3: entries[1].name is empty", ""),
    ("[[entries]]\nmodel='a'\nname=4\n", ":3: entries[1].name is 4", ""),
    (
        '[[entries]]\nmodel = "a"\nname = "a\\u001b[31m"\n',
        ":3: entries[1].name is 'a\\x1b[31m'",
        "control characters",
    ),
    (
        f"[[entries]]\nmodel = 'a'\nname = '{'n' * 201}'\n",
        ":3: entries[1].name makes a name of 201 characters",
        "at most 200",
    ),
    (
        f"[[entries]]\npolicy-log = '{'n' * 201}'\n",
        ":2: entries[1].policy-log makes a name of 201 characters",
        "short name",
    ),
    (
        ENTRIES + "[[entries]]\nmodel = 'resnet34'\nname = 'net'\n",
        ":10: entries[3].name has the name 'net', which entries[1] in line 1 has too",
        "a different name",
    ),
    (
        ENTRIES + "[[entries]]\nmodel = 'net'\n",
        ":8: entries[3] has the name 'net', which entries[1] in line 1 has too",
        "",
    ),
    # budgets
    (ENTRIES + "[[budgets]]\n", ":8: budgets[1] has no metric", "'dense_macs'"),
    (ENTRIES + "[[budgets]]\nmetric=1\n", ":9: budgets[1].metric is 1", ""),
    (
        ENTRIES + "[[budgets]]\nmetric='parms'\n",
        ":9: budgets[1].metric is 'parms'",
        "did you mean 'params'? metrics: dense_macs",
    ),
    (BUDGET + "gate='exatc'\n", ":10: budgets[1].gate is 'exatc'", "'exact'?"),
    (BUDGET + "gate='paired'\n", ":10: budgets[1].gate is 'paired'", "advisory"),
    (LATENCY + "gate='exact'\n", ":10: budgets[1].gate is 'exact'", "same-mach"),
    (
        LATENCY + "gate='paired'\nlimit='3 ms'\n",
        ":11: budgets[1].limit does not go with gate 'paired'",
        "same-machine",
    ),
    (BUDGET + "limit='4.2 GB'\n", ":10: budgets[1].limit of dense_macs: '4.2 GB'", "G"),
    (BUDGET + "limit='4.2'\n", ":10: budgets[1].limit of dense_macs", "no unit"),
    (BUDGET + "limit=4.2\n", ":10: budgets[1].limit is 4.2, a number", "quotes"),
    (BUDGET + "limit=true\n", ":10: budgets[1].limit is true", "in quotes"),
    (BUDGET + "limit='0 MACs'\n", ":10: budgets[1].limit of dense_macs", "nothing"),
    (BUDGET + "limit='4 GFLOPS'\n", ":10: budgets[1].limit of dense_macs", "papers"),
    (BUDGET + "limit=''\n", ":10: budgets[1].limit is empty", ""),
    (BUDGET + "min-delta='1'\n", ":10: budgets[1].min-delta of dense_macs", "no unit"),
    (BUDGET + "min-delta='-1 MACs'\n", ":10: budgets[1].min-delta", "negative"),
    (BUDGET + "max-increase='-2%'\n", ":10: budgets[1].max-increase", "negative"),
    (BUDGET + "max-increase=0.02\n", ":10: budgets[1].max-increase is", '"2%"'),
    (BUDGET + "max-increase='2'\n", ":10: budgets[1].max-increase is", "no %"),
    (BUDGET + "match = ''\n", ":10: budgets[1].match is empty", ""),
    (BUDGET + "note = 1\n", ":10: budgets[1].note is 1", "text in quotes"),
    (
        ENTRIES + "[[budgets]]\nmetric='params'\nmatch='run'\n",
        ":9: budgets[1].metric is 'params', which 'run', a policy log, lacks",
        "metrics of a policy log: macs_per_video",
    ),
    (
        LATENCY + "match='run'\n",
        ":9: budgets[1].metric is 'latency', which 'run', a policy log, lacks",
        "",
    ),
    (
        ENTRIES + "[[budgets]]\nmetric='macs_per_video'\nmatch='net'\n",
        ":9: budgets[1].metric is 'macs_per_video', which 'net', a model",
        "dense_macs, params, activations, latency",
    ),
    (
        BUDGET + "[[budgets]]\nmetric='dense_macs'\n\nlimit='x'\n",
        ":13: budgets[2].limit of dense_macs: 'x'",
        "4.2 GMACs",
    ),
]


@pytest.mark.parametrize(("text", "start", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_each_mistake_is_one_message_with_file_line_and_key(
    folder: Path, text: str, start: str, words: str
) -> None:
    """Where, what, and what to do; in one line, whatever was written."""
    message = refused(text)
    assert message.startswith(f"flopbench.toml{start}"), message
    assert words in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (
            "[project]\n[tool.flopbench]\n[[tool.flopbench.entries]]\nmodle = 'x'\n",
            "pyproject.toml:4: tool.flopbench.entries[1].modle is an unknown key",
        ),
        ("[project]\n[tool]\nflopbench = 3\n", "pyproject.toml:3: tool.flopbench is 3, not a tab"),
        ("tool = 1\n", "pyproject.toml:1: tool is 1, not a table"),
        ("[project]\n", "pyproject.toml has no table [tool.flopbench]"),
        ("[tool.flopbench]\n", "pyproject.toml has no table [tool.flopbench]"),
    ],
)
def test_mistakes_in_pyproject_carry_the_table(folder: Path, text: str, start: str) -> None:
    """The key is spelled as the file nests it."""
    assert refused(text, "pyproject.toml").startswith(start)


def test_bytes_that_are_no_text_are_named_by_line(folder: Path) -> None:
    """A file in another encoding does not cause a traceback."""
    Path("flopbench.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(DataError, match=r"flopbench\.toml:2: not UTF-8"):
        read_config(Path("flopbench.toml"))


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    """No traceback for what the system refuses."""
    Path("flopbench.toml").mkdir()
    with pytest.raises(InputError, match=r"cannot read flopbench\.toml: Is a directory"):
        read_config(Path("flopbench.toml"))


def test_a_counter_that_is_not_installed_can_be_configured(folder: Path) -> None:
    """Reading a configuration needs no counter; a baseline is verified without torch."""
    for name in ("torch", "thop-2020", "deepspeed", "calflops"):
        assert read(f"counter = '{name}'\n" + ENTRIES).counter == name


# --- which budget counts


def test_the_last_budget_that_matches_counts_whole(folder: Path) -> None:
    """A later budget takes nothing over from an earlier one, and case counts."""
    config = read(
        ENTRIES
        + '[[budgets]]\nmetric = "dense_macs"\nlimit = "9 GMACs"\nmax-increase = "5%"\n'
        + '[[budgets]]\nmetric = "dense_macs"\nmatch = "n?t"\nlimit = "1 GMACs"\n'
        + '[[budgets]]\nmetric = "dense_macs"\nmatch = "N*"\nlimit = "2 GMACs"\n'
    )
    net, run = config.entries
    budget = budget_for(config, net, "dense_macs")
    assert (budget.limit, budget.max_increase, budget.line) == (10**9, 0, 12)
    assert budget_for(config, net, "params") == Budget(metric="params")
    assert budget_for(config, run, "macs_per_video") == Budget(metric="macs_per_video")
    assert unmatched_budgets(config) == (
        "flopbench.toml:8: * dense_macs",
        "flopbench.toml:16: N* dense_macs",
    )


def test_an_amount_with_two_readings_is_refused_in_every_key(folder: Path) -> None:
    """A limit and a smallest difference, of a model and of a log."""
    said = (
        "'4 GFLOPS' can mean 4 GMACs (as papers on efficient networks print it) or 4 billion FLOPs "
        "= 2 GMACs: write '4 GMACs' or '4 GFLOPs'"
    )
    for key in ("limit", "min-delta"):
        for metric in ("dense_macs", "macs_per_video"):
            text = f"{ENTRIES}[[budgets]]\nmetric = '{metric}'\n{key} = '4 GFLOPS'\n"
            assert refused(text) == f"flopbench.toml:10: budgets[1].{key} of {metric}: {said}"


def test_a_metrics_earlier_name_is_read_and_the_present_one_told(folder: Path) -> None:
    """A configuration from before guards what it guarded, with a note that names the line."""
    config = read(
        ENTRIES
        + '[[budgets]]\nmetric = "macs"\nlimit = "9 GMACs"\n'
        + '[[budgets]]\nmetric = "gflops_per_video"\nlimit = "9 GMACs/video"\n'
        + '[[budgets]]\nmetric = "params"\n'
    )
    assert [budget.metric for budget in config.budgets] == [
        "dense_macs",
        "macs_per_video",
        "params",
    ]
    assert config.notes == (
        "flopbench.toml:8: the metric 'macs' is now called 'dense_macs': use that name",
        "flopbench.toml:11: the metric 'gflops_per_video' is now called 'macs_per_video': "
        "use that name",
    )
    assert read(ENTRIES + "[[budgets]]\nmetric = 'dense_macs'\n").notes == ()


def test_a_glob_that_matches_nothing_is_reported_not_refused(folder: Path) -> None:
    """Also a glob that matches only entries without the metric."""
    config = read(
        ENTRIES
        + '[[budgets]]\nmetric = "dense_macs"\nmatch = "resnet*"\n'
        + '[[budgets]]\nmetric = "dense_macs"\nmatch = "r*"\n'
        + '[[budgets]]\nmetric = "macs_per_video"\n'
        + '[[budgets]]\nmetric = "latency"\n'
    )
    assert unmatched_budgets(config) == (
        "flopbench.toml:8: resnet* dense_macs",
        "flopbench.toml:11: r* dense_macs",
    )
    assert unmatched_budgets(read(ENTRIES)) == ()


def test_a_latency_is_measured_only_where_a_budget_asks_for_it(folder: Path) -> None:
    """A model has a latency budget only if one matches; a policy log never has."""
    config = read(LATENCY + 'match = "*t"\nlimit = "3 ms"\n')
    net, run = config.entries
    budget = latency_budget(config, net)
    assert budget is not None
    assert (budget.limit, budget.gate) == (Fraction(3, 1000), "same-machine")
    assert budget.max_increase == LATENCY_INCREASE
    assert latency_budget(config, run) is None
    assert latency_budget(read(ENTRIES), net) is None
    assert latency_budget(read(LATENCY + 'match = "x"\n'), net) is None
    assert latency_budget(read(LATENCY), run) is None


def test_signs_of_a_glob_in_a_name_are_written_in_brackets(folder: Path) -> None:
    """As the documentation says."""
    text = "[[entries]]\nmodel = 'resnet18'\nname = 'a[1]*'\n[[budgets]]\nmetric = 'dense_macs'\n"
    config = read(text + "match = 'a[[]1][*]'\n")
    assert budget_for(config, config.entries[0], "dense_macs").line == 4
    assert unmatched_budgets(read(text + "match = 'a[1]*'\n")) == (
        "flopbench.toml:4: a[1]* dense_macs",
    )


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """No text makes another exception."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "replace"))
    with pytest.raises((DataError, InputError)):
        read_config(path)


def test_components_of_a_log(tmp_path: Path) -> None:
    """A log's networks may be replaced, by text; anything else is refused with line and key."""
    path = tmp_path / "flopbench.toml"
    start = '[[entries]]\nname = "run"\npolicy-log = "run.jsonl"\n'
    path.write_text(start + 'components = { policy = "nets.py:policy@84" }\nvariants.lstm = "a"\n')
    entry = read_config(path).entries[0]
    assert (dict(entry.components), dict(entry.variants)) == (
        {"policy": "nets.py:policy@84"},
        {"lstm": "a"},
    )
    for text, needle in (
        ("components = 3\n", ":4: entries[1].components is 3 where a table"),
        ("components = { policy = 3 }\n", ":4: entries[1].components.policy is 3 where text"),
    ):
        path.write_text(start + text)
        with pytest.raises(DataError, match=re.escape(needle)):
            read_config(path)
    path.write_text('[[entries]]\nmodel = "resnet18"\nvariants.lstm = "a"\n')
    with pytest.raises(DataError, match="does not go with a model"):
        read_config(path)
