"""Compiles tables as a paper would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TWO_COLUMNS = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{array,booktabs}
\IfFileExists{threeparttable.sty}{\usepackage{threeparttable}}{
  \newenvironment{threeparttable}{}{}
  \newenvironment{tablenotes}[1][]{\begin{minipage}{\linewidth}\list{}{}}{\endlist\end{minipage}}}
\setlength{\textwidth}{497pt}
\setlength{\columnsep}{23pt}
"""
"""The measures of the CVF template."""


def needs_pdflatex() -> None:
    """Skip the test where there is no pdflatex."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")


def compiled(paper: Path) -> str:
    """Compile a paper in its folder; return what pdflatex said."""
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", paper.name],
        cwd=paper.parent,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout
