#!/usr/bin/env python3
"""Reference values of the bounds, from the papers' formulas with scipy 1.17 (and dp_accounting for the Gaussian mechanism).

    python bounds.py > bounds.json

Every case is counts: canaries in, of them missed; canaries out, of them false alarms. What is computed:

clopper_pearson  ln((1 - FNR_hi - delta) / FPR_hi) and its mirror, rates at scipy.stats.beta.ppf, alpha / 2 each.
gdp              Phi^-1(1 - FPR_hi) - Phi^-1(FNR_hi), and epsilon of it by brentq on Balle & Wang 2018, Theorem 8.
one_run          Steinke et al. 2023, Theorem 5.2, of guesses "in" alone: all sums written out over scipy.stats.binom.pmf.
f_dp_gaussian    Mahloujifar et al. 2024, Algorithm 3 with abstentions, the blow-up inverse Phi(Phi^-1(r) - mu); mu by brentq.
f_dp             The same with the inverse blow-up of (epsilon, delta), f(1 - r) of its trade-off curve.
bayesian         Zanella-Beguelin et al. 2023: P[epsilon > e] over the Jeffreys posterior of FPR, 1e5 points.
"""
import json
import math

import numpy as np
from scipy import optimize, special, stats

CASES = [
    # canaries in, missed, canaries out, false alarms, delta, alpha
    (500, 101, 500, 99, 1e-5, 0.05),
    (512, 15, 488, 9, 1e-5, 0.05),
    (100, 2, 100, 0, 1e-6, 0.01),
    (50, 0, 50, 0, 1e-9, 0.05),
    (2500, 700, 2500, 40, 1e-5, 0.05),
    (300, 150, 300, 150, 1e-5, 0.05),
]


def upper(errors, n, alpha):
    return 1.0 if errors >= n else stats.beta.ppf(1 - alpha, errors + 1, n - errors)


def delta_of_mu(mu, eps):
    return stats.norm.cdf(mu / 2 - eps / mu) - math.exp(eps + stats.norm.logcdf(-mu / 2 - eps / mu))


def epsilon_of_mu(mu, delta):
    if mu <= 0 or delta_of_mu(mu, 0) <= delta:
        return 0.0
    return optimize.brentq(lambda e: delta_of_mu(mu, e) - delta, 0, 200, xtol=1e-13)


def one_run_p(m, r, v, eps, delta):
    q = 1 / (1 + math.exp(-eps))
    pmf = stats.binom.pmf(np.arange(r + 1), r, q)
    beta = pmf[v:].sum()
    steepest = max(np.cumsum(pmf[:v][::-1]) / np.arange(1, v + 1)) if v else 0.0
    return min(1.0, beta + 2 * m * delta * steepest)


def largest(rejected):
    """The largest parameter that is rejected."""
    if not rejected(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while rejected(high):
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        if rejected(middle):
            low = middle
        else:
            high = middle
    return low


def f_dp_rejects(inverse, m, made, correct, alpha):
    r, h = alpha * correct / m, alpha * (made - correct) / m
    for i in range(correct - 1, -1, -1):
        new = max(h, inverse(r))
        r, h = min(1.0, r + i / (made - i) * (new - h)), new
    return r + h > made / m


def believed(missed, n_in, alarms, n_out, eps, delta):
    # The midpoint rule over the quantiles of FPR: 1e5 points.
    u = (np.arange(10**5) + 0.5) / 10**5
    x = QUANTILES.setdefault((alarms, n_out), special.betaincinv(alarms + 0.5, n_out - alarms + 0.5, u))
    edge = np.maximum(np.maximum(1 - delta - math.exp(eps) * x, math.exp(-eps) * (1 - delta - x)), 0.0)
    return special.betainc(missed + 0.5, n_in - missed + 0.5, edge).mean()


QUANTILES = {}


def case(n_in, missed, n_out, alarms, delta, alpha):
    fnr, fpr = upper(missed, n_in, alpha / 2), upper(alarms, n_out, alpha / 2)

    def ratio(hit, alarm):
        return math.log(hit / alarm) if hit > 0 else -math.inf

    m, correct = n_in + n_out, n_in - missed
    made = correct + alarms
    mu = stats.norm.ppf(1 - fpr) - stats.norm.ppf(fnr)
    gaussian = lambda mu: lambda r: special.ndtr(special.ndtri(r) - mu)
    point = lambda e: lambda r: max(0.0, 1 - delta - math.exp(e) * (1 - r), math.exp(-e) * (r - delta))
    return {
        "included": n_in, "missed": missed, "excluded": n_out, "false_alarms": alarms, "delta": delta, "alpha": alpha,
        "clopper_pearson": max(0.0, ratio(1 - fnr - delta, fpr), ratio(1 - fpr - delta, fnr)),
        "gdp_mu": mu,
        "gdp": epsilon_of_mu(mu, delta),
        "one_run": largest(lambda e: one_run_p(m, made, correct, e, delta) < alpha),
        "one_run_p_at_1": one_run_p(m, made, correct, 1.0, delta),
        "f_dp_gaussian_mu": largest(lambda x: f_dp_rejects(gaussian(x), m, made, correct, alpha)),
        "f_dp": largest(lambda x: f_dp_rejects(point(x), m, made, correct, alpha)),
        "bayesian": largest(lambda e: believed(missed, n_in, alarms, n_out, e, delta) > 1 - alpha),
    }


print(json.dumps({"how": "crates/attack/tests/data/bounds.py with scipy 1.17.1", "cases": [case(*c) for c in CASES]}, indent=1))
