"""The table of planted faults fits the code; none is planted here."""

from __future__ import annotations

import planted_faults
from conftest import ROOT


def test_every_fault_can_still_be_planted() -> None:
    """Its text occurs once in its file, its tests exist, and names are unique."""
    assert not [
        said for one in planted_faults.FAULTS if (said := planted_faults.problems(one, ROOT))
    ]
    assert len({one.name for one in planted_faults.FAULTS}) == len(planted_faults.FAULTS) >= 30
    assert not [one.name for one in planted_faults.FAULTS if one.old == one.new]
