"""Small handmade cost profiles for tests."""

from __future__ import annotations

from flopbench.counting.profile import CostProfile, Gap, ModuleFacts, OpCost


def op(module: str, family: str, macs: int, *, name: str = "", total: int | None = None) -> OpCost:
    """Return one operator inside one module."""
    return OpCost(
        module=module,
        module_type="Layer",
        family=family,
        op=name or f"aten.{family}",
        calls=1,
        dense_macs=macs,
        total=macs if total is None else total,
        activations=10,
    )


def gap(kind: str, name: str, module: str, *, may_multiply: bool = True) -> Gap:
    """Return one gap that occurred once."""
    return Gap(kind=kind, name=name, module=module, calls=1, may_multiply=may_multiply)  # type: ignore[arg-type]


def profile(counter: str, *operators: OpCost, gaps: tuple[Gap, ...] = ()) -> CostProfile:
    """Return a profile of a small net under one counter."""
    return CostProfile(
        spec="net@8",
        model="net",
        input="8",
        classes=None,
        counter=counter,
        counter_version="1.0",
        convention="MACs",
        total=sum(o.total for o in operators),
        dense_macs=sum(o.dense_macs for o in operators),
        params=100,
        activations=sum(o.activations for o in operators),
        feature_dim=4,
        device="meta",
        operators=operators,
        modules=(ModuleFacts(path="", type="Net", params=100),),
        not_counted=gaps,
        notes=(),
        versions={"torch": "2.15.0"},
    )
