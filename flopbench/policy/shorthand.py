"""The short ways to write a header: a name in place of an action, a list in place of costs.

``actions: ["large", "small", "skip 2"]`` is written out before anything else reads the header: in
every form of log, in presets, and from Python.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from flopbench.core.errors import DataError, near_match

_FREE = re.compile(r"(?P<kind>skip|reuse)(?: (?P<span>[1-9]\d{0,9}))?")
"""Names of actions that say what they are: ``skip``, ``skip 4``, ``reuse``."""

_Names = Callable[[], Mapping[str, object]]


def written_out(data: Mapping[str, Any], components: _Names, where: str) -> dict[str, Any]:
    """Return the plain values of a header, with every action, exit and cost as an object.

    Args:
        data: the header; what is in no short form stays as it is.
        components: returns the names of the components, those of its preset included, as keys.
        where: names the header in messages.

    Raises:
        DataError: a name alone that is neither a component nor a skip or reuse; charges that do not
            say when they are paid.
    """
    where = f"{where}: header:"
    written = dict(data)
    actions, charges = data.get("actions"), data.get("charges")
    if data.get("streams") and isinstance(actions, Mapping):
        written["actions"] = [
            {**one, "stream": stream} if isinstance(one, Mapping) else one
            for stream, given in actions.items()
            for own in [_options("actions", given, components, f"{where} actions.{stream}")]
            for one in (own if isinstance(own, (list, tuple)) else [own])
        ]
    elif actions is not None:
        written["actions"] = _options("actions", actions, components, f"{where} actions")
    if data.get("exits") is not None:
        written["exits"] = _options("exits", data["exits"], components, f"{where} exits")
    if isinstance(charges, (str, list, tuple)):
        raise DataError(
            f"{where} 'charges' does not say when they are paid",
            'write {"per_step": [...]}, per_decision, per_view or per_sample',
        )
    if isinstance(charges, Mapping):
        written["charges"] = {when: _costs(what) for when, what in charges.items()}
    return written


def _options(field: str, given: Any, components: _Names, place: str) -> Any:
    """Write out actions or exits: a list of names and objects, or an object name -> costs."""
    if isinstance(given, Mapping):
        given = [_option(field, name, costs) for name, costs in given.items()]
    if not isinstance(given, (list, tuple)):
        return given
    return [
        _named(field, one, components, f"{place}[{number}]")
        if isinstance(one, str)
        else {**one, "costs": _costs(one["costs"])}
        if isinstance(one, Mapping) and "costs" in one
        else one
        for number, one in enumerate(given)
    ]


def _named(field: str, name: str, components: _Names, place: str) -> dict[str, Any]:
    """Write out a name alone: it runs the component of that name once."""
    known = components()
    if name in known:
        return {"name": name, "costs": {name: 1}}
    option = _option(field, name, {})
    if "kind" not in option:
        free = ", or 'skip', 'skip 4', 'reuse'" if field == "actions" else ""
        raise DataError(
            f"{place} is {name!r}, which is not a component, so what it runs is unknown",
            f"{near_match(name, known, 'components')}{free}; or say what it runs: "
            f'{{"name": "{name}", "costs": [...]}}',
        )
    return option


def _option(field: str, name: str, costs: Any) -> dict[str, Any]:
    """Return an action or exit; an action without costs may say by its name what it is."""
    free = _FREE.fullmatch(name) if field == "actions" and not costs else None
    if free is None:
        return {"name": name, "costs": costs}
    return {"name": name, "kind": free["kind"], "span": int(free["span"] or 1)}


def _costs(given: Any) -> Any:
    """Write out costs: one component or a list of them, each of which runs once."""
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return given
    return dict(Counter(names))
