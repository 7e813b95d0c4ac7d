"""Runs THOP under a rule book, and accounts for every charge.

THOP prices modules by their exact class through forward hooks, so it sees no function call, no
subclass and no module that is used without being called. It counts a module that
appears in two places twice; the breakdown says how much that is.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from flopbench.core.errors import MeasureError
from flopbench.core.units import EXACT_FLOATS
from flopbench.counting.measure.counters.base import (
    Counted,
    Ledger,
    Subject,
    has_matrix,
    out_elements,
)
from flopbench.counting.measure.counters.free_ops import is_free
from flopbench.counting.measure.counters.watching import TAKEN_APART, calls_watched, run_operator
from flopbench.counting.profile import DENSE_FAMILIES
from flopbench.models.build.environment import Name, replaced

Rule = Callable[[nn.Module, tuple[Any, ...], Any], None]
"""A THOP rule: adds its charge for one call (module, inputs, output) to ``module.total_ops``."""

RuleBook = Mapping[type[nn.Module], Rule]

DenseShare = Callable[[nn.Module, tuple[Any, ...], Any, int], int]
"""The multiply-accumulates in one charge: (module, inputs, output, charge) -> MACs."""

_FAMILIES: tuple[tuple[str, str], ...] = (
    ("ConvTranspose", "conv_transpose"),
    ("Conv", "conv"),
    ("Linear", "linear"),
    ("RNN|LSTM|GRU", "recurrent"),
    ("BatchNorm", "batch_norm"),
    ("Norm", "norm"),
    ("Pool", "pool"),
    ("Upsampl", "resample"),
    ("Softmax", "softmax"),
    ("ReLU", "activation"),
)

_NORMS_AND_TABLES = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.Embedding,
    nn.EmbeddingBag,
)


def todays_rules() -> RuleBook:
    """Return the rule book of the installed THOP."""
    return _thop().register_hooks


def count_by_rules(
    subject: Subject, rules: RuleBook, *, dense: DenseShare, leaves_only: bool = False
) -> Counted:
    """Run ``thop.profile`` under a rule book and account for each charge.

    Args:
        subject: what to count.
        rules: what to charge, by exact class; classes that only THOP's own rules name are free.
        dense: the multiply-accumulates in a charge.
        leaves_only: do not charge modules that have children.
    """
    ledger = _Ledger(subject, rules, dense, leaves_only)
    try:
        total = _profiled(subject, ledger, rules, ledger.watching())
    except MeasureError:
        raise
    except Exception as error:
        # Watching operators can be in a model's way; other failures come back from this run.
        ledger = _Ledger(subject, rules, dense, leaves_only)
        total = _profiled(subject, ledger, rules, ledger.stack.tracking())
        ledger.miss(f"operators, which cannot be watched here ({type(error).__name__})")
    return ledger.settled(_exact(total, "the total"))


def _profiled(
    subject: Subject,
    ledger: _Ledger,
    rules: RuleBook,
    watching: contextlib.AbstractContextManager[Any],
) -> float:
    """Return what ``thop.profile`` gives, and leave nothing behind in the model."""
    hooks: dict[type[nn.Module], Rule] = dict.fromkeys(todays_rules(), _charge_nothing)
    hooks |= {kind: ledger.wrap(rule) for kind, rule in rules.items()}
    # THOP passes positional arguments only.
    model = _WithKeywords(subject.module, subject.kwargs) if subject.kwargs else subject.module
    before = {module: set(module._forward_hooks) for module in model.modules()}
    try:
        with watching, replaced([(_thop(), "count_parameters")], _uncounted):
            total, _ = _thop().profile(model, inputs=subject.args, custom_ops=hooks, verbose=False)
    finally:
        for module in model.modules():  # THOP clears those of modules with a rule only
            for name in module._buffers.keys() & {"total_ops", "total_params"}:
                del module._buffers[name]
            for hook in module._forward_hooks.keys() - before.get(module, set()):
                del module._forward_hooks[hook]  # left by a forward pass that failed
    return float(total)


def family_of(module: nn.Module) -> str:
    """Name the operator family of a module, from the torch class it is or derives from."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("torch.nn"):
            matches = (family for name, family in _FAMILIES if re.search(name, kind.__name__))
            return next(matches, "other")
    return "other"


class _Ledger(Ledger):
    """Every charge of one ``thop.profile`` run, and every product that was charged nothing."""

    def __init__(
        self, subject: Subject, rules: RuleBook, dense: DenseShare, leaves_only: bool
    ) -> None:
        super().__init__(subject)
        self._dense = dense
        self._ruled = {
            module: path
            for module, path in self.names.items()
            if type(module) in rules and not (leaves_only and list(module.children()))
        }
        self._ruled_paths = frozenset(self._ruled.values())
        self._charged: dict[str, int] = {}
        self._unreadable: dict[nn.Module, str] = {}

    def wrap(self, rule: Rule) -> Rule:
        """Return the rule, made to record what it charges."""

        def charge(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            path = self._ruled.get(module)
            if path is None:
                return
            before = module.total_ops.item()
            try:
                rule(module, inputs, output)
            except (IndexError, TypeError, AttributeError):
                self._unreadable[module] = path  # most often: inputs passed by keyword
                return
            amount = _exact(module.total_ops.item() - before, f"the charge for {path!r}")
            # A module in two places has two hooks; only the first one of a call is work.
            if self._charged.get(path, 0) < self.stack.calls[path]:
                self._charged[path] = self.stack.calls[path]
                self._record(module, inputs, output, amount)

        return charge

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the calls of modules and of operators inside the ``with`` block."""
        operators = _Operators(self._note_operator)

        def note(key: Any, function: Any, args: Any, kwargs: Any) -> Any:
            self._note_operator(key[1], args)
            return function(*args, **kwargs)

        def before(module: nn.Module, _inputs: Any) -> None:
            # A leaf with a rule, most of a model's work, need not be watched.
            if module in self._ruled and next(module.children(), None) is None:
                operators.pause_during(module)

        hook = nn.modules.module.register_module_forward_pre_hook(before)
        try:
            with self.stack.tracking(), calls_watched(TAKEN_APART, note), operators:
                yield
        finally:
            hook.remove()

    def settled(self, total: int) -> Counted:
        """Return the breakdown, corrected where THOP's sum differs, and the gaps."""
        notes = [
            f"THOP's rule for {type(module).__name__} cannot read the call of {path!r} and "
            "charged nothing"
            for module, path in self._unreadable.items()
        ]
        difference = total - sum(op.total for op in self.operators)
        if difference:
            what = "counted twice" if difference > 0 else "left out of the sum"
            why = "modules that appear twice" if difference > 0 else "layers below one with a rule"
            root = next(iter(self.names))
            self.price(what, "other", total=difference, dense_macs=0, module=root, calls=0)
            notes.append(f"THOP's total differs by {difference:+,} from its charges: {why}")
        read = {path for module, path in self._ruled.items() if module not in self._unreadable}
        covered = read & self.stack.calls.keys()
        return self.counted(total, covered=covered, multiplies=self._may_multiply, notes=notes)

    def _note_operator(self, name: str, args: Sequence[Any]) -> None:
        if self.stack.current[0] not in self._ruled_paths and not is_free(name, args):
            self.miss(name)

    def _record(self, module: nn.Module, inputs: tuple[Any, ...], output: Any, amount: int) -> None:
        family = family_of(module)
        dense = family in DENSE_FAMILIES
        if not (dense or amount):
            return
        first = output[0] if family == "recurrent" and isinstance(output, tuple) else output
        first = first.data if isinstance(first, PackedSequence) else first
        self.price(
            type(module).__name__,
            family,
            total=amount,
            dense_macs=self._dense(module, inputs, output, amount) if dense else 0,
            activations=out_elements(first) if dense else 0,
            module=module,
        )

    def _may_multiply(self, module: nn.Module) -> bool:
        """Whether a leaf can hold products: a norm, a table or a vector of scales cannot."""
        if module in self._ruled:
            return family_of(module) in DENSE_FAMILIES
        return has_matrix(module) and not isinstance(module, _NORMS_AND_TABLES)


class _Operators(TorchDispatchMode):
    """Call ``note`` with the name (``aten::mm``) and arguments of each operator that runs.

    THOP's arithmetic in its hooks runs through torch too, many operators per layer, so the mode
    pauses while a module that need not be watched runs with its hooks.
    """

    supports_higher_order_operators = True

    def __init__(self, note: Callable[[str, Sequence[Any]], None]) -> None:
        super().__init__()
        self._note = note
        self._paused = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        schema = getattr(func, "_schema", None)
        self._note(schema.name if schema else str(func), args)
        return run_operator(self, func, args, kwargs or {})

    def pause_during(self, module: nn.Module) -> None:
        """Leave the stack of modes until the last forward hook of this call of ``module``."""
        if _get_current_dispatch_mode() is not self:
            return  # the model has its own mode on top

        def resume(*_call: Any) -> None:
            hook.remove()
            self._paused = False
            self.__enter__()

        # Registered within the call, so it runs after the hooks that THOP registered before.
        hook = module.register_forward_hook(resume)
        self.__exit__(None, None, None)
        self._paused = True

    def __exit__(self, *error: Any) -> None:
        """Leave the stack of modes, unless a call that raised has left the mode paused."""
        if not self._paused:
            super().__exit__(*error)


class _WithKeywords(nn.Module):
    """A model that always gets these keyword arguments."""

    def __init__(self, model: nn.Module, keywords: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self._keywords = dict(keywords)

    def forward(self, *args: Any) -> Any:
        return self.model(*args, **self._keywords)


def _uncounted(_key: Name, _given: Callable[..., Any]) -> Rule:
    """THOP counts parameters too, anew in each module for all below it."""
    return _charge_nothing


def _charge_nothing(_module: nn.Module, _inputs: tuple[Any, ...], _output: Any) -> None:
    """Replace a hook of THOP whose result is not used."""


def _exact(value: float, what: str) -> int:
    """Return a whole number that float64 held exactly.

    Raises:
        MeasureError: it is not a whole number, or is too large to be exact.
    """
    if value != int(value) or abs(value) >= EXACT_FLOATS:
        raise MeasureError(f"THOP gives {value!r} as {what}: not a whole number below 2**53")
    return int(value)


@functools.cache
def _thop() -> Any:
    """Import THOP, after setuptools: THOP needs distutils, which Python 3.12 dropped.

    Raises:
        MeasureError: it is a fork that prices other things.
    """
    with contextlib.suppress(ImportError):
        importlib.import_module("setuptools")
    # thop.profile is a function that hides the module of the same name.
    library = importlib.import_module("thop.profile")
    layer = type("Subclass", (nn.Linear,), {})(1, 1, bias=False, device="meta")
    if library.profile(layer, inputs=(torch.ones(1, 1, device="meta"),), verbose=False)[0]:
        raise MeasureError(
            "the installed module thop is a fork that prices subclasses and functions, too, so "
            "its figures are not those of THOP: install thop or ultralytics-thop<2.1"
        )
    return library
