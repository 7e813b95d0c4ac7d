"""The records of a model's cost: operators, gaps, modules, profile.

A MAC is one multiply-accumulate. ``dense_macs`` are those of convolutions, linear layers, matrix
products, attention and recurrent layers; every correct counter gives the same integer. ``total``
is the figure of one counter by its own rules, in its own unit (see ``convention``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Literal

from msgspec import field

from flopbench.core.records import Count, Record
from flopbench.core.tables import Shown

DENSE_FAMILIES = (
    "conv",
    "conv_transpose",
    "deform_conv",
    "linear",
    "bilinear",
    "matmul",
    "attention",
    "recurrent",
)
"""Families whose multiply-accumulates count as dense."""

OTHER_FAMILIES = (
    "batch_norm",
    "norm",
    "pool",
    "resample",
    "activation",
    "softmax",
    "other",
)
"""Families that only some counters price, each by its own rules."""

UNREAD = "took no part"
"""In the reference counter's note on parameters that no operator read."""

FOR_THESE_VALUES = "for these values"
FOR_ONE_DRAW = "for one draw"
"""How a note begins that restricts what a count holds for."""

GapKind = Literal["operator", "module", "unseen", "uncalled"]


class OpCost(Record, frozen=True, kw_only=True):
    """One operator family inside one module, under one counter.

    Attributes:
        module: dotted path of the module that ran it, ``""`` for the model itself.
        module_type: class name of that module.
        family: one of ``DENSE_FAMILIES`` or ``OTHER_FAMILIES``.
        op: the operator or layer as the counter calls it (``aten.convolution``, ``Conv2d``).
        calls: how many times it ran.
        dense_macs: multiply-accumulates, 0 outside the dense families.
        total: what the counter charges for it, in its own unit; below 0 for a correction.
        activations: elements that dense operators wrote, 0 for others.
    """

    module: str
    module_type: str
    family: str
    op: str
    calls: Count
    dense_macs: Count
    total: int
    activations: Count


class Gap(Record, frozen=True, kw_only=True):
    """Something that a counter met, or should have met, and did not price.

    Attributes:
        kind: reported by the counter itself: ``operator`` (ran, no formula) or ``module`` (a leaf
            with parameters whose class has no rule); or found by the adapter observing it:
            ``unseen`` (an operator that ran where the counter cannot see it) or ``uncalled`` (a
            leaf with parameters that was never called: unused, or used through a function that
            the counter cannot see).
        name: operator or class name.
        module: dotted path of the module it happened in.
        calls: how many times, 0 for an uncalled module.
        may_multiply: False when the operator is on the reviewed list of those that
            multiply-accumulate nothing, so that leaving it out changes no dense MACs.
    """

    kind: GapKind
    name: str
    module: str
    calls: Count
    may_multiply: bool


class ModuleFacts(Record, frozen=True, kw_only=True):
    """One module of a model, whether it ran or not.

    Attributes:
        path: dotted path, ``""`` for the model itself; the first path of a shared module.
        type: class name.
        params: parameter elements of the module itself, without its children.
        shape: what determines its cost: shapes of its own parameters by name
            (``weight: [64, 3, 7, 7]``), and non-default settings (``stride: [2, 2]``).
        source: ``file:line`` of its class if that is code in the working folder, else empty.
    """

    path: str
    type: str
    params: Count
    shape: dict[str, Any] = field(default_factory=dict)
    source: str = ""


class CostProfile(Shown, Record, frozen=True, kw_only=True):
    """One model at one input under one counter.

    Attributes:
        spec: the whole specification (``resnet50@224,classes=200``), or the caller's name.
        model: the network alone (``resnet50``, ``timm:efficientnet_b3``).
        input: the input as resolved (``224``, ``112x168``, ``16x112x112``).
        classes: requested width of the head, None if the head was left as it is.
        counter: name of the counter (``thop``, ``thop-2020``, ``fvcore``, ``torch``, ...).
        counter_version: version of the library that counted.
        convention: what one unit of ``total`` is under this counter.
        total: the counter's own figure for one sample.
        dense_macs: multiply-accumulates of the dense families for one sample.
        params: parameter elements, shared ones once.
        activations: elements written by dense operators that this counter saw.
        feature_dim: width of the input of the classification head, None where there is none.
        device: ``meta`` (shapes only) or ``cpu`` (real values), where the forward pass ran.
        operators: the breakdown, by module and operator, in order of first execution.
        modules: the module tree, in order of registration.
        not_counted: every gap that the counter or its adapter knows of.
        notes: notes on the figure (corrected gaps, fallbacks).
        versions: every library the figure depends on.
    """

    _layout = "flopbench.counting.explain_text:profile_grids"
    spec: str
    model: str
    input: str
    classes: int | None
    counter: str
    counter_version: str
    convention: str
    total: int
    dense_macs: Count
    params: Count
    activations: Count
    feature_dim: int | None
    device: str
    operators: tuple[OpCost, ...]
    modules: tuple[ModuleFacts, ...] = ()
    not_counted: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def by_family(self) -> dict[str, OpCost]:
        """Sum the operators over modules: family -> one ``OpCost`` for the whole model."""
        return {
            family: _sum(ops, module="", module_type="", family=family, op=family)
            for family, ops in _group(self.operators, lambda op: op.family).items()
        }

    def by_module(self) -> dict[str, OpCost]:
        """Sum the operators of each module itself, without its children: path -> ``OpCost``."""
        return {
            module: _sum(ops, module=module, module_type=ops[0].module_type, family="", op="")
            for module, ops in _group(self.operators, lambda op: op.module).items()
        }

    def gaps_that_may_multiply(self) -> tuple[Gap, ...]:
        """Return the gaps that can hide dense MACs."""
        return tuple(gap for gap in self.not_counted if gap.may_multiply)


def merge_operators(operators: Iterable[OpCost]) -> tuple[OpCost, ...]:
    """Add up entries of the same module and operator, keeping the order of first appearance."""
    groups = _group(operators, lambda op: (op.module, op.family, op.op))
    return tuple(
        _sum(ops, module=module, module_type=ops[0].module_type, family=family, op=op)
        for (module, family, op), ops in groups.items()
    )


def _group(
    operators: Iterable[OpCost], key: Callable[[OpCost], Hashable]
) -> dict[Any, list[OpCost]]:
    groups: dict[Any, list[OpCost]] = {}
    for op in operators:
        groups.setdefault(key(op), []).append(op)
    return groups


def _sum(ops: list[OpCost], *, module: str, module_type: str, family: str, op: str) -> OpCost:
    return OpCost(
        module=module,
        module_type=module_type,
        family=family,
        op=op,
        calls=sum(o.calls for o in ops),
        dense_macs=sum(o.dense_macs for o in ops),
        total=sum(o.total for o in ops),
        activations=sum(o.activations for o in ops),
    )


def unread_notes(notes: Iterable[str]) -> list[str]:
    """Return the notes that name parameters without a part, each once."""
    return list(dict.fromkeys(note for note in notes if UNREAD in note))
