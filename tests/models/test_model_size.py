"""Models of impossible sizes are refused before they are built, or soon after it begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flopbench.core.errors import FlopbenchError, InputError
from flopbench.models.build import memory
from flopbench.models.build.by_source import build
from flopbench.models.spec import parse_spec


@pytest.mark.parametrize(
    "text",
    [
        "gru:12x5,layers=1001",
        "timm:vit_tiny_patch16_224,depth=100000",
        "timm:convnext_atto,depths=[1,1,1,99999999]",
        "transformers:vit,num_hidden_layers=99999999",
    ],
)
def test_more_layers_than_any_model_has_are_refused(text: str) -> None:
    """The option is named; nothing is built, and no library is loaded for it."""
    with pytest.raises(InputError, match="where at most 1000 make sense"):
        build(parse_spec(text), "meta")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 10**39}, "num_hidden_layers is an integer of more than 64 bits"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers=1000000000 where at most 1000"),
        ({"vision_config": {"depths": [1, 5000]}}, "depths=5000 where at most 1000 make sense"),
        ({"unknown": "DEEP"}, "nested too deeply"),
    ],
)
def test_a_configuration_is_checked_before_it_is_used(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    """A file from elsewhere: numbers, nesting; Infinity is allowed, as theirs have it."""
    pytest.importorskip("transformers")
    path = tmp_path / "config.json"
    text = json.dumps({"model_type": "vit", "limit": [0.0, float("inf")], **change})
    path.write_text(text.replace('"DEEP"', "[" * 10_000 + "]" * 10_000))
    with pytest.raises(FlopbenchError, match=r"config\.json") as caught:
        build(parse_spec(f"transformers:{path}@32"), "meta")
    assert said in str(caught.value)


def test_a_builder_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """ResNet-18 registers 67 modules and 62 parameters; one more than is allowed stops it."""
    monkeypatch.setattr(memory, "MOST_PARTS", 129)
    assert build(parse_spec("resnet18@32"), "meta").module is not None
    monkeypatch.setattr(memory, "MOST_PARTS", 128)
    with pytest.raises(InputError, match="has more than 128 modules and parameters"):
        build(parse_spec("resnet18@32"), "meta")
