"""What ``flopbench init`` writes: the commented configuration, and a CI job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from flopbench.check.config import DEFAULT_COUNTER
from flopbench.check.records import BASELINE, Cost, Entry, ModelCost
from flopbench.models.factories import without_weights
from flopbench.models.spec import DEFAULT_SIZE, ModelSpec, format_size, parse_spec

_HEAD = f"""\
# What `flopbench check` guards. Written by `flopbench init`; edit it as you like.
# A line that begins with "#" and no space is an example; remove the "#" to use it.

# The counter whose multiply-accumulates (MACs) are guarded; `flopbench counters` lists them.
counter = "{DEFAULT_COUNTER}"

# The accepted costs, relative to this file. Commit it; only `flopbench accept` moves it.
baseline = "{BASELINE}"
"""
_ENTRIES = """\
# Entries: what is guarded, one block each. Every model is guarded by its MACs, its parameters and
# its activations, every policy log by its MACs per video: none may grow without `flopbench accept`.
#   name        its name in budgets and messages; default: the model or the log as written here
#   model       resnet50@224, timm:efficientnet_b3@300, my_pkg.nets:build@224, nets.py:build;
#               after @ the input size: 224 pixels, HEIGHTxWIDTH or FRAMESxHEIGHTxWIDTH
#   policy-log  instead of model: the log of an adaptive policy, a path or a glob
#   preset      with policy-log: what its decisions mean, where the log does not say
#   rule        with policy-log: exact (the default) or published
#   components  with policy-log: other models instead of the log's, such as
#               { policy = "my_pkg.nets:policy@84" }; variants = { lstm = "released" } chooses
#               among those of a preset
"""
_BUDGETS = """\
# Budgets: exceptions from "may not grow". For each entry and metric the last matching budget
# applies, as a whole.
#   match         glob over names of entries (*, ?, [ab]); default "*"
#   metric        dense_macs, params, activations, macs_per_video or latency
#   limit         the most that is allowed, inclusive; the unit is required, and
#                 1 MAC = 2 FLOPs: "4.2 GMACs" and "8.4 GFLOPs" are the same
#   max-increase  allowed growth over the baseline; default "0%", for a latency "10%"
#   min-delta     growth of at most this amount passes too; with its unit
#   gate          exact (the default) or advisory, which reports but never fails; for a latency
#                 same-machine (the default), paired (two revisions in one job) or advisory
#   note          shown to whoever exceeds the budget

#[[budgets]]
#metric = "dense_macs"
#limit = "4.2 GMACs"
#max-increase = "0%"
#min-delta = "1 MMACs"
#gate = "exact"
#note = "The edge device has no room for more; ask before raising this."

#[[budgets]]
#metric = "params"
#limit = "25.6 M params"
#max-increase = "1%"

#[[budgets]]
#metric = "activations"
#limit = "11.2 M activations"
#gate = "advisory"

#[[budgets]]
#metric = "macs_per_video"
#limit = "33.5 GMACs/video"

#[[budgets]]
#metric = "latency"
#limit = "15 ms"
#max-increase = "10%"
#gate = "same-machine"
"""

_NO_WEIGHTS = "it would load weights by itself, which do not change a cost"

CI_SNIPPET = """\
# .github/workflows/model-cost.yml
name: model cost
on:
  pull_request:
  merge_group:
  push:
    branches: [main]
permissions:
  contents: read
concurrency:
  group: model-cost-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 2 # the branch to merge into is the first parent of what is checked out
          persist-credentials: false
      - uses: astral-sh/setup-uv@v6
        with:
          python-version: "3.12"
          activate-environment: true
          enable-cache: true
          prune-cache: false # or torch would not stay in it
      # Install here, too, what your models import. Counting needs no GPU: a CPU build will do.
      - run: uv pip install --torch-backend cpu "flopbench[measure]"
      - run: flopbench check --github --against HEAD^
"""
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
    return "\n".join([_HEAD, _ENTRIES, *blocks, _BUDGETS])


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
