"""What ``flopbench init`` finds in a folder, models and policy logs, and what it writes for them.

Models are found by reading source text (``models.factories``); no user code is imported.
"""

from __future__ import annotations

import importlib.util
import json
import keyword
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from flopbench.check.config import DEFAULT_COUNTER
from flopbench.check.records import BASELINE, Cost, Entry, ModelCost
from flopbench.core.errors import InputError
from flopbench.models.factories import factories_in, without_weights
from flopbench.models.spec import DEFAULT_SIZE, ModelSpec, format_size, parse_spec

MOST_FILES = 5000
"""Most files searched: a folder with more is hardly the root of a project."""
LOG_HEAD_CHARACTERS = 2000
"""A policy log names its format in its first lines."""

_LOG_FORMAT = "flopbench.policy-log"  # policy.header.FORMAT, which needs msgspec
_SKIPPED_FOLDERS = re.compile(
    r"\..*|.*\.egg-info|__pycache__|build|dist|env|venv|node_modules|site-packages|tests?"
)
_SKIPPED_FILES = re.compile(r"\..*|(test_.*|.*_test|conftest|setup)\.py")
_GENERIC = re.compile(r"build|model|net|network|backbone|(build|create|get|make)_model")
"""Names that tell nothing about the model: the file's name tells more."""


def find_entries(root: Path) -> list[tuple[Entry, str]]:
    """Return models by file and line, then policy logs by path, each with why it was taken for one.

    ``root`` is the folder that models would be imported from. Tests, hidden folders, virtual
    environments and build outputs are left out, as are files that cannot be read or parsed, and all
    files after the first ``MOST_FILES``.
    """
    models: list[tuple[Entry, str]] = []
    logs: list[tuple[Entry, str]] = []
    names: set[str] = set()
    for path in _files(root):
        inside = PurePosixPath(path.relative_to(root).as_posix())
        if path.suffix == ".py":
            place = _import_path(path, root)
            short = inside.parent.name if inside.stem == "__init__" else inside.stem
            for factory in factories_in(path):
                name, model = factory.name, f"{place}:{factory.name}"
                if _is_specification(model):
                    wanted = short if _GENERIC.fullmatch(name) else name
                    unique = unique_name([wanted, f"{short}.{name}"], names)
                    spec = replace(parse_spec(model), options=factory.without_weights)
                    models.append((Entry(name=unique, model=str(spec)), factory.why))
        elif _is_log(path) and inside.as_posix().isprintable():
            unique = unique_name([inside.stem, inside.with_suffix("").as_posix()], names)
            entry = Entry(name=unique, policy_log=inside.as_posix())
            logs.append((entry, f"holds {_LOG_FORMAT}"))
    return models + logs


def unique_name(candidates: Sequence[str], taken: set[str]) -> str:
    """Return the first free name, with a number if none is, and mark it as taken."""
    numbered = (f"{candidates[-1]}-{number}" for number in count(2))
    name = next(name for name in chain(candidates, numbered) if name not in taken)
    taken.add(name)
    return name


def _files(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if not (_SKIPPED_FOLDERS.fullmatch(name) or Path(folder, name, "pyvenv.cfg").is_file())
        )
        for name in sorted(files):
            if name.endswith((".json", ".jsonl", ".py")) and not _SKIPPED_FILES.fullmatch(name):
                seen += 1
                if seen > MOST_FILES:
                    return
                yield Path(folder, name)


def _is_log(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return _LOG_FORMAT in stream.read(LOG_HEAD_CHARACTERS)
    except OSError:
        return False


def _import_path(path: Path, root: Path) -> str:
    """Return what goes before the colon: a dotted module inside a package, else the file."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while folder != root and (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    dotted = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    packaged = path.parent != folder
    if packaged and dotted and (folder == root or _is_installed(folder / parts[0])):
        return ".".join(parts)
    return path.relative_to(root).as_posix()


def _is_installed(package: Path) -> bool:
    """Whether Python finds a package in this very folder (``src/my_pkg``), without importing it."""
    try:
        spec = importlib.util.find_spec(package.name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == str(package / "__init__.py")


def _is_specification(model: str) -> bool:
    """Whether a path can be written in a specification, where some characters have a meaning."""
    try:
        spec = parse_spec(model)
    except InputError:
        return False
    return model.isprintable() and spec.source == "python" and spec.name == model


_FOLDER = Path(__file__).parent
_NO_WEIGHTS = "it would load weights by itself, which do not change a cost"

CI_SNIPPET = (_FOLDER / "workflow.yml").read_text(encoding="utf-8")
"""A GitHub Actions workflow that checks pull requests, the merge queue and the main branch."""


def config_text(entries: Sequence[Entry], failures: Mapping[str, str]) -> str:
    """Return the text of a new ``flopbench.toml``, every key explained.

    ``failures`` is name -> why the entry could not be measured; such an entry becomes a comment.
    """
    blocks = []
    for entry in entries:
        values = {"name": entry.name, "model": entry.model, "policy-log": entry.policy_log}
        lines = [f"{key} = {_toml_text(value)}\n" for key, value in values.items() if value]
        block = "".join(["[[entries]]\n", *lines])
        if entry.name in failures:
            reason = f"# Could not be measured: {_one_line(failures[entry.name])}\n"
            block = reason + "".join(f"#{line}\n" for line in block.splitlines())
        blocks.append(block)
    text = (_FOLDER / "config.toml").read_text(encoding="utf-8")
    text = text.replace('"COUNTER"', f'"{DEFAULT_COUNTER}"').replace('"BASELINE"', f'"{BASELINE}"')
    head, _, budgets = text.partition("#entries\n")
    return head + "\n".join([*blocks, budgets])


def how_counted(models: Mapping[str, str], costs: Mapping[str, Cost | str]) -> list[str]:
    """Say at which input models were counted that name none, and which weights are left out.

    ``models`` is entry -> specification, ``costs`` entry -> what it costs, or why it has no cost.
    """
    said: dict[str, list[str]] = {}
    for name, text in models.items():
        cost, spec = costs[name], parse_spec(text)
        if isinstance(cost, ModelCost) and not spec.input:
            said.setdefault(f"counted at {cost.input}, {_origin(spec, cost)}", []).append(name)
        for key, value in spec.options:
            if without_weights({key: value is False or "weights"}) == ((key, value),):
                said.setdefault(f"{key}={value} written: {_NO_WEIGHTS}", []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in said.items()]


def _origin(spec: ModelSpec, cost: ModelCost) -> str:
    if not spec.is_user_code:
        return "the model's own default"
    if cost.input != format_size(DEFAULT_SIZE):
        return "the factory's own input"
    return "the default for an image; another size is named after '@', such as build@112"


def _toml_text(value: str) -> str:
    """Write a basic string; TOML has JSON's escapes, and needs one more character escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Return text that fits into a comment, which ends with its line."""
    words = "".join(sign if sign.isprintable() else " " for sign in text).split()
    return " ".join(words) or "no reason given"
