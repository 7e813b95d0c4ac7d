"""The command line without measuring: help, completion, exit status, and no torch."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, RunCli, assert_refused
from logs import write_log

from flopbench.cli import VERBS, build_parser
from flopbench.cli.examples import EXAMPLES
from flopbench.cli.model_options import models_for
from flopbench.cli.parser import Parser
from flopbench.cli.plot import KindParser
from flopbench.core.errors import InputError
from flopbench.present.kind import KINDS

NAMES = (
    "table",
    "explain",
    "latency",
    "replay",
    "plot",
    "report",
    "estimate",
    "compare",
    "audit",
    "check",
    "accept",
    "init",
    "log",
    "counters",
    "cache",
    "completion",
)


def test_every_verb_has_help(run_cli: RunCli) -> None:
    """Each verb explains itself, and the overview lists each with one line."""
    overview = run_cli("--help")
    assert overview.returncode == 0
    for name in NAMES:
        assert f"    {name} " in overview.stdout or f"    {name}\n" in overview.stdout
        verb = run_cli(name, "--help")
        assert verb.returncode == 0
        assert f"usage: flopbench {name}" in verb.stdout
    assert len(VERBS) == len(NAMES)


def test_every_kind_of_figure_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """``plot --help`` lists the kinds; each has its own help."""
    with pytest.raises(SystemExit) as done:
        build_parser().parse_args(["plot", "--help"])
    assert done.value.code == 0
    overview = capsys.readouterr().out
    for kind in KINDS:
        assert re.search(rf"^    {kind}\s", overview, re.MULTILINE)
        with pytest.raises(SystemExit) as done:
            build_parser().parse_args(["plot", kind, "--help"])
        assert done.value.code == 0
        own = capsys.readouterr().out
        assert f"usage: flopbench plot {kind}" in own
        assert "--width" in own
        assert "--data" in own


def test_version(run_cli: RunCli) -> None:
    """The version is that of the installed distribution."""
    from importlib.metadata import version

    assert run_cli("--version").stdout == f"flopbench {version('flopbench')}\n"


def every_parser() -> Iterator[Parser]:
    """Yield the parser of the command line, of each verb, of its parts, of each kind of figure."""

    def below(parser: Parser) -> Iterator[Parser]:
        if isinstance(parser, KindParser):
            parser.declare()
        yield parser
        for argument in parser._actions:
            if isinstance(argument, argparse._SubParsersAction):
                for own in argument.choices.values():
                    yield from below(own)

    return below(build_parser())


def test_every_help_has_examples() -> None:
    """Each help ends with two or three commands of its own verb or kind, in 80 columns."""
    named = set()
    for parser in every_parser():
        name = parser.prog.removeprefix("flopbench").strip()
        named.add(name)
        examples = EXAMPLES[name]
        assert len(examples) in {2, 3} or len(parser._actions) == 1, name  # only --help
        lines = [f"  flopbench {example}" for example in examples]
        assert parser.format_help().endswith("\n".join(["\nexamples:", *lines, ""]))
        for line in lines:
            assert line.startswith(f"  {parser.prog}"), line
            assert len(line) <= 80, line
    assert named == set(EXAMPLES)


def test_options_are_in_groups_and_the_usage_is_short() -> None:
    """What must be given is in the usage; where there are many options, each has a heading."""
    for parser in every_parser():
        titles = [group.title for group in parser._action_groups]
        assert len(titles) == len(set(titles)), parser.prog
        optional = [action for action in parser._actions if action.option_strings]
        assert len(parser._optionals._group_actions) <= 4, parser.prog
        assert ("[options]" in parser.format_usage()) == (
            sum(not action.required for action in optional) > 3
        )
    usage = next(p for p in every_parser() if p.prog == "flopbench plot usage").format_usage()
    assert usage == "usage: flopbench plot usage [options] -o FILE FILE [FILE ...]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_completion_knows_every_verb(run_cli: RunCli, shell: str) -> None:
    """shtab drops a verb without help in silence, so each is looked for."""
    script = run_cli("completion", shell)
    assert script.returncode == 0
    for name in NAMES:
        assert name in script.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("esti", "estimate"),
        ("estimate ru", "run.jsonl"),
        ("estimate --table ru", "run.jsonl"),
        ("report -o ou", "out"),
        ("plot usa", "usage"),
        ("plot usage run.jsonl --dat", "--data"),
    ],
)
def test_bash_completes(run_cli: RunCli, tmp_path: Path, words: str, completed: str) -> None:
    """Verbs, kinds, options; files and folders where they are expected."""
    (tmp_path / "run.jsonl").touch()
    (tmp_path / "out").mkdir()
    script = run_cli("completion", "bash").stdout
    line = f"COMP_WORDS=(flopbench {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
    code = f'{script}\n{line}\n_shtab_flopbench 2>/dev/null\necho "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split()[0] == completed


def test_every_argument_is_documented() -> None:
    """Every option and positional argument has help."""
    for parser in every_parser():
        for argument in parser._actions:
            if not isinstance(argument, argparse._SubParsersAction):
                assert argument.help or argument.choices, f"{parser.prog}: {argument.dest}"


@pytest.mark.parametrize(
    ("args", "needle"),
    [
        (("tabel",), "there is no verb 'tabel'\n  did you mean 'table'? verbs: table, explain"),
        (("plot", "usge", "x"), "there is no kind 'usge'\n  did you mean 'usage'? kinds: "),
        (
            ("table", "--form", "md", "--colums=a"),
            "flopbench table has no option '--colums'\n  did",
        ),
        (("estimate", "--polcy-log", "x"), "did you mean '--policy-log'? options: "),
        (("plot", "usage", "x", "--widht", "3"), "did you mean '--width'?"),
        (("plot", "usage"), "required: FILE, -o/--output\n  see 'flopbench plot usage --help'"),
        (("estimate",), "no log, and no --counts\n  such as: flopbench estimate run.jsonl"),
        (("estimate", "a", "--counts", "b"), "a log and --counts were given: one of them"),
        (("replay",), "no log, and no --from"),
        (("table", "--format", "xml"), "invalid choice"),
        (("table", "--jobs", "0"), "at least 1"),
        (("table", "--jobs", "two"), "not a whole number"),
        (("table", "--classes", "-1"), "at least 1"),
        (("compare", "a", "b", "--resamples", "1000000000"), "at most 1,000,000"),
    ],
)
def test_usage_errors_end_with_2(run_cli: RunCli, args: tuple[str, ...], needle: str) -> None:
    """One line and a hint, exit status 2, nothing on stdout."""
    result = run_cli(*args)
    assert result.returncode == 2
    assert needle in result.stderr
    assert result.stdout == ""


def test_alone_it_prints_the_help(run_cli: RunCli) -> None:
    """A first look is not an error."""
    result = run_cli()
    assert (result.returncode, result.stderr) == (0, "")
    assert "usage: flopbench [-h] [--version] VERB ..." in result.stdout
    assert "estimate" in result.stdout


def test_without_torch_measuring_says_how_to_install_it(run_cli: RunCli, tmp_path: Path) -> None:
    """Without the extra ``measure``, one message names the command that installs it."""
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError('no torch', name='torch')\n"
        "sys.meta_path.insert(0, Block())\n"
        "import flopbench.counting.registry as c, flopbench.cli as cli\n"
        "c.installed_version = lambda name: '1.0'\n"
        f"sys.exit(cli.main(['table', 'resnet18@64', '-o', {str(tmp_path / 'o.md')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert_refused(done, "needs torch", "pip install 'flopbench[measure]'")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_counter_library_is_named(run_cli: RunCli) -> None:
    """A counter whose extra is not installed says how to get it."""
    code = (
        "import sys, flopbench.counting.registry as c, flopbench.cli as cli\n"
        "known = c.installed_version\n"
        "c.installed_version = lambda name: None if name == 'ptflops' else '1.0'\n"
        "sys.exit(cli.main(['table', 'resnet18@64', '--counter', 'ptflops']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert_refused(done, "'ptflops' needs ptflops", "pip install 'flopbench[ptflops]'")


@pytest.mark.parametrize(
    ("args", "needles"),
    [
        (("table", "resnet18@0"), ("at least 1",)),
        (("table", "resnet18@-5"), ("at least 1",)),
        (("table", "resnet18@big"), ("not a number",)),
        (("table", "resnet18", "-r", "1.5"), ("not a number",)),
        (("table", "resnet18@64", "-r", "32"), ("already has its own input",)),
        (("table", "-r", "32"), ("needs models",)),
        (("table", "--preset", "arnett"), ("did you mean 'arnet'",)),
        (("table", "--preset", "none.toml"), ("there is no preset",)),
        (("table", "--sort", "colour"), ("cannot sort by 'colour'", "columns:")),
        (("table", "-o", "."), ("is a directory",)),
        (("table", "-o", "no/such/dir.md"), ("there is no directory",)),
        (("explain", "value:7"), ("is a constant",)),
        (("explain", "resnet18", "--depth", "-1"), ("--depth",)),
        (("explain", "pytorch:resnet-18"), ("is not a model",)),
    ],
)
def test_bad_input_is_one_message_and_2(
    run_cli: RunCli, args: tuple[str, ...], needles: tuple[str, ...]
) -> None:
    """What can be refused without measuring is refused before measuring."""
    assert_refused(run_cli(*args), *needles)


@pytest.mark.parametrize(
    "args",
    [
        ("--version",),
        ("table", "--colour"),
        ("table", "--from", str(ROOT / "tests" / "data" / "table-schema1.json")),
        ("table", "--from", "nowhere.json"),
        ("log", "validate", str(ROOT / "tests" / "data" / "selective.jsonl")),
    ],
)
def test_a_process_says_what_is_said_here(run_cli: RunCli, args: tuple[str, ...]) -> None:
    """Tests run commands in their own process: a separate process does the same."""
    own, here = run_cli(*args, process=True), run_cli(*args)
    assert (own.returncode, own.stdout, own.stderr) == (here.returncode, here.stdout, here.stderr)


def test_a_terminal_without_the_characters_is_no_error(run_cli: RunCli) -> None:
    """ASCII output loses a multiplication sign, not the table."""
    saved = str(ROOT / "tests" / "data" / "table-schema1.json")
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    result = run_cli("table", "--from", saved, env=env, process=True)
    assert result.returncode == 0, result.stderr
    assert "0.39 ? (112/224)" in result.stdout


@pytest.mark.parametrize(
    ("words", "streams", "status"),
    [
        ("completion bash", "", 0),
        ("--help", "", 0),
        ("table --from missing.json", "2>&1 >/dev/null", 2),
        ("nonsense", "2>&1", 2),
    ],
)
def test_a_reader_that_leaves_early_is_no_error(
    tmp_path: Path, words: str, streams: str, status: int
) -> None:
    """``flopbench ... | head`` ends quietly; an error that nobody reads keeps its status."""
    command = f"{sys.executable} -m flopbench {words} {streams} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, "")


def test_models_of_logs_go_before_those_that_are_named(tmp_path: Path) -> None:
    """For table and latency alike, each once; a log may be present only as its shards."""
    for rank in range(2):
        header = {
            "components": {"n": "resnet18@112"},
            "actions": [{"name": "a", "costs": {"n": 1}}],
        }
        write_log(tmp_path / f"run.rank{rank}-of-2.jsonl", header, [{"actions": [0]}])
    given = {"verb": "table", "resolution": [], "classes": None, "preset": None}
    for models, expected in (
        ([], ["resnet18@112"]),
        (["vgg11@64", "resnet18@112"], ["resnet18@112", "vgg11@64"]),
    ):
        args = argparse.Namespace(models=models, **given)
        found, rows = models_for(args, [str(tmp_path / "run.jsonl")])
        assert (list(map(str, found)), rows) == (expected, ())
    with pytest.raises(InputError, match="other: there is no such policy log"):
        models_for(argparse.Namespace(models=[], **given), ["other"])
