"""Budgets of tests: costs, verdicts, and the baseline of the tests.

The baseline is ``.flopbench/pytest.json`` below pytest's root folder, in the same form as that of
``flopbench check``; an entry's name is the node id of its test. Only a test that limits its growth
(``max_increase``) has one.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from msgspec import Struct

from flopbench.check.accepting import accept
from flopbench.check.baseline.file import load_baseline, parse_baseline, render_baseline
from flopbench.check.judging import Against, judge_entries
from flopbench.check.pytest.marks import Asked
from flopbench.check.records import Baseline, Config, Entry, Kept, ModelCost
from flopbench.check.report import EntryResult
from flopbench.core.errors import DataError, FlopbenchError, InputError
from flopbench.core.files import check_writable, locked, write_atomic
from flopbench.core.units import number_of
from flopbench.models.spec import ModelSpec

PLACE = ".flopbench/pytest.json"
"""The baseline, below pytest's root folder."""
LISTED = 5
"""At most this many tests are named; the others are counted."""


class Ledger(Struct):
    """What a session reports and records.

    Attributes:
        counted: test -> its cost, to be recorded.
        unrecorded: tests that limit growth but have no baseline.
        cheaper: tests that cost less than their baseline.
        rooms: a headroom bar for each limit.
        models: test or model -> its dense MACs and parameters, of all that were counted.
    """

    counted: dict[str, ModelCost] = {}
    unrecorded: list[str] = []
    cheaper: list[str] = []
    rooms: list[str] = []
    models: dict[str, tuple[Fraction, Fraction]] = {}

    def saw(self, name: str, cost: ModelCost) -> None:
        """Take a count into the summary."""
        self.models[name] = Fraction(cost.dense_macs), Fraction(cost.params)

    def note(self, asked: Asked, cost: ModelCost, result: EntryResult, *, update: bool) -> None:
        """Record a test that passed."""
        from flopbench.check.text.amounts import head_room_bar

        if asked.guarded and update:
            self.counted[asked.name] = cost
        elif asked.guarded and result.state == "new":
            self.unrecorded.append(asked.name)
        elif asked.guarded and result.state == "better":
            self.cheaper.append(asked.name)
        bars = [(one.metric, head_room_bar(one)) for one in result.metrics]
        self.rooms += [f"{asked.name} {metric} {bar}" for metric, bar in bars if bar]

    def to_text(self) -> str:
        """Return the ledger as text, for another process."""
        kept = {name: Kept(cost=cost) for name, cost in self.counted.items()}
        counted = render_baseline(Baseline(entries=kept))
        models = {name: list(map(int, own)) for name, own in self.models.items()}
        return json.dumps([counted, self.unrecorded, self.cheaper, self.rooms, models])

    def add(self, text: str) -> None:
        """Add what another process wrote with ``to_text``."""
        counted, unrecorded, cheaper, rooms, models = json.loads(text)
        for name, kept in parse_baseline(counted, "a worker").entries.items():
            assert isinstance(kept.cost, ModelCost)
            self.counted[name] = kept.cost
        self.unrecorded += unrecorded
        self.cheaper += cheaper
        self.rooms += rooms
        for name, (macs, params) in models.items():
            self.models[name] = Fraction(macs), Fraction(params)

    def lines(self, *, verbose: bool) -> list[str]:
        """Return the lines for the end of the session; the same for any order of tests."""
        lines = [self._summary()] if self.models else []
        if self.unrecorded:
            what = "has" if len(self.unrecorded) == 1 else "have"
            lines.append(
                f"{_listed(self.unrecorded)} {what} no baseline in {PLACE} yet, so growth is not "
                "guarded: pytest --flopbench-update records one"
            )
        if self.cheaper:
            lines.append(f"cheaper: {_listed(self.cheaper)}; pytest --flopbench-update locks it in")
        return lines + (sorted(self.rooms) if verbose else [])

    def _summary(self) -> str:
        """Return one line of all models, the most expensive first."""
        from flopbench.check.text.amounts import amount

        ordered = sorted(self.models.items(), key=lambda item: (-item[1][0], item[0]))
        texts = [
            f"{name} {amount('dense_macs', macs)}, {amount('params', params)}"
            for name, (macs, params) in ordered[:LISTED]
        ]
        more = len(ordered) - LISTED
        texts += [f"and {more} more"] if more > 0 else []
        return f"{number_of(len(ordered), 'model')}: {'; '.join(texts)}"


def count(model: Any, input: Any = None, counter: str = "torch") -> ModelCost:
    """Count a module, one with its inputs or a specification, as ``flopbench check`` does.

    Raises:
        InputError: not a model, no input, or the model does not run on it.
        MeasureError: the counter could not count this model.
    """
    from flopbench.check.entry_costs import model_cost
    from flopbench.counting.api import profile

    kwargs: Any = None
    if isinstance(model, tuple) and 2 <= len(model) <= 3:
        if input is not None:
            raise InputError(
                "the model comes with inputs, so input= cannot apply", "leave out one of them"
            )
        model, input, kwargs = (*model, None)[:3]
    return model_cost(profile(model, input, counters=counter, kwargs=kwargs))


def measured(asked: Asked, returned: Any) -> ModelCost | str:
    """Count what a test returned; returns the reason as text where it cannot be counted."""
    try:
        _check_returned(returned)
        return count(returned, asked.input, asked.counter)
    except FlopbenchError as error:
        return error.line


def verdict(asked: Asked, cost: ModelCost | str, baseline: Baseline | None) -> EntryResult:
    """Compare a test's model with its limits and, where growth matters, with its baseline."""
    kept = baseline.entries.get(asked.name) if baseline is not None else None
    what = cost.spec if isinstance(cost, ModelCost) else ""
    config = Config(
        path=asked.file,
        root=".",
        entries=(Entry(name=asked.name, model=what, line=asked.line),),
        budgets=asked.budgets,
        counter=asked.counter,
    )
    alone = Baseline(entries={asked.name: kept} if kept is not None else {}, source=PLACE)
    return judge_entries(config, Against(baseline=alone), {asked.name: cost}).entries[0]


def explanation(asked: Asked, result: EntryResult) -> str:
    """Return why a test fails: limit, actual cost, excess, cause, modules, what to do."""
    from flopbench.check.text.blocks import explain_entry, status_phrase

    command = f"pytest {shlex.quote(asked.name)} --flopbench-update"
    _, *rest = explain_entry(result, asked.file, accept_command=command)
    # pytest names the test above this, and its summary has little room.
    return "\n".join([f"the model {status_phrase(result)}", *rest])


def read_recorded(root: Path) -> Baseline | None:
    """Read the baseline of the tests below pytest's root folder; None where there is none yet."""
    try:
        return load_baseline(Path(os.path.relpath(root / PLACE)))
    except DataError as error:
        raise DataError(
            error.message,
            "restore the file with git, or delete it and run pytest --flopbench-update",
        ) from None


def record(root: Path, ledger: Ledger, reason: str) -> list[str]:
    """Write the counted costs into the baseline of the tests; return lines on what changed."""
    from flopbench.check.text.blocks import describe_moves

    names = sorted(ledger.counted)
    if not names:
        return ["nothing to record: no test that passed limits its growth (max_increase)"]
    path = Path(os.path.relpath(root / PLACE))
    with locked(path.parent):
        moved, moves = accept(read_recorded(root), ledger.counted, names, reason)
        if any(move.acceptance for move in moves):
            try:
                path.parent.mkdir(exist_ok=True)
            except OSError as error:
                why = f"cannot make the folder {path.parent}: {error.strerror}"
                raise InputError(why) from None
            check_writable(path)
            write_atomic(path, render_baseline(moved))
    lines = describe_moves(moves, PLACE)
    rest = len(moved.entries) - len(names)
    if rest:
        what = "1 entry of a test" if rest == 1 else f"{rest} entries of tests"
        lines.append(f"{what} that did not run or did not pass: kept as before")
    return lines


def _check_returned(returned: Any) -> None:
    """Refuse what is not a model, without importing torch for it."""
    comes_with_inputs = isinstance(returned, tuple) and 2 <= len(returned) <= 3
    model = returned[0] if comes_with_inputs else returned
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return
    if isinstance(returned, (str, ModelSpec)):
        return
    raise InputError(
        f"the test returned {'None' if returned is None else type(returned).__name__}",
        "return a torch.nn.Module, (module, inputs), (module, args, kwargs), or a model "
        "specification as text",
    )


def _listed(names: Sequence[str]) -> str:
    """Name some tests, and count the rest."""
    shown = ", ".join(sorted(names)[:LISTED])
    more = len(names) - LISTED
    return f"{shown} and {more} more" if more > 0 else shown
