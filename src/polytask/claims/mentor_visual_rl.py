"""Experts ease gradient conflict, and the best past weights are the better place to perturb towards (Huang et al. 2024)."""

claim = {
    "statement": "A mixture of experts in the actor lowers the conflict of the gradients of several tasks, and perturbing "
    "weights towards the distribution of the best past agents' weights learns faster than towards fresh random weights.",
    "source": "arXiv 2410.14972, the method and the ablations of the experts and of the perturbation",
    "reported": "83 % mean success on three real robot tasks against 32 % of the strongest visual baseline (abstract); higher "
    "gradient cosines with experts, and faster learning with the task-oriented perturbation (from memory)",
    "data": ["pixel_control"],
    "simulated": "The physics are Gymnasium's classic control (Pendulum-v1, MountainCarContinuous-v0, and CartPole-v1 pushed "
    "by any force); images of 32 x 32 are drawn by this package; the cloned actions are scripted experts'.",
    "arms": {
        "moe": "clones three experts from pixels with one actor, its middle 8 experts of which each row uses 2",
        "mlp": "the same, the middle a perceptron of as many parameters",
        "top": "learns the pendulum in its environment, perturbed towards the best agents' weights",
        "random": "the same, perturbed towards fresh weights (DrM)",
    },
    "controls": {},
    "checks": {
        "conflict": {"arm": "moe", "against": "mlp", "metric": "cosine", "direction": "max", "margin": 0.02,
                     "says": "experts let tasks agree on the shared layers", "unit": "mean cosine of two tasks' gradients"},
        "cloned": {"arm": "moe", "against": "mlp", "metric": "return", "direction": "max", "margin": 0.02,
                   "says": "an actor of experts imitates several experts better", "unit": "return, 0 random, 1 expert"},
        "faster": {"arm": "top", "against": "random", "metric": "area", "direction": "max", "margin": 0.02,
                   "says": "perturbing towards the best agents learns faster", "unit": "mean return while learning"},
        "recovers": {"arm": "top", "against": "random", "metric": "after", "direction": "max", "margin": 0.02,
                     "says": "perturbing towards the best agents costs less at once",
                     "unit": "mean return in the 500 actions after a perturbation"},
    },
    "seeds": {"smoke": 1, "quick": 3, "full": 10},
    "test_share": 0.0,  # returns are of new episodes
    "unfair": {
        "top": "another task than in 'moe', so critics are trained too; equal in all arms that learn by acting",
        "random": "as 'top'",
    },
    "differs": "Quick: convolutions of 8 channels, hidden layers of 64, 480 updates of cloning; 800 actions and as many "
    "updates of learning with one perturbation after 400 (till then both arms are the same), towards the 3 best of 4 agents "
    "so far, where the paper has 32, 1,024, 10 and millions of frames: learning has hardly begun. The actor learns at a tenth "
    "of the critics' rate and the discount is 0.97, chosen once on an unperturbed run: else so few updates teach nothing. "
    "The paper measures gradients in reinforcement learning on robot tasks, this in cloning; as in the authors' code the "
    "gate's loss lets it settle on few experts ('busiest'). The worlds look unlike, so their gradients hardly meet: cosines "
    "are about 0 with and without experts, and there is little conflict to ease.",
}  # fmt: skip

from polytask.ledger import Measured

from ._mentor import Size, clone, learn

_SMALL = {"channels": 8, "hidden": 64, "best": 3}
SIZES = {
    "smoke": Size({"channels": 4, "hidden": 32}, 16, 1, 20, episodes=1, rounds=1, explore=50, interval=50),
    "quick": Size(_SMALL, 32, 4, 120, episodes=5, rounds=8, explore=400, interval=400),
    "full": Size({}, 64, 20, 100, episodes=20, rounds=80, explore=1000, interval=1000, worlds=("pendulum", "mountain_car")),
}


def measure(arm: str, seed: int, size: str) -> Measured:
    """Clone, or learn by acting."""
    how = clone if arm in ("moe", "mlp") else learn
    system, steps, metrics, curves = how(arm, seed, SIZES[size])
    trained = sum(p.numel() for p in system.parameters() if p.requires_grad)
    return Measured(metrics, trained, steps, curves=curves)
