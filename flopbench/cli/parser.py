"""The parser of the command line: short messages, and a near match for what is misspelt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from flopbench.core.errors import InputError, near_match


class Parser(argparse.ArgumentParser):
    """Like argparse's, with one line and a hint in place of the whole usage."""

    given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Remember what is parsed, for the error message."""
        self.given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with the status of an input error."""
        wrong = misspelt(self, self.given)
        error = wrong or InputError(message, f"see '{self.prog} --help'")
        sys.stderr.write(f"flopbench: error: {error}\n")
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
