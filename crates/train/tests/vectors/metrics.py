"""Makes metrics.json: a classifier's figures as scikit-learn computes them.

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1 && venv/bin/python metrics.py > metrics.json

Logits are float32 values; truths and predictions of the cases cover a class that is never predicted and one that
never occurs.
"""
import json
import warnings

import numpy as np
import sklearn
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
)

warnings.simplefilter("ignore")  # balanced_accuracy_score warns of classes that never occur
CLASSES = list(range(5))


def case(name, truth, logits):
    logits = np.asarray(logits, dtype=np.float32)
    wide = logits.astype(np.float64)
    p = np.exp(wide - wide.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    by_class = precision_recall_fscore_support(truth, predicted, labels=CLASSES, zero_division=0)
    macro = precision_recall_fscore_support(truth, predicted, labels=CLASSES, zero_division=0, average="macro")
    return {
        "name": name,
        "truth": [int(t) for t in truth],
        "logits": [[float(z) for z in row] for row in logits],
        "accuracy": float(accuracy_score(truth, predicted)),
        "uar": float(balanced_accuracy_score(truth, predicted)),
        "macro_precision": float(macro[0]),
        "macro_recall": float(macro[1]),
        "macro_f1": float(macro[2]),
        "loss": float(log_loss(truth, p, labels=CLASSES)),
        "precision": by_class[0].tolist(),
        "recall": by_class[1].tolist(),
        "f1": by_class[2].tolist(),
        "support": by_class[3].tolist(),
        "confusion": confusion_matrix(truth, predicted, labels=CLASSES).tolist(),
    }


rng = np.random.default_rng(20261122)
draw = lambda n: np.round(rng.normal(scale=2.0, size=(n, 5)), 3)

truth = rng.integers(0, 5, size=60)
logits = draw(60)
logits[np.arange(60), truth] += 1.5

never_predicted = draw(30)
never_predicted[:, 2] = -9.0
never_occurs = rng.choice([0, 1, 3, 4], size=30)

json.dump(
    {
        "made_by": f"crates/train/tests/vectors/metrics.py with scikit-learn {sklearn.__version__}, numpy {np.__version__}",
        "cases": [
            case("all five classes", truth, logits),
            case("class 2 is never predicted", np.arange(30) % 5, never_predicted),
            case("class 2 never occurs", never_occurs, draw(30)),
            case("ties go to the lowest class", np.arange(5), np.zeros((5, 5))),
        ],
    },
    __import__("sys").stdout,
    indent=1,
)
print()
