"""Makes models.json: logits, losses, gradients and optimiser steps of every kind of model, as PyTorch computes them.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 torch==2.11.0
    venv/bin/python models.py > models.json

The modules are those of docs/pytorch/models.py. Parameters and features are float32 values; all arithmetic is float64,
on one thread. Numbers have 9 significant digits, from which a float32 reads back as it was.

Before anything is written, each case is checked by other routes: every clip alone without padding, modules in
evaluation mode, padding that is NaN, a loss written out, and gradients by finite differences. A draw is thrown away
while a ReLU stands near its kink or a gradient's norm near the clipping norm: there float32 may fall on the other side.
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "docs" / "pytorch"))
import models  # noqa: E402

torch.set_num_threads(1)
SEED = 20261125
TORCH = torch.__version__.split("+")[0]  # without the name of the build
CLASSES = 5
LENGTHS = [7, 1, 4, 2, 9]  # with a kernel of 5: one frame and two have fewer neighbours than it sees
TEXTS = ["Don't forget a jacket", "", "It's eleven o'clock. ELEVEN!", " ... ", "Über 9 Maybe tomorrow it will be cold"]
LABELS = [3, 0, 4, 1, 3]
CLASS_WEIGHTS = [1.0, 0.5, 2.0, 0.75, 1.5]
SMOOTHING = 0.1
STEPS = 3

SPECS = {
    "dnn without a hidden layer": {"kind": "dnn", "inputs": 6, "hidden": []},
    "dnn with one hidden layer": {"kind": "dnn", "inputs": 6, "hidden": [7]},
    "dnn with two hidden layers": {"kind": "dnn", "inputs": 6, "hidden": [7, 4]},
    "cnn with one convolution": {"kind": "cnn", "inputs": 3, "channels": [6], "kernel": 3},
    "cnn with two convolutions": {"kind": "cnn", "inputs": 3, "channels": [5, 4], "kernel": 5},
    "lstm": {"kind": "lstm", "inputs": 3, "hidden": 4, "bidirectional": False},
    "lstm in both directions": {"kind": "lstm", "inputs": 3, "hidden": 3, "bidirectional": True},
    "lstm-transformer": {"kind": "lstm-transformer", "inputs": 3, "hidden": 4, "heads": 2, "feed_forward": 6},
    "attention-fcn": {"kind": "attention-fcn", "inputs": 3, "channels": [4, 5], "kernel": 5, "attention": 3},
    "text-cnn": {
        "kind": "text-cnn", "inputs": 3, "channels": [4], "kernel": 5,
        "vocabulary": 11, "embedding": 3, "text_channels": 4, "text_kernel": 3,
    },
}  # fmt: skip
STEPPED = ["dnn with one hidden layer", "cnn with one convolution"]
OPTIMISERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
}


class Unsuitable(Exception):
    """A draw in which float32 may differ from float64 by more than rounding."""


def require(holds, what):
    if not holds:
        raise Unsuitable(what)


def draw(rng, shape, scale):
    return torch.from_numpy(rng.normal(scale=scale, size=shape).astype(np.float32)).double()


def draw_parameters(model, rng):
    """float32 values, larger than initial ones: every gate, head and channel shall matter."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm_weight = name.endswith(("norm1.weight", "norm2.weight"))
            p.copy_(draw(rng, p.shape, 0.5) + (1.0 if norm_weight else 0.0))
            p.copy_(p.float())


def flat(tensors):
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def nine_digits(values):
    return [float(f"{v:.9g}") for v in np.asarray(values, dtype=np.float64).reshape(-1).tolist()]


def clip(inputs, i):
    """Clip i alone, without padding."""
    out = {"x": inputs["x"][i : i + 1]}
    if "lengths" in inputs:
        out["x"] = out["x"][:, : inputs["lengths"][i]]
    if "words" in inputs:
        words = inputs["words"][i]
        out["words"] = words[words != 0][None]
    return out


def gradient(model, inputs, labels, weights=None):
    model.zero_grad()
    loss = F.cross_entropy(model(**inputs), labels, reduction="mean", weight=weights)
    loss.backward()
    return loss.item(), flat(p.grad for p in model.parameters())


def distance_to_kink(model, inputs):
    """Smallest absolute value that a ReLU saw, over clips alone."""
    smallest, before = [], F.relu
    recorded = lambda x, inplace=False: (smallest.append(x.detach().abs().min().item()), before(x))[1]  # noqa: E731
    encoder = getattr(model, "encoder", None)
    models.F.relu = recorded
    if encoder is not None:
        encoder.activation = recorded
    for i in range(len(LABELS)):
        model(**clip(inputs, i))
    models.F.relu = before
    if encoder is not None:
        encoder.activation = before
    return min(smallest, default=np.inf)


def check(name, model, inputs, labels, logits, grad):
    close = lambda a, b, what, within=1e-11: torch.testing.assert_close(  # noqa: E731
        a, b, rtol=within, atol=within, msg=lambda m: f"{name}: {what}: {m}"
    )
    for i in range(len(labels)):
        close(model(**clip(inputs, i))[0], logits[i], f"clip {i} alone")
    if "lengths" in inputs:
        longer = F.pad(inputs["x"], (0, 0, 0, 6))
        beyond = torch.arange(longer.shape[1]) >= inputs["lengths"][:, None]
        longer[beyond] = torch.nan
        padded = {**inputs, "x": longer}
        if "words" in inputs:
            padded["words"] = F.pad(inputs["words"], (0, 4))
        close(model(**padded), logits, "padding that is NaN")
        close(gradient(model, padded, labels)[1], grad, "gradient with padding that is NaN")
    model.eval()
    with torch.inference_mode():
        close(model(**inputs), logits, "evaluation mode")
    model.train()
    by_differences, h = [], 1e-6
    with torch.no_grad():
        for p in model.parameters():
            for place in range(p.numel()):
                view, losses = p.reshape(-1), []
                kept = view[place].item()
                for step in (h, -h):
                    view[place] = kept + step
                    losses.append(F.cross_entropy(model(**inputs), labels).item())
                view[place] = kept
                by_differences.append((losses[0] - losses[1]) / (2 * h))
    close(torch.tensor(by_differences, dtype=torch.float64), grad, "finite differences", 1e-8)


def smoothed_loss_written_out(logits, labels):
    """[(1 − s) Σ_n w_{y_n} nll_{n,y_n} + s/K Σ_n Σ_c w_c nll_{n,c}] / Σ_n w_{y_n}"""
    w, nll = torch.tensor(CLASS_WEIGHTS, dtype=torch.float64), -logits.log_softmax(1)
    own = (w[labels] * nll[range(len(labels)), labels]).sum()
    every = (w * nll).sum() / nll.shape[1]
    return ((1 - SMOOTHING) * own + SMOOTHING * every) / w[labels].sum()


def steps(spec, start, inputs, labels):
    out = {}
    for name, (optimiser, options) in OPTIMISERS.items():
        model = models.build(spec).double()
        torch.nn.utils.vector_to_parameters(start.clone(), model.parameters())
        weights = torch.tensor(CLASS_WEIGHTS, dtype=torch.float64)
        criterion = torch.nn.CrossEntropyLoss(weight=weights, label_smoothing=SMOOTHING, reduction="mean")
        stepper = optimiser(model.parameters(), **options)
        losses, after = [], []
        for _ in range(STEPS):
            stepper.zero_grad()
            logits = model(**inputs)
            loss = criterion(logits, labels)
            torch.testing.assert_close(loss, smoothed_loss_written_out(logits, labels), rtol=1e-12, atol=0)
            loss.backward()
            # Adam divides by the gradient's own size: one that is rounding in float32 would be a whole step there.
            grad = flat(p.grad for p in model.parameters()).abs()
            require(not ((grad > 0) & (grad < 1e-4)).any(), "a gradient is all but 0")
            require(distance_to_kink(model, inputs) > 1e-3, "a ReLU stands at its kink")
            stepper.step()
            losses.append(loss.item())
            after.append(nine_digits(flat(model.parameters())))
        out[name] = {"options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()},
                     "losses": nine_digits(losses), "parameters_after": after}  # fmt: skip
    return out


def case(name, spec, number):
    """The first suitable draw."""
    for attempt in range(200):
        try:
            seed = [SEED, number, attempt]
            return {"draw": seed, **drawn(name, {**spec, "classes": CLASSES}, seed)}
        except Unsuitable as why:
            print(f"{name}: draw {attempt}: {why}", file=sys.stderr)
    raise SystemExit(f"{name}: no suitable draw")


def drawn(name, spec, seed):
    rng = np.random.default_rng(seed)
    model = models.build(spec).double()
    draw_parameters(model, rng)
    labels = torch.tensor(LABELS)
    if spec["kind"] == "dnn":
        clips, texts = [draw(rng, spec["inputs"], 1.0).numpy() for _ in LENGTHS], None
    else:
        clips = [draw(rng, (n, spec["inputs"]), 1.0).numpy() for n in LENGTHS]
        texts = TEXTS if spec["kind"] == "text-cnn" else None
    inputs = models.batch(spec, clips, texts, dtype=torch.float64)
    logits = model(**inputs).detach()
    loss, grad = gradient(model, inputs, labels)
    require(distance_to_kink(model, inputs) > 1e-3, "a ReLU stands at its kink")
    check(name, model, inputs, labels, logits, grad)

    alone = torch.stack([gradient(model, clip(inputs, i), labels[i : i + 1])[1] for i in range(len(labels))])
    torch.testing.assert_close(alone.mean(0), grad, rtol=1e-10, atol=1e-12)
    norms = alone.norm(dim=1)
    in_order = norms.sort().values
    clip_norm = float(np.float32((in_order[1] + in_order[2]) / 2))
    require(all(abs(n / clip_norm - 1) > 1e-2 for n in norms.tolist()), "a norm stands at the clipping norm")
    clipped = (alone * (clip_norm / norms).clamp(max=1)[:, None]).sum(0)

    start = flat(model.parameters())
    out = {
        "name": name,
        "spec": spec,
        "tensors": [[n, list(p.shape)] for n, p in model.named_parameters()],
        "parameters": nine_digits(start),
        "clips": [nine_digits(c) for c in clips],
        "frames": [1] * len(clips) if spec["kind"] == "dnn" else LENGTHS,
        "labels": LABELS,
        "logits": [nine_digits(row.float()) for row in logits],
        "loss": nine_digits([loss])[0],
        "gradient": nine_digits(grad),
        "gradient_norms": nine_digits(norms),
        "clip_norm": nine_digits([clip_norm])[0],
        "clipped_gradient_sum": nine_digits(clipped),
    }
    if texts:
        out["texts"] = texts
        out["word_rows"] = [models.word_rows(text, spec["vocabulary"]) for text in texts]
    if name in STEPPED:
        out["steps"] = steps(spec, start, inputs, labels)
    for written, exact in [(out["parameters"], start.numpy()), *zip(out["clips"], clips)]:
        assert np.array_equal(np.float32(written), exact.reshape(-1)), "9 digits read back as they were"
    return out


def main():
    head = {
        "made_by": f"crates/train/tests/vectors/models.py with torch {TORCH}, numpy {np.__version__}",
        "seed": SEED,
        "arithmetic": "float64 from float32 parameters and features; logits rounded to float32",
        "steps": {"class_weights": CLASS_WEIGHTS, "label_smoothing": SMOOTHING, "count": STEPS, "batch": "all clips"},
    }
    cases = [case(name, spec, number) for number, (name, spec) in enumerate(SPECS.items())]
    line = lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)  # noqa: E731
    print("{")
    print("".join(f" {line(k)}: {line(v)},\n" for k, v in head.items()) + ' "cases": [')
    blocks = ("  {\n" + ",\n".join(f"   {line(k)}: {line(v)}" for k, v in c.items()) + "\n  }" for c in cases)
    print(",\n".join(blocks) + "\n ]\n}")


if __name__ == "__main__":
    main()
