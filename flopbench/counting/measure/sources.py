"""Provides subjects: from a model built as late and as cheaply as possible, or a live one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from torch import nn

from flopbench.core.errors import InputError, MeasureError
from flopbench.core.memory import SMALL_BYTES, free_bytes, require_room
from flopbench.core.units import gigabytes
from flopbench.counting.measure.counters.base import Subject, out_elements
from flopbench.counting.measure.counters.watching import Leaving
from flopbench.counting.measure.module_facts import module_facts
from flopbench.counting.profile import FOR_THESE_VALUES, ModuleFacts
from flopbench.models.build.built import Built
from flopbench.models.build.by_source import build
from flopbench.models.build.copies import Restored, countable, move_inputs, private_copy
from flopbench.models.build.memory import TooLarge, at_most, weight_bytes
from flopbench.models.spec import ModelSpec

NEEDS_VALUES = "the forward pass does not run on shapes alone, so it ran on the CPU"

FLOAT_BYTES = 4

_NAMED = 4
"""How many operators of those by which values steer are named."""


class SubjectSource:
    """One model for several counters, each of which sees it as if it were the first.

    A live module and a model from the user's own code are copied for every counter. A library
    model is ours alone, so the model itself serves one counter after the other: it is restored to
    what it was, on the meta device or with values. Where some counter wants values, the model is
    built on the CPU at once, a library model with zero weights, until it turns out that its work
    depends on them.
    """

    def __init__(
        self, *, spec: ModelSpec | None = None, live: Built | None = None, values_wanted: bool
    ) -> None:
        self.spec = spec
        self.shapes_suffice: bool | None = None
        """Whether the model runs on the meta device; None before it was tried."""
        self.draws = False
        """Whether a forward pass draws random numbers that may steer it."""
        self.values: Leaving | None = None
        """What becomes of values, where shapes do not suffice."""
        self._built = live
        self._device = "" if live is None else "cpu"
        self._initialised = live is not None
        self._values_wanted = values_wanted
        self._ours = spec is not None and not spec.is_user_code
        self._checked = self._ours
        self._large = False
        self._activation_bytes = 0
        self._restored: Restored | None = None
        self._facts: tuple[ModuleFacts, ...] | None = None

    @property
    def built(self) -> Built:
        """The model and its inputs; only after a subject was requested."""
        assert self._built is not None
        return self._built

    def subject(self, device: str) -> Subject:
        """Return a private subject on ``meta`` or ``cpu``.

        Raises:
            InputError: the model cannot be built.
            MeasureError: the module cannot be copied, or does not fit into memory with its values.
        """
        if self._is_stale(device):
            self._build(device)
        if not self._checked:
            self._built = countable(self.built)
            self._checked = True
        if device == "cpu":
            self._require_room(0 if self._ours else weight_bytes(self.built.module))
        if self._ours:
            assert self._restored is not None
            self._restored.to(device)
            module = self.built.module
        else:
            module = private_copy(self.built.module, device)
        return Subject(
            module=module,
            args=move_inputs(self.built.args, device),
            kwargs=move_inputs(
                dict(self.built.kwargs), device, keep_integers=self.built.keeps_integers
            ),
            device=device,
            arguments=self.built.arguments,
        )

    @property
    def weighs_nothing(self) -> bool:
        """Whether all that a convolution gives is zeros: weights that shapes made needless."""
        return self._ours and self.shapes_suffice is True

    @property
    def facts(self) -> tuple[ModuleFacts, ...]:
        """The modules of the model, as they were built."""
        if self._facts is None:
            own = self.spec is None or self.spec.is_user_code
            self._facts = module_facts(self.built.module, located=own)
        return self._facts

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

    @contextlib.contextmanager
    def activations_sized(self) -> Iterator[None]:
        """Find out what a forward pass holds at once: input and output of its largest module."""

        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            held = 2 * FLOAT_BYTES * out_elements(output)
            self._activation_bytes = max(self._activation_bytes, held)

        hook = nn.modules.module.register_module_forward_hook(note)
        try:
            yield
        finally:
            hook.remove()

    def value_notes(self) -> tuple[str, ...]:
        """Say why values were needed, and whether the count holds for these alone."""
        if self.values is None:
            return ()
        names = self.values.steering
        if not names:
            return (NEEDS_VALUES,)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        weights = "the model's own weights"
        if self.spec is not None:
            weights = "random weights, seed 0" if self._ours else "the weights of the factory"
        how = f"the work depends on values ({', '.join(names[:_NAMED])}{more})"
        return (f"{FOR_THESE_VALUES}: {how}; {weights}",)

    def _initialises(self) -> bool:
        """Whether weights must be drawn, because the work may depend on them."""
        return not self._ours or self.shapes_suffice is False

    def _is_stale(self, device: str) -> bool:
        if self.spec is None:
            return False
        return self._built is None or (
            device == "cpu"
            and (self._device == "meta" or (self._initialises() and not self._initialised))
        )

    def _build(self, device: str) -> None:
        """Build the model: once for all counters, since a user's factory runs once.

        Where a counter wants values, the model gets them at once, unless they are many: then it
        is built on ``meta``, which tells what they would take. A library model for a counter that
        needs values gets zero weights until it turns out that the work depends on them.
        """
        assert self.spec is not None
        chosen = "cpu" if self._values_wanted and not self._large else device
        if chosen == "cpu" and self._built is None:
            if self._build_small(device):
                return
            chosen = device
        if chosen == "cpu":
            self._require_room(weight_bytes(self.built.module))
        self._build_on(chosen)

    def _require_room(self, weights: int) -> None:
        hint = "torch and thop count from shapes, without them"
        require_room(weights, self._activation_bytes, hint=hint)

    def _build_small(self, device: str) -> bool:
        """Build with values if they are few, else on ``meta``; return whether that is enough."""
        try:
            with at_most(SMALL_BYTES):
                self._build_on("cpu")
            return True
        except TooLarge:
            self._large = True
        with contextlib.suppress(InputError):
            self._build_on("meta")
            return device == "meta"
        free = free_bytes()  # it can be built with values only
        try:
            with at_most(math.inf if free is None else free):
                self._build_on("cpu")
        except TooLarge:
            raise MeasureError(f"it needs more than the {gigabytes(free or 0)} GB free") from None
        return True

    def _build_on(self, device: str) -> None:
        assert self.spec is not None
        initialise = self._initialises()
        self._built = build(self.spec, device, initialise=initialise)
        self._device, self._initialised, self._facts = device, initialise, None
        self._checked = self._ours
        if self._ours:
            self._restored = Restored(self._built.module, device)
