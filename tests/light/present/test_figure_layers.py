"""Where the MACs are as data: cuts of a module tree, the group of small ones, refusals."""

from __future__ import annotations

import pytest
from conftest import ROOT
from msgspec.structs import replace
from records import gap, op, profile

from flopbench.core.errors import InputError
from flopbench.core.units import scale_of
from flopbench.counting.agreement import CounterVerdict
from flopbench.counting.module_sums import module_sums, parts_at
from flopbench.counting.profile import CostProfile, ModuleFacts
from flopbench.counting.profiles_file import dumps
from flopbench.counting.run import Explanation
from flopbench.present.figures.layers import default_depth, layers

layers_of = layers.make

PATHS = ("", "stem", "body", "body.0", "body.0.conv", "body.1", "body.1.attn", "head", "idle")


def net(counter: str = "torch", *, gaps: bool = False) -> CostProfile:
    """A stem, a body of two blocks that also computes itself, a head, and an idle module."""
    return replace(
        profile(
            counter,
            op("head", "linear", 50),
            op("stem", "conv", 100),
            op("body", "matmul", 10),
            op("body.0.conv", "conv", 300),
            op("body.1", "linear", 200),
            op("body.1.attn", "attention", 340),
            op("body.0", "batch_norm", 0, total=7),
            gaps=(gap("operator", "aten.odd", "body"),) if gaps else (),
        ),
        modules=tuple(ModuleFacts(path=path, type="Layer", params=3) for path in PATHS),
    )


def explained(*profiles: CostProfile, status: str = "verified", **more: object) -> Explanation:
    """Return an explanation of profiles with one verdict for all."""
    why = "" if status == "verified" else "so"
    verdicts = {p.counter: CounterVerdict(status=status, reason=why) for p in profiles}  # type: ignore[arg-type]
    return Explanation(profiles=profiles, verdicts=verdicts, **{"failures": {}, **more})  # type: ignore[arg-type]


def test_every_mac_is_in_exactly_one_part() -> None:
    """At every depth the parts add up to the whole."""
    for depth in range(5):
        assert sum(part.dense_macs for part in parts_at(net(), depth)) == net().dense_macs == 1000


def test_parts_are_in_order_of_registration() -> None:
    """The head ran first here, but comes last; a module with operators of its own is marked."""
    assert [(p.name, p.dense_macs) for p in parts_at(net(), 1)] == [
        ("stem", 100),
        ("body", 850),
        ("head", 50),
    ]
    assert [(p.name, p.dense_macs) for p in parts_at(net(), 2)] == [
        ("stem", 100),
        ("body (itself)", 10),
        ("body.0", 300),
        ("body.1", 540),
        ("head", 50),
    ]
    assert parts_at(net(), 2)[3].by_family == {"linear": 200, "attention": 340}
    assert [p.name for p in parts_at(net(), 0)] == ["(model)"]


def test_module_costs_include_children() -> None:
    """The model has everything, a module what is in it; parameters too."""
    costs = {module.path: module for module in module_sums(net())}
    assert (costs[""].dense_macs, costs[""].params) == (1000, 27)
    assert (costs["body"].dense_macs, costs["body"].params, costs["body"].level) == (850, 15, 1)
    assert costs["idle"].dense_macs == 0


def test_the_default_depth_gives_five_to_twenty_bars() -> None:
    """The first such depth; without one the next best. Beyond the tree it is the deepest."""
    assert default_depth(net()) == 2
    wide = profile("torch", *(op(f"a.{n}", "conv", 1) for n in range(30)))
    assert default_depth(wide) == 2
    flat = profile("torch", op("a", "conv", 1), op("b", "conv", 1))
    assert default_depth(flat) == 1
    assert default_depth(profile("torch", op("", "conv", 1))) == 0
    assert layers_of(explained(net()), depth=99).depth == 2 + 1


def test_shares_and_the_group_of_small_modules() -> None:
    """The largest stay in order; the rest is one bar, last, and named in the caption."""
    figure = layers_of(explained(net()), top=2)
    assert [(bar.name, bar.dense_macs, bar.share) for bar in figure.bars] == [
        ("body.0", 300, 0.3),
        ("body.1", 540, 0.54),
        ("3 others", 160, 0.16),
    ]
    assert "The 2 largest are drawn individually, the other 3 together (16.0 %)." in (
        figure.caption.sentences
    )
    assert [bar.name for bar in layers_of(explained(net()), top=4).bars][-1] == "head"


def test_words_name_counter_depth_and_total() -> None:
    """Counter with version, convention, levels, the exact sum; doubts are warnings too."""
    caption = layers_of(explained(net())).caption
    sentences = " ".join(caption.sentences)
    assert "2 levels down" in sentences
    assert "together 1,000" in sentences
    assert "Counter: torch 1.0." in sentences
    assert "1 MAC = 2 FLOPs" in sentences
    assert "Modules without dense MACs" in sentences
    assert caption.warnings == ()
    assert "body.1: 54.0 % of 1,000" in caption.alt
    doubtful = layers_of(explained(net(gaps=True), status="partial")).caption
    assert [*map(str, doubtful.warnings)] == [
        "torch: partial - so",
        "torch did not count aten.odd",
    ]


def test_the_counter_can_be_chosen() -> None:
    """The reference unless named; unknown and failed ones are refused with the list."""
    both = explained(net("thop"), net("torch"), failures={"fvcore": "broke"})
    assert layers_of(both).profile.counter == "torch"
    assert layers_of(both, counter="thop").profile.counter == "thop"
    with pytest.raises(InputError, match="no profile under 'torhc'") as caught:
        layers_of(both, counter="torhc")
    assert "did you mean 'torch'" in caught.value.hint
    with pytest.raises(InputError, match="fvcore could not count net@8: broke"):
        layers_of(both, counter="fvcore")


def test_what_cannot_be_drawn_is_refused() -> None:
    """Several models, a depth or top that is none, no MACs, a file of another kind."""
    one = explained(net())
    with pytest.raises(InputError, match="draws one model, and 2 files were given"):
        layers_of([one, one])
    with pytest.raises(InputError, match="no profiles file"):
        layers_of([])
    with pytest.raises(InputError, match="depth is -1"):
        layers_of(one, depth=-1)
    with pytest.raises(InputError, match="top is 0"):
        layers_of(one, top=0)
    with pytest.raises(InputError, match="no dense MACs"):
        layers_of(explained(profile("torch", op("", "norm", 0))))
    with pytest.raises(InputError, match=r"is a timing file; this figure takes a profiles file"):
        layers_of(ROOT / "tests/data/timings.json")


def test_numbers_are_one_row_a_module_and_family(tmp_path: object) -> None:
    """Exact MACs with their share, whether drawn in the group or not, from a file."""
    from pathlib import Path

    path = Path(str(tmp_path)) / "p.json"
    path.write_text(dumps(explained(net())))
    table = layers_of(path, top=2).table
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [(r["module"], r["family"], r["dense_macs"], r["drawn_in_group"]) for r in rows] == [
        ("stem", "conv", 100, True),
        ("body (itself)", "matmul", 10, True),
        ("body.0", "conv", 300, False),
        ("body.1", "linear", 200, False),
        ("body.1", "attention", 340, False),
        ("head", "linear", 50, True),
    ]


def test_axes_count_in_the_largest_unit_that_is_reached() -> None:
    """999 is counted in ones, a million in M."""
    assert [scale_of(n).prefix for n in (0, 999, 1000, 10**6, 4 * 10**9)] == ["", "", "k", "M", "G"]
