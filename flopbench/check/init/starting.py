"""What ``flopbench init`` writes: the commented configuration, and a CI job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from flopbench.check.config import DEFAULT_COUNTER
from flopbench.check.records import BASELINE, Cost, Entry, ModelCost
from flopbench.models.factories import without_weights
from flopbench.models.spec import DEFAULT_SIZE, ModelSpec, format_size, parse_spec

_FOLDER = Path(__file__).parent
_NO_WEIGHTS = "it would load weights by itself, which do not change a cost"

CI_SNIPPET = (_FOLDER / "workflow.yml").read_text(encoding="utf-8")
"""A GitHub Actions workflow that checks pull requests, the merge queue and the main branch."""


def config_text(entries: Sequence[Entry], failures: Mapping[str, str]) -> str:
    """Return the text of a new ``flopbench.toml``, every key explained.

    ``failures`` is name -> why the entry could not be measured; such an entry becomes a comment.
    """
    blocks = []
    for entry in entries:
        values = {"name": entry.name, "model": entry.model, "policy-log": entry.policy_log}
        lines = [f"{key} = {_toml_text(value)}\n" for key, value in values.items() if value]
        block = "".join(["[[entries]]\n", *lines])
        if entry.name in failures:
            reason = f"# Could not be measured: {_one_line(failures[entry.name])}\n"
            block = reason + "".join(f"#{line}\n" for line in block.splitlines())
        blocks.append(block)
    text = (_FOLDER / "config.toml").read_text(encoding="utf-8")
    text = text.replace('"COUNTER"', f'"{DEFAULT_COUNTER}"').replace('"BASELINE"', f'"{BASELINE}"')
    head, _, budgets = text.partition("#entries\n")
    return head + "\n".join([*blocks, budgets])


def how_counted(models: Mapping[str, str], costs: Mapping[str, Cost | str]) -> list[str]:
    """Say at which input models were counted that name none, and which weights are left out.

    ``models`` is entry -> specification, ``costs`` entry -> what it costs, or why it has no cost.
    """
    said: dict[str, list[str]] = {}
    for name, text in models.items():
        cost, spec = costs[name], parse_spec(text)
        if isinstance(cost, ModelCost) and not spec.input:
            said.setdefault(f"counted at {cost.input}, {_origin(spec, cost)}", []).append(name)
        for key, value in spec.options:
            if without_weights({key: value is False or "weights"}) == ((key, value),):
                said.setdefault(f"{key}={value} written: {_NO_WEIGHTS}", []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in said.items()]


def _origin(spec: ModelSpec, cost: ModelCost) -> str:
    if not spec.is_user_code:
        return "the model's own default"
    if cost.input != format_size(DEFAULT_SIZE):
        return "the factory's own input"
    return "the default for an image; another size is named after '@', such as build@112"


def _toml_text(value: str) -> str:
    """Write a basic string; TOML has JSON's escapes, and needs one more character escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Return text that fits into a comment, which ends with its line."""
    words = "".join(sign if sign.isprintable() else " " for sign in text).split()
    return " ".join(words) or "no reason given"
