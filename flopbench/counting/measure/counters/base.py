"""The protocol of counter adapters: what each gets and returns.

An adapter translates one library's result into exact integers per module and operator. It never
builds or copies a model: the harness (``measure.profiler``) passes it a private module in
evaluation mode that it may change freely, silences the library, switches the fused attention path
off, and disables gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from flopbench.counting.profile import Gap, OpCost


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A private copy of a model and one sample to run it on.

    Attributes:
        module: the model, in evaluation mode, on ``device``.
        args: positional arguments of ``forward``.
        kwargs: keyword arguments of ``forward``.
        device: ``meta`` (no values) or ``cpu``.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    device: str = "meta"

    def run(self) -> Any:
        """Run the forward pass once."""
        return self.module(*self.args, **self.kwargs)

    def module_names(self) -> dict[nn.Module, str]:
        """Map each module to its first dotted path, ``""`` for the model itself."""
        names: dict[nn.Module, str] = {}
        for name, module in self.module.named_modules(remove_duplicate=False):
            names.setdefault(module, name)
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One counter's result for one forward pass.

    Attributes:
        total: the library's figure, exact, in the unit that ``Counter.convention`` names.
        operators: the breakdown; its ``total`` fields add up to ``total``.
        not_counted: the gaps that the library or the adapter knows of.
        notes: notes on the figure.
    """

    total: int
    operators: tuple[OpCost, ...]
    not_counted: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()


class Counter(Protocol):
    """One way of counting. Register it in the entry-point group ``flopbench.counters``.

    Attributes:
        name: what the user types (``fvcore``).
        distribution: the installed distribution that does the counting, whose version is
            recorded (``fvcore``).
        convention: what one unit of ``total`` means, in a few words.
        needs_values: True when the library cannot work on the meta device.
    """

    name: str
    distribution: str
    convention: str
    needs_values: bool

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass. May change ``subject.module``; raises what the model raises."""


class ModuleStack:
    """Which module is running: a stack of dotted paths kept by global forward hooks.

    A direct call of ``child.forward(x)`` runs no hook, so its operators belong to the caller.
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        self._names = names
        self._stack: list[tuple[str, str]] = []
        self.called: set[str] = set()

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
        outer = self._stack[-1][0] if self._stack else ""
        path = self._names.get(module, outer)
        self.called.add(path)
        self._stack.append((path, type(module).__name__))

    def _leave(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if self._stack:
            self._stack.pop()


def parameterised_leaves(module: nn.Module) -> dict[str, nn.Module]:
    """Return the leaves that have parameters: first dotted path -> module."""
    leaves: dict[str, nn.Module] = {}
    seen: set[nn.Module] = set()
    for name, child in module.named_modules():
        if child in seen or next(child.children(), None) is not None:
            continue
        seen.add(child)
        if next(child.parameters(recurse=False), None) is not None:
            leaves[name] = child
    return leaves


def out_elements(output: Any) -> int:
    """Count the elements of every tensor in an output (tensor, list, tuple, dict)."""
    if isinstance(output, torch.Tensor):
        return output.numel()
    if isinstance(output, Mapping):
        return sum(out_elements(value) for value in output.values())
    if isinstance(output, (list, tuple)):
        return sum(out_elements(value) for value in output)
    return 0
