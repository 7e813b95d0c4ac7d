"""The protocol of counter adapters, and the ledger in which they write what they found.

An adapter translates one library's result into exact integers per module and operator. It never
builds or copies a model: the harness (``measure.profiler``) passes it a private module in
evaluation mode that it may change freely, silences the library, switches the fused attention path
off, disables gradients, and tells a model that does not run from a library that fails.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from msgspec import Struct
from msgspec.structs import replace
from torch import nn

from flopbench.counting.profile import Gap, OpCost, merge_operators
from flopbench.models.build.copies import copy_inputs

BOTH_BRANCHES = "torch.cond: both branches counted, as meta has no value to choose by"
"""Note on a count on shapes alone that values would have steered."""


class Subject(Struct, frozen=True, kw_only=True):
    """A private copy of a model and one sample to run it on.

    Attributes:
        module: the model, in evaluation mode, on ``device``.
        args: positional arguments of ``forward``.
        kwargs: keyword arguments of ``forward``.
        device: ``meta`` (no values) or ``cpu``.
        arguments: what the model's constructor was given, None where nobody knows.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = {}
    device: str = "meta"
    arguments: Mapping[str, Any] | None = None

    def run(self) -> Any:
        """Run the forward pass once."""
        return self.module(*self.args, **self.kwargs)

    def with_own_inputs(self) -> Subject:
        """Return the same model with a copy of the inputs, some of which grow with each run."""
        args, kwargs = copy_inputs((self.args, dict(self.kwargs)), lambda one: one.clone())
        return replace(self, args=args, kwargs=kwargs)

    def module_names(self) -> dict[nn.Module, str]:
        """Map each module to its first dotted path, ``""`` for the model itself."""
        names: dict[nn.Module, str] = {}
        for name, module in self.module.named_modules(remove_duplicate=False):
            names.setdefault(module, name)
        return names


class Counted(Struct, frozen=True, kw_only=True):
    """One counter's result for one forward pass.

    Attributes:
        total: the library's figure, exact, in the unit that ``Counter.convention`` names.
        operators: the breakdown; its ``total`` fields add up to ``total``.
        not_counted: the gaps that the library or the adapter knows of.
        notes: notes on the figure.
        unread: all paths of the parameters that no operator read, None where this is not known.
    """

    total: int
    operators: tuple[OpCost, ...]
    not_counted: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    unread: frozenset[str] | None = None


class Counter(Protocol):
    """One way of counting. Register it in the entry-point group ``flopbench.counters``.

    Attributes:
        convention: what one unit of ``total`` means, in a few words.
        needs_values: True when the library cannot work on the meta device.

    A counter that does not run the model has ``runs = False``: it says nothing on whether shapes
    suffice, and what it raises is not tried again with values.
    """

    convention: str
    needs_values: bool

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass. May change ``subject.module``, and raise anything.

        Raises:
            MeasureError: the result would be wrong; the message says why.
        """


class ModuleStack:
    """Which module is running: a stack of dotted paths kept by global forward hooks.

    A direct call of ``child.forward(x)`` runs no hook, so its operators belong to the caller.

    Attributes:
        calls: path -> how often the module was called.
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        self._names = names
        self._stack: list[tuple[str, str]] = []
        self.calls: collections.Counter[str] = collections.Counter()

    @property
    def current(self) -> tuple[str, str]:
        """Return path and class name of the innermost running module."""
        return self._stack[-1] if self._stack else ("", "")

    @contextmanager
    def tracking(self) -> Iterator[ModuleStack]:
        """Follow module calls inside the ``with`` block."""
        hooks = nn.modules.module
        before = hooks.register_module_forward_pre_hook(self._enter)
        after = hooks.register_module_forward_hook(self._leave, always_call=True)
        try:
            yield self
        finally:
            before.remove()
            after.remove()
            self._stack.clear()

    def _enter(self, module: nn.Module, _args: Any) -> None:
        path = self._names.get(module)
        if path is None:  # made during the forward pass
            path = self.current[0]
        else:
            self.calls[path] += 1
        self._stack.append((path, type(module).__name__))

    def _leave(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if self._stack:
            self._stack.pop()


def has_matrix(module: nn.Module) -> bool:
    """Whether a product is possible: that needs a parameter of two or more dimensions."""
    return any(parameter.dim() >= 2 for parameter in module.parameters(recurse=False))


class Ledger:
    """What one counter priced during one forward pass, module by module, and what it did not.

    Attributes:
        names: module -> its first dotted path.
        leaves: dotted path -> leaf that has parameters.
    """

    def __init__(self, subject: Subject) -> None:
        self.names = subject.module_names()
        self.leaves = parameterised_leaves(subject.module)
        self.stack = ModuleStack(self.names)
        self.operators: list[OpCost] = []
        self._missed: collections.Counter[tuple[str, str, bool]] = collections.Counter()
        self._used: set[int] = set()

    def price(
        self,
        op: str,
        family: str,
        *,
        total: int,
        dense_macs: int,
        activations: int = 0,
        module: nn.Module | None = None,
        calls: int = 1,
    ) -> None:
        """Add a call of an operator, under ``module`` or else under the running module.

        A part of the library's total that belongs to no call has 0 ``calls``.
        """
        at = self.stack.current
        path, kind = at if module is None else (self.names[module], type(module).__name__)
        self.operators.append(
            OpCost(
                module=path,
                module_type=kind,
                family=family,
                op=op,
                calls=calls,
                dense_macs=dense_macs,
                total=total,
                activations=activations,
            )
        )

    def use(self, values: Iterable[Any]) -> None:
        """Note what a priced operator took: a leaf whose weight is among it is no gap."""
        self._used |= _storages(values)

    def miss(self, name: str, *, may_multiply: bool = True) -> None:
        """Note an operator that ran without a price; harmless ones are not told apart by module."""
        path = self.stack.current[0] if may_multiply else ""
        self._missed[name, path, may_multiply] += 1

    def counted(
        self,
        total: int,
        *,
        covered: Container[str] | None = None,
        multiplies: Callable[[nn.Module], bool] = has_matrix,
        notes: Iterable[str] = (),
    ) -> Counted:
        """Return prices and gaps.

        Args:
            total: the library's figure.
            covered: paths of the leaves that are no gap; those with a price if none are given.
            multiplies: whether an unpriced leaf may hide products, even if none was seen in it.
            notes: on the figure.
        """
        if covered is None:
            covered = {op.module for op in self.operators}
        multiplied = {path for _, path, may_multiply in self._missed if may_multiply}
        gaps = [
            Gap(
                kind="module" if self.stack.calls[path] else "uncalled",
                name=type(leaf).__name__,
                module=path,
                calls=self.stack.calls[path],
                may_multiply=multiplies(leaf) or path in multiplied,
            )
            for path, leaf in self.leaves.items()
            if path not in covered and not _storages(leaf.parameters(recurse=False)) & self._used
        ]
        named = {gap.module for gap in gaps if gap.calls}
        gaps += [
            Gap(kind="unseen", name=name, module=path, calls=calls, may_multiply=may_multiply)
            for (name, path, may_multiply), calls in self._missed.items()
            if path not in named
        ]
        return Counted(
            total=total,
            operators=merge_operators(self.operators),
            not_counted=tuple(gaps),
            notes=tuple(notes),
        )


def parameterised_leaves(module: nn.Module) -> dict[str, nn.Module]:
    """Return the leaves that have parameters: first dotted path -> module."""
    return {
        name: child
        for name, child in module.named_modules()
        if next(child.children(), None) is None
        and next(child.parameters(recurse=False), None) is not None
    }


def out_elements(output: Any) -> int:
    """Count the elements of every tensor in an output (tensor, list, tuple, dict)."""
    if isinstance(output, torch.Tensor):
        return output.numel()
    if isinstance(output, Mapping):
        return sum(out_elements(value) for value in output.values())
    if isinstance(output, (list, tuple)):
        return sum(out_elements(value) for value in output)
    return 0


def _storages(values: Iterable[Any]) -> set[int]:
    """Identify the storages of the tensors among ``values``; views share that of their base."""
    found: set[int] = set()
    for value in values:
        if isinstance(value, (list, tuple)):
            found |= _storages(value)
        elif isinstance(value, torch.Tensor):
            found.add(value.untyped_storage()._cdata)  # an identity on the meta device too
    return found
