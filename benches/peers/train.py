"""Speed of training and inference of PyTorch beside ours: one run, one thread each, best of interleaved rounds.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 torch==2.11.0
    cargo build --release && venv/bin/python train.py

A step is zero_grad, forward, mean cross-entropy, backward and SGD, on 32 clips of 125 frames of 13 coefficients (dnn:
104 statistics); forward is inference alone. PyTorch's rows are the modules of docs/pytorch/models.py, without padding,
and bare layers of torch.nn with plain mean pooling, so that nothing in our modules slows PyTorch down. The cnn's bare
row does less: it has no standard deviation.

Ours is timed by itself: `sottovoce bench train --format json`, once a round; it says which clock it read, and ratios
use that one. Speeds of a shared machine swing: only figures of one run compare.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ONE_THREAD = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
# Overrides of the instructions that kernels may use: they would understate PyTorch.
SLOWS_KERNELS = ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS"]
ROOT = Path(__file__).resolve().parents[2]
DEFAULT_BINARY = ROOT / "target" / "release" / "sottovoce"
BATCH, FRAMES, COEFFICIENTS, STATISTICS, CLASSES = 32, 125, 13, 104, 5
SPECS = {
    "dnn": {"kind": "dnn", "inputs": STATISTICS, "hidden": [256, 128], "classes": CLASSES},
    "cnn": {"kind": "cnn", "inputs": COEFFICIENTS, "channels": [64, 64], "kernel": 5, "classes": CLASSES},
    "lstm": {"kind": "lstm", "inputs": COEFFICIENTS, "hidden": 64, "bidirectional": False, "classes": CLASSES},
}
KINDS_OF_TIME = ["step_ms", "forward_ms"]


def settle_environment():
    """Starts this process again with one thread and every instruction that there is: both are read at import."""
    wanted = {k: v for k, v in os.environ.items() if k not in SLOWS_KERNELS} | dict.fromkeys(ONE_THREAD, "1")
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)


if __name__ == "__main__":
    settle_environment()

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ModuleNotFoundError as e:
    print(f"skipped: {e.name} is not installed (pip install torch==2.11.0)")
    sys.exit(0)

sys.path.insert(0, str(ROOT / "docs" / "pytorch"))
import models  # noqa: E402


class MeanOverFrames(nn.Module):
    """[n, c, T] to [n, c]."""

    def forward(self, x):
        return x.mean(2)


class BareLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(COEFFICIENTS, 64, batch_first=True)
        self.output = nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.output(self.lstm(x)[0].mean(1))


def bare(kind):
    """The layers alone. The cnn reads [n, c, T], as torch.nn.Conv1d does, so that nothing is transposed."""
    if kind == "dnn":
        widths = [nn.Linear(STATISTICS, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, CLASSES)]
        return nn.Sequential(*widths)
    if kind == "cnn":
        first, second = (nn.Conv1d(channels, 64, 5, padding=2) for channels in (COEFFICIENTS, 64))
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), MeanOverFrames(), nn.Linear(64, CLASSES))
    return BareLstm()


def workload(kind, which):
    """(step, forward): functions of nothing."""
    torch.manual_seed(20261125)
    model = models.build(SPECS[kind]) if which == "module" else bare(kind)
    if kind == "dnn":
        x = torch.randn(BATCH, STATISTICS)
    elif kind == "cnn" and which == "bare":
        x = torch.randn(BATCH, COEFFICIENTS, FRAMES)
    else:
        x = torch.randn(BATCH, FRAMES, COEFFICIENTS)
    labels = torch.randint(0, CLASSES, (BATCH,))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)

    def step():
        optimiser.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimiser.step()

    def forward():
        with torch.inference_mode():
            return model(x)

    assert forward().shape == (BATCH, CLASSES)
    return {"step_ms": step, "forward_ms": forward}


def time_once(work, calls):
    """Milliseconds a call, by CPU time and by the wall clock."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        work()
    return {"cpu": 1000 * (time.process_time() - cpu) / calls, "wall": 1000 * (time.perf_counter() - wall) / calls}


def lower(best, new):
    return {clock: min(best.get(clock, new[clock]), new[clock]) for clock in new}


class NotMeasured(Exception):
    """Why ours has no figure."""


def ours(binary):
    """(clock, {model: {"step_ms": .., "forward_ms": ..}}), as the binary's own benchmark says."""
    command = [str(binary), "bench", "train", "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        raise NotMeasured(f"{binary} does not exist: `cargo build --release`, or --sottovoce PATH") from None
    except (OSError, subprocess.TimeoutExpired) as e:
        raise NotMeasured(f"{' '.join(command)}: {e}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[0]
        raise NotMeasured(f"`{' '.join(command)}` ended with status {done.returncode}: {said}")
    try:
        said = json.loads(done.stdout)
        by_model = {m["model"]: {k: float(m[k]) for k in KINDS_OF_TIME} for m in said["models"]}
        if said["threads"] != 1 or said["clock"] not in ("cpu", "wall"):
            raise ValueError(f"threads {said['threads']}, clock {said['clock']}: one thread, and cpu or wall, compare")
        return said["clock"], {kind: by_model[kind] for kind in SPECS}
    except (ValueError, KeyError, TypeError) as e:
        raise NotMeasured(f"`{' '.join(command)}` printed no figures that compare: {e!r}") from None


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def measure(rounds, seconds, binary):
    """(peers, ours, clock, why ours is missing): best times, milliseconds a batch."""
    torch.set_num_threads(1)
    work = {(kind, which, what): f for kind in SPECS for which in ("module", "bare")
            for what, f in workload(kind, which).items()}  # fmt: skip
    calls = {}
    for key, f in work.items():  # also warms up what is compiled and planned lazily
        time_once(f, 3)
        calls[key] = max(1, round(1000 * seconds / time_once(f, 3)["wall"]))
    best, our_best, clock, why_not = {}, {}, "cpu", None
    for _ in range(rounds):
        for key, f in work.items():
            best[key] = lower(best.get(key, {}), time_once(f, calls[key]))
        if why_not is None:
            try:
                clock, times = ours(binary)
                our_best = {kind: lower(our_best.get(kind, {}), times[kind]) for kind in SPECS}
            except NotMeasured as e:
                why_not, our_best = str(e), {}
                print(f"sottovoce: not measured: {e}", file=sys.stderr)
    return best, our_best, clock, why_not


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sottovoce", type=Path, default=DEFAULT_BINARY, metavar="PATH", help="ours (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds; the best counts (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.2, help="how long one figure of a round takes (%(default)s)")
    parser.add_argument("--json", action="store_true", help="JSON in place of the table")
    args = parser.parse_args()
    best, our_best, clock, why_not = measure(args.rounds, args.seconds, args.sottovoce)

    rows = []
    for kind in SPECS:
        for which in ("module", "bare"):
            times = {what: best[kind, which, what][clock] for what in KINDS_OF_TIME}
            ratios = {f"{what[:-3]}_ratio": times[what] / our_best[kind][what] for what in KINDS_OF_TIME if our_best}
            rows.append({"model": kind, "peer": which, **times, **ratios})
    if args.json:
        own = {"not_measured": why_not} if why_not else {"models": [{"model": k, **v} for k, v in our_best.items()]}
        shape = {"batch": BATCH, "frames": FRAMES, "threads": torch.get_num_threads()}
        how = {"clock": clock, "rounds": args.rounds}
        about = {"torch": torch.__version__, "python": platform.python_version(), "processor": processor()}
        told = {"specs": SPECS, "peers": rows, "sottovoce": own}
        print(json.dumps({"bench": "train peers", **about, **shape, **how, **told}))
        return
    print(f"{BATCH} clips of {FRAMES} frames, best of {args.rounds} interleaved rounds, {clock} clock, one thread.")
    print(f"{processor()}; Python {platform.python_version()}; PyTorch {torch.__version__}\n")
    print("| model | what | ms a step | ms an inference | step: ratio to ours | inference: ratio to ours |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for kind in SPECS:
        if our_best:
            step, forward = (our_best[kind][what] for what in KINDS_OF_TIME)
            print(f"| {kind} | **sottovoce** | {step:.3f} | {forward:.3f} | 1 | 1 |")
        for row in (r for r in rows if r["model"] == kind):
            ratios = [f"{row[k]:.2f}" if k in row else "-" for k in ("step_ratio", "forward_ratio")]
            what = "PyTorch, our module" if row["peer"] == "module" else "PyTorch, bare layers"
            print(f"| {kind} | {what} | {row['step_ms']:.3f} | {row['forward_ms']:.3f} | {' | '.join(ratios)} |")
    if why_not:
        print("\nSottovoce was not measured; the rows are PyTorch alone.")


if __name__ == "__main__":
    main()
