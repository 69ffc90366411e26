"""Golden values of the membership attacks, computed with numpy from the formulas and not from the crate.

python3 membership.py > membership.json
"""
import json
import math

import numpy as np

rng = np.random.default_rng(20240611)
n, k_in, k_out, z = 7, 5, 4, 9

hardness = rng.normal(0, 1.5, n)
target = hardness + rng.normal(0.6, 1.0, n)
inside = hardness[:, None] + 1.0 + rng.normal(0, 0.8, (n, k_in)) * rng.uniform(0.1, 3.0, (n, 1))
outside = hardness[:, None] + rng.normal(0, 1.0, (n, k_out)) * rng.uniform(0.1, 3.0, (n, 1))
public = rng.normal(0, 1.5, z)
public_outside = public[:, None] + rng.normal(0, 1.0, (z, k_out))
labels = rng.integers(0, 3, n)
public_labels = np.where(np.arange(z) % 2 == 0, 0, 1)  # nobody of class 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nll(x):
    return np.logaddexp(0, -x)


def normal_logpdf(x, mean, var):
    return -0.5 * np.log(2 * np.pi * var) - (x - mean) ** 2 / (2 * var)


out = {}

scores = []
for phi, label in zip(target, labels):
    own = public[public_labels == label]
    own = own if len(own) else public
    scores.append(float(np.mean(own < phi) + 0.5 * np.mean(own == phi)))
out["population"] = scores

out["reference"] = nll(outside).mean(1) - nll(target)


def pooled(side):
    return ((side - side.mean(1, keepdims=True)) ** 2).sum() / (side.shape[0] * (side.shape[1] - 1))


for name, (v_in, v_out) in {
    "lira_online": (inside.var(1, ddof=1), outside.var(1, ddof=1)),
    "lira_fixed": (pooled(inside), pooled(outside)),
}.items():
    out[name] = normal_logpdf(target, inside.mean(1), v_in) - normal_logpdf(target, outside.mean(1), v_out)

sd = outside.std(1, ddof=1)
out["lira_offline_cdf"] = [0.5 * math.erfc(-(t - m) / (s * math.sqrt(2))) for t, m, s in zip(target, outside.mean(1), sd)]
out["lira_offline_logpdf"] = -normal_logpdf(target, outside.mean(1), sd**2)

a, gamma = 0.3, 2.0


def ratio(phi, refs):
    return sigmoid(phi) / (0.5 * ((1 + a) * sigmoid(refs).mean(1) + 1 - a))


r_x, r_z = ratio(target, outside), ratio(public, public_outside)
out["rmia_ratios"] = r_x
out["rmia"] = (r_x[:, None] / r_z[None, :] >= gamma).mean(1)


def prior(side):
    n_i = side.shape[1]
    s2 = side.var(1, ddof=1)
    w = s2.mean()
    nu = n_i - 1
    means = side.mean(1)
    kappa = w / max(means.var() - w / n_i, 1e-6 * w)
    var = (s2.var() - 2 * w**2 / nu) / (1 + 2 / nu)
    alpha = min(2 + w**2 / var, 1e6) if var > 0 else 1e6
    return means.mean(), kappa, alpha, w * (alpha - 1)


def predictive(x, seen, p):
    m0, k0, a0, b0 = p
    m = len(seen)
    k = k0 + m
    mean = (k0 * m0 + seen.sum()) / k
    alpha = a0 + m / 2
    beta = b0 + 0.5 * ((seen - seen.mean()) ** 2).sum() + k0 * m * (seen.mean() - m0) ** 2 / (2 * k)
    df, scale = 2 * alpha, math.sqrt(beta * (k + 1) / (alpha * k))
    u = (x - mean) / scale
    return (
        math.lgamma((df + 1) / 2)
        - math.lgamma(df / 2)
        - 0.5 * math.log(df * math.pi)
        - math.log(scale)
        - (df + 1) / 2 * math.log1p(u * u / df)
    )


p_in, p_out = prior(inside), prior(outside)
out["bavaria"] = [predictive(t, i, p_in) - predictive(t, o, p_out) for t, i, o in zip(target, inside, outside)]
out["bavaria_priors"] = [p_in, p_out]

width = 4
rows, public_rows = rng.normal(0, 1, (n, width)), rng.normal(0, 1, (z, width))


def ridge(x, y, penalty):
    """With an intercept that is not penalised: as an augmented least-squares problem."""
    m = len(x)
    design = np.hstack([x, np.ones((m, 1))])
    extra = np.hstack([math.sqrt(m * penalty) * np.eye(x.shape[1]), np.zeros((x.shape[1], 1))])
    solution, *_ = np.linalg.lstsq(np.vstack([design, extra]), np.concatenate([y, np.zeros(x.shape[1])]), rcond=None)
    return lambda q: np.hstack([q, np.ones((len(q), 1))]) @ solution


mu = ridge(public_rows, public, 0.1)
euler = 0.5772156649015329
log_var = ridge(public_rows, np.log((public - mu(public_rows)) ** 2 + 1e-12) + euler + math.log(2), 1.0)
out["quantile"] = (target - mu(rows)) / np.exp(0.5 * log_var(rows))

rounds = rng.normal(0, 1, (6, n)) + np.linspace(0, 2, 6)[:, None]
for name, signal in {"logit": lambda x: x, "confidence": sigmoid, "loss": lambda x: -nll(x)}.items():
    out[f"trajectory_{name}"] = [np.polyfit(np.arange(6), signal(rounds[:, i]), 1)[0] for i in range(n)]


def plain(value):
    return np.asarray(value, dtype=float).tolist()


given = {
    "target": target,
    "inside": inside,
    "outside": outside,
    "public": public,
    "public_outside": public_outside,
    "rows": rows,
    "public_rows": public_rows,
    "rounds": rounds,
}
print(
    json.dumps(
        {
            "given": {name: plain(v) for name, v in given.items()},
            "labels": labels.tolist(),
            "public_labels": public_labels.tolist(),
            "a": a,
            "gamma": gamma,
            "expected": {name: plain(v) for name, v in out.items()},
        },
        indent=1,
    )
)
