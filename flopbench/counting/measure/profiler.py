"""Runs counters on one model: the harness around the adapters in ``counters``.

Each counter gets a private copy of the model in evaluation mode, on the meta device if counter and
model allow it (no memory, no arithmetic), else on the CPU with real values. The original is never
changed.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from msgspec import structs
from torch import nn

from flopbench.core.errors import InputError, MeasureError
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.measure.counters.base import Counted, Counter, Subject
from flopbench.counting.measure.module_facts import module_facts
from flopbench.counting.measure.sources import SubjectSource
from flopbench.counting.profile import CostProfile, merge_operators
from flopbench.counting.registry import CounterInfo, installed_versions
from flopbench.models.build.built import Built, head_width, last_linear, reason
from flopbench.models.build.copies import unwrap
from flopbench.models.build.environment import counting_state, quick_shapes
from flopbench.models.spec import ModelSpec

VALUES_NOTE = (
    "the forward pass needs real values, so it ran on the CPU with random weights (seed 0); "
    "where the work depends on those values, so does the count"
)
DRAW_NOTE = "the forward pass draws random numbers: this is the count of one draw (seed 0)"


Result = CostProfile | str
"""What a counter gives: a profile, or in one line why it could not count this model."""


def profile_spec(spec: ModelSpec, infos: Sequence[CounterInfo]) -> dict[str, Result]:
    """Count one specification, not a ``value:`` constant: name of the counter -> result.

    Raises:
        InputError: the model cannot be built, or does not run at this input.
        AssertionError: a counter's breakdown does not add up to its total.
    """
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
        module=module, args=args, kwargs=kwargs, input=input, feature_dim=head_width(module)
    )
    return _profile(infos, name, live=built)


def _profile(
    infos: Sequence[CounterInfo],
    name: str,
    *,
    spec: ModelSpec | None = None,
    live: Built | None = None,
) -> dict[str, Result]:
    results: dict[str, Result] = {}
    counters = {info.name: _load(info) for info in infos}
    values_wanted = any(counter.needs_values for counter in counters.values())
    source = SubjectSource(spec=spec, live=live, values_wanted=values_wanted)
    # Counters that need only shapes come first: they show whether shapes suffice.
    for info in sorted(infos, key=lambda i: counters[i.name].needs_values):
        counter = counters[info.name]
        try:
            counted, device = _count(counter, source)
        except InputError:
            raise
        except MeasureError as error:
            results[info.name] = error.message
        except (Exception, SystemExit) as error:
            _require_running(source, name)
            results[info.name] = (
                f"{info.name} fails on a model that runs without it: {reason(error)}"
            )
        else:
            results[info.name] = _to_profile(
                info, counter.convention, source, counted, device, name
            )
    reference = results.get(REFERENCE)
    if isinstance(reference, CostProfile):  # it alone knows whose weights took part
        width = reference.feature_dim
        results = {
            name: one if isinstance(one, str) else structs.replace(one, feature_dim=width)
            for name, one in results.items()
        }
    return {info.name: results[info.name] for info in infos}


def _load(info: CounterInfo) -> Counter:
    module, _, name = info.target.partition(":")
    try:
        counter: Counter = getattr(import_module(module), name)()
    except ImportError as error:
        raise InputError(f"the counter {info.name!r} cannot be loaded: {error}") from error
    return counter


def _count(counter: Counter, source: SubjectSource) -> tuple[Counted, str]:
    """Return a count and the device that it was made on."""
    if not counter.needs_values and source.shapes_suffice is not False:
        # What fails on shapes alone (building, running, counting) is tried again with values.
        with quick_shapes(), contextlib.suppress(Exception, SystemExit):
            subject = source.subject("meta")
            counted = _count_subject(counter, source, subject)
            source.shapes_suffice = True
            return counted, "meta"
    subject = source.subject("cpu")
    if any(tensor.is_meta for tensor in subject.module.parameters()):
        raise MeasureError("it needs real values, and the model is on the meta device")
    counted = _count_subject(counter, source, subject)
    if not counter.needs_values and source.shapes_suffice is None:
        source.shapes_suffice = False
    if source.shapes_suffice is False:
        counted = replace(counted, notes=(*counted.notes, VALUES_NOTE))
    return counted, "cpu"


def _count_subject(counter: Counter, source: SubjectSource, subject: Subject) -> Counted:
    with counting_state() as drew, source.originals_guarded():
        counted = counter.count(subject)
        return replace(counted, notes=(*counted.notes, DRAW_NOTE)) if drew() else counted


def _require_running(source: SubjectSource, name: str) -> None:
    """Distinguish a model that does not run from a counter that cannot follow it.

    Raises:
        InputError: the model itself does not run at this input.
    """
    subject = source.subject("cpu")
    try:
        with counting_state():
            subject.run()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{name} does not run at this input: {reason(error)}",
            "check that the input's size, layout and type are what the network expects; some "
            "networks are built for one size, which an option sets, such as image_size=192",
        ) from error


def _feature_dim(built: Built, counted: Counted) -> int | None:
    """Return the width of the head's input; a layer that took no part is no head."""
    head = last_linear(built.module)
    if head is None or head[1].in_features != built.feature_dim:  # its source knows the head
        return built.feature_dim
    if counted.unread is None:
        unused = {gap.module for gap in counted.not_counted if gap.kind == "uncalled"}
    else:
        unused = {path.rpartition(".")[0] for path in counted.unread if path.endswith("weight")}
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
        raise AssertionError(
            f"{info.name} on {name}: its breakdown adds up to {charged}, its total is "
            f"{counted.total}; this is a bug in the counter's adapter"
        )
    libraries = ["flopbench", "torch", info.distribution, *([spec.source] if spec else [])]
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
        modules=module_facts(built.module, located=spec is None or spec.is_user_code),
        not_counted=counted.not_counted,
        notes=(*built.notes, *counted.notes),
        versions={"python": platform.python_version(), **installed_versions(libraries)},
    )
