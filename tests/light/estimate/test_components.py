"""Which specification a component stands for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from logs import header_of, write_log

from flopbench.core.errors import InputError
from flopbench.estimate.components import (
    Chosen,
    code_of_log,
    default_text,
    resolve_components,
    specs_of_logs,
)
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


def chosen(text: str, variant: str = "", *, is_default: bool = True, of_log: bool = True) -> Chosen:
    """Return a choice."""
    return Chosen(spec=parse_spec(text), variant=variant, is_default=is_default, of_log=of_log)


@pytest.mark.parametrize(
    ("name", "variants", "overrides", "expected"),
    [
        ("net", {}, {}, chosen("resnet18@112")),
        ("net", {}, {"net": "resnet18@112x112"}, chosen("resnet18@112", of_log=False)),
        ("net", {}, {"net": "resnet18@224"},
         chosen("resnet18@224", is_default=False, of_log=False)),
        ("lstm", {}, {}, chosen('value:7 "a paper"', "quoted")),
        ("lstm", {"lstm": "quoted"}, {}, chosen('value:7 "a paper"', "quoted")),
        ("lstm", {"lstm": "small"}, {}, chosen("lstm:8x8@1", "small", is_default=False)),
        ("lstm", {}, {"lstm": 'value:7 "a paper"'}, chosen('value:7 "a paper"', of_log=False)),
        ("own", {}, {}, chosen("nets.py:build@8")),
        ("own", {}, {"own": "nets.py:build@8"}, chosen("nets.py:build@8", of_log=False)),
        ("odd", {}, {"odd": "value:1"}, chosen("value:1", is_default=False, of_log=False)),
    ],
)  # fmt: skip
def test_the_log_a_variant_or_another_specification(
    name: str, variants: dict[str, str], overrides: dict[str, str], expected: Chosen
) -> None:
    """The requested one is taken; it is the default where it equals the log's own."""
    found = resolve_components(HEADER, variants, overrides, [name])
    assert found == {name: expected}
    assert list(code_of_log(found)) == (["own"] if name == "own" and not overrides else [])


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


def test_what_logs_name_is_listed_once_with_variants(tmp_path: Path) -> None:
    """Used components first, each of its variants; a preset's where the log names one."""
    arms = {"b": "nets.py:b@64", "a": "resnet18@112", "gate": {
        "variants": {"own": "nets.py:gate@32", "quoted": 'value:7 "a paper"'}, "default": "own",
    }}  # fmt: skip
    charges = {"per_step": {"gate": 1}}
    actions = [{"name": "a", "costs": {"a": 1}}, {"name": "skip", "kind": "skip"}]
    header = {"components": arms, "actions": actions, "charges": charges, "steps": 2}
    first = write_log(tmp_path / "1.jsonl", header, [{"actions": [0, 1]}])
    second = write_log(tmp_path / "2.jsonl", {**header, "method": "too"}, [{"actions": [1, 1]}])
    found = specs_of_logs([str(first), str(second)])
    expected = ["resnet18@112", "nets.py:gate@32", 'value:7 "a paper"', "nets.py:b@64"]
    assert list(map(str, found)) == expected
    preset = write_log(tmp_path / "3.jsonl", {"preset": "arnet-resnet"}, [{"actions": [0] * 16}])
    (usage := tmp_path / "shares.csv").write_text("action,share\nresnet50@224,1\n")
    assert "resnet50@224,classes=200" in map(str, specs_of_logs([str(preset)]))
    assert specs_of_logs([str(usage)], "arnet-resnet") == specs_of_logs([str(preset)])


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("nets:Net@1x3x8x8", "nets:Net@1x3x8x8"),
        ("my net", "my net"),
        ("", 'value:5 "Net, counted by torch 2"'),
        ('"odd" @', "value:5 \"'odd' @, counted by torch 2\""),
    ],
)
def test_counts_that_a_log_has(spec: str, text: str) -> None:
    """They are shown by their specification; rows by hand may have none. Nothing can be run."""
    row = {"model": "Net", "counter": "torch", "counter_version": "2", "status": "verified"}
    row |= {"total_macs": 7, "dense_macs": 5, "spec": spec}
    header = header_of(actions=["net"], components={"net": [row]})
    one = resolve_components(header, {}, {})["net"]
    assert (one.text, default_text((header.components or {})["net"])) == (text, text)
    assert (one.spec.source, one.spec.name, len(one.counted)) == ("value", "5", 1)
    assert parse_spec(text)
