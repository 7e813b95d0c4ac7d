"""What each component costs, by flopbench's own table, and what the logs say about it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flopbench
from benchmarks.policy_learning.config import SKIPS, Config
from benchmarks.policy_learning.videos import KINDS

DATASET = "moving digits"
COUNTER = "torch"
DECIDING = ("policy", "lstm", "decide")
"""Components that run at each decision."""


def specs(config: Config) -> dict[str, str]:
    """Return component -> specification, in the order of ``Config.actions`` and ``DECIDING``."""
    arms = {arm.name: arm.spec(config.classes) for arm in config.arms}
    return {
        **arms,
        "predict": f"linear:{config.hidden}x{config.classes}",
        "policy": config.policy.spec(config.features),
        "lstm": f"lstm:{config.features + 1}x{config.hidden}",
        "decide": f"linear:{config.hidden}x{len(config.actions)}",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Dense MACs of one run of each component, and the table that they are from."""

    config: Config
    table: flopbench.CostTable
    macs: Mapping[str, int]

    @property
    def decision(self) -> int:
        """MACs of one decision, whatever it is."""
        return sum(self.macs[name] for name in DECIDING)

    @property
    def actions(self) -> list[int]:
        """MACs of one decision for each action, and of what it then runs."""
        own = [self.macs[arm.name] for arm in self.config.arms]
        return [self.decision + macs for macs in (*own, self.macs["predict"], *[0] * len(SKIPS))]

    @property
    def shares(self) -> list[float]:
        """The same as shares of what the most expensive action costs on every frame."""
        return [macs / (self.actions[0] * self.config.steps) for macs in self.actions]

    @property
    def needs(self) -> list[int]:
        """MACs that each class was planted to need: looks with the coarsest network that reads it.

        A network reads a digit in frames of at least ``Kind.look_px``.
        """
        sizes = [(self.config.policy.size_px, self.actions[len(self.config.arms)])]
        sizes += [
            (arm.size_px, macs) for arm, macs in zip(self.config.arms, self.actions, strict=False)
        ]
        return [
            kind.looks * min((px, macs) for px, macs in sizes if px >= kind.look_px)[1]
            for kind in KINDS
        ]


def prices_of(config: Config) -> Prices:
    """Count every component with flopbench."""
    own = specs(config)
    table = flopbench.cost_table(list(dict.fromkeys(own.values())))
    rows = [row for row in table.rows if row.counter == COUNTER]
    counted = {row.spec: row.dense_macs for row in rows if row.dense_macs is not None}
    macs = {name: counted[str(flopbench.parse_spec(spec))] for name, spec in own.items()}
    return Prices(config=config, table=table, macs=macs)


def header(prices: Prices, method: str, kind: str, split: str = "test") -> dict[str, Any]:
    """Return the header of a log.

    Args:
        method: what the run is called.
        kind: ``policy``; ``uniform`` for runs that take no decisions; ``all`` for one action that
            runs everything; ``oracle`` for one that looks at some frames without a policy.
    """
    config = prices.config
    own = dict.fromkeys(DECIDING, 1)
    actions: list[dict[str, Any]] = [
        {"name": arm.name, "costs": {arm.name: 1}} for arm in config.arms
    ]
    cheapest: dict[str, Any] = {"name": config.policy.name, "costs": {"predict": 1}}
    if kind == "policy":
        skips = [{"name": f"skip {k}", "kind": "skip", "span": k} for k in SKIPS]
        actions += [cheapest, *skips]
    else:
        cheapest["costs"] = {"policy": 1, "lstm": 1, "predict": 1}
        actions.append(cheapest)
        if kind == "all":
            every = {arm.name: 1 for arm in config.arms} | cheapest["costs"]
            actions = [{"name": "all", "costs": every}]
        elif kind == "oracle":
            actions.append({"name": "not looked at", "kind": "skip"})
    return {
        "method": method,
        "dataset": DATASET,
        "split": split,
        "step_unit": "frame",
        "steps": config.steps,
        "class_names": [kind.name for kind in KINDS],
        "actions": actions,
        "charges": {"per_decision": own} if kind == "policy" else {},
        "components": _components(prices, actions, kind),
    }


def _components(prices: Prices, actions: Sequence[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Return the components that can run: their MACs as counted, and the networks for replays."""
    own = specs(prices.config)
    used = {name for action in actions for name in action.get("costs", {})}
    used |= set(DECIDING) if kind == "policy" else set()
    return {
        name: {
            "default": "counted",
            "variants": {
                "counted": f'value:{prices.macs[name]} "counted by flopbench, table.json"',
                "network": spec,
            },
        }
        for name, spec in own.items()
        if name in used
    }


def spans(config: Config) -> list[int]:
    """Return how many frames one decision for each action covers."""
    return [*[1] * (len(config.arms) + 1), *SKIPS]


def costs(rows: Any, macs: Sequence[int], covers: Sequence[int]) -> Any:
    """Return (N,) MACs of videos, from (N, T) action ids as a log has them.

    A decision costs ``macs`` and covers the frames that ``covers`` says, fewer at the end.
    """
    import numpy as np

    total = []
    for row in np.asarray(rows).tolist():
        step, spent = 0, 0
        while step < len(row):
            spent += macs[row[step]]
            step += covers[row[step]]
        total.append(spent)
    return np.array(total)


def write_log(path: Path, head: Mapping[str, Any], seed: int, columns: Mapping[str, Any]) -> None:
    """Write a log, packed: (N,) ``ids`` and ``labels``, (N, T) ``actions``, (N, C) ``logits``.

    The seed becomes a part of each id, so that the logs of several seeds can be read as one.
    """
    plain = path.with_suffix("")
    plain.unlink(missing_ok=True)
    plain.parent.mkdir(parents=True, exist_ok=True)
    ids = [f"{name}-s{seed}" for name in columns["ids"]]
    scores = columns["logits"].log_softmax(1).double().clamp(min=-20)
    rounded = [[round(value, 2) for value in row] for row in scores.tolist()]
    with flopbench.PolicyLogger(plain, header=dict(head), world_size=1) as log:
        log.add(ids, columns["actions"], labels=columns["labels"], scores=rounded)
    path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()
