"""The counters by name: what each one needs and how to install it, without importing any.

Those of other distributions register in the entry-point group ``GROUP``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from flopbench.core.errors import InputError, near_match

GROUP = "flopbench.counters"
UNKNOWN_VERSION = "unknown"
WITNESS = "formula"
"""Joins the default counters where none of them confirms what ``torch`` gives."""


class CounterInfo(Struct, frozen=True, kw_only=True):
    """Where a counter comes from.

    Attributes:
        name: what the user types.
        target: ``module:Class`` of the adapter.
        distribution: the distribution that counts; ours are imported by the same name.
        extra: the extra of flopbench that installs it, empty for a third-party counter.
    """

    name: str
    target: str
    distribution: str
    extra: str

    @property
    def library(self) -> str:
        """The distribution that counts here: a fork may be installed under the module's name."""
        return self.distribution if self._is_named else _provider(self.distribution)[0]

    @property
    def version(self) -> str | None:
        """Version of what is imported: None where nothing is, ``unknown`` for a loose folder."""
        if self._is_named:
            return installed_version(self.distribution)
        return _provider(self.distribution)[1]

    @property
    def _is_named(self) -> bool:
        """Whether what is imported is the distribution of that name: no fork stands in for it."""
        return not self.extra or self.distribution in {"torch", "flopbench"}


class _Metadata(NamedTuple):
    """What is recorded of a distribution: version, where it is, and the text of a file by name."""

    version: str
    folder: Path
    text_of: Callable[[str], str | None]


def _own(name: str, module: str, cls: str, distribution: str, extra: str) -> CounterInfo:
    target = f"flopbench.counting.measure.counters.{module}:{cls}"
    return CounterInfo(name=name, target=target, distribution=distribution, extra=extra)


_OWN = {
    info.name: info
    for info in (
        _own("thop-2020", "thop_2020", "Thop2020Counter", "thop", "measure"),
        _own("thop", "thop_counter", "ThopCounter", "thop", "measure"),
        _own("fvcore", "fvcore_counter", "FvcoreCounter", "fvcore", "measure"),
        _own("torch", "torch_counter", "TorchCounter", "torch", "measure"),
        _own(WITNESS, "formula_counter", "FormulaCounter", "flopbench", "measure"),
        _own("ptflops", "ptflops_counter", "PtflopsCounter", "ptflops", "ptflops"),
        _own("calflops", "calflops_counter", "CalflopsCounter", "calflops", "calflops"),
        _own("torchinfo", "torchinfo_counter", "TorchinfoCounter", "torchinfo", "torchinfo"),
        _own("deepspeed", "deepspeed_counter", "DeepspeedCounter", "deepspeed", "deepspeed"),
    )
}


def own_counters() -> tuple[CounterInfo, ...]:
    """List the counters that ship with flopbench, installed or not."""
    return tuple(_OWN.values())


def library_of(counter: str) -> str:
    """Return the library that counts: two counters of one library are one witness."""
    return _OWN[counter].distribution if counter in _OWN else counter


def find_counter(name: str) -> CounterInfo:
    """Look up a counter by name, first among our own, then among entry points.

    Raises:
        InputError: no such counter, or the library it needs is not installed.
    """
    info = _OWN.get(name) or _foreign(name)
    if info is None:
        hint = near_match(name, _OWN, "counters")
        raise InputError(
            f"there is no counter {name!r}",
            f"{hint}; others register in the entry-point group {GROUP}",
        )
    if info.version is None:
        install = f"flopbench[{info.extra}]" if info.extra else info.distribution
        raise InputError(
            f"the counter {name!r} needs {info.distribution}, which is not installed",
            f"python -m pip install '{install}'",
        )
    return info


def find_counters(names: Sequence[str]) -> list[CounterInfo]:
    """Look up several counters; repeated names are dropped."""
    return [find_counter(name) for name in dict.fromkeys(names)]


def is_installed(name: str) -> bool:
    """Whether there is a counter of that name, with the library it needs installed."""
    info = _OWN.get(name) or _foreign(name)
    return info is not None and info.version is not None


@lru_cache
def _listed(folder: str) -> dict[str, str]:
    """Return what has metadata in a folder of ``sys.path``: name -> file or folder of it."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):  # a file, or nothing
        for entry in os.listdir(folder or "."):
            if entry.endswith((".dist-info", ".egg-info")):
                name = entry.rpartition(".")[0].partition("-")[0]
                found.setdefault(_normal(name), os.path.join(folder, entry))
    return found


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "_", name).lower()


@lru_cache
def _metadata_of(distribution: str) -> _Metadata | None:
    """Find a distribution as ``importlib.metadata`` does; None where nothing of it is installed.

    That takes 30 ms to import, which a warm cache has not: it is asked for what is not as usual.
    """
    listed = (_listed(folder).get(_normal(distribution)) for folder in sys.path)
    found = next(filter(None, listed), "")
    if found.endswith(".dist-info") and (version := _version_in(found)):
        return _Metadata(version, Path(found).parent, partial(_text_in, found))
    from importlib import metadata

    try:
        other = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None
    return _Metadata(other.version, Path(str(other.locate_file(""))), other.read_text)


def _text_in(folder: str, name: str) -> str | None:
    try:
        return Path(folder, name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _version_in(folder: str) -> str:
    head, _, _ = (_text_in(folder, "METADATA") or "").partition("\n\n")
    found = re.search("^Version: (.*)", head, re.MULTILINE)
    return found[1].strip() if found else ""


def installed_version(distribution: str) -> str | None:
    """Read a distribution's version from its metadata, without importing it."""
    found = _metadata_of(distribution)
    return None if found is None else found.version


def installed_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the versions of those that are installed, in order."""
    versions = {name: installed_version(name) for name in distributions}
    return {name: version for name, version in versions.items() if version}


@lru_cache
def _provider(module: str) -> tuple[str, str | None]:
    """Return the distribution that a module is imported from, by its files, and the version."""
    found = None
    with contextlib.suppress(ValueError):  # a module without a specification stands in for it
        found = importlib.util.find_spec(module)
    if found is None or found.origin is None or _owns(module, module, found.origin):
        return module, installed_version(module)
    from importlib import metadata

    for other in metadata.packages_distributions().get(module, ()):
        if _owns(other, module, found.origin):
            return other, installed_version(other)
    return module, UNKNOWN_VERSION


def _owns(distribution: str, module: str, origin: str) -> bool:
    """Whether a distribution installed the file that a module is imported from."""
    installed = _metadata_of(distribution)
    if installed is None:
        return False
    if '"editable": true' in (installed.text_of("direct_url.json") or ""):
        return True
    import base64
    import hashlib  # takes a moment, which start-up has not

    entry = f"{module}/__init__.py"
    if not os.path.samefile(installed.folder, Path(origin).parents[1]):
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(Path(origin).read_bytes()).digest())
    # Where two distributions wrote the same file, it is what the later one recorded.
    record = installed.text_of("RECORD") or f"{entry},"
    files = dict(line.split(",", 1) for line in record.splitlines() if "," in line)
    return entry in files and digest.decode().rstrip("=") in (files[entry] or digest.decode())


def _foreign(name: str) -> CounterInfo | None:
    from importlib import metadata

    for entry in metadata.entry_points(group=GROUP):
        if entry.name == name:
            distribution = entry.dist.name if entry.dist is not None else name
            return CounterInfo(name=name, target=entry.value, distribution=distribution, extra="")
    return None
