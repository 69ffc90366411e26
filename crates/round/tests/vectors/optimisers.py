"""Steps of the server optimisers, from the text of the papers, in numpy.

    python optimisers.py > optimisers.json

FedAvg: McMahan et al. 2017, Algorithm 1. FedAvgM: Hsu, Qi & Brown 2019, section 4.3. FedAdagrad, FedYogi, FedAdam: Reddi et al.
2021, Algorithm 2, with Delta_t the mean update of round t, Delta_{-1} = 0 for the first moment and v_{-1} = tau^2.

Written apart from the Rust code; kept in vectors, so that tests need no Python.
"""

import json

import numpy as np

ROUNDS, DIM = 12, 5
ETA, BETA, BETA1, BETA2, TAU = 0.3, 0.7, 0.9, 0.99, 1e-3


def fedavg(x, deltas):
    for delta in deltas:
        x = x + ETA * delta
        yield x


def fedavgm(x, deltas):
    v = np.zeros_like(x)
    for delta in deltas:
        v = BETA * v + delta
        x = x + ETA * v
        yield x


def algorithm2(variant):
    def run(x, deltas):
        m = np.zeros_like(x)
        v = np.full_like(x, TAU**2)
        for delta in deltas:
            m = BETA1 * m + (1 - BETA1) * delta
            if variant == "adagrad":
                v = v + delta**2
            elif variant == "yogi":
                v = v - (1 - BETA2) * delta**2 * np.sign(v - delta**2)
            elif variant == "adam":
                v = BETA2 * v + (1 - BETA2) * delta**2
            x = x + ETA * m / (np.sqrt(v) + TAU)
            yield x

    return run


def main():
    rng = np.random.default_rng(20210503)
    # Means that shrink and change sign, so that Yogi's sign is met from both sides.
    scale = np.array([1.0, 0.1, 0.01, 1e-3, 0.5]) * np.linspace(1.0, 0.05, ROUNDS)[:, None]
    deltas = (rng.normal(size=(ROUNDS, DIM)) * scale).astype(np.float32)
    start = rng.normal(size=DIM).astype(np.float32)
    rules = {
        "fedavg": fedavg,
        "fedavgm": fedavgm,
        "fedadagrad": algorithm2("adagrad"),
        "fedadam": algorithm2("adam"),
        "fedyogi": algorithm2("yogi"),
    }
    out = {
        "numpy": np.__version__,
        "learning_rate": ETA,
        "momentum": BETA,
        "beta1": BETA1,
        "beta2": BETA2,
        "tau": TAU,
        "start": start.astype(float).tolist(),
        "means": deltas.astype(float).tolist(),
        "models": {
            name: [x.tolist() for x in rule(start.astype(float), deltas.astype(float))] for name, rule in rules.items()
        },
    }
    print(json.dumps(out, indent=1))


main()
