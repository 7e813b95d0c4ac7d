"""The header of a policy log: what the decisions mean and which components they run.

File format: an object with ``format: "flopbench.policy-log"``, ``version: 1`` and the fields of
``Header``; ``shorthand`` has the short ways to write them. A missing field is taken from the preset
that the header names, then from its default. Version history: 1, the first.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from flopbench.core.errors import DataError, InputError, cut, near_match, shown_value
from flopbench.core.limits import LARGEST_AMOUNT, MOST_ACTIONS, MOST_STEPS
from flopbench.core.records import Record, decode
from flopbench.core.units import ANY_WORDS, VIDEOS, Words
from flopbench.counting.cost_row import CostRow
from flopbench.models.presets import load_preset, preset_beside, preset_names
from flopbench.policy.shorthand import written_out

FORMAT = "flopbench.policy-log"
VERSION = 1

Number = int | float
Costs = dict[str, Number]
Kind = Literal["run", "reuse", "skip", "exit"]
Encoding = Literal["per_step", "per_decision"]
STEPS_OF_VIDEOS = ("frame", "segment", "clip", "snippet")
LONGEST_UNIT = 30
"""Characters of a noun: it stands in the headings of columns."""


class Action(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One choice of the policy.

    Attributes:
        costs: component -> how often it runs for one such decision.
        span: steps that one decision covers; "skip 4" has span 4.
        predicts: whether the step contributes a prediction; None means yes, unless it is a skip.
    """

    name: str
    kind: Kind = "run"
    costs: Costs = msgspec.field(default_factory=dict)
    span: int = 1
    predicts: bool | None = None
    stream: str | None = None


class Exit(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A point where a sample may leave the network; its costs are cumulative.

    Attributes:
        steps: how many steps are processed up to here; None where it is not known.
    """

    name: str
    costs: Costs = msgspec.field(default_factory=dict)
    steps: int | None = None


class Charges(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What is charged besides the actions: component -> how often, for each of these."""

    per_decision: Costs = msgspec.field(default_factory=dict)
    per_step: Costs = msgspec.field(default_factory=dict)
    per_view: Costs = msgspec.field(default_factory=dict)
    per_sample: Costs = msgspec.field(default_factory=dict)


class Component(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A component with more than one way to charge it.

    Attributes:
        variants: name -> specification (``lstm:1280x512``, ``value:3276800 "source"``).
        role: its label in tables: backbone, policy, lstm.
    """

    variants: dict[str, str]
    default: str
    role: str = ""


class CountedRow(CostRow, frozen=True, kw_only=True, omit_defaults=True):
    """What one run of a component costs under one counter, counted when the log was written."""


class Shard(Record, frozen=True, kw_only=True):
    """Which part of a log a file is: ``rank`` of ``of``, from 0."""

    rank: int
    of: int


class Header(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a log describes; see docs/policy-log.md for each field.

    Attributes:
        sample_unit: what a sample is called, in the singular; see ``words``.
        step_unit: what a step is called.
        steps: decision points of every sample, or ``"varies"``; None means that the first
            sample sets the number.
        encoding: ``per_step`` (a decision over k steps is written k times) or ``per_decision``.
    """

    format: str = FORMAT
    version: int = VERSION
    method: str | None = None
    dataset: str | None = None
    split: str | None = None
    seed: int | None = None
    preset: str | None = None
    sample_unit: str | None = None
    step_unit: str | None = None
    encoding: Encoding | None = None
    steps: int | Literal["varies"] | None = None
    streams: list[str] | None = None
    actions: list[Action] | None = None
    exits: list[Exit] | None = None
    charges: Charges | None = None
    components: dict[str, str | Component | list[CountedRow]] | None = None
    class_names: list[str] | None = None
    metrics: dict[str, Number | str] | None = None
    environment: dict[str, str] | None = None
    shard: Shard | None = None

    @property
    def data(self) -> str:
        """The dataset and its split, as far as they are named."""
        return " ".join(part for part in (self.dataset, self.split) if part)

    @property
    def words(self) -> Words:
        """What text calls a sample and a step: a video of frames where the log does not say."""
        if self.sample_unit is None and self.step_unit in {None, *STEPS_OF_VIDEOS}:
            return Words(step=self.step_unit or VIDEOS.step)
        return Words(
            sample=self.sample_unit or ANY_WORDS.sample, step=self.step_unit or ANY_WORDS.step
        )


def header_json(header: Header) -> bytes:
    """Return a header as JSON, always with format and version."""
    data = {"format": header.format, "version": header.version, **msgspec.to_builtins(header)}
    return msgspec.json.encode(data)


def read_header(data: Any, where: str, file: Path | None = None) -> Header:
    """Turn the plain values of a header into a ``Header``; an error names the field.

    A header of a ``file`` names presets of flopbench, or in the folder of that file.
    """
    if not isinstance(data, dict):
        names = {list: "a list", str: "text", int: "a number", float: "a number"}
        kind = "null" if data is None else names.get(type(data), type(data).__name__)
        raise DataError(f"{where}: the header is {kind} where an object was expected")
    format = data.get("format", FORMAT)
    if format != FORMAT:
        raise DataError(
            f"{where}: 'format' is {format!r} where {FORMAT!r} was expected",
            "this is not a policy log, or its first line is not the header",
        )
    version = data.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise DataError(f"{where}: 'version' is {version!r} where {VERSION} was expected")
    if version > VERSION:
        raise DataError(
            f"{where} has version {version}; this flopbench reads up to {VERSION}",
            "upgrade flopbench, or write the log again with this version",
        )

    own, preset = data.get("components") or {}, data.get("preset")
    if file is not None and isinstance(preset, str):
        preset = preset_beside(preset, file, f"{where}: header: preset")
        data = {**data, "preset": preset}

    @cache
    def components() -> dict[str, None]:
        known = preset_header(preset, where).components if isinstance(preset, str) else None
        return dict.fromkeys([*(known or {}), *own])

    known = isinstance(own, dict)
    full = written_out(data, components, where) if known else {"components": own}
    return decode(full, Header, f"{where}: header")


def with_preset(header: Header | None, preset: str | None, where: str) -> Header:
    """Return a header that names the preset asked for; refuse one that names another."""
    if header is None:
        if preset is None:
            raise DataError(
                f"{where} has no header, so the meaning of its actions is unknown",
                "say what they are: --preset arnet-resnet, another preset, or a .toml file",
            )
        return Header(preset=preset)
    if preset is None or preset == header.preset:
        return header
    if header.preset is not None:
        raise InputError(f"{where} names the preset {header.preset!r}, but --preset is {preset!r}")
    return msgspec.structs.replace(header, preset=preset)


def differing(one: Header, other: Header) -> list[str]:
    """List the fields in which two headers of one run differ, and may not."""
    names = [name for name in Header.__struct_fields__ if name != "environment"]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def resolve(header: Header, where: str) -> Header:
    """Fill what a header leaves out from its preset, and check that it makes sense.

    Raises:
        InputError: there is no such preset, or it describes no policy.
        DataError: a field contradicts another one; the message names both.
    """
    if header.preset is not None:
        preset = preset_header(header.preset, where)
        names = [name for name in Header.__struct_fields__ if getattr(header, name) is None]
        changes = {name: getattr(preset, name) for name in names}
        if header.components is not None and preset.components is not None:
            changes["components"] = {**preset.components, **header.components}
        header = msgspec.structs.replace(header, **changes)
    if header.encoding is None:
        header = msgspec.structs.replace(header, encoding="per_step")
    _check(header, where)
    return header


def without_preset_file(header: Header, resolved: Header) -> Header:
    """Return a header to write: what the user's own preset says is written out."""
    if header.preset is None or not header.preset.endswith(".toml"):
        return header
    return msgspec.structs.replace(resolved, preset=None)


def preset_header(name: str, where: str = "") -> Header:
    """Return what a preset says about decisions; refuse one that describes no policy."""
    place = f"{where}: " if where else ""
    try:
        preset = load_preset(name)
    except InputError as error:
        raise InputError(f"{place}{error.message}", error.hint) from None
    if preset.policy is None:
        own = [name for name in preset_names() if load_preset(name).policy is not None]
        raise InputError(
            f"{place}the preset {name!r} describes no policy",
            f"presets with one: {', '.join(own)}",
        )
    if "preset" in preset.policy:
        raise DataError(f"{place}preset {name}: its [policy] names a preset", "write it out")
    header = read_header(dict(preset.policy), f"preset {name}")
    _check(header, f"preset {name}")
    return msgspec.structs.replace(header, preset=name)


def _check(header: Header, where: str) -> None:
    """Refuse a header that contradicts itself."""
    where = f"{where}: header:"
    _check_storable(header, where)
    for field in ("streams", "actions", "exits", "components"):
        if len(getattr(header, field) or ()) > MOST_ACTIONS:
            raise DataError(f"{where} {field!r} has more than {MOST_ACTIONS:,} items")
    if isinstance(header.steps, int) and not 1 <= header.steps <= MOST_STEPS:
        raise DataError(f"{where} 'steps' is {header.steps} where 1 to {MOST_STEPS} was expected")
    for field in ("sample_unit", "step_unit"):
        unit = getattr(header, field)
        if unit is not None and not (
            unit.strip() and unit.isprintable() and len(unit) <= LONGEST_UNIT
        ):
            raise DataError(
                f"{where} {field!r} is {cut(repr(unit))} where a noun such as 'image' was expected"
            )
    streams = header.streams
    if streams is not None and (len(set(streams)) < len(streams) or not streams):
        raise DataError(f"{where} 'streams' is empty or names a stream twice")
    _check_actions(header, where)
    _check_costs(header, where)
    for name, component in (header.components or {}).items():
        if isinstance(component, list) and not component:
            raise DataError(f"{where} component {name!r} is an empty list: no counter's figure")
        if isinstance(component, Component) and component.default not in component.variants:
            raise DataError(
                f"{where} component {name!r} has default {component.default!r}, which is "
                f"not one of its variants {', '.join(component.variants)}"
            )


def _check_storable(header: Header, where: str) -> None:
    """Refuse what no file could hold: unpaired surrogates, and metrics that are not finite."""
    try:
        msgspec.json.encode(header)
    except UnicodeEncodeError:
        raise DataError(
            f"{where} a text contains an unpaired surrogate, which UTF-8 cannot store"
        ) from None
    for name, value in (header.metrics or {}).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"{where} metrics.{name} is {value}, not a finite number")


def _check_actions(header: Header, where: str) -> None:
    actions, streams = header.actions or [], header.streams
    _check_unique([(action.stream, action.name) for action in actions], f"{where} actions")
    _check_exits(header, where)
    for number, action in enumerate(actions):
        place = f"{where} actions[{number}]"
        if not 1 <= action.span <= MOST_STEPS:
            raise DataError(
                f"{place} ({action.name!r}) has span {action.span} where 1 to {MOST_STEPS} was "
                "expected"
            )
        if streams is None and action.stream is not None:
            raise DataError(f"{place} names a stream, but 'streams' is missing")
        if streams is not None and action.stream not in streams:
            raise DataError(
                f"{place} ({action.name!r}) has stream {action.stream!r}, which "
                f"is not one of {', '.join(streams)}"
            )


def _check_exits(header: Header, where: str) -> None:
    exits = header.exits or []
    _check_unique([("", exit.name) for exit in exits], f"{where} exits")
    for number, exit in enumerate(exits):
        if exit.steps is None:
            continue
        place = f"{where} exits[{number}] ({exit.name!r}) has steps {exit.steps}"
        if header.actions:
            raise DataError(f"{place}, but 'actions' already say which steps are processed")
        if not 0 <= exit.steps <= MOST_STEPS:
            raise DataError(f"{place} where 0 to {MOST_STEPS} was expected")


def _check_unique(names: list[tuple[str | None, str]], where: str) -> None:
    seen = set()
    for number, name in enumerate(names):
        if name in seen:
            raise DataError(f"{where}[{number}] repeats the name {name[1]!r}")
        seen.add(name)


def _check_costs(header: Header, where: str) -> None:
    charges = header.charges or Charges()
    all_costs = [
        *((f"actions[{n}] ({a.name!r})", a.costs) for n, a in enumerate(header.actions or [])),
        *((f"exits[{n}] ({e.name!r})", e.costs) for n, e in enumerate(header.exits or [])),
        *((f"charges.{name}", getattr(charges, name)) for name in Charges.__struct_fields__),
    ]
    components = header.components or {}
    for place, costs in all_costs:
        for name, times in costs.items():
            if name not in components:
                raise DataError(
                    f"{where} {place} charges the component {name!r}, which 'components' does not "
                    "declare",
                    near_match(name, components, "components"),
                )
            if not 0 <= times <= LARGEST_AMOUNT:
                raise DataError(
                    f"{where} {place}: {name!r} is {shown_value(times)} where 0 to "
                    f"{LARGEST_AMOUNT:.0e} was expected"
                )
