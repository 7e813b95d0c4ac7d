"""Counts with torchinfo's ``summary``: parameters times positions, leaf by leaf.

``total`` are torchinfo's "mult-adds": for each leaf, its parameters (bias, norms and embeddings
too) times the batch, and for a class named "...Conv..." times the output positions. That is
exact for convolutions, for linear and bilinear layers on vectors, and for recurrent layers on
batched sequences: there ``dense_macs`` is torchinfo's figure minus its bias term. For the rest
(a linear layer over tokens is charged once per sample, a transposed convolution by its output,
LSTM cells by their width squared) torchinfo's figure stays in ``total`` and gives no dense MACs,
and the leaf is listed as a gap, like every function call outside a leaf, which torchinfo cannot
see. Works on the meta device.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torchinfo
from torch import nn
from torchinfo import torchinfo as library
from torchinfo.layer_info import LayerInfo

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.base import Counted, Ledger, Subject
from flopbench.counting.measure.counters.watching import MULTIPLYING, calls_watched

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)


class TorchinfoCounter:
    """Price every leaf as ``torchinfo.summary`` does."""

    convention = "mult-adds: parameters times positions, bias and norms included"
    needs_values = False

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass.

        Raises:
            MeasureError: an argument of ``forward`` has the name of an argument of ``summary``.
        """
        ledger = Ledger(subject)
        running: list[str] = []

        def note(key: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
            path, _ = ledger.stack.current
            if path not in ledger.leaves and not running:  # on meta, functions call functions
                ledger.miss(key[1])
            running.append(path)
            try:
                return function(*args, **kwargs)
            finally:
                running.pop()

        cached = dict(library._cached_forward_pass)
        try:
            with calls_watched(MULTIPLYING, note), ledger.stack.tracking():
                summary = torchinfo.summary(subject.module, **_arguments(subject))
        finally:
            library._cached_forward_pass.clear()  # else it keeps the model alive
            library._cached_forward_pass.update(cached)
        covered = {path for path, leaf in ledger.leaves.items() if isinstance(leaf, nn.Embedding)}
        for info in summary.summary_list:
            if not (info.is_leaf_layer and info.executed and info.macs):
                continue
            family, positions = _rule(info)
            bias = sum(
                p.numel()
                for name, p in info.module.named_parameters(recurse=False)
                if "bias" in name
            )
            dense = info.macs - bias * positions if positions else 0
            ledger.price(
                info.class_name,
                family,
                total=info.macs,
                dense_macs=dense,
                activations=math.prod(info.output_size) if positions else 0,
                module=info.module,
            )
            if dense or family in ("batch_norm", "norm"):
                covered.add(ledger.names[info.module])
        return ledger.counted(summary.total_mult_adds, covered=covered)


def _arguments(subject: Subject) -> dict[str, Any]:
    """Translate a subject's arguments into those of ``summary``."""
    fixed = {"verbose": 0, "mode": "eval", "cache_forward_pass": False}
    if not subject.args:
        return {**fixed, "input_data": dict(subject.kwargs)}
    clash = set(subject.kwargs) & set(inspect.signature(torchinfo.summary).parameters)
    if clash:
        raise MeasureError(
            f"torchinfo cannot pass {', '.join(sorted(clash))} on to forward: its summary() "
            "has arguments of that name",
            "leave the counter torchinfo out for this model",
        )
    return {**fixed, "input_data": list(subject.args), **subject.kwargs}


def _rule(info: LayerInfo) -> tuple[str, int]:
    """Return the family, and the positions that torchinfo multiplies by (0: a wrong count)."""
    module, size = info.module, info.output_size
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return "conv_transpose", 0
    if isinstance(module, nn.modules.conv._ConvNd):
        holds = "Conv" in info.class_name and len(size) == 2 + len(module.kernel_size)
        return "conv", math.prod(size[:1] + size[2:]) if holds else 0
    if isinstance(module, (nn.Linear, nn.Bilinear)):
        family = "linear" if isinstance(module, nn.Linear) else "bilinear"
        holds = "Conv" not in info.class_name and len(size) == 2
        return family, size[0] if holds else 0
    if isinstance(module, nn.RNNBase):
        return "recurrent", math.prod(size[:2]) if len(size) == 3 else 0
    if isinstance(module, nn.RNNCellBase):
        return "recurrent", 0
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "batch_norm", 0
    return ("norm" if isinstance(module, _NORMS) else "other"), 0
