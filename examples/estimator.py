"""One model for four outcomes of patients, in scikit-learn's search: python examples/estimator.py"""

import pandas as pd
from sklearn.model_selection import GridSearchCV, train_test_split

import polytask
from polytask.data import shipped

patients = shipped.load("support2").to_pandas().sample(1500, random_state=0)
answers = ["hospdead", "sfdm2", "slos", "d.time", "death"]
X = patients.drop(columns=list({*shipped.get("support2").ignore} & {*patients.columns}))
X, new, Y, Y_new = train_test_split(X, patients[answers], test_size=200, random_state=0)

estimator = polytask.MultiTaskEstimator(
    tasks=["hospdead", "sfdm2", "slos", "d.time:death"],
    options={"members": 1},
    training={"steps": 10, "threads": 1},
    epochs=5,
    random_state=0,
)
search = GridSearchCV(estimator, {"system": ["hard_sharing", "mmoe"], "options__width": [32, 128]}, cv=2).fit(X, Y)

print(pd.DataFrame(search.cv_results_)[["param_system", "param_options__width", "mean_test_score", "std_test_score"]].round(3))
print(f"\nnew patients: {search.score(new, Y_new):.3f} is the mean of AUROC, AUROC, R2 and concordance\n")
print(search.predict(new.head()))
