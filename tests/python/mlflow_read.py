"""Reads OUT/mlruns of `sottovoce sweep --track mlflow` with MLflow itself, and holds it against OUT/results.jsonl.

    pip install mlflow-skinny pandas
    python tests/python/mlflow_read.py OUT
"""

import json
import os
import sys
from pathlib import Path

# MLflow 3 keeps its file store for reading what is there, and asks to be told that it is meant.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

from mlflow import MlflowClient  # noqa: E402


def main(out: Path) -> None:
    client = MlflowClient(tracking_uri=(out / "mlruns").resolve().as_uri())
    rows = {}
    for line in (out / "results.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row["config_sha256"]] = row
    experiments = [e for e in client.search_experiments() if e.name != "Default"]
    assert len(experiments) == 1, experiments
    runs = client.search_runs([experiments[0].experiment_id])
    assert len(runs) == len(rows), (len(runs), len(rows))
    for run in runs:
        row = rows[run.data.tags["config_sha256"]]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["uar"] == row["uar"], (run.data.metrics, row)
        assert run.data.params["seed"] == str(row["seed"])
        for key, value in row.get("settings", {}).items():
            assert key in run.data.params, key
        leaks = [name for name in run.data.metrics if name.startswith(("attack.", "control."))]
        assert len(leaks) == row["leakage_scores"], (leaks, row["leakage_scores"])
    best = client.search_runs([experiments[0].experiment_id], order_by=["metrics.uar DESC"])[0]
    print(f"{len(runs)} runs of experiment {experiments[0].name!r}; best UAR {best.data.metrics['uar']}: {best.info.run_name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
