"""Table 2 by each counter: what it costs, how exact counters are, what they leave in the model."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.common import (
    Cost,
    Options,
    Ratio,
    Verdict,
    ratio,
    run,
    say,
    spread,
    table,
    take_turns,
)
from benchmarks.peers.networks import IMPORTS, NETWORKS, TABLE2
from flopbench.core.statistics import median
from flopbench.core.units import giga, plain_number

if TYPE_CHECKING:
    from flopbench.present.draw.drawing import Drawing

REPEATS = 5
DISTRIBUTIONS = (
    *("torch", "torchvision", "thop", "fvcore", "ptflops", "calflops", "torchinfo", "deepspeed"),
    "transformers",
)
PEERS = ("thop", "fvcore", "FlopCounterMode", "ptflops", "calflops", "torchinfo", "deepspeed")
THREE = PEERS[:3]
"""Those whose libraries the default counters are."""
CALLED = {
    "thop": ("profile(model, inputs=(x,))", "the snippet of papers; 1 per MAC, called FLOPs there"),
    "fvcore": ("FlopCountAnalysis(model, (x,)).total()", "1 per MAC, called FLOPs"),
    "FlopCounterMode": ("with FlopCounterMode(): model(x)", "2 per MAC, halved here"),
    "FlopCounterMode, no_grad": ("with torch.no_grad(), FlopCounterMode(): model(x)", "the same"),
    "ptflops": ("get_model_complexity_info(model, shape)", "1 per MAC"),
    "ptflops, aten": ("get_model_complexity_info(model, shape, backend='aten')", "the same"),
    "calflops": ("calculate_flops(model, args=[x])", "its MACs; its FLOPs are 2 each, and more"),
    "torchinfo": ("summary(model, input_data=(x,)).total_mult_adds", "1 per MAC"),
    "deepspeed": (
        "get_model_profile(model, args=[x])",
        "its MACs; its FLOPs are 2 each, and more",
    ),
    "flopbench": ("flopbench.profile(model, (x,)).dense_macs", "1 per MAC"),
}
"""Tool -> how it is called, and in which convention it answers. Two can be called in another way,
which costs about as much: only how exact that is is asked."""
CHANGES = {
    "keys": "state_dict keys",
    "values": "its values",
    "training": "training flags",
    "requires_grad": "requires_grad",
    "hooks": "hooks",
    "forward": "forward methods",
    "attributes": "attributes",
    "torch": "functions of torch",
}
COLD, WARM, OWN = "flopbench table, first", "flopbench table, again", "flopbench"
"""The verb with three counters and their verdict; the function with one counter, as peers have."""


def measure(options: Options) -> dict[str, Any]:
    """Return costs of each process, round by round, and what each tool says of each network."""
    tools = ("thop", OWN) if options.tiny else (*PEERS, OWN)
    networks = ["lstm", "training"] if options.tiny else [*NETWORKS, "training"]
    exact = [name for name in CALLED if name in tools or not options.tiny]
    say("exactness, not timed")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = dict(zip(exact, pool.map(lambda t: _exact(t, networks), exact), strict=True))
    calls: dict[str, Callable[[], tuple[Cost, Any]]] = {
        name: partial(_module, "table", name) for name in ("imports", "models", *tools)
    }
    calls[COLD] = partial(_verb, options.folder, "")
    calls[WARM] = partial(_verb, options.folder, "warm")
    calls[WARM]()  # fills the cache of profiles; file caches and bytecode are there by now
    rounds = take_turns(calls, options.repeats)
    return {
        "costs": {name: [cost for cost, _ in own] for name, own in rounds.items()},
        "table2": {
            name: {
                network: {
                    "macs": rounds[name][0][1][network]["macs"],
                    "cpu_s": [one[network]["cpu_s"] for _, one in rounds[name]],
                }
                for network in TABLE2
            }
            for name in ("models", *tools)
        },
        "exact": said,
    }


def _module(*words: str) -> tuple[Cost, Any]:
    cost, output = run([sys.executable, "-m", "benchmarks.peers.tools", *words])
    return cost, json.loads(output.splitlines()[-1])


def _exact(tool: str, networks: list[str]) -> Any:
    _, said = _module("exact", tool, *networks)
    say(f"  {tool}")
    return said


def _verb(folder: Path, cache: str) -> tuple[Cost, Any]:
    """Run the verb with a cache that stays, or with a new one."""
    at = folder / (cache or f"cold-{len(list(folder.iterdir()))}")
    at.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "flopbench", "table"]
    return run(command, {"FLOPBENCH_CACHE_DIR": str(at)})[0], None


def of(data: dict[str, Any], name: str, field: str) -> list[float]:
    """Return one quantity of one process, round by round."""
    return [cost[field] for cost in data["costs"][name]]


def against(data: dict[str, Any], own: str, name: str, field: str = "cpu_s") -> Ratio:
    """Return flopbench's cost as a multiple of another's."""
    return ratio(of(data, own, field), of(data, name, field))


def peers(data: dict[str, Any]) -> list[str]:
    """Return the peers that were measured."""
    return [name for name in PEERS if name in data["costs"]]


def is_exact(data: dict[str, Any], tool: str, network: str) -> bool:
    """Whether a tool's figure is the truth."""
    return bool(data["exact"][tool][network].get("macs") == NETWORKS[network].dense_macs)


def verdicts(data: dict[str, Any]) -> list[Verdict]:
    """Compare with each peer: what it costs, how often it is exact, what it leaves alone."""
    found = []
    for what, own, field in (
        ("CPU, flopbench table, again", WARM, "cpu_s"),
        ("CPU, flopbench.profile", OWN, "cpu_s"),
        ("CPU, flopbench table, first", COLD, "cpu_s"),
        ("peak memory, flopbench.profile", OWN, "peak_mb"),
        ("peak memory, flopbench table, first", COLD, "peak_mb"),
    ):
        for peer in peers(data):
            one = against(data, own, peer, field)
            reason = _reason(data, own, field) if one.median > 1 else ""
            made = Verdict(
                what=what, peer=peer, ratio=str(one), ahead=one.median <= 1, reason=reason
            )
            found.append(made)
    if {*THREE} <= {*data["costs"]}:
        together = [
            sum(costs) for costs in zip(*(of(data, t, "cpu_s") for t in THREE), strict=True)
        ]
        one = ratio(of(data, COLD, "cpu_s"), together)
        reason = _reason(data, COLD, "cpu_s") if one.median > 1 else ""
        made = Verdict(
            what="CPU, flopbench table, first",
            peer=f"{' + '.join(THREE)}, which it runs",
            ratio=str(one),
            ahead=one.median <= 1,
            reason=reason,
        )
        found.append(made)
    for what, right in (("exact figures", _exact_count), ("left unchanged", _unchanged_count)):
        own_count, of_all = right(data, OWN), len(data["exact"][OWN])
        for peer in peers(data):
            count = right(data, peer)
            said = f"{own_count} against {count} of {of_all - (right is _exact_count)}"
            found.append(Verdict(what=what, peer=peer, ratio=said, ahead=own_count >= count))
    return found


def _reason(data: dict[str, Any], own: str, field: str) -> str:
    """Say what flopbench does beside where a peer takes less."""
    if own == COLD:
        return "three counters, the libraries of three, and their verdict"
    if field == "peak_mb":
        return "a private copy of the model is counted"
    return (
        "a private copy is counted, and every module, operator and gap is recorded: "
        f"{_above(data, own):.2f} s beyond imports and building"
    )


def _above(data: dict[str, Any], name: str) -> float:
    """Return the CPU time of counting alone: beyond imports and building."""
    floor = zip(of(data, name, "cpu_s"), of(data, "models", "cpu_s"), strict=True)
    return median([one - base for one, base in floor])


def _exact_count(data: dict[str, Any], tool: str) -> int:
    return sum(is_exact(data, tool, n) for n in data["exact"][tool] if n in NETWORKS)


def _unchanged_count(data: dict[str, Any], tool: str) -> int:
    return sum(not one["changes"] for one in data["exact"][tool].values())


def section(data: dict[str, Any]) -> str:
    """Return this part of the page."""
    return "\n\n".join(
        [
            "## Counters: Table 2 of the AR-Net supplement",
            _costs(data).strip(),
            "![CPU time of building and counting a network against its MACs](counters.svg)",
            _figures_of_each(data).strip(),
            "## Counters: exactness",
            _exactness(data).strip(),
            "## Counters: the model afterwards",
            _afterwards(data).strip(),
        ]
    )


def _costs(data: dict[str, Any]) -> str:
    titles = {
        "imports": f"floor: {IMPORTS}",
        "models": "floor: torch, torchvision, seven networks built",
        OWN: "flopbench.profile, one counter",
        COLD: f"{COLD}: three counters",
    }
    rows = []
    for name in data["costs"]:
        numbers = [spread(of(data, name, field)) for field in Cost.__annotations__]
        ours = ["" if name == own else str(against(data, own, name)) for own in (OWN, COLD, WARM)]
        rows.append([titles.get(name, name), *numbers, *ours])
    head = ["process", "wall s", "CPU s", "peak MB"]
    head += [f"{own} / it" for own in ("profile", "table, first", "table, again")]
    text = (
        "Each process imports what it needs, builds the seven networks with 200 classes and counts "
        "them. CPU: user and system, of all processes that it starts. Ratios are of CPU time. "
        "The peak is that of the largest process, and not below that of the one that measures, "
        f"about {min(of(data, WARM, 'peak_mb')):.0f} MB. "
        "`flopbench table` begins with an empty cache, then with the one that is full."
    )
    called = "\n".join(f"- {t}: `{CALLED[t][0]}`: {CALLED[t][1]}" for t in data["exact"])
    return f"{text}\n\n{called}\n\n{table('Cost of Table 2', head, rows)}"


def _figures_of_each(data: dict[str, Any]) -> str:
    """What each prints, in its own convention."""
    tools = [name for name in data["table2"] if name != "models"]
    rows = [
        [f"{network}@{pixels}", *(giga(data["table2"][t][network]["macs"]) for t in tools)]
        for network, pixels in TABLE2.items()
    ]
    return table(
        "GMACs as each tool returns them; norms, biases and pools by its own rules",
        ["network", *(t if t != OWN else "flopbench, dense" for t in tools)],
        rows,
    )


def _exactness(data: dict[str, Any]) -> str:
    networks = [name for name in NETWORKS if name in data["exact"][OWN]]
    errors: list[str] = []
    rows = [
        [
            tool,
            *(_off(own[network], network, errors) for network in networks),
            f"{_exact_count(data, tool)} of {len(networks)}",
        ]
        for tool, own in data["exact"].items()
    ]
    rows.insert(0, ["truth, GMACs", *(giga(NETWORKS[n].dense_macs) for n in networks), ""])
    head = ["tool", *(NETWORKS[n].text for n in networks), "exact"]
    text = (
        "How far what a call returns is from the dense MACs, which are formulas of the "
        "architecture (`benchmarks/peers/networks.py`), not a count. Tools that price norms, "
        "biases and pools as well are off by that, too; −100 % is a silent zero."
    )
    notes = "\n".join(f"[{n}] {error}" for n, error in enumerate(errors, 1))
    return f"{text}\n\n{table('Off the dense MACs', head, rows)}\n{notes}"


def _off(said: dict[str, Any], network: str, errors: list[str]) -> str:
    if said.get("macs") is None:
        error = said.get("error", "an error is printed and None comes back")
        if error not in errors:
            errors.append(error)
        return f"fails [{errors.index(error) + 1}]"
    truth = NETWORKS[network].dense_macs
    off = 100 * (said["macs"] - truth) / truth
    if not off:
        return "exact"
    size = f"{abs(off):.1f}" if abs(off) >= 0.05 else plain_number(abs(off))
    return f"{'+' if off > 0 else '−'}{size} %"


def _afterwards(data: dict[str, Any]) -> str:
    """Yes or no for each thing that counting must not change, with what changed."""
    rows = []
    for tool, own in data["exact"].items():
        order = sorted(own, key=lambda network: network != "training")
        cells = {kind: text for n in reversed(order) for kind, text in own[n]["changes"].items()}
        rows.append([tool, *(cells.get(kind, "no") for kind in CHANGES)])
    text = (
        "Changed by a call, as it is documented? Of the networks above, and of a ResNet-18 that "
        "is being fine-tuned, its stem frozen and in inference mode. A number counts what "
        "changed (of the fine-tuned network where it is among them); names follow. `fvcore` and "
        "`FlopCounterMode` run a model in the mode that it is in: in training, batch norm learns "
        "from the input."
    )
    return (
        f"{text}\n\n{table('Changed?', ['tool', *CHANGES.values()], rows, text=1 + len(CHANGES))}"
    )


def figures(data: dict[str, Any]) -> dict[str, Drawing]:
    """Return the plot."""
    from benchmarks.peers.drawing import cost_against_macs

    return {"counters": cost_against_macs(data)}
