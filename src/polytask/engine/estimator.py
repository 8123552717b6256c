"""`MultiTaskEstimator`: a system in scikit-learn's manner, for its pipelines, searches and cross-validation."""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.metrics import r2_score
from sklearn.utils import ClassifierTags, RegressorTags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from polytask.core import DataError, Fit, RunError, arrow
from polytask.core.errors import collect
from polytask.core.option import dump
from polytask.data import read

from . import _files
from .answers import CLASSES, NUMBERS, Form, read_labels
from .checkpoint import Progress
from .fit import fit
from .predict import mean_primary, predict
from .run import Run

_FILE = "estimator.json"
_MAPPINGS = ("inputs", "options", "balancing", "training", "split")
"""The parameters of which `set_params` can set one key: `options__width=64`."""


def _has_classes(estimator: "MultiTaskEstimator") -> bool:
    """Before `fit` every estimator may predict probabilities; a fitted one does where a task has classes."""
    return not hasattr(estimator, "run_") or hasattr(estimator, "classes_")


class MultiTaskEstimator(BaseEstimator):
    """One model for all columns of Y, as a scikit-learn estimator.

    X is a data frame (pandas, polars) of columns of any kind, or an array. Y is a data frame, a series, an array or a mapping
    of columns. Each column is a task, of an inferred kind; missing labels (NaN, None) are left out task by task. To choose,
    give `tasks` as `polytask.fit` takes them: names of Y's columns (`time:event` is survival), or declarations by name. The
    columns of an array are called as `tasks` says, else `y` (a series by its name), or `y0`, `y1`, ...

    system, balancer: ids, as `polytask systems` and `polytask balancers` list them (balancer None: the system's own).
    options, balancing, training: their settings by name, and those of training; inputs: declarations of X's columns; split:
    how validation rows are chosen, as `{"how": "group", "column": "person"}`. `set_params`, and so a search, sets one key of
    each: `options__width=64`, `training__lr=1e-3`.
    epochs, validation_fraction, random_state: short for `training["epochs"]`, `split["validation"]` and the seeds of both, and
    stronger than these. random_state None leaves the seeds at 0: a fit gives the same model each time, as all of polytask does.
    verbose: a line an epoch. out: the run folder to write. A folder takes one run: leave it out of a search, `save` the best.

    Validation rows are drawn at random where `split` says nothing. All others train but one, which is the run's test row.

    After `fit`: `run_` (the `Run`: quantiles, survival curves, scores), `tasks_` (names in order), `n_features_in_`,
    `feature_names_in_` where X has names, and `classes_` where a task has classes: an array, or for several tasks a list with
    None for a task without. `sample_weight` is not supported: `fit` does not take it, so meta-estimators refuse it.
    """

    def __init__(
        self,
        system: str = "hard_sharing",
        balancer: str | None = None,
        *,
        tasks: Sequence[str] | Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        balancing: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        split: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        validation_fraction: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        out: Path | str | None = None,
    ) -> None:
        self.system = system
        self.balancer = balancer
        self.tasks = tasks
        self.inputs = inputs
        self.options = options
        self.balancing = balancing
        self.training = training
        self.split = split
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose
        self.out = out

    def fit(self, X: Any, y: Any) -> "MultiTaskEstimator":
        """Train on the rows of X and the labels of y. Raises `DataError`, `OptionError`, and scikit-learn's ValueErrors."""
        table = self._table(X, reset=True)
        labels, tasks, form = read_labels(y, self.tasks, type(self).__name__)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "task '.*': no test row has a label")  # there is one test row: see `_settings`
            run = fit(
                _joined(table, labels),
                tasks,
                system=self.system,
                balancer=self.balancer,
                settings=self._settings(table.num_rows),
                out=self.out,
                report=_print if self.verbose else None,
            )
        self._take(run, table.column_names, form)
        if self.out is not None:
            self._describe(Path(self.out))
        return self

    def predict(self, X: Any) -> Any:
        """The predicted value of each row and task, in the units and with the labels of Y.

        A data frame with a column a task and X's index; an array where Y was one, `(rows,)` for a series or a flat array. The
        value of a survival task is its risk, of a quantile task its middle quantile; a multilabel task has a column a label.
        `run_.predict(X)` gives all the rest.
        """
        columns: dict[str, Any] = {}
        for name, output in self._outputs(X).items():
            columns |= self._form.values(self.run_.schema.tasks[name], output)
        return self._form.shaped(columns, X.index if isinstance(X, pd.DataFrame) else None)

    @available_if(_has_classes)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The probabilities of `classes_`, `(rows, classes)`: an array for one task, for several a list, ordered as `tasks_`.

        A task without classes has None in the list. A multilabel task has `(rows, labels)`, the probability of each label.
        """
        outputs = self._outputs(X)
        tasks = self.run_.schema.tasks
        found = [self._form.probabilities(tasks[name], output) for name, output in outputs.items()]
        return found[0] if len(found) == 1 else found

    def score(self, X: Any, y: Any) -> float:
        """How good predictions are on labelled rows, more being better.

        Of one task: the accuracy where it has classes, R2 in its own units where it is a number. Of several, or of another
        kind: the mean of the tasks' primary metrics (AUROC, R2, concordance, ...), with a minus where less is better.
        """
        check_is_fitted(self)
        tasks = self.run_.schema.tasks
        labels = read_labels(y, {name: {"columns": task.columns} for name, task in tasks.items()}, type(self).__name__)[0]
        task, *others = tasks.values()
        truth = arrow.plain(labels[task.columns[0]]).to_pandas()
        known = truth.notna().to_numpy()
        if not others and task.kind in CLASSES | NUMBERS and known.any():
            right, found = truth[known].to_numpy(), np.asarray(self.predict(X)).reshape(-1)[known]
            return float((right == found).mean() if task.kind in CLASSES else r2_score(right, found))
        scores = self.run_.evaluate(_joined(self._table(X, reset=False), labels))
        return mean_primary(tasks, scores)

    def save(self, folder: Path | str) -> None:
        """Write the run folder: `load` gives the fitted estimator back, and `polytask.load` the run."""
        check_is_fitted(self)
        self._describe(Path(folder))
        self.run_.save(folder)

    @classmethod
    def load(cls, folder: Path | str, trust: bool = False) -> "MultiTaskEstimator":
        """The fitted estimator of a run folder, also of one that `polytask.fit` wrote: Y counts as a data frame then.

        trust: run the code of a user's own system that lies in it. Raises `RunError` as `polytask.load` does.
        """
        run = Run.load(folder, trust)
        path = Path(folder) / _FILE
        unknown: dict[str, Any] = {"columns": list(run.schema.inputs), "named": True, "form": {}}
        about = _files.read_json(path) if path.exists() else unknown
        try:
            columns, named, form = list(about["columns"]), bool(about["named"]), Form.from_json(about["form"])
        except (KeyError, TypeError) as error:
            problem = f"does not describe an estimator ({_files.one_line(error)})"
            raise RunError.of(
                str(path), problem, "It was edited: restore it, or remove it to read X and Y as data frames"
            ) from None
        config = run.config
        found = cls(
            config.system,
            config.balancer,
            tasks=dict(config.tasks),
            inputs=dict(config.inputs),
            options=dump(config.options),
            balancing=dict(config.balancing),
            training=dump(config.training),
            split=dump(config.split),
        )
        found.n_features_in_ = len(columns)
        if named:
            found.feature_names_in_ = np.array(columns, dtype=object)
        found._take(run, columns, form)
        return found

    def set_params(self, **params: Any) -> "MultiTaskEstimator":
        """Set parameters by name, or one key of a mapping: `options__width=64` leaves the other options as they are."""
        keys = {name: name.partition("__") for name in params}
        single = {name for name, (mapping, _, key) in keys.items() if key and mapping in _MAPPINGS}
        super().set_params(**{name: value for name, value in params.items() if name not in single})
        for name in single:
            mapping, _, key = keys[name]
            setattr(self, mapping, {**(getattr(self, mapping) or {}), key: params[name]})
        return self

    def _settings(self, rows: int) -> dict[str, Any]:
        """What differs from the defaults, as a configuration file says it."""
        training, split = dict(self.training or {}), dict(self.split or {})
        # One test row; only a random split is sure to leave it.
        split = {"test": 1 / rows, "how": "auto" if "column" in split else "random"} | split
        if self.epochs is not None:
            training["epochs"] = self.epochs
        if self.validation_fraction is not None:
            split["validation"] = self.validation_fraction
        if self.random_state is not None:
            training["seed"] = split["seed"] = _seed(self.random_state)
        rest = {"system": self.options, "balancer": self.balancing, "inputs": self.inputs}
        return {"training": training, "split": split} | {section: dict(values or {}) for section, values in rest.items()}

    def _table(self, X: Any, reset: bool) -> pa.Table:
        """X as a table with the columns that `fit` saw (reset: to be seen now)."""
        if hasattr(X, "columns") or hasattr(X, "column_names"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            table = read.table(X.reset_index(drop=True) if isinstance(X, pd.DataFrame) else X)
        else:
            least = 2 if reset else 1
            array = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False, ensure_min_samples=least)
            table = read.table({f"x{number}": column for number, column in enumerate(array.T)})
        return table if reset else table.rename_columns(self._columns)

    def _outputs(self, X: Any) -> dict[str, Any]:
        check_is_fitted(self)
        batch = self.run_.schema.only(tasks=()).encode(self._table(X, reset=False))
        return predict(self.run_.system, batch)

    def _take(self, run: Run, columns: list[str], form: Form) -> None:
        """Take the trained model over, with X's columns and Y's form."""
        self.run_, self.tasks_, self._columns, self._form = run, list(run.schema.tasks), columns, form
        classes = [self._form.classes(task) for task in run.schema.tasks.values()]
        if any(each is not None for each in classes):
            self.classes_ = classes[0] if len(classes) == 1 else classes
        elif hasattr(self, "classes_"):
            del self.classes_

    def _describe(self, folder: Path) -> None:
        named = hasattr(self, "feature_names_in_")
        _files.write_json(folder / _FILE, {"columns": self._columns, "named": named, "form": self._form.to_json()})

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "run_")

    def _kinds(self) -> list[str | None]:
        """The kinds of the tasks as far as they are known: from the fit, else as declared."""
        if hasattr(self, "run_"):
            return [task.kind for task in self.run_.schema.tasks.values()]
        declared = self.tasks.values() if isinstance(self.tasks, Mapping) else ()
        return [each.get("kind") if isinstance(each, Mapping) else each for each in declared]

    def __sklearn_tags__(self) -> Any:
        """A classifier or a regressor where all tasks are known to be such, by declaration or from the fit; else neither."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.target_tags.required = True
        kinds = self._kinds()
        tags.target_tags.multi_output = len(kinds) != 1
        if kinds and CLASSES.issuperset(kinds):
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        elif kinds and NUMBERS.issuperset(kinds):
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The run as the files of its folder: weights as safetensors, no module."""
        state = dict(super().__getstate__())
        if (run := state.pop("run_", None)) is not None:
            with tempfile.TemporaryDirectory() as folder:
                replace(run).save(folder)
                files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
            state["_saved"] = (files, run.config.system, run.folder)
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        rest = dict(state)
        saved = rest.pop("_saved", None)
        super().__setstate__(rest)
        if saved is not None:
            files, system, home = saved
            with tempfile.TemporaryDirectory() as folder:
                for name, content in files.items():
                    (Path(folder) / name).write_bytes(content)
                run = Run.load(folder, trust=True)  # who unpickles runs the pickle's code anyway
            self.run_ = replace(run, config=replace(run.config, system=system), folder=home)


def _joined(table: pa.Table, labels: pa.Table) -> pa.Table:
    """X and Y side by side."""
    check_consistent_length(table[0], labels[0])
    with collect(DataError) as faults:
        for name in labels.column_names:
            if name in table.column_names:
                fix = "Rename one of them; the columns of an array are called as tasks=[...] says"
                faults.add(f"column '{name}'", "is in X and in Y", fix)
    for name in labels.column_names:
        table = table.append_column(name, labels[name])
    return table


def _seed(random_state: Any) -> int:
    return int(random_state) if isinstance(random_state, Integral) else int(check_random_state(random_state).randint(2**31 - 1))


def _print(progress: Progress, stage: Fit, epochs: int) -> None:
    print(f"epoch {progress.epoch} of {epochs}: score {float(progress.history[-1]['score']):.4f}")
