"""Provides subjects: from a model built as late and as cheaply as possible, or a live one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.base import Subject
from flopbench.models.build.built import Built
from flopbench.models.build.by_source import build
from flopbench.models.build.copies import TensorSwap, move_inputs, private_copy
from flopbench.models.spec import ModelSpec


class SubjectSource:
    """One model for several counters, each of which sees it as if it were the first.

    A live module and a model from the user's own code are copied for every counter. A library
    model is ours alone and stateless in evaluation mode, so the model itself serves one counter
    after the other, its tensors swapped for shapes on the meta device and back; if a counter
    leaves something behind in it, it is built again. Where some counter wants values, the model
    is built with them at once.
    """

    def __init__(
        self, *, spec: ModelSpec | None = None, live: Built | None = None, values_wanted: bool
    ) -> None:
        self.spec = spec
        self.shapes_suffice: bool | None = None
        """Whether a forward pass on the meta device succeeded; None before one was tried."""
        self._built = live
        self._device = "" if live is None else "cpu"
        self._initialised = live is not None
        self._values_wanted = values_wanted
        self._ours = spec is not None and not spec.is_user_code
        self._swap: TensorSwap | None = None
        self._signature: list[Any] = []

    @property
    def built(self) -> Built:
        """The model and its inputs; only after a subject was requested."""
        assert self._built is not None
        return self._built

    def subject(self, device: str) -> Subject:
        """Return a private subject on ``meta`` or ``cpu``.

        Raises:
            InputError: the model cannot be built.
            MeasureError: the module cannot be copied.
        """
        if self._is_stale(device):
            self._build(device)
        if self._ours:
            assert self._swap is not None
            self._swap.to(device)
            module = self.built.module
        else:
            module = private_copy(self.built.module, device)
        return Subject(
            module=module,
            args=move_inputs(self.built.args, device),
            kwargs=move_inputs(dict(self.built.kwargs), device),
            device=device,
        )

    @contextlib.contextmanager
    def originals_guarded(self) -> Iterator[None]:
        """Refuse calls of the original's modules while a copy of it is counted.

        A forward that holds a layer in a closure would run the original's layer: it would change
        its statistics, and its work would belong to no module of the copy.
        """
        if self._ours:
            yield
            return
        originals = set(self.built.module.modules())

        def refuse(module: nn.Module, _inputs: Any) -> None:
            if module in originals:
                raise MeasureError(
                    f"a copy of the model calls {type(module).__name__} of the original, which "
                    "its forward holds in a closure or a global",
                    "reach layers through self, so that the model can be copied",
                )

        hook = nn.modules.module.register_module_forward_pre_hook(refuse)
        try:
            yield
        finally:
            hook.remove()

    def _needs_values(self) -> bool:
        """Whether weights must be drawn, because the work may depend on them."""
        assert self.spec is not None
        return self.spec.is_user_code or self.shapes_suffice is False or not self._values_wanted

    def _is_stale(self, device: str) -> bool:
        if self.spec is None:
            return False
        if self._built is None or (self._ours and _signature(self.built.module) != self._signature):
            return True
        return device == "cpu" and (
            self._device == "meta" or (self._needs_values() and not self._initialised)
        )

    def _build(self, device: str) -> None:
        assert self.spec is not None
        # One build serves every counter, so that a user's factory runs once. A library model for
        # a counter that needs values gets zero weights until it turns out that the work depends
        # on them.
        self._device = "cpu" if self._values_wanted else device
        self._initialised = self._needs_values()
        self._built = build(self.spec, self._device, initialise=self._initialised)
        if self._ours:
            self._swap = TensorSwap(self._built.module, self._device)
            self._signature = _signature(self._built.module)


def _signature(module: nn.Module) -> list[Any]:
    """Record what a counter may leave behind: hooks, buffers, attributes, flags."""
    return [
        (
            id(child),
            child.training,
            len(vars(child)),
            len(child._buffers),
            len(child._forward_hooks),
            len(child._forward_pre_hooks),
        )
        for child in module.modules()
    ]
