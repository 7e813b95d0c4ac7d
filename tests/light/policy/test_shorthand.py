"""The short ways to write a header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from logs import header_of, write_log

from flopbench.core.errors import DataError
from flopbench.estimate.runs import run_of_log
from flopbench.policy.header import Action, Charges, Exit
from flopbench.policy.log import open_log
from flopbench.policy.logger import PolicyLogger

OWN = {"large": "value:100", "small": "value:10", "policy": "value:1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["large"], [Action(name="large", costs={"large": 1})]),
        (["skip"], [Action(name="skip", kind="skip")]),
        (["skip 4", "reuse"], [Action(name="skip 4", kind="skip", span=4),
                               Action(name="reuse", kind="reuse")]),
        ([{"name": "both", "costs": ["large", "small", "large"]}],
         [Action(name="both", costs={"large": 2, "small": 1})]),
        ([{"name": "one", "costs": "large"}, "skip"],
         [Action(name="one", costs={"large": 1}), Action(name="skip", kind="skip")]),
        ({"both": ["large", "small"], "half": {"large": 0.5}, "skip 2": []},
         [Action(name="both", costs={"large": 1, "small": 1}),
          Action(name="half", costs={"large": 0.5}), Action(name="skip 2", kind="skip", span=2)]),
        ([{"name": "skip"}], [Action(name="skip")]),
    ],
)  # fmt: skip
def test_actions(given: Any, expected: list[Action]) -> None:
    """A name runs the component of that name, or is a skip or reuse; an object says what it is."""
    assert header_of(actions=given, components=OWN).actions == expected


def test_exits_and_charges() -> None:
    """They have the same short forms; a skip among exits is no skip."""
    header = header_of(
        exits={"early": "small", "late": ["small", "large"]},
        charges={"per_step": "policy", "per_sample": ["large", "small"], "per_view": {"small": 2}},
        components=OWN,
    )
    assert header.exits == [
        Exit(name="early", costs={"small": 1}),
        Exit(name="late", costs={"small": 1, "large": 1}),
    ]
    assert header.charges == Charges(
        per_step={"policy": 1}, per_sample={"large": 1, "small": 1}, per_view={"small": 2}
    )
    assert header_of(exits=["large"], components=OWN).exits == [
        Exit(name="large", costs={"large": 1})
    ]


def test_streams() -> None:
    """Stream -> its actions, in any of the forms."""
    header = header_of(
        streams=["rgb", "flow"],
        actions={"rgb": ["large", "skip"], "flow": {"use": "small", "skip": []}},
        components=OWN,
    )
    assert header.actions == [
        Action(name="large", stream="rgb", costs={"large": 1}),
        Action(name="skip", stream="rgb", kind="skip"),
        Action(name="use", stream="flow", costs={"small": 1}),
        Action(name="skip", stream="flow", kind="skip"),
    ]


def test_names_of_a_presets_components() -> None:
    """A name may be that of a component which the preset has."""
    header = header_of(preset="arnet-resnet", actions=["resnet50", "own"], components={"own": "x"})
    assert header.actions is not None
    assert [action.costs for action in header.actions] == [{"resnet50": 1}, {"own": 1}]


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"actions": ["large", "smal"]}, "actions[1] is 'smal', which is not a component",
         "did you mean 'small'?"),
        ({"actions": ["skip four"]}, "actions[0] is 'skip four'", "components: large, small"),
        ({"actions": ["skip 0"]}, "actions[0] is 'skip 0'", ""),
        ({"exits": ["skip"]}, "exits[0] is 'skip'", '{"name": "skip", "costs": [...]}'),
        ({"actions": {"big": ["lrge"]}}, "actions[0] ('big') charges the component 'lrge'",
         "did you mean 'large'?"),
        ({"charges": {"per_frame": "policy"}}, "charges.per_frame is an unknown key", ""),
        ({"charges": ["policy"]}, "'charges' does not say when they are paid",
         'write {"per_step": [...]}'),
        ({"components": ["large"]}, "'components' is a list where an object or null was", ""),
        ({"actions": "large"}, "'actions' is 'large' where a list or null was expected", ""),
        ({"actions": [["large"]]}, "actions[0] is a list", ""),
    ],
)  # fmt: skip
def test_what_is_refused(fields: dict[str, Any], message: str, hint: str) -> None:
    """A name that would cost nothing by a slip is refused, with a near match."""
    with pytest.raises(DataError) as caught:
        header_of(**{"components": OWN, **fields})
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_log_is_written_out_in_full(tmp_path: Path) -> None:
    """PolicyLogger writes objects; a file may have the short forms, and costs the same."""
    short: dict[str, Any] = {
        "actions": ["large", "small", "skip"],
        "charges": {"per_step": "policy"},
        "components": OWN,
    }
    path = tmp_path / "run.jsonl"
    tuples = {**short, "actions": (*short["actions"],), "charges": {"per_step": ("policy",)}}
    with PolicyLogger(path, **tuples) as log:
        log.add(["v0"], [["large", "small", "skip", "skip"]])
    assert b'"charges":{"per_step":{"policy":1}}' in path.read_bytes()
    by_hand = write_log(tmp_path / "hand.jsonl", short, [{"actions": [0, 1, 2, 2]}])
    for one in (path, by_hand):
        # 100 + 10 + 4 × 1
        assert run_of_log([one]).primary.macs_per_video == 114
    assert open_log([path]).header.actions == open_log([by_hand]).header.actions


def test_a_component_that_nothing_charges_is_named(tmp_path: Path) -> None:
    """Its cost is 0, which may be a slip."""
    log = write_log(
        tmp_path / "run.jsonl",
        {"actions": ["large", "small", "skip"], "components": OWN},
        [{"actions": [0, 2]}],
    )
    assert [str(one) for one in run_of_log([log]).warnings] == [
        "policy: charged by no action, exit or charge, and counted by no sample: it costs nothing "
        "here"
    ]
