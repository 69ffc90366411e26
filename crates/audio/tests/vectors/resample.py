"""Writes resample.json: soxr's best resampler on a signal that a formula gives.

pip install soxr==1.1.0 && python resample.py
"""

import importlib.metadata as metadata
import json
import pathlib

import numpy as np
import soxr

SECONDS = 0.06


def chirp(rate, top_hz):
    """From 0 to top_hz Hz within SECONDS, faded in and out."""
    t = np.arange(round(SECONDS * rate)) / rate
    return np.sin(np.pi * top_hz * t**2 / SECONDS) * np.sin(np.pi * t / SECONDS) ** 2


def case(from_hz, to_hz):
    top_hz = 0.85 * min(from_hz, to_hz) / 2
    out = soxr.resample(chirp(from_hz, top_hz), from_hz, to_hz, quality="VHQ")
    return {"from_hz": from_hz, "to_hz": to_hz, "top_hz": top_hz, "out": [float(f"{x:.7f}") for x in out]}


vector = {
    "made_by": {"soxr": metadata.version("soxr"), "numpy": metadata.version("numpy")},
    "call": "soxr.resample(x, from_hz, to_hz, quality='VHQ')",
    "signal": "x[n] = sin(pi top_hz t^2 / 0.06) sin(pi t / 0.06)^2, t = n / from_hz, n = 0..round(0.06 from_hz) - 1, f64",
    "cases": [case(48_000, 16_000), case(44_100, 16_000), case(8_000, 16_000)],
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(vector, separators=(",", ":")).replace(',"', ',\n"') + "\n")
