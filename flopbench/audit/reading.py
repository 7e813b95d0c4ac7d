"""Claims files: TOML, checked and turned into records.

File format: ``schema = 1``, ``title``, ``source`` (the publication; all three may be left out), and
one ``[[claim]]`` entry per printed number: ``id``, ``what`` (what the number is), ``printed``
(text, digits as printed), ``unit``, and exactly one derivation:

* ``counts = { component = n }``: the sum of n × price;
* ``shares = { action = share }`` with ``preset``, and optionally ``steps`` and ``variants``;
* ``divide = { numerator = "33.47", by = 16 }``: a printed figure over a number of frames;
* ``model = "resnet50@224,classes=200"``: a profile; its unit may also be ``M params`` or
  ``M activations``;
* ``scaled = { gflops = "1.80", input_px = 224, figure_input_px = 300, to_px = 224 }``;
* ``not_derivable = "why"``.

Components are declared in ``components = { name = "resnet50@224" }``, for the file or for one claim
(which takes precedence): a specification that ``counter`` prices, a constant
(``value:4.12e9 "source"``), or ``published:`` before a specification, for the figure that a preset
quotes. ``counter`` may be given for the file or for the claim. ``reason`` says why a claim is off,
``note`` is always shown.
``read_as = "MACs"`` (or ``"FLOPs"``), in the file or the claim, says what a printed ``GFLOPS``
counts; without it both readings are tried. Version history of the schema: 1, the first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flopbench.audit.records import (
    Amount,
    Claim,
    ClaimComponent,
    ClaimFile,
    ClaimHead,
    Counts,
    Derivation,
    Divide,
    NotDerivable,
    Profile,
    Scaled,
    Shares,
    Text,
    Whole,
    size_unit,
    unit_readings,
    value_of,
)
from flopbench.core.errors import DataError, InputError, near_match, shown_value
from flopbench.core.records import Record, decode
from flopbench.core.toml_lines import toml_values
from flopbench.core.units import Count, plural
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.registry import find_counter, own_counters
from flopbench.estimate.components import resolve_components
from flopbench.estimate.prices import PUBLISHED
from flopbench.models.presets import preset_beside
from flopbench.models.spec import ModelSpec, parse_spec
from flopbench.policy.header import preset_header
from flopbench.policy.plan import Plan, plan_of

SCHEMA = 1

_FOLDER = Path(__file__).with_name("claims")
_DERIVATIONS: Mapping[str, tuple[str, ...]] = {
    "counts": ("components", "counter"),
    "shares": ("preset", "steps", "variants", "counter"),
    "divide": (),
    "model": ("counter",),
    "scaled": (),
    "not_derivable": (),
}
"""Derivation -> the further keys allowed with it."""

_Kind = TypeVar("_Kind")


class _File(Record, frozen=True, kw_only=True):
    """The keys of a claims file."""

    schema: Any = None
    title: Text | None = None
    source: Text = Text()
    counter: Text | None = None
    read_as: Count | None = None
    components: Mapping[str, Text] = {}
    claim: Any = None


class _Entry(ClaimHead, frozen=True, kw_only=True):
    """The keys of a ``[[claim]]``."""

    counts: dict[str, Amount] | None = None
    shares: dict[str, Amount] | None = None
    divide: Divide | None = None
    model: Text | None = None
    scaled: Scaled | None = None
    not_derivable: Text | None = None
    components: Mapping[str, Text] = {}
    counter: Text | None = None
    preset: Text | None = None
    steps: Whole = 1
    variants: Mapping[str, Text] = {}


def shipped_claims() -> list[str]:
    """List the claims files that ship with flopbench."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_claims(name: str) -> ClaimFile:
    """Read a shipped claims file by name, or any other by path (``.toml``)."""
    own = name.endswith(".toml")
    path = Path(name) if own else _FOLDER / f"{name}.toml"
    if not (os.path.isfile(path) if own else name in shipped_claims()):
        hint = near_match(name, shipped_claims(), "claims that ship")
        raise InputError(
            f"there is no claims file {name!r}", f"{hint}; or the path of a .toml file"
        )
    shown = name if own else f"claims/{path.name}"
    data = toml_values(path, shown, parse_float=Decimal)
    schema = data.get("schema", SCHEMA)
    if type(schema) is int and schema > SCHEMA:
        raise DataError(
            f"{shown} has schema {schema}; this flopbench reads up to {SCHEMA}", "upgrade flopbench"
        )
    if type(schema) is not int or schema != SCHEMA:
        raise DataError(f"{shown}: 'schema' is {shown_value(schema)} where {SCHEMA} was expected")
    file = _read(data, _File, shown)
    counter = _counter(file.counter, REFERENCE, shown)
    for key, text in file.components.items():
        _component(text, counter, f"{shown}: components.{key}")
    if not isinstance(file.claim, list) or not file.claim:
        raise DataError(f"{shown} holds no claim", "write one as a [[claim]] entry")
    claims = tuple(_claim(entry, file, n, shown) for n, entry in enumerate(file.claim, 1))
    seen: set[str] = set()
    for number, claim in enumerate(claims, 1):
        if claim.id in seen:
            raise DataError(f"{shown}, claim {number}: 'id' repeats {claim.id!r}")
        seen.add(claim.id)
    return ClaimFile(name=name, title=file.title or name, source=file.source, claims=claims)


def claim_of(
    printed: str, model: str, *, frames: int = 1, share: str = "1", counter: str | None = None
) -> ClaimFile:
    """Return one claim that is in no file: frames × share runs of a model.

    ``printed`` is the number with its unit (``1.2 GFLOPs``), ``share``, from 0 to 1, that of the
    frames which the model runs on, ``counter`` whose rules price it: by default the reference
    counter's.
    """
    number, _, unit = printed.strip().partition(" ")
    runs = frames * Decimal(share)
    what = "" if runs == 1 else f"{frames} {plural(frames, 'frame')} × {share} of "
    data: dict[str, Any] = {"id": "claim", "what": what + model, "printed": number, "unit": unit}
    components = {"model": Text(model)}
    data |= {"model": model} if runs == 1 else {"counts": {"model": runs}}
    data |= {} if counter is None else {"counter": counter}
    file = _File(components={} if runs == 1 else components)
    claim = _claim(data, file, 1, "--claim")
    return ClaimFile(name="--claim", title=printed, source="", claims=(claim,))


def _claim(data: Any, file: _File, number: int, shown: str) -> Claim:
    where = f"{shown}, claim {number}"
    if not isinstance(data, dict):
        raise DataError(f"{where} is {shown_value(data)} where a [[claim]] table was expected")
    if isinstance(data.get("id"), str):
        where += f" ({data['id']!r})"
    missing = [key for key in ("id", "what", "printed", "unit") if key not in data]
    if missing:
        verb = plural(len(missing), "is", "are")
        raise DataError(f"{where}: {', '.join(map(repr, missing))} {verb} missing")
    kinds = [key for key in _DERIVATIONS if key in data]
    if len(kinds) > 1:
        raise DataError(f"{where} has two derivations, {kinds[0]!r} and {kinds[1]!r}: keep one")
    for key in data if kinds else ():
        owners = [kind for kind, keys in _DERIVATIONS.items() if key in keys]
        if owners and kinds[0] not in owners:
            raise DataError(
                f"{where}: {key!r} does not go with {kinds[0]!r}",
                f"it belongs to {' and '.join(owners)}",
            )
    entry = _read(data, _Entry, where)
    if entry.preset is not None:
        preset = preset_beside(entry.preset, Path(shown), f"{where}: preset")
        entry = msgspec.structs.replace(entry, preset=Text(preset))
    if not kinds:
        raise DataError(
            f"{where} does not say how to recompute it: one of {', '.join(_DERIVATIONS)} is missing"
        )
    sized = kinds[0] == "model" and size_unit(entry.unit) is not None
    if kinds[0] not in {"divide", "not_derivable"} and not (sized or unit_readings(entry.unit)):
        raise DataError(
            f"{where}: 'unit' is {entry.unit!r}, but {kinds[0]!r} gives a cost",
            "expected a unit such as GFLOPS/video, GFLOPS/frame or GMACs"
            + (", or M params or M activations" if kinds[0] == "model" else ""),
        )
    derivation, components = _derivation(entry, file, where)
    head = {name: getattr(entry, name) for name in ClaimHead.__struct_fields__}
    head["read_as"] = entry.read_as or file.read_as
    return Claim(**head, derivation=derivation, components=components, where=where)


def _derivation(
    entry: _Entry, file: _File, where: str
) -> tuple[Derivation, dict[str, ClaimComponent]]:
    """Return how to recompute a claim, and the components that need a price."""
    by_default = PUBLISHED if entry.shares is not None else REFERENCE
    counter = _counter(entry.counter or file.counter, by_default, where)
    if entry.counts is not None:
        return _counts(entry.counts, {**file.components, **entry.components}, counter, where)
    if entry.shares is not None:
        return _shares(entry.shares, entry, counter, where)
    if entry.model is not None:
        component = _component(entry.model, counter, f"{where}: model")
        if component.counter in {"", PUBLISHED}:
            quoted = "a published figure" if component.counter else "a constant"
            raise DataError(
                f"{where}: 'model' must be counted, and {quoted} is not",
                "for a quoted figure, use counts = { name = 1 } with components = { name = ... }",
            )
        return Profile(spec=component.spec), {"model": component}
    if entry.divide is not None:
        return entry.divide, {}
    if entry.scaled is not None:
        return entry.scaled, {}
    return NotDerivable(why=entry.not_derivable or ""), {}


def _counts(
    given: dict[str, Amount], known: Mapping[str, Text], counter: str, where: str
) -> tuple[Counts, dict[str, ClaimComponent]]:
    counts = {name: Fraction(value) for name, value in given.items()}
    if not any(counts.values()):
        raise DataError(f"{where}: 'counts' holds no count above 0")
    components = {}
    for name in counts:
        if name not in known:
            raise DataError(
                f"{where}: counts.{name}: there is no component {name!r}",
                near_match(name, known, "components"),
            )
        components[name] = _component(known[name], counter, f"{where}: components.{name}")
    return Counts(counts=counts), components


def _shares(
    shares: dict[str, Amount], entry: _Entry, counter: str, where: str
) -> tuple[Shares, dict[str, ClaimComponent]]:
    """Return shares, and the components that the charges and the actions with a share use."""
    for name, value in shares.items():
        if value > 1:
            raise DataError(
                f"{where}: shares.{name!r} is {value} where at most 1 was expected",
                "shares are fractions of all frames: 0.25, not 25",
            )
    if entry.preset is None:
        raise DataError(f"{where}: 'preset' is missing")
    plan = _plan(entry.preset, list(shares), where)
    charges = plan.charges
    costs = [a.costs for a in plan.actions if shares.get(a.name)]
    costs += [charges.per_decision, charges.per_step, charges.per_view, charges.per_sample]
    used = dict.fromkeys(name for cost in costs for name, n in cost.items() if n)
    try:
        chosen = resolve_components(plan.header, entry.variants, {}, used, variant_flag="variants")
    except InputError as error:
        raise DataError(f"{where}: {error.message}", error.hint) from None
    components = {
        name: ClaimComponent(spec=one.spec, counter="" if one.spec.source == "value" else counter)
        for name, one in chosen.items()
    }
    for name, one in chosen.items():
        _refuse_code(one.spec, f"{where}: {name}")
    ordered = tuple(shares.get(action.name, Decimal(0)) for action in plan.actions)
    return Shares(shares=ordered, preset=entry.preset, plan=plan, steps=entry.steps), components


def _plan(preset: str, actions: list[str], where: str) -> Plan:
    """Return the plan of a preset; refuse one that has not these actions."""
    try:
        plan = plan_of(preset_header(preset))
    except (InputError, DataError) as error:
        raise DataError(f"{where}: preset: {error.message}", error.hint) from None
    if len(plan.streams) > 1 or not plan.actions:
        what = "several streams of actions" if plan.actions else "no actions"
        raise DataError(
            f"{where}: the preset {preset!r} has {what}, so 'shares' cannot price it",
            "use counts = { component = n }",
        )
    names = [action.name for action in plan.actions]
    for name in actions:
        if name not in names:
            raise DataError(
                f"{where}: shares.{name!r} is not an action of the preset {preset!r}",
                near_match(name, names, "actions"),
            )
    return plan


def _component(text: str, counter: str, where: str) -> ClaimComponent:
    """Read a component; user code is refused, since a file must not start it."""
    prefix, colon, rest = text.partition(":")
    quoted = bool(colon) and prefix.strip() == PUBLISHED
    text = rest if quoted else text
    try:
        spec = parse_spec(text)
    except InputError as error:
        raise DataError(f"{where}: {error.message}", error.hint) from None
    _refuse_code(spec, where)
    if quoted:
        counter = PUBLISHED
    elif spec.source == "value":
        counter = ""
    return ClaimComponent(spec=spec, counter=counter)


def _refuse_code(spec: ModelSpec, where: str) -> None:
    if spec.is_user_code:
        raise DataError(
            f"{where} is {str(spec)!r}, code that a claims file must not start",
            "count it with 'flopbench table', and quote the result as value:MACS \"source\"",
        )


def _counter(given: str | None, default: str, where: str) -> str:
    name = given or default
    if name == PUBLISHED or name in {info.name for info in own_counters()}:
        return name
    try:
        return find_counter(name).name
    except InputError as error:
        raise DataError(f"{where}: 'counter': {error.message}", error.hint) from None


def _read(data: Any, kind: type[_Kind], where: str) -> _Kind:
    return decode(data, kind, where, dec_hook=value_of, toml=True)
