"""The test signals, and each library's MFCC written out in plain numpy, f64 throughout.

NOTES.md tells the same in words. conventions.py asserts that every function here equals the library that it is named
after, so that an implementation can follow either. Lengths are samples, frequencies Hz; the rate is 16 kHz.
"""
import numpy as np

RATE = 16000
F32_EPSILON = float(np.finfo(np.float32).eps)  # 2^-23 = 1.1920928955078125e-07
F64_EPSILON = float(np.finfo(np.float64).eps)  # 2^-52 = 2.220446049250313e-16

# ---- signals

FORMULAS = {
    "tones": "0.6 sin(2pi 440 n/16000) + 0.3 sin(2pi 1770 n/16000) + 0.05 (((7919 n) mod 2001)/1000 - 1), n = 0..1699",
    "speechlike": "n = 0..8122, t = n/16000, u = ((7919 n + 31 n n) mod 2001)/1000 - 1 (the products fit 32 bits unsigned), "
    "phase = 2pi (120 t + 50 t t), voice = 0.25 (1 + 0.6 sin(2pi 4 t)) sum for k = 1..20 of sin(k phase)/k. "
    "n < 1600: 0.0001 u; n < 4400: voice + 0.01 + 0.002 u; n < 5200: exactly 0; n < 7600: voice + 0.01 + 0.002 u; "
    "to the end: 0.002 u",
    "short": "the first 150 samples of tones",
}


def tones():
    n = np.arange(1700)
    noise = (7919 * n) % 2001 / 1000 - 1
    sine = lambda hz: np.sin(2 * np.pi * hz * n / RATE)
    return 0.6 * sine(440) + 0.3 * sine(1770) + 0.05 * noise


def speechlike():
    """Near silence, a gliding voice with a constant offset, exact silence, the voice again, noise."""
    n = np.arange(8123)
    t = n / RATE
    u = (7919 * n + 31 * n * n) % 2001 / 1000 - 1
    phase = 2 * np.pi * (120 * t + 50 * t * t)
    voice = 0.25 * (1 + 0.6 * np.sin(2 * np.pi * 4 * t)) * sum(np.sin(k * phase) / k for k in range(1, 21))
    x = 0.002 * u
    voiced = (n >= 1600) & (n < 7600)
    x[voiced] += voice[voiced] + 0.01
    x[:1600] = 0.0001 * u[:1600]
    x[4400:5200] = 0.0
    return x


SIGNALS = {"tones": tones(), "speechlike": speechlike(), "short": tones()[:150]}

# ---- parts that several recipes share


def cut(x, frame, hop, count):
    """`count` frames, zeros where the signal has ended."""
    padded = np.concatenate([x, np.zeros(max(0, (count - 1) * hop + frame - len(x)))])
    return np.stack([padded[i * hop : i * hop + frame] for i in range(count)]) if count else np.zeros((0, frame))


def power_spectrum(frames, n_fft):
    return np.abs(np.fft.rfft(frames, n_fft)) ** 2  # a shorter frame is padded with zeros at its end


def dct2(log_mel, count, orthonormal=True):
    """sum over m of log_mel[m] cos(pi k (m + 1/2)/M), scaled so that the full transform is orthonormal, or by 2."""
    bands = log_mel.shape[-1]
    k, m = np.arange(count)[:, None], np.arange(bands)[None, :]
    basis = np.cos(np.pi * k * (m + 0.5) / bands)
    if orthonormal:
        basis *= np.sqrt(2 / bands)
        basis[0] /= np.sqrt(2)
    else:
        basis *= 2
    return log_mel @ basis.T


def lift(count, lifter, first=0):
    """1 + L/2 sin(pi (k + first)/L); no lifter if L = 0."""
    k = np.arange(first, first + count)
    return 1 + lifter / 2 * np.sin(np.pi * k / lifter) if lifter > 0 else np.ones(count)


def cosine_window(length, a, periodic=False):
    """a - (1 - a) cos(2pi i/(N - 1)); /N if periodic. Hamming: a = 0.54; Hann: a = 0.5."""
    i = np.arange(length)
    return a - (1 - a) * np.cos(2 * np.pi * i / (length if periodic else length - 1))


def htk_mel(hz):
    return 2595 * np.log10(1 + np.asarray(hz, dtype=float) / 700)


def htk_hz(mel):
    return 700 * (10 ** (np.asarray(mel, dtype=float) / 2595) - 1)


def slaney_mel(hz):
    """Linear to 1 kHz (15 mel), then 27 steps of a factor 6.4^(1/27)."""
    hz = np.asarray(hz, dtype=float)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def slaney_hz(mel):
    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


def triangles(corners, at):
    """Peak-1 triangles between the corners (one row each), read off at the points `at` of the same axis."""
    left, peak, right = (corners[i : len(corners) - 2 + i, None] for i in range(3))
    return np.maximum(0, np.minimum((at - left) / (peak - left), (right - at) / (right - peak)))


def decibel(power, floor=1e-10, top_db=80.0):
    """10 log10, floored, then nothing more than top_db below the clip's largest value."""
    db = 10 * np.log10(np.maximum(power, floor))
    return np.maximum(db, db.max() - top_db)


def stft_power(x, n_fft, hop, window, center, pad_mode):
    """Frames centred on 0, hop, 2 hop, ...: 1 + floor(n/hop) of them."""
    if center:
        x = np.pad(x, n_fft // 2, mode=pad_mode)
    left = (n_fft - len(window)) // 2
    window = np.pad(window, (left, n_fft - len(window) - left))
    count = 1 + (len(x) - n_fft) // hop
    return power_spectrum(cut(x, n_fft, hop, count) * window, n_fft)


# ---- the conventions


def python_speech_features(
    x, frame=400, hop=160, n_fft=512, n_mels=26, n_mfcc=13, low=0.0, high=8000.0,
    preemphasis=0.97, lifter=22, append_energy=True, hamming=False,
):  # fmt: skip
    y = np.concatenate([x[:1], x[1:] - preemphasis * x[:-1]])
    count = 1 + max(0, -((frame - len(y)) // hop))  # 1 + ceil((n - frame)/hop)
    window = cosine_window(frame, 0.54) if hamming else np.ones(frame)
    power = power_spectrum(cut(y, frame, hop, count) * window, n_fft) / n_fft
    mels = np.linspace(htk_mel(low), htk_mel(high), n_mels + 2)
    corners = np.floor((n_fft + 1) * htk_hz(mels) / RATE).astype(int)
    bank = np.zeros((n_mels, n_fft // 2 + 1))
    for j in range(n_mels):
        a, b, c = corners[j : j + 3]
        bank[j, a:b] = (np.arange(a, b) - a) / (b - a) if b > a else 0
        bank[j, b:c] = (c - np.arange(b, c)) / (c - b) if c > b else 0
    exactly_zero_to_epsilon = lambda e: np.where(e == 0, F64_EPSILON, e)
    mfcc = dct2(np.log(exactly_zero_to_epsilon(power @ bank.T)), n_mfcc) * lift(n_mfcc, lifter)
    if append_energy:
        mfcc[:, 0] = np.log(exactly_zero_to_epsilon(power.sum(axis=1)))
    return mfcc


def sottovoce(x):
    return python_speech_features(x, frame=320, hop=320, append_energy=False, hamming=True)


def delta(features, reach):
    """Regression over 2 reach + 1 frames; the first and the last frame stand in for those beyond the ends."""
    padded = np.pad(features, ((reach, reach), (0, 0)), mode="edge")
    frames = len(features)
    total = sum(i * (padded[reach + i : reach + i + frames] - padded[reach - i : reach - i + frames]) for i in range(1, reach + 1))
    return total / (2 * sum(i * i for i in range(1, reach + 1)))


def librosa(
    x, n_fft=2048, hop=512, window=None, center=True, n_mels=128, n_mfcc=20,
    htk=False, area_norm=True, orthonormal=True, lifter=0, weights=np.float32,
):  # fmt: skip
    power = stft_power(x, n_fft, hop, cosine_window(window or n_fft, 0.5, periodic=True), center, "constant")
    to_mel, to_hz = (htk_mel, htk_hz) if htk else (slaney_mel, slaney_hz)
    corners = to_hz(np.linspace(to_mel(0.0), to_mel(RATE / 2), n_mels + 2))
    # The weights are kept as float32 unless dtype=numpy.float64 is passed, and are rounded before and after the scaling.
    bank = triangles(corners, np.fft.rfftfreq(n_fft, 1 / RATE)).astype(weights).astype(float)
    if area_norm:
        bank = (bank * (2 / (corners[2:] - corners[:-2]))[:, None]).astype(weights).astype(float)
    log_mel = decibel(power @ bank.T)
    return dct2(log_mel, n_mfcc, orthonormal) * lift(n_mfcc, lifter, first=1)


def torchaudio(x, n_fft=400, hop=200, n_mels=128, n_mfcc=40, center=True, log_mels=False):
    power = stft_power(x, n_fft, hop, cosine_window(n_fft, 0.5, periodic=True), center, "reflect")
    corners = htk_hz(np.linspace(htk_mel(0.0), htk_mel(RATE / 2), n_mels + 2))
    energy = power @ triangles(corners, np.linspace(0, RATE // 2, n_fft // 2 + 1)).T
    return dct2(np.log(energy + 1e-6) if log_mels else decibel(energy), n_mfcc)


def kaldi(
    x, frame=400, hop=160, n_mels=23, n_mfcc=13, low=20.0, high=8000.0, preemphasis=0.97, lifter=22,
    use_energy=True, raw_energy=True, energy_floor=0.0, snip_edges=True, hamming=False,
):  # fmt: skip
    x = x * 32768
    n_fft = 1 << (frame - 1).bit_length()
    if snip_edges:
        count = 0 if len(x) < frame else 1 + (len(x) - frame) // hop
        frames = cut(x, frame, hop, count)
    else:
        count = (len(x) + hop // 2) // hop
        index = np.arange(frame)[None, :] + (np.arange(count) * hop + hop // 2 - frame // 2)[:, None]
        index = np.where(index < 0, -index - 1, index)  # -1 is 0, -2 is 1: the edge sample twice
        frames = x[np.where(index >= len(x), 2 * len(x) - 1 - index, index)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    raw = frames
    frames = frames - preemphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = frames * (cosine_window(frame, 0.54) if hamming else cosine_window(frame, 0.5) ** 0.85)
    mel = lambda hz: 1127 * np.log(1 + np.asarray(hz, dtype=float) / 700)
    corners = np.linspace(mel(low), mel(high), n_mels + 2)
    bank = triangles(corners, mel(np.arange(n_fft // 2 + 1) * RATE / n_fft))
    energy = power_spectrum(frames, n_fft) @ bank.T
    mfcc = dct2(np.log(np.maximum(energy, F32_EPSILON)), n_mfcc) * lift(n_mfcc, lifter)
    if use_energy:
        whole = ((raw if raw_energy else frames) ** 2).sum(axis=1)
        mfcc[:, 0] = np.log(np.maximum(np.maximum(whole, F32_EPSILON), energy_floor))
    return mfcc


def htk(x, frame=400, hop=160, n_mels=26, n_cepstra=12, preemphasis=0.97, lifter=22, use_power=False):
    x = x * 32768
    n_fft = 1 << (frame - 1).bit_length()
    frames = cut(x, frame, hop, 0 if len(x) < frame else 1 + (len(x) - frame) // hop)
    frames = frames - preemphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = power_spectrum(frames * cosine_window(frame, 0.54), n_fft)[:, 1 : n_fft // 2]  # neither 0 Hz nor Nyquist
    spectrum = spectrum if use_power else np.sqrt(spectrum)
    mel = lambda hz: 1127 * np.log(1 + np.asarray(hz, dtype=float) / 700)
    bank = triangles(np.linspace(0.0, mel(RATE / 2), n_mels + 2), mel(np.arange(1, n_fft // 2) * RATE / n_fft))
    log_mel = np.log(np.maximum(spectrum @ bank.T, 1.0))
    cepstra = dct2(log_mel, n_cepstra + 1) * lift(n_cepstra + 1, lifter)
    c0 = cepstra[:, :1] * np.sqrt(2)  # sqrt(2/N) for c0 too
    return np.concatenate([cepstra[:, 1:], c0], axis=1)
