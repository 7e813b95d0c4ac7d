"""A sample of torchvision's published operation counts, reproduced."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torchvision_ops import Entry, entries, main, measure

NAMES = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t
mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_x_400mf regnet_y_128gf resnet18 resnext50_32x4d
shufflenet_v2_x0_5 squeezenet1_0 swin_v2_t vgg11_bn vit_b_16 vit_h_14 lraspp_mobilenet_v3_large
deeplabv3_mobilenet_v3_large fcn_resnet50 raft_small r3d_18 s3d mvit_v2_s swin3d_t
quantized_resnet18 quantized_mobilenet_v3_large ssdlite320_mobilenet_v3_large
fasterrcnn_mobilenet_v3_large_320_fpn
"""
SAMPLE = frozenset(NAMES.split())


ONCE = {(entry.model, entry.published): entry for entry in entries() if entry.model in SAMPLE}
"""Weights of one network at one input have one count."""


@pytest.mark.parametrize(
    "entry",
    ONCE.values(),
    ids=lambda entry: f"{entry.model}-{entry.weights}",
)
def test_reproduces_the_published_count(entry: Entry) -> None:
    """The three published decimals come out, and no operator was left unpriced."""
    result = measure(entry)
    assert round(result.macs / 1e9, 3) == entry.published
    assert result.gaps == ()


def test_every_name_of_the_sample_exists() -> None:
    """A model that torchvision renames is reported missing, not silently skipped."""
    assert {entry.model for entry in entries()} >= SAMPLE


def test_script_prints_and_writes_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chosen models only; exact integers in the CSV file."""
    path = tmp_path / "ops.csv"
    assert main(["resnet18", "-o", str(path)]) == 0
    assert "1 of 1 match" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8").splitlines()[1] == (
        "resnet18,IMAGENET1K_V1,224x224,1.814,1814073344,True,"
    )
