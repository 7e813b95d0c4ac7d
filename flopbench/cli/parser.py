"""The parser of the command line: options by group, examples, and near matches in errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from flopbench.cli.examples import EXAMPLES
from flopbench.core.errors import InputError, complain, near_match

SPELT_OUT = 3
"""A usage with more options than these is as long as the help below it: it says [options]."""


class Formatter(argparse.HelpFormatter):
    """Like argparse's; the usage names what must be given, and few options."""

    def add_usage(
        self, usage: str | None, actions: Iterable[Any], groups: Iterable[Any], prefix: Any = None
    ) -> None:
        """Leave out options that may be left out, where there are many."""
        actions = list(actions)
        shown = [action for action in actions if action.required or not action.option_strings]
        if len(actions) - len(shown) > SPELT_OUT:
            rest = argparse.Action(option_strings=["options"], dest="options", nargs=0)
            actions, groups = [rest, *shown], ()
        super().add_usage(usage, actions, groups, prefix)


class Options(argparse._ActionsContainer):
    """What takes options: a parser, or a group of it."""

    def option(self, usage: str, help: str, **more: Any) -> None:
        """Add an option: ``--flag NAME`` takes a value, ``--flag`` alone is a switch."""
        flag, _, metavar = usage.partition(" ")
        if metavar:
            more["metavar"] = metavar
        self.add_argument(flag, help=help, **more or {"action": "store_true"})


class Group(Options, argparse._ArgumentGroup):
    """Options with a title."""


class Parser(Options, argparse.ArgumentParser):
    """Like argparse's, with groups and examples, and errors of one line and a hint."""

    given: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Formatter, **options})

    def group(self, title: str) -> Group:
        """Return the options of this title, a new group where there are none yet."""
        for group in self._action_groups:
            if isinstance(group, Group) and group.title == title:
                return group
        own = Group(self, title)
        self._action_groups.append(own)
        return own

    def declare(self) -> None:
        """Add options that take a while to load; there are none but for a kind of figure."""

    def format_help(self) -> str:
        """Return the help, with the examples of this verb or kind at its end."""
        examples = EXAMPLES.get(self.prog.partition(" ")[2], ())
        lines = "".join(f"  flopbench {example}\n" for example in examples)
        return super().format_help() + (f"\nexamples:\n{lines}" if lines else "")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remember what is parsed, for the error message."""
        self.given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with the status of an input error."""
        wrong = misspelt(self, self.given)
        error = wrong or InputError(message, f"see '{self.prog} --help'")
        complain(f"error: {error}")
        raise SystemExit(error.exit_status)


def misspelt(parser: argparse.ArgumentParser, given: Sequence[str]) -> InputError | None:
    """Return the error of the first verb, kind or option that does not exist, if there is one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words = [word for word in given if not word.startswith("-")]
            if not words:
                return None
            what, below = str(action.metavar).lower(), action.choices.get(words[0])
            if below is None:
                hint = near_match(words[0], action.choices, f"{what}s")
                return InputError(f"there is no {what} {words[0]!r}", hint)
            return misspelt(below, given[list(given).index(words[0]) + 1 :])
    known = [name for action in parser._actions for name in action.option_strings]
    for word in given:
        name = word.partition("=")[0]
        if name == "--":
            return None
        if name.startswith("--") and not any(option.startswith(name) for option in known):
            hint = near_match(name, sorted(o for o in known if o.startswith("--")), "options")
            return InputError(f"{parser.prog} has no option {name!r}", hint)
    return None
