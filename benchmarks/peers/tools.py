"""Each counter called as its own documentation does, in its own process.

    python -m benchmarks.peers.tools table thop       counts Table 2
    python -m benchmarks.peers.tools exact thop       counts each network, and looks at what is left

The last line on standard output is JSON. ``imports`` and ``models`` are the floors: what measuring
needs imported, and the networks built but not counted.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.peers.networks import CLASSES, IMPORTS, NETWORKS, TABLE2, being_trained, build

Call = Callable[[Any, tuple[Any, ...]], int | None]


def thop(model: Any, inputs: tuple[Any, ...]) -> int:
    """As papers do, whatever its convention: the first number that comes back."""
    from thop import profile

    macs, _ = profile(model, inputs=inputs)
    return int(macs)


def fvcore(model: Any, inputs: tuple[Any, ...]) -> int:
    """Its flops are MACs."""
    from fvcore.nn import FlopCountAnalysis

    return int(FlopCountAnalysis(model, inputs).total())


def flop_counter_mode(model: Any, inputs: tuple[Any, ...]) -> int:
    """Two for each MAC."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as mode:
        model(*inputs)
    return int(mode.get_total_flops()) // 2


def flop_counter_mode_no_grad(model: Any, inputs: tuple[Any, ...]) -> int:
    """The same around inference code, which runs other kernels."""
    import torch

    with torch.no_grad():
        return flop_counter_mode(model, inputs)


def ptflops(model: Any, inputs: tuple[Any, ...], **options: Any) -> int | None:
    """Its backend by default; None where it gave up."""
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(
        model,
        tuple(inputs[0].shape[1:]),
        as_strings=False,
        print_per_layer_stat=False,
        input_constructor=lambda _: inputs[0],
        **options,
    )
    return None if macs is None else int(macs)


def ptflops_aten(model: Any, inputs: tuple[Any, ...]) -> int | None:
    """Its other backend."""
    return ptflops(model, inputs, backend="aten")


def calflops(model: Any, inputs: tuple[Any, ...]) -> int:
    """Its MACs; its FLOPs have two for each, and more."""
    from calflops import calculate_flops

    _, macs, _ = calculate_flops(
        model, args=list(inputs), output_as_string=False, print_results=False
    )
    return int(macs)


def torchinfo(model: Any, inputs: tuple[Any, ...]) -> int:
    """Its mult-adds."""
    from torchinfo import summary

    return int(summary(model, input_data=inputs, verbose=0).total_mult_adds)


def deepspeed(model: Any, inputs: tuple[Any, ...]) -> int:
    """Its MACs; its FLOPs have two for each, and more."""
    from deepspeed.profiling.flops_profiler import get_model_profile

    _, macs, _ = get_model_profile(model, args=list(inputs), print_profile=False, as_string=False)
    return int(macs)


def flopbench(model: Any, inputs: tuple[Any, ...]) -> int:
    """Dense MACs by the reference counter."""
    import flopbench

    return int(flopbench.profile(model, inputs).dense_macs)


TOOLS: dict[str, Call] = {
    "thop": thop,
    "fvcore": fvcore,
    "FlopCounterMode": flop_counter_mode,
    "FlopCounterMode, no_grad": flop_counter_mode_no_grad,
    "ptflops": ptflops,
    "ptflops, aten": ptflops_aten,
    "calflops": calflops,
    "torchinfo": torchinfo,
    "deepspeed": deepspeed,
    "flopbench": flopbench,
}


def not_counted(model: Any, inputs: tuple[Any, ...]) -> None:
    """Build it only."""


def count_table(name: str) -> dict[str, dict[str, Any]]:
    """Build and count Table 2, one network after the other; return MACs and CPU time of each."""
    if name == "imports":
        exec(IMPORTS)
        return {}
    import torch
    import torchvision

    call = TOOLS.get(name, not_counted)
    call(torch.nn.Conv2d(3, 8, 3), (torch.randn(1, 3, 8, 8),))  # imports what it needs
    found: dict[str, dict[str, Any]] = {}
    for network, pixels in TABLE2.items():
        begun_s = time.process_time()
        model = torchvision.models.get_model(network, num_classes=CLASSES).eval()
        macs = call(model, (torch.randn(1, 3, pixels, pixels),))
        found[network] = {"macs": macs, "cpu_s": round(time.process_time() - begun_s, 4)}
    return found


def count_one(job: tuple[str, str]) -> dict[str, Any]:
    """Count one network under one tool; return its figure, or its error, and what it changed."""
    from benchmarks.peers.changes import State

    tool, network = job
    model, inputs = being_trained() if network == "training" else build(network)
    before = State.of(model)
    found: dict[str, Any] = {}
    try:
        found["macs"] = TOOLS[tool](model, inputs)
    except Exception as error:  # a tool may fail in any way: that is a result
        found["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    found["changes"] = before.changes(State.of(model))
    return found


def count_each(tool: str, networks: list[str]) -> dict[str, Any]:
    """Count each in a process of its own, which has imported torch already."""
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        results = pool.map(count_one, [(tool, name) for name in networks], chunksize=1)
    return dict(zip(networks, results, strict=True))


def main() -> None:
    """Print the result as the last line."""
    what, tool, *networks = sys.argv[1:]
    if what == "table":
        print("\n" + json.dumps(count_table(tool)))
    else:
        print("\n" + json.dumps(count_each(tool, networks or [*NETWORKS, "training"])))


if __name__ == "__main__":
    main()
