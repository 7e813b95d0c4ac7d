"""Remarks on results: warnings and notes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace


class Remark(Struct, frozen=True):
    """A warning or a note; one line of text where it is printed.

    Attributes:
        text: the remark.
        subject: the run, method or component that it is about; empty where the text says so.
        kind: for code that looks for some remarks: samples that were ``left out``, costs that
            follow different ``rules``, or signs of ``clusters``, which concern intervals only.
    """

    text: str
    subject: str = ""
    kind: Literal["", "left out", "rules", "clusters"] = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" if self.subject else self.text

    def of(self, subject: str) -> Remark:
        """Return the remark as one about ``subject``."""
        return replace(self, text=str(self), subject=subject)
