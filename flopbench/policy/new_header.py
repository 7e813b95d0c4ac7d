"""The header of a new log, from what ``PolicyLogger`` is given.

A network among its components is counted once, and the log needs no code from then on.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from flopbench.core.errors import FlopbenchError, InputError, MeasureError
from flopbench.core.version import VERSION as FLOPBENCH_VERSION
from flopbench.counting import DEFAULT_COUNTERS
from flopbench.counting.agreement import REFERENCE
from flopbench.counting.cost_row import CostRow
from flopbench.counting.registry import is_installed
from flopbench.models.spec import ModelSpec
from flopbench.policy.header import (
    Component,
    CountedRow,
    Header,
    Shard,
    read_header,
    resolve,
    without_preset_file,
)
from flopbench.policy.plan import Plan, plan_of

_BATCH = re.compile(r"([2-9]|[1-9]\d+)x3x\d+x\d+(?!x)")
"""Several images in one run, which is more often a slip than a clip."""


def new_header(
    given: Header | Mapping[str, Any] | None,
    fields: Mapping[str, Any],
    shard: Shard | None,
    where: str,
) -> tuple[Header, Plan]:
    """Return the header to write, and its plan.

    Raises:
        InputError: it cannot be written; a network without its input, or that does not run on it.
        DataError: it contradicts itself.
        MeasureError: the reference counter cannot count a network.
    """
    if isinstance(given, Header):
        given = msgspec.structs.asdict(given)
    elif given is not None and not isinstance(given, Mapping):
        kind = type(given).__name__
        raise InputError(f"header is a {kind} where a Header or a dict was expected")
    fields = {**(given or {}), **fields}
    if isinstance(fields.get("components"), Mapping):
        fields["components"] = _counted(fields["components"])
    data = {name: msgspec.to_builtins(v, enc_hook=_builtin) for name, v in fields.items()}
    header = read_header({k: value for k, value in data.items() if value is not None}, where)
    environment = {**(header.environment or {}), "flopbench": FLOPBENCH_VERSION}
    environment["python"] = platform.python_version()
    environment.pop("torch", None)
    if "torch" in sys.modules:
        environment["torch"] = str(sys.modules["torch"].__version__)
    header = msgspec.structs.replace(header, environment=environment, shard=shard)
    resolved = resolve(header, where)
    plan = plan_of(resolved)
    if not (plan.actions or plan.exits or resolved.components):
        raise InputError(
            f"{where}: the header declares no actions, exits or components",
            'name a preset, such as preset="arnet-resnet", or give actions= and components=',
        )
    return without_preset_file(header, resolved), plan


def _builtin(value: Any) -> Any:
    """Turn numbers and arrays of other libraries in a header into plain Python values."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, type):
        return list(value)
    raise InputError(f"header: cannot write {value!r}, a {type(value).__name__}")


def _counted(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return components with rows of a cost table in place of networks with their input."""
    found: dict[str, Any] = {}
    for name, given in components.items():
        place = f"components[{name!r}]"
        if isinstance(given, (str, ModelSpec)):
            found[name] = str(given)
        elif isinstance(given, (Mapping, Component)) or _are_rows(given):
            found[name] = given
        elif isinstance(given, (tuple, list)) and len(given) in (2, 3):
            found[name] = _rows(place, *given)
        else:
            raise InputError(
                f"{place} is of type {type(given).__name__}: expected a network with its input",
                "write (model, (1, 3, 224, 224)) with the input of one run, or a specification: "
                "'resnet50@224', 'value:4.1e9 \"its source\"' in MACs",
            )
    return found


def _are_rows(given: Any) -> bool:
    """Whether these are counts of an earlier log."""
    return isinstance(given, list) and all(isinstance(one, (Mapping, CostRow)) for one in given)


def _rows(place: str, model: Any, input: Any, kwargs: Any = None) -> list[CountedRow]:
    """Count one run of a network under the default counters."""
    from flopbench.counting.api import profile
    from flopbench.counting.rows import Measurement, measured_rows

    counters = [counter for counter in DEFAULT_COUNTERS if is_installed(counter)]
    try:
        profiles = profile(model, input, counters=counters, kwargs=kwargs)
        if REFERENCE in profiles.failures:
            raise MeasureError(f"{REFERENCE} cannot count it: {profiles.failures[REFERENCE]}")
    except FlopbenchError as error:
        raise type(error)(f"{place}: {error.message}", error.hint) from None
    results = {one.counter: one for one in profiles} | profiles.failures
    is_named = isinstance(model, (str, ModelSpec))
    spec = profiles[0].spec if is_named else _named(model, profiles[0].input)
    batch = _BATCH.match(profiles[0].input)
    if batch is not None:
        text = f"{place}: one run is a batch of {batch[1]} ({profiles[0].input})"
        # the caller of PolicyLogger, through its __init__, new_header and _counted
        warnings.warn(f"{text}; give the input of one decision", stacklevel=5)
    measurement = Measurement.of(ModelSpec(source="python", name=place), results)
    return [
        CountedRow(
            model=row.model,
            input=row.input,
            counter=row.counter,
            counter_version=row.counter_version,
            total_macs=row.total_macs,
            dense_macs=row.dense_macs,
            params=row.params,
            status=row.status,
            notes=row.notes,
            spec=spec,
            convention=row.convention,
        )
        for row in measured_rows(measurement, counters, None)
    ]


def _named(model: Any, input: str) -> str:
    """Return the specification that a live module would have: where its class is, and its input."""
    from flopbench.models.build.copies import unwrap

    kind = type(unwrap(model))
    home = "torch.nn" if kind.__module__.startswith("torch.nn.") else kind.__module__
    name = re.sub(r"\W", "_", kind.__name__)
    return f"{home}:{name}@{input}" if input else f"{home}:{name}"
