"""What components are charged as, where that is not the log's default or not its counter's figure.

``--variant`` and ``--component`` change every figure in GFLOPS, and so does a counter that another
one stands in for; captions say so, and tables have the former.
"""

from __future__ import annotations

from collections.abc import Sequence

from flopbench.estimate.components import default_text
from flopbench.estimate.runs import Run
from flopbench.estimate.text import stand_ins
from flopbench.present.figures.caption import by_key, listed
from flopbench.present.figures.inputs.logs import NamedRun

COLUMN = "charged_otherwise"
"""Column of the table: ``charged_as`` of the row's run."""


def charged_as(run: Run) -> str:
    """Return what is not charged by default; empty for nothing.

    Returns:
        Such as ``lstm as its variant 'published' (value:3276800 "Table 1"), policy as
        mobilenet_v2@84 in place of resnet18@84``.
    """
    said = []
    for name, price in run.prices.prices.items():
        if price.variant and not price.is_default:
            said.append(f"{name} as its variant {price.variant!r} ({price.spec})")
        elif not price.is_default:
            default = default_text(run.header.components[name])
            said.append(f"{name} as {price.spec} in place of {default}")
    return ", ".join(said)


def charged_sentences(found: Sequence[NamedRun]) -> list[str]:
    """Return a sentence for each way of charging other than by default, for a caption."""
    ways = by_key((charged_as(one.run), one.name) for one in found)
    said = []
    for way, names in ways.items():
        whose = f" ({listed(names)})" if len(ways) > 1 else ""
        if way:
            said.append(f"Charged otherwise than by the log's default{whose}: {way}.")
    runs = [one.run for one in found]
    others = (text for run in runs for text in stand_ins([run.prices], run.primary.by_component))
    return [*said, *dict.fromkeys(others)]
