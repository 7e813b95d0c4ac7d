"""A resolved header in the form that kernel and estimator need: names to indices, spans, costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from flopbench.core.errors import DataError, InputError, near_match
from flopbench.core.units import Words
from flopbench.policy.header import Action, Charges, Exit, Header, resolve, with_preset


class Plan(Struct, frozen=True, kw_only=True):
    """What the decisions of one log can be.

    Attributes:
        header: the header, its preset filled in.
        actions: every action, grouped by stream, in the order of their ids.
        streams: names of the streams; ``("",)`` where the log declares none.
        base: stream -> index of its first action; ids in a log count from there.
        indices: stream -> action name -> index among ``actions``.
    """

    header: Header
    actions: tuple[Action, ...]
    exits: tuple[Exit, ...]
    charges: Charges
    streams: tuple[str, ...]
    base: Mapping[str, int]
    indices: Mapping[str, Mapping[str, int]]

    @property
    def per_step(self) -> bool:
        """Whether a decision over k steps is written k times in the log."""
        return self.header.encoding != "per_decision"

    @property
    def steps(self) -> int | None:
        """Steps of every sample, None where the header does not fix them.

        Of a log of exits that says how many each processes, they are those of the deepest.
        """
        if self.header.steps is not None:
            return self.header.steps if isinstance(self.header.steps, int) else None
        known = [exit.steps for exit in self.exits if exit.steps is not None]
        return max(known) if known and len(known) == len(self.exits) else None

    @property
    def steps_may_vary(self) -> bool:
        """Whether samples may have different lengths."""
        if self.header.steps == "varies" or not self.per_step or not self.actions:
            return True
        early = bool(self.exits) or any(action.kind == "exit" for action in self.actions)
        return early and self.steps is None

    @property
    def words(self) -> Words:
        """What text calls a sample and a step."""
        return self.header.words

    def exit_label(self, index: int) -> str:
        """Return the name of an exit, told from an action of that name."""
        name = self.exits[index].name
        actions = map(self.action_label, range(len(self.actions)))
        return f"exit {name}" if name in actions else name

    def size(self, stream: str) -> int:
        """Return how many actions a stream has."""
        return len(self.indices[stream])

    def action_label(self, index: int) -> str:
        """Return the name of an action, with its stream where there are several."""
        action = self.actions[index]
        return f"{action.stream}: {action.name}" if action.stream is not None else action.name

    def find_action(self, name: str, stream: str, where: str) -> int:
        """Return the index of an action; the error suggests a near match."""
        return find_name(name, self.indices[stream], where)


def find_name(name: str, known: Mapping[str, int], where: str, kind: str = "action") -> int:
    """Return the index of an action or exit; the error suggests a near match."""
    if name not in known:
        raise DataError(
            f"{where} is {name!r}, which is not an {kind} of this log",
            near_match(name, known, f"{kind}s"),
        )
    return known[name]


def plan_of(header: Header) -> Plan:
    """Return the plan of a resolved header."""
    streams = tuple(header.streams or [""])
    actions: list[Action] = []
    base: dict[str, int] = {}
    indices: dict[str, dict[str, int]] = {}
    of_stream: dict[str, list[Action]] = {stream: [] for stream in streams}
    for action in header.actions or []:
        of_stream[action.stream or ""].append(action)
    for stream, own in of_stream.items():
        base[stream] = len(actions)
        indices[stream] = {a.name: len(actions) + n for n, a in enumerate(own)}
        actions += own
    return Plan(
        header=header,
        actions=tuple(actions),
        exits=tuple(header.exits or []),
        charges=header.charges or Charges(),
        streams=streams,
        base=base,
        indices=indices,
    )


def plan_of_sums(
    path: Path, header: Header | None, preset: str | None, what: str, *, exits: bool = False
) -> Plan:
    """Return the plan of a file that holds sums instead of samples, of actions or also of exits."""
    plan = plan_of(resolve(with_preset(header, preset, str(path)), str(path)))
    if not (plan.actions or (exits and plan.exits)):
        kinds = "actions or exits" if exits else "actions; counted exits are a log: id, exit"
        raise InputError(f"{path}: {what} need a preset with {kinds}")
    return plan


def stream_named(plan: Plan, cell: str, where: str) -> str:
    """Return the stream that a file of sums names in its column ``stream``, if it has one.

    Raises:
        DataError: it is not a stream of the plan; the one stream of a plan without names is "".
    """
    if cell in plan.streams:
        return cell
    known = "none" if plan.streams == ("",) else ", ".join(plan.streams)
    raise DataError(f"{where}: stream: is {cell!r}, and the streams are: {known}")
