"""Inputs by shape: every form is read, printed in one way, and nonsense is refused clearly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flopbench.core.errors import InputError
from flopbench.models.shapes import Shape, format_shapes, parse_shapes, shapes_in
from flopbench.models.spec import parse_spec

A, B = Shape((1, 1, 64, 64)), Shape((1, 1, 32, 32))
IDS = Shape((1, 100), "int64")


@pytest.mark.parametrize(
    ("text", "args", "kwargs", "printed"),
    [
        ("1x3x16x16", (Shape((1, 3, 16, 16)),), {}, "1x3x16x16"),
        ("1×3×16×16", (Shape((1, 3, 16, 16)),), {}, "1x3x16x16"),
        ("(1, 3, 16, 16)", (Shape((1, 3, 16, 16)),), {}, "1x3x16x16"),
        ("(1, 100):int64", (IDS,), {}, "1x100:int64"),
        ("1x100:int64", (IDS,), {}, "1x100:int64"),
        ("1x100 : long", (IDS,), {}, "1x100:int64"),
        ("(1,100)", (Shape((1, 100)),), {}, "(1,100)"),
        ("(7,)", (Shape((7,)),), {}, "(7,)"),
        ("scalar", (Shape(()),), {}, "scalar"),
        ("((1,1,64,64),(1,1,32,32))", (A, B), {}, "1x1x64x64+1x1x32x32"),
        ("[1x1x64x64, (1,1,32,32)]", (A, B), {}, "1x1x64x64+1x1x32x32"),
        ("1x1x64x64+1x1x32x32", (A, B), {}, "1x1x64x64+1x1x32x32"),
        ("1x2+1x3", (Shape((1, 2)), Shape((1, 3))), {}, "1x2+1x3"),
        ("{left: (1,1,64,64), 'right': 1x1x32x32}", (), {"left": A, "right": B},
         "left=1x1x64x64+right=1x1x32x32"),
        ("(1,1,64,64)+ids=(1,100):int64", (A,), {"ids": IDS}, "1x1x64x64+ids=1x100:int64"),
        ("ids=1x100:int64", (), {"ids": IDS}, "ids=1x100:int64"),
        ("([1x1x64x64,1x1x32x32],)", ([A, B],), {}, "([1x1x64x64,1x1x32x32],)"),
        ("({'ids': (1, 100):int64},)", ({"ids": IDS},), {}, "({ids:1x100:int64},)"),
        ("(1x1x64x64,)+(1x1x32x32,)", ((A,), (B,)), {}, "(1x1x64x64,)+(1x1x32x32,)"),
        ("a={b:1x100:int64,c:(1x1x64x64,)}", (), {"a": {"b": IDS, "c": (A,)}},
         "a={b:1x100:int64,c:(1x1x64x64,)}"),
    ],
)  # fmt: skip
def test_shapes_are_nested_as_the_inputs_are(
    text: str, args: tuple[object, ...], kwargs: dict[str, object], printed: str
) -> None:
    """Each form gives the arguments, prints in one way, and stands in a specification."""
    assert parse_shapes(text) == (args, kwargs)
    assert format_shapes(args, kwargs) == printed
    assert parse_shapes(printed) == (args, kwargs)
    spec = parse_spec(f"nets.py:build@{text},width=2")
    assert (spec.input, dict(spec.options)) == (printed, {"width": 2})
    assert str(spec) == f"nets.py:build@{printed},width=2"


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("1x100:int46", "did you mean 'int64'"),
        ("1x0x3x4", "at least 1"),
        ("(1, -3)", "cannot read the input"),
        ("(1, 2", "a bracket is not closed"),
        ("1x2+", "cannot read the input ''"),
        ("()", "cannot read"),
        ("((1,2),())", "cannot read"),
        ("(1x2, big)", "cannot read"),
        ("(1x2, 'big')", "cannot read"),
        ("(1, 2):int64:int64", "cannot read"),
        ("a=1x2+1x3", "after one with a name"),
        ("a=1x2+a=1x3", "gives 'a' twice"),
        ("1x9999999x9999999x3", "beyond any model"),
        ("1x1x1x" + "9" * 5000, "beyond any model"),
        ("(" * 300 + "1x2" + ")" * 300, "cannot read"),
        ("__import__('os').getcwd()+1x2", "cannot read"),
    ],
)
def test_nonsense_is_refused(text: str, needle: str) -> None:
    """One message, which quotes no more than a line."""
    with pytest.raises(InputError) as refused:
        parse_spec(f"nets.py:build@{text}")
    assert needle in refused.value.line
    assert len(refused.value.line) < 400


_SHAPES = st.builds(
    Shape,
    st.lists(st.integers(1, 999), min_size=1, max_size=4).map(tuple),
    st.sampled_from(["", "int64", "bool", "bfloat16"]),
)
_TREES = st.recursive(
    _SHAPES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.lists(inner, min_size=1, max_size=3).map(tuple)
        | st.dictionaries(
            st.from_regex("[a-z_]{1,4}", fullmatch=True), inner, min_size=1, max_size=3
        )
    ),
    max_leaves=5,
)


@given(
    st.lists(_TREES, max_size=3).map(tuple),
    st.dictionaries(st.from_regex("[a-z_]{1,4}", fullmatch=True), _TREES, max_size=2),
)
def test_any_shapes_survive_printing(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """What is printed is read as the same arguments."""
    if args or kwargs:
        assert parse_shapes(format_shapes(args, kwargs)) == (args, kwargs)


def test_python_values_become_shapes_where_they_are_shapes() -> None:
    """Tuples of whole numbers and text that reads as a shape; flags and names stay."""
    given = {"x": (1, 2), "ids": "1x3:long", "deep": [(4, 5), {"y": [6]}], "mode": "bilinear"}
    assert shapes_in(
        {**given, "flag": True, "number": "2", "none": None, "half": (0.5, 2), "empty": ()}
    ) == {
        "x": Shape((1, 2)),
        "ids": Shape((1, 3), "int64"),
        "deep": [Shape((4, 5)), {"y": Shape((6,))}],
        "mode": "bilinear",
        "flag": True,
        "number": "2",
        "none": None,
        "half": (0.5, 2),
        "empty": (),
    }
