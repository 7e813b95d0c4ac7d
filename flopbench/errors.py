"""The exceptions a caller may meet, and the exit status each one means.

Lives here: the hierarchy. Does not live here: any wording, any formatting.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_CHECK_FAILED = 1
EXIT_INPUT = 2
EXIT_MEASURE = 3
EXIT_NOT_COMPARABLE = 4
EXIT_INTERRUPTED = 130


class FlopbenchError(Exception):
    """Something the user can mend: one message and, where there is one, a way out.

    Args:
        message: what was wrong, naming the file, flag or field, what was expected and what came.
        hint: what to do about it, or an empty string.
    """

    exit_status = EXIT_INPUT

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """Message and hint in one line."""
        return f"{self.message}: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[FlopbenchError], tuple[str, str]]:
        return type(self), (self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class InputError(FlopbenchError):
    """An argument, a specification or a configuration that does not mean anything."""


class DataError(FlopbenchError):
    """A file whose content is damaged, of another kind, or of a newer schema."""


class MeasureError(FlopbenchError):
    """A model that was named correctly and still could not be measured."""

    exit_status = EXIT_MEASURE


class NotComparableError(FlopbenchError):
    """Two results that are well formed and still cannot be set side by side."""

    exit_status = EXIT_NOT_COMPARABLE
