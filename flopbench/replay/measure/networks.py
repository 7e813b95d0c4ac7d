"""The networks of a replay: built, fed from a pool of ready frames, with a state per video.

Networks are not connected: each gets ready inputs of the right shape, also an LSTM, whose features
are random. Weights are random too; time does not depend on them.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.models.build.built import Built, reason
from flopbench.models.build.memory import is_out_of_memory
from flopbench.replay.measure.device import Device
from flopbench.timing.measure.prepared import CHANNELS_LAST, capture, compiled_graphs

ROTATED = 4
"""Windows on the pool of frames that calls cycle through, so that no call finds its previous input
in a cache."""


class Network:
    """One component on its device.

    Args:
        name: of the component.
        built: the model and one sample, on the CPU.
        device: where it runs.
        dtype: of weights and floating-point inputs.
        largest: items in the largest call.
        recurrent: whether it keeps a state for each video.
        channels_last: memory format of images and weights.
        compiled: whether it is compiled with ``torch.compile``.
        own_inputs: repeat the sample (the user's) instead of drawing random ones like it.
        frames: (n, 3, height, width) images to use as inputs; None for random ones.
    """

    def __init__(
        self,
        name: str,
        built: Built,
        device: Device,
        *,
        dtype: torch.dtype = torch.float32,
        largest: int = 1,
        recurrent: bool = False,
        channels_last: bool = False,
        compiled: bool = False,
        own_inputs: bool = False,
        frames: torch.Tensor | None = None,
    ) -> None:
        self.name, self.recurrent = name, recurrent
        self._device = device
        module = built.module.to(device=device.torch_device, dtype=dtype)
        if channels_last:
            module = module._apply(_channels_last)
        self._core = module
        self._module: Any = _Watched(torch.compile(module)) if compiled else module
        leaves, self._form = tree_flatten((built.args, dict(built.kwargs)))
        self.size = largest + ROTATED - 1
        self._pool = [_pooled(leaf, self.size, name, own_inputs, frames) for leaf in leaves]
        for at, leaf in enumerate(self._pool):
            if isinstance(leaf, torch.Tensor):
                kind = dtype if leaf.is_floating_point() else leaf.dtype
                form = _memory_format(leaf) if channels_last else torch.contiguous_format
                self._pool[at] = leaf.to(device=device.torch_device, dtype=kind, memory_format=form)
        self._turn = 0
        self._state: tuple[torch.Tensor, ...] | None = None
        self._blank: dict[int, tuple[torch.Tensor, ...]] = {}

    def settle(self) -> None:
        """End the warm-up: refuse a model of which nothing was compiled, and call it directly."""
        if isinstance(self._module, _Watched):
            if self._module.calls and not self._module.graphs:
                raise MeasureError(
                    f"torch.compile compiled none of component {self.name!r}: the eager model ran"
                )
            self._module = self._module.module

    def begin(self) -> None:
        """Reset the states for other videos."""
        self._state = None

    def on(self, rows: Sequence[int], of: int) -> Any:
        """Run on the frames of rows among ``of`` videos, gathering frames and states."""
        index = None if len(rows) == of else self._device.indices(rows)
        inputs = self.ready(of) if index is None else self._gathered(index)
        return self._stateful(inputs, index, of) if self.recurrent else self.call(inputs)

    def bare(self, n: int) -> Any:
        """Run on n ready items, without gathering frames or states."""
        if not self.recurrent:
            return self.call(self.ready(n))
        if n not in self._blank:
            self._blank[n] = self._zeros(n)
        return self._pass(self.ready(n), self._blank[n])[0]

    def ready(self, n: int) -> list[Any]:
        """Return the next window of n items of the pool."""
        self._turn = (self._turn + 1) % ROTATED
        return [
            leaf[self._turn : self._turn + n] if isinstance(leaf, torch.Tensor) else leaf
            for leaf in self._pool
        ]

    def _gathered(self, index: torch.Tensor) -> list[Any]:
        return [
            leaf.index_select(0, index) if isinstance(leaf, torch.Tensor) else leaf
            for leaf in self._pool
        ]

    def gather_into(self, index: torch.Tensor, room: Sequence[Any]) -> None:
        """Copy the items of an index (n,) into buffers of n items."""
        for leaf, out in zip(self._pool, room, strict=True):
            if not isinstance(leaf, torch.Tensor):
                continue
            if out.is_contiguous():
                torch.index_select(leaf, 0, index, out=out)
            else:  # channels last: not every device's kernel writes to it in place
                out.copy_(leaf.index_select(0, index))

    def buffers(self, n: int) -> list[Any]:
        """Return buffers for n items, filled from the pool."""
        return [
            leaf[:n].clone(memory_format=torch.preserve_format)
            if isinstance(leaf, torch.Tensor)
            else leaf
            for leaf in self._pool
        ]

    def call(self, leaves: Sequence[Any]) -> Any:
        """Run the module on inputs."""
        args, kwargs = tree_unflatten(list(leaves), self._form)
        return self._module(*args, **kwargs)

    def _pass(self, leaves: Sequence[Any], state: tuple[torch.Tensor, ...]) -> Any:
        (x, *_), _kwargs = tree_unflatten(list(leaves), self._form)
        output, after = self._module(x, state if len(state) > 1 else state[0])
        return output, after if isinstance(after, tuple) else (after,)

    def _stateful(self, leaves: Sequence[Any], index: torch.Tensor | None, of: int) -> Any:
        if self._state is None:
            self._state = self._zeros(of)
        if index is None:
            output, self._state = self._pass(leaves, self._state)
            return output
        own = tuple(part.index_select(1, index) for part in self._state)
        output, after = self._pass(leaves, own)
        for part, new in zip(self._state, after, strict=True):
            part.index_copy_(1, index, new)
        return output

    def _zeros(self, n: int) -> tuple[torch.Tensor, ...]:
        """Return initial states of n videos: (layers, n, width) each."""
        core: Any = self._core
        layers = core.num_layers * (2 if core.bidirectional else 1)
        widths = [core.proj_size or core.hidden_size]
        if isinstance(core, nn.LSTM):
            widths.append(core.hidden_size)
        like = next(core.parameters())
        return tuple(like.new_zeros(layers, n, width) for width in widths)


class _Watched:
    """A compiled module during the warm-up: counts the graphs that its calls make."""

    def __init__(self, module: Callable[..., Any]) -> None:
        self.module, self.calls, self.graphs = module, 0, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = compiled_graphs()
        output = self.module(*args, **kwargs)
        after = compiled_graphs()
        self.calls += 1
        # If torch does not report graphs, one per call is assumed.
        self.graphs += 1 if before is None or after is None else after - before
        return output


class Bucket:
    """Buffer in which items of one component wait until it is full.

    Args:
        network: the component.
        capacity: number of items that it holds.
        device: where it runs. On CUDA each size (the capacity, and the powers of two below it) is
            captured as a CUDA graph; a remainder is padded up to the next of them.
    """

    def __init__(self, network: Network, capacity: int, device: Device) -> None:
        self.network, self.capacity = network, capacity
        self._device = device
        self._buffers = network.buffers(capacity)
        self._graphs: dict[int, tuple[Any, Any]] = {}
        self.why_not_captured = ""
        if device.kind == "cuda":
            self._capture()

    def put(self, rows: Sequence[int], at: int) -> None:
        """Copy the frames of rows to the places from ``at`` on."""
        index = self._device.indices([row % self.network.size for row in rows])
        self.network.gather_into(index, self._window(at, at + len(rows)))

    def run(self, n: int) -> Any:
        """Run on the first n items; the output may have more rows, from padding."""
        if not self._graphs:
            return self.network.call(self._window(0, n))
        size = min(size for size in self._graphs if size >= n)
        graph, output = self._graphs[size]
        graph.replay()
        return output

    def _window(self, start: int, stop: int) -> list[Any]:
        return [b[start:stop] if isinstance(b, torch.Tensor) else b for b in self._buffers]

    def _capture(self) -> None:
        sizes = [2**n for n in range(self.capacity.bit_length()) if 2**n < self.capacity]
        pool = torch.cuda.graph_pool_handle()
        try:
            for size in (self.capacity, *reversed(sizes)):
                self._graphs[size] = capture(
                    partial(self.network.call, self._window(0, size)), pool
                )
        except RuntimeError as error:  # the model synchronises somewhere
            self._graphs = {}
            self.why_not_captured = reason(error)
            torch.cuda.synchronize()


def decide(output: Any, choices: int, name: str) -> torch.Tensor:
    """Return (n,) the index of the largest of the first ``choices`` outputs of each item.

    Raises:
        MeasureError: the component returns no tensor.
    """
    tensor = _first_tensor(output)
    if tensor is None:
        raise MeasureError(f"the component {name!r} returns no tensor to decide on")
    return tensor.flatten(1)[:, :choices].argmax(1)


def run_once(network: Network, n: int) -> None:
    """Run a component on n items, to check that it runs and to get its first call over with."""
    with faults(f"on a batch of {n}", network.name):
        network.bare(n)


@contextlib.contextmanager
def faults(doing: str, name: str = "") -> Iterator[None]:
    """Turn what a component or torch raises into a measuring error that names the component."""
    try:
        yield
    except (Exception, SystemExit) as error:  # a model may call exit()
        if isinstance(error, FlopbenchError):
            raise
        name = name or _component_of(error)
        fails = f"the component {name!r} fails {doing}" if name else f"the replay fails {doing}"
        if is_out_of_memory(error):
            hint = "use a smaller --batch, --group or --bucket"
            text = f"{fails}: out of memory ({reason(error)})"
            raise MeasureError(text, hint) from error
        raise MeasureError(f"{fails}: {reason(error)}") from error


def _component_of(error: BaseException) -> str:
    """Return the component whose call raised an exception; empty if unknown."""
    name = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        own = frame.f_locals.get("self")
        if isinstance(own, Network):
            name = own.name
        elif isinstance(own, Bucket) and hasattr(own, "network"):
            name = own.network.name
        elif frame.f_code is decide.__code__:
            name = str(frame.f_locals["name"])
    return name


def _first_tensor(output: Any) -> torch.Tensor | None:
    if isinstance(output, torch.Tensor):
        return output
    values = output.values() if isinstance(output, Mapping) else output
    if isinstance(values, (str, bytes)):
        return None
    with contextlib.suppress(TypeError):
        for value in values:
            found = _first_tensor(value)
            if found is not None:
                return found
    return None


def _pooled(leaf: Any, size: int, name: str, own_inputs: bool, frames: torch.Tensor | None) -> Any:
    """Return ``size`` items like a sample (1, ...); what is not a batch is returned as it is."""
    if not isinstance(leaf, torch.Tensor) or leaf.dim() == 0:
        return leaf
    if leaf.shape[0] != 1:
        raise InputError(
            f"the component {name!r} has an input of shape {tuple(leaf.shape)}, which is not a "
            "batch of one",
            "let its factory return inputs whose first dimension is 1",
        )
    shape = (size, *leaf.shape[1:])
    if frames is not None and frames.shape[1:] == leaf.shape[1:]:
        return frames[torch.arange(size) % len(frames)].clone()
    if own_inputs or not leaf.is_floating_point():
        return leaf.expand(shape).clone()
    return torch.rand(shape)


def _memory_format(leaf: torch.Tensor) -> torch.memory_format:
    return CHANNELS_LAST.get(leaf.dim(), torch.contiguous_format)


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    """Return a weight in channels-last format, if it is of a 2-D or 3-D convolution."""
    if tensor.dim() not in CHANNELS_LAST:
        return tensor
    return tensor.to(memory_format=_memory_format(tensor))
