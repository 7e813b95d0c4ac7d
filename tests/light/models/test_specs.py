"""Specifications: every form is read, printed back the same, and nonsense is refused clearly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flopbench.core.errors import InputError
from flopbench.models.spec import ModelSpec, cross, parse_size, parse_spec


@pytest.mark.parametrize(
    ("text", "source", "model", "input", "classes"),
    [
        ("resnet50@224", "torchvision", "resnet50", "224", None),
        ("torchvision:resnet50", "torchvision", "resnet50", "", None),
        ("resnet50@224x224", "torchvision", "resnet50", "224", None),
        ("resnet50@112x168,classes=200", "torchvision", "resnet50", "112x168", 200),
        ("r3d_18@16x112x112,classes=400", "torchvision", "r3d_18", "16x112x112", 400),
        ("timm:efficientnet_b3@300", "timm", "timm:efficientnet_b3", "300", None),
        ("transformers:vit@224", "transformers", "transformers:vit", "224", None),
        ("my_pkg.nets:build@224", "python", "my_pkg.nets:build", "224", None),
        ("some dir/nets.py:build", "python", "some dir/nets.py:build", "", None),
        ("lstm:1280x512@16", "lstm", "lstm:1280x512", "16", None),
        ("linear:1280x7", "linear", "linear:1280x7", "", None),
        ("nets.py:Net#body.0@24,classes=3", "python", "nets.py:Net#body.0", "24", 3),
        ("resnet50#layer2@1x256x7x7", "torchvision", "resnet50#layer2", "1x256x7x7", None),
        ("timm:vit#blocks.0@(1, 9, 8)", "timm", "timm:vit#blocks.0", "(1,9,8)", None),
        ("a#b/nets.py:Net#fc", "python", "a#b/nets.py:Net#fc", "", None),
        ("a#b/nets.py:Net@8", "python", "a#b/nets.py:Net", "8", None),
        (
            "mobilenet_v2@84,width_mult=0.5",
            "torchvision",
            "mobilenet_v2,width_mult=0.5",
            "84",
            None,
        ),
    ],
)
def test_parse(text: str, source: str, model: str, input: str, classes: int | None) -> None:
    """Each form gives its source, network, input and head, and prints to what reads the same."""
    spec = parse_spec(text)
    assert (spec.source, spec.model, spec.input, spec.classes) == (source, model, input, classes)
    assert parse_spec(str(spec)) == spec


def test_constants_are_exact_and_carry_their_source() -> None:
    """A constant is a whole number of MACs with a text that gives its source."""
    spec = parse_spec('value:1.8e9 "EfficientNet paper, 300 px"')
    assert (spec.name, spec.quote) == ("1800000000", "EfficientNet paper, 300 px")
    assert parse_spec(str(spec)) == spec
    assert parse_spec("value:3.6 GFLOPs").name == "1800000000"


def test_a_constant_with_two_readings_is_refused() -> None:
    """The figure of a paper is MACs or FLOPs, and only the user knows which."""
    with pytest.raises(InputError) as refused:
        parse_spec('value:4.1103 GFLOPS "paper"')
    assert refused.value.line == (
        "'4.1103 GFLOPS' can mean 4.1103 GMACs (as papers on efficient networks print it) or "
        "4.1103 billion FLOPs = 2.05515 GMACs: write '4.1103 GMACs' or '4.1103 GFLOPs'"
    )
    assert parse_spec('value:4.1103 GMACs "paper"').name == "4110300000"
    assert parse_spec('value:4.1103 GFLOPs "paper"').name == "2055150000"


def test_options_are_typed_and_order_does_not_matter() -> None:
    """Options become Python values; two spellings of one model are one model."""
    one = parse_spec("pkg.nets:build@64,width=2,deep=true,name=abc,scale=0.5")
    assert dict(one.options) == {"width": 2, "deep": True, "name": "abc", "scale": 0.5}
    assert one == parse_spec("pkg.nets:build@64,scale=0.5,name=abc,deep=True,width=2")


@pytest.mark.parametrize(
    ("option", "value", "printed"),
    [
        ("a=[2,2,6,2]", [2, 2, 6, 2], "a=[2,2,6,2]"),
        ("a = [ 2, 2 ]", [2, 2], "a=[2,2]"),
        ("a=(3,)", (3,), "a=(3,)"),
        ("a=()", (), "a=()"),
        ("a=[[1,2],[3]]", [[1, 2], [3]], "a=[[1,2],[3]]"),
        ("a={'x':[1,2],'y':None}", {"x": [1, 2], "y": None}, "a={'x':[1,2],'y':None}"),
        ("a='x,y'", "x,y", "a='x,y'"),
        ('a="x@y"', "x@y", "a='x@y'"),
        ("a='plain'", "plain", "a=plain"),
        ("a='2'", "2", "a='2'"),
        ("a='true'", "true", "a='true'"),
        ("a=' x '", " x ", "a=' x '"),
        ("a=''", "", "a=''"),
        ("a=it's", "it's", 'a="it\'s"'),
        ("a=['it\\'s',-1.5,True]", ["it's", -1.5, True], 'a=["it\'s",-1.5,True]'),
        ("a=true", True, "a=True"),
        ("a=1e-5", 1e-5, "a=1e-05"),
        ("a=x=y", "x=y", "a=x=y"),
        ("a=f(x", None, ""),
    ],
)
def test_an_option_may_be_a_list_a_tuple_a_dict_or_quoted(
    option: str, value: object, printed: str
) -> None:
    """It is read as Python reads it, and printed in one way, whatever stands around it."""
    if not printed:
        with pytest.raises(InputError, match="not closed"):
            parse_spec(f"nets.py:build@64,{option},z='end'")
        return
    spec = parse_spec(f"nets.py:build@64,{option},z='the, end'")
    assert dict(spec.options) == {"a": value, "z": "the, end"}
    assert str(spec) == f"nets.py:build@64,{printed},z='the, end'"
    assert parse_spec(str(spec)) == spec
    assert len({spec, parse_spec(str(spec))}) == 1  # a list does not keep it out of a set


def test_options_that_python_takes_for_equal_are_different_models() -> None:
    """1, True, 1.0 and '1' are equal or print alike somewhere; the models need not be."""
    specs = [parse_spec(f"nets.py:build,a={a}") for a in ("1", "True", "1.0", "'1'")]
    assert [[one == other for other in specs].count(True) for one in specs] == [1] * 4
    assert len(set(specs)) == 4


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("it's/nets.py:build@5,a='x,y'", "it's/nets.py:build", {"a": "x,y"}),
        ("odd (1/nets.py:build@5", "odd (1/nets.py:build", {}),
        ("a[0]/nets.py:build,w=2", "a[0]/nets.py:build", {"w": 2}),
        ("my@home/nets.py:build@5,w=2", "my@home/nets.py:build", {"w": 2}),
    ],
)
def test_brackets_and_quotes_in_a_path_are_characters(
    text: str, name: str, options: dict[str, object]
) -> None:
    """Only the input and the options have a grammar."""
    spec = parse_spec(text)
    assert (spec.name, dict(spec.options)) == (name, options)
    assert parse_spec(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("", "expected something like"),
        ("@224", "names no model"),
        ("resnet50@", "nothing after '@'"),
        ("nets.py:Net#@8", "names no submodule after '#'"),
        ("resnet50#layer1.@8", "names no submodule after '#'"),
        ("resnet50@0", "at least 1"),
        ("resnet50@-3", "at least 1"),
        ("resnet50@big", "is not a number"),
        ("resnet50@224.5", "is not a number"),
        ("resnet50@1x2x3x4", "shapes are for your own code"),
        ("resnet50@(224,224)", "give a size such as 224"),
        ("resnet50@99999999999999", "beyond any model"),
        ("resnet50@224,a=1e999", "cannot read a=1e999"),
        ("resnet50@224,a=" + "9" * 5000, "numbers of a usual size"),
        ("resnet50@224,a=[1e99]", "numbers of a usual size"),
        ("resnet50@224,a=[b,c]", "'text in quotes'"),
        ("resnet50@224,a=[3", "a bracket is not closed"),
        ("resnet50@224,a={1,2}", "cannot read a={1,2}"),
        ("resnet50@224,a=1j", "cannot read a=1j"),
        ("resnet50@224,a=" + "[" * 300 + "]" * 300, "cannot read a="),
        ("resnet50@224,a=[1],a=[2]", "twice"),
        ("resnet50,a=b@224", "before the first comma"),
        ("resnet50@224,classes", "expected key=value"),
        ("resnet50@224,classes=many", "whole number"),
        ("resnet50@224,classes=0", "at least 1"),
        ("resnet50@224,a=1,a=2", "twice"),
        ("resnet50,,a=1", "expected something like"),
        ("lstm:1280", "INPUTxOUTPUT"),
        ("lstm:4x4@2x2", "number of steps"),
        ("pytorch:resnet-50", "is not a model"),
        ("value:lots", "'lots' is not a number"),
        ("value:", "cannot read"),
        ("value:1e400", "beyond any model"),
        ("value:1e999999999", "beyond any model"),
    ],
)
def test_nonsense_is_refused(text: str, needle: str) -> None:
    """The message says what was expected."""
    with pytest.raises(InputError, match=needle.replace("(", r"\(")):
        parse_spec(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the parser crash, and what it reads it prints and reads again."""
    try:
        spec = parse_spec(text)
    except InputError:
        return
    assert isinstance(spec, ModelSpec)
    assert parse_spec(str(spec)) == spec


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(max_size=8)
    | st.floats(-1e9, 1e9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(_VALUES, _VALUES)
def test_any_options_survive_printing(one: object, other: object) -> None:
    """What a specification prints is read as the same options."""
    spec = ModelSpec(source="python", name="n:f", options=(("a", one), ("b", other)))
    assert repr(parse_spec(str(spec)).options) == repr(spec.options)


@given(st.lists(st.integers(min_value=1, max_value=9999), min_size=1, max_size=3))
def test_sizes_survive_printing(extents: list[int]) -> None:
    """A size printed and read is the same size; a square has one name."""
    size = parse_size("x".join(map(str, extents)))
    assert parse_size("x".join(map(str, size))) == size
    if len(extents) == 2 and extents[0] == extents[1]:
        assert size == (extents[0],)


def test_cross_pairs_models_with_sizes() -> None:
    """Models outermost, sizes in the order given; a model with its own input is refused."""
    models = [parse_spec("resnet18"), parse_spec("timm:vit_tiny_patch16_224")]
    crossed = [str(spec) for spec in cross(models, ["224", "168"])]
    assert crossed[:2] == ["resnet18@224", "resnet18@168"]
    assert len(crossed) == 4
    with pytest.raises(InputError, match="already has its own input"):
        cross([parse_spec("resnet18@64")], ["224"])


def test_user_code_is_known_as_such() -> None:
    """The user's own code is never cached, so it must be recognised."""
    assert parse_spec("nets.py:build").is_user_code
    assert parse_spec("transformers:my/config.json").is_user_code
    assert not parse_spec("timm:resnet18").is_user_code
