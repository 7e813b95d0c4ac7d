"""Reads shares of actions or of exits: usage tables and AR-Net's console output.

A usage table is CSV with the columns ``action`` (or ``exit``) and ``share`` (``0.31`` or ``31 %``),
a published distribution as papers print it; with several streams also ``stream``, and the shares of
each are of the whole. The shares of exits are of videos. AR-Net's test script
prints a block of lines such as ``r0(resnet50 224)     :   1234 (12.34%)``, ``m0(mobilenet_v2 84)``,
``s2 (skip 4 frames)``, and the estimate ``GFLOPS: 2.090000``; rows are counted per frame.
"""

from __future__ import annotations

import csv
import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path

from flopbench.core.errors import DataError, InputError
from flopbench.core.limits import MOST_DIGITS
from flopbench.core.remarks import Remark
from flopbench.policy.counts import ShareCounts, Source
from flopbench.policy.forms.base import header_beside
from flopbench.policy.forms.raw import BOM, not_text, open_bytes, read_some, separator_in
from flopbench.policy.plan import Plan, find_name, plan_of_sums, stream_named

CANNOT = (
    "a table of shares has no runs and no videos: no exact rule, no interval, no classes, no "
    "difficulty"
)
CANNOT_OF_EXITS = "a table of shares has no videos: no interval, no classes, no difficulty"
NEAR_ONE = (Fraction(1, 2), Fraction(3, 2))
"""Shares whose sum lies outside are not shares of one whole."""

_LINE = re.compile(
    r"^\s*(?P<kind>[rms])\d+\s*\((?P<what>[^)]*)\)\s*:\s*(?P<rows>[0-9]{1,18})\s*\(\s*[\d.]+\s*%\s*\)\s*$"
)
_ESTIMATE = re.compile(r"^\s*GFLOPS:\s*(?P<gflops>[\d.]+)")
_SKIP = re.compile(r"skip\s+([0-9]{1,9})(?![0-9])")


def read_usage(
    path: Path, form: str, *, preset: str | None, of: str = "frames", normalize: bool = False
) -> ShareCounts:
    """Read shares of actions.

    Args:
        path: the file.
        form: ``usage`` or ``arnet-console``.
        preset: what the actions mean; a usage table may have a header file instead.
        of: whether the shares are of ``frames`` or of ``decisions``.
        normalize: divide shares by their sum.
    """
    header = header_beside(path) if form == "usage" else None
    plan = plan_of_sums(path, header, preset, "shares", exits=form == "usage")
    if form == "arnet-console" and plan.streams != ("",):
        raise InputError(f"{path}: AR-Net's output needs a preset with actions of one stream")
    with open_bytes(path) as stream:
        data = read_some(stream, path).removeprefix(BOM)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise not_text(path) from None
    warnings = [CANNOT if plan.actions else CANNOT_OF_EXITS]
    rows: int | None = None
    if form == "arnet-console":
        counted = _console(path, lines, plan, warnings)
        of, rows = "frames", sum(counted)
        shares = [Fraction(n, rows) for n in counted]
    else:
        shares, decimals = _table(path, lines, plan)
        for name in plan.streams if plan.actions else ("",):
            first = plan.base[name]
            own = shares[first : first + plan.size(name)] if plan.actions else shares
            total = sum(own, Fraction(0))
            if total != 1:
                warnings.append(_judge_sum(path, name, total, decimals, len(own), normalize))
                if normalize:
                    shares[first : first + len(own)] = [share / total for share in own]
    return ShareCounts(
        plan=plan,
        shares=tuple(shares),
        of=of,
        rows=rows,
        warnings=tuple(map(Remark, warnings)),
        source=Source(str(path)),
    )


def _table(path: Path, lines: list[str], plan: Plan) -> tuple[list[Fraction], int]:
    """Return the share of every action or exit, and the fewest decimals of any share."""
    kind = "action" if plan.actions else "exit"
    exits = {exit.name: n for n, exit in enumerate(plan.exits)}
    reader = csv.reader(lines, strict=True, delimiter=separator_in(lines[0] if lines else ""))
    found: dict[int, Fraction] = {}
    decimals: list[int] = []
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        column = kind if kind in names else "action"
        for name in (column, "share"):
            if names.count(name) != 1:
                raise DataError(f"{path}:1: expected exactly one column {name!r}")
        at = names.index(column), names.index("share")
        of_stream = names.index("stream") if "stream" in names else None
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            where = f"{path}:{reader.line_num}"
            if len(row) != len(names):
                raise DataError(f"{where}: {len(row)} fields where {len(names)} were expected")
            action = row[at[0]].strip()
            cell = "" if of_stream is None else row[of_stream].strip()
            known = plan.indices[stream_named(plan, cell, where)] if plan.actions else exits
            index = find_name(action, known, f"{where}: {kind}", kind)
            if index in found:
                raise DataError(f"{where}: {kind}: {action!r} appears twice")
            found[index], digits = _share(row[at[1]].strip(), f"{where}: share")
            decimals.append(digits)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num} is not CSV: {error}") from None
    if not found:
        raise DataError(f"{path} has no shares below its header")
    return [found.get(i, Fraction(0)) for i in range(len(plan.actions or exits))], min(decimals)


def _share(cell: str, where: str) -> tuple[Fraction, int]:
    number = cell.removesuffix("%").strip()
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise DataError(f"{where}: is {cell!r} where a share such as 0.31 was expected") from None
    if not value.is_finite() or value < 0:
        raise DataError(f"{where}: is {cell!r} where a share of 0 or more was expected")
    digits = max(0, -int(value.as_tuple().exponent))
    if digits > MOST_DIGITS or value.adjusted() > MOST_DIGITS:
        raise DataError(f"{where}: is {cell[:40]!r} where a share such as 0.31 was expected")
    if cell.endswith("%"):
        return Fraction(value) / 100, digits + 2
    return Fraction(value), digits


def _judge_sum(
    path: Path, stream: str, total: Fraction, decimals: int, count: int, normalize: bool
) -> str:
    what = f"the shares of {stream}" if stream else "the shares"
    if not NEAR_ONE[0] <= total <= NEAR_ONE[1]:
        raise DataError(
            f"{path}: share: {what} sum to {float(total):g}, not to 1",
            "write percentages with a % sign" if total > NEAR_ONE[1] else "a line is missing",
        )
    reach = Fraction(1, 2) * Fraction(1, 10**decimals) * count
    why = "rounding explains it" if abs(total - 1) <= reach else "more than rounding explains"
    done = "normalised" if normalize else "taken as they are; --normalize divides by the sum"
    return f"{path}: {what} sum to {float(total):.6g}, not to 1 ({why}); {done}"


def _console(path: Path, lines: list[str], plan: Plan, warnings: list[str]) -> list[int]:
    """Return the rows under each action in the last usage block."""
    blocks: list[list[tuple[int, re.Match[str]]]] = []
    printed = ""
    for number, line in enumerate(lines, 1):
        match, estimate = _LINE.match(line), _ESTIMATE.match(line)
        if match is not None:
            if not blocks or blocks[-1][-1][0] != number - 1:
                blocks.append([])
                printed = ""
            blocks[-1].append((number, match))
        elif estimate is not None and blocks:
            printed = estimate["gflops"]
    if not blocks:
        raise DataError(
            f"{path} has no readable usage block",
            "expected lines such as: r0(resnet50 224)     :   1234 (12.34%)",
        )
    rows = [0] * len(plan.actions)
    for number, match in blocks[-1]:
        rows[_console_action(match, plan, f"{path}:{number}")] += int(match["rows"])
    if not sum(rows):
        raise DataError(f"{path}:{blocks[-1][0][0]}: the usage block counts no rows")
    if len(blocks) > 1:
        warnings.append(f"{path}: {len(blocks)} usage blocks; the last one was read")
    if printed:
        warnings.append(f"{path}: the run itself printed GFLOPS: {printed} per frame")
    return rows


def _console_action(line: re.Match[str], plan: Plan, where: str) -> int:
    """Find the action of a line such as ``r0(resnet50 224)``."""
    text = line["what"].strip()
    if line["kind"] == "s":
        match = _SKIP.search(text)
        span = int(match[1]) if match else 0
        for i, action in enumerate(plan.actions):
            if action.kind == "skip" and action.span == span:
                return i
        raise DataError(f"{where}: no action of the preset skips {span} steps")
    name = "@".join(text.split()).replace("-", "_")
    return plan.find_action(name, "", f"{where}: ({text})")
