"""The child's side of ``workers``: run one job and write its answer to a file.

Started with ``package.module:function ANSWER_FILE``, the job and the parent's import path as JSON
on stdin. An error that the user can fix is part of the answer; our own faults keep their traceback.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from flopbench.core import errors
from flopbench.core.errors import FlopbenchError
from flopbench.core.workers import POLL_S, TOLD, end_with_parent

_told: Path | None = None
"""Where to say how far the job is; None outside a worker."""


_told_at = 0.0


def tell(done: int, total: int, what: str = "") -> None:
    """Tell the parent how far the job is, as ``workers.Progress``; not oftener than it looks."""
    global _told_at
    if _told is not None and time.monotonic() - _told_at > POLL_S:
        _told_at = time.monotonic()
        whole = _told.with_name(f"{_told.name}.new")  # the parent never reads half of it
        whole.write_text(json.dumps([done, total, what]), encoding="utf-8")
        os.replace(whole, _told)


def main() -> None:
    """Run the job that the parent sent."""
    global _told
    end_with_parent()  # one that has ended before has sent no job
    target, answer = sys.argv[1:]
    _told = Path(answer).with_suffix(TOLD)
    sent = json.loads(sys.stdin.read())
    sys.path += [path for path in sent["path"] if path not in sys.path]
    module, _, function = target.partition(":")
    result: dict[str, Any]
    try:
        result = {"value": getattr(import_module(module), function)(sent["job"])}
    except FlopbenchError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__)]
        result = {"error": {"kind": kinds[0], "message": error.message, "hint": error.hint}}
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "torchvision"}:
            raise
        result = {
            "error": {
                "kind": "InputError",
                "message": f"measuring needs {error.name}, which is not installed",
                "hint": "python -m pip install 'flopbench[measure]'",
            }
        }
    Path(answer).write_text(json.dumps(result), encoding="utf-8")
