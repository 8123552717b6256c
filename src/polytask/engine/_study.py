"""A study: the trials of one system under one balancer, in an embedded SQLite file that outlives a kill.

Trials go in rounds of `ROUND`. A trial's options, and the scores that it must reach to go on, follow from the seed, its number
and the trials of earlier rounds alone: neither the number of processes, nor a kill, nor a later raise of the number of trials
changes any of them.
"""

import math
import shutil
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from polytask.core import Fault, MissingExtra, PolytaskError, RunError

from . import _cells, _files, space
from .checkpoint import Checkpoint, Progress
from .config import Config
from .fit import merge
from .predict import mean_primary
from .space import Choices, Space

ROUND = 4
_WARM = 5
"""Epochs (at most a quarter of all) in which no trial is stopped."""
_ENOUGH = 2 * ROUND
"""Trials before the sampler learns from them, and before an option's importance means anything."""


@dataclass(frozen=True)
class Trial:
    """One training run of a study.

    limits: by epoch, the score that it must have reached to go on; none for the first round, and where epochs' scores are not
        those of all tasks.
    """

    study: str
    number: int
    values: Mapping[str, Any]
    folder: Path
    limits: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.study}, trial {self.number}"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: with a score on the validation rows, stopped early (no score), or by an error.

    curve: the score after each epoch.
    """

    score: float | None = None
    curve: tuple[float, ...] = ()
    error: _cells.Error | None = None


class Stopped(Exception):  # noqa: N818 - no error: it ends a training that falls behind
    """Leaves the loop from its report."""


def run(trial: Trial) -> Outcome:
    """Train a trial; stop it where its best score so far is below the median of earlier trials' at that epoch.

    This is the rule of Optuna's MedianPruner, but that trials which ended before that epoch count with their last score.
    """
    curve: list[float] = []

    def report(at: Progress, stage: Any, epochs: int) -> None:
        if trial.limits and at.epoch > min(_WARM, epochs // 4):
            limit = trial.limits[min(at.epoch, len(trial.limits)) - 1]
            if at.best is not None and at.best < limit:
                curve.extend(float(row["score"]) for row in at.history)
                raise Stopped

    try:
        found = _cells.run(trial.values, trial.folder, report)
    except Stopped:
        return Outcome(curve=tuple(curve))
    except PolytaskError as error:
        return Outcome(error=(type(error), error.faults))
    history = Checkpoint.read(trial.folder / "checkpoint.safetensors").progress.history
    score = mean_primary(found.schema.tasks, found.scores["validation"])
    if math.isnan(score):
        fault = Fault("validation rows", "no task has a metric there", "Give more rows, or a larger split.validation")
        return Outcome(error=(RunError, (fault,)))
    return Outcome(score, tuple(float(row["score"]) for row in history))


def optuna() -> ModuleType:
    """The library that samples and stores. Raises `MissingExtra`."""
    try:
        library: ModuleType = import_module("optuna")
    except ImportError as error:
        raise MissingExtra.of("tune", "needs the package 'optuna'", "pip install 'polytask[tune]'") from error
    library.logging.set_verbosity(library.logging.WARNING)
    return library


def open_storage(file: Path) -> Any:
    """The SQLite file of all studies. Raises `RunError` where it is another kind of file."""
    from sqlalchemy.exc import SQLAlchemyError

    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return optuna().storages.RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 60}})
    except (SQLAlchemyError, RuntimeError) as error:
        raise RunError.of(str(file), f"holds no studies ({_files.one_line(error, 100)})", "Choose another --out") from None


class Study:
    """One system under one balancer.

    values: its whole configuration before tuning. watched: whether an epoch's score is that of all tasks.
    prints: digests of what the trials follow from, by what they are called. Raises `RunError` where the file's are others.
    """

    def __init__(
        self, name: str, values: Mapping[str, Any], searched: Space, trials: int, watched: bool,
        prints: Mapping[str, str], storage: Any, folder: Path,
    ) -> None:  # fmt: skip
        self.name, self.values, self.space, self.watched, self.folder = name, values, searched, watched, folder
        self.trials = trials if searched else 1
        self._optuna, self._storage = optuna(), storage
        self._study = self._optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        self._check(prints)

    def _check(self, prints: Mapping[str, str]) -> None:
        held = self._study.user_attrs.get("prints")
        if held is None:
            self._study.set_user_attr("prints", dict(prints))
        elif changed := [what for what in prints if held.get(what) != prints[what]]:
            problem = f"'{self.name}' was tuned with other {' and '.join(changed)}"
            raise RunError.of(str(self.folder.parent / "study.db"), problem, "Restore them, or choose another --out")

    def all(self) -> list[Any]:
        """The trials so far, as Optuna knows them."""
        found: list[Any] = self._study.get_trials(deepcopy=False)
        return found

    def completed(self, before: int | None = None) -> list[Any]:
        """Those of the asked number that have a score."""
        complete = self._optuna.trial.TrialState.COMPLETE
        return [trial for trial in self.all()[: self.trials if before is None else before] if trial.state is complete]

    def ended(self) -> int:
        """How many of the asked number have ended."""
        return sum(trial.state.is_finished() for trial in self.all()[: self.trials])

    def lot(self, first: int) -> list[Trial]:
        """The trials of the round from number `first` that have not ended; what is new among them is written down first."""
        known = self.all()
        for number in range(len(known), min(first + ROUND, self.trials)):
            state = self._optuna.trial.TrialState.RUNNING
            options, domains = self._suggest(number, known[:first]), self._domains()
            self._study.add_trial(self._optuna.trial.create_trial(state=state, params=options, distributions=domains))
        limits = self._limits(first) if self.watched else ()
        open = [trial for trial in self.all()[first : min(first + ROUND, self.trials)] if not trial.state.is_finished()]
        return [Trial(self.name, t.number, self.configured(t.params), self.place(t.number), limits) for t in open]

    def _domains(self) -> dict[str, Any]:
        return {name: _distribution(self._optuna, domain) for name, domain in self.space.items()}

    def _suggest(self, number: int, known: Sequence[Any]) -> dict[str, Any]:
        """The options of a trial: the first is untuned, the others follow from the seed, the number and the known trials."""
        if number == 0:
            return space.first(self.space, Config.from_dict(self.values))
        seed = zlib.crc32(f"{self.values['training']['seed']} {number}".encode())
        sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=_ENOUGH)
        memory = self._optuna.create_study(direction="maximize", sampler=sampler)
        memory.add_trials([trial for trial in known if trial.state.is_finished()])
        options: dict[str, Any] = memory.ask(self._domains()).params
        return options

    def _limits(self, first: int) -> tuple[float, ...]:
        """The median over the scored trials of earlier rounds of the best score until each epoch."""
        curves = [[value for _, value in sorted(t.intermediate_values.items())] for t in self.completed(first)]
        best = [list(accumulate(curve, max)) for curve in curves if curve]
        if len(best) < ROUND:
            return ()
        return tuple(median(b[min(epoch, len(b) - 1)] for b in best) for epoch in range(max(map(len, best))))

    def configured(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The whole configuration with these options."""
        return Config.from_dict(merge(self.values, space.nested(options))).to_dict()

    def place(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / f"{self.name.replace(' + ', '-')}-{number}"

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Write down how a trial ended; of the weights, only the best trial's are kept."""
        states, known = self._optuna.trial.TrialState, self.all()[trial.number]
        for step, score in enumerate(outcome.curve):
            self._storage.set_trial_intermediate_value(known._trial_id, step, score)
        if outcome.error is not None:
            self._storage.set_trial_user_attr(known._trial_id, "fault", "; ".join(map(str, outcome.error[1])))
            self._study.tell(trial.number, state=states.FAIL)
        elif outcome.score is None:
            self._study.tell(trial.number, state=states.PRUNED)
        else:
            self._study.tell(trial.number, outcome.score)
        self._tidy()

    def _tidy(self) -> None:
        best = self.best()
        for known in self.all():
            if known.state.is_finished() and (best is None or known.number != best.number):
                shutil.rmtree(self.place(known.number), ignore_errors=True)

    def best(self) -> Any:
        """The trial with the best score, of equal ones the first; None without any."""
        return max(self.completed(), key=lambda trial: (trial.value, -trial.number), default=None)

    def importance(self) -> dict[str, float]:
        """Each option's share of the variance of scores (fANOVA, Hutter et al. 2014); empty for a few trials."""
        scored = self.completed()
        if len(scored) < _ENOUGH or len({trial.value for trial in scored}) < 2:
            return {}
        memory = self._optuna.create_study(direction="maximize")
        memory.add_trials(scored)
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: dict[str, float] = self._optuna.importance.get_param_importances(memory, evaluator=evaluator)
        return found


def _distribution(optuna: ModuleType, domain: space.Domain) -> Any:
    if isinstance(domain, Choices):
        return optuna.distributions.CategoricalDistribution(domain.values)
    kind = optuna.distributions.IntDistribution if domain.whole else optuna.distributions.FloatDistribution
    return kind(domain.low, domain.high, log=domain.log)
