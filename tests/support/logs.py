"""Small policy logs for tests; no file, no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flopbench.estimate.prices import Price, PriceList
from flopbench.policy.blocks import Block, block_of
from flopbench.policy.counts import LogCounts, Source
from flopbench.policy.engine import Gatherer
from flopbench.policy.header import Header, read_header, resolve
from flopbench.policy.plan import Plan, plan_of
from flopbench.policy.samples import Sample, raise_first

ARNET_ROWS = {
    "uncut": "0 1 6 6 6 6 2 3 6 6 6 6 0 5 5 1",
    "cut": "0 1 6 6 6 6 2 3 6 6 6 6 0 5 5 6",
    "independent": "6 0 6 1 6 2 6 3 6 0 6 1 6 2 6 3",
}
"""Rows of AR-Net, T = 16; 6 skips four frames, 5 two, 4 one."""


SMALL, LARGE = "mobilenet_v2@84,classes=200", "resnet18@112,classes=200"
TIMED_NETS: dict[str, Any] = {
    "components": {
        name: {"default": "printed", "variants": {"printed": f'value:{macs} "x"', "network": spec}}
        for name, macs, spec in (("small", "5e7", SMALL), ("large", "5e8", LARGE))
    },
    "actions": [
        *({"name": name, "costs": {name: 1}} for name in ("small", "large")),
        {"name": "skip", "kind": "skip"},
    ],
}
"""Networks that are counted as printed, 0.05 and 0.5 GFLOPS, without torch, and can be timed."""


def rows(text: str) -> list[int]:
    """Return the action ids of ``0 1 6``."""
    return [int(part) for part in text.split()]


def header_of(**fields: Any) -> Header:
    """Return a header as a reader gives it, its preset filled in."""
    return resolve(read_header(fields, "log"), "log")


def block(
    header: Header, samples: Sequence[Mapping[str, Any]], fields: Sequence[str] = ()
) -> Block:
    """Return the samples as one block; ids are made up where they are missing."""
    made = [Sample(**{"id": f"v{n}", **sample}) for n, sample in enumerate(samples)]
    return block_of(made, plan_of(header), lambda i: f"log:{i}", raise_first, fields)


def counted(
    header: Header,
    samples: Sequence[Mapping[str, Any]],
    *,
    columns: Mapping[str, Callable[[Block], Any]] | None = None,
    fields: Sequence[str] = (),
    block_size: int = 10**6,
) -> LogCounts:
    """Count samples as a reader and the engine would, in blocks."""
    gatherer = Gatherer(plan_of(header), raise_first, columns=columns, keep_ids=True)
    numbered = [{"id": f"v{n}", **sample} for n, sample in enumerate(samples)]
    for start in range(0, len(numbered), block_size):
        gatherer.add(block(header, numbered[start : start + block_size], fields))
    return gatherer.finish(Source("log"))


def price_list(macs: Mapping[str, int], counter: str = "torch") -> PriceList:
    """Return made-up prices."""
    prices = {name: Price(component=name, spec=name, total_macs=n) for name, n in macs.items()}
    return PriceList(counter=counter, version="1", source="a test", prices=prices)


def arnet_plan() -> Plan:
    """Return the plan of AR-Net's preset."""
    return plan_of(header_of(preset="arnet-resnet"))


def write_log(path: Path, header: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> Path:
    """Write a JSONL log; ids are made up where they are missing."""
    lines = [{"format": "flopbench.policy-log", "version": 1, **header}]
    lines += [{"id": f"v{n}", **sample} for n, sample in enumerate(samples)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
