"""Claims files: TOML, checked and turned into records.

File format: ``schema = 1``, ``title``, ``source`` (the publication), and one ``[[claim]]`` entry
per printed number: ``id``, ``what`` (what the number is), ``printed`` (text, digits as printed),
``unit``, and exactly one derivation:

* ``counts = { component = n }``: the sum of n × price;
* ``shares = { action = share }`` with ``preset``, and optionally ``steps`` and ``variants``;
* ``divide = { numerator = "33.47", by = 16 }``: a printed figure over a number of frames;
* ``model = "resnet50@224,classes=200"``: a profile;
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
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from flopbench.audit.fields import (
    amount_of,
    figure_of,
    known_keys,
    table_of,
    text_of,
    whole_of,
)
from flopbench.audit.records import (
    Claim,
    ClaimComponent,
    ClaimFile,
    Counts,
    Derivation,
    Divide,
    NotDerivable,
    Profile,
    Scaled,
    Shares,
    unit_readings,
)
from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.toml_lines import shown_value, toml_values
from flopbench.core.units import Count
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.registry import find_counter, own_counters
from flopbench.models.spec import ModelSpec, parse_spec

SCHEMA = 1
PUBLISHED = "published"
"""In place of a counter: a publication's printed figures (as ``prices.PUBLISHED``)."""

_FOLDER = Path(__file__).with_name("claims")
_FILE_KEYS = ("schema", "title", "source", "counter", "read_as", "components", "claim")
_CLAIM_KEYS = ("id", "what", "printed", "unit", "read_as", "reason", "note")
_DERIVATIONS: Mapping[str, tuple[str, ...]] = {
    "counts": ("components", "counter"),
    "shares": ("preset", "steps", "variants", "counter"),
    "divide": (),
    "model": ("counter",),
    "scaled": (),
    "not_derivable": (),
}
"""Derivation -> the further keys allowed with it."""


def shipped_claims() -> list[str]:
    """List the claims files that ship with flopbench."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def read_claims(name: str) -> ClaimFile:
    """Read a shipped claims file by name, or any other by path (``.toml``).

    Raises:
        InputError: there is no such file, or it cannot be read.
        DataError: the file does not follow the format; the message names file, claim and field.
    """
    own = name.endswith(".toml")
    path = Path(name) if own else _FOLDER / f"{name}.toml"
    if not (os.path.isfile(path) if own else name in shipped_claims()):
        hint = near_match(name, shipped_claims(), "claims that ship")
        raise InputError(
            f"there is no claims file {name!r}", f"{hint}; or the path of a .toml file"
        )
    shown = name if own else f"claims/{path.name}"
    data = toml_values(path, shown, parse_float=Decimal)
    schema = data.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise DataError(
            f"{shown} has schema {schema}; this flopbench reads up to {SCHEMA}", "upgrade flopbench"
        )
    if type(schema) is not int or schema != SCHEMA:
        raise DataError(f"{shown}: 'schema' is {shown_value(schema)} where {SCHEMA} was expected")
    known_keys(data, _FILE_KEYS, shown)
    counter = _counter({}, data, shown, REFERENCE)
    for key, text in table_of(data, "components", shown, {}).items():
        _component(text, counter, f"{shown}: components.{key}")
    entries = data.get("claim")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{shown} holds no claim", "write one as a [[claim]] entry")
    claims = tuple(_claim(entry, data, n, shown) for n, entry in enumerate(entries, 1))
    seen: set[str] = set()
    for number, claim in enumerate(claims, 1):
        if claim.id in seen:
            raise DataError(f"{shown}, claim {number}: 'id' repeats {claim.id!r}")
        seen.add(claim.id)
    return ClaimFile(
        name=name,
        title=text_of(data, "title", shown, name),
        source=text_of(data, "source", shown),
        claims=claims,
    )


def _claim(entry: Any, file: Mapping[str, Any], number: int, shown: str) -> Claim:
    where = f"{shown}, claim {number}"
    if not isinstance(entry, dict):
        raise DataError(f"{where} is {shown_value(entry)} where a [[claim]] table was expected")
    if isinstance(entry.get("id"), str):
        where += f" ({entry['id']!r})"
    kinds = [key for key in _DERIVATIONS if key in entry]
    if len(kinds) > 1:
        raise DataError(f"{where} has two derivations, {kinds[0]!r} and {kinds[1]!r}: keep one")
    extras = _DERIVATIONS[kinds[0]] if kinds else ()
    for key in entry:
        owners = [kind for kind, keys in _DERIVATIONS.items() if key in keys]
        if kinds and owners and key not in extras:
            raise DataError(
                f"{where}: {key!r} does not go with {kinds[0]!r}",
                f"it belongs to {' and '.join(owners)}",
            )
    known_keys(entry, (*_CLAIM_KEYS, *_DERIVATIONS, *extras), where)
    if not kinds:
        raise DataError(
            f"{where} does not say how to recompute it: one of {', '.join(_DERIVATIONS)} is missing"
        )
    unit = text_of(entry, "unit", where)
    if kinds[0] not in {"divide", "not_derivable"} and not unit_readings(unit):
        raise DataError(
            f"{where}: 'unit' is {unit!r}, but {kinds[0]!r} gives a cost",
            "expected a unit such as GFLOPS/video, GFLOPS/frame or GMACs",
        )
    return Claim(
        id=text_of(entry, "id", where),
        what=text_of(entry, "what", where),
        printed=figure_of(entry, "printed", where),
        unit=unit,
        derivation=_READERS[kinds[0]](entry, file, where),
        read_as=_read_as(entry, where) or _read_as(file, shown),
        reason=text_of(entry, "reason", where, ""),
        note=text_of(entry, "note", where, ""),
        where=where,
    )


def _read_as(data: Mapping[str, Any], where: str) -> Count | None:
    found = data.get("read_as")
    if found not in (None, "MACs", "FLOPs"):
        raise DataError(
            f"{where}: 'read_as' is {shown_value(found)} where 'MACs' or 'FLOPs' was expected"
        )
    return found


def _counts(entry: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Derivation:
    counts = {
        name: Fraction(amount_of(value, f"{where}: counts.{name}"))
        for name, value in table_of(entry, "counts", where).items()
    }
    if not any(counts.values()):
        raise DataError(f"{where}: 'counts' holds no count above 0")
    known = {**table_of(file, "components", where, {}), **table_of(entry, "components", where, {})}
    counter = _counter(entry, file, where, REFERENCE)
    components = {}
    for name in counts:
        if name not in known:
            raise DataError(
                f"{where}: counts.{name}: there is no component {name!r}",
                near_match(name, known, "components"),
            )
        components[name] = _component(known[name], counter, f"{where}: components.{name}")
    return Counts(counts=counts, components=components)


def _component(text: Any, counter: str, where: str) -> ClaimComponent:
    if not isinstance(text, str):
        raise DataError(f"{where} is {shown_value(text)} where text in quotes was expected")
    prefix, colon, rest = text.partition(":")
    if colon and prefix.strip() == PUBLISHED:
        return ClaimComponent(spec=read_spec(rest, where), counter=PUBLISHED)
    spec = read_spec(text, where)
    return ClaimComponent(spec=spec, counter="" if spec.source == "value" else counter)


def _shares(entry: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Derivation:
    shares = {}
    for name, value in table_of(entry, "shares", where).items():
        shares[name] = Decimal(amount_of(value, f"{where}: shares.{name!r}"))
        if shares[name] > 1:
            raise DataError(
                f"{where}: shares.{name!r} is {value} where at most 1 was expected",
                "shares are fractions of all frames: 0.25, not 25",
            )
    variants = table_of(entry, "variants", where, {})
    return Shares(
        shares=shares,
        preset=text_of(entry, "preset", where),
        steps=whole_of(entry, "steps", where, 1),
        counter=_counter(entry, file, where, PUBLISHED),
        variants={name: text_of(variants, name, f"{where}: variants") for name in variants},
    )


def _divide(entry: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Derivation:
    fields, where = table_of(entry, "divide", where), f"{where}: divide"
    known_keys(fields, ("numerator", "by"), where)
    return Divide(numerator=figure_of(fields, "numerator", where), by=whole_of(fields, "by", where))


def _model(entry: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Derivation:
    text, counter = text_of(entry, "model", where), _counter(entry, file, where, REFERENCE)
    component = _component(text, counter, f"{where}: model")
    if component.counter in {"", PUBLISHED}:
        quoted = "a published figure" if component.counter else "a constant"
        raise DataError(
            f"{where}: 'model' must be counted, and {quoted} is not",
            "for a quoted figure, use counts = { name = 1 } with components = { name = ... }",
        )
    return Profile(spec=component.spec, counter=component.counter)


def _scaled(entry: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Derivation:
    fields, where = table_of(entry, "scaled", where), f"{where}: scaled"
    pixels = ("input_px", "figure_input_px", "to_px")
    known_keys(fields, ("gflops", *pixels), where)
    return Scaled(
        gflops=figure_of(fields, "gflops", where),
        **{name: whole_of(fields, name, where) for name in pixels},
    )


def _not_derivable(entry: Mapping[str, Any], file: Mapping[str, Any], where: str) -> Derivation:
    return NotDerivable(why=text_of(entry, "not_derivable", where))


_READERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], str], Derivation]] = {
    "counts": _counts,
    "shares": _shares,
    "divide": _divide,
    "model": _model,
    "scaled": _scaled,
    "not_derivable": _not_derivable,
}


def read_spec(text: str, where: str) -> ModelSpec:
    """Read a specification; user code is refused, since a file must not start it.

    Raises:
        DataError: it does not follow the grammar, or it names user code.
    """
    try:
        spec = parse_spec(text)
    except InputError as error:
        raise DataError(f"{where}: {error.message}", error.hint) from None
    if spec.is_user_code:
        raise DataError(
            f"{where} is {text!r}, code that a claims file must not start",
            "count it with 'flopbench table', and quote the result as value:MACS \"source\"",
        )
    return spec


def _counter(entry: Mapping[str, Any], file: Mapping[str, Any], where: str, default: str) -> str:
    name = text_of(entry, "counter", where, text_of(file, "counter", where, default))
    if name == PUBLISHED or name in {info.name for info in own_counters()}:
        return name
    try:
        return find_counter(name).name
    except InputError as error:
        raise DataError(f"{where}: 'counter': {error.message}", error.hint) from None
