"""Writes denoise.json: noisereduce's stationary gate on a signal that a formula gives.

pip install noisereduce==3.0.3 && python denoise.py
"""

import importlib.metadata as metadata
import json
import pathlib

import noisereduce
import numpy as np

RATE = 16_000
STRIDE = 11

n = np.arange(16_000)
state, noise = 1, []
for _ in n:
    state = (1_664_525 * state + 1_013_904_223) % 2**32
    noise.append(state / 2**31 - 1)
envelope = np.where((n >= 7000) & (n < 9000), np.sin(np.pi * (n - 7000) / 2000) ** 2, 0)
voice = sum(np.sin(2 * np.pi * 150 * k * n / RATE) / k for k in range(1, 21))
signal = 0.3 * envelope * voice + 0.02 * np.array(noise)


def gated(**options):
    out = noisereduce.reduce_noise(y=signal, sr=RATE, stationary=True, **options)
    return [float(f"{x:.7f}") for x in out[::STRIDE]]


vector = {
    "made_by": {p: metadata.version(p) for p in ("noisereduce", "scipy", "numpy")},
    "signal": "0.3 e v + 0.02 u, n = 0..15999, f64; e = sin(pi (n - 7000) / 2000)^2 for 7000 <= n < 9000, else 0; "
    "v = sum over k = 1..20 of sin(2 pi 150 k n / 16000) / k; u = s / 2^31 - 1, "
    "s <- (1664525 s + 1013904223) mod 2^32, from 1, first step first",
    "stride": STRIDE,
    "same_frames": {"call": "reduce_noise(y, 16000, stationary=True, padding=1024)", "out": gated(padding=1024)},
    "default_frames": {"call": "reduce_noise(y, 16000, stationary=True)", "out": gated()},
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(vector, separators=(",", ":")).replace(',"', ',\n"') + "\n")
