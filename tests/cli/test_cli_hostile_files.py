"""What a file from somebody else cannot do: start code, load a file, reach beyond its folder."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from running import run_here
from sweeps import each

from flopbench.check.baseline.content import digest_of

SAMPLES = [{"id": "a", "actions": [0]}]
NEVER = {
    "import": "payload",
    "exec": "payload",
    "open": "outside",
    "pickle.find_class": "",
    "subprocess.Popen": "",
    "os.system": "",
    "os.exec": "",
    "os.posix_spawn": "",
    "socket.connect": "",
    "socket.getaddrinfo": "",
}
"""Events of ``sys.addaudithook`` -> what their arguments must not hold."""


def header(net: Any, **more: Any) -> dict[str, Any]:
    """Return the header of a log that runs one component once."""
    return {"components": {"net": net}, "actions": [{"name": "net", "costs": {"net": 1}}], **more}


def write(path: Path, *lines: Mapping[str, Any]) -> None:
    """Write JSON, a value a line."""
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")


# Name of a log -> what its header says, and what the refusal says beside the log's name.
LOGS: dict[str, tuple[dict[str, Any], str]] = {
    "checkpoint": (
        header("timm:resnet18@64,checkpoint_path=outside/w.pth"),
        "for net (timm:resnet18@64,checkpoint_path=outside/w.pth): wants to load weights",
    ),
    "config": (
        header("timm:resnet18@64,pretrained_cfg={'file':'outside/w.pth'}"),
        "wants to load weights",
    ),
    "folder": (header("timm:resnet18@64,cache_dir='../outside'"), "cache_dir is no option"),
    "path": (header("timm:resnet18@64,act_layer='outside/w.pth'"), "act_layer='outside/w.pth'"),
    "weights": (header("resnet18@64,weights=DEFAULT"), "wants to load weights"),
    "hub": (header("timm:hf-hub:outside/net@64"), "timm has no model"),
    "local": (header("timm:local-dir:outside@64"), "timm has no model"),
    "variant": (
        header({"variants": {"v": "timm:resnet18@64,pretrained=True"}, "default": "v"}),
        "wants to load weights",
    ),
    "code": (header("payload.py:build@8"), "a log does not run code"),
    "module": (header("payload:build@8"), "a log does not run code"),
    "repository": (header("transformers:outside/config.json@8"), "a log does not run code"),
    "preset": ({"preset": "../outside/p.toml"}, "preset is '../outside/p.toml', which is not in"),
    "escaped": ({"preset": "../../outside/p"}, "there is no preset '../../outside/p'"),
    "linked": ({"preset": "link.toml"}, "preset is 'link.toml', which is not in the folder"),
    "short": ({"preset": "../outside/p.toml", "actions": ["net"]}, "which is not in the folder"),
}  # fmt: skip


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder of files from somebody else, next to one that they must not reach."""
    here, outside = tmp_path / "here", tmp_path / "outside"
    here.mkdir()
    outside.mkdir()
    for place in (here / "payload.py", outside / "net.py"):
        place.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    (outside / "w.pth").write_bytes(b"\x80\x04cposix\nsystem\n(S'touch ran'\ntR.")
    (outside / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (outside / "p.toml").write_text('schema = 1\n[policy.components]\nnet = "value:1"\n')
    (here / "outside").symlink_to(outside)
    (here / "link.toml").symlink_to(outside / "p.toml")
    for name, (said, _) in LOGS.items():
        write(here / f"{name}.jsonl", said, *SAMPLES)
    for name in ("beside.csv", "plain.csv"):
        (here / name).write_text("id,action\na,net\n", encoding="utf-8")
    write(here / "beside.header.json", {"preset": "../outside/p.toml"})
    arrays = {"id": np.array(["a"]), "actions": np.array([[0]])}
    np.savez(here / "arrays.npz", header=np.array(json.dumps(LOGS["checkpoint"][0])), **arrays)
    np.savez(here / "objects.npz", header=np.array([{}], dtype=object), **arrays)
    (here / "pickled.jsonl").write_bytes((outside / "w.pth").read_bytes())
    claim = 'id = "c"\nwhat = "w"\nprinted = "1"\nunit = "GFLOPS"\n'
    for name, text in {
        "claims-code": f'[[claim]]\n{claim}model = "payload.py:build@8"\n',
        "claims-weights": f'[[claim]]\n{claim}model = "timm:resnet18@64,pretrained=True"\n',
        "claims-preset": f'[[claim]]\n{claim}shares = {{ net = 1 }}\npreset = "outside/p.toml"\n',
        "includes": 'schema = 1\ninclude = ["outside/p.toml"]\n',
        "table": 'schema = 1\nsource = "s"\ncounted_by = "torch"\n[[table]]\n'
        'model = "payload.py:build"\ninput = "8"\npublished_gflops = "1"\n',
        "policy": 'schema = 1\n[policy]\nactions = ["net"]\n[policy.components]\n'
        'net = "payload.py:build@8"\n',
    }.items():
        (here / f"{name}.toml").write_text(text, encoding="utf-8")
    return here


def results(here: Path) -> list[list[str]]:
    """Write results that name code, and return the commands that read them."""
    row = {"model": "payload.py:build", "counter": "torch", "total_macs": 5, "dense_macs": 5}
    rows = [{**row, "status": "verified", "spec": "payload.py:build@8"}]
    write(here / "table.json", {"kind": "flopbench.cost-table", "schema": 1, "rows": rows})
    times = (ROOT / "tests/data/timings.json").read_text(encoding="utf-8")
    (here / "times.json").write_text(
        times.replace("resnet18@112,classes=200", "payload.py:build@8")
    )
    assert run_here(["init", "linear:4x4"], here, dict(os.environ)).returncode == 0
    path = here / ".flopbench" / "baseline.json"
    baseline = json.loads(path.read_text(encoding="utf-8"))
    entry = {**baseline["entries"]["linear:4x4"], "spec": "payload.py:build@8"}
    entry["digest"] = digest_of("payload.py:build@8", entry)
    baseline["entries"]["payload.py:build@8"] = entry
    write(path, baseline)
    return [
        ["table", "--from", "table.json"],
        ["estimate", "code.jsonl", "--table", "table.json", "--counter", "torch"],
        ["latency", "--from", "times.json"],
        ["check"],
    ]


def cases() -> list[tuple[list[str], list[str]]]:
    """Return arguments, and what their refusal says: the file, and the field."""
    found = [
        (["estimate", f"{name}.jsonl"], [said, f"{name}.jsonl"]) for name, (_, said) in LOGS.items()
    ]
    for verb in ["compare"], ["plot", "cost", "-o", "c.svg"], ["report", "-o", "page"]:
        found.append(([*verb, "code.jsonl"], ["a log does not run code"]))
        found.append(([*verb, "checkpoint.jsonl"], ["checkpoint_path=outside/w.pth"]))
    return [
        *found,
        (["replay", "code.jsonl", "--device", "cpu"], ["net (payload.py:build@8)", "run code"]),
        (["replay", "checkpoint.jsonl", "--device", "cpu"], ["wants to load weights"]),
        (["estimate", "code.jsonl", "--times", "times.json"], ["a log does not run code"]),
        (["log", "validate", "preset.jsonl"], ["preset.jsonl:1: header: preset"]),
        (["estimate", "beside.csv"], ["beside.header.json: header: preset"]),
        (["estimate", "arrays.npz"], ["arrays.npz", "checkpoint_path"]),
        (["estimate", "objects.npz"], ["objects.npz", "pickled"]),
        (["estimate", "pickled.jsonl"], ["pickled.jsonl", "is a pickle"]),
        (["audit", "claims-code.toml"], ["claims-code.toml, claim 1 ('c'): model is", "code"]),
        (["audit", "claims-weights.toml"], ["claims-weights.toml, claim 1 ('c')", "pretrained"]),
        (["audit", "claims-preset.toml"], ["claims-preset.toml, claim 1 ('c'): preset is"]),
        (["table", "--preset", "includes.toml"], ["includes.toml: include is 'outside/p.toml'"]),
        (["table", "--preset", "table.toml"], ["table.toml, [[table]] 1: model is", "code"]),
        (["estimate", "plain.csv", "--preset", "policy.toml"], ["a log does not run code"]),
        (["table", "timm:resnet18@64,checkpoint_path=outside/w.pth"], ["wants to load weights"]),
        (["table", "resnet18@64,weights=DEFAULT"], ["wants to load weights"]),
    ]  # fmt: skip


def traced(runs: list[tuple[list[str], list[str]]], folder: Path) -> list[dict[str, Any]]:
    """Run commands in a fork of this process that notes what they open, import and start."""
    answer = folder.parent / "answer.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks where there are threads
        child = os.fork()
    if child == 0:
        try:
            seen: list[str] = []
            sys.addaudithook(lambda event, args: _note(event, args, seen))
            found = []
            for args, _ in runs:
                seen.clear()
                done = run_here(args, folder, dict(os.environ))
                found.append({"args": args, "status": done.returncode, "seen": [*seen]})
                found[-1] |= {"out": done.stdout, "err": done.stderr}
            answer.write_text(json.dumps(found), encoding="utf-8")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return list(json.loads(answer.read_text(encoding="utf-8")))


def _note(event: str, args: tuple[Any, ...], seen: list[str]) -> None:
    if event in NEVER:
        text = args[0].co_filename if event == "exec" else str(args[0])
        if NEVER[event] in text and text != sys.executable:  # a worker is no program of theirs
            seen.append(f"{event} {text}")


def test_nothing_is_opened_or_started_that_a_file_names(trap: Path) -> None:
    """Logs, headers, presets, claims: one refusal each, with file and field, and nothing read."""
    pytest.importorskip("timm")
    runs = cases()
    named = [(args, [""]) for args in results(trap)]
    found, shown = (traced(one, trap) for one in (runs, named))

    def check(one: dict[str, Any], needles: list[str]) -> None:
        assert (one["status"], one["out"], one["seen"]) == (2, "", []), one
        assert one["err"].count("error:") == 1, one
        assert all(needle in one["err"] for needle in needles), one

    each(list(zip(found, (needles for _, needles in runs), strict=True)), check)
    for one in shown:
        gone = one["args"] == ["check"]  # an entry that the configuration does not have
        assert (one["status"], one["seen"]) == (int(gone), []), one
    assert not (trap.parent / "ran").exists()


def test_the_trace_sees_what_is_opened(trap: Path) -> None:
    """The same trace names a module that is started, and a file outside that is read."""
    named = ["log", "head", "plain.csv", "--preset", "outside/p.toml"]
    found = traced([(["table", "payload.py:build@8"], []), (named, [])], trap)
    assert any("payload.py" in text for text in found[0]["seen"])
    assert any("outside/p.toml" in text for text in found[1]["seen"])
