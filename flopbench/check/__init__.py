"""Model cost in CI: configuration, baseline, deltas and their causes, acceptance.

Lives here: everything between measured costs and a verdict. Does not live here: counting
(``offline``), pricing decisions (``runs``), text for people (``present``).
"""
