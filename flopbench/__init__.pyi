"""The public names, for type checkers; ``__init__.py`` loads them when they are used."""

from flopbench import plots as plots
from flopbench.check.config import find_config as find_config
from flopbench.check.config import read_config as read_config
from flopbench.check.report import Report as Report
from flopbench.check.running import run_check as run_check
from flopbench.core.errors import DataError as DataError
from flopbench.core.errors import FlopbenchError as FlopbenchError
from flopbench.core.errors import InputError as InputError
from flopbench.core.errors import MeasureError as MeasureError
from flopbench.core.errors import NotComparableError as NotComparableError
from flopbench.counting.api import Profiles as Profiles
from flopbench.counting.api import cost_table as cost_table
from flopbench.counting.api import profile as profile
from flopbench.counting.cost_row import CostRow as CostRow
from flopbench.counting.profile import CostProfile as CostProfile
from flopbench.counting.profile import Gap as Gap
from flopbench.counting.profile import ModuleFacts as ModuleFacts
from flopbench.counting.profile import OpCost as OpCost
from flopbench.counting.table import CostTable as CostTable
from flopbench.counting.zoo import library_models as library_models
from flopbench.estimate.reducing import reduce_log as reduce_log
from flopbench.estimate.runs import Choices as Choices
from flopbench.estimate.runs import Run as Run
from flopbench.estimate.runs import run_of_counts as run_of_counts
from flopbench.estimate.runs import run_of_log as run_of_log
from flopbench.models.spec import ModelSpec as ModelSpec
from flopbench.models.spec import parse_spec as parse_spec
from flopbench.policy.header import Header as Header
from flopbench.policy.logger import PolicyLogger as PolicyLogger
from flopbench.present.report import write_report as write_report
from flopbench.replay.records import Replay as Replay
from flopbench.replay.records import load_replay as load_replay
from flopbench.replay.run import ReplayChoices as ReplayChoices
from flopbench.replay.run import replay_of_log as replay_of_log
from flopbench.timing.comparison import compare_files as compare_files
from flopbench.timing.comparison import compare_interleaved as compare_interleaved
from flopbench.timing.file import TimingFile as TimingFile
from flopbench.timing.pipeline import time_pipeline as time_pipeline
from flopbench.timing.records import Timing as Timing
from flopbench.timing.records import TimingSpec as TimingSpec
from flopbench.timing.run import Effort as Effort
from flopbench.timing.run import time_models as time_models
from flopbench.timing.run import time_throughput as time_throughput
from flopbench.timing.verdicts import summarise as summarise

__version__: str
