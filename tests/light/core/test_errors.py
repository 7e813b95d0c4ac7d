"""Words that messages share: remarks, and names that stay distinct."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flopbench.core.errors import distinct
from flopbench.core.remarks import Remark


def test_equal_names_are_numbered() -> None:
    """Unique names stay; equal ones are numbered in order."""
    assert distinct([]) == []
    assert distinct(["a", "b", "a"]) == ["a #1", "b", "a #2"]


@given(st.lists(st.sampled_from(["a", "a #1", "a #2", "a #1 #1", "b"])))
def test_a_number_that_is_itself_a_name_is_not_given_again(names: list[str]) -> None:
    """All names end up distinct, and a unique one is kept."""
    found = distinct(names)
    assert len(set(found)) == len(found) == len(names)
    assert all(
        own == name for own, name in zip(found, names, strict=True) if names.count(name) == 1
    )


def test_a_remark_is_printed_with_its_subject() -> None:
    """A remark about a part of a run becomes one about the run, word for word."""
    remark = Remark("a guess", "net", kind="left out")
    assert str(remark) == "net: a guess"
    assert str(remark.of("run: a")) == "run: a: net: a guess"
    assert remark.of("run: a").kind == "left out"
    assert Remark("b", "a") != Remark("a: b")
