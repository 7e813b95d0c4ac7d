"""The pytest plugin: budgets for what tests return, and a fixture that counts models.

    @pytest.mark.cost_budget("4.2 GMACs", input=(1, 3, 224, 224), max_increase="2%")
    def test_backbone():
        return build_backbone()

Every run of pytest loads this module where flopbench is installed, so it imports nothing but
pytest; what a mark or the fixture needs is imported when a test uses it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flopbench.check.pytest.costs import Ledger
    from flopbench.check.pytest.marks import Asked
    from flopbench.check.records import Baseline, ModelCost

MARK = "cost_budget"
_HELP = (
    "cost_budget(*limits, input=None, max_increase=None, min_delta=None, counter='torch', "
    "note=''): "
    "the test returns a torch.nn.Module, (module, inputs), (module, args, kwargs) or a model "
    "specification, which must not cost more than its limits ('4.2 GMACs', '25.6 M params', "
    "'11 M activations') and not grow by more than max_increase ('2%') over .flopbench/pytest.json"
)
_REASON = "pytest --flopbench-update"
_BUDGETS = "flopbench-cost-budgets"
"""Name under which a session's budgets are registered."""
_OUTPUT = "flopbench"
"""Key under which an xdist worker returns what it counted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("flopbench", "model cost (flopbench)")
    group.addoption(
        "--flopbench-update",
        action="store_true",
        help="record what models cost now as their baseline, instead of guarding their growth",
    )
    group.addoption(
        "--flopbench-reason",
        metavar="TEXT",
        help="why, kept in the baseline with old and new; with --flopbench-update",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; refuse options that cannot apply."""
    config.addinivalue_line("markers", _HELP)
    update, reason = config.getoption("flopbench_update"), config.getoption("flopbench_reason")
    if reason is not None and not update:
        raise pytest.UsageError("--flopbench-reason only applies with --flopbench-update: add it")
    if reason is not None and not reason.split():
        raise pytest.UsageError("--flopbench-reason is empty: expected why the cost may change")
    if update:
        from flopbench.check.accepting import runs_in_ci  # not in every test run

        if runs_in_ci():
            raise pytest.UsageError(
                "--flopbench-update does not run where CI is set: a job that accepts its own cost "
                "guards nothing; run it on your own machine and commit .flopbench/pytest.json"
            )
    config.pluginmanager.register(CostBudgets(config), _BUDGETS)


@pytest.fixture(scope="session")
def model_cost(pytestconfig: pytest.Config) -> Callable[..., ModelCost]:
    """Count a model: ``model_cost(net, (1, 3, 224, 224)).dense_macs``.

    The function takes a module, one with its inputs or a model specification, then ``input`` and
    ``counter``, and returns a record with ``dense_macs``, ``params``, ``activations`` and
    ``modules``. It raises ``flopbench.InputError`` or ``MeasureError`` where the model cannot be
    counted.
    """

    def cost(model: Any, input: Any = None, counter: str = "torch") -> ModelCost:
        __tracebackhide__ = True
        from flopbench.check.pytest.costs import count
        from flopbench.core.errors import FlopbenchError

        try:
            found = count(model, input, counter)
        except FlopbenchError as error:
            raise error.with_traceback(None) from None
        at = "" if found.input in found.spec else f" at {found.input}"
        budgets.ledger.saw(f"{found.spec}{at}", found)
        return found

    budgets: CostBudgets = pytestconfig.pluginmanager.get_plugin(_BUDGETS)
    return cost


class CostBudgets:
    """The tests with a budget in one session, in this process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.update: bool = config.getoption("flopbench_update")
        self.asked: dict[str, Asked] = {}
        self.lines: list[str] = []
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """What this session has recorded so far."""
        if self._ledger is None:
            from flopbench.check.pytest.costs import Ledger

            self._ledger = Ledger()
        return self._ledger

    @cached_property
    def baseline(self) -> Baseline | None:
        """The recorded costs, read once; None where there are none yet."""
        from flopbench.check.pytest.costs import read_recorded

        return read_recorded(self.config.rootpath)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Read the marks before any fixture is made: a wrong one is an error of the test."""
        marks = list(item.iter_markers(MARK))
        if not marks:
            return
        from flopbench.check.pytest.marks import read_marks
        from flopbench.core.errors import FlopbenchError

        name = _name(item)
        file, number, _ = item.location
        line = (number or 0) + 1
        try:
            asked = read_marks(marks, name=name, file=file, line=line)
            if asked.guarded:
                _ = self.baseline  # a damaged one is an error of the test, too
        except FlopbenchError as error:
            wrong = f"{error}\n  mark: {file}:{line}"
        else:
            self.asked[name] = asked
            return
        # Outside the handler, so that it is not chained to another.
        pytest.fail(wrong, pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a test that has a budget, and judge what it returns."""
        asked = self.asked.pop(_name(pyfuncitem), None)
        if asked is None:
            return None
        names = pyfuncitem._fixtureinfo.argnames
        returned = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
        if inspect.iscoroutine(returned):
            returned.close()
            self._refuse(
                asked, "does not run async tests: make it a plain function that returns a model"
            )
        self._judge(asked, returned)
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Refuse an unchecked budget: on a unittest, or where another plugin ran the test."""
        asked = self.asked.pop(_name(item), None)
        if asked is not None:
            self._refuse(
                asked,
                f"guards plain test functions, and this is {type(item).__name__}: nothing was "
                "counted",
            )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Pass what was counted to xdist's controller; there, and without xdist, write it."""
        if hasattr(self.config, "workeroutput"):
            if self._ledger is not None:
                self.config.workeroutput[_OUTPUT] = self._ledger.to_text()
            return
        if not self.update:
            return
        from flopbench.check.pytest.costs import record
        from flopbench.core.errors import FlopbenchError

        reason = self.config.getoption("flopbench_reason") or _REASON
        try:
            self.lines += record(self.config.rootpath, self.ledger, reason)
        except FlopbenchError as error:
            self.lines.append(f"error: nothing is recorded: {error.line}")
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """Take over what a worker of xdist counted."""
        output = getattr(node, "workeroutput", None)
        if output is None:
            if self.update:
                self.lines.append(f"what {node.gateway.id} counted was lost when it died")
        elif _OUTPUT in output:
            self.ledger.add(output[_OUTPUT])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what was counted and recorded, what has no baseline and what became cheaper."""
        lines = list(self.lines)
        if self._ledger is not None:
            lines += self._ledger.lines(verbose=self.config.getoption("verbose") > 0)
        if lines:
            terminalreporter.section("model cost (flopbench)")
            for line in lines:
                terminalreporter.write_line(line)

    def _judge(self, asked: Asked, returned: Any) -> None:
        from flopbench.check.pytest.costs import explanation, measured, verdict

        cost = measured(asked, returned)
        if not isinstance(cost, str):
            self.ledger.saw(asked.name, cost)
        held = self.baseline if asked.guarded and not self.update else None
        result = verdict(asked, cost, held)
        if result.failed or result.state in {"not measured", "not comparable"}:
            pytest.fail(explanation(asked, result), pytrace=False)
        assert not isinstance(cost, str)
        self.ledger.note(asked, cost, result, update=self.update)

    @staticmethod
    def _refuse(asked: Asked, why: str) -> None:
        pytest.fail(f"{MARK} {why}\n  mark: {asked.file}:{asked.line}", pytrace=False)


def _name(item: pytest.Item) -> str:
    """Return the node id without the group that xdist appends."""
    return f"{item.parent.nodeid}::{item.name}" if item.parent is not None else item.nodeid
