"""Handmade reports of checks, for tests of what is printed from them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from msgspec.structs import replace

from flopbench.check.records import Metric
from flopbench.check.report import (
    CauseShare,
    ComponentChange,
    EntryResult,
    EventShare,
    MetricResult,
    ModuleChange,
    Report,
    SelfTestResult,
    Split,
    State,
)

MACS = 4_109_464_576
PARAMS = 25_557_032
ACTIVATIONS = 11_113_984


def metric(name: Metric, old: Any, new: Any, **more: Any) -> MetricResult:
    """Return a metric judged by a budget of no growth, unless given another one."""
    before = None if old is None else Fraction(old)
    now = None if new is None else Fraction(new)
    state: State = "new"
    if before is not None and now is not None:
        state = "same" if now == before else "worse" if now > before else "better"
    limit = None if more.get("limit") is None else Fraction(more["limit"])
    over = limit is not None and now is not None and now > limit
    facts: dict[str, Any] = {
        "state": state,
        "failed": state == "worse" or over,
        "gate": "exact",
        "allowed": before,
        "over_limit": over,
        **more,
        "limit": limit,
    }
    return MetricResult(metric=name, old=before, new=now, **facts)


def entry(name: str, *metrics: MetricResult, **more: Any) -> EntryResult:
    """Return an entry with these metrics and the worst of their states."""
    order = ("not measured", "not comparable", "gone", "worse", "inconclusive", "new", "better")
    states = {one.state for one in metrics}
    facts: dict[str, Any] = {
        "what": f"nets:{name}@224",
        "line": 4,
        "state": next((state for state in order if state in states), "same"),
        "failed": any(one.failed for one in metrics),
        **more,
    }
    return EntryResult(name=name, metrics=metrics, **facts)


def report(*entries: EntryResult, **more: Any) -> Report:
    """Return a report on these entries."""
    facts: dict[str, Any] = {
        "config": "flopbench.toml",
        "baseline": ".flopbench/baseline.json",
        "counter": "torch",
        "convention": "1 GMAC = 1e9 MACs",
        "budgets": 3,
        **more,
    }
    return Report(entries=entries, **facts)


def same(name: str = "resnet50", **more: Any) -> EntryResult:
    """Return an entry in which nothing moved."""
    return entry(
        name,
        metric("dense_macs", MACS, MACS, **more),
        metric("params", PARAMS, PARAMS),
        metric("activations", ACTIVATIONS, ACTIVATIONS),
    )


def widened(name: str = "backbone") -> EntryResult:
    """Return an entry of which one layer was widened, over its limit and its baseline."""
    return entry(
        name,
        metric(
            "dense_macs",
            MACS,
            MACS + 310_500_000,
            limit=4_200_000_000,
            limit_text="4.2 GMACs",
            budget_line=12,
            note="The edge device has no room for more; ask before raising this.",
            max_increase=Fraction(2, 100),
            allowed=Fraction(MACS) * 102 / 100,
        ),
        metric("params", PARAMS, PARAMS + 110_592),
        metric("activations", ACTIVATIONS, ACTIVATIONS),
        causes=(
            CauseShare(
                cause="width",
                added_macs=310_500_000,
                added_params=110_592,
                detail="layer1.0.conv2: weight 64x64x3x3 -> 128x64x3x3",
            ),
        ),
        modules=(
            ModuleChange(
                path="layer1.0.conv2",
                type="Conv2d",
                added_macs=115_605_504,
                added_params=36_864,
                added_activations=0,
                cause="width",
                detail="weight 64x64x3x3 -> 128x64x3x3",
                source="nets.py:31",
            ),
            ModuleChange(
                path="layer1.0.conv3",
                old_path="layer1.0.last",
                type="Conv2d",
                added_macs=51_380_224,
                added_params=16_384,
                added_activations=0,
                cause="width",
                detail="weight 256x64x1x1 -> 256x128x1x1",
                follows=True,
            ),
        ),
        more_modules=3,
        source="nets.py:31",
    )


def policy(leading: str = "choices") -> EntryResult:
    """Return a policy log whose mix moved most, and whose one backbone moved a little."""
    old, new = Fraction(41_131_473_600, 3), Fraction(46_131_473_601, 3)
    unit = Fraction(1, 3)
    return entry(
        "run",
        metric("macs_per_video", old, new),
        what="logs/run.jsonl",
        split=Split(
            choices=new - old - unit,
            unit_costs=unit,
            leading=leading,  # type: ignore[arg-type]
            events=(
                EventShare(
                    name="224",
                    old_times=Fraction(16, 3),
                    new_times=Fraction(19, 3),
                    old_macs=Fraction(MACS),
                    new_macs=Fraction(MACS) + 1,
                    choices=new - old - unit,
                    unit_costs=unit,
                ),
                EventShare(
                    name="skip 4",
                    old_times=Fraction(1, 4),
                    new_times=None,
                    old_macs=Fraction(0),
                    new_macs=None,
                    choices=Fraction(0),
                    unit_costs=Fraction(0),
                ),
            ),
            components=(
                ComponentChange(
                    name="backbone",
                    old_spec="resnet50@224",
                    new_spec="resnet50@224",
                    old_macs=MACS,
                    new_macs=MACS + 1,
                ),
            ),
        ),
    )


def better(name: str = "small") -> EntryResult:
    """Return an entry that became cheaper."""
    return entry(
        name,
        metric("dense_macs", 1_814_073_344, 1_234_000_000, failed=False),
        metric("params", 11_689_512, 11_689_512),
    )


def new(name: str = "fresh") -> EntryResult:
    """Return an entry that the baseline lacks."""
    return entry(name, metric("dense_macs", None, 512_000), metric("params", None, 9_216))


def gone(name: str = "old-net") -> EntryResult:
    """Return an entry that the configuration lacks."""
    return entry(
        name,
        metric("dense_macs", MACS, None, state="gone", failed=True),
        metric("params", PARAMS, None, state="gone", failed=True),
        line=0,
        reason="the baseline has it, the configuration does not",
    )


def not_comparable(name: str = "other") -> EntryResult:
    """Return an entry whose baseline follows another convention."""
    return entry(
        name,
        metric("dense_macs", None, 8_218_929_152, state="not comparable", allowed=None),
        reason="convention: 'MACs' in the baseline, 'FLOPs' now",
    )


def not_measured(name: str = "broken") -> EntryResult:
    """Return an entry whose factory fails."""
    return entry(name, state="not measured", reason="nets.py:7 raised ValueError: no such width")


def slow(name: str = "timed") -> EntryResult:
    """Return an entry whose latency comparison was inconclusive."""
    moved = metric(
        "latency",
        "0.01231",
        "0.01302",
        state="inconclusive",
        failed=False,
        gate="paired",
        max_increase=Fraction(1, 10),
        allowed=Fraction("0.013541"),
        reason="the interval of the ratio reaches from 0.99 to 1.13",
    )
    return entry(name, metric("dense_macs", MACS, MACS), moved)


def everything() -> Report:
    """Return a report in which every state occurs."""
    return report(
        same(limit=4_950_000_000, limit_text="9.9 GFLOPs"),
        widened(),
        policy(),
        better(),
        new(),
        not_comparable(),
        not_measured(),
        slow(),
        entry(
            "advised",
            metric("dense_macs", 1000, 1001, failed=False, gate="advisory"),
            metric("params", 2_000_000, 2_010_000, failed=False, accepted="wider head, see #12"),
            notes=("the total of torch moved from 10 to 12 while the dense MACs are the same",),
        ),
        gone(),
        unmatched=("flopbench.toml:19: bakbone* dense_macs",),
        notices=("the cache was empty",),
    )


def self_tested(*, caught: bool = True) -> Report:
    """Return a self-test of two injected growths."""
    second = SelfTestResult(
        entry="head",
        metric="params",
        caught=caught,
        reason="" if caught else "its gate is advisory",
    )
    whole = report(same("backbone"), same("head"), drill_share=Fraction(1, 100))
    return replace(
        whole, drill=(SelfTestResult(entry="backbone", metric="dense_macs", caught=True), second)
    )
