"""A claim of one's own: `polytask claims run my_claim.py --size smoke`, then `--size quick`."""

claim = {
    "statement": "Sixteen networks inside of one predict better than one network alone.",
    "source": "an example",
    "reported": "nothing: it shows how a claim is written",
    "data": ["digits"],
    "systems": ["hard_sharing", "linear"],
    "arms": {"sixteen": "hard sharing with 16 members", "one": "hard sharing with one member"},
    "controls": {"linear": "a linear model a task"},
    "checks": {
        "better": {
            "arm": "sixteen", "against": "one", "metric": "score", "direction": "max", "margin": 0.001,
            "unit": "of the mean primary metric", "says": "Two tasks about digits: sixteen members",
        },
    },
    "seeds": {"smoke": 1, "quick": 3, "full": 5},
    "test_share": 0.294,
    "unfair": {"one": "members share their weights but for small adapters; that is what is claimed"},
    "differs": "Small images, few of them.",
}  # fmt: skip

from polytask.data.real import digits
from polytask.engine.fit import fit
from polytask.engine.predict import mean_primary
from polytask.ledger import Measured

EPOCHS = {"smoke": 1, "quick": 20, "full": 100}
ARMS = {"sixteen": ("hard_sharing", {"members": 16}), "one": ("hard_sharing", {"members": 1}), "linear": ("linear", {})}


def measure(arm: str, seed: int, size: str) -> Measured:
    """The mean of both tasks' primary metric on the test rows; the seed fixes the split and the weights."""
    system, options = ARMS[arm]
    settings = {
        "system": options,
        "ignore": digits.ignore,
        "split": {"seed": seed},
        "training": {"epochs": EPOCHS[size], "patience": EPOCHS[size], "seed": seed, "threads": 1},
    }
    run = fit(digits.load(), digits.tasks, system=system, settings=settings)
    metrics = {"score": mean_primary(run.schema.tasks, run.scores["test"])}
    return Measured(metrics, int(run.cost["parameters"]), int(run.cost["steps"]))
