"""`tune`: the options of each system, chosen on the validation rows with the same number of trials for all."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from polytask.balance import _balancer
from polytask.core import Fault, Fit, OptionError, Schema

from . import _cells, _files, parallel, space
from ._study import ROUND, Outcome, Study, Trial, open_storage, optuna, run
from .comparison import Key, label
from .config import Config
from .fit import build, merge, prepare_for


@dataclass(frozen=True)
class Tuned:
    """What was found for one system under one balancer.

    score: the mean over tasks of the primary validation metrics, more being better; untuned: that of the first trial.
    options: those of the best trial, as `--set` names them. importance: each option's share of the variance of the scores.
    failed: why trials ended without a score. values: the whole configuration. folder: the best trial's run.
    """

    system: str
    balancer: str
    score: float
    untuned: float
    trials: int
    pruned: int
    failed: Sequence[str]
    options: Mapping[str, Any]
    searched: Mapping[str, str]
    importance: Mapping[str, float]
    values: Mapping[str, Any]
    folder: str

    @property
    def name(self) -> str:
        return label(self.system, self.balancer)


@dataclass(frozen=True)
class Tuning:
    """Every system's best options, best score first; `skipped`: what cannot learn these tasks, with the reason."""

    found: Sequence[Tuned]
    trials: int
    skipped: Mapping[str, str]

    def verdict(self) -> list[str]:
        """Plain sentences: what won, and what the scores do not say."""
        best = self.found[0]
        gain = best.score - best.untuned
        sentences = [f"Best on the validation rows: {best.name}, {best.score:.4f} ({gain:+.4f} over its options untuned)."]
        sentences.append("The best of many trials is flattered by its own validation rows; the test rows chose nothing.")
        plain = [one.name for one in self.found if not one.searched]
        if plain:
            sentences.append(f"Nothing to search in {', '.join(plain)}: trained once.")
        sentences += [f"{one.name}: {len(one.failed)} trials failed, as: {one.failed[0]}." for one in self.found if one.failed]
        return sentences + [f"{name} does not apply here: {reason}." for name, reason in self.skipped.items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = [{k: v for k, v in asdict(one).items() if k != "values"} | {"name": one.name} for one in self.found]
        return {"trials": self.trials, "verdict": self.verdict(), "found": found, "skipped": dict(self.skipped)}


def tune(
    data: Any,
    tasks: Sequence[str] | Mapping[str, Any],
    *,
    systems: Sequence[str] = ("hard_sharing",),
    balancers: Sequence[str] = ("equal",),
    trials: int = 20,
    seconds: float | None = None,
    search: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    out: Path | str = "runs/tune",
    jobs: int | None = None,
    on: str = parallel.LOCAL,
    done: _cells.Done | None = None,
) -> Tuning:
    """Try options of every system under every balancer on one split, as many trials and epochs each, and keep the best.

    A trial's score is the mean of the tasks' primary metrics on the validation rows; test rows choose nothing. The first
    trial is untuned. Trials that fall behind the median of earlier ones are stopped early.
    search: what is searched, in place of `space.SEARCHED`: `{"lr": "1e-4..1e-2", "width": [64, 128], "mmoe.experts": None}`
        (None: a range derived from the option's declaration). A system with nothing to search is trained once.
    settings: as for `fit`. options: options by system or balancer; what is set there is not searched.
    seconds: no round of trials begins later than that in this call; all systems have then had as many.
    out: `study.db` holds the studies, `best` the winner's run, `tuned.yaml` its configuration for `fit`, `tuning.json` all of
        this. The same call goes on from there, with the trials and scores of an uninterrupted one; more `trials` add to it.
    jobs, on: as for `parallel.workers`; they change no number.
    A system that cannot learn these tasks is left out, with its reason. Raises as `fit` does, `MissingExtra` without Optuna,
    and `RunError` where `out` holds trials of other data, settings or ranges.
    """
    if trials < 1:
        raise OptionError.of("trials", f"must be at least 1; got {trials}")
    optuna()
    out = Path(out).absolute()
    _files.clean(out)
    studies, skipped = _studies(data, tasks, systems, balancers, trials, search or {}, settings or {}, options or {}, out)
    _search(studies, skipped, trials, seconds, jobs, on, done or (lambda finished, total, running: None))
    if not studies:
        raise _none(skipped)
    found = sorted((_found(*pair, study) for pair, study in studies.items()), key=lambda one: -one.score)
    tuning = Tuning(found, trials, skipped)
    _cells.copy(Path(found[0].folder), out / "best")
    _files.write_yaml(out / "tuned.yaml", found[0].values)
    _files.write_json(out / "tuning.json", tuning.to_dict() | {"best": str(out / "best")})
    return tuning


def _none(skipped: Mapping[str, str]) -> OptionError:
    return OptionError(*(Fault(name, f"does not apply here: {reason}") for name, reason in skipped.items()))


def _studies(
    data: Any, tasks: Any, systems: Sequence[str], balancers: Sequence[str], trials: int, search: Mapping[str, Any],
    settings: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], out: Path,
) -> tuple[dict[Key, Study], dict[str, str]]:  # fmt: skip
    """A study for each system and balancer, and why others take no part; all faults are found before anything is trained."""
    systems = list(dict.fromkeys(systems))
    _cells.check(systems, balancers, options)
    files, digest = _cells.on_disk(data, out)
    base = merge({"data": files, "tasks": tasks if isinstance(tasks, Mapping) else list(tasks)}, settings)
    configs: dict[Key, Config] = {}
    given: dict[str, Sequence[str]] = {}
    for system, balancer in _cells.pairs(systems, balancers):
        own = _cells.sections(system, balancer, options)
        configs[system, balancer] = Config.from_dict(merge(base, own))
        given[label(system, balancer)] = space.names(merge(settings, own))
    schema = prepare_for(next(iter(configs.values()))).schema
    trained: dict[str, bool] = {}
    watched: dict[str, bool] = {}
    skipped: dict[str, str] = {}
    for pair, config in list(configs.items()):
        try:
            trained[label(*pair)], watched[label(*pair)] = _how(config, schema)
        except OptionError as error:
            skipped[label(*pair)] = "; ".join(map(str, error.faults))
            del configs[pair]
    if not configs:
        raise _none(skipped)
    spaces = space.spaces({label(*pair): config for pair, config in configs.items()}, trained, given, search)
    storage = open_storage(out / "study.db")
    studies = {}
    for pair, config in configs.items():
        name, values = label(*pair), config.to_dict()
        content, code, version = _cells.content(values, pair[0])
        prints = {
            "data": _cells.key(digest),
            "settings": _cells.key(content),
            "code": _cells.key(code, version),
            "ranges to search": _cells.key({option: str(domain) for option, domain in spaces[name].items()}),
        }
        studies[pair] = Study(name, values, spaces[name], trials, watched[name], prints, storage, out / "trials")
    return studies, skipped


def _how(config: Config, schema: Schema) -> tuple[bool, bool]:
    """Whether the system trains by gradient descent, and whether by a single stage whose scores are those of all tasks.

    Raises `OptionError` where it cannot learn these tasks or take this balancer.
    """
    system = build(config, schema)
    _balancer.make(config.balancer, list(system.objectives()), config.balancing)
    stages = list(system.stages())
    fits = [stage for stage in stages if isinstance(stage, Fit)]
    return bool(fits), len(stages) == len(fits) == 1 and fits[0].tasks is None and fits[0].score is None


def _search(
    studies: dict[Key, Study], skipped: dict[str, str], trials: int, seconds: float | None,
    jobs: int | None, on: str, done: _cells.Done,
) -> None:  # fmt: skip
    """All trials of all studies, round by round; a study whose system proves unable to learn these tasks is taken out."""
    started, total = time.monotonic(), sum(study.trials for study in studies.values())
    by_name = {study.name: pair for pair, study in studies.items()}
    ended = sum(study.ended() for study in studies.values())
    done(ended, total, [])
    with parallel.workers(jobs, on) as each:
        for first in range(0, trials, ROUND):
            if first and seconds is not None and time.monotonic() - started >= seconds:
                return
            open = [trial for study in studies.values() for trial in study.lot(first)]
            for trial, outcome in each(run, list(open)):
                open.remove(trial)
                ended += 1
                done(ended, total, [trial.name for trial in open])
                pair = by_name[trial.study]
                if reason := _refused(trial, outcome):
                    skipped[trial.study] = reason
                    studies.pop(pair)
                elif pair in studies:
                    studies[pair].tell(trial, outcome)


def _refused(trial: Trial, outcome: Outcome) -> str | None:
    """Why a system cannot learn these tasks at all: its untuned trial had an `OptionError`. Another error of it is raised."""
    if trial.number or outcome.error is None:
        return None
    kind, faults = outcome.error
    if kind is OptionError:
        return "; ".join(map(str, faults))
    raise kind(*(replace(fault, where=f"{trial.name}: {fault.where}") for fault in faults))


def _found(system: str, balancer: str, study: Study) -> Tuned:
    """What a study came to; the weights of its best trial, if they were removed, are trained again."""
    known, best = study.all()[: study.trials], study.best()
    folder, values = study.place(best.number), study.configured(best.params)
    if not (folder / "model.safetensors").exists():
        _cells.run(values, folder)
    return Tuned(
        system,
        balancer,
        score=best.value,
        untuned=known[0].value,
        trials=study.ended(),
        pruned=sum(trial.state.name == "PRUNED" for trial in known),
        failed=[trial.user_attrs.get("fault", "") for trial in known if trial.state.name == "FAIL"],
        options=best.params,
        searched={name: str(domain) for name, domain in study.space.items()},
        importance=study.importance(),
        values=values,
        folder=str(folder),
    )
