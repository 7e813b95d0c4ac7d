"""What each kind of figure declares, and what is taken from it."""

from __future__ import annotations

import re
from inspect import signature
from typing import get_args

import pytest
from conftest import ROOT

from flopbench import plots
from flopbench.core.errors import InputError
from flopbench.present.figures.inputs.files import CallerError, called
from flopbench.present.kind import KINDS, load_kind

TIMINGS = ROOT / "tests/data/timings.json"


@pytest.mark.parametrize("name", KINDS)
def test_a_declaration_fits_its_function(name: str) -> None:
    """Files and options set arguments of the function, with a choice as default; all are told."""
    kind = load_kind(name)
    arguments = signature(kind.make).parameters
    assert kind.name == name
    assert list(arguments)[1] == "ax"
    set_by = {*kind.takes.values(), *(option.argument for option in kind.options), "ax"}
    assert set(arguments) == set_by | ({"choices"} if kind.log_options else set())
    for option in kind.options:
        default = kind.default_of(option)
        assert default is None or not option.choices or default in option.choices
    told = re.findall(r"^ {8}(\w+): ", kind.make.__doc__ or "", re.MULTILINE)
    assert set(arguments) <= set(told)
    assert re.search(r"^    Returns:\n        The axes", kind.make.__doc__ or "", re.MULTILINE)


def test_the_page_lists_the_kinds() -> None:
    """The table of docs/figures.md is what the kinds declare."""
    page = (ROOT / "docs/figures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", page.split("```")[0], re.MULTILINE)
    assert rows == [(name, shows, load_kind(name).taken) for name, shows in KINDS.items()]


def test_the_public_functions_are_functions() -> None:
    """``flopbench.plots`` has each kind with signature and docstring, and nothing else."""
    assert set(plots.__all__) == {*KINDS, "paper", "save"}
    assert set(plots.__all__) <= set(dir(plots))
    for name in KINDS:
        public = getattr(plots, name)
        assert public is getattr(plots, name)
        assert public.__name__ == name
        assert str(signature(public)).endswith("-> 'Axes'")
        assert public.__doc__ == load_kind(name).make.__doc__
    with pytest.raises(AttributeError, match="no attribute 'pie'"):
        _ = plots.pie


def test_errors_name_the_caller() -> None:
    """A file of another kind is told by the name of who asked, and of who takes it."""
    with pytest.raises(CallerError, match="this figure takes a policy log"):
        load_kind("usage").make(TIMINGS)
    expected = (
        r"is a timing file; {} takes a policy log \(PolicyLogger, or your own evaluation loop\)"
    )
    with pytest.raises(InputError, match=expected.format(r"plots\.usage")) as error:
        plots.usage(TIMINGS)
    assert error.value.hint == ""
    with (
        pytest.raises(InputError, match=expected.format("plot usage")) as error,
        called("plot usage", lambda kind: [f"plot x, which takes a {kind}"]),
    ):
        load_kind("usage").make(TIMINGS)
    assert error.value.hint == "a timing file goes into: plot x, which takes a timing file"
    log = ROOT / "tests/data/steady.jsonl"
    with pytest.raises(InputError, match=r"^plots\.usage: 9 runs; at most 8") as error:
        plots.usage([log] * 9)
    assert error.value.hint == "draw several figures"


def test_choices_on_the_command_line_are_those_of_the_types() -> None:
    """An option that takes one of some texts takes those of its argument's type."""
    from flopbench.present.figures import classes, theory, tradeoff_costs, usage

    kinds = {name: load_kind(name) for name in KINDS}
    found = {
        (name, option.argument): tuple(option.choices)
        for name, kind in kinds.items()
        for option in kind.options
        if option.choices
    }
    assert found == {
        ("usage", "of"): get_args(usage.Of),
        ("classes", "sort"): get_args(classes.Sort),
        ("classes", "ratio"): get_args(classes.Which),
        ("classes", "bars"): get_args(classes.Bars),
        ("classes", "of"): get_args(classes.Of),
        ("tradeoff", "cost"): get_args(tradeoff_costs.Cost),
        ("theory", "fit"): get_args(theory.FitKind),
    }
