"""The kinds of figures, one module a kind.

Lives here: the list. Does not live here: the verb (``cli.plot``).
"""

from __future__ import annotations

from flopbench.cli.plots import usage

KINDS = (usage,)
