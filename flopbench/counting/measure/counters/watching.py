"""Watching torch's functions, operators and values; restoring what a library replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from msgspec import Struct
from torch.nn import functional
from torch.utils import _python_dispatch as dispatch
from torch.utils._pytree import tree_map

from flopbench.counting.measure.counters.base import ModuleStack, Subject
from flopbench.counting.measure.counters.free_ops import FREE_OPS
from flopbench.counting.profile import Gap
from flopbench.models.build.environment import ADDRESSES, Name, Names, called_from, replaced

OWNERS = (functional, torch, torch.Tensor)
"""The namespaces whose functions libraries replace."""

_CONVOLUTIONS = tuple(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))
_PRODUCTS = ("matmul", "mm", "bmm", "mv", "dot", "vdot", "inner")
_SUMS_OF_PRODUCTS = ("addmm", "addmv", "addbmm", "baddbmm")

TAKEN_APART: frozenset[tuple[Any, str]] = frozenset(
    (owner, name)
    for owner in (torch, torch.Tensor, torch.linalg)
    for name in ("outer", "ger", "kron", "vecdot")
    if hasattr(owner, name)
)
"""Products that a dispatch mode sees as elementwise ones."""

# Tensor.__rmatmul__ and Tensor.chain_matmul end in one of these, so they are not listed.
MULTIPLYING: frozenset[tuple[Any, str]] = (
    frozenset(
        (owner, name)
        for owner, names in (
            (functional, ("linear", "bilinear", "scaled_dot_product_attention", *_CONVOLUTIONS)),
            (torch, ("einsum", "tensordot", "chain_matmul", "bilinear", "addr", *_CONVOLUTIONS)),
            (torch, (*_PRODUCTS, *_SUMS_OF_PRODUCTS)),
            (torch.Tensor, ("__matmul__", *_PRODUCTS, *_SUMS_OF_PRODUCTS)),
            (torch.Tensor, tuple(f"{name}_" for name in _SUMS_OF_PRODUCTS if name != "addmv")),
            (
                torch,
                ("matrix_power", "_int_mm", "_scaled_mm", "_grouped_mm", "_weight_int8pack_mm"),
            ),
            (torch.linalg, ("matmul", "matrix_power", "multi_dot")),
        )
        for name in names
    )
    | TAKEN_APART
)
"""The Python names of torch's multiply-accumulates."""

LEAVING = (
    *((torch.Tensor, name) for name in ("numpy", "__array__", "__dlpack__", "tolist")),
    *(
        (owner, name)
        for owner in (torch.UntypedStorage, torch.storage.TypedStorage)
        for name in ("tolist", "__getitem__", "__iter__")
    ),
    *ADDRESSES,
)
"""How data leaves torch."""

UNWATCHED = "through operators that cannot be watched"

_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_STEERING = {"torchvision.nms", "aten._pack_padded_sequence", "torch.cond", "torch.while_loop"}
"""Operators that steer and lack the tags for it."""

_ITEM = {"aten._local_scalar_dense", "aten.item"}
_MASKS = {torch.bool, torch.uint8}

Around = Callable[[tuple[Any, str], Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@contextmanager
def namespaces_restored(*owners: Any) -> Iterator[Callable[[], set[tuple[Any, str]]]]:
    """Restore every replaced function on exit, also after an exception.

    Yields a function that names what has been replaced so far. What a library adds to a class is
    removed again (``Tensor.matmul`` set on ``Tensor`` hides the inherited one); what is added to
    a module stays, since submodules appear there whenever one is imported.
    """
    before = [(owner, dict(vars(owner))) for owner in owners]

    def replaced() -> set[tuple[Any, str]]:
        return {
            (owner, name)
            for owner, names in before
            for name, value in vars(owner).items()
            if callable(value)
            and (names[name] is not value if name in names else isinstance(owner, type))
        }

    try:
        yield replaced
    finally:
        old = dict(before)
        for owner, name in replaced():
            if name in old[owner]:
                setattr(owner, name, old[owner][name])
            else:
                delattr(owner, name)


def calls_watched(names: Names, around: Around) -> AbstractContextManager[None]:
    """Call ``around((owner, name), function, args, kwargs)`` instead of each named function."""

    def watched(key: Name, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: around(key, function, args, kwargs)

    return replaced(names, watched)


class Leaving(Struct, frozen=True, kw_only=True):
    """What becomes of values in a forward pass.

    Attributes:
        steering: how they reach Python, or the shape of a result: the work may depend on them.
        gaps: where they leave torch, so that other code may multiply them unseen.
    """

    steering: tuple[str, ...]
    gaps: tuple[Gap, ...]


def watch_values(subject: Subject) -> Leaving:
    """Run a forward pass on real values and see what becomes of them."""
    watch = _Values(subject)
    try:
        with watch.stack.tracking(), replaced(LEAVING, watch.leaving), watch:
            subject.run()
    except Exception:  # some operators cannot run under a mode
        subject.run()
        watch.steering[UNWATCHED] = None
    return Leaving(
        steering=tuple(watch.steering),
        gaps=tuple(
            Gap(kind="unseen", name=name, module=path, calls=calls, may_multiply=True)
            for (name, path), calls in watch.left.items()
        ),
    )


class _Values(dispatch.TorchDispatchMode):
    """Notes the operators by which values steer, and the functions by which they leave torch."""

    supports_higher_order_operators = True

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.stack = ModuleStack(subject.module_names())
        self.steering: dict[str, None] = {}
        self.left: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if _steers(func, args):
            name = _name_of(func)
            self.steering["Tensor.item" if name in _ITEM else name] = None
        return func(*args, **(kwargs or {}))

    def leaving(self, key: Name, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return one of ``LEAVING``, made to note its calls, but for torch's and libraries' own."""
        owner, name = key
        address, tensor = name == "data_ptr", owner is torch.Tensor
        # Libraries of models ask for addresses to compare them, not to read there.
        trusted = ("torch", "torchvision", "timm", "transformers") if address else ("torch",)

        def leave(data: Any, *args: Any, **kwargs: Any) -> Any:
            if not called_from(*trusted):
                label = f"{owner.__name__}.{name}"
                if not address:
                    self.steering[label] = None
                # Whole numbers become indices, lengths and sizes.
                if not (tensor and name == "tolist" and _is_whole(data)):
                    self.left[label, self.stack.current[0]] += 1
            return function(data, *args, **kwargs)

        return leave


def _is_whole(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())


def _name_of(func: Any) -> str:
    packet = getattr(func, "_overloadpacket", None)
    return f"torch.{func}" if packet is None else str(packet)


def _steers(func: Any, args: Sequence[Any]) -> bool:
    """Whether an operator gives values to Python, or has a result whose shape depends on them."""
    name = _name_of(func)
    if name == "aten.index":
        return any(index is not None and index.dtype in _MASKS for index in args[1])
    return name in _STEERING or bool(_TAGS & set(getattr(func, "tags", ())))


def run_operator(
    mode: dispatch.TorchDispatchMode, operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Run an operator for a mode that was handed it; see into one that is made of bodies.

    torch runs the bodies of a loop below every mode. Here each runs under those that were active,
    as often as the loop runs it.
    """
    plain = isinstance(operator, torch._ops.OpOverload)
    if plain or str(operator) not in FREE_OPS["control flow"]:
        return operator(*args, **kwargs)
    active = [*dispatch._get_current_dispatch_mode_stack(), mode]
    steps = None
    if str(operator) == "scan" and args[2]:
        # Older versions run the first step twice, to learn its shapes; some have a dimension.
        steps = args[2][0].shape[args[3] if isinstance(args[3], int) else 0]

    def opened(body: Any) -> Any:
        if not callable(body):
            return body
        ran = 0

        def run(*inputs: Any, **options: Any) -> Any:
            nonlocal ran
            ran += 1
            with ExitStack() as stack:
                for one in active if steps is None or ran <= steps else ():
                    dispatch._push_mode(one)
                    stack.callback(dispatch._pop_mode)
                return body(*inputs, **options)

        return run

    with dispatch._disable_current_modes():
        return operator(*tree_map(opened, tuple(args)), **kwargs)
