"""Makes metrics.json: a classifier's figures as scikit-learn computes them, and its calibration in plain NumPy.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1 numpy==2.4.6 && venv/bin/python metrics.py > metrics.json

Logits are float32 values. The cases cover what definitions differ on: a class that is never predicted, one that never
occurs, one that does neither, ties, no prediction right, one example, probabilities that are 0 or 1 in float64,
confidences on the edges of bins, classes that one sex has and the other has not.

Written apart from the Rust code, and not by its formulas: bins come from numpy.searchsorted and the calibration error
from the bins' means (Guo et al. 2017, eq. 3). NumPy's Brier score (the sum over classes, as in Brier 1950) is asserted
to equal scikit-learn's before it is written.
"""
import json
import sys
import warnings

import numpy as np
import sklearn
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
)

# balanced_accuracy_score and confusion_matrix warn of classes that never occur, log_loss of float32 rounding.
warnings.simplefilter("ignore")
CLASSES = list(range(5))
BINS = 15


def calibration(truth, p):
    """Bins (low, high]: count, mean confidence, fraction right; None where a bin is empty."""
    edges = np.arange(BINS + 1) / BINS
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth
    # The first edge that is not below the confidence is the bin's upper one.
    place = np.searchsorted(edges, confidence, side="left") - 1
    error, bins = 0.0, []
    for m in range(BINS):
        inside = place == m
        count = int(inside.sum())
        mean = float(np.mean(confidence[inside])) if count else None
        share = float(np.mean(right[inside])) if count else None
        if count:
            error += count / len(truth) * abs(share - mean)
        bins.append({"low": float(edges[m]), "high": float(edges[m + 1]), "count": count, "confidence": mean, "accuracy": share})
    one_hot = np.eye(len(CLASSES))[truth]
    brier = float(np.mean(np.sum((p - one_hot) ** 2, axis=1)))
    theirs = brier_score_loss(truth, p, labels=CLASSES, scale_by_half=False)
    assert abs(brier - theirs) < 1e-12, (brier, theirs)
    return {"expected_calibration_error": error, "brier": brier, "mean_confidence": float(confidence.mean()), "bins": bins}


def group(truth, predicted):
    """Figures on some of the examples; None for the recall of a class that is not among them."""
    recall = recall_score(truth, predicted, labels=CLASSES, average=None, zero_division=np.nan)
    return {
        "examples": len(truth),
        "accuracy": float(accuracy_score(truth, predicted)),
        "uar": float(balanced_accuracy_score(truth, predicted)),
        "recall": [None if np.isnan(r) else float(r) for r in recall],
    }


def case(name, truth, logits, sex=None):
    truth = np.asarray(truth)
    logits = np.asarray(logits, dtype=np.float32)
    wide = logits.astype(np.float64)
    p = np.exp(wide - wide.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    averages = lambda **how: precision_recall_fscore_support(truth, predicted, labels=CLASSES, zero_division=0, **how)
    by_class, macro, weighted = averages(), averages(average="macro"), averages(average="weighted")
    # log_loss clips probabilities at float64's epsilon; where that bites, the logarithm is taken of what is there.
    in_full = -np.mean((wide - wide.max(axis=1, keepdims=True))[np.arange(len(truth)), truth]
                       - np.log(np.exp(wide - wide.max(axis=1, keepdims=True)).sum(axis=1)))
    clipped = float(log_loss(truth, p, labels=CLASSES))
    sure = p.min() < np.finfo(float).eps
    assert sure or abs(in_full - clipped) < 1e-12, (in_full, clipped)
    sex = [None] * len(truth) if sex is None else list(sex)
    of = lambda which: np.asarray([s == which for s in sex])
    return {
        "name": name,
        "truth": [int(t) for t in truth],
        "logits": [[float(z) for z in row] for row in logits],
        "sex": sex,
        "accuracy": float(accuracy_score(truth, predicted)),
        "uar": float(balanced_accuracy_score(truth, predicted)),
        "macro_precision": float(macro[0]),
        "macro_recall": float(macro[1]),
        "macro_f1": float(macro[2]),
        "weighted_precision": float(weighted[0]),
        "weighted_recall": float(weighted[1]),
        "weighted_f1": float(weighted[2]),
        "loss": float(in_full) if sure else clipped,
        "precision": by_class[0].tolist(),
        "recall": by_class[1].tolist(),
        "f1": by_class[2].tolist(),
        "support": [int(n) for n in by_class[3]],
        "confusion": confusion_matrix(truth, predicted, labels=CLASSES).tolist(),
        "calibration": calibration(truth, p),
        "by_sex": {s: group(truth[of(s)], predicted[of(s)]) for s in ("female", "male") if of(s).any()},
    }


rng = np.random.default_rng(20261122)
draw = lambda n: np.round(rng.normal(scale=2.0, size=(n, 5)), 3)

truth = rng.integers(0, 5, size=60)
logits = draw(60)
logits[np.arange(60), truth] += 1.5

never_predicted = draw(30)
never_predicted[:, 2] = -9.0
never_occurs = rng.choice([0, 1, 3, 4], size=30)
random_logits = draw(30)

neither = draw(20)
neither[:, 2] = -9.0
all_wrong = np.arange(10) % 5
wrong_logits = np.round(rng.normal(size=(10, 5)), 3)
wrong_logits[np.arange(10), (all_wrong + 1) % 5] += 6.0
sure = np.zeros((6, 5))
sure[np.arange(6), [0, 1, 2, 3, 4, 0]] = 800.0
# k equal logits far above the others: confidences 1, 1/2, 1/3, 1/4, 1/5, of which 1/3 and 1/5 are edges of 15 bins.
edges = np.full((5, 5), -900.0)
for k in range(5):
    edges[k, : k + 1] = 0.0
# Skewed classes, where macro and weighted means part. Men never have class 4; every fifth speaker's sex is not told.
skewed = rng.choice(5, size=48, p=[0.55, 0.2, 0.15, 0.05, 0.05])
sexes = [("female", "male", "female", "male", None)[i % 5] for i in range(48)]
skewed = np.where((np.asarray(sexes) == "male") & (skewed == 4), 0, skewed)
skewed[0] = 4
skewed_logits = draw(48)
skewed_logits[np.arange(48), skewed] += 2.0

json.dump(
    {
        "made_by": f"crates/train/tests/vectors/metrics.py with scikit-learn {sklearn.__version__}, numpy {np.__version__}",
        "cases": [
            case("all five classes", truth, logits),
            case("class 2 is never predicted", np.arange(30) % 5, never_predicted),
            case("class 2 never occurs", never_occurs, random_logits),
            case("ties go to the lowest class", np.arange(5), np.zeros((5, 5))),
            case("class 2 neither occurs nor is predicted", rng.choice([0, 1, 3, 4], size=20), neither),
            case("all wrong", all_wrong, wrong_logits),
            case("one example, right", [3], [[0.5, -1.0, 0.25, 2.0, 0.0]]),
            case("one example, wrong", [1], [[0.5, -1.0, 0.25, 2.0, 0.0]]),
            case("one class only", [2] * 8, draw(8)),
            case("sure, of which half are wrong", [0, 1, 2, 4, 0, 1], sure),
            case("confidences on the edges of bins", [0, 1, 2, 3, 4], edges),
            case("skewed classes, by sex", skewed, skewed_logits, sexes),
        ],
    },
    sys.stdout,
    indent=1,
)
print()
