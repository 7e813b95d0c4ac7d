"""The Python API: ``flopbench.profile`` and ``flopbench.cost_table``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from flopbench.core.errors import InputError, MeasureError
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.profile import CostProfile
from flopbench.counting.registry import find_counters
from flopbench.models.shapes import is_whole
from flopbench.models.spec import ModelSpec, cross, parse_spec

if TYPE_CHECKING:
    from torch import nn

    from flopbench.counting.table import CostTable


class Profiles(list[CostProfile]):
    """The profiles of one model under several counters, a list in their order.

    Attributes:
        failures: counter -> why it could not count this model; those counters have no profile.
    """

    def __init__(self, results: Mapping[str, CostProfile | str]) -> None:
        super().__init__(r for r in results.values() if not isinstance(r, str))
        self.failures = {name: r for name, r in results.items() if isinstance(r, str)}

    def __repr__(self) -> str:
        counted = [f"{p.spec}, {p.counter}: {p.dense_macs:,} dense MACs" for p in self]
        return "\n".join([*counted, *(f"{k}: failed - {why}" for k, why in self.failures.items())])


@overload
def profile(
    model: str | ModelSpec | nn.Module,
    input: Any = None,
    counters: str = "torch",
    *,
    kwargs: Mapping[str, Any] | None = None,
) -> CostProfile: ...


@overload
def profile(
    model: str | ModelSpec | nn.Module,
    input: Any,
    counters: list[str] | tuple[str, ...],
    *,
    kwargs: Mapping[str, Any] | None = None,
) -> Profiles: ...


@overload
def profile(
    model: str | ModelSpec | nn.Module,
    input: Any = None,
    *,
    counters: list[str] | tuple[str, ...],
    kwargs: Mapping[str, Any] | None = None,
) -> Profiles: ...


def profile(
    model: str | ModelSpec | nn.Module,
    input: Any = None,
    counters: str | list[str] | tuple[str, ...] = "torch",
    *,
    kwargs: Mapping[str, Any] | None = None,
) -> CostProfile | Profiles:
    """Count one forward pass of a model.

    Args:
        model: a specification (``"resnet50@224"``), or a live ``torch.nn.Module`` on any device
            and in any mode, which stays unchanged: a private copy in evaluation mode is counted.
        input: for a module: a shape such as ``(1, 3, 224, 224)``, a tensor, a tuple of positional
            arguments, a dict of keyword arguments, or a size such as ``224`` or ``"16x112x112"``
            for one RGB image or clip. Where there is no tensor among the arguments, those that are
            shapes are made: ``((1, 3, 64, 64), "1x100:int64")``. They are copied for every
            counter. For a specification: nothing, a size or, for your own code, shapes.
        counters: one counter or several.
        kwargs: keyword arguments besides positional ones.

    Returns:
        One profile for one counter. For several a list of profiles, whose ``failures`` say why the
        other counters have none. The count is for the given input: a batch of eight costs eight
        times as much as one sample.

    Raises:
        InputError: an unknown model or counter, or an input that the model does not run on.
        MeasureError: no counter could count this model.

    Example:
        >>> profile(decoder, "1x1:int64", kwargs={"past_key_values": cache}).dense_macs
        >>> profile("resnet18@224", counters=["fvcore", "torch"]).failures
    """
    names = [counters] if isinstance(counters, str) else list(counters)
    if isinstance(model, (str, ModelSpec)):
        results, name = _profile_spec(model, input, kwargs, names)
    else:
        results, name = _profile_module(model, input, kwargs, names), type(model).__name__
    profiles = Profiles(results)
    if profiles.failures and not profiles:
        counter, why = next(iter(profiles.failures.items()))
        same = len(set(profiles.failures.values())) == 1 < len(profiles.failures)
        who = "no counter could" if same else f"{counter} could not"
        raise MeasureError(f"{who} count {name}: {why}")
    return profiles[0] if isinstance(counters, str) else profiles


def cost_table(
    models: str | ModelSpec | Iterable[str | ModelSpec],
    *,
    resolutions: str | int | Iterable[str | int] = (),
    counters: str | Sequence[str] = DEFAULT_COUNTERS,
    classes: int | None = None,
    refresh: bool = False,
    jobs: int = 1,
) -> CostTable:
    """Build a cost table.

    Args:
        models: a specification, or several: ``["resnet50@224", "value:1.8e9"]``.
        resolutions: input sizes, or one, to combine with models that name none.
        counters: one counter or several, in the table's order.
        classes: width of every head, None to leave heads as they are.
        refresh: measure again instead of reading the cache.
        jobs: worker processes to measure in.

    Returns:
        A table with ``save``, ``load`` and ``to_dataframe``; ``print`` and notebooks show it.

    Raises:
        InputError: an unknown model or counter, or an input that a model does not run on.
    """
    from flopbench.counting.run import build_table

    given = [models] if isinstance(models, (str, ModelSpec)) else models
    specs = [m if isinstance(m, ModelSpec) else parse_spec(m) for m in given]
    sizes = [resolutions] if isinstance(resolutions, (str, int)) else resolutions
    names = [counters] if isinstance(counters, str) else list(counters)
    specs = cross(specs, list(map(str, sizes)))
    if classes is not None:
        specs = [s if s.source == "value" else s.with_classes(classes) for s in specs]
    return build_table(specs, names, refresh=refresh, jobs=jobs)


def _profile_spec(
    model: str | ModelSpec, input: Any, kwargs: Mapping[str, Any] | None, names: list[str]
) -> tuple[dict[str, CostProfile | str], str]:
    from flopbench.counting.run import measure

    spec = model if isinstance(model, ModelSpec) else parse_spec(model)
    if spec.source == "value":
        raise InputError(f"{str(spec)!r} is a constant: there is nothing to profile")
    if input is not None or kwargs:
        text = str(input)
        if kwargs or not (isinstance(input, str) or is_whole(input)):
            from flopbench.models.build.inputs import shapes_text

            text = shapes_text(input, kwargs)
        spec = cross([spec], [text])[0]
    found = measure([spec], names)[0]
    counted: dict[str, CostProfile | str] = {p.counter: p for p in found.profiles}
    return {name: (counted | found.failures)[name] for name in names}, str(spec)


def _profile_module(
    model: Any, input: Any, kwargs: Mapping[str, Any] | None, names: list[str]
) -> dict[str, CostProfile | str]:
    infos = find_counters(names)
    from torch import nn

    from flopbench.counting.measure.profiler import profile_module
    from flopbench.models.build.hints import object_instead
    from flopbench.models.build.inputs import describe_inputs, example_inputs

    if not isinstance(model, nn.Module):
        what, hint = object_instead(model)
        raise InputError(f"model is {what}: expected a specification or a torch.nn.Module", hint)
    args, named = example_inputs(model, input, kwargs)
    return profile_module(
        model, args, named, infos, name=type(model).__name__, input=describe_inputs(args, named)
    )
