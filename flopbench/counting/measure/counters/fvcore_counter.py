"""Counts with fvcore, which prices the operators of a jit trace.

The tracer drops operators whose result does not reach an output. If a module that ran is missing
from the trace, a loop ran, or the model returns no tensor, it is traced again with a part of every
result among the outputs, which takes half as long again. Needs real values: the tracer fails on
the meta device.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from msgspec.structs import replace
from torch import nn
from torch._C import DispatchKey
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.base import Counted, Ledger, Subject
from flopbench.counting.measure.counters.free_ops import is_free
from flopbench.counting.measure.counters.fvcore_handles import (
    FAMILIES,
    MENDS,
    Handle,
    Values,
    is_transposed,
    shape_of,
)
from flopbench.counting.profile import DENSE_FAMILIES, Gap


class FvcoreCounter:
    """Price every operator as ``fvcore.nn.FlopCountAnalysis`` does, corrected where it is blind."""

    convention = "MACs under fvcore's rules, which call them flops"
    needs_values = True

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass.

        Raises:
            MeasureError: a price is not a whole number.
        """
        ledger = _Ledger(subject)
        with ledger.stack.tracking():
            counted = ledger.trace(keep_all=False)
        traced = {op.module for op in counted.operators}
        traced |= {gap.module for gap in counted.not_counted if gap.kind == "operator"}
        if ledger.opened or ledger.stack.calls.keys() & ledger.leaves.keys() - traced:
            return _Ledger(subject).trace(keep_all=True)
        return counted


class _Ledger(Ledger):
    """Every price of one analysis."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._subject = subject
        self._modules = {path: module for module, path in self.names.items()}
        self._notes: dict[str, None] = {}
        self._handles: dict[str, Handle] = {}
        self.opened = False
        self._failed: collections.Counter[tuple[str, str]] = collections.Counter()

    def trace(self, *, keep_all: bool) -> Counted:
        """Run fvcore once."""
        from fvcore.nn import FlopCountAnalysis
        from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS as own_handles

        model = _TensorsOnly(self._subject.with_own_inputs(), keep_all)
        analysis = FlopCountAnalysis(model, ())
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings("none")
        for kind in {**own_handles, **MENDS}:
            own = own_handles.get(kind) or MENDS[kind].handle
            self._handles[kind] = self._handle(kind, own)
        for function in _functions(torch.autograd.Function):
            self._handles[f"prim::PythonOp.{function.__name__}"] = self._inside
        analysis.set_op_handle(**self._handles)
        with _written_out() as opened:
            total = _exact(analysis.total(), "the total")
        self.opened = bool(opened)
        counted = self.counted(total, covered=self.leaves, notes=self._notes)
        return replace(counted, not_counted=tuple(self._gaps(analysis)))

    def _handle(self, kind: str, own: Handle) -> Handle:
        """Return fvcore's handle of an operator, or its correction, made to record each price."""
        name = kind.partition("::")[2]
        mend = MENDS.get(kind)

        def price(inputs: Values, outputs: Values) -> int:
            chosen = own
            if mend and mend.needed(inputs):
                chosen = mend.handle
                self._notes[f"{name} priced by flopbench's handle; {mend.reason}"] = None
            path = _path(outputs[0].node().scopeName().rpartition("/")[2])
            try:
                counted = chosen(inputs, outputs)
            except (AssertionError, IndexError, TypeError):
                self._failed[kind, path] += 1  # a form of the operator that fvcore cannot read
                return 0
            # fvcore's own handle may rename the operator (_convolution is "conv").
            label, charge = name, counted
            if isinstance(counted, Mapping):
                ((label, charge),) = counted.items()
            amount = _exact(charge, f"the price of {label} in {path!r}")
            family = FAMILIES.get(name, "other")
            if is_transposed(name, inputs):
                family = "conv_transpose"
            dense = family in DENSE_FAMILIES
            self.price(
                label,
                family,
                total=amount,
                dense_macs=amount if dense else 0,
                activations=math.prod(shape_of(outputs[0])) if dense and amount else 0,
                module=self._modules[path],
            )
            return amount

        return price

    def _inside(self, _inputs: Values, outputs: Values) -> int:
        """Price the operators that an autograd function ran."""
        function, total = outputs[0].node(), 0
        nodes = function.g("Subgraph").nodes() if function.hasAttribute("Subgraph") else [function]
        for node in nodes:
            kind = _kind(node)
            if kind in self._handles and node is not function:
                total += self._handles[kind](list(node.inputs()), list(node.outputs()))
            elif not is_free(kind):
                self._failed[kind, _path(node.scopeName().rpartition("/")[2])] += 1
        return total

    def _gaps(self, analysis: Any) -> Iterator[Gap]:
        """Yield the gaps in the order of the modules."""
        unpriced = _own_unpriced(analysis)
        for path in self._modules:
            failed = {kind: calls for (kind, at), calls in self._failed.items() if at == path}
            for kind, calls in {**unpriced.get(path, {}), **failed}.items():
                yield Gap(
                    kind="operator",
                    name=kind,
                    module=path,
                    calls=calls,
                    may_multiply=not is_free(kind),
                )
        # A weight used without a call is priced where it is used, so no work is hidden.
        uncalled = {_path(name) for name in analysis.uncalled_modules()}
        for path, module in self._modules.items():
            if path in uncalled and next(module.parameters(recurse=False), None) is not None:
                yield Gap(
                    kind="uncalled",
                    name=type(module).__name__,
                    module=path,
                    calls=0,
                    may_multiply=False,
                )


@contextlib.contextmanager
def _written_out() -> Iterator[list[str]]:
    """Trace what an own autograd function or a higher-order operator runs, not its name.

    The tracer knows no higher-order operators, and fails on an autograd function that uses a
    tensor which is not an argument. Yields the names of the operators that ran.
    """
    function, ran = torch.autograd.Function, list[str]()
    apply, call = vars(function)["apply"], HigherOrderOperator.__call__

    def forward(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():  # then its gradient may be asked for
            return apply.__get__(None, cls)(*args, **kwargs)
        context = cls._backward_cls()
        context.needs_input_grad = (False,) * len(args)
        separate = cls.setup_context is not function.setup_context
        return cls.forward(*([] if separate else [context]), *args, **kwargs)

    def dense(operator: Any, *args: Any, **kwargs: Any) -> Any:
        ran.append(str(operator))
        kernel = operator.py_kernels.get(DispatchKey.CompositeExplicitAutograd)
        return kernel(*args, **kwargs) if kernel else call(operator, *args, **kwargs)

    try:
        function.apply, HigherOrderOperator.__call__ = classmethod(forward), dense
        yield ran
    finally:
        function.apply, HigherOrderOperator.__call__ = apply, call


def _functions(base: Any) -> Iterator[Any]:
    """Yield every class of autograd functions."""
    for kind in base.__subclasses__():
        yield kind
        yield from _functions(kind)


def _kind(node: Any) -> str:
    """Return an operator's name as fvcore spells it."""
    kind = str(node.kind())
    return f"{kind}.{node.pyname()}" if kind == "prim::PythonOp" else kind


class _TensorsOnly(nn.Module):
    """A model that takes nothing and returns a flat tuple of tensors, as the tracer requires.

    With ``keep_all`` every result reaches the outputs, not only the model's own.
    """

    def __init__(self, subject: Subject, keep_all: bool) -> None:
        super().__init__()
        self.model = subject.module
        self._args = subject.args
        self._kwargs = dict(subject.kwargs)
        self._keep_all = keep_all

    def forward(self) -> tuple[torch.Tensor, ...]:
        if not self._keep_all:
            outputs = tuple(_tensors(self.model(*self._args, **self._kwargs)))
            return outputs or (torch.zeros(0),)
        with _KeptAlive() as results:
            outputs = tuple(_tensors(self.model(*self._args, **self._kwargs)))
        return (*outputs, *results.kept, torch.zeros(0))


class _KeptAlive(TorchFunctionMode):
    """Derive an empty tensor from every result, so that the tracer drops no operator."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.kept += [tensor.new_empty(0) for tensor in _tensors(result)]
        return result


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """Find the tensors in an output: tensors, sequences, mappings and dataclasses, nested."""
    if isinstance(output, torch.Tensor):
        yield output
        return
    inner: Any = ()
    if isinstance(output, Mapping):
        inner = output.values()
    elif isinstance(output, (list, tuple, set, frozenset)):
        inner = output
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        inner = [getattr(output, field.name) for field in dataclasses.fields(output)]
    for value in inner:
        yield from _tensors(value)


def _own_unpriced(analysis: Any) -> dict[str, collections.Counter[str]]:
    """Return the unpriced operators of each module itself: path -> operator -> calls.

    fvcore counts them for a module with all its children.
    """
    names = list(analysis.by_module())
    own = {name: collections.Counter(analysis.unsupported_ops(name)) for name in names}
    for name in names:
        if name:
            own[name.rpartition(".")[0]].subtract(analysis.unsupported_ops(name))
    return {_path(name): +counts for name, counts in own.items() if +counts}


def _path(scope: str) -> str:
    """Return the path in the subject of a module in the wrapper (``model.layer1.0``)."""
    return scope.removeprefix("model").removeprefix(".")


def _exact(value: Any, what: str) -> int:
    """Return a whole number.

    Raises:
        MeasureError: it is not a whole number.
    """
    if value != int(value):
        raise MeasureError(f"fvcore gives {value!r} as {what}: not a whole number")
    return int(value)
