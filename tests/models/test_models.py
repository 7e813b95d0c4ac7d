"""Model sources: each builds what it says, on either device, and refuses clearly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from flopbench.core.errors import DataError, InputError
from flopbench.models.build.builders import DownloadRefused, call_builder
from flopbench.models.build.built import replace_head
from flopbench.models.build.by_source import build
from flopbench.models.spec import parse_spec

NETS = """
import torch
from torch import nn

def build(width=4, deep=False):
    layers = [nn.Conv2d(3, width, 3)] * (2 if deep else 1)
    return nn.Sequential(*layers[:1], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))

def with_inputs():
    return nn.Bilinear(2, 3, 4), (torch.zeros(1, 2), torch.zeros(1, 3))

def with_kwargs():
    class Net(nn.Module):
        def forward(self, *, x): return {"y": x * 2}
    return Net(), {"x": torch.ones(2, 2)}

def with_body():
    return nn.ModuleDict({"body": nn.Linear(2, 3)}), (torch.zeros(1, 9),)

def broken(): raise RuntimeError("no such luck")
def returns_text(): return "a model"
headless = nn.Conv2d(3, 4, 3)
number = 7
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user's module, which is also the working directory."""
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "bad_syntax.py").write_text("def build(:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("text", "input", "feature_dim", "shapes"),
    [
        ("resnet18@64", "64", 512, [(1, 3, 64, 64)]),
        ("mobilenet_v2@40x56,classes=200", "40x56", 1280, [(1, 3, 40, 56)]),
        ("r3d_18@4x32x32", "4x32x32", 512, [(1, 3, 4, 32, 32)]),
        ("fcn_resnet50@64", "64", None, [(1, 3, 64, 64)]),
        ("squeezenet1_1", "224", None, [(1, 3, 224, 224)]),
        ("raft_small@128", "128", None, [(1, 3, 128, 128)] * 2),
        ("timm:resnet10t@96,classes=7", "96", 512, [(1, 3, 96, 96)]),
        ("transformers:vit@224", "224", None, [(1, 3, 224, 224)]),
        ("transformers:bert@16", "16", None, [(1, 16)]),
        ("transformers:vit,classes=10,num_hidden_layers=1", "224", 768, [(1, 3, 224, 224)]),
        ("transformers:t5@9,num_layers=1,num_decoder_layers=1", "9", None, [(1, 9)] * 2),
        ("transformers:videomae,num_hidden_layers=1", "16x224x224", None, [(1, 16, 3, 224, 224)]),
        ("lstm:12x5@7,layers=2", "7", None, [(1, 7, 12)]),
        ("gru:12x5", "1", None, [(1, 1, 12)]),
        ("linear:12x5@3", "3", None, [(1, 3, 12)]),
    ],
)
def test_library_models_and_layers(
    device: str, text: str, input: str, feature_dim: int | None, shapes: list[tuple[int, ...]]
) -> None:
    """Input, head and shapes are as asked; the model is in evaluation mode on that device."""
    if text.startswith(("timm", "transformers")):
        pytest.importorskip(text.split(":")[0])
    built = build(parse_spec(text), device)
    tensors = [*built.args, *built.kwargs.values()]
    assert (built.input, built.feature_dim) == (input, feature_dim)
    assert [tuple(t.shape) for t in tensors] == shapes
    assert {t.device.type for t in tensors} == {device}
    assert {p.device.type for p in built.module.parameters()} == {device}
    assert not built.module.training


def test_classes_replace_the_head_as_arnet_does() -> None:
    """Two hundred classes on the same features; params follow."""
    head = build(parse_spec("resnet50@64,classes=200"), "meta").module.fc
    assert (head.in_features, head.out_features) == (2048, 200)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.Linear(4, 9, bias=False)))
    replace_head(net, 3, "net")
    assert (net[1][0].out_features, net[1][0].bias) == (3, None)
    with pytest.raises(InputError, match="no classification head"):
        replace_head(nn.Conv2d(1, 1, 1), 3, "net")


def test_random_weights_repeat() -> None:
    """The same specification gives the same weights, and the caller's generator is untouched."""
    torch.manual_seed(7)
    before = torch.rand(3)
    torch.manual_seed(7)
    one = build(parse_spec("resnet18@64"), "cpu").module.conv1.weight
    assert torch.equal(torch.rand(3), before)
    assert torch.equal(one, build(parse_spec("resnet18@64"), "cpu").module.conv1.weight)


def test_user_factories(nets: Path) -> None:
    """Modules, files, options, own inputs, keyword inputs, ready modules."""
    for name in ("own_nets:build", "own_nets.py:build", f"{nets}/own_nets.py:build"):
        built = build(parse_spec(f"{name}@16,width=6,classes=3"), "cpu")
        assert built.module[0].out_channels == 6
        assert built.module[-1].out_features == 3
        assert (built.input, built.feature_dim) == ("16", 6)
    assert build(parse_spec("own_nets:build"), "meta").input == "224"
    assert build(parse_spec("own_nets:with_inputs"), "cpu").input == "1x2+1x3"
    assert set(build(parse_spec("own_nets:with_kwargs"), "cpu").kwargs) == {"x"}
    assert build(parse_spec("own_nets:headless@9"), "cpu").feature_dim is None


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("text", "kind", "input", "shape"),
    [
        ("own_nets:build#0@9,width=6", "Conv2d", "9", (1, 3, 9, 9)),
        ("own_nets:with_body#body@(1,2)", "Linear", "1x2", (1, 2)),
        ("own_nets:build#3@(1,4)", "Linear", "1x4", (1, 4)),
        ("own_nets:build#2", "Flatten", "224", (1, 3, 224, 224)),
        ("resnet18#layer1.0.conv2@1x64x8x8", "Conv2d", "1x64x8x8", (1, 64, 8, 8)),
        ("fcn_resnet50#backbone@64", "IntermediateLayerGetter", "64", (1, 3, 64, 64)),
        ("r3d_18#stem@2x8x8", "BasicStem", "2x8x8", (1, 3, 2, 8, 8)),
    ],
)
def test_submodules(
    nets: Path, device: str, text: str, kind: str, input: str, shape: tuple[int, ...]
) -> None:
    """The part that is named, as a model at an input of its own: size, shapes, or one image."""
    built = build(parse_spec(text), device)
    assert (type(built.module).__name__, built.input) == (kind, input)
    assert [(tuple(t.shape), t.device.type) for t in built.args] == [(shape, device)]
    assert {p.device.type for p in built.module.parameters()} <= {device}


def test_default_inputs_of_torchvision() -> None:
    """The crop, segmentation's resize, a detector's, the one size of a ViT, 512 px for flow."""
    for name, size in (
        ("mobilenet_v3_small", "224"),
        ("lraspp_mobilenet_v3_large", "520"),
        ("ssdlite320_mobilenet_v3_large", "320"),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "320"),
        ("fasterrcnn_mobilenet_v3_large_320_fpn,min_size=64", "64"),
        ("vit_b_32,image_size=64", "64"),
        ("raft_small", "512"),
    ):
        assert build(parse_spec(name), "meta").input == size


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("resnet5O@224", "did you mean resnet50"),
        ("ResNet18@224", "did you mean resnet18"),
        ("resnet18@8x64x64", "takes images, not clips"),
        ("r3d_18@112", "takes clips"),
        ("resnet18@64,colour=3", "colour is no option of the network itself"),
        ("resnet18,width=3@64", "before the first comma"),
        ("vit_b_16@224,classes=200,image_size=100", "cannot build"),
        ("timm:resnet_fifty", "timm has no model"),
        ("timm:resnet10t@2x64x64", "takes images"),
        ("transformers:vitt", "did you mean vit"),
        ("transformers:none.json", "no configuration file"),
        ("transformers:bert@8x9", "takes a sequence"),
        ("lstm:4x4,classes=3", "no head"),
        ("lstm:4x4,colour=3", "cannot build"),
        ("no_such_pkg:build", "cannot import 'no_such_pkg'"),
        ("none.py:build", "there is no file none.py"),
        ("bad_syntax:build", "SyntaxError"),
        ("bad_syntax.py:build", "SyntaxError"),
        ("own_nets:biuld", "did you mean 'build'"),
        ("own_nets:broken", "RuntimeError: no such luck (own_nets.py:"),
        ("own_nets:returns_text", "returned str where a torch.nn.Module"),
        ("own_nets:number", "expected a function"),
        ("own_nets:headless,classes=3", "no classification head"),
        ("own_nets:headless,a=3", "takes no options"),
        ("own_nets:build,colour=3", "unexpected keyword"),
        ("own_nets:build,colour=3", "options: width, deep"),
        ("own_nets:build,widht=[3]", "did you mean 'width'? options: width, deep"),
        ("own_nets:with_inputs@3", "brings its own inputs"),
        ("own_nets:build#4", "own_nets:build has no submodule '4'"),
        ("resnet18#layr1.0", "did you mean 'layer1.0'? submodules: layer1.0, conv1, bn1"),
        ("resnet18#layer1.0.conv9", "submodules: layer1.0.conv1, layer1.0.bn1, layer1.0.relu"),
        ("lstm:4x4#cell", "lstm:4x4 has no submodule 'cell'"),
        ("vit_b_16@32,image_sise=32", "did you mean 'image_size'?"),
        ("vit_b_16@32,norm_layer='nets.py'", "norm_layer='nets.py' where numbers, True"),
        ("timm:resnet18@32,checkpoint_path=w", "wants to load weights, and nothing is downloaded"),
        ("timm:resnet18@32,checkpoint_path=w", "leave out checkpoint_path=w"),
        ("timm:resnet18@32,pretrained_cfg={'file':'w'}", "leave out pretrained_cfg="),
        ("timm:resnet18@32,cache_dir=w", "cache_dir is no option of the network itself"),
        ("timm:resnet18@32,model_cls=w", "model_cls is no option"),
        ("timm:resnet18@32,act_layer='a/b'", "an option is a parameter of its constructor"),
        ("transformers:vit@32,trust_remote_code=True", "trust_remote_code is no option"),
        ("transformers:vit@32,name_or_path=w", "name_or_path is no option"),
        ("transformers:ViTModel@32,auto_map={'a':'b'}", "auto_map is no option"),
        ("transformers:ViTModel@32,attn_implementation='a/b'", "attn_implementation='a/b' where"),
        ("transformers:ViTModel@32,attn_implementation=flash_attention_2", "eager or sdpa was"),
        ("transformers:llava@32,text_config={'attn_implementation':'sdpa'}", "text_config={'attn_"),
        ("transformers:vit@32,hidden_act='a.b'", "hidden_act='a.b' where numbers"),
        ("transformers:detr@32,backbone_config={'use_pretrained_backbone':1}", "to load weights"),
        ("transformers:absent.json@8", "there is no configuration file absent.json"),
    ],
)
def test_bad_models_are_refused(nets: Path, text: str, needle: str) -> None:
    """One clear message, and near matches where there are any."""
    if text.startswith(("timm", "transformers")):
        pytest.importorskip(text.split(":")[0])
    with pytest.raises(InputError) as caught:
        build(parse_spec(text), "cpu")
    assert needle in str(caught.value)


def test_transformers_from_a_local_config(nets: Path) -> None:
    """A config.json on disk is enough; nothing is downloaded, and no code that it names runs."""
    pytest.importorskip("transformers")
    config = {
        "model_type": "bert",
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 50,
        "attn_implementation": "someone/kernel",
        "auto_map": {"AutoConfig": "started.Config", "AutoModel": "started.Model"},
    }
    (nets / "started.py").write_text("open('ran', 'w')\n")
    (nets / "config.json").write_text(json.dumps(config))
    built = build(parse_spec("transformers:config.json@8"), "meta")
    assert built.module.config.hidden_size == 32
    assert tuple(built.kwargs["input_ids"].shape) == (1, 8)
    assert not (nets / "ran").exists()
    (nets / "config.json").write_text('{"model_type": "../bert"}')
    with pytest.raises(DataError, match=r"config\.json: model_type is '../bert', which this"):
        build(parse_spec("transformers:config.json@8"), "meta")


def test_a_library_loads_no_weights(tmp_path: Path) -> None:
    """Whatever its builder does; afterwards torch loads again."""
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(DownloadRefused, match="nothing is downloaded while counting"):
        call_builder(parse_spec("resnet18"), lambda: torch.load(tmp_path / "w.pt"))
    assert torch.load(tmp_path / "w.pt") == {}
