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
    plain path, which does the same arithmetic, is counted instead. Everything is restored on
    leaving, also after an exception.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with silence(), torch.no_grad():
            yield
    finally:
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
