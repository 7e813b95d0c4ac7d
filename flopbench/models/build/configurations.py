"""What a configuration of transformers says about a model, whatever its parts are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PLACED = ("image", "video", "audio")
"""What may have placeholders among the token ids of a text."""


def find_setting(config: Any, *names: str, beside: Sequence[str] = ()) -> Any:
    """Return the first of these settings, of the configuration itself or else of one of its parts.

    With ``beside``, only of the first that has a setting of one of those names.
    """
    parts = {key: value for key, value in vars(config).items() if hasattr(value, "to_dict")}
    homes = [config, *(parts[key] for key in sorted(parts, key=lambda key: "text" not in key))]
    if beside:
        homes = [home for home in homes if find_setting_of(home, beside) is not None][:1]
    found = (find_setting_of(home, [name]) for name in names for home in homes)
    return next((value for value in found if value is not None), None)


def find_setting_of(config: Any, names: Sequence[str]) -> Any:
    """Return the first of these settings that the configuration itself has."""
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if value is not None), None)


def token_name(config: Any, kind: str) -> str | None:
    """Return what the id of a kind's placeholder is called, None where there is none."""
    names = (f"{kind}_token_id", f"{kind}_token_index")
    return next((name for name in names if hasattr(config, name)), None)


def place_token_ids(config: Any) -> None:
    """Give placeholders an id within the vocabulary, where they lack one.

    Some configurations leave it open, or name an id that the trained model added to its vocabulary.
    """
    vocabulary = find_setting(config, "vocab_size")
    for back, name in enumerate(filter(None, (token_name(config, k) for k in PLACED)), start=1):
        current = getattr(config, name)
        if vocabulary and (current is None or current >= vocabulary):
            setattr(config, name, vocabulary - back)
