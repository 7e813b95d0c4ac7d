"""Which specification a component stands for, and what is refused."""

from __future__ import annotations

import pytest
from logs import header_of

from flopbench.core.errors import InputError
from flopbench.estimate.components import Chosen, resolve_components
from flopbench.models.spec import parse_spec

HEADER = header_of(
    steps=1,
    components={
        "net": "resnet18@112",
        "lstm": {
            "variants": {"small": "lstm:8x8@1", "quoted": 'value:7 "a paper"'},
            "default": "quoted",
        },
        "own": "nets.py:build@8",
        "odd": "nothing:after:the:colons:",
    },
)


def chosen(text: str, variant: str = "", *, is_default: bool = True) -> Chosen:
    """Return a choice."""
    return Chosen(spec=parse_spec(text), variant=variant, is_default=is_default)


@pytest.mark.parametrize(
    ("name", "variants", "overrides", "expected"),
    [
        ("net", {}, {}, chosen("resnet18@112")),
        ("net", {}, {"net": "resnet18@112x112"}, chosen("resnet18@112")),
        ("net", {}, {"net": "resnet18@224"}, chosen("resnet18@224", is_default=False)),
        ("lstm", {}, {}, chosen('value:7 "a paper"', "quoted")),
        ("lstm", {"lstm": "quoted"}, {}, chosen('value:7 "a paper"', "quoted")),
        ("lstm", {"lstm": "small"}, {}, chosen("lstm:8x8@1", "small", is_default=False)),
        ("lstm", {}, {"lstm": 'value:7 "a paper"'}, chosen('value:7 "a paper"')),
        ("own", {}, {"own": "nets.py:build@8"}, chosen("nets.py:build@8")),
        ("odd", {}, {"odd": "value:1"}, chosen("value:1", is_default=False)),
    ],
)
def test_the_log_a_variant_or_another_specification(
    name: str, variants: dict[str, str], overrides: dict[str, str], expected: Chosen
) -> None:
    """The requested one is taken; it is the default where it equals the log's own."""
    assert resolve_components(HEADER, variants, overrides, [name]) == {name: expected}


@pytest.mark.parametrize(
    ("name", "variants", "overrides", "message", "hint"),
    [
        ("net", {"lstn": "small"}, {}, "FLAG lstn=small: there is no component 'lstn'",
         "did you mean 'lstm'?"),
        ("net", {}, {"nett": "value:1"}, "--component nett=value:1: there is no component 'nett'",
         "did you mean 'net'?"),
        ("net", {"net": "small"}, {}, "FLAG net=small: the component 'net' has no variants", ""),
        ("lstm", {"lstm": "smal"}, {}, "FLAG lstm=smal: the component 'lstm' has no variant 'smal'",
         "did you mean 'small'?"),
        ("lstm", {"lstm": "small"}, {"lstm": "value:1"},
         "FLAG lstm=small and --component lstm=value:1 exclude each other", ""),
        ("own", {}, {},
         "the component 'own' is 'nets.py:build@8', code that a log must not start by itself",
         "if you trust it: --component own=nets.py:build@8"),
    ],
)  # fmt: skip
def test_what_is_refused(
    name: str, variants: dict[str, str], overrides: dict[str, str], message: str, hint: str
) -> None:
    """The message names the option as it was given, and the component."""
    for flag, more in (("--variant", {}), ("variants", {"variant_flag": "variants"})):
        with pytest.raises(InputError) as caught:
            resolve_components(HEADER, variants, overrides, [name], **more)
        assert caught.value.message == message.replace("FLAG", flag)
        assert hint in caught.value.hint


def test_trusted_code_may_be_named_by_a_log() -> None:
    """A saved table makes the code that it has a cost for trusted."""
    found = resolve_components(HEADER, {}, {}, ["own"], trusted={"nets.py:build@8"})
    assert found["own"].spec.is_user_code
