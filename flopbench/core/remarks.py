"""Remarks on results: warnings and notes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning or a note; one line of text where it is printed.

    Attributes:
        text: the remark.
        subject: the run, method or component that it is about; empty where the text says so.
        kind: for code that looks for some remarks: samples that were ``left out``, costs that
            follow different ``rules``, or signs of ``clusters``, which concern intervals only.
    """

    text: str
    subject: str = ""
    kind: Literal["", "left out", "rules", "clusters"] = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" if self.subject else self.text

    def of(self, subject: str) -> Remark:
        """Return the remark as one about ``subject``."""
        return replace(self, text=str(self), subject=subject)
