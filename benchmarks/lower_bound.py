"""The lower bound by operator against measured time, for twenty networks on the CPU.

For each network: the bound of its operators one after another on the roofs measured here, the
bound of the whole-network roofline (dense FLOPs at the best matrix product, weights at the best
copy), the measured time, and how well each ranks the networks. Prints; asserts nothing.

    python benchmarks/lower_bound.py [--processes 1] [--budget 0.5] [-o timings.json]

Three to five minutes on one core. Run it on a quiet machine: a roof measured while others compute
is too low, and ``--refresh`` measures the roofs again.
"""

from __future__ import annotations

import argparse
import sys

from torch import nn

from flopbench.core.units import FLOPS_PER_MAC
from flopbench.present.figures.theory import rank_correlation
from flopbench.timing.file import TimingFile
from flopbench.timing.records import Timing, TimingSpec
from flopbench.timing.run import Effort, describe_device, time_models
from flopbench.timing.verdicts import BYTES, summarise

NETWORKS = (
    *("resnet18@112", "resnet50@112", "vgg11@112", "densenet121@112", "googlenet@112"),
    *("mobilenet_v2@112", "mobilenet_v3_small@112", "efficientnet_b0@112", "mnasnet0_5@112"),
    *("shufflenet_v2_x1_0@112", "squeezenet1_1@112", "regnet_y_400mf@112", "convnext_tiny@112"),
    *("resnext50_32x4d@112", "swin_t@112", "vit_b_32@224", "r3d_18@8x64x64"),
    *("lstm:512x512@32", "linear:4096x1024", "benchmarks/lower_bound.py:small@32"),
)


def small() -> nn.Module:
    """Return a network whose calls take less time than their launch."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def whole_network_s(row: Timing) -> float:
    """Return the least time by the roofline of the whole network."""
    macs, params = row.work.dense_macs or 0, row.work.params or 0
    flops_s = FLOPS_PER_MAC * macs * row.what.batch / (row.roofs["flops_per_s"] or 1)
    return max(flops_s, params * BYTES[row.what.dtype] / (row.roofs["bytes_per_s"] or 1))


def report(file: TimingFile) -> str:
    """Return the table and what follows from it."""
    lines = [f"{'network':24s} {'bound ms':>9s} {'whole ms':>9s} {'measured':>9s}  share  mostly"]
    bounds, wholes, times, macs = [], [], [], []
    for row in file.rows:
        summary = summarise(row, file.device_of(row))
        name = row.what.spec.removeprefix("benchmarks/lower_bound.py:")
        if summary.headline_s is None or summary.least_s is None:
            lines.append(f"{name:24s} {row.failure or 'its operators are not known'}")
            continue
        bounds.append(summary.least_s)
        wholes.append(whole_network_s(row))
        times.append(summary.headline_s)
        macs.append(float(row.work.dense_macs or 0))
        family, share = summary.binding[0]
        lines.append(
            f"{name:24s} {bounds[-1] * 1e3:9.4f} {wholes[-1] * 1e3:9.4f} {times[-1] * 1e3:9.4f}"
            f"  {bounds[-1] / times[-1]:5.0%}  {family} {share:.0%}"
        )
    shares = [bound / time for bound, time in zip(bounds, times, strict=True)]
    over = sum(share > 1 for share in shares)
    over_whole = sum(whole > time for whole, time in zip(wholes, times, strict=True))
    others = max(row.roofs.get("others") or 0.0 for row in file.rows)
    ranks = {"by operator": bounds, "whole network": wholes, "MACs": macs}
    ranked = ", ".join(f"{name} {rank_correlation(v, times):.3f}" for name, v in ranks.items())
    lines += [
        "",
        f"{len(times)} networks on {file.devices[0].name}, one thread, fp32, batch 1",
        f"bound above the measured time: {over} by operator, {over_whole} by the whole network",
        f"bound / measured: {min(shares):.0%} to {max(shares):.0%}",
        f"rank correlation with the measured time: {ranked}",
        f"others used {others:.0%} of the time while the roofs were measured",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.5)
    parser.add_argument("--refresh", action="store_true")
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    effort = Effort(
        processes=args.processes,
        budget_s=args.budget,
        refresh=args.refresh,
        facts=describe_device("cpu", ["fp32"]),
        progress=lambda done, total, what: sys.stderr.write(f"{done}/{total} {what}\n"),
    )
    file = time_models([TimingSpec(spec=spec) for spec in NETWORKS], effort)
    if args.output:
        file.save(args.output)
    print(report(file))


if __name__ == "__main__":
    main()
