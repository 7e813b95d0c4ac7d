"""The text of a baseline: its lines, and the digest of each entry.

One module, event, component or acceptance per line, keys sorted, modules in natural order, nothing
that depends on the day or the machine: the same baseline is the same bytes, and its git diff says
which module changed. What changes in an entry is between lines that never do (``accepted`` above,
``what`` below), and each entry has a digest, so that git merges two branches that moved different
entries, even adjacent ones. Two branches that each add an entry at the same place do conflict, as
any two insertions at one line do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from flopbench.check.records import (
    MODEL_METRICS,
    NAMES_ON_FILE,
    Acceptance,
    Baseline,
    Cost,
    Kept,
    LogCost,
    ModelCost,
    ModuleCost,
)
from flopbench.check.report import plain_amount
from flopbench.core.errors import DataError

KIND = "flopbench.baseline"
SCHEMA = 1
"""Schema history: 1, the first."""

MODEL = "model"
POLICY_LOG = "policy log"
REMOVED = "removed"

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)

_UNSAFE = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What JSON allows and a reader cannot see: controls, line and paragraph separators, marks that
change the writing direction, lone surrogates."""


def render_baseline(baseline: Baseline) -> str:
    """Return the canonical text of a baseline.

    Modules that neither cost nor hold anything are left out, and so is the source of a module,
    which is found again each time.

    Raises:
        DataError: an entry does not add up, so the file could not be read again.
    """
    entries: dict[str, list[str]] = {}
    for name, kept in sorted(baseline.entries.items()):
        check_sums(kept.cost, f"entry {name!r}")
        entries[name] = list(_block(name, entry_content(kept)))
    removed = {
        name: list(_block(name, removed_content(move)))
        for name, move in sorted(baseline.removed.items())
    }
    lines = [
        "{",
        *_section("entries", entries),
        f'  "kind": {_one_line(KIND)},',
        *_section("removed", removed),
        f'  "schema": {SCHEMA}',
        "}",
    ]
    return "\n".join(lines) + "\n"


def digest_of(name: str, content: Mapping[str, Any]) -> str:
    """Return the digest of an entry: over its name and its content, without the digest itself.

    It detects that a file was edited by hand; it cannot prevent a deliberate edit.
    """
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps([name, rest], sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def check_sums(cost: Cost, where: str) -> None:
    """Check that a cost is the sum of its parts.

    Args:
        cost: a cost.
        where: the file and entry in messages.

    Raises:
        DataError: modules do not add up to the model, two share a path, a log's events do not add
            up to its MACs, or an event costs runs of an unknown component.
    """
    if isinstance(cost, LogCost):
        _check_log_sum(cost, where)
        return
    paths = [module.path for module in cost.modules]
    if len(set(paths)) != len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise DataError(f"{where}: module {twice!r} is there twice")
    for metric in MODEL_METRICS:
        parts, whole = sum(getattr(m, metric) for m in cost.modules), getattr(cost, metric)
        if parts != whole:
            raise DataError(f"{where}: {metric} is {whole}, but its modules add up to {parts}")


def _check_log_sum(cost: LogCost, where: str) -> None:
    total = Fraction(0)
    for event in cost.events:
        for name, runs in event.costs.items():
            if name not in cost.components:
                raise DataError(
                    f"{where}: event {event.name!r} costs runs of {name!r}, "
                    "which is not a component"
                )
            total += event.times * runs * cost.components[name].total_macs
    if total != cost.macs_per_video:
        raise DataError(f"{where}: macs is not what its events add up to")


def entry_content(kept: Kept) -> dict[str, Any]:
    """Return an entry as JSON values, without its digest; the order of keys does not matter."""
    cost = kept.cost
    parts = _log_content(cost) if isinstance(cost, LogCost) else _model_content(cost)
    return {
        **parts,
        "accepted": [_acceptance(move) for move in kept.accepted],
        "counter": cost.counter,
        "counter_version": cost.counter_version,
        "versions": dict(sorted(cost.versions.items())),
    }


def removed_content(move: Acceptance) -> dict[str, Any]:
    """Return a removed entry as JSON values, without its digest."""
    return {"move": _acceptance(move), "what": REMOVED}


def natural(path: str) -> tuple[Any, ...]:
    """Return the sort key that puts ``features.2`` before ``features.10``, and parents first."""
    parts = []
    for part in path.split("."):
        pieces: list[Any] = re.split("([0-9]+)", part)
        # A number sorts by its length without leading zeros, then by its digits.
        for place in range(1, len(pieces), 2):
            digits = pieces[place].lstrip("0")
            pieces[place] = (len(digits), digits)
        parts.append(tuple(pieces))
    return (tuple(parts) if path else (), path)


def _model_content(cost: ModelCost) -> dict[str, Any]:
    kept = (module for module in cost.modules if says_something(module))
    return {
        "activations": cost.activations,
        "convention": cost.convention,
        "gaps": list(cost.gaps),
        "input": cost.input,
        "macs": cost.dense_macs,
        "modules": {m.path: _module_content(m) for m in sorted(kept, key=_by_path)},
        "params": cost.params,
        "spec": cost.spec,
        "total": cost.total,
        "what": MODEL,
    }


def _by_path(module: ModuleCost) -> tuple[Any, ...]:
    return natural(module.path)


def says_something(module: ModuleCost) -> bool:
    """Whether a baseline keeps a module: it costs something, or its shape affects others."""
    costs = module.dense_macs or module.params or module.activations or module.calls
    return bool(costs or module.ops or module.shape)


def _module_content(module: ModuleCost) -> dict[str, Any]:
    content = {
        "activations": module.activations,
        "calls": module.calls,
        "macs": module.dense_macs,
        "ops": list(module.ops),
        "params": module.params,
        "shape": dict(module.shape),
    }
    return {**{key: value for key, value in content.items() if value}, "type": module.type}


def _log_content(cost: LogCost) -> dict[str, Any]:
    return {
        "components": {
            name: {"macs": component.total_macs, "spec": component.spec}
            for name, component in sorted(cost.components.items())
        },
        "events": [
            {
                "costs": {name: plain_amount(runs) for name, runs in event.costs.items()},
                "name": event.name,
                "times": plain_amount(event.times),
            }
            for event in cost.events
        ],
        "macs": plain_amount(cost.macs_per_video),
        "policy_log": cost.policy_log,
        "rule": cost.rule,
        "videos": cost.videos,
        "what": POLICY_LOG,
    }


def _acceptance(move: Acceptance) -> dict[str, Any]:
    return {
        "new": _by_metric(move.new),
        "old": _by_metric(move.old),
        "reason": move.reason,
    }


def _by_metric(amounts: Mapping[str, Fraction]) -> dict[str, Any]:
    return {
        NAMES_ON_FILE.get(metric, metric): plain_amount(held) for metric, held in amounts.items()
    }


def _section(name: str, blocks: Mapping[str, list[str]]) -> list[str]:
    """Return the lines of a map of entries, one block per entry."""
    if not blocks:
        return [f'  "{name}": {{}},']
    lines = [f'  "{name}": {{']
    for number, block in enumerate(blocks.values(), start=1):
        lines += [*block[:-1], block[-1] + ("," if number < len(blocks) else "")]
    return [*lines, "  },"]


def _block(name: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one entry: one item per line in lists and maps, else one key per line."""
    content = {**content, "digest": digest_of(name, content)}
    yield f"    {_one_line(name)}: {{"
    for number, (key, value) in enumerate(sorted(content.items()), start=1):
        comma = "," if number < len(content) else ""
        # A removed entry has one move, which stays on one line.
        if not isinstance(value, (dict, list)) or not value or key == "move":
            yield f'      "{key}": {_one_line(value)}{comma}'
            continue
        opened, closed = ("[", "]") if isinstance(value, list) else ("{", "}")
        yield f'      "{key}": {opened}'
        items = (
            [_one_line(item) for item in value]
            if isinstance(value, list)
            else [f"{_one_line(item)}: {_one_line(held)}" for item, held in value.items()]
        )
        yield ",\n".join(f"        {item}" for item in items)
        yield f"      {closed}{comma}"
    yield "    }"


def _one_line(value: Any) -> str:
    text = _ENCODER.encode(value)
    return text if text.isascii() and "\x7f" not in text else _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
