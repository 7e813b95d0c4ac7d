"""Plant known faults one at a time in a copy of the repository: do the tests catch each?

    python benchmarks/planted_faults.py [--only NAME ...] [--list]

A fault is a text of one file and its faulty replacement; the tests named with it must then fail,
and pass without it. The printed table shows what caught each fault. The exit status is 1 if a fault
was not caught, or if its text does not occur exactly once in its file: then the fault must be
updated, or deleted together with the code it was about.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_S = 600
"""A test run that takes longer counts as hanging: the fault was not caught."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: what goes wrong, in a few words.
        file: where, from the repository's root.
        old: the correct text, which occurs there once.
        new: the fault in its place.
        tests: files, or tests of a file, of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = (
    # --- core
    Fault(
        "numpy starts a pool of threads",
        "flopbench/cli/common.py",
        'os.environ[_BLAS_THREADS] = "1"',
        'os.environ[_BLAS_THREADS] = "2"',
        ("tests/light/house/test_imports.py::test_numpy_starts_no_threads",),
    ),
    Fault(
        "milliseconds lose a decimal",
        "flopbench/core/units.py",
        "4 if value < 1 else 3 if value < 10 else",
        "4 if value < 1 else 2 if value < 10 else",
        ("tests/light/core/test_units.py",),
    ),
    Fault(
        "small percentages without a decimal",
        "flopbench/core/units.py",
        "if abs(share) < 0.1 else",
        "if abs(share) < 0.01 else",
        ("tests/light/core/test_units.py",),
    ),
    Fault(
        "tera begins too late",
        "flopbench/core/units.py",
        "if billions < 1000:",
        "if billions <= 1000:",
        ("tests/light/core/test_units.py",),
    ),
    Fault(
        "small costs printed as 0.0010",
        "flopbench/core/units.py",
        "10 ** (self.decimals - 1) * count >= self.divisor",
        "10**self.decimals * count >= self.divisor",
        ("tests/light/core/test_units.py",),
    ),
    Fault(
        "three digits of an interval's half-width",
        "flopbench/core/units.py",
        "return min(most, max(0, 1 - exponent))",
        "return min(most, max(0, 2 - exponent))",
        ("tests/light/estimate/test_wording.py",),
    ),
    Fault(
        "the largest cost is a thousandth",
        "flopbench/core/limits.py",
        "LARGEST_COST = 10**24",
        "LARGEST_COST = 10**21",
        ("tests/light/core/test_units.py",),
    ),
    Fault(
        "a bar of exactly one unit",
        "flopbench/core/units.py",
        "if largest >= scale.divisor",
        "if largest > scale.divisor",
        ("tests/light/core/test_units.py",),
    ),
    Fault(
        "pooled degrees of freedom",
        "flopbench/core/statistics.py",
        "degrees = max(1, int(sum(errors) ** 2 / spread)) if spread else len(below) - 1",
        "degrees = len(below) + len(above) - 2",
        ("tests/light/core/test_time_statistics.py::"
         "test_the_interval_of_a_ratio_has_the_degrees_of_welch",),
    ),
    Fault(
        "plain percentiles of a bootstrap",
        "flopbench/core/bootstrap.py",
        "tail = statistics.NormalDist().cdf(-math.sqrt(n / (n - 1)) * student_95(n - 1))",
        "tail = 0.025",
        ("tests/light/core/test_time_statistics.py::"
         "test_the_bootstrap_of_few_processes_reaches_its_rarest_draws",),
    ),
    Fault(
        "a ratio is as sure as its larger side",
        "flopbench/core/bootstrap.py",
        "n = min(len(below), len(above))",
        "n = max(len(below), len(above))",
        ("tests/light/core/test_time_statistics.py::"
         "test_the_bootstrap_of_few_processes_reaches_its_rarest_draws",),
    ),
    Fault(
        "both runs drawn with one seed",
        "flopbench/core/bootstrap.py",
        "drawn_means(costs, own, resamples=resamples, seed=seed + n)",
        "drawn_means(costs, own, resamples=resamples, seed=seed)",
        ("tests/light/estimate/test_estimate.py::test_videos_of_two_runs_are_drawn_apart",),
    ),
    Fault(
        "clusters are averaged as if they were equal",
        "flopbench/core/bootstrap.py",
        "return drawn[0] / drawn[1]",
        "return resampled_means((sums / sizes)[None, :], resamples=resamples, seed=seed)[0]",
        ("tests/light/estimate/test_clusters.py::test_whole_clusters_are_drawn_as_a_ratio",),
    ),
    Fault(
        "few unequal clusters count in full",
        "flopbench/core/bootstrap.py",
        "return max(2, len(clusters) ** 2 // int(np.square(sizes).sum()))",
        "return max(2, len(sizes))",
        ("tests/light/estimate/test_clusters.py::test_one_large_cluster_leaves_few",),
    ),
    Fault(
        "an atomic write in place",
        "flopbench/core/files.py",
        "os.replace(new, path)",
        "path.write_bytes(data)",
        ("tests/light/core/test_files.py",),
    ),
    Fault(
        "a rewritten file loses its mode",
        "flopbench/core/files.py",
        "mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask()",
        "mode = 0o666 & ~umask()",
        ("tests/light/core/test_files.py",),
    ),
    Fault(
        "a signal leaves a temporary file",
        "flopbench/core/files.py",
        "with stopping.cleaned(remove):",
        "with contextlib.nullcontext():",
        ("tests/light/core/test_stopping.py",),
    ),
    Fault(
        "a signal comes between two files that belong together",
        "flopbench/policy/writers.py",
        "with stopping.held():",
        "if True:",
        ("tests/light/core/test_stopping.py",),
    ),
    Fault(
        "workers outlive a parent that is killed",
        "flopbench/core/workers.py",
        "ctypes.CDLL(None).prctl(_DEATH_SIGNAL, int(signal.SIGKILL))",
        "pass",
        ("tests/light/core/test_stopping.py",),
    ),
    Fault(
        "a second logger continues an open log",
        "flopbench/policy/journal.py",
        "if not lock(self._fd, wait=False):",
        "if False:",
        ("tests/light/policy/test_policy_logger_light.py",),
    ),
    Fault(
        "a bar ends a Markdown cell",
        "flopbench/core/escaping.py",
        r'_MARKUP = r"[\\|<`*~$_]',
        r'_MARKUP = r"[\\<`*~$_]',
        ("tests/light/core/test_escaping.py",),
    ),
    Fault(
        "a pipe loses the notes that a terminal keeps back",
        "flopbench/core/grid.py",
        "if on_screen and not notes:",
        "if not notes:",
        ("tests/light/core/test_tables.py",),
    ),
    Fault(
        "the numbers of notes are not those of the cells",
        "flopbench/core/grid.py",
        "str(n): left.index(text) + 1",
        "str(n): n",
        ("tests/light/core/test_tables.py",),
    ),
    Fault(
        "what is left counts the preparation",
        "flopbench/cli/common.py",
        "self._counting_since = self._updated\n",
        "pass\n",
        ("tests/light/cli/test_progress.py",),
    ),
    Fault(
        "a packed file unpacks without a limit",
        "flopbench/policy/forms/raw.py",
        "if self._read > self._limit:",
        "if self._read < 0:",
        ("tests/light/cli/test_hostile.py",),
    ),
    Fault(
        "the last of two equal keys counts",
        "flopbench/core/files.py",
        "if len(made) < len(pairs):",
        "if not made and pairs:",
        ("tests/light/core/test_limits.py",),
    ),
    # --- reading logs
    Fault(
        "a line of another layout is read as the first one",
        "flopbench/policy/forms/jsonl_fast.py",
        "        if rows.max():\n",
        "        if False:\n",
        ("tests/light/policy/test_jsonl_fast.py",),
    ),
    Fault(
        "the hash of a name depends on longer names beside it",
        "flopbench/policy/names.py",
        "hashes = np.where(left > 0, mixed, hashes)",
        "hashes = mixed",
        ("tests/light/policy/test_jsonl_fast.py",),
    ),
    Fault(
        "a list with a gap passes where nobody reads it",
        "flopbench/policy/forms/parquet_fast.py",
        "coalesce(len({name}) <> list_count({name}), false)",
        "coalesce(len({name}) < list_count({name}), false)",
        ("tests/policy/test_policy_bad_input.py",),
    ),
    Fault(
        "hashes of ids that two makers made are compared",
        "flopbench/policy/engine.py",
        "        if made_by != self._hashed_by:\n",
        "        if False:\n",
        ("tests/policy/test_policy_bad_input.py",),
    ),
    Fault(
        "a run that ends with a decision counts as odd",
        "flopbench/policy/kernel.py",
        "    cut[span - 1 :] &= ~whole\n",
        "    cut[span:] &= ~whole[1:]\n",
        ("tests/light/policy/test_kernel.py",),
    ),
    Fault(
        "a question on sizes imports sympy",
        "flopbench/models/build/kernels.py",
        "        plain_numbers(),\n",
        "",
        ("tests/models/test_stand_ins.py",),
    ),
    Fault(
        "a quick kernel takes tensors that do not fit",
        "flopbench/models/build/kernels.py",
        "if all(n in (1, m) for n, m in zip(small, shown, strict=True)):",
        "if shown:",
        ("tests/models/test_environment.py::test_quick_kernels_change_no_shape",),
    ),
    Fault(
        "a quick convolution forgets dilation",
        "flopbench/models/build/kernels.py",
        "span = d * (kernel - 1) + 1",
        "span = kernel",
        ("tests/models/test_environment.py",),
    ),
    # --- models
    Fault(
        "a model of several parts without its head",
        "flopbench/models/build/transformers_models.py",
        'else (*_WRITERS, "AutoModel")',
        'else ("AutoModel",)',
        ("tests/counting/test_composite.py::test_counters_agree_on_a_model_of_several_parts",),
    ),
    Fault(
        "a tower that took no part is passed over",
        "flopbench/models/build/reach.py",
        "if not towers and missed <=",
        "if missed <=",
        ("tests/models/test_building.py::test_a_small_tower_is_missed_too",),
    ),
    # --- counting
    Fault(
        "the head is a layer that took no part",
        "flopbench/counting/measure/profiler.py",
        "return head_width(built.module, unused)",
        "return head_width(built.module)",
        ("tests/counting/test_verdicts.py",),
    ),
    Fault(
        "the larger value beats the majority",
        "flopbench/counting/agreement.py",
        "key=lambda found: (found[0], found[1].dense_macs)",
        "key=lambda found: found[1].dense_macs",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "an excess has the other counter's operators",
        "flopbench/counting/agreement.py",
        "source = reference if other > mine else profile",
        "source = reference",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "THOP is its own second witness",
        "flopbench/counting/agreement.py",
        "library_of(p.counter) for p in witnesses",
        "p.counter for p in witnesses",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "a counter with a gap is a witness",
        "flopbench/counting/agreement.py",
        "witnesses = [p for p in group if not gaps[p.counter]]",
        "witnesses = group",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "a model that values steer is counted on zero weights",
        "flopbench/counting/measure/sources.py",
        "return not self._ours or self.shapes_suffice is False",
        "return not self._ours",
        ("tests/counting/test_values.py",),
    ),
    Fault(
        "masks are not known to steer",
        "flopbench/counting/measure/counters/watching.py",
        "index is not None and index.dtype in _MASKS",
        "index is None",
        ("tests/counting/test_values.py",),
    ),
    Fault(
        "a tensor in a list stays where it is",
        "flopbench/models/build/copies.py",
        "return type(value)(_copied(item, tensor) for item in value)",
        "return value",
        ("tests/models/test_environment.py",),
    ),
    Fault(
        "a fork goes by the name of the original",
        "flopbench/counting/registry.py",
        "if found is None or found.origin is None or",
        "if found or",
        ("tests/counting/test_forks.py",),
    ),
    Fault(
        "a fold of a norm is a branch",
        "flopbench/models/build/fusing.py",
        "if weight.dim() > 1",
        "if weight.dim()",
        ("tests/models/test_fusing.py",),
    ),
    Fault(
        "blind counters outvote the one that sees",
        "flopbench/counting/agreement.py",
        "            continue\n",
        "            pass\n",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "the reference's knowledge of free operators is not used",
        "flopbench/counting/agreement.py",
        'if not (known and g.kind == "operator")',
        "if known or not known",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "a zero is verified",
        "flopbench/counting/agreement.py",
        '"unverified" if nothing else "verified"',
        '"verified"',
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "a listed gap explains an excess",
        "flopbench/counting/agreement.py",
        "path in listed and ours.get(path, 0) < theirs.get(path, 0)",
        "path in listed",
        ("tests/light/counting/test_agreement.py",),
    ),
    Fault(
        "the cache forgets the counter",
        "flopbench/counting/cache.py",
        '            "counter": info.name,\n',
        "",
        ("tests/light/counting/test_cache.py",),
    ),
    Fault(
        "the cache outlives a change of the measuring code",
        "flopbench/counting/cache.py",
        '            "code": _code_digest(),\n',
        "",
        ("tests/light/counting/test_cache.py",),
    ),
    Fault(
        "trilinear always counts a second sum",
        "flopbench/counting/measure/counters/torch_formulas.py",
        "(prod(_broadcast(left, shapes[2])) if second else 0)",
        "prod(_broadcast(left, shapes[2]))",
        ("tests/counting/test_torch_counter.py::test_counts_the_truth[meta]",),
    ),
    Fault(
        "a signal loses what a whole library has counted so far",
        "flopbench/counting/zoo.py",
        "with stopping.cleaned(save), closing(found):",
        "with closing(found):",
        ("tests/counting/test_zoo.py::test_a_signal_leaves_what_was_counted",),
    ),
    Fault(
        "worker processes are never replaced",
        "flopbench/core/workers.py",
        "if waiting and worker.jobs_left:",
        "if waiting:",
        ("tests/light/core/test_workers.py::test_workers_are_replaced",),
    ),
    Fault(
        "published figures agree within a whole last digit",
        "flopbench/counting/against.py",
        "half = 0.5 * 10",
        "half = 1.0 * 10",
        ("tests/counting/test_zoo.py",),
    ),
    Fault(
        "one model that does not run takes the table down",
        "flopbench/counting/run.py",
        "keep_going=keep_going and len(set(specs)) > 1",
        "keep_going=False",
        ("tests/counting/test_failures.py::test_one_bad_model_never_takes_the_table_down",),
    ),
    Fault(
        "weights are made without asking for memory",
        "flopbench/core/memory.py",
        "free is not None and weights + activations > free",
        "free is not None and activations > free",
        ("tests/light/core/test_memory.py",),
    ),
    Fault(
        "the user's own lazy layers are initialised",
        "flopbench/models/build/copies.py",
        'module = private_copy(built.module, "")',
        "module = built.module",
        ("tests/counting/test_failures.py::test_lazy_layers_get_their_shapes_in_the_copy_only",),
    ),
    Fault(
        "what a module within hides is named for each module around it",
        "flopbench/models/build/copies.py",
        "if name in _REGISTRIES:",
        "if name not in vars(child):",
        ("tests/counting/test_failures.py::test_what_a_module_within_hides_is_named_once",),
    ),
    Fault(
        "ratios of two medians instead of rounds",
        "benchmarks/peers/common.py",
        "each = [a / b for a, b in zip(ours, theirs, strict=True)]",
        "each = [median(ours) / median(theirs)]",
        ("tests/light/benchmarks/test_peers.py",),
    ),
    Fault(
        "the last step of a scan is not counted",
        "flopbench/counting/measure/counters/watching.py",
        "if steps is None or ran <= steps else ()",
        "if steps is None or ran < steps else ()",
        ("tests/counting/test_torch_counter.py::test_counts_the_truth[meta]",),
    ),
    Fault(
        "a product in a vector of scales is no gap",
        "flopbench/counting/measure/counters/base.py",
        "may_multiply=multiplies(leaf) or path in multiplied,",
        "may_multiply=multiplies(leaf),",
        ("tests/counting/test_thop_counters.py",),
    ),
    Fault(
        "a complex convolution counts three times",
        "flopbench/counting/measure/counters/lowering.py",
        "return name in _CONVOLUTIONS and not args[0].is_complex()",
        "return name in _CONVOLUTIONS",
        ("tests/counting/test_torch_counter.py::test_counts_the_truth[meta]",),
    ),
    Fault(
        "the formula forgets that queries share keys",
        "flopbench/counting/measure/counters/closed_form.py",
        "2 * self.width * (self.queries + self.keys)",
        "2 * self.width * (self.queries + self.queries)",
        ("tests/light/counting/test_closed_form.py",),
    ),
    Fault(
        "a setting without a formula is ignored",
        "flopbench/counting/measure/counters/formula_families.py",
        "    config.refuse_unread(",
        "    (lambda _free: None)(",
        ("tests/light/counting/test_closed_form.py",),
    ),
    # --- models
    Fault(
        "a cache among the inputs is not copied",
        "flopbench/models/build/copies.py",
        "            return copy.deepcopy(value)\n    except FlopbenchError",
        "            return copy.copy(value)\n    except FlopbenchError",
        (
            "tests/models/test_inputs.py::"
            "test_an_object_among_the_inputs_is_copied_for_every_run",
        ),
    ),
    Fault(
        "a quoted comma ends an option",
        "flopbench/models/shapes.py",
        "quoted = _QUOTED.match(text, at)",
        "quoted = None",
        ("tests/light/models/test_specs.py",),
    ),
    Fault(
        "a refused download is tried again on values",
        "flopbench/counting/measure/profiler.py",
        "    except DownloadRefused:\n        raise\n",
        "",
        ("tests/models/test_building.py::test_a_refused_download_is_not_tried_again",),
    ),
    Fault(
        "any keyword of a library's builder is an option",
        "flopbench/models/build/options.py",
        "        if name not in known:",
        "        if name not in known and name in known:",
        ("tests/models/test_models.py::test_bad_models_are_refused",),
    ),
    Fault(
        "a process that a factory forked counts on",
        "flopbench/models/build/contained.py",
        "        if os.getpid() != process:",
        "        if os.getpid() == 0:",
        ("tests/counting/test_failures.py::test_a_factory_changes_nothing_for_others",),
    ),
    Fault(
        "a message passes on the escape codes of a name",
        "flopbench/core/errors.py",
        "    lines = (one_line(line) for line in",
        "    lines = (line for line in",
        ("tests/light/cli/test_cli_hostile_names.py",),
    ),
    Fault(
        "relative imports of own code are not followed",
        "flopbench/counting/own_code.py",
        "        if not any(above):",
        "        if above:",
        ("tests/light/counting/test_cache.py",),
    ),
    # --- policy
    Fault(
        "a random policy draws decisions with replacement",
        "flopbench/policy/at_random.py",
        "source[alike] = rng.permutation(alike)",
        "source[alike] = rng.choice(alike, len(alike))",
        ("tests/light/policy/test_at_random.py",),
    ),
    Fault(
        "an exit excuses no missing steps",
        "flopbench/policy/kernel.py",
        "((over < 0) & ~early)",
        "(over < 0)",
        ("tests/light/policy/test_kernel.py::test_an_exit_field_excuses_missing_steps_too",),
    ),
    Fault(
        "a name that is no component costs nothing",
        "flopbench/policy/shorthand.py",
        'if "kind" not in option:',
        "if not name:",
        ("tests/light/policy/test_shorthand.py",),
    ),
    Fault(
        "a log's own counts are priced by the first counter's",
        "flopbench/estimate/prices.py",
        "of_spec = {row.counter: row for row in one.counted}",
        "of_spec = {counter: one.counted[0]} if one.counted else {}",
        ("tests/policy/test_own_networks.py",),
    ),
    Fault(
        "a cut decision is not counted",
        "flopbench/policy/decisions.py",
        'return -(-lengths // spans)',
        'return lengths // spans',
        ("tests/light/policy/test_kernel.py",),
    ),
    Fault(
        "SQL takes a run of any length for one decision",
        "flopbench/policy/counts.sql",
        "decides AND in_run % rows_each = 0",
        "decides AND in_run = 0",
        ("tests/policy/test_by_sql.py",),
    ),
    Fault(
        "SQL counts a record that is there twice",
        "flopbench/policy/counts.sql",
        "WHEN number <> place + 1\n",
        "WHEN number < place + 1\n",
        ("tests/policy/test_by_sql.py",),
    ),
    Fault(
        "runs go on over the end of a sample",
        "flopbench/policy/kernel.py",
        "run_starts(cell)",
        "run_starts(block.codes)",
        ("tests/light/policy/test_kernel.py",),
    ),
    Fault(
        "a comma in a text ends an item of a JSON document",
        "flopbench/policy/forms/json_items.py",
        "outside = ~(quotes | in_string.view(bool))",
        "outside = ~quotes",
        ("tests/light/policy/test_json_items.py",),
    ),
    Fault(
        "objects within objects are taken for samples",
        "flopbench/policy/forms/json_items.py",
        'text.count(b"{") == text.count(b"}") == lines',
        "lines",
        ("tests/light/policy/test_json_items.py",),
    ),
    Fault(
        "what torch.save packed is read as arrays",
        "flopbench/policy/forms/__init__.py",
        'b"/data.pkl" in head',
        'b"/data.npy" in head',
        ("tests/light/policy/test_written_elsewhere.py",),
    ),
    Fault(
        "shares of one stream's decisions cover another's steps",
        "flopbench/policy/counts.py",
        "covered[stream] += share * span",
        "covered[streams[0]] += share * span",
        ("tests/light/policy/test_written_elsewhere.py",),
    ),
    # --- benchmarks
    Fault(
        "a policy's decision is logged on the next frame",
        "benchmarks/policy_learning/network.py",
        "ids[rows, step] = chosen",
        "ids[rows, min(step + 1, steps - 1)] = chosen",
        ("tests/house/test_policy_learning.py",),
    ),
    Fault(
        "REINFORCE without its cost",
        "benchmarks/policy_learning/learning.py",
        "reinforce_advantage(-(wrong + cost_weight * walk.cost).detach())",
        "reinforce_advantage(-wrong.detach())",
        ("tests/house/test_policy_learning.py",),
    ),
    Fault(
        "an interval depends on the order of the videos",
        "flopbench/core/bootstrap.py",
        "return np.sort(costs), None",
        "return costs, None",
        ("tests/light/estimate/test_clusters.py",),
    ),
    Fault(
        "a record that two parts hold counts twice",
        "flopbench/policy/parts.py",
        "np.diff(self._keys[order]) == 0",
        "np.diff(self._keys[order]) < 0",
        ("tests/policy/test_counts_files.py",),
    ),
    Fault(
        "sums of the last videos only",
        "flopbench/policy/sums_file.py",
        "products += product if",
        "products = product if",
        ("tests/policy/test_counts_files.py::test_64_shards_of_sums_in_random_order",),
    ),
    Fault(
        "moments of large costs are rounded on the way",
        "flopbench/estimate/spread.py",
        "large = most * parts * scale >= EXACT",
        "large = False",
        ("tests/light/estimate/test_estimate.py::test_the_limit_is_made_of_exact_moments",),
    ),
    # --- estimate
    Fault(
        "a disputed price leads",
        "flopbench/estimate/prices.py",
        "(row.total_macs and not row.is_doubted)",
        "(row.total_macs and row.status != 'partial')",
        ("tests/light/estimate/test_prices.py",),
    ),
    Fault(
        "a lower bound stands in for more",
        "flopbench/estimate/prices.py",
        "most <= enough or",
        "not most or",
        ("tests/light/estimate/test_prices.py",),
    ),
    Fault(
        "no charge for steps behind an exit",
        "flopbench/estimate/charges.py",
        'steps=exact(totals.steps),',
        'steps=sum(map(exact, totals.frames), Fraction(0)) / len(plan.streams),',
        ("tests/light/estimate/test_estimate.py",),
    ),
    Fault(
        "a charge per sample is paid for each view",
        "flopbench/estimate/charges.py",
        '_item("every sample", samples, charges.per_sample)',
        '_item("every sample", views, charges.per_sample)',
        ("tests/light/estimate/test_estimate.py",),
    ),
    Fault(
        "a disputed price is not flagged",
        "flopbench/estimate/prices.py",
        "flagged = bool(notes)",
        "flagged = False",
        ("tests/light/estimate/test_prices.py",),
    ),
    Fault(
        "views are averaged as logits",
        "flopbench/estimate/scores.py",
        "logs = ordered - top - np.log(np.exp(ordered - top).sum(axis=1, keepdims=True))",
        "logs = ordered",
        ("tests/light/estimate/test_views.py::test_what_is_averaged",),
    ),
    Fault(
        "pairs of clips are drawn video by video",
        "flopbench/estimate/differences.py",
        "found = interval(paired, clusters=drawn[0], resamples=resamples, seed=seed)",
        "found = interval(paired, resamples=resamples, seed=seed)",
        ("tests/light/estimate/test_clusters.py::"
         "test_differences_draw_whole_clusters_in_pairs",),
    ),
    Fault(
        "any two logs that name classes share them",
        "flopbench/estimate/compare.py",
        "named.setdefault(classes, []).append(name)",
        "named.setdefault(frozenset(), []).append(name)",
        ("tests/light/estimate/test_compare.py::"
         "test_other_classes_under_one_name_are_noted",),
    ),
    Fault(
        "dominance is clear by its cost alone",
        "flopbench/estimate/compare.py",
        "return cost[0] > 0 and percent[1] < 0",
        "return cost[0] > 0",
        ("tests/light/estimate/test_compare.py::"
         "test_dominance_is_open_where_one_of_two_intervals_holds_0",),
    ),
    Fault(
        "dominance is clear by its accuracy alone",
        "flopbench/estimate/compare.py",
        "return cost[0] > 0 and percent[1] < 0",
        "return percent[1] < 0",
        ("tests/light/estimate/test_compare.py::"
         "test_dominance_is_open_where_one_of_two_intervals_holds_0",),
    ),
    Fault(
        "each log is timed by itself",
        "flopbench/estimate/differences.py",
        "more = other.ms_by_network.get(spec, 0.0) - first.ms_by_network.get(spec, 0.0)",
        "more = other.ms_by_network.get(spec, 0.0)",
        ("tests/light/replay/test_run_times.py::test_how_far_a_repeat_moves_a_difference",),
    ),
    Fault(
        "an inversion inside its intervals is a finding",
        "flopbench/estimate/compare.py",
        "cost[1] < 0 < time[0]",
        "cost[1] < 0",
        ("tests/light/replay/test_run_times.py::test_an_inversion_is_resolved_or_not",),
    ),
    Fault(
        "an exit processes one step",
        "flopbench/estimate/estimator.py",
        "Fraction(n) * exit.steps",
        "Fraction(n)",
        ("tests/light/estimate/test_wording.py",),
    ),
    Fault(
        "costs per frame of any lengths are compared without a word",
        "flopbench/estimate/compare.py",
        "SAME_LENGTH = 0.005",
        "SAME_LENGTH = 5",
        ("tests/light/estimate/test_wording.py",),
    ),
    Fault(
        "a random policy repeats the inversions of its log",
        "flopbench/estimate/compare.py",
        "if not dealt[n] or str(m.run.source) not in logs]",
        "]",
        ("tests/light/replay/test_run_times.py::test_a_random_policy_repeats_no_inversion",),
    ),
    Fault(
        "equal runs dominate each other",
        "flopbench/estimate/compare.py",
        "return no_worse and (percent_a > percent_b or cost_a < cost_b)",
        "return no_worse",
        ("tests/light/estimate/test_compare.py::"
         "test_dominance_and_the_front",),
    ),
    Fault(
        "many groups draw as much as one log",
        "flopbench/estimate/groups.py",
        "largest = max(SMALLEST_LIMIT, LARGEST_BOOTSTRAP // len(members))",
        "largest = LARGEST_BOOTSTRAP",
        ("tests/light/estimate/test_estimate.py::test_many_groups_share_what_one_log_may_draw",),
    ),
    Fault(
        "average precision leaves ties out",
        "flopbench/estimate/average_precision.py",
        'np.searchsorted(tie_ends, hits, side="right")',
        'np.searchsorted(tie_ends, hits, side="left")',
        ("tests/estimate/test_accuracy.py::test_map_of_multi_label_videos",
         "tests/estimate/test_accuracy.py::test_weighted_ap_equals_sklearn",),
    ),
    Fault(
        "a log starts the code that it names",
        "flopbench/estimate/price_rows.py",
        "still = code if may_measure else set(specs)",
        "still = set() if may_measure else set(specs)",
        ("tests/light/estimate/test_prices.py",),
    ),
    # --- timing
    Fault(
        "a decoder keeps back the last frames",
        "flopbench/timing/measure/pipeline.py",
        "(*self._packets, None)",
        "self._packets",
        ("tests/timing/test_pipeline.py::test_a_call_decodes_all_frames_again",),
    ),
    Fault(
        "networks of one action do not share a frame",
        "flopbench/replay/pipeline.py",
        "if any(name in own and not own.keys() & set(kept) for own in costs):",
        "if any(name in own for own in costs):",
        ("tests/light/replay/test_pipeline_charge.py",),
    ),
    Fault(
        "of equal batches the larger is the best",
        "flopbench/timing/sweeps.py",
        "(done[batch], -batch)",
        "(done[batch], batch)",
        ("tests/light/timing/test_sweeps.py",),
    ),
    Fault(
        "one doubling without gain ends a sweep",
        "flopbench/timing/sweeps.py",
        "DOUBLINGS_WITHOUT_GAIN = 2",
        "DOUBLINGS_WITHOUT_GAIN = 1",
        ("tests/light/timing/test_sweeps.py",),
    ),
    Fault(
        "no slack over the measured roof",
        "flopbench/timing/verdicts.py",
        "achieved > ROOF_SLACK * roof",
        "achieved > roof",
        ("tests/light/timing/test_time_verdicts.py",),
    ),
    Fault(
        "processes that differ are only noise",
        "flopbench/timing/verdicts.py",
        "(severe if reach > NOISY_WITHIN else minor)",
        "(minor)",
        ("tests/light/timing/test_time_verdicts.py",),
    ),
    Fault(
        "a small call's rate bounds what a larger one reached",
        "flopbench/timing/lower_bound.py",
        "highest = max(highest, best[size])",
        "highest = best[size]",
        ("tests/light/timing/test_lower_bound.py",),
    ),
    Fault(
        "an operator that picks a few rows reads all of them",
        "flopbench/timing/measure/operators.py",
        'kind, read = "copy", min(_bytes(sources), written)',
        'kind, read = "copy", _bytes(sources)',
        ("tests/timing/test_operators.py::test_each_operator_moves_what_it_must",),
    ),
    Fault(
        "a roof of a busy machine stays",
        "flopbench/timing/roofs.py",
        "for roof in self.matmul if not roof.busy}",
        "for roof in self.matmul}",
        ("tests/light/timing/test_devices.py",),
    ),
    Fault(
        "what others used makes CPU time noisy",
        "flopbench/timing/verdicts.py",
        "if others and not _is_cpu_time(row):",
        "if others:",
        ("tests/light/timing/test_time_verdicts.py",),
    ),
    Fault(
        "the second process of a replay starts its progress again",
        "flopbench/replay/processes.py",
        "progress(number * each + done,",
        "progress(done,",
        ("tests/replay/test_replay.py::test_a_replay_says_how_far_it_is",),
    ),
    Fault(
        "a decision is charged what its fragments take, too",
        "flopbench/replay/overheads.py",
        "_round_s(own.full, clock) - arms_s - networks_s",
        "_round_s(own.full, clock) - networks_s",
        ("tests/replay/test_calibration.py::test_overheads_by_hand",),
    ),
    Fault(
        "by a calibration, calls of several items take as long as of one",
        "flopbench/replay/overheads.py",
        "sum(k * call_time(own, n) for n, k in sizes.items())",
        "sum(k * call_time(own, 1) for n, k in sizes.items())",
        ("tests/replay/test_calibration.py::"
         "test_a_calibration_has_the_times_of_its_networks",),
    ),
    Fault(
        "what is charged with the runs of a component is not in the total",
        "flopbench/replay/prediction.py",
        "amounts[name] += one.per_run[name] * own",
        "amounts[name] += 0 * own",
        ("tests/light/replay/test_prediction.py::test_the_sum_by_hand",),
    ),
    # --- audit
    Fault(
        "few digits explain any difference",
        "flopbench/audit/verdicts.py",
        "rounding and off is not None and abs(off) <= MOST_BY_ROUNDING",
        "rounding and off is not None",
        ("tests/light/audit/test_audit.py",),
    ),
    Fault(
        "a slip explains a number a unit away",
        "flopbench/audit/verdicts.py",
        "return abs(value - Fraction(printed)) <= half_unit(printed)",
        "return abs(value - Fraction(printed)) <= 2 * half_unit(printed)",
        ("tests/light/audit/test_audit.py",),
    ),
    Fault(
        "an author who prints MACs as GFLOPs is accused",
        "flopbench/audit/records.py",
        'if list(found) == ["FLOPs"]:',
        "if not found:",
        ("tests/light/audit/test_audit.py",),
    ),
    # --- check
    Fault(
        "a limit that is hit exactly fails",
        "flopbench/check/judging.py",
        "new > budget.limit",
        "new >= budget.limit",
        ("tests/light/check/test_check_judging.py",),
    ),
    Fault(
        "an advisory latency that is lost counts",
        "flopbench/check/judging.py",
        'lost = latency.state == "not measured" and latency.gate != "advisory"',
        'lost = latency.state == "not measured"',
        ("tests/light/check/test_check_judging.py",),
    ),
    Fault(
        "the working tree's baseline beats the revision's",
        "flopbench/check/judging.py",
        "kept = {**here.entries, **there.entries}",
        "kept = {**there.entries, **here.entries}",
        ("tests/light/check/test_check_judging.py",),
    ),
    Fault(
        "growth that this tree accepts fails",
        "flopbench/check/judging.py",
        "return replace(one, failed=False, accepted=reason)",
        "return replace(one, accepted=reason)",
        ("tests/light/check/test_check_judging.py",),
    ),
    Fault(
        "modules in the order of MACs that did not grow",
        "flopbench/check/judging.py",
        'if sign * totals["added_macs"] <= 0:',
        'if sign * totals["added_macs"] < 0:',
        ("tests/light/check/test_check_judging.py",),
    ),
    Fault(
        "numbered containers are paired by their numbers",
        "flopbench/check/diff/pairing.py",
        "return shifted if len(shifted) >= len(same) else by_name",
        "return by_name",
        ("tests/light/check/test_check_matching.py::"
         "test_a_block_put_into_a_sequential_is_all_that_was_added",),
    ),
    Fault(
        "a chance match of shapes beats the paths",
        "flopbench/check/diff/pairing.py",
        "return shifted if len(shifted) >= len(same) else by_name",
        "return shifted",
        ("tests/light/check/test_check_matching.py::"
         "test_a_dense_block_behind_a_wider_stem_is_no_shift",),
    ),
    Fault(
        "shapes alone align the layers of a container",
        "flopbench/check/diff/pairing.py",
        "SAME: tuple[Form, ...] = (_cost, _shape)",
        "SAME: tuple[Form, ...] = (_shape,)",
        ("tests/light/check/test_check_matching.py::"
         "test_one_layer_put_between_equal_ones_of_another_resolution",),
    ),
    Fault(
        "what may come from two causes is booked under one of them",
        "flopbench/check/diff/causes.py",
        "booked = min(causes) if len(causes) == 1 else unknown",
        "booked = min(causes)",
        ("tests/light/check/test_check_matching.py::"
         "test_a_layer_behind_joined_branches_has_the_width_of_neither",),
    ),
    Fault(
        "a cause of depth names one block",
        "flopbench/check/diff/causes.py",
        'return "; ".join(said)',
        "return said[0]",
        ("tests/light/check/test_check_matching.py::"
         "test_a_cause_of_depth_names_every_block_and_books_their_sum",),
    ),
    Fault(
        "a cause of depth counts modules in place of blocks",
        "flopbench/check/diff/causes.py",
        "count = len(plain)",
        "count = len(modules)",
        ("tests/light/check/test_check_matching.py::"
         "test_a_cause_of_depth_names_every_block_and_books_their_sum",),
    ),
    Fault(
        "a cost is split by the old mix alone",
        "flopbench/check/split.py",
        "unit_costs=(after - before) * (n0 + n1) / 2,",
        "unit_costs=(after - before) * n0,",
        ("tests/light/check/test_check_split.py",),
    ),
    Fault(
        "a pull request is held against an older base",
        "action.yml",
        "BASE=\"${parents%%$'\\n'*}\"",
        "BASE=\"$BASE\"",
        ("tests/house/test_action.py::"
         "test_a_pull_request_is_held_against_what_it_is_merged_into",),
    ),
    Fault(
        "the token is not used where a fetch is refused",
        "action.yml",
        "printf 'x-access-token:%s' \"$TOKEN\"",
        "printf 'x-access-token:%s' \"\"",
        ("tests/house/test_action.py::test_a_private_repository_is_fetched_with_the_token",),
    ),
    # --- present
    Fault(
        "a segment of a stacked bar begins at 0",
        "flopbench/present/draw/parts.py",
        "            start += length",
        "            start = 0.0",
        ("tests/present/test_plot_counters.py",),
    ),
    Fault(
        "frames without a size are as large as any",
        "flopbench/present/figures/frames/media.py",
        "(MOST_PX if size else SIZE_UNKNOWN_PX)",
        "MOST_PX",
        ("tests/present/test_plot_frames.py::test_images_have_a_limited_size",),
    ),
    Fault(
        "names of points do not move apart",
        "flopbench/present/draw/legend.py",
        "while blocks and blocks[-1][0] > mean:",
        "while False:",
        ("tests/present/test_plot_tradeoff.py::"
         "test_names_move_apart_only_as_far_as_necessary",),
    ),
    Fault(
        "a film strip's median is over views",
        "flopbench/present/figures/frames/choice.py",
        "members = of_videos(members, video)",
        "members = np.sort(members)",
        ("tests/light/present/test_figure_frames.py",),
    ),
    Fault(
        "a film strip's caption prints small costs in GFLOPS",
        "flopbench/present/figures/frames/caption.py",
        "{amount(median, unit)}",
        "{median:,.2f}",
        ("tests/light/present/test_figure_frames.py",),
    ),
    Fault(
        "a bar of costs forgets the policy",
        "flopbench/estimate/estimator.py",
        "rest += item.times * float(unit - mine)",
        "rest += 0 * item.times",
        ("tests/light/present/test_figure_classes.py::test_bars_by_hand",),
    ),
    Fault(
        "the dearest action is the last one",
        "flopbench/estimate/estimator.py",
        'if macs > best.get(stream, ("", Fraction(0)))[1]:',
        "if macs:",
        ("tests/light/estimate/test_estimate.py",),
    ),
    Fault(
        "a partial count leads a report's summary",
        "flopbench/present/report/summary.py",
        "trusted = [(trusted_row(line), line[0]) for line in lines]",
        "trusted = [(line[0], line[0]) for line in lines]",
        ("tests/present/test_report_summary.py",),
    ),
    Fault(
        "digits below the interval",
        "flopbench/core/units.py",
        "return min(most, max(0, 1 - exponent))",
        "return min(most, max(0, 2 - exponent))",
        ("tests/light/present/test_figure_waterfall.py",),
    ),
    Fault(
        "names leave the axes",
        "flopbench/present/draw/legend.py",
        "starts = [min(max(mean, 0.0), 1 - below[-1]) for mean",
        "starts = [mean for mean",
        ("tests/present/test_plot_tradeoff.py::"
         "test_names_move_apart_only_as_far_as_necessary",),
    ),
    Fault(
        "costs that seldom repeat are bars",
        "flopbench/present/figures/bins.py",
        "2 * len(values) <= min(len(own) for own in costs)",
        "len(values) <= min(len(own) for own in costs)",
        ("tests/light/present/test_figure_cost.py::test_the_form_fits_the_costs",),
    ),
    Fault(
        "intervals of few clusters are not expanded",
        "flopbench/present/figures/ratios.py",
        "low, high = ends_of(shares, clusters)",
        "low, high = ends_of(shares)",
        ("tests/light/present/test_ratios.py",),
    ),
    Fault(
        "axes and captions call every step a frame",
        "flopbench/present/figures/class_ratios.py",
        "among, steps = listed(self.resolutions.among), self.words.steps",
        'among, steps = listed(self.resolutions.among), "frames"',
        ("tests/light/present/test_figure_words.py",),
    ),
    Fault(
        "marks are hollow where none is stable",
        "flopbench/present/figures/inputs/timings.py",
        "if len(self.flagged) < self.drawn else",
        "if self.flagged else",
        ("tests/present/test_plot_roofline.py::"
         "test_the_legend_says_roofs_and_hollow_marks",),
    ),
    Fault(
        "a caption is in another unit than its axis",
        "flopbench/present/figures/tradeoff_data.py",
        "return unit_of(self.cost, self.words, self.scale)",
        "return unit_of(self.cost, self.words)",
        ("tests/light/present/test_figure_tradeoff.py::"
         "test_small_costs_are_captioned_in_the_unit_of_their_axis",),
    ),
    Fault(
        "data of small costs are in the unit of the axis",
        "flopbench/present/figures/cost.py",
        "return round(cost * self.scale.divisor, 3) / GIGA",
        "return cost",
        ("tests/light/present/test_figure_cost.py::test_small_costs_have_their_own_unit",),
    ),
    Fault(
        "others are set against the reference",
        "flopbench/present/figures/tradeoff_data.py",
        "if base is point or (self.mixed and not point.own):",
        "if base is point:",
        ("tests/light/present/test_figure_tradeoff.py::"
         "test_own_points_are_set_against_the_reference",),
    ),
    Fault(
        "a series keeps the order of its rows",
        "flopbench/present/figures/tradeoff_data.py",
        "by_cost = sorted(self.points, key=lambda point: (point.cost, point.percent))",
        "by_cost = list(self.points)",
        ("tests/light/present/test_figure_tradeoff.py::"
         "test_points_are_in_series_the_cheapest_first",),
    ),
    # --- cli
    Fault(
        "the overview loads every verb",
        "flopbench/cli/__init__.py",
        "if verb in {None, name}:",
        "if True:",
        ("tests/light/house/test_imports.py",),
    ),
    Fault(
        "a required option is not in the usage",
        "flopbench/cli/parser.py",
        "if action.required or not action.option_strings]",
        "if not action.option_strings]",
        ("tests/light/cli/test_cli_light.py",),
    ),
    Fault(
        "an example names an option that is gone",
        "flopbench/cli/examples.py",
        '"estimate run.jsonl --by class -o classes.csv"',
        '"estimate run.jsonl --per class -o classes.csv"',
        ("tests/cli/test_cli_examples.py",),
    ),
    Fault(
        "the shell completes no file names",
        "flopbench/cli/completion.py",
        "if action.metavar in FILES:",
        "if action.metavar in FOLDERS:",
        ("tests/light/cli/test_cli_light.py",),
    ),
    Fault(
        "samples of slow phases count",
        "flopbench/timing/measure/sampling.py",
        "limit_s = (1 + PACE_WITHIN) * self._best_s()",
        "limit_s = (2 + PACE_WITHIN) * self._best_s()",
        ("tests/light/timing/test_sampling.py",),
    ),
    Fault(
        "a headline is CPU time at whatever pace",
        "flopbench/timing/records.py",
        "cpu_s / pace_s * (self.best_pace_s or pace_s)",
        "cpu_s / pace_s * pace_s",
        ("tests/light/timing/test_time_verdicts.py",),
    ),
    Fault(
        "each process of a run has the best pace that it saw",
        "flopbench/timing/records.py",
        "return replace(run, best_pace_s=best_s) if run.best_pace_s else run",
        "return run",
        ("tests/light/timing/test_time_verdicts.py",),
    ),
    Fault(
        "the best pace that was known is forgotten",
        "flopbench/timing/measure/sampling.py",
        "return own if self._known_s is None else min(own, self._known_s)",
        "return own",
        ("tests/light/timing/test_sampling.py",),
    ),
)  # fmt: skip


def problems(fault: Fault, root: Path) -> str:
    """Say why a fault cannot be planted or judged; an empty text where it can.

    Args:
        fault: the fault.
        root: of the repository.
    """
    file = root / fault.file
    if not file.is_file():
        return f"{fault.file} does not exist"
    stands = file.read_text(encoding="utf-8").count(fault.old)
    if stands != 1:
        return f"its text stands {stands} times in {fault.file}"
    for test in fault.tests:
        name, _, function = test.partition("[")[0].partition("::")
        if not (root / name).is_file():
            return f"{name} does not exist"
        if function and f"def {function}(" not in (root / name).read_text(encoding="utf-8"):
            return f"{name} has no {function}"
    return ""


def copied(to: Path) -> None:
    """Copy what git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)


def run_tests(root: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy until one fails.

    Returns:
        pytest's exit status (1: a test failed), and the test that failed or the last line.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    own |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=own,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=LONGEST_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end after {LONGEST_S} s"
    failed = re.search(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    lines = (done.stdout + done.stderr).splitlines()
    return done.returncode, failed[1] if failed else (lines[-1] if lines else "")


def outcome_of(fault: Fault, root: Path) -> tuple[bool, str]:
    """Plant one fault in a copy, run its tests, and take it out again.

    Returns:
        Whether it was caught, and by what; or why not.
    """
    wrong = problems(fault, root)
    if wrong:
        return False, wrong
    file = root / fault.file
    sound = file.read_text(encoding="utf-8")
    try:
        file.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
        status, said = run_tests(root, fault.tests)
    finally:
        file.write_text(sound, encoding="utf-8")
    if status == 1:
        return True, said.rpartition("/")[2]
    return False, "every test passed" if status == 0 else f"pytest ended with {status}: {said}"


def main() -> int:
    """Plant the faults that were asked for; return 1 unless each is caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="NAME", action="append", help="faults named like this")
    parser.add_argument("--list", action="store_true", help="print the faults, plant none")
    args = parser.parse_args()
    chosen = [f for f in FAULTS if not args.only or any(name in f.name for name in args.only)]
    if not chosen:
        parser.error(f"no fault is named like {' or '.join(args.only)}")
    width = max(len(fault.name) for fault in chosen)
    if args.list:
        for fault in chosen:
            print(f"{fault.name:{width}}  {fault.file}")
        return 0
    lost = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copied(root)
        status, said = run_tests(root, sorted({test for fault in chosen for test in fault.tests}))
        if status:
            print(f"without any fault the tests do not pass: {said}")
            return 1
        for fault in chosen:
            began = time.monotonic()
            caught, said = outcome_of(fault, root)
            lost += not caught
            text = said if caught else f"NOT CAUGHT: {said}"
            print(f"{fault.name:{width}}  {time.monotonic() - began:5.1f} s  {text}", flush=True)
    print(f"{len(chosen) - lost} of {len(chosen)} faults caught")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
