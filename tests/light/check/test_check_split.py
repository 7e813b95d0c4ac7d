"""The change of a policy's cost in two parts that leave no rest."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flopbench.check.records import LogCost, PricedComponent
from flopbench.check.split import split
from flopbench.estimate.charges import ChargeItem

R50_224, R50_168, POLICY = 4_089_184_256, 2_415_919_104, 54_000_000


def log_cost(
    mix: dict[str, Fraction], prices: dict[str, int], runs: dict[str, dict[str, Fraction]]
) -> LogCost:
    """Return a log's cost from how often, what each costs, and what it runs."""
    events = tuple(
        ChargeItem(name=name, times=times, costs=runs.get(name, {})) for name, times in mix.items()
    )
    components = {
        name: PricedComponent(spec=name, total_macs=macs) for name, macs in prices.items()
    }
    total = sum(
        (e.times * n * prices[name] for e in events for name, n in e.costs.items()), Fraction(0)
    )
    return LogCost(
        policy_log="run.jsonl",
        counter="torch",
        counter_version="2.8",
        rule="exact",
        macs_per_video=total,
        videos=3,
        components=components,
        events=events,
    )


RUNS = {
    "224": {"resnet50@224": Fraction(1)},
    "168": {"resnet50@168": Fraction(1)},
    "skip 4": {},
    "every step": {"policy": Fraction(1)},
}
PRICES = {"resnet50@224": R50_224, "resnet50@168": R50_168, "policy": POLICY}
MIX = {
    "224": Fraction(10, 3),
    "168": Fraction(16, 3),
    "skip 4": Fraction(1),
    "every step": Fraction(16),
}


def test_a_mix_that_moved_is_choices_alone() -> None:
    """Same networks, other decisions: unit costs are exactly 0, each action has its part."""
    moved = {**MIX, "224": Fraction(14, 3), "168": Fraction(4)}
    old, new = log_cost(MIX, PRICES, RUNS), log_cost(moved, PRICES, RUNS)
    done = split(old, new)
    assert (done.choices, done.unit_costs) == (new.macs_per_video - old.macs_per_video, 0)
    assert done.choices == Fraction(4, 3) * (R50_224 - R50_168)
    assert (done.leading, done.components) == ("choices", ())
    by_name = {event.name: event for event in done.events}
    assert by_name["224"].choices == Fraction(4, 3) * R50_224
    assert by_name["168"].choices == Fraction(-4, 3) * R50_168
    assert by_name["every step"].choices == 0
    assert list(by_name) == ["224", "168", "skip 4", "every step"]


def test_a_network_that_moved_is_unit_costs_alone() -> None:
    """Same decisions, a more expensive network: choices are exactly 0, and the network is named."""
    costlier = {**PRICES, "resnet50@224": R50_224 + 10**9}
    old, new = log_cost(MIX, PRICES, RUNS), log_cost(MIX, costlier, RUNS)
    done = split(old, new)
    assert (done.choices, done.unit_costs) == (0, new.macs_per_video - old.macs_per_video)
    assert done.unit_costs == Fraction(10, 3) * 10**9
    assert done.leading == "unit costs"
    (component,) = done.components
    assert (component.name, component.old_macs, component.new_macs) == (
        "resnet50@224",
        R50_224,
        R50_224 + 10**9,
    )


def test_both_moved() -> None:
    """Each part is the mean of what its factor adds first and what it adds second."""
    runs = {"full": {"net": Fraction(1)}}
    done = split(
        log_cost({"full": Fraction(2)}, {"net": 10}, runs),
        log_cost({"full": Fraction(3)}, {"net": 14}, runs),
    )
    assert done.choices == Fraction(1 * 10 + 1 * 14, 2)
    assert done.unit_costs == Fraction(2 * 4 + 3 * 4, 2)


def test_an_action_on_one_side_is_a_choice() -> None:
    """An action that came or went: all it costs is choices; the other side is None, not 0."""
    runs = {"a": {"net": Fraction(1)}, "b": {"net": Fraction(2)}}
    old = log_cost({"a": Fraction(1)}, {"net": 10}, runs)
    new = log_cost({"b": Fraction(1, 2)}, {"net": 10, "more": 3}, runs)
    done = split(old, new)
    came, went = done.events
    assert (came.name, came.old_times, came.old_macs, came.choices) == ("b", None, None, 10)
    assert (went.name, went.new_times, went.new_macs, went.choices) == ("a", None, None, -10)
    assert (came.unit_costs, went.unit_costs) == (0, 0)
    (component,) = done.components
    assert (component.name, component.old_spec, component.old_macs) == ("more", "", None)


def test_another_network_of_the_same_price_is_named() -> None:
    """A component's specification moved and its price did not: named, though it adds nothing."""
    old = log_cost(MIX, PRICES, RUNS)
    swapped = {
        **old.components,
        "policy": PricedComponent(spec="mobilenet_v2@84", total_macs=POLICY),
    }
    (component,) = split(old, replace(old, components=swapped)).components
    assert (component.old_spec, component.new_spec) == ("policy", "mobilenet_v2@84")


def test_an_action_that_never_happened_is_not_missing() -> None:
    """Never taken is 0 times, not None."""
    old = log_cost({"224": Fraction(0)}, PRICES, RUNS)
    (event,) = split(old, old).events
    assert (event.old_times, event.new_times, event.choices) == (0, 0, 0)


amounts = st.fractions(min_value=0, max_value=100, max_denominator=48)
prices = st.integers(0, 10**11)


@st.composite
def logs(draw: st.DrawFn) -> LogCost:
    """Return a log's cost: some of four events, some of three networks."""
    costs = {name: draw(prices) for name in ("x", "y", "z")}
    runs = {
        name: draw(st.dictionaries(st.sampled_from(["x", "y", "z"]), amounts)) for name in "abcd"
    }
    names = draw(st.lists(st.sampled_from("abcd"), max_size=4))  # a name may repeat
    cost = log_cost({}, costs, runs)
    events = tuple(ChargeItem(name=name, times=draw(amounts), costs=runs[name]) for name in names)
    total = sum(
        (e.times * n * costs[part] for e in events for part, n in e.costs.items()), Fraction(0)
    )
    return replace(cost, events=events, macs_per_video=total)


@given(old=logs(), new=logs())
def test_the_parts_sum_to_the_change(old: LogCost, new: LogCost) -> None:
    """Of the whole and of each event, exactly; and the way back is the negative."""
    done, back = split(old, new), split(new, old)
    assert done.choices + done.unit_costs == new.macs_per_video - old.macs_per_video
    assert sum(e.choices for e in done.events) == done.choices
    assert sum(e.unit_costs for e in done.events) == done.unit_costs
    for event in done.events:
        before = (event.old_times or 0) * (event.old_macs or 0)
        after = (event.new_times or 0) * (event.new_macs or 0)
        assert event.choices + event.unit_costs == after - before
    assert (back.choices, back.unit_costs) == (-done.choices, -done.unit_costs)
    larger = max(abs(done.choices), abs(done.unit_costs))
    assert abs(done.choices if done.leading == "choices" else done.unit_costs) == larger


@given(old=logs(), times=st.lists(amounts, min_size=4, max_size=4), price=prices)
def test_what_did_not_move_has_no_part(old: LogCost, times: list[Fraction], price: int) -> None:
    """Only the mix moved: no unit costs. Only prices moved: no choices."""
    mix = tuple(
        replace(event, times=n)
        for event, n in zip(old.events, times[: len(old.events)], strict=True)
    )
    assert split(old, replace(old, events=mix)).unit_costs == 0
    costlier = {**old.components, "x": PricedComponent(spec="x", total_macs=price)}
    assert split(old, replace(old, components=costlier)).choices == 0
