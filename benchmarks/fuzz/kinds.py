"""Every kind of input that flopbench reads: how one is damaged, and the ways that it is read.

One of its ways to be read is drawn for each input.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

from benchmarks.fuzz import mutations as damage
from benchmarks.fuzz import readers as read_as
from benchmarks.fuzz.readers import BEGINNING, GOOD_ENTRY, Way, read
from benchmarks.fuzz.seeds import HEADER, ROOT
from flopbench.core.errors import FlopbenchError

TIMED = b"""\
{"format": "flopbench.policy-log", "steps": 2, "actions": ["a", "b"], "components": \
{"a": "mobilenet_v2@84,classes=200", "b": "resnet18@112,classes=200"}}
{"id": "v", "actions": [0, 1]}
"""
PRESET = """\
schema = 1
title = "t"
source = "s"

[policy]
actions = [
    { name = "resnet50@224", costs = { net = 1 } },
    { name = "resnet34@168", costs = { net = 1 } },
    { name = "resnet18@112", costs = { net = 1 } },
    { name = "mobilenet_v2@84" },
    { name = "skip 1", kind = "skip", span = 1 },
    { name = "skip 2", kind = "skip", span = 2 },
    { name = "skip 4", kind = "skip", span = 4 },
]
components = { net = "value:4000" }
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of input.

    Attributes:
        name: as ``--kind`` has it.
        file: what the damaged file is called.
        damage: how its structure is damaged; its bytes are damaged, too.
        ways: how it is read.
        bytes_too: share of the inputs whose bytes are damaged instead.
    """

    name: str
    file: str
    damage: damage.Mutate
    ways: tuple[Way, ...]
    bytes_too: float = 0.35

    def draw(self, rng: Random, seeds: list[bytes]) -> tuple[bytes, bool, Way]:
        """Return an input, whether no reader may accept it, and the way to read it."""
        seed = rng.choice(seeds)
        if rng.random() < self.bytes_too:
            data, never = damage.damaged_bytes(rng, seed)
        else:
            data, never = self.damage(rng, seed)
        way = rng.choice(self.ways)
        return data, never and way != BEGINNING, way


def _foreign(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage JSON of others: what no file of ours may hold, their unknown fields may."""
    return damage.damaged_json(rng, data)[0], False


def damaged_words(rng: Random, data: bytes) -> tuple[bytes, bool]:
    """Damage a command line: words in place of words, more of them, fewer of them."""
    words = json.loads(data)
    at = rng.randrange(len(words))
    odd = [
        *(
            "",
            "-",
            "--",
            "-1",
            "0",
            "9" * 40,
            "9" * 400,
            "9" * 5000,
            "nan",
            "inf",
            "1e400",
            "=",
            "@",
        ),
        *(
            "\udcff",
            "a\udcff.json",
            damage.LONG,
            "x" * 300 + ".json",
            "../..",
            ".",
            "/dev/null",
            "*",
        ),
        *("[", "{}", "a=b", "net=", "=x", "net=gru:12x5", "value:" + "9" * 400, "log.jsonl", "id:"),
    ]
    way = rng.randrange(5)
    if way < 3:
        words[at] = rng.choice(odd)
    elif way == 3:
        words.insert(at, rng.choice([*odd, *words, "--help", "--wide", "-o"]))
    else:
        del words[at]
    return json.dumps(words).encode(), False


LOG_WAYS = (
    *("estimate {} --resamples 20", "estimate {} --by class --resamples 20", "log validate {}"),
    *(
        BEGINNING,
        "log convert {} -o out.parquet",
        "log convert {} -o out.csv",
        "figure usage {}",
    ),
    *("log convert {} -o out.npz", "compare {} good.jsonl --resamples 20", "figure cost {}"),
    *("estimate {} --duplicates first --allow-truncated --resamples 20", "figure classes {}"),
)
SHORT_WAYS = ("estimate {} --resamples 20", "log validate {}", "log convert {} -o out.jsonl")
FROM = ("--from {}", "--from {} --format md", "--from {} --format json", "--from {} --format latex")


def _from(verb: str) -> tuple[str, ...]:
    return tuple(f"{verb} {words}" for words in FROM)


KINDS = (
    Kind("log-jsonl", "log.jsonl", damage.damaged_lines, LOG_WAYS),
    Kind("log-json", "log.json", damage.damaged_json, LOG_WAYS),
    Kind(
        "log-list", "list.json", damage.damaged_json,
        tuple(f"{way} --preset arnet.toml" for way in SHORT_WAYS),
    ),
    Kind(
        "log-map", "map.json", damage.damaged_json,
        tuple(f"{way} --preset arnet.toml" for way in SHORT_WAYS),
    ),
    Kind("log-header", "log.header.json", damage.damaged_json, (
        "estimate log.csv --resamples 20", "log validate log.csv", "log head log.csv",
    )),
    Kind("log-csv", "log.csv", damage.damaged_csv, (*LOG_WAYS[:-1], read_as.fast_csv)),
    Kind("log-parquet", "log.parquet", damage.damaged_parquet, LOG_WAYS),
    Kind("log-npz", "log.npz", damage.damaged_npz, LOG_WAYS),
    Kind("log-gzip", "log.jsonl.gz", damage.damaged_gzip, SHORT_WAYS),
    Kind("log-zstd", "log.jsonl.zst", damage.damaged_zstd, SHORT_WAYS),
    Kind("arnet-npz", "meta-val.npz", damage.damaged_npz, (
        *(f"{way} --preset arnet.toml" for way in SHORT_WAYS),
    )),
    Kind("shard", "run.rank0-of-2.jsonl", damage.damaged_lines, (
        "estimate run.jsonl --resamples 20", "log validate run.jsonl", "figure usage run.jsonl",
    )),
    Kind("journal", "run.jsonl", damage.damaged_lines, (read_as.journal,)),
    Kind("console", "console.txt", damage.damaged_text, (
        "estimate {} --preset arnet.toml --steps 16",
    )),
    Kind("shares", "log.csv", damage.damaged_csv, (
        "estimate {} --steps 6", "estimate {} --steps 6 --normalize", "figure usage {}",
    )),
    Kind("counts-csv", "counts.csv", damage.damaged_csv, (
        "estimate --counts {} --preset arnet.toml --resamples 20",
    )),
    Kind("counts-parquet", "counts.parquet", damage.damaged_parquet, (
        "estimate --counts {} --preset arnet.toml --resamples 20",
    )),
    Kind("table", "table.json", damage.damaged_json, (
        *_from("table"), "estimate good.jsonl --table {} --resamples 20",
    )),
    Kind("profiles", "profiles.json", damage.damaged_json, (
        "figure layers {}", "figure counters {}",
    )),
    Kind("timings", "timings.json", damage.damaged_json, (
        *_from("latency"), "compare {}", "compare {} good-timings.json", "figure theory {}",
        "figure roofline {}", "estimate timed.jsonl --table full.json --resamples 20 --times {}",
    )),
    Kind("replay", "replay.json", damage.damaged_json, (*_from("replay"), "figure waterfall {}")),
    Kind("baseline", "baseline.json", damage.damaged_json, (
        "check --verify-baseline --config flopbench-verify.toml",
    )),
    Kind("check-report", "report.json", damage.damaged_json, (
        "check --from {}", "check --from {} --format md --verbose", "check --from {} --format json",
        "check --from {} --junit j.xml --badge b.json --report r.json --verbose",
    )),
    Kind("configuration", "flopbench.toml", damage.damaged_toml, (read_as.configuration,)),
    Kind("pyproject", "pyproject.toml", damage.damaged_toml, (read_as.configuration,)),
    Kind("preset", "preset.toml", damage.damaged_toml, (
        "estimate exits.csv --preset {} --resamples 20", "log validate exits.csv --preset {}",
    )),
    Kind("claims", "claims.toml", damage.damaged_toml, ("audit {}", "audit {} --strict")),
    Kind("points", "points.csv", damage.damaged_csv, (read_as.points,)),
    Kind("cached-profile", "cached.json", damage.damaged_json, (read_as.cached_profile,)),
    Kind("cached-roofs", "roofs.json", damage.damaged_json, (read_as.cached_roofs,)),
    Kind("frames-npz", "frames.npz", damage.damaged_npz, (read_as.frames,)),
    Kind("frames-npy", "v0.npy", damage.damaged_bytes, (read_as.frames,)),
    Kind("image", "image.png", damage.damaged_bytes, (read_as.frames,)),
    Kind("annotations", "train.csv", damage.damaged_csv, (read_as.annotations,)),
    Kind("class-list", "classes.txt", damage.damaged_text, (read_as.class_list,)),
    Kind("code", "nets.py", damage.damaged_text, (read_as.code,)),
    Kind("specification", "specification.txt", damage.damaged_text, (read_as.specification,), 0.2),
    Kind("transformers", "config.json", _foreign, (read_as.transformers,)),
    Kind("arguments", "arguments.json", damaged_words, (read_as.arguments,), 0.0),
)  # fmt: skip


def lay_out(folder: Path, kind: Kind, seeds: dict[str, list[bytes]]) -> None:
    """Write the good files that stand beside the damaged one into its folder."""

    beside: dict[str, bytes] = {
        "good.jsonl": seeds["log-jsonl"][0],
        "good-timings.json": seeds["timings"][1],
        "run.rank1-of-2.jsonl": seeds["shard"][0]
        .replace(b'"rank": 0', b'"rank": 1')
        .replace(b'"id": "v', b'"id": "w'),
        "exits.csv": b"id,exit\na,frame 1\nb,9\n",
        "flopbench-verify.toml": b'baseline = "baseline.json"\n' + seeds["configuration"][0],
        "cached-good.json": seeds["cached-profile"][0],
        "classes.txt": b"a b\n",
        "arnet.toml": PRESET.encode(),
        "val.csv": seeds["annotations"][0].replace(b",x", b",y"),
        "timed.jsonl": TIMED,
        "full.json": (ROOT / "tests/data/table-schema1.json").read_bytes(),
    }
    if kind.file.startswith("log.") and kind.name != "log-header":
        beside["log.header.json"] = json.dumps(HEADER).encode()
    if kind.name in {"log-header", "arguments"}:
        beside["log.csv"] = seeds["log-csv"][0]
    if kind.name == "arguments":
        names = {"log.jsonl": "log-jsonl", "table.json": "table", "timings.json": "timings"}
        names["report.json"] = "check-report"
        beside |= {file: seeds[name][0] for file, name in names.items()}
    for name, data in beside.items():
        (folder / name).write_bytes(data)
    GOOD_ENTRY[:] = [folder / "cached-good.json"]


def refused_undamaged(
    kinds: Iterable[Kind], seeds: dict[str, list[bytes]], folder: Path
) -> list[str]:
    """Read each seed in each way; return those that no way accepts, and ways that accept none.

    It also loads what reading needs, once, before processes are forked.
    """
    refused = []
    for kind in kinds:
        own = folder / kind.name
        own.mkdir(parents=True)
        lay_out(own, kind, seeds)
        os.chdir(own)
        told: dict[tuple[int, Way], str] = {}
        for number, way in product(range(len(seeds[kind.name])), kind.ways):
            Path(kind.file).write_bytes(seeds[kind.name][number])
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                try:
                    accepted = read(way, Path(kind.file))
                except FlopbenchError as error:
                    printed.write(str(error))
                    accepted = False
            told[number, way] = "" if accepted else printed.getvalue()[-300:] or "refused"
        for at in (0, 1):
            for one in dict.fromkeys(key[at] for key in told):
                own_told = [text for key, text in told.items() if key[at] == one]
                if all(own_told):
                    refused.append(f"{kind.name} {one}: {own_told[0]}")
    return refused
