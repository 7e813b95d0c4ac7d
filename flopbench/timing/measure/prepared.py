"""From a timing specification to a call that can be timed."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.models.build.built import Built, reason
from flopbench.models.build.by_source import build
from flopbench.models.build.copies import copy_inputs
from flopbench.models.build.memory import is_out_of_memory
from flopbench.models.shapes import Arguments, leaves
from flopbench.models.spec import parse_spec
from flopbench.timing.measure.precision import TORCH_DTYPES
from flopbench.timing.records import TimingSpec

INPUTS = 4
"""Random inputs that take turns, so that no input is still in a cache from the call before."""

MOST_INPUT_BYTES = 1 << 29
"""If the inputs of a large batch would take more than this together, fewer take turns."""

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Dimensions of a tensor -> the memory format; others have none."""

GRAPH_WARM_UPS = 3
"""Calls on a side stream before a capture, as torch's documentation of CUDA graphs requires."""


@contextlib.contextmanager
def explained(spec: TimingSpec, doing: str) -> Iterator[None]:
    """Turn what a model or a library raises into a measuring error that names the row."""
    try:
        yield
    except (Exception, SystemExit) as error:  # a model that calls exit() fails only its row
        raise explanation(spec, doing, error) from error


def explanation(spec: TimingSpec, doing: str, error: BaseException) -> FlopbenchError:
    """Return the measuring error for an exception of a model or a library."""
    if isinstance(error, FlopbenchError):
        return error
    if is_out_of_memory(error):
        hint = "use a smaller --batch" if spec.batch > 1 else ""
        return MeasureError(f"out of memory at batch {spec.batch}", hint)
    return MeasureError(f"{doing}: {reason(error)}")


def prepare(spec: TimingSpec) -> Callable[[], Any]:
    """Build a model and return a call that runs it on the next of several random inputs.

    The model has not run yet: the caller times the first call, which may compile.

    Raises:
        InputError: the model cannot be built, or its inputs have no batch dimension to enlarge.
        MeasureError: it cannot be put on this device or into this dtype, or memory is too small.
    """
    model = parse_spec(spec.spec)
    with explained(spec, "building failed"):
        built = build(model, "cpu")
        module = built.module.to(device=spec.device, dtype=TORCH_DTYPES[spec.dtype])
        inputs = _inputs(built, spec)
        if spec.channels_last:
            module = _channels_last(module, inputs)
        if spec.compiled:
            module = torch.compile(module)  # compiles at the first call
    turns = itertools.cycle(inputs)

    def call() -> Any:
        args, kwargs = next(turns)
        return module(*args, **kwargs)

    def call_with_copies() -> Any:  # of the objects, not of the tensors in them
        args, kwargs = copy_inputs(next(turns), lambda tensor: tensor)
        return module(*args, **kwargs)

    return call_with_copies if _grow(inputs[0]) else call


def compiled_graphs() -> int | None:
    """Return how many graphs torch.compile has made so far; None if torch does not report it.

    A model that raises while it is traced silently runs eagerly.
    """
    try:
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])
    except (ImportError, KeyError, TypeError):
        return None


def capture(call: Callable[[], Any], pool: Any = None) -> tuple[torch.cuda.CUDAGraph, Any]:
    """Capture a call as a CUDA graph; return it, and the output that each replay overwrites.

    A graph replays addresses, always of the same one of the inputs, and keeps nothing alive: hold
    on to the call, and with it the model and its inputs. Graphs of one ``pool`` share memory.
    """
    before = torch.cuda.current_stream()
    side = torch.cuda.Stream()
    side.wait_stream(before)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.stream(side):
            for _ in range(GRAPH_WARM_UPS):
                call()
        before.wait_stream(side)
        with torch.cuda.graph(graph, pool=pool):
            output = call()
    finally:
        torch.cuda.set_stream(before)  # in some versions a failed capture leaves its own
    return graph, output


def replaying(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the replay of a call that was captured as a CUDA graph."""
    graph, output = capture(call)

    def replay(_keeps: Any = (call, output)) -> None:
        graph.replay()

    return replay


def _inputs(built: Built, spec: TimingSpec) -> list[Arguments]:
    sizes: list[int] = []

    def batched(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        one = _batched(tensor, spec, generator)
        sizes.append(one.numel() * one.element_size())
        return one

    made: list[Arguments] = []
    for number in range(INPUTS):
        generator = torch.Generator().manual_seed(number)
        copied = partial(batched, generator=generator)
        made.append(copy_inputs((built.args, dict(built.kwargs)), copied))
        if sum(sizes) * (number + 2) > MOST_INPUT_BYTES * (number + 1):
            break
    return made


def _batched(value: torch.Tensor, spec: TimingSpec, generator: torch.Generator) -> torch.Tensor:
    """Return one input at the wanted batch, with new random values if it is floating-point."""
    if spec.batch > 1 and (value.dim() == 0 or value.shape[0] != 1):
        raise InputError(
            f"{spec.spec} has an input of shape {tuple(value.shape)}, which is not a batch of one "
            f"that could become a batch of {spec.batch}",
            "let the factory return inputs for a batch of one, or time it with --batch 1",
        )
    shape = (spec.batch, *value.shape[1:]) if spec.batch > 1 else tuple(value.shape)
    if value.is_floating_point():
        fresh = torch.rand(shape, generator=generator)
        return fresh.to(device=spec.device, dtype=TORCH_DTYPES[spec.dtype])
    return value.expand(shape).contiguous().to(spec.device)


def _grow(inputs: Arguments) -> bool:
    """Whether there is an object among inputs that a call may change, such as a cache."""
    kinds = (torch.Tensor, torch.dtype, torch.device, type(None), bool, int, float, str)
    return not all(isinstance(leaf, kinds) for leaf in leaves(inputs))


def _channels_last(module: nn.Module, inputs: list[Any]) -> nn.Module:
    def lay(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dim() in CHANNELS_LAST:
            return value.contiguous(memory_format=CHANNELS_LAST[value.dim()])
        return value

    for n, (args, kwargs) in enumerate(inputs):
        inputs[n] = tuple(map(lay, args)), {name: lay(value) for name, value in kwargs.items()}
    values = [value for args, kwargs in inputs for value in (*args, *kwargs.values())]
    for dim in {v.dim() for v in values if isinstance(v, torch.Tensor)} & set(CHANNELS_LAST):
        module = module.to(memory_format=CHANNELS_LAST[dim])
    return module
