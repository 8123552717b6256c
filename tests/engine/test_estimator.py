"""`MultiTaskEstimator`: scikit-learn's own checks, and what these leave out: many tasks, gaps, labels, searches, folders."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import QUICK, small
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import polytask
from polytask.core import DataError, RunError
from polytask.engine.estimator import MultiTaskEstimator

INPUTS, TASKS = ["a", "b", "c", "ward"], ["cost", "ill"]


def brief(**given: Any) -> MultiTaskEstimator:
    """An estimator that trains for a blink."""
    training = {"steps": 2, "batch_size": 64, "threads": 1, "accelerator": "cpu"}
    return MultiTaskEstimator(**{"options": QUICK["system"], "training": training, "epochs": 1} | given)  # type: ignore[arg-type]


def enough(kind: str) -> MultiTaskEstimator:
    """Eight long steps: what the checks want a classifier or a regressor to have learnt."""
    training = {"steps": 8, "lr": 0.1, "average": 0.0, "threads": 1, "accelerator": "cpu"}
    return brief(tasks={"y": kind}, training=training)


def listed(classes: list[Any]) -> list[Any]:
    return [None if each is None else list(each) for each in classes]


TYPES = "polytask's tests check the types of arguments at every call, and the check gives any to all parameters"
MATRIX = "a matrix of one column is not flattened: predictions have Y's form"
GAPS = "a missing label is no error: the row counts for the tasks that it has"
CONSTANT = "a constant column is no task: the error says so, and which column"
RARE = "numbers that are declared classes are classes; the error says that each is too rare"
DO_NOT_APPLY = {
    "check_do_not_raise_errors_in_init_or_set_params": TYPES,
    "check_supervised_y_2d": MATRIX,
    "check_supervised_y_no_nan": GAPS,
    "check_classifiers_one_label": CONSTANT,
    "check_classifiers_regression_target": RARE,
}


def checks() -> list[Any]:
    """scikit-learn's checks of any estimator, then those that it has for classifiers and for regressors alone."""
    done: set[str] = set()
    chosen: list[Any] = []
    for estimator in (brief(), enough("multiclass"), enough("regression")):
        found = list(estimator_checks_generator(estimator, expected_failed_checks=DO_NOT_APPLY, mark="xfail"))
        names = [repr((check.func.__name__, check.keywords)) for _, check in (getattr(pair, "values", pair) for pair in found)]
        chosen += [pair for name, pair in zip(names, found, strict=True) if name not in done]
        done |= set(names)
    return chosen


@pytest.mark.parametrize(
    ("estimator", "check"), checks(), ids=lambda value: value.func.__name__ if hasattr(value, "func") else ""
)
def test_scikit_learns_own_checks(estimator: MultiTaskEstimator, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return small()


@pytest.fixture(scope="module")
def fitted(table: pd.DataFrame) -> MultiTaskEstimator:
    return brief().fit(table[INPUTS], table[TASKS])


def test_predictions_are_those_of_polytask_fit_to_the_bit(table: pd.DataFrame) -> None:
    given = {"system": "mmoe", "balancer": "mgda"}
    found = brief(**given, options={"width": 8}, random_state=3, validation_fraction=0.2).fit(table[INPUTS], table[TASKS])
    split = {"how": "random", "test": 1 / len(table), "validation": 0.2, "seed": 3}
    training = {"steps": 2, "batch_size": 64, "threads": 1, "accelerator": "cpu", "epochs": 1, "seed": 3}
    settings = {"system": {"width": 8}, "training": training, "split": split}
    run = polytask.fit(table, TASKS, **given, settings=settings)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(found.run_.predict(table), run.predict(table))
    pd.testing.assert_frame_equal(found.predict(table[INPUTS]), run.predict(table)[TASKS], check_dtype=False)


def test_inputs_of_every_kind_and_labels_in_their_own_types(table: pd.DataFrame) -> None:
    draw = np.random.default_rng(1)
    X = table[INPUTS].assign(
        day=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(len(table)), "D"),
        old=table["a"] > 0,
        visits=draw.poisson(9, 160),
    )
    X.index = pd.Index(np.arange(1000, 1160), name="patient")
    grade = pd.Categorical(np.where(table["a"] > 0, "high", "low"), categories=["low", "mid", "high"], ordered=True)
    Y = pd.DataFrame(
        {
            "sick": table["b"] > 0,
            "stage": pd.Series(draw.integers(0, 3, 160)).astype("int8"),
            "grade": grade,
            "name": np.where(table["c"] > 0, "x", "y"),
            "cost": table["cost"],
        }
    )
    Y.loc[::7, "name"] = None
    found = brief().fit(X, Y)
    predicted = found.predict(X)
    assert predicted.index.equals(X.index)
    assert predicted.dtypes.to_dict() == Y.dtypes.to_dict()
    assert listed(found.classes_) == [[False, True], [0, 1, 2], ["high", "low"], ["x", "y"], None]
    assert "patient" not in found.run_.schema.inputs
    assert list(found.feature_names_in_) == list(X.columns)


def test_labels_that_are_missing_do_not_train(table: pd.DataFrame, recwarn: pytest.WarningsRecorder) -> None:
    X, Y = table[INPUTS], table[TASKS]
    few = Y.assign(ill=Y["ill"].where(np.arange(len(Y)) < 40))
    assert few["ill"].isna().sum() > 100
    found = brief(random_state=0).fit(X, few)
    assert not [warning for warning in recwarn if "test row" in str(warning.message)]
    other = few.assign(ill=few["ill"].fillna("no"))
    assert not found.predict(X).equals(brief(random_state=0).fit(X, other).predict(X))
    assert found.score(X, few) == pytest.approx(np.mean([found.run_.evaluate(X.join(few))[t][m] for t, m in _primary(found)]))


def _primary(estimator: MultiTaskEstimator) -> list[tuple[str, str]]:
    return [(name, task.primary) for name, task in estimator.run_.schema.tasks.items()]


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2], [False, True], [0.5, 1.5]])
def test_one_column_of_labels_gives_one_array(table: pd.DataFrame, labels: list[Any]) -> None:
    X = table[["a", "b", "c"]].to_numpy()
    y = np.where(X[:, 1] > 0, *labels[::-1])
    found = brief(tasks={"y": "binary"}).fit(X, y)
    predicted, chances = found.predict(X), found.predict_proba(X)
    assert predicted.dtype == found.classes_.dtype == y.dtype
    assert list(found.classes_) == sorted(labels)
    np.testing.assert_array_equal(predicted, found.classes_[chances.argmax(1)])
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-6)
    assert found.score(X, y) == found.score(X, pd.Series(y, name="other")) == np.mean(y == predicted)


def test_classes_are_sorted_where_the_positive_one_is_not_the_last(table: pd.DataFrame) -> None:
    y = table["ill"].map({"yes": "dead", "no": "zombie"}).rename("fate")
    found = brief(tasks={"fate": {"kind": "binary", "positive": "dead"}}).fit(table[INPUTS], y)
    chances = found.predict_proba(table[INPUTS])
    assert list(found.classes_) == ["dead", "zombie"]
    np.testing.assert_array_equal(chances[:, 0], found.run_.predict(table)["fate_probability"].astype(np.float32))
    known = y.notna()
    assert found.score(table[INPUTS], y) == accuracy_score(y[known], found.predict(table[INPUTS])[known])


def test_a_matrix_of_labels_gives_a_matrix(table: pd.DataFrame) -> None:
    X = table[["a", "b", "c"]].to_numpy()
    numbers = X @ np.array([[1.0, 0], [0, 2], [1, 1]])
    found = brief().fit(X, numbers)
    assert found.tasks_ == ["y0", "y1"]
    assert found.predict(X).shape == numbers.shape
    assert is_regressor(found)
    assert not hasattr(found, "predict_proba")
    assert not hasattr(found, "classes_")
    mixed = numbers.astype(object)
    mixed[:, 0] = np.where(X[:, 0] > 0, "up", "down")
    found = brief(tasks=["way", "far"]).fit(X, mixed)
    assert found.predict(X).dtype == object
    chances, none = found.predict_proba(X)
    assert chances.shape == (len(X), 2)
    assert none is None
    assert list(found.classes_[0]) == ["down", "up"]
    assert found.classes_[1] is None


def test_survival_and_quantiles_and_mappings(table: pd.DataFrame) -> None:
    draw = np.random.default_rng(2)
    Y = {"days": draw.exponential(np.exp(table["a"])), "dead": draw.random(160) < 0.7, "cost": table["cost"].to_numpy()}
    tasks = {"days:dead": None, "cost": "quantile"}
    found = brief(tasks=tasks).fit(table[INPUTS], Y)
    predicted, run = found.predict(table[INPUTS]), found.run_.predict(table)
    assert list(predicted.columns) == ["days:dead", "cost"]
    np.testing.assert_array_equal(predicted["days:dead"], run["days:dead_risk"])
    np.testing.assert_array_equal(predicted["cost"], run["cost_q50"])
    scores = found.run_.evaluate(table[INPUTS].assign(**Y))
    mean = (scores["days:dead"]["c_index"] + scores["cost"]["d2_pinball"]) / 2
    assert found.score(table[INPUTS], Y) == pytest.approx(mean)
    both = np.column_stack([Y["days"], Y["dead"]])
    risk = brief(tasks=["days:dead"]).fit(table[INPUTS], both).predict(table[INPUTS])
    assert risk.shape == (160, 1)


def test_r2_is_in_the_users_units(table: pd.DataFrame) -> None:
    y = np.exp(3 * table["a"]).rename("bill")
    found = brief().fit(table[INPUTS], y)
    assert found.run_.schema.tasks["bill"].log  # type: ignore[attr-defined]
    assert found.score(table[INPUTS], y) == r2_score(y, found.predict(table[INPUTS]))


def test_rows_are_predicted_alone_as_with_others(fitted: MultiTaskEstimator, table: pd.DataFrame) -> None:
    """scikit-learn's own check of this wants double precision; a network has single."""
    X = table[INPUTS]
    parts = pd.concat([fitted.predict(X.iloc[[row]]) for row in range(5)])
    pd.testing.assert_frame_equal(parts, fitted.predict(X).head(5), rtol=1e-5)


def test_searches_set_one_option_and_clones_keep_it(table: pd.DataFrame) -> None:
    prepare = ColumnTransformer([("n", StandardScaler(), ["a", "b", "c"]), ("c", OneHotEncoder(sparse_output=False), ["ward"])])
    pipeline = make_pipeline(prepare, brief(random_state=1))
    grid = {"multitaskestimator__options__width": [4, 8], "multitaskestimator__training__lr": [1e-3]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(table[INPUTS], table[TASKS])
    model = search.best_estimator_[-1]
    assert model.options == {**QUICK["system"], "width": search.best_params_["multitaskestimator__options__width"]}
    assert model.training["steps"] == 2
    assert model.run_.config.training.lr == 1e-3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert list(search.predict(table[INPUTS]).columns) == TASKS
    assert QUICK["system"]["width"] == 8
    again = clone(model)
    assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        again.predict(table[INPUTS])


def test_processes_and_scorers(table: pd.DataFrame) -> None:
    estimator = brief(random_state=1)
    alone = cross_val_score(estimator, table[INPUTS], table[TASKS], cv=2)
    assert list(cross_val_score(estimator, table[INPUTS], table[TASKS], cv=2, n_jobs=2)) == list(alone)
    known = table[table["ill"].notna()]
    # The scorer asks the fitted estimator whether it is a classifier.
    assert np.isfinite(cross_val_score(estimator, known[INPUTS], known["ill"] == "yes", cv=2, scoring="roc_auc")).all()


def test_pickles_and_folders_give_the_estimator_back(fitted: MultiTaskEstimator, table: pd.DataFrame, tmp_path: Path) -> None:
    X, predicted = table[INPUTS], fitted.predict(table[INPUTS])
    content = pickle.dumps(fitted)
    assert b"torch" not in content
    fitted.save(tmp_path / "run")
    for found in (pickle.loads(content), MultiTaskEstimator.load(tmp_path / "run")):
        pd.testing.assert_frame_equal(found.predict(X), predicted)
        assert listed(found.classes_) == [None, ["no", "yes"]]
        pd.testing.assert_frame_equal(clone(found).fit(X, table[TASKS]).predict(X), predicted)
        with pytest.raises(ValueError, match="feature names should match"):
            found.predict(X.rename(columns={"a": "A"}))
    pd.testing.assert_frame_equal(polytask.load(tmp_path / "run").predict(X), fitted.run_.predict(X))
    (tmp_path / "run" / "estimator.json").write_text('{"columns": 3}')
    with pytest.raises(RunError, match=r"estimator.json: does not describe an estimator"):
        MultiTaskEstimator.load(tmp_path / "run")


def test_a_vector_survives_its_folder_and_a_run_becomes_an_estimator(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = table[["a", "b", "c"]].to_numpy(), np.where(table["a"] > 0, "up", "down")
    found = brief(out=tmp_path / "vector", verbose=1).fit(X, y)
    assert capsys.readouterr().out.startswith("epoch 1 of 1: score 0.")
    loaded = MultiTaskEstimator.load(tmp_path / "vector")
    np.testing.assert_array_equal(loaded.predict(X), found.predict(X))
    assert loaded.classes_.dtype == y.dtype
    with pytest.raises(RunError, match="already holds a run"):
        found.fit(X, y)
    polytask.fit(table, TASKS, settings=QUICK, out=tmp_path / "plain")
    assert list(MultiTaskEstimator.load(tmp_path / "plain").predict(table[INPUTS]).columns) == TASKS


def test_a_users_own_system_is_pickled_with_its_code(table: pd.DataFrame, tmp_path: Path) -> None:
    from polytask.core import registry

    own = tmp_path / "mine.py"
    own.write_text(registry.file_of("hard_sharing").read_text())
    found = brief(system=str(own)).fit(table[INPUTS], table[TASKS])
    content = pickle.dumps(found)
    own.unlink()
    pd.testing.assert_frame_equal(pickle.loads(content).predict(table[INPUTS]), found.predict(table[INPUTS]))


def test_polars_and_other_wrappings_of_the_same_rows(fitted: MultiTaskEstimator, table: pd.DataFrame) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(table)
    found = brief().fit(frame[INPUTS], frame[TASKS])
    pd.testing.assert_frame_equal(found.predict(frame[INPUTS]), fitted.predict(table[INPUTS]), check_dtype=False)
    assert found.score(frame[INPUTS], frame[TASKS]) == fitted.score(table[INPUTS], table[TASKS])
    alone = brief(tasks="cost").fit(frame[INPUTS], frame[TASKS])
    assert alone.tasks_ == brief(tasks=[]).fit(frame[INPUTS], frame["cost"]).tasks_ == ["cost"]


def test_columns_without_names_are_those_of_the_fit(fitted: MultiTaskEstimator, table: pd.DataFrame) -> None:
    X = table[INPUTS]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found = fitted.predict(X.to_numpy())
    pd.testing.assert_frame_equal(found, fitted.predict(X))


def test_rows_are_split_by_group_and_a_second_fit_forgets_the_first(table: pd.DataFrame) -> None:
    X = table[INPUTS].assign(person=np.arange(160) // 4)
    found = brief(split={"column": "person"}).fit(X, table["ill"].rename("is:ill"))
    assert found.tasks_ == ["is:ill"]
    assert "person" not in found.run_.schema.inputs
    assert is_classifier(found)
    found.fit(X, table["cost"])
    assert is_regressor(found)
    assert not hasattr(found, "classes_")


def test_faults_are_told(fitted: MultiTaskEstimator, table: pd.DataFrame) -> None:
    X, Y = table[INPUTS], table[TASKS]
    with pytest.raises(ValueError, match=r"seen at fit time, yet now missing:\n- ward"):
        fitted.predict(X.drop(columns="ward"))
    with (
        pytest.warns(UserWarning, match="X does not have valid feature names"),
        pytest.raises(ValueError, match="X has 2 feat"),
    ):
        fitted.predict(X.to_numpy()[:, :2])
    with pytest.raises(DataError, match=r"column 'a': is in X and in Y. Rename one"):
        brief().fit(X, Y["cost"].rename("a"))
    with pytest.raises(DataError, match=r"Y: no column 'kost'. Did you mean 'cost'\?"):
        brief(tasks=["kost", "ill"]).fit(X, Y)
    with pytest.raises(ValueError, match=r"y has 2 columns, but the tasks are of 1: cost"):
        brief(tasks=["cost"]).fit(X, Y.to_numpy())
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        brief().fit(X, Y.head(20))
    with pytest.raises(TypeError, match="sample_weight"):
        brief().fit(X, Y, sample_weight=np.ones(len(X)))  # type: ignore[call-arg]
    with pytest.raises(RunError, match="no row has a label"):
        fitted.score(X, Y.assign(cost=np.nan, ill=None))
