"""Three tasks of one table with one model, from Python: python examples/quickstart.py"""

import pandas as pd
from sklearn.datasets import load_wine

import polytask

frame: pd.DataFrame = load_wine(as_frame=True).frame.rename(columns={"target": "cultivar"})
new = frame.sample(5, random_state=0).drop(columns=["cultivar", "alcohol", "hue"])

run = polytask.fit(frame, tasks=["cultivar", "alcohol", "hue"], settings={"training": {"epochs": 30}})
print(pd.DataFrame(run.scores["test"]).T)
print(run.predict(new))
