"""Counts transformers from their configuration: no run, no shapes of weights, no operators.

A second witness for ``torch``, with which it shares no step: the numbers are those that the model
was built from, the formulas those of ``closed_form``. The configuration is that of transformers,
or the arguments of the constructor of timm and torchvision, which are known where flopbench built
the model (``models.build.library``). Modules are looked at only to refuse a model to which somebody
else's layers were added.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from flopbench.core.errors import MeasureError
from flopbench.counting.measure.counters.base import Counted, Ledger, Subject
from flopbench.counting.measure.counters.closed_form import Part
from flopbench.counting.measure.counters.formula_families import covers, price
from flopbench.counting.measure.counters.formula_settings import Asked
from flopbench.models.build.built import reason

NOTE = "from the configuration alone; nothing ran, so it has no figures by module"

_WITHOUT_EFFECT = {
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "use_cache",
    "return_dict",
    "interpolate_pos_encoding",
    "output_hidden_states",
}
"""Arguments of ``forward`` that change no cost."""

_COSTLY = ("add_cross_attention", "cross_attention_hidden_size", "pruned_heads")
"""Settings of every model that change its cost where they are set."""


class FormulaCounter:
    """Price the terms of a formula."""

    convention = "MACs by a closed form of the configuration"
    needs_values = False
    runs = False

    def count(self, subject: Subject) -> Counted:
        """Price one forward pass.

        Raises:
            MeasureError: no formula covers this model, its configuration or its input.
        """
        try:
            batch, parts = _priced(subject)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise MeasureError(f"no formula for this configuration: {reason(error)}") from error
        ledger = Ledger(subject)
        for part in parts:
            macs = part.macs * batch
            ledger.price(part.name, part.family, total=macs, dense_macs=macs, module=subject.module)
        total = sum(op.total for op in ledger.operators)
        return ledger.counted(total, covered=ledger.leaves, notes=(NOTE,))


def _priced(subject: Subject) -> tuple[int, list[Part]]:
    """Return the batch, and the terms for one sample."""
    module = subject.module
    kind = f"{_library(module)}.{type(module).__name__}"
    if not covers(kind):
        raise MeasureError(f"no formula for {type(module).__name__}")
    _refuse_foreign(module)
    if _library(module) == "transformers":
        batch, asked = _text_or_image(subject)
        return batch, price(kind, *_settings(module.config), asked)
    if subject.arguments is None:
        raise MeasureError(
            f"no formula for a {type(module).__name__} whose arguments are not known: "
            "name it, such as timm:vit_base_patch16_224"
        )
    batch, asked = _image(module, () if subject.kwargs else subject.args)
    return batch, price(kind, subject.arguments, set(), asked)


def _library(module: nn.Module) -> str:
    return type(module).__module__.partition(".")[0]


def _refuse_foreign(module: nn.Module) -> None:
    """Refuse layers that do not come with the library: adapters, quantised or wrapped ones."""
    for child in module.modules():
        home = type(child).__module__
        known = home.partition(".")[0] in ("torch", _library(module))
        if not known or home.startswith(("torch.nn.utils", "torch.ao")):
            raise MeasureError(f"no formula for a layer from elsewhere: {type(child).__name__}")


def _settings(config: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the settings of transformers under their common names, and those of every model."""
    common = {real: name for name, real in type(config).attribute_map.items()}
    values = {common.get(name, name): value for name, value in config.to_dict().items()}
    base = next(c for c in type(config).__mro__ if c.__name__.lower() == "pretrainedconfig")
    every = set(base().to_dict())
    return values, every - {name for name in _COSTLY if values.get(name)}


def _text_or_image(subject: Subject) -> tuple[int, Asked]:
    """Return the batch and the sample of a model of transformers."""
    module = subject.module
    inputs = {name: value for name, value in subject.kwargs.items() if value is not None}
    main = next((n for n in ("input_ids", "inputs_embeds", "pixel_values") if n in inputs), None)
    if subject.args:
        main, inputs = module.main_input_name, {**inputs, module.main_input_name: subject.args[0]}
    past = inputs.pop("past_key_values", None)
    unknown = sorted(set(inputs) - {main, *_WITHOUT_EFFECT})
    if main is None or unknown or len(subject.args) > 1:
        raise MeasureError(f"no formula for the input {', '.join(unknown) or 'of this model'}")
    if main == "pixel_values":
        return _image(module, (inputs[main],))
    if past is not None and type(past).__name__ != "DynamicCache":
        raise MeasureError(f"no formula for a {type(past).__name__}")
    batch, tokens = inputs[main].shape[:2]
    cached = 0 if past is None else int(past.get_seq_length())
    return batch, _asked(module, tokens=tokens, cached=cached)


def _image(module: nn.Module, inputs: Any) -> tuple[int, Asked]:
    if not inputs or len(inputs) > 1 or inputs[0].dim() != 4:
        raise MeasureError("no formula for an input that is not one batch of images")
    return inputs[0].shape[0], _asked(module, image=tuple(inputs[0].shape[-2:]))


def _asked(module: Any, **sizes: Any) -> Asked:
    labels = int(getattr(getattr(module, "config", None), "num_labels", 0))
    return Asked(labels=labels, pooled=getattr(module, "pooler", None) is not None, **sizes)
