"""Valid inputs to start from: small ones that are written here, and files of the repository."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HEADER: dict[str, Any] = {
    "format": "flopbench.policy-log",
    "version": 1,
    "method": "m",
    "steps": 6,
    "actions": [
        {"name": "run", "costs": {"net": 1}},
        {"name": "small", "costs": {"net": 0.25}},
        {"name": "skip 2", "kind": "skip", "span": 2},
    ],
    "exits": [{"name": "first", "costs": {"net": 1}}],
    "charges": {"per_step": {"net": 0.5}},
    "components": {"net": 'value:1000000000 "round"'},
    "class_names": [*"abcde"],
    "metrics": {"top1": 50.5},
    "environment": {"torch": "2"},
}
STREAMS: dict[str, Any] = {
    "format": "flopbench.policy-log",
    "version": 1,
    "encoding": "per_decision",
    "steps": "varies",
    "streams": ["rgb", "flow"],
    "actions": {"rgb": ["net", "skip 2"], "flow": ["net", "skip"]},
    "components": {
        "net": {"variants": {"a": "value:5000", "b": 'value:7e3 "x"'}, "default": "a", "role": "b"}
    },
}
CONSOLE = """\
r0(resnet50 224)     :   1234 (12.34%)
r1(resnet34 168)     :   2000 (20.00%)
r2(resnet18 112)     :   3000 (30.00%)
m0(mobilenet_v2 84)  :   1000 (10.00%)
s0 (skip 1 frames)   :   1000 (10.00%)
s2 (skip 4 frames)   :   1766 (17.66%)
GFLOPS: 2.090000
"""
CLAIMS = """\
schema = 1
title = "t"
source = "s"
read_as = "MACs"

[components]
net = "value:4.1e9"

[[claim]]
id = "t8"
what = "8 frames a video"
printed = "32.8"
unit = "GFLOPS/video"
counts = { net = 8 }

[[claim]]
id = "u"
what = "a distribution"
printed = "65.7648"
unit = "GFLOPS/video"
shares = { "resnet50@224" = 1 }
preset = "uniform"
steps = 16
"""
CONFIGURATION = """\
[[entries]]
model = "linear:8x4"

[[entries]]
name = "policy"
policy-log = "log.jsonl"

[[budgets]]
match = "*"
metric = "macs"
limit = "65.4 GMACs"
max-increase = "5 %"
note = "why"
"""
POINTS = """\
approach,metric,percent,percent_low,percent_high,gflops_per_video,gflops_low,gflops_high,series,source
A,top-1,70.5,69,72,12.5,12,13,A,"X, 2020"
B,top-1,60,,,3.5,,,A,
"""
ANNOTATIONS = "label,youtube_id,time_start,time_end,split\na b,x1,1,11,train\nc,x2,0,10,train\n"
CODE = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, width: int = 8, pretrained: bool = True) -> None:
        super().__init__()
        self.a = nn.Linear(width, 4)

    def forward(self, x):
        return self.a(x)

def build(width=8) -> nn.Module:
    return Net(width)
"""
SPECIFICATIONS = (
    "lstm:12x5@16",
    "gru:12x5,layers=2,bidirectional=True",
    "linear:12x7@3",
    "resnet18@32,classes=7",
    "shufflenet_v2_x0_5#conv1@1x3x64x64",
    'value:1.8e9 "a paper"',
    "timm:vit_tiny_patch16_224@32,img_size=32,depth=1",
    "timm:resnet10t@32",
)
TRANSFORMERS = {
    "model_type": "vit",
    "architectures": ["ViTModel"],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "intermediate_size": 32,
    "patch_size": 16,
    "num_channels": 3,
    "hidden_act": "gelu",
    "id2label": {"0": "a", "1": "b"},
    "torch_dtype": "float32",
}
ARGUMENTS = (
    ["estimate", "log.jsonl", "--rule", "exact", "--resamples", "10", "--seed", "1"],
    ["estimate", "log.jsonl", "--component", "net=value:7", "--by", "class"],
    ["compare", "log.jsonl", "good.jsonl", "--cluster", "id:v", "--metric", "top-1", "--anyway"],
    ["log", "head", "log.jsonl", "-n", "2"],
    ["log", "convert", "log.jsonl", "-o", "out.csv", "--random", "--seed", "3"],
    ["table", "value:5", "--format", "latex", "--for", "column", "--columns", "network,MACs"],
    ["table", "--from", "table.json", "--sort=-torch", "--wide"],
    ["audit", "--claim", "1.2 GFLOPs", "--model", "linear:8x4", "--frames", "2", "--share", "0.5"],
    ["check", "--from", "report.json", "--format", "md", "--junit", "j.xml", "--badge", "b.json"],
    ["latency", "--from", "timings.json", "--columns", "network,ms"],
    ["completion", "bash"],
)


def _samples() -> list[dict[str, Any]]:
    rows = [[0, 1, 2, 2, 0, 1], [1, 1, 0, 0, 2, 2], [0, 0, 0, 0, 0, 0], [2, 2, 2, 2, 1, 0]]
    return [
        {
            "id": f"v{n}",
            "view": n % 2,
            "labels": [n],
            "prediction": n,
            "actions": row,
            "scores": [0.5, 0.25, 0.125, n, 0.5],
            "counts": {"net": 2},
            "latency_ms": 1.5,
            "frames": [f"f,{k}.jpg" for k in range(6)],
            "extra": {"é": "x", "clip": f"c{n}"},
        }
        for n, row in enumerate(rows)
    ]


def _lines(*values: Any) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in values).encode()


def _logs() -> list[bytes]:
    plain = [{"id": s["id"], "labels": s["labels"], "actions": s["actions"]} for s in _samples()]
    two = {"id": "v", "actions": {"rgb": [0, 1], "flow": ["net", "skip", "skip"]}, "exit": None}
    with gzip.open(ROOT / "reports/policy_learning/logs/gumbel-sampling-s0.jsonl.gz") as stream:
        trained = b"".join(stream.readline() for _ in range(9))
    exits = {k: v for k, v in HEADER.items() if k not in {"actions", "charges", "steps"}}
    return [
        _lines(HEADER, *_samples()),
        _lines(HEADER, *plain),
        _lines(STREAMS, two),
        _lines(exits, {"id": "a", "exit": "first"}, {"id": "b", "exit": 0}),
        trained,
    ]


def main(*words: str) -> int:
    """Run the command line here; return the exit status."""
    from flopbench import cli

    if not hasattr(cli.build_parser, "cache_info"):  # it takes longer than most inputs
        cli.build_parser = cache(cli.build_parser)
    try:
        return cli.main(words)
    except SystemExit as ended:
        return int(ended.code or 0)


def _converted(folder: Path, logs: list[bytes], suffix: str) -> list[bytes]:
    found = []
    for number, log in enumerate(logs):
        source, target = folder / f"{number}.jsonl", folder / f"{number}.{suffix}"
        source.write_bytes(log)
        if main("log", "convert", str(source), "-o", str(target)) == 0:
            found.append(target.read_bytes())
    return found


def _arrays() -> dict[str, list[bytes]]:
    import numpy as np

    def npz(**arrays: Any) -> bytes:
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        return stream.getvalue()

    frames = np.arange(6 * 8 * 8 * 3, dtype=np.uint8).reshape(6, 8, 8, 3)
    npy = io.BytesIO()
    np.save(npy, frames)
    arnet = npz(
        rs=np.eye(7, dtype=np.float32)[np.arange(12).reshape(2, 6) % 4],
        names=np.array(["a", "bé"]),
        results=np.zeros((2, 3), np.float32),
        targets=np.array([[1, -1, -1], [2, 3, -1]]),
        indices=np.arange(12).reshape(2, 6),
    )
    found = {"arnet-npz": [arnet], "frames-npz": [npz(v0=frames, v1=frames[..., 0])]}
    images = []
    from PIL import Image

    for format in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"):
        stream = io.BytesIO()
        Image.fromarray(frames[0]).save(stream, format)
        images.append(stream.getvalue())
    return found | {"frames-npy": [npy.getvalue()], "image": images}


def _measured(folder: Path) -> dict[str, list[bytes]]:
    """Return files that the program makes of one small layer: with torch, in a second."""
    (folder / "flopbench.toml").write_text(CONFIGURATION, "utf-8")
    (folder / "log.jsonl").write_bytes(_logs()[0])
    main("explain", "linear:8x4", "-o", "profiles.json")
    main("accept", "--all", "--reason", "first", "--in-ci")
    main("check", "--report", "same.json")
    changed = CONFIGURATION.replace("65.4 GMACs", "1 MACs")
    (folder / "flopbench.toml").write_text(changed, "utf-8")
    main("check", "--report", "worse.json")
    from flopbench.counting import cache

    return {
        "profiles": [(folder / "profiles.json").read_bytes()],
        "baseline": [(folder / ".flopbench/baseline.json").read_bytes()],
        "check-report": [(folder / name).read_bytes() for name in ("same.json", "worse.json")],
        "cached-profile": [min(cache.files()).read_bytes()],
    }


def _roofs() -> bytes:
    best = {"seconds": 0.5, "repeats": 9, "clock": "perf_counter", "others": 0.0}
    matmul = [{**best, "dtype": "fp32", "n": 512, "flops_per_s": 5e10}]
    copy = {**best, "buffer_bytes": 4096, "bytes_per_s": 1e10}
    roofs = {"device": "cpu", "threads": 1, "matmul": matmul, "copy": copy}
    return json.dumps({"key": "k", "roofs": roofs}).encode()


def _table() -> bytes:
    table = json.loads((ROOT / "tests/data/table-schema1.json").read_bytes())
    table["rows"] = table["rows"][:4]
    return json.dumps(table).encode()


def make_seeds(folder: Path) -> Mapping[str, list[bytes]]:
    """Return the valid inputs of each kind; the folder is for making them."""
    before = Path.cwd(), os.environ.get("FLOPBENCH_CACHE_DIR")
    os.chdir(folder)
    os.environ["FLOPBENCH_CACHE_DIR"] = str(folder / "cache")
    try:
        with redirect_stdout(io.StringIO()):
            return _made(folder)
    finally:
        os.chdir(before[0])
        os.environ.pop("FLOPBENCH_CACHE_DIR")
        os.environ.update({} if before[1] is None else {"FLOPBENCH_CACHE_DIR": before[1]})


def _made(folder: Path) -> dict[str, list[bytes]]:
    import duckdb

    logs = _logs()
    timings = [ROOT / "tests/data/timings-schema1.json", ROOT / "tests/data/timings.json"]
    counts = "video,label,action,n,decisions\na,1,skip 4,8,2\nb,é,0,8,8\n"
    (folder / "counts.csv").write_text(counts, "utf-8")
    duckdb.sql(f"COPY (FROM '{folder}/counts.csv') TO '{folder}/counts.parquet' (FORMAT parquet)")
    listed = [{"id": s["id"], "actions": s["actions"]} for s in _samples()]
    mapped = {"a": [0, 1], "b": {"actions": [0, 2], "labels": [3]}}
    made = partial(_converted, folder, logs)
    preset = (ROOT / "flopbench/models/presets/frameexit.toml").read_bytes()
    return {
        "log-jsonl": logs,
        "log-json": made("json"),
        "log-list": [json.dumps(listed).encode()],
        "log-map": [json.dumps(mapped).encode()],
        "log-header": [json.dumps(HEADER).encode(), json.dumps(STREAMS).encode()],
        "log-csv": made("csv")[:2],
        "log-parquet": made("parquet"),
        "log-npz": made("npz"),
        "log-gzip": made("jsonl.gz"),
        "log-zstd": made("jsonl.zst"),
        "shard": [_lines({**HEADER, "shard": {"rank": 0, "of": 2}}, *_samples()[:2])],
        "journal": logs[1:2],
        "console": [CONSOLE.encode()],
        "shares": [b"action,share\nrun,31%\nskip 2,0.69\n"],
        "counts-csv": [counts.encode()],
        "counts-parquet": [(folder / "counts.parquet").read_bytes()],
        "table": [_table()],
        "timings": [path.read_bytes() for path in timings],
        "replay": [(ROOT / "reports/replay-amd-epyc.json").read_bytes()],
        "cached-roofs": [_roofs()],
        "configuration": [CONFIGURATION.encode()],
        "pyproject": [CONFIGURATION.replace("[[", "[[tool.flopbench.").encode()],
        "preset": [preset],
        "claims": [CLAIMS.encode()],
        "points": [POINTS.encode()],
        "annotations": [ANNOTATIONS.encode()],
        "class-list": [b"a b\nc\n", logs[0]],
        "code": [CODE.encode()],
        "specification": [text.encode() for text in SPECIFICATIONS],
        "transformers": [json.dumps(TRANSFORMERS).encode()],
        "arguments": [json.dumps(words).encode() for words in ARGUMENTS],
        **_arrays(),
        **_measured(folder),
    }
