"""MFCC speed of other libraries beside ours: one run, one thread each, CPU time, best of interleaved rounds.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    cargo build --release && venv/bin/python mfcc.py

Every library computes the same chain on the same clips as far as its options go: 16 kHz, pre-emphasis 0.97, 20 ms frames
every 20 ms, Hamming, FFT 512, 26 mel filters, 13 coefficients, lifter 22. Filters, windows and FFT plans are made once
where the library allows it. The clips are noise and tones, made from a fixed seed.

Ours is timed by itself: `sottovoce bench mfcc --format json`, once a round. Speeds of a shared machine swing: only figures
of one run compare.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ONE_THREAD = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"]
SLOWS_OPENBLAS = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]  # an override of the kernel would understate numpy


def settle_environment():
    """Starts this process again with one thread and OpenBLAS's own choice of kernel: both are read at import."""
    wanted = {k: v for k, v in os.environ.items() if k not in SLOWS_OPENBLAS} | {k: "1" for k in ONE_THREAD}
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)


if __name__ == "__main__":
    settle_environment()

import numpy as np

RATE, FRAME, N_FFT, MELS, COEFFICIENTS, LIFTER, PREEMPHASIS = 16000, 320, 512, 26, 13, 22, 0.97
DEFAULT_BINARY = Path(__file__).resolve().parents[2] / "target" / "release" / "sottovoce"


def make_clips(count, seconds):
    rng = np.random.default_rng(20261124)
    t = np.arange(round(seconds * RATE)) / RATE
    clips = []
    for _ in range(count):
        tones = sum(a * np.sin(2 * np.pi * f * t) for a, f in zip(rng.uniform(0.05, 0.2, 4), rng.uniform(80, 4000, 4)))
        clips.append((tones + rng.normal(0, 0.02, len(t))).astype(np.float32))
    return clips


# ---- the peers: each gives a function of one clip


def peer_numpy(dtype):
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), MELS + 2)
    corners = np.floor((N_FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE)[:, None]
    bins = np.arange(N_FFT // 2 + 1)
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    bank = (np.clip(np.minimum(rising, falling), 0, None).T / N_FFT).astype(dtype)
    k, m = np.arange(COEFFICIENTS), np.arange(MELS)[:, None]
    dct = np.cos(np.pi * k * (m + 0.5) / MELS) * np.sqrt(np.where(k == 0, 1, 2) / MELS)
    dct = (dct * (1 + LIFTER / 2 * np.sin(np.pi * k / LIFTER))).astype(dtype)
    window = np.hamming(FRAME).astype(dtype)
    floor = dtype(np.finfo(np.float64).eps)

    def mfcc(clip):
        frames = -(-len(clip) // FRAME)
        y = np.zeros(frames * FRAME, dtype)
        y[0] = clip[0]
        y[1 : len(clip)] = clip[1:] - dtype(PREEMPHASIS) * clip[:-1]
        spectrum = np.fft.rfft(y.reshape(frames, FRAME) * window, N_FFT)
        power = spectrum.real**2 + spectrum.imag**2
        return np.log(np.maximum(power @ bank, floor)) @ dct

    return mfcc


def peer_psf():
    import python_speech_features as lib

    return lambda clip: lib.mfcc(clip, RATE, winlen=0.02, winstep=0.02, winfunc=np.hamming, appendEnergy=False)


def peer_librosa(**options):
    import librosa as lib

    def mfcc(clip):
        y = np.empty_like(clip)
        y[0] = clip[0]
        y[1:] = clip[1:] - np.float32(PREEMPHASIS) * clip[:-1]
        return lib.feature.mfcc(y=y, sr=RATE, n_mfcc=COEFFICIENTS, n_fft=N_FFT, hop_length=FRAME, **options).T

    return mfcc


def peer_librosa_chain():
    return peer_librosa(
        win_length=FRAME, window="hamming", center=False, n_mels=MELS, htk=True, mel_norm=None, lifter=LIFTER
    )


def peer_knf():
    import kaldi_native_fbank as lib

    opts = lib.MfccOptions()
    opts.frame_opts.dither = 0.0
    opts.frame_opts.frame_length_ms = opts.frame_opts.frame_shift_ms = 20.0
    opts.frame_opts.window_type = "hamming"
    opts.frame_opts.remove_dc_offset = False
    opts.mel_opts.num_bins = MELS
    opts.mel_opts.low_freq = 0.0
    opts.num_ceps = COEFFICIENTS
    opts.use_energy = False

    def mfcc(clip):
        online = lib.OnlineMfcc(opts)
        online.accept_waveform(RATE, clip.tolist())
        online.input_finished()
        return np.array([online.get_frame(i) for i in range(online.num_frames_ready)])

    return mfcc


def peer_torchaudio():
    import torch
    import torchaudio as lib

    torch.set_num_threads(1)
    transform = lib.transforms.MFCC(
        sample_rate=RATE, n_mfcc=COEFFICIENTS, log_mels=True,
        melkwargs={
            "n_fft": N_FFT, "win_length": FRAME, "hop_length": FRAME, "n_mels": MELS, "center": False,
            "window_fn": torch.hamming_window,
        },
    )  # fmt: skip

    def mfcc(clip):
        x = torch.from_numpy(clip)
        with torch.no_grad():
            return transform(torch.cat([x[:1], x[1:] - PREEMPHASIS * x[:-1]])).numpy().T

    return mfcc


# What, the package whose version is shown, and how to make it. The note says what is not the common chain.
PEERS = [
    ("numpy, vectorised, f64", "numpy", lambda: peer_numpy(np.float64)),
    ("numpy, vectorised, f32", "numpy", lambda: peer_numpy(np.float32)),
    ("librosa, same chain", "librosa", peer_librosa_chain),
    ("librosa, its own bank and window (128 filters)", "librosa", peer_librosa),
    ("python_speech_features", "python_speech_features", peer_psf),
    ("kaldi-native-fbank, called from Python", "kaldi-native-fbank", peer_knf),
    ("torchaudio, no lifter", "torchaudio", peer_torchaudio),
]


class NotMeasured(Exception):
    """Why ours has no figure."""


def ours(binary):
    """Audio-seconds per CPU-second, as the binary's own benchmark says."""
    command = [str(binary), "bench", "mfcc", "--format", "json"]
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
        stage = next(s for s in json.loads(done.stdout)["stages"] if s["stage"] == "mfcc")
        return float(stage["audio_s_per_cpu_s"])
    except (ValueError, KeyError, TypeError, StopIteration) as e:
        raise NotMeasured(f"`{' '.join(command)}` printed no stage \"mfcc\" with audio_s_per_cpu_s: {e!r}") from None


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def blas():
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "BLAS unknown: threadpoolctl is not installed"
    found = {f"{i['internal_api']} {i.get('architecture')}, {i['num_threads']} thread" for i in threadpool_info()}
    return "; ".join(sorted(found)) or "no BLAS found"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sottovoce", type=Path, default=DEFAULT_BINARY, metavar="PATH", help="our binary (%(default)s)")
    parser.add_argument("--clips", type=int, default=400, help="clips a round (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.5, help="length of a clip (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the best counts (%(default)s)")
    args = parser.parse_args()

    clips = make_clips(args.clips, args.seconds)
    audio_s = sum(len(c) for c in clips) / RATE
    ready, missing = {}, []
    for what, package, make in PEERS:
        try:
            mfcc = make()
            label = f"{what} ({package} {version(package)})"
        except (ImportError, PackageNotFoundError, OSError, RuntimeError) as e:
            print(f"{what}: not installed ({e})", file=sys.stderr)
            missing.append(what)
            continue
        frames, coefficients = mfcc(clips[0]).shape  # also compiles and plans what is compiled and planned lazily
        assert coefficients == COEFFICIENTS and abs(frames - args.seconds * 50) < 2, (what, frames, coefficients)
        ready[label] = mfcc
    psf = next((f for label, f in ready.items() if label.startswith("python_speech")), None)
    if psf:
        apart = np.max(np.abs(psf(clips[0].astype(np.float64)) - peer_numpy(np.float64)(clips[0].astype(np.float64))))
        assert apart < 1e-6, f"numpy and python_speech_features differ by {apart}: not the same chain"

    best = dict.fromkeys(ready, 0.0)
    our_best, why_not = 0.0, None
    for _ in range(args.rounds):
        for label, mfcc in ready.items():
            start = time.process_time()
            for clip in clips:
                mfcc(clip)
            best[label] = max(best[label], audio_s / (time.process_time() - start))
        if why_not is None:
            try:
                our_best = max(our_best, ours(args.sottovoce))
            except NotMeasured as e:
                why_not, our_best = str(e), 0.0
                print(f"sottovoce: not measured: {e}", file=sys.stderr)

    print(f"{args.clips} clips of {args.seconds:g} s, best of {args.rounds} interleaved rounds, CPU time, one thread.")
    print(f"{processor()}; Python {platform.python_version()}; {blas()}\n")
    print("| what | audio-seconds per CPU-second | ms a clip | ratio to ours |\n| --- | ---: | ---: | ---: |")
    rows = list(best.items()) + ([("**sottovoce**", our_best)] if our_best else [])
    for label, speed in sorted(rows, key=lambda row: -row[1]):
        ratio = f"{speed / our_best:.3f}" if our_best else "-"
        print(f"| {label} | {speed:.0f} | {1000 * args.seconds / speed:.2f} | {ratio} |")
    if why_not:
        print("| **sottovoce** | not measured | - | - |")
    for what in missing:
        print(f"| {what} | not installed | - | - |")


if __name__ == "__main__":
    main()
