"""Records of what is guarded and what it costs.

Amounts are exact: MACs, parameters and activations are whole numbers, the MACs of a video are a
fraction, a latency is in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

from msgspec import Struct

from flopbench.counting.agreement import REFERENCE
from flopbench.estimate.charges import ChargeItem

Metric = Literal["dense_macs", "params", "activations", "macs_per_video", "latency"]
Gate = Literal["exact", "advisory", "same-machine", "paired"]

METRICS: tuple[Metric, ...] = ("dense_macs", "params", "activations", "macs_per_video", "latency")
MODEL_METRICS: tuple[Metric, ...] = ("dense_macs", "params", "activations")
"""What every model is guarded by, with or without a budget."""
LOG_METRICS: tuple[Metric, ...] = ("macs_per_video",)
"""What every policy log is guarded by."""
EARLIER_NAMES: Mapping[str, Metric] = {"macs": "dense_macs", "gflops_per_video": "macs_per_video"}
"""Earlier names of metrics: configurations may still use them, and baselines always do."""
NAMES_ON_FILE: Mapping[str, str] = {metric: name for name, metric in EARLIER_NAMES.items()}
"""The names of metrics in a baseline: its digests are taken over the earlier names."""
GATES: tuple[Gate, ...] = ("exact", "advisory", "same-machine", "paired")
TIME_GATES: tuple[Gate, ...] = ("advisory", "same-machine", "paired")

BASELINE = ".flopbench/baseline.json"
"""The default place of the baseline, relative to the configuration."""

LATENCY_INCREASE = Fraction(1, 10)
"""How much slower a latency may become by default: a smaller share would trip on noise."""


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that is guarded: a model, or a policy log.

    Attributes:
        name: its name in budgets, baseline and messages; unique.
        model: the specification as text, empty for a policy log.
        policy_log: the log's path or glob, relative to the configuration; empty for a model.
        preset: what the log's decisions mean, where the log does not say.
        rule: ``exact`` or ``published``; empty means exact where it applies.
        components: component of the log -> specification to use instead of the log's; needed where
            a log names the user's code, which a log may not run by itself.
        variants: component of the log -> variant to charge.
        line: its line in the configuration, 0 where it has none.
    """

    name: str
    model: str = ""
    policy_log: str = ""
    preset: str = ""
    rule: str = ""
    components: Mapping[str, str] = {}
    variants: Mapping[str, str] = {}
    line: int = 0

    @property
    def what(self) -> str:
        """The specification or the log."""
        return self.model or self.policy_log


class Budget(Struct, frozen=True, kw_only=True):
    """How much an entry may cost, and how much more than before.

    Attributes:
        match: glob over names of entries.
        limit: the most that is allowed, inclusive, in MACs, elements, MACs per video or seconds;
            None for no limit.
        limit_text: the limit as it was written (``4.2 GMACs``).
        max_increase: share of the baseline that the cost may grow by (0.02 is 2 %).
        min_delta: growth of at most this amount passes, in the unit of ``limit``.
        gate: what a violation means; ``advisory`` never fails.
        line: its line in the configuration, 0 for a default.
    """

    match: str = "*"
    metric: Metric
    limit: Fraction | None = None
    limit_text: str = ""
    max_increase: Fraction = Fraction(0)
    min_delta: Fraction = Fraction(0)
    gate: Gate = "exact"
    note: str = ""
    line: int = 0

    def allowed_from(self, old: Fraction) -> Fraction:
        """Return the most that an amount may grow to from an accepted one."""
        return max(old * (1 + self.max_increase), old + self.min_delta)


class Config(Struct, frozen=True, kw_only=True):
    """What ``flopbench check`` is to guard.

    Attributes:
        path: the configuration file as messages name it.
        root: the folder of that file; models, logs and the baseline are found from there.
        budgets: in the order of the file; the last that matches an entry and a metric counts.
        baseline: path of the baseline, relative to ``root``.
        notes: notices about the file itself.
    """

    path: str
    root: str
    entries: tuple[Entry, ...]
    budgets: tuple[Budget, ...] = ()
    counter: str = REFERENCE
    baseline: str = BASELINE
    notes: tuple[str, ...] = ()


class ModuleCost(Struct, frozen=True, kw_only=True):
    """One module of a model, without its children.

    Attributes:
        path: dotted path, ``""`` for the model itself.
        activations: elements that its dense operators wrote.
        calls: how often its operators ran.
        ops: names of its operators, sorted.
        shape: shapes of its parameters by name (``weight: [64, 3, 7, 7]``) and what else
            determines its cost (``stride: [2, 2]``, ``groups: 32``) where it is not the default.
        source: ``file:line`` of its class where that is the user's code, relative to the working
            folder; never kept in a baseline.
    """

    path: str
    type: str
    dense_macs: int
    params: int
    activations: int
    calls: int
    ops: tuple[str, ...] = ()
    shape: Mapping[str, Any] = {}
    source: str = ""


class ModelCost(Struct, frozen=True, kw_only=True):
    """What a model costs.

    Attributes:
        convention: what one unit of ``total`` is.
        dense_macs: multiply-accumulates of the dense operators, of one sample.
        total: the figure that the counter itself gives.
        params: parameter elements, shared ones once.
        modules: those that hold parameters or cost something.
        versions: libraries that the figures depend on.
        gaps: operators and modules that the counter left out and that may multiply.
        notes: what the counters' verdict doubts, what never ran; never kept in a baseline.
    """

    spec: str
    input: str
    counter: str
    counter_version: str
    convention: str
    dense_macs: int
    total: int
    params: int
    activations: int
    modules: tuple[ModuleCost, ...]
    versions: Mapping[str, str] = {}
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class PricedComponent(Struct, frozen=True, kw_only=True):
    """One network of a policy log, and the MACs of one run, under the log's counter."""

    spec: str
    total_macs: int


class LogCost(Struct, frozen=True, kw_only=True):
    """What a policy costs, from its log.

    Attributes:
        macs_per_video: the mean.
        videos: number of videos, None for a published distribution.
        events: what an average video is charged for; the sum of times × costs × prices is
            ``macs_per_video``.
        versions: libraries that the prices depend on.
        notes: on doubtful prices; never kept in a baseline.
    """

    policy_log: str
    counter: str
    counter_version: str
    rule: str
    macs_per_video: Fraction
    videos: int | None
    components: Mapping[str, PricedComponent]
    events: tuple[ChargeItem[Fraction], ...]
    versions: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


Cost = ModelCost | LogCost


class Acceptance(Struct, frozen=True, kw_only=True):
    """One move of the baseline, by metric: from nothing for a new entry, to nothing for a removed
    one; with the reason in the words of whoever accepted it.
    """

    old: Mapping[str, Fraction]
    new: Mapping[str, Fraction]
    reason: str


class Kept(Struct, frozen=True, kw_only=True):
    """One entry of a baseline: its cost, and every move that led there, the oldest first."""

    cost: Cost
    accepted: tuple[Acceptance, ...] = ()


class Baseline(Struct, frozen=True, kw_only=True):
    """Accepted costs, and the moves that removed entries; messages call it ``source``."""

    entries: Mapping[str, Kept] = {}
    removed: Mapping[str, Acceptance] = {}
    source: str = ""


def amounts(cost: Cost) -> dict[Metric, Fraction]:
    """Return the amounts of a cost, by metric."""
    if isinstance(cost, LogCost):
        return {"macs_per_video": cost.macs_per_video}
    return {metric: Fraction(getattr(cost, metric)) for metric in MODEL_METRICS}


def says_something(module: ModuleCost) -> bool:
    """Whether a baseline keeps a module: it costs something, or its shape affects others."""
    costs = module.dense_macs or module.params or module.activations or module.calls
    return bool(costs or module.ops or module.shape)
