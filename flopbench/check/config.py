"""The configuration of a check: found, read, and refused with file, line and key where it is wrong.

It is ``flopbench.toml``, which ``init/config.toml`` explains key by key, or the table
``[tool.flopbench]`` of ``pyproject.toml``.

``match`` is a glob over names of entries (``*``, ``?``, ``[ab]``; case counts). A glob
character that is part of a name is written in brackets: ``[*]``, ``[?]``, ``[[]``. For each entry
and metric the last matching budget applies as a whole: nothing is inherited from an earlier one.
Messages count from one: ``budgets[2]`` is the second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path

from flopbench.check.limits import parse_amount, parse_limit, parse_share
from flopbench.check.records import (
    BASELINE,
    EARLIER_NAMES,
    GATES,
    LATENCY_INCREASE,
    LOG_METRICS,
    METRICS,
    MODEL_METRICS,
    TIME_GATES,
    Budget,
    Config,
    Entry,
    Gate,
    Metric,
)
from flopbench.core.errors import DataError, FlopbenchError, InputError, near_match, shown_value
from flopbench.core.limits import MOST_ENTRIES
from flopbench.core.toml_lines import TomlBlock, key_lines, line_of, read_toml
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.registry import find_counter, own_counters
from flopbench.models.presets import preset_names
from flopbench.models.spec import parse_spec

OWN_FILE = "flopbench.toml"
SHARED_FILE = "pyproject.toml"
TABLE = ("tool", "flopbench")
"""Where the configuration is in ``pyproject.toml``."""

DEFAULT_COUNTER = REFERENCE

LONGEST_NAME = 200
"""Characters of an entry's name: a longer one would not fit a line of any output."""

_FILE_KEYS = ("counter", "baseline", "entries", "budgets")
_LOG_KEYS = ("preset", "rule", "components", "variants")
_ENTRY_KEYS = ("name", "model", "policy-log", *_LOG_KEYS)
_BUDGET_KEYS = ("match", "metric", "limit", "max-increase", "min-delta", "gate", "note")
_RULES = ("exact", "published")
_EXACT_GATES: tuple[Gate, ...] = ("exact", "advisory")
_AN_ENTRY = 'write one: [[entries]], and below it model = "resnet50@224", or run: flopbench init'


def find_config(given: str | Path | None = None) -> Path:
    """Find the configuration file.

    Without a given path the working folder is searched, then each folder above it up to the one
    that holds ``.git``. Outside a repository only the working folder is searched: what a
    configuration names is run, so none is taken from a folder that others may write to.

    Raises:
        InputError: there is none, or one folder holds two.
        DataError: a ``pyproject.toml`` on the way is not TOML.
    """
    if given is not None:
        path = Path(given)
        if path.is_dir():
            raise InputError(f"{given} is a folder", f"name a file in it, such as {OWN_FILE}")
        if not path.is_file():
            raise InputError(f"there is no configuration file {given}", "flopbench init writes one")
        return path
    here = Path.cwd()
    folders = [here, *here.parents]
    tops = [n for n, folder in enumerate(folders) if (folder / ".git").exists()]
    for folder in folders[: tops[0] + 1 if tops else 1]:
        found = config_in(folder)
        if found is not None:
            return found
    raise InputError(
        f"there is no {OWN_FILE} here, and no {SHARED_FILE} with [tool.flopbench]",
        "flopbench init finds models and writes one",
    )


def config_in(folder: Path) -> Path | None:
    """Return the configuration in a folder itself, None where there is none."""
    own, shared = (Path(os.path.relpath(folder / name)) for name in (OWN_FILE, SHARED_FILE))
    try:
        tool = read_toml(shared)[1].get("tool") if shared.is_file() else None
    except FlopbenchError as error:
        # A broken file is our business only where it may hold the configuration.
        broken = isinstance(error, DataError)
        if not own.is_file() and not (broken and b"flopbench" not in shared.read_bytes()):
            raise
        tool = None
    has_table = isinstance(tool, dict) and "flopbench" in tool
    if own.is_file() and has_table:
        raise InputError(
            f"{own} and [tool.flopbench] in {shared} both configure the check",
            "keep one of them, or choose one with --config",
        )
    return own if own.is_file() else shared if has_table else None


def read_config(path: str | Path) -> Config:
    """Read and check a configuration.

    Args:
        path: ``flopbench.toml`` or another file of its form, or a ``pyproject.toml``; messages use
            this path.

    Raises:
        InputError: the file cannot be read.
        DataError: it is not TOML, or something in it is wrong; names file, line and key.
    """
    path = Path(path)
    text, data = read_toml(path)
    prefix = TABLE if path.name == SHARED_FILE else ()
    lines = key_lines(text)
    for number, key in enumerate(prefix, 1):
        data = data.get(key, {})
        if not isinstance(data, dict):
            at = f"{path}:{line_of(lines, prefix[:number])}"
            raise DataError(
                f"{at}: {'.'.join(prefix[:number])} is {shown_value(data)}, not a table"
            )
    if prefix and not data:
        raise DataError(f"{path} has no table [tool.flopbench]", "flopbench init writes one")
    top = TomlBlock(file=str(path), lines=lines, keys=prefix, data=data)
    top.only(_FILE_KEYS)
    blocks, budgets = top.blocks("entries"), top.blocks("budgets")
    if not blocks:
        raise DataError(f"{path} has no entry to guard", _AN_ENTRY)
    if max(len(blocks), len(budgets)) > MOST_ENTRIES:
        raise DataError(f"{path} has more than {MOST_ENTRIES:,} entries or budgets")
    entries = tuple(map(_entry, blocks))
    _check_names(blocks, entries)
    return Config(
        path=str(path),
        root=os.path.abspath(path.parent),
        entries=entries,
        budgets=tuple(_budget(block, entries) for block in budgets),
        counter=_counter(top),
        baseline=top.text("baseline", BASELINE),
        notes=tuple(
            f"{path}:{block.line}: the metric {name!r} is now called {EARLIER_NAMES[name]!r}: "
            "use that name"
            for block in budgets
            if (name := block.data["metric"]) in EARLIER_NAMES
        ),
    )


def budget_for(config: Config, entry: Entry, metric: Metric) -> Budget:
    """Return an entry's budget for a metric: the last that matches, or the default.

    Call it for a latency only where ``latency_budget`` returns one: by default it is not measured.
    """
    for budget in reversed(config.budgets):
        if budget.metric == metric and fnmatchcase(entry.name, budget.match):
            return budget
    return _default_budget(metric)


def latency_budget(config: Config, entry: Entry) -> Budget | None:
    """Return the budget of an entry's latency, None where no budget asks to measure it."""
    if not entry.model:
        return None
    found = budget_for(config, entry, "latency")
    return found if found in config.budgets else None


def unmatched_budgets(config: Config) -> tuple[str, ...]:
    """Return the budgets without effect, as ``flopbench.toml:14: resnet* params``.

    A budget has no effect where its glob matches no entry with the metric, or where later budgets
    override it for each of them.
    """
    obeyed = {
        id(budget_for(config, entry, metric))
        for entry in config.entries
        for metric in _metrics(entry)
    }
    return tuple(
        f"{config.path}:{budget.line}: {budget.match} {budget.metric}"
        for budget in config.budgets
        if id(budget) not in obeyed
    )


def _entry(block: TomlBlock) -> Entry:
    block.only(_ENTRY_KEYS)
    model, log = block.text("model"), block.text("policy-log")
    if model and log:
        raise block.fault(None, "has both model and policy-log", "make two entries of it")
    if not model and not log:
        raise block.fault(None, "has neither model nor policy-log", "give it one of them")
    for key in _LOG_KEYS:
        if model and key in block.data:
            raise block.fault(key, "does not go with a model", "it belongs to a policy-log")
    if model:
        _check_model(block, model)
    preset = block.text("preset")
    if preset and not preset.endswith(".toml") and preset not in preset_names():
        hint = near_match(preset, preset_names(), "presets")
        raise block.fault("preset", f"is {preset!r}, which is not a preset", hint)
    name = block.text("name", model or log)
    if len(name) > LONGEST_NAME:
        key = "name" if "name" in block.data else "model" if model else "policy-log"
        what = f"makes a name of {len(name)} characters; at most {LONGEST_NAME} are allowed"
        raise block.fault(key, what, "give the entry a short name")
    return Entry(
        name=name,
        model=model,
        policy_log=log,
        preset=preset,
        rule=block.choice("rule", _RULES, ""),
        components=block.texts("components"),
        variants=block.texts("variants"),
        line=block.line,
    )


def _check_model(block: TomlBlock, model: str) -> None:
    try:
        spec = parse_spec(model)
    except InputError as error:
        raise block.fault("model", f"is invalid: {error.message}", error.hint) from None
    if spec.source == "value":
        what = f"is {shown_value(model)}, a constant: its cost cannot change"
        raise block.fault("model", what, "guard the model itself")


def _check_names(blocks: Sequence[TomlBlock], entries: Sequence[Entry]) -> None:
    names = [entry.name for entry in entries]
    for number, (block, name) in enumerate(zip(blocks, names, strict=True)):
        first = names.index(name)
        if first < number:
            key = "name" if "name" in block.data else None
            at = f"entries[{first + 1}] in line {entries[first].line}"
            what = f"has the name {name!r}, which {at} has too"
            raise block.fault(key, what, "give each entry a different name")


def _counter(top: TomlBlock) -> str:
    """Return the counter's name; its library only needs to be installed for counting."""
    name = top.text("counter", DEFAULT_COUNTER)
    if name not in {info.name for info in own_counters()}:
        try:
            find_counter(name)
        except InputError as error:
            raise top.fault("counter", f"is {name!r}: {error.message}", error.hint) from None
    return name


def _budget(block: TomlBlock, entries: Sequence[Entry]) -> Budget:
    block.only(_BUDGET_KEYS)
    if "metric" not in block.data:
        hint = f"add one of metric = {', '.join(repr(name) for name in METRICS)}"
        raise block.fault(None, "has no metric", hint)
    metric = EARLIER_NAMES.get(block.text("metric")) or block.choice("metric", METRICS, METRICS[0])
    default = _default_budget(metric)
    gate = block.choice("gate", GATES, default.gate)
    fitting = TIME_GATES if metric == "latency" else _EXACT_GATES
    if gate not in fitting:
        hint = f"gates of {metric}: {', '.join(fitting)}"
        raise block.fault("gate", f"is {gate!r}, which does not go with {metric}", hint)
    if gate == "paired" and "limit" in block.data:
        raise block.fault(
            "limit",
            "does not go with gate 'paired', which compares two revisions on any machine",
            "limit a latency with gate = 'same-machine'",
        )
    match = block.text("match", default.match)
    for entry in entries:
        if entry.name == match and metric not in _metrics(entry):
            kind = "model" if entry.model else "policy log"
            hint = f"metrics of a {kind}: {', '.join(_metrics(entry))}"
            raise block.fault("metric", f"is {metric!r}, which {match!r}, a {kind}, lacks", hint)
    limit = _quantity(block, "limit", lambda text: parse_limit(text, metric), f"of {metric}")
    delta = _quantity(block, "min-delta", lambda text: parse_amount(text, metric), f"of {metric}")
    share = _quantity(block, "max-increase", parse_share, "is wrong")
    return Budget(
        match=match,
        metric=metric,
        limit=limit,
        limit_text=block.text("limit"),
        max_increase=default.max_increase if share is None else share,
        min_delta=delta or Fraction(0),
        gate=gate,
        note=_note(block),
        line=block.line,
    )


def _quantity(
    block: TomlBlock, key: str, read: Callable[[str], Fraction], label: str
) -> Fraction | None:
    """Return a quantity, None where it is missing; a bare number is refused: it has no unit."""
    value = block.data.get(key)
    if value is None:
        return None
    if type(value) in {int, float}:
        example = '"2%"' if key == "max-increase" else '"4.2 GMACs" or "3 ms"'
        what = f"is {shown_value(value)}, a number without a unit"
        raise block.fault(key, what, f"write it in quotes with its unit, such as {example}")
    try:
        return read(block.text(key))
    except InputError as error:
        raise block.fault(key, f"{label}: {error.message}", error.hint) from None


def _note(block: TomlBlock) -> str:
    """Return the note as one line; it may be written in several."""
    value = block.data.get("note", "")
    text = " ".join(value.split()) if isinstance(value, str) else None
    if text is None or not text.isprintable():
        raise block.fault("note", f"is {shown_value(value)} where text in quotes was expected")
    return text


def _default_budget(metric: Metric) -> Budget:
    if metric == "latency":
        return Budget(metric=metric, gate="same-machine", max_increase=LATENCY_INCREASE)
    return Budget(metric=metric)


def _metrics(entry: Entry) -> tuple[Metric, ...]:
    """Return the metrics that an entry can have, including latency."""
    return (*MODEL_METRICS, "latency") if entry.model else LOG_METRICS
