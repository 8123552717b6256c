"""Tuning: ranges from declarations, the same trials however it is run, and test rows that choose nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK, small

import polytask
from polytask.core import OptionError, RunError, registry
from polytask.core.option import make, options_of
from polytask.engine import _study, space
from polytask.engine.config import read_yaml
from polytask.engine.training import Training
from polytask.engine.tune import Tuning, tune

optuna = pytest.importorskip("optuna")
SEARCH = {"lr": "1e-4..1e-1", "width": [4, 8, 16]}


def search(frame: Any, out: Path, trials: int = 6, **more: Any) -> Tuning:
    settings = {"training": QUICK["training"] | {"epochs": 2}, **more.pop("settings", {})}
    given: dict[str, Any] = {"systems": ["hard_sharing"], "jobs": 1, "search": SEARCH}
    given["options"] = {name: QUICK["system"] for name in more.get("systems", ["hard_sharing"]) if name != "trees"}
    return tune(frame, ["cost", "ill"], trials=trials, settings=settings, out=out, **(given | more))


def record(out: Path) -> list[Any]:
    """Every trial with what it tried, how it ended and the scores on its way."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{out / 'study.db'}")
    found = []
    for name in sorted(optuna.study.get_all_study_names(storage)):
        trials = optuna.load_study(study_name=name, storage=storage).trials
        found += [(name, t.number, t.state.name, t.value, t.params, t.intermediate_values) for t in trials]
    return found


def plain(found: Tuning) -> dict[str, Any]:
    values = found.to_dict()
    for one in values["found"]:
        del one["folder"]
    return values


def everything() -> list[tuple[str, type, Any]]:
    listed = [id for id, card in registry.systems().items() if card.field == "tables"]
    systems = [(id, registry.load(id).options_type) for id in listed]
    rules = [(id, registry.weighting(id).Options) for id in registry.balancers()]
    return [(id, cls, option) for id, cls in [*systems, *rules, ("training", Training)] for option in options_of(cls).values()]


def test_every_derived_value_is_a_valid_option_and_the_default_is_among_them() -> None:
    random = np.random.default_rng(0)
    derived = 0
    for id, cls, option in everything():
        domain = space.derived(option, option.default)
        if domain is None:
            continue
        derived += 1
        values = {option.name: domain.nearest(option.default)}
        assert values[option.name] == option.default
        distribution = _study._distribution(optuna, domain)
        sampler = optuna.samplers.RandomSampler(seed=int(random.integers(1000)))
        study = optuna.create_study(sampler=sampler)
        tried = [study.ask({"x": distribution}).params["x"] for _ in range(3)]
        if isinstance(domain, space.Range):
            tried += [type(option.default)(end) for end in (domain.low, domain.high)]
            assert domain.low < domain.high, (id, option.name)
        for value in tried:
            made = getattr(make(cls, {option.name: value}, id), option.name)
            assert made == value, (id, option.name)
            assert isinstance(made, type(value))
    assert derived > 50


def test_a_share_stays_a_share_and_a_zero_has_no_range() -> None:
    options = options_of(Training)
    assert str(space.derived(options["lr"], 4e-3)) == "0.0004..0.04 (log)"
    assert str(space.derived(options["batch_size"], 256)) == "128..512 (log)"
    share = space.derived(options["average"], 0.98)
    assert isinstance(share, space.Range)
    assert (round(share.low, 6), round(share.high, 6), share.log) == (0.48, 0.998, False)
    assert space.derived(options["clip"], 0.0) is None
    assert space.derived(options["accelerator"], "auto") is None
    assert space.derived(options["optimizer"], "adamw") == space.Choices(("adamw", "sgd"))


def test_three_and_three_trials_are_six(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(small(), tmp_path / "whole")
    search(small(), tmp_path / "cut", trials=3)
    end = _study.Study.tell

    def killed(study: Any, trial: Any, outcome: Any) -> None:
        if trial.number == 4:
            raise KeyboardInterrupt
        end(study, trial, outcome)

    monkeypatch.setattr(_study.Study, "tell", killed)
    with pytest.raises(KeyboardInterrupt):
        search(small(), tmp_path / "cut")
    monkeypatch.undo()
    calls: list[tuple[int, int, list[str]]] = []
    rest = search(small(), tmp_path / "cut", jobs=2, done=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(4, 6), (5, 6), (6, 6)], "what has ended is not run again"
    assert plain(rest) == plain(whole)
    assert record(tmp_path / "cut") == record(tmp_path / "whole"), "neither kills nor processes change a number"
    first, *others = record(tmp_path / "whole")
    assert first[4] == {"training.lr": 0.004, "width": 8}, "the first trial is untuned"
    assert len({str(entry[4]) for entry in others}) == 5
    assert whole.found[0].score == max(entry[3] for entry in record(tmp_path / "whole") if entry[2] == "COMPLETE")
    best = polytask.load(str(tmp_path / "whole" / "best"))
    assert best.config.training.lr == whole.found[0].options["training.lr"]
    again = polytask.fit(**fitted(tmp_path / "whole" / "tuned.yaml"))
    assert again.scores == best.scores
    assert len(list((tmp_path / "whole" / "trials").iterdir())) == 1, "only the best weights are kept"


def fitted(file: Path) -> dict[str, Any]:
    values = read_yaml(file)
    return {"data": values.pop("data"), "tasks": values.pop("tasks"), "settings": values}


def test_a_trial_that_falls_behind_stops_early_and_never_wins(tmp_path: Path) -> None:
    training = QUICK["training"] | {"epochs": 4}
    found = search(small(), tmp_path, 8, search={"lr": [4e-3, 1e-9]}, settings={"training": training}).found[0]
    assert found.pruned > 0
    assert found.options == {"training.lr": 4e-3}
    stopped = [entry for entry in record(tmp_path) if entry[2] == "PRUNED"]
    assert all(number >= _study.ROUND for _, number, *_ in stopped), "the first round runs to its end"
    assert {len(entry[5]) for entry in stopped} == {2}, "at the first epoch where it is allowed"


def test_other_data_settings_or_ranges_are_refused(tmp_path: Path) -> None:
    search(small(), tmp_path, trials=1)
    for wrong, text in [
        ({"frame": small(seed=1)}, "'hard_sharing \\+ equal' was tuned with other data"),
        ({"search": {"lr": "1e-4..1e-2"}}, "other ranges to search"),
        ({"settings": {"training": QUICK["training"] | {"batch_size": 16}}}, "other settings"),
    ]:
        arguments = {"frame": small(), "trials": 1, **wrong}
        with pytest.raises(RunError, match=text):
            search(arguments.pop("frame"), tmp_path, **arguments)
    (tmp_path / "study.db").write_text("not a database, but a text")
    with pytest.raises(RunError, match=r"study\.db: holds no studies"):
        search(small(), tmp_path, trials=1)


def test_faults_are_found_before_training(tmp_path: Path) -> None:
    for wrong, text in [
        ({"search": {"widht": None}}, "no system or balancer here has this option. Did you mean 'width'"),
        ({"search": {"lr": "1e-2..1e-4"}}, "the range 1e-2..1e-4 is empty"),
        ({"search": {"lr": "0..1"}}, "must be float > 0; got '0'"),
        ({"search": {"clip": None}}, "has no range of its own. Give one: clip=LOW..HIGH"),
        ({"search": {"embedding": ["periodic", "pieces"]}}, "must be one of piecewise, periodic, none; got 'pieces'"),
        ({"search": {"embedding": "none..periodic"}}, "is no range"),
        ({"search": {"loggers": ["mlflow"]}}, "holds several values at once"),
        ({"trials": 0}, "trials: must be at least 1"),
        ({"systems": ["mmo"], "options": {}}, "Did you mean 'mmoe'"),
        ({"balancers": []}, "balancers: none given"),
        ({"on": "rya"}, "Did you mean 'ray'"),
    ]:
        with pytest.raises(OptionError, match=text):
            search(small(), tmp_path, **wrong)
    assert not (tmp_path / "trials").exists()


def test_what_is_searched_without_being_named(tmp_path: Path) -> None:
    settings = {"training": QUICK["training"] | {"lr": 0.01}}
    systems = ["hard_sharing", "trees", "majority"]
    found = search(small(), tmp_path, 2, systems=systems, balancers=["famo"], search=None, settings=settings, options={})
    searched = {one.name: set(one.searched) for one in found.found}
    own = {"width", "depth", "dropout", "training.weight_decay", "balancer.lr", "balancer.decay"}
    assert searched == {"hard_sharing + famo": own, "trees": {"ridge", "columns"}, "majority": set()}
    assert {one.name: one.trials for one in found.found} == {"hard_sharing + famo": 2, "trees": 2, "majority": 1}
    assert "Nothing to search in majority: trained once." in found.verdict()


def spoiled(frame: pd.DataFrame) -> pd.DataFrame:
    test = frame["part"] == "test"
    frame.loc[test, "cost"] = -3 * frame.loc[test, "cost"] + 7
    frame.loc[test, "ill"] = frame.loc[test, "ill"].map({"yes": "no", "no": "yes"})
    return frame


def with_parts() -> pd.DataFrame:
    frame = small()
    return frame.assign(part=np.random.default_rng(1).choice(["train", "validation", "test"], len(frame), p=[0.6, 0.2, 0.2]))


def test_tuned_comparisons_are_fair_and_test_rows_choose_nothing(tmp_path: Path) -> None:
    settings = {"training": QUICK["training"], "split": {"how": "given", "column": "part"}}
    names = ["single_task", "hard_sharing"]
    found = []
    for name, frame, seeds in (("clean", with_parts(), 2), ("spoiled", spoiled(with_parts()), 1)):
        comparison = polytask.compare(
            frame, ["cost", "ill"], systems=[*names, "majority"], seeds=seeds, jobs=1, settings=settings, tuned=2,
            search=SEARCH, options=dict.fromkeys(names, QUICK["system"]), out=tmp_path / name,
        )  # fmt: skip
        found.append(comparison)
    clean, other = (record(tmp_path / name / "tuning") for name in ("clean", "spoiled"))
    assert clean == other
    per_study = [[entry[0] for entry in clean].count(name) for name in ("single_task", "hard_sharing + equal", "majority")]
    assert per_study == [2, 2, 1]
    assert any("2 trials each, on the validation rows of seed 0" in sentence for sentence in found[0].verdict())
    best = max((entry for entry in clean if entry[0] == "single_task" and entry[3] is not None), key=lambda entry: entry[3])
    for seed in (0, 1):
        cell = polytask.load(str(next((tmp_path / "clean" / "cells").glob(f"single_task-equal-{seed}-*"))))
        assert cell.config.training.lr == best[4]["training.lr"]
        assert cell.config.options.width == best[4]["width"]
    scores = [comparison.results[0].scores for comparison in found]
    assert scores[0]["validation"] == scores[1]["validation"]
    assert scores[0]["test"] != scores[1]["test"], "the test rows were spoiled"


def test_a_failed_trial_counts_and_does_not_end_the_search(tmp_path: Path) -> None:
    settings = {"training": QUICK["training"] | {"average": 0}}
    found = search(small(), tmp_path, 3, search={"lr": [4e-3, 1e30]}, settings=settings)
    assert found.found[0].trials == 3
    assert "the loss of cost, ill is not finite" in found.found[0].failed[0]
    assert any("trials failed, as:" in sentence for sentence in found.verdict())


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(polytask.core.MissingExtra, match=r"pip install 'polytask\[tune\]'"):
        search(small(), tmp_path)
