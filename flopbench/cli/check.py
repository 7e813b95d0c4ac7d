"""``flopbench check``: compare costs with the committed baseline and the budgets."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flopbench.cli.common import (
    add_output,
    check_output,
    chosen_format,
    emit,
    load_numpy,
    progress_bar,
    require,
)
from flopbench.cli.parser import Parser
from flopbench.core.errors import EXIT_OK, InputError
from flopbench.core.files import check_writable, read_json, write_atomic

if TYPE_CHECKING:
    from fractions import Fraction

    from flopbench.check.report import Report

FORMATS = ("table", "md", "json")
_FILES = ("junit", "badge", "report")
_OF_TESTS = "pytest.json"
_SUMMARY = "GITHUB_STEP_SUMMARY"


def add_parser(add: Callable[..., Parser]) -> None:
    """Add the verb to the command line."""
    parser = add(
        description=(
            "Compare every entry of flopbench.toml (or of [tool.flopbench] in pyproject.toml) "
            "with the committed baseline and its budgets. MACs, parameters and activations are "
            "exact, so the gate is exact; latency is a tripwire between equal machines. "
            "'flopbench init' sets it up, 'flopbench accept' moves the baseline."
        ),
        epilog=(
            "exit status: 0 fine; 1 more expensive than allowed, over a limit, or gone; 2 wrong "
            "configuration, baseline or usage; 3 could not measure; 4 not comparable"
        ),
    )
    parser.group("input").option("--config FILE", "the configuration (default: searched for)")
    checked = parser.group("what is checked")
    checked.option(
        "--against REF",
        "compare with the baseline of a git revision; growth that the current baseline "
        "accepts does not fail",
    )
    checked.option(
        "--paired REF",
        "time budgets with gate = 'paired' against a git revision, with alternating calls",
    )
    checked.option(
        "--self-test PERCENT",
        "inject growth into every entry and require that the check fails (default: 1)",
        nargs="?",
        const="1",
    )
    checked.add_argument(  # the earlier name
        "--drill", dest="self_test", nargs="?", const="1", help=argparse.SUPPRESS
    )
    checked.option(
        "--verify-baseline", "check only the baseline file: form, digests, sums; needs no torch"
    )
    parser.group("input").option(
        "--from FILE", "render a saved report (JSON) instead of measuring", dest="saved"
    )
    parser.group("counting").option("--refresh", "count again instead of reading the cache")
    outputs = parser.group("output")
    outputs.option(
        "--verbose",
        "explain each failure in full: every metric with its budget, every cause, the modules "
        "that grew most",
    )
    outputs.option("--github", f"append a summary to ${_SUMMARY} and print annotations")
    outputs.option("--report FILE", "write the report (JSON) to FILE")
    outputs.option("--junit FILE", "write JUnit XML to FILE")
    outputs.option("--badge FILE", "write a shields.io badge (JSON) to FILE")
    add_output(parser, FORMATS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check costs; the exit status is the report's."""
    _check_combinations(args)
    check_output(args)
    for name in _FILES:
        if getattr(args, name):
            check_writable(Path(getattr(args, name)))
    if args.verify_baseline:
        return _verify(args)
    if args.saved:
        from flopbench.check.report import Report

        saved = read_json(Path(args.saved), "a report of flopbench check")
        report = Report.from_json(saved, args.saved)
    else:
        report = _measured(args)
    _write(args, report)
    return report.exit_status


def _check_combinations(args: argparse.Namespace) -> None:
    measuring = {
        "--config": args.config,
        "--against": args.against,
        "--paired": args.paired,
        "--self-test": args.self_test,
        "--refresh": args.refresh,
        "--verify-baseline": args.verify_baseline,
    }
    given = [name for name, value in measuring.items() if value]
    require(
        not (args.saved and given),
        f"--from renders a saved report as it is: {', '.join(given)} cannot apply",
    )
    alone = [name for name in given if name not in {"--verify-baseline", "--config"}]
    alone += [f"--{name}" for name in (*_FILES, "github", "format") if getattr(args, name)]
    require(
        not (args.verify_baseline and alone),
        f"--verify-baseline measures nothing: {', '.join(alone)} cannot apply",
    )
    require(
        args.self_test is None or not (args.against or args.paired),
        "--self-test injects growth: --against and --paired cannot apply",
    )
    require(
        not args.github or bool(os.environ.get(_SUMMARY)),
        f"--github writes to the file that ${_SUMMARY} names, but it is not set",
        "leave out --github outside a GitHub job",
    )


def _verify(args: argparse.Namespace) -> int:
    from flopbench.check.baseline.file import verify_baseline
    from flopbench.check.config import find_config, read_config
    from flopbench.check.running import inside
    from flopbench.core.files import read_text
    from flopbench.core.units import plural

    config = read_config(find_config(args.config))
    with inside(config):
        path = Path(config.baseline)
        require(
            path.is_file(),
            f"there is no baseline {path}",
            "'flopbench init' or 'flopbench accept --all --reason ...' writes it",
        )
        # The pytest plugin keeps its baseline in the same folder.
        paths = [one for one in (path, path.with_name(_OF_TESTS)) if one.is_file()]
        counts = {
            one: len(verify_baseline(read_text(one, "a baseline"), str(one)).entries)
            for one in dict.fromkeys(paths)
        }
    text = "".join(
        f"{one}: canonical, digests and sums correct, {count} {plural(count, 'entry', 'entries')}\n"
        for one, count in counts.items()
    )
    emit(args, lambda stream: text)
    return EXIT_OK


def _measured(args: argparse.Namespace) -> Report:
    from flopbench.check.config import find_config, read_config
    from flopbench.check.running import run_check

    share = _share(args.self_test) if args.self_test is not None else None
    config = read_config(find_config(args.config))
    if any(entry.policy_log for entry in config.entries):
        load_numpy()
    with progress_bar() as progress:
        return run_check(
            config,
            against=args.against,
            paired=args.paired,
            self_test_share=share,
            refresh=args.refresh,
            progress=progress,
            say=progress.say if progress else None,
        )


def _share(text: str) -> Fraction:
    from flopbench.check.limits import parse_share

    try:
        share = parse_share(text if text.strip().endswith("%") else f"{text}%")
    except InputError as error:
        raise InputError(f"--self-test {text}: {error.message}", error.hint) from None
    require(share > 0, f"--self-test {text} injects nothing: expected more than 0 %")
    return share


def _write(args: argparse.Namespace, report: Report) -> None:
    """Write every requested output, the terminal's last; each is imported where it is asked for."""
    from flopbench.check.text.terminal import render_check, report_json

    if args.report:
        write_atomic(Path(args.report), report_json(report))
    if args.junit:
        from flopbench.check.text.junit import junit_xml

        write_atomic(Path(args.junit), junit_xml(report))
    if args.badge:
        from flopbench.check.text.ci import badge_json

        write_atomic(Path(args.badge), badge_json(report))
    if args.github:
        from flopbench.check.text.markdown import github_summary

        summary = Path(os.environ[_SUMMARY])
        try:
            with summary.open("a", encoding="utf-8", newline="\n") as file:
                file.write(github_summary(report))
        except OSError as error:
            raise InputError(f"cannot write {summary} (${_SUMMARY}): {error.strerror}") from None
    format = chosen_format(args, FORMATS)
    emit(args, lambda stream: render_check(report, format, stream, verbose=args.verbose))
    if args.github:
        from flopbench.check.text.ci import annotations

        # After the report, and on stderr where stdout is itself a document.
        stream = sys.stderr if format == "json" and args.output == "-" else sys.stdout
        lines = annotations(report, base=_base())
        stream.write("".join(f"{line}\n" for line in lines))


def _base() -> str:
    """Return the folder that paths of the report are relative to, as seen from the checkout."""
    checkout = os.environ.get("GITHUB_WORKSPACE")
    if not checkout:
        return ""
    inner = os.path.relpath(os.path.realpath("."), os.path.realpath(checkout))
    return "" if inner.startswith("..") else Path(inner).as_posix()
