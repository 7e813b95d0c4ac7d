"""Logs of several kinds, which any engine must count alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NET = {"components": {"net": 'value:1000000000 "round"'}}
ACTIONS = [
    {"name": "run", "costs": {"net": 1}},
    {"name": "skip 2", "kind": "skip", "span": 2},
    {"name": "é 3", "kind": "skip", "span": 3},
]
TWO = [
    {"name": "use", "costs": {"net": 1}, "stream": "rgb"},
    {"name": "skip 2", "kind": "skip", "span": 2, "stream": "rgb"},
    {"name": "use", "costs": {"net": 1}, "stream": "it's"},
]
PER_STEP = [
    {"id": "v1", "labels": [3], "actions": [0, 1, 1, 1, 2, 2]},  # a skip 2 of three rows is two
    {"id": "v2", "labels": [0, 4], "actions": [2, 2, 2, 2, 2, 2]},
    {"id": "é 'v3'", "actions": [0, 1, 0, 1, 0, 1]},
]
"""A header's fields, and samples. ``v1`` to ``v3`` are odd where rows do not fit a span."""

KINDS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "rows": ({"actions": ACTIONS}, PER_STEP),
    "names": (
        {"actions": ACTIONS},
        [{"id": "v1", "labels": ["dög", 2], "actions": ["run", "skip 2", "é 3"]}],
    ),
    "lengths and none": (
        {"actions": ACTIONS, "steps": "varies"},
        [*PER_STEP, {"id": "v4", "actions": [], "steps": 5}, {"id": "v5", "actions": [1]}],
    ),
    "views": (
        {"actions": ACTIONS},
        [{"id": "v1", "view": n, "labels": [1], "actions": [n, 1, 1]} for n in (0, 1, 2)],
    ),
    "streams": (
        {"actions": TWO, "streams": ["rgb", "it's"], "steps": "varies"},
        [
            {"id": "v1", "actions": {"rgb": [0, 1, 1], "it's": [0, 0, 0]}},
            {"id": "v2", "actions": {"rgb": [1, 1]}},
            {"id": "v3", "actions": {"rgb": [], "it's": []}},
            {"id": "v4", "actions": {"it's": [0]}},
        ],
    ),
    "decisions": (
        {"actions": ACTIONS, "encoding": "per_decision", "steps": 6},
        [
            {"id": "v1", "actions": [2, 1, 2]},  # the end cuts the last skip 3 to one step
            {"id": "v2", "actions": [0, 0, 1], "steps": 4},
        ],
    ),
    "spans": (
        {"actions": ACTIONS, "encoding": "per_decision"},
        [
            {"id": "v1", "actions": [1, 1], "spans": [5, 2]},
            {"id": "v2", "actions": [1, 0]},
            {"id": "v3", "actions": [1, 2], "spans": [2, 3], "steps": 4},
        ],
    ),
    "spans of streams": (
        {"actions": TWO, "streams": ["rgb", "it's"], "encoding": "per_decision"},
        [
            {
                "id": "v1",
                "actions": {"rgb": [1, 0], "it's": [0]},
                "spans": {"rgb": [3, 1], "it's": [4]},
            }
        ],
    ),
}


def write(path: Path, fields: dict[str, Any], samples: list[dict[str, Any]]) -> Path:
    """Write a log of JSON lines."""
    lines = [{"format": "flopbench.policy-log", "version": 1, **NET, **fields}, *samples]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


BAD: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "an unknown id": ("id v2: actions[1] is 9, which is no", {}, [{"id": "v2", "actions": [0, 9]}]),
    "a number with a point": ("", {}, [{"id": "v2", "actions": [0, 1.0]}]),
    "a name among ids": ("", {}, [{"id": "v2", "actions": [0, "run"]}]),
    "nothing among ids": ("id v2: actions[1] is null", {}, [{"id": "v2", "actions": [0, None]}]),
    "one-hot rows": ("", {}, [{"id": "v2", "actions": [[1, 0, 0], [1, 0, 0]]}]),
    "no id": ("id missing: 'id' is missing", {}, [{"actions": [0, 1]}]),
    "no actions": ("id v2: no 'actions'", {}, [{"id": "v2", "action": [0, 1]}]),
    "an exit": ("exits are not counted", {}, [{"id": "v2", "actions": [0, 1], "exit": 0}]),
    "further counts": (
        "'counts' are not",
        {},
        [{"id": "v2", "actions": [0], "counts": {"net": 1}}],
    ),
    "an id twice": ("id v1 is there twice", {}, [{"id": "v1", "actions": [0, 1]}]),
    "a second header": ("there is a second header", {}, [{"format": "flopbench.policy-log"}]),
    "other lengths": ("3 steps where 2 were", {}, [{"id": "v2", "actions": [0, 0, 0]}]),
    "steps": ("cover 2 steps, and it has 3", {}, [{"id": "v2", "actions": [0, 1], "steps": 3}]),
    "labels of another type": ("labels", {}, [{"id": "v2", "labels": [1.5], "actions": [0, 1]}]),
    "no list of labels": (
        "labels: expected a l",
        {},
        [{"id": "v2", "labels": {}, "actions": [0, 1]}],
    ),
    "views of some": ("view", {}, [{"id": "v2", "view": 1, "actions": [0, 1]}]),
    "spans": ("spans: only with", {}, [{"id": "v2", "actions": [0, 1], "spans": [1, 1]}]),
    "fewer spans": (
        "spans: not as many as",
        {"encoding": "per_decision"},
        [{"id": "v2", "actions": [0, 1], "spans": [1]}],
    ),
    "a span of none": (
        "spans[0] is 0 where",
        {"encoding": "per_decision"},
        [{"id": "v2", "actions": [0, 1], "spans": [0, 2]}],
    ),
    "too many steps": (
        "cover 5 steps, and it has 2",
        {"encoding": "per_decision", "steps": 2},
        [{"id": "v2", "actions": [1, 2]}],
    ),
}
"""What is wrong -> what a message says of it (an engine's own words: nothing), header, samples."""
