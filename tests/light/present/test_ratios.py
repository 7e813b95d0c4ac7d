"""At which resolution an action looks at a frame."""

from __future__ import annotations

import numpy as np
import pytest
from logs import arnet_plan, header_of

from flopbench.policy.plan import plan_of
from flopbench.present.figures.ratios import Ratio, action_size, ratio_of


def test_arnet() -> None:
    """AR-Net's networks see their specifications' inputs, 84 px by its name, a skip none."""
    plan = arnet_plan()
    sizes = [action_size(plan, i) for i in range(len(plan.actions))]
    assert sizes == [(224, 224), (168, 168), (112, 112), (84, 84), None, None, None]


@pytest.mark.parametrize(
    ("costs", "name", "size"),
    [
        ({"wide": 1}, "a", (112, 168)),
        ({"clip": 1}, "a", (112, 112)),
        ({"wide": 1, "small": 1}, "a", (112, 168)),
        ({"wide": 0, "small": 1}, "a", (84, 84)),
        ({"lstm": 1}, "a", None),
        ({"constant": 1}, "a", None),
        ({}, "look", None),
        ({}, "resnet18@96x128", (96, 128)),
        ({"variants": 1}, "a", (200, 200)),
    ],
)
def test_other_logs(costs: dict[str, int], name: str, size: tuple[int, int] | None) -> None:
    """The largest input of the networks that run; none where nothing has pixels."""
    header = header_of(
        actions=[{"name": name, "costs": costs}],
        components={
            "wide": "resnet18@112x168",
            "clip": "r3d_18@16x112x112",
            "small": "resnet18@84",
            "lstm": "lstm:1280x512@16",
            "constant": 'value:1e9 "a paper"',
            "variants": {"variants": {"x": "resnet18@200", "y": "resnet18@64"}, "default": "x"},
        },
    )
    assert action_size(plan_of(header), 0) == size


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ("1x3x112x84", (112, 84)),
        ("1x3x16x112x112", (112, 112)),
        ("1x3x96x96+1x7", (96, 96)),
        ("image=1x3x96x96+mask=1x7:bool", (96, 96)),
        ("1x3x96x96+1x3x48x48", None),
        ("1x100:int64", None),
    ],
)
def test_inputs_by_shape(shapes: str, size: tuple[int, int] | None) -> None:
    """Own code, and what a log counted, see the one image or clip among their inputs."""
    row = {"model": "Net", "counter": "torch", "status": "verified", "spec": f"nets:Net@{shapes}"}
    for component in (f"nets:Net@{shapes}", [row]):
        header = header_of(actions=["net"], components={"net": component})
        assert action_size(plan_of(header), 0) == size


def test_clusters_are_drawn_whole() -> None:
    """One of five clusters of four videos looks at nothing, the others at everything.

    Five are drawn: of three shares in a hundred thousand all are the first, of 0.67 % four or more,
    of 5.8 % three or more, which makes 2.5 % end at 0.4. For five clusters that is expanded to
    0.1 %, which ends at 0.2. The normal limit is 0.8 ± 1.96 √(4 · 3.2² + 12.8²) / 80.
    """
    terms: dict[str, int] = {"resamples": 2000, "seed": 0, "largest": 50}
    clusters = np.repeat(np.arange(5), 4)
    above, below = np.where(clusters, 4.0, 0.0), np.full(20, 4.0)
    together = ratio_of(above, below, clusters, **terms)
    assert together is not None
    assert (together.share, together.low, together.high) == pytest.approx((0.8, 0.2, 1.0))
    alone = ratio_of(above, below, **terms)
    assert alone is not None
    assert 0.5 < (alone.low or 0.0) < 0.7
    limit = ratio_of(above, below, clusters, **{**terms, "largest": 4})
    assert limit is not None
    assert limit.low == pytest.approx(0.8 - 1.959964 * (4 * 3.2**2 + 12.8**2) ** 0.5 / 80)
    assert ratio_of(above, below, np.zeros(20, int), **terms) == Ratio(share=0.8)
