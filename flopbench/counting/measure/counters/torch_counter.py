"""The ``torch`` counter: ``FlopCounterMode`` with the prices and the observer that it lacks.

The modes, in the order in which an operator meets them:

1. ``Lowering`` decomposes composite operators that have no price, in every version of torch
   (the ``FlopCounterMode`` of torch 2.4 does not), and opens loops and conditions.
2. ``FlopCounterMode`` prices what remains: its sum is the counter's figure.
3. ``_Observer`` prices the same operators by the same registry, per module, and reports each one
   that has no price and is not on the reviewed list of those that do no multiply-accumulates.
   Its sum must equal FlopCounterMode's.

The forward pass runs in inference mode, where composite operators such as ``linear``, ``lstm`` and
``scaled_dot_product_attention`` reach the modes whole: names and integers then do not depend on
the device's kernels. A model that fails in inference mode is run again under ``no_grad``, whose
lower-level operators have prices too, except that outer products are elementwise there. Dense
convention throughout: masks, causality and sparsity save nothing, and a complex
multiply-accumulate counts as one.

Work that bypasses the dispatcher is invisible: kernels launched without an operator, threads that
the model starts itself. Tensors that leave torch are noticed by the harness.
Parameters that no operator read are named in a note: what they belong to was not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from msgspec import Struct
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from flopbench.core.errors import MeasureError
from flopbench.core.units import percent
from flopbench.counting.measure.counters.base import Counted, ModuleStack, Subject, out_elements
from flopbench.counting.measure.counters.free_ops import is_free
from flopbench.counting.measure.counters.lowering import Lowering, new_flop_counter
from flopbench.counting.measure.counters.torch_formulas import family, is_priced
from flopbench.counting.profile import UNREAD, Gap, OpCost
from flopbench.models.build.environment import uncompiled

_NAMED = 5
"""How many modules without a part, or operators, are named."""


class TorchCounter:
    """Counts with ``torch.utils.flop_counter.FlopCounterMode``."""

    convention = "MACs: FlopCounterMode / 2, dense operators only"
    needs_values = False

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass of ``subject``, on its device.

        Raises:
            MeasureError: the two sums differ, which is a fault of this counter.
            Exception: whatever the model raises, in inference mode and under ``no_grad`` too.
        """
        first = subject.with_own_inputs()
        with uncompiled():
            try:
                with torch.inference_mode():
                    return _count(first)
            except MeasureError:
                raise
            except Exception as error:
                # Models that differentiate inside forward fail in many ways in inference mode; a
                # fault of the model itself comes back from the second run and is raised there.
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
            with torch.no_grad():
                note = f"counted under no_grad, since inference mode failed ({reason})"
                return _count(subject, note)


def _count(subject: Subject, *notes: str) -> Counted:
    counter = new_flop_counter()
    counter.mod_tracker = _WholeModel()
    stack = ModuleStack(subject.module_names())
    observer = _Observer(counter.flop_registry, stack)
    lowering = Lowering(counter.flop_registry, subject.module.parameters())
    with stack.tracking(), observer, counter, lowering:
        subject.run()
    observer.check(counter)
    operators = observer.operators()
    named = subject.module.named_parameters(remove_duplicate=False)
    return Counted(
        total=sum(op.total for op in operators),
        operators=operators,
        not_counted=observer.gaps(),
        notes=(
            *(*notes, *lowering.notes, *observer.notes),
            *_unread(subject.module, lowering.unread),
            *(observer.instead() if list(subject.module.parameters()) else ()),
        ),
        unread=frozenset(path for path, one in named if id(one) in lowering.unread),
    )


def _unread(model: nn.Module, unread: set[int]) -> Iterator[str]:
    """Say which modules' parameters no operator read, the outermost ones, and their share."""
    if not unread:
        return
    sizes = {id(parameter): parameter.numel() for parameter in model.parameters()}
    below: dict[str, set[int]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        parts = path.split(".")
        for depth in range(len(parts) + 1):
            below.setdefault(".".join(parts[:depth]), set()).add(id(parameter))
    whole = {path: None for path, ids in below.items() if ids <= unread}
    found = [path for path in whole if path and path.rpartition(".")[0] not in whole]
    found = [type(model).__name__] if "" in whole else found
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    count, total = sum(sizes[one] for one in unread), sum(sizes.values())
    share = percent(count, total) if 1000 * count >= total else "less than 0.1 %"
    yield (
        f"{count:,} of {total:,} parameters ({share}) {UNREAD}: {', '.join(found[:_NAMED])}{more}"
    )


class _WholeModel:
    """Replaces FlopCounterMode's module tracker.

    The tracker puts autograd hooks on module inputs that require gradients. They fail for a
    parameter passed to a module in inference mode (every weight parametrization does that) and
    in ``autograd.grad`` inside forward. ``ModuleStack`` attributes operators instead.
    """

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        """Hook nothing."""

    def __exit__(self, *_error: object) -> None:
        """Unhook nothing."""


class _Tally(Struct):
    """The sums of one operator in one module."""

    module_type: str
    operator: Any
    calls: int = 0
    flops: int = 0
    activations: int = 0


class _Observer(TorchDispatchMode):
    """Records every executed operator: priced, free, or a gap."""

    supports_higher_order_operators = True

    def __init__(self, registry: Mapping[Any, Any], stack: ModuleStack) -> None:
        super().__init__()
        self._registry = registry
        self._stack = stack
        self._priced: dict[tuple[str, str, str], _Tally] = {}
        self._unpriced: dict[tuple[str, str], int] = {}
        self._free: Counter[str] = Counter()
        self.notes: dict[str, None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        operator = getattr(func, "_overloadpacket", func)
        if operator in self._registry:
            flops = self._registry[operator](*args, **kwargs, out_val=out)
            self._add(operator, args, out, flops)
        elif not is_free(str(operator), args):
            self.note_gap(str(operator))
        elif not getattr(func, "is_view", False):
            self._free[str(operator)] += 1
        return out

    def note_gap(self, name: str) -> None:
        """Report something that ran in the current module and has no price."""
        key = (self._stack.current[0], name)
        self._unpriced[key] = self._unpriced.get(key, 0) + 1

    def _add(self, operator: Any, args: Sequence[Any], out: Any, flops: int) -> None:
        name = str(operator)
        module, module_type = self._stack.current
        transposed = name.endswith("convolution") and len(args) > 6 and args[6] is True
        key = (module, family(name, transposed), name)
        tally = self._priced.setdefault(key, _Tally(module_type, operator))
        tally.calls += 1
        tally.flops += flops
        tally.activations += out_elements(_first_tensor(out))
        if isinstance(operator, torch._ops.OpOverloadPacket) and not is_priced(name):
            self.notes[f"{name}: priced by a formula registered by other code"] = None
        if any(isinstance(arg, torch.Tensor) and _is_sparse(arg) for arg in args):
            self.notes[f"{name}: sparse operands counted as dense"] = None

    def check(self, counter: FlopCounterMode) -> None:
        """Compare with FlopCounterMode, operator by operator.

        Raises:
            MeasureError: the sums of an operator differ.
        """
        mine: dict[Any, int] = {}
        for tally in self._priced.values():
            mine[tally.operator] = mine.get(tally.operator, 0) + tally.flops
        theirs = counter.get_flop_counts().get("Global", {})
        for operator in {**mine, **theirs}:
            if mine.get(operator, 0) != theirs.get(operator, 0):
                raise MeasureError(
                    f"torch counter: {operator} came to {theirs.get(operator, 0)} FLOPs in"
                    f" FlopCounterMode and to {mine.get(operator, 0)} operator by operator",
                    "this is a fault of flopbench: please report it with the model",
                )

    def operators(self) -> tuple[OpCost, ...]:
        """Return the priced operators in order of first execution."""
        return tuple(
            OpCost(
                module=module,
                module_type=tally.module_type,
                family=kind,
                op=name,
                calls=tally.calls,
                dense_macs=self._macs(name, tally.flops),
                total=self._macs(name, tally.flops),
                activations=tally.activations,
            )
            for (module, kind, name), tally in self._priced.items()
        )

    def gaps(self) -> tuple[Gap, ...]:
        """Return the operators that have no price and may multiply-accumulate."""
        return tuple(
            Gap(kind="operator", name=name, module=module, calls=calls, may_multiply=True)
            for (module, name), calls in self._unpriced.items()
        )

    def instead(self) -> Iterator[str]:
        """Name what ran where nothing dense did."""
        if self._free and not any(tally.flops for tally in self._priced.values()):
            names = [name for name, _ in self._free.most_common(_NAMED)]
            more = f" and {len(self._free) - _NAMED} more" if len(self._free) > _NAMED else ""
            yield f"none of its operators is dense: {', '.join(names)}{more}"

    def _macs(self, name: str, flops: int) -> int:
        if flops % 2:
            self.notes[f"{name}: an odd number of FLOPs, halved and rounded down"] = None
        return int(flops // 2)


def _is_sparse(tensor: torch.Tensor) -> bool:
    return tensor.layout not in (torch.strided, torch._mkldnn, torch.jagged)


def _first_tensor(out: Any) -> Any:
    """Return the actual result; states, statistics and workspaces follow it."""
    return _first_tensor(out[0]) if isinstance(out, (list, tuple)) and out else out
