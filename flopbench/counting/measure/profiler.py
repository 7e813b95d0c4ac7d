"""Runs counters on one model: the harness around the adapters in ``counters``.

Each counter gets a private copy of the model in evaluation mode, on the meta device if counter and
model allow it (no memory, no arithmetic), else on the CPU with real values. The original is never
changed.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from msgspec import structs
from msgspec.structs import replace
from torch import nn

from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.measure.counters.base import BOTH_BRANCHES, Counted, Counter, Subject
from flopbench.counting.measure.counters.watching import watch_values
from flopbench.counting.measure.sources import SubjectSource
from flopbench.counting.profile import FOR_ONE_DRAW, CostProfile, merge_operators
from flopbench.counting.registry import CounterInfo, installed_versions
from flopbench.models.build.builders import DownloadRefused
from flopbench.models.build.built import Built, head_width, last_linear, reason
from flopbench.models.build.contained import contained
from flopbench.models.build.copies import unwrap
from flopbench.models.build.environment import counting_state, no_addresses
from flopbench.models.build.fusing import branch_notes
from flopbench.models.build.hints import hint_of
from flopbench.models.build.kept_integers import KeptIntegers
from flopbench.models.build.kernels import quick_convolutions, quick_shapes
from flopbench.models.build.memory import is_out_of_memory
from flopbench.models.build.stand_ins import import_flop_counter
from flopbench.models.spec import ModelSpec

DRAW_NOTE = f"{FOR_ONE_DRAW}: the forward pass draws random numbers, seed 0"

_Made = TypeVar("_Made")

Result = CostProfile | str
"""What a counter gives: a profile, or in one line why it could not count this model."""


def profile_spec(spec: ModelSpec, infos: Sequence[CounterInfo]) -> dict[str, Result]:
    """Count one specification, not a ``value:`` constant: name of the counter -> result.

    Raises:
        InputError: the model cannot be built, or does not run at this input.
    """
    with contained() if spec.source == "python" else contextlib.nullcontext():
        return _profile(infos, str(spec), spec=spec)


def profile_module(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    infos: Sequence[CounterInfo],
    *,
    name: str,
    input: str,
) -> dict[str, Result]:
    """Count a live module, which stays unchanged, on any device, in any mode.

    Args:
        module: the model.
        args: positional inputs of ``forward``.
        kwargs: keyword inputs of ``forward``.
        infos: the counters.
        name: what to call the model in the result.
        input: what to call the input in the result.

    Raises:
        InputError: the module does not run on these inputs.
    """
    module = unwrap(module)
    built = Built(
        module=module,
        args=args,
        kwargs=kwargs,
        input=input,
        feature_dim=head_width(module),
        notes=branch_notes(module),
    )
    return _profile(infos, name, live=built)


def _profile(
    infos: Sequence[CounterInfo],
    name: str,
    *,
    spec: ModelSpec | None = None,
    live: Built | None = None,
) -> dict[str, Result]:
    loaded = {info.name: _load(info) for info in infos}
    counters = {info: c for info in infos if not isinstance(c := loaded[info.name], str)}
    results: dict[str, Result] = {name: c for name, c in loaded.items() if isinstance(c, str)}
    values_wanted = any(counter.needs_values for counter in counters.values())
    source = SubjectSource(spec=spec, live=live, values_wanted=values_wanted)
    # Counters that need only shapes come first: they show whether shapes suffice.
    for info, counter in sorted(counters.items(), key=lambda pair: pair[1].needs_values):
        try:
            counted, device = _count(counter, source, name)
            results[info.name] = _to_profile(
                info, counter.convention, source, counted, device, name
            )
        except InputError:
            raise
        except MeasureError as error:
            results[info.name] = error.line
        except (Exception, SystemExit) as error:
            results[info.name] = _why_not(info, source, error, name)
    reference = results.get(REFERENCE)
    if isinstance(reference, CostProfile):  # it alone knows whose weights took part
        width = reference.feature_dim
        results = {
            name: one if isinstance(one, str) else structs.replace(one, feature_dim=width)
            for name, one in results.items()
        }
    return {info.name: results[info.name] for info in infos}


def _load(info: CounterInfo) -> Counter | str:
    """Return a counter, or why it cannot be loaded."""
    module, _, name = info.target.partition(":")
    import_flop_counter()
    try:
        counter: Counter = getattr(import_module(module), name)()
    except (Exception, SystemExit) as error:
        return f"it cannot be loaded: {reason(error)}"
    return counter


def _count(counter: Counter, source: SubjectSource, name: str) -> tuple[Counted, str]:
    """Return a count and the device that it was made on."""
    if not getattr(counter, "runs", True):
        try:
            return _run(source, "meta", counter.count), "meta"
        except InputError:  # a user's factory may need values
            return _run(source, "cpu", counter.count), "cpu"
    counted: Counted | None = None
    if not counter.needs_values and source.shapes_suffice is not False:
        # What fails on shapes alone (building, running, counting) is tried again with values.
        with _tried():
            counted = _run(source, "meta", counter.count)
            if BOTH_BRANCHES not in counted.notes:
                source.shapes_suffice = True
                return counted, "meta"
    if source.shapes_suffice is None:
        source.shapes_suffice = False
        with _tried():
            _run(source, "meta", Subject.run)
            source.shapes_suffice = True
    try:
        if not source.shapes_suffice and source.values is None:
            _require_running(source, name)
        counted = _run(source, "cpu", counter.count)
    except MeasureError:  # no values, or no memory for them
        if counted is None:
            raise
        return counted, "meta"
    if source.values is None:
        return counted, "cpu"
    notes, gaps = (*counted.notes, *source.value_notes()), source.values.gaps
    return replace(counted, notes=notes, not_counted=(*counted.not_counted, *gaps)), "cpu"


@contextlib.contextmanager
def _tried() -> Iterator[None]:
    """Pass over what fails on shapes alone, unless it would fail with values, too."""
    try:
        yield
    except DownloadRefused:
        raise
    except (Exception, SystemExit):
        return


def _run(source: SubjectSource, device: str, work: Callable[[Subject], _Made]) -> _Made:
    """Do something with a subject, in the state in which counters run."""
    with contextlib.ExitStack() as stack:
        if device == "meta":
            stack.enter_context(quick_shapes())
            stack.enter_context(no_addresses())
        elif source.weighs_nothing:
            stack.enter_context(quick_convolutions())
        subject = source.subject(device)
        if device == "cpu" and any(tensor.is_meta for tensor in subject.module.parameters()):
            raise MeasureError("it needs real values, and the model is on the meta device")
        drew = stack.enter_context(counting_state())
        stack.enter_context(source.originals_guarded())
        if device == "meta":
            stack.enter_context(source.activations_sized())
            if source.built.keeps_integers:
                stack.enter_context(KeptIntegers())
        made = work(subject)
        # On shapes alone, only what is drawn for Python can steer.
        if device == "meta" or not source.shapes_suffice:
            source.draws = drew()
    return made


def _why_not(info: CounterInfo, source: SubjectSource, error: BaseException, name: str) -> str:
    """Say why a counter failed: a model that does not run is told from a counter that cannot.

    Raises:
        InputError: the model itself does not run at this input.
    """
    if is_out_of_memory(error):
        return f"out of memory: {reason(error)}"
    try:
        _require_running(source, name)
    except MeasureError:  # it cannot be copied, or does not fit: then this is all that is known
        return f"{info.name} fails: {reason(error)}"
    return f"{info.name} fails on a model that runs without it: {reason(error)}"


def _require_running(source: SubjectSource, name: str) -> None:
    """Distinguish a model that does not run from a counter that cannot follow it.

    Raises:
        InputError: the model itself does not run at this input.
        MeasureError: a copy of it cannot be run.
    """
    try:
        values = _run(source, "cpu", watch_values)
    except FlopbenchError:
        raise
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise MeasureError(f"out of memory: {reason(error)}") from error
        raise InputError(
            f"{name} does not run at this input: {reason(error)}",
            hint_of(error, source.built, source.spec),
        ) from error
    if not source.shapes_suffice:
        source.values = values


def _feature_dim(built: Built, counted: Counted) -> int | None:
    """Return the width of the head's input; a layer that took no part is no head."""
    head = last_linear(built.module)
    if head is None or head[1].in_features != built.feature_dim:  # its source knows the head
        return built.feature_dim
    unread, unused = counted.unread, set[str]()
    if unread is None:
        unused = {gap.module for gap in counted.not_counted if gap.kind == "uncalled"}
    else:  # a bias may be unread where a weight is read: more than one form of it, if parametrised
        for path, layer in built.module.named_modules():
            own = [name for name, _ in layer.named_parameters() if not name.endswith("bias")]
            if own and all(f"{path}.{name}".lstrip(".") in unread for name in own):
                unused.add(path)
    return head_width(built.module, unused)


def _to_profile(
    info: CounterInfo,
    convention: str,
    source: SubjectSource,
    counted: Counted,
    device: str,
    name: str,
) -> CostProfile:
    built, spec = source.built, source.spec
    operators = merge_operators(counted.operators)
    charged = sum(op.total for op in operators)
    if charged != counted.total:
        raise MeasureError(
            f"its breakdown adds up to {charged}, its total is {counted.total}: this is a bug in "
            "the counter's adapter"
        )
    return CostProfile(
        spec=name,
        model=spec.model if spec else name,
        input=built.input,
        classes=spec.classes if spec else None,
        counter=info.name,
        counter_version=info.version or "",
        convention=convention,
        total=counted.total,
        dense_macs=sum(op.dense_macs for op in operators),
        params=sum(p.numel() for p in built.module.parameters()),
        activations=sum(op.activations for op in operators),
        feature_dim=_feature_dim(built, counted),
        device=device,
        operators=operators,
        modules=source.facts,
        not_counted=counted.not_counted,
        notes=(*built.notes, *counted.notes, *((DRAW_NOTE,) if source.draws else ())),
        versions={
            "python": platform.python_version(),
            **installed_versions(["flopbench", "torch"]),
            info.library: info.version or "",
            **installed_versions([spec.source] if spec else []),
        },
    )
