"""The state in which counters run: silent, no gradients, attention as plain operators.

Lives here: entering and leaving that state. Does not live here: what is counted in it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def counting_state() -> Iterator[None]:
    """Silence libraries, disable gradients and the fused multi-head attention fast path.

    The fast path hides whole encoder layers behind one operator that no counter prices, so the
    plain path, which does the same arithmetic, is counted instead. One thread computes: on a
    busy machine idle threads spin for longer than the arithmetic takes. Everything is restored
    on leaving, also after an exception.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    threads = torch.get_num_threads()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_num_threads(1)
    try:
        with silence(), torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Drop what libraries print, log and warn about while they build or count a model."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def quick_shapes() -> Iterator[None]:
    """Make batch normalisation on the meta device quick.

    torch takes it apart in Python there, a dozen operators a layer, only to learn the shape of
    its input again; that is half of the time of a whole model. The kernel set here returns that
    shape at once. It serves meta tensors only and is taken out again on leaving.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")  # torch says that it overrides a kernel: that is meant
        with contextlib.suppress(Exception):  # where torch refuses, its own kernel serves, slower
            library = stack.enter_context(torch.library._scoped_library("aten", "IMPL", "Meta"))
            # Not library.impl: before allow_override it refuses where torch has a kernel in Python.
            library.m.impl("native_batch_norm", "Meta", _batch_norm_shapes, False)
        yield


def _batch_norm_shapes(
    input: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the shapes of ``aten::native_batch_norm``: output, saved mean, saved 1/deviation."""
    statistics = input.new_empty(input.shape[1])
    return torch.empty_like(input), statistics, torch.empty_like(statistics)
