"""The profiles file of ``flopbench explain``: one model at one input under several counters.

File format (JSON): ``{"schema": 1, "kind": "flopbench.profiles", "convention": ..., "profiles":
[...], "verdicts": {...}, "failures": {...}, "published": [...]}``; a profile holds the fields of
``CostProfile``.

Schema history: 1, the first.

Lives here: that file. Does not live here: making an explanation (``offline``), its text
(``present.explain``).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from flopbench.agreement import Verdict
from flopbench.costs import CostProfile
from flopbench.errors import DataError
from flopbench.files import check_schema, read_json
from flopbench.offline import Explanation
from flopbench.units import CONVENTION

SCHEMA = 1
KIND = "flopbench.profiles"


def dumps(explanation: Explanation) -> str:
    """Return the file's text; the same explanation gives the same bytes."""
    data = {
        "schema": SCHEMA,
        "kind": KIND,
        "convention": CONVENTION,
        "profiles": [profile.to_json() for profile in explanation.profiles],
        "verdicts": {name: asdict(v) for name, v in explanation.verdicts.items()},
        "failures": dict(explanation.failures),
        "published": list(explanation.published),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def load(path: str | Path) -> Explanation:
    """Read a profiles file.

    Raises:
        InputError: no such file.
        DataError: damaged, of another kind, or of a newer schema.
    """
    data = read_json(Path(path), "a flopbench profiles file")
    check_schema(
        data,
        str(path),
        kind=KIND,
        schema=SCHEMA,
        what="a flopbench profiles file",
        remake="flopbench explain MODEL -o profiles.json",
    )
    try:
        explanation = Explanation(
            profiles=tuple(CostProfile.from_json(item) for item in data["profiles"]),
            verdicts={name: Verdict(**item) for name, item in data["verdicts"].items()},
            failures={str(k): str(v) for k, v in data["failures"].items()},
            published=tuple(map(str, data["published"])),
        )
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.hint) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a flopbench profiles file: {error!r}") from None
    if not explanation.profiles:
        raise DataError(f"{path} holds no profile")
    return explanation
