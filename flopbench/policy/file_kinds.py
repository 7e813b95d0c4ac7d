"""What kind of result file a file is (cost table, timing file, policy log, …), by its content."""

from __future__ import annotations

import glob
import json
import os
import re
from pathlib import Path

from flopbench.core.errors import DataError, InputError

LOG = "policy log"
TABLE = "cost table"
PROFILES = "profiles file"
TIMINGS = "timing file"
REPLAY = "replay"
POINTS = "table of points"

MADE_BY = {
    LOG: "PolicyLogger, or your own evaluation loop",
    TABLE: "flopbench table -o table.json",
    PROFILES: "flopbench explain MODEL -o profiles.json",
    TIMINGS: "flopbench latency -o timings.json",
    REPLAY: "flopbench replay -o replay.json",
    POINTS: "flopbench compare -o points.csv",
}
"""Kind -> what makes such a file."""

PLURALS = {**{kind: f"{kind}s" for kind in MADE_BY}, POINTS: "tables of points"}
"""Kind -> its plural."""

_KINDS = {
    "flopbench.cost-table": TABLE,
    "flopbench.profiles": PROFILES,
    "flopbench.timings": TIMINGS,
    "flopbench.replay": REPLAY,
}
_OTHERS = {
    "flopbench.estimate": "an estimate, which is already a result",
    "flopbench.comparison": "a comparison, which is already a result",
    "flopbench.time-comparison": "a comparison of timings, which is already a result",
    "flopbench.overheads": "overheads, which --overheads takes",
    "flopbench.audit": "an audit, which is already a result",
}
_KIND = re.compile(rb'"kind"\s*:\s*"(flopbench\.[\w-]+)"')
_LOG_FORMAT = re.compile(rb'"format"\s*:\s*"flopbench\.policy-log"')
HEAD_BYTES = 1 << 16
POINT_COLUMNS = {"approach", "percent"}


def kind_of(path: str | Path) -> str:
    """Return the kind of a file, one of ``MADE_BY``; refuse other kinds by their name.

    Args:
        path: a file; for a policy log also a glob, or the name that its shards share.
    """
    from flopbench.policy.forms import sniff
    from flopbench.policy.forms.raw import BOM, Remote, columns_in, open_bytes, read_some
    from flopbench.policy.shards import find_files

    try:
        find_files([str(path)], complete=False)
    except InputError:
        if os.path.exists(path):
            raise
        what = "no file matches" if glob.has_magic(str(path)) else "there is no file"
        raise InputError(f"{what} {str(path)!r}", "check the name") from None
    first = find_files([str(path)])[0]
    if isinstance(first, Remote):
        sniff(first)
        return LOG
    with open_bytes(first) as stream:
        head = read_some(stream, first, HEAD_BYTES).removeprefix(BOM)
    kind = _named_kind(head)
    if kind in _KINDS:
        return _KINDS[kind]
    if kind:
        what = _OTHERS.get(kind, f"a file of kind {kind!r}")
        raise DataError(f"{path} is {what}", "give the files that it was made from")
    if set(columns_in(head)) >= POINT_COLUMNS:
        return POINTS
    if _is_old_table(first, head):
        return TABLE
    sniff(first)
    return LOG


def is_timing_file(path: str | Path) -> bool:
    """Whether a file names itself a timing file; False for one that cannot be read."""
    try:
        with open(path, "rb") as stream:
            return _KINDS.get(_named_kind(stream.read(HEAD_BYTES))) == TIMINGS
    except OSError:
        return False


def _named_kind(head: bytes) -> str:
    """Return the kind that a JSON file names; empty if none is named, and for a policy log."""
    if head.lstrip()[:1] != b"{" or _LOG_FORMAT.search(head) is not None:
        return ""
    named = _KIND.search(head)
    return "" if named is None else named.group(1).decode()


def _is_old_table(path: Path, head: bytes) -> bool:
    """Whether a file is a cost table from before tables named their kind."""
    if b'"rows"' not in head or b'"schema"' not in head:
        return False
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        return False
    return isinstance(data, dict) and "rows" in data and "samples" not in data
