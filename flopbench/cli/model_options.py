"""Models on the command line, for ``table`` and ``latency``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flopbench.cli.common import PLACES, positive, require
from flopbench.cli.parser import Group, Parser
from flopbench.core.errors import InputError, near_match

if TYPE_CHECKING:
    from flopbench.models.presets import PublishedRow
    from flopbench.models.spec import ModelSpec

DEFAULT_PRESET = "arnet"


def add_models(parser: Parser, *, models: str, preset: str) -> Group:
    """Add ``MODEL``, ``--resolution``, ``--classes`` and ``--preset``; return their group."""
    group = parser.group("input")
    group.add_argument("models", nargs="*", metavar="MODEL", help=models)
    group.add_argument(
        "-r",
        "--resolution",
        action="append",
        metavar="SIZE",
        help="input of every MODEL: a size (224, 112x168, 16x112x112) or, for your own code, "
        "shapes (1x100:int64); repeatable",
    )
    group.option("--classes", "give every MODEL a head with this many classes", type=positive)
    group.option("--preset PRESET", preset)
    return group


def chosen_models(
    args: argparse.Namespace, *, more: tuple[str, ...] = ()
) -> tuple[list[ModelSpec], tuple[PublishedRow, ...]]:
    """Return the specifications asked for, a preset's first, and that preset's rows.

    With neither models nor preset it is ``DEFAULT_PRESET``; ``more`` are models of another option.
    """
    from flopbench.counting.run import preset_specs
    from flopbench.models.presets import load_preset
    from flopbench.models.spec import cross, parse_spec

    inputs = args.resolution or []
    specs = cross([parse_spec(text) for text in (*args.models, *more)], inputs)
    require(
        not (inputs and not args.models),
        "-r/--resolution needs models: the rows of a preset have their own inputs",
        f"name models, such as: flopbench {args.verb} resnet50 -r 224 -r 168",
    )
    published: tuple[PublishedRow, ...] = ()
    if args.preset or not args.models:
        preset = load_preset(args.preset or DEFAULT_PRESET)
        specs = [*preset_specs(preset), *specs]
        published = preset.rows
    if args.classes is not None:
        specs = [s if s.source == "value" else s.with_classes(args.classes) for s in specs]
    return specs, published


def models_for(
    args: argparse.Namespace, logs: list[str], *, more: tuple[str, ...] = ()
) -> tuple[list[ModelSpec], tuple[PublishedRow, ...]]:
    """Return what the components of logs are, then the models named beside them, and no rows.

    The user trusts the code among them by naming the logs. Without logs: ``chosen_models``.
    """
    if not logs:
        return chosen_models(args, more=more)
    from flopbench.estimate.components import specs_of_logs
    from flopbench.policy.shards import find_files

    for log in logs:
        try:
            find_files([log], complete=False)
        except InputError as error:
            hint = f"{near_match(log, PLACES, 'places in a paper')}; models go before --for"
            raise InputError(f"--for {log}: there is no such policy log", hint) from error
    require(
        bool(args.models) or not (args.resolution or args.classes),
        "--resolution and --classes are for models that are named beside --for",
        "the components of a log have their own inputs and heads",
    )
    specs, args.preset = specs_of_logs(logs, args.preset), None
    named = chosen_models(args, more=more)[0] if args.models else []
    return list(dict.fromkeys([*specs, *named])), ()
