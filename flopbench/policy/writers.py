"""Converts a log from any form into any other without loss."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from flopbench.core import stopping
from flopbench.core.errors import InputError
from flopbench.core.files import check_writable, temporary, write_atomic
from flopbench.policy.checks import check_samples
from flopbench.policy.columns import coded
from flopbench.policy.forms import form_to_write
from flopbench.policy.forms.base import Copy
from flopbench.policy.header import without_preset_file
from flopbench.policy.log import Log, open_log
from flopbench.policy.samples import Sample, raise_first


def convert(log: Log, target: Path) -> int:
    """Write a log in the form that a file name asks for, whole or not at all; return its length."""
    form = form_to_write(target)
    check_writable(target)

    def samples() -> Iterator[Sequence[Sample]]:
        for group, place in log.samples():
            check_samples(group, log.plan, place, raise_first)
            yield coded(group, log.plan, place)

    whole = target.resolve()
    try:
        with temporary(whole.parent, f".{whole.name}.") as new:
            copy = Copy(
                header=without_preset_file(log.header, log.plan.header),
                plan=log.plan,
                samples=samples,
                target=target,
                temporary=new,
            )
            count = form.load().write(copy)
            with stopping.held():
                for path, text in copy.beside.items():
                    write_atomic(path, text)
                os.replace(new, whole)
            return count
    except OSError as error:
        raise InputError(f"cannot write {whole}: {error.strerror or error}") from None


def convert_file(source: Path, target: Path) -> int:
    """Turn one log file into another; see ``convert``."""
    return convert(open_log([source], complete=False), target)
