"""flopbench guards its presets with a baseline of its own; ``tox`` runs the check itself."""

from __future__ import annotations

from conftest import ROOT, RunCli

from flopbench.check.baseline.file import verify_baseline
from flopbench.check.config import read_config
from flopbench.models.presets import load_preset, preset_names


def preset_models() -> set[str]:
    """List every network that a preset prices or charges, constants apart."""
    models: set[str] = set()
    for name in preset_names():
        preset = load_preset(name)
        models |= {str(row.spec) for row in preset.rows}
        for component in (preset.policy or {}).get("components", {}).values():
            variants = (
                component["variants"].values() if isinstance(component, dict) else [component]
            )
            models |= {text for text in variants if not text.startswith("value:")}
    return models


def test_every_network_of_a_preset_is_guarded() -> None:
    """A preset with a new network needs an entry, and the baseline holds each entry."""
    config = read_config(ROOT / "flopbench.toml")
    assert preset_models() <= {entry.model for entry in config.entries}
    path = ROOT / config.baseline
    baseline = verify_baseline(path.read_text(encoding="utf-8"), config.baseline)
    assert set(baseline.entries) == {entry.name for entry in config.entries}


def test_the_command_verifies_it(run_cli: RunCli) -> None:
    """``--verify-baseline`` needs no torch: it runs in the light environment too."""
    done = run_cli("check", "--verify-baseline", cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
