"""Makes and checks the reference vectors of the MFCC conventions: what each library itself computes, at 16 kHz.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python conventions.py            # writes mfcc-*.json beside this file
    venv/bin/python conventions.py --check    # recomputes and compares with the committed files; writes nothing

Run with CPython 3.11 and the versions of requirements.txt on x86-64. Every run also asserts that recipes.py, the plain
numpy text of each convention, equals the library: to 1e-6 where the library computes in f64, to 1e-3 where it computes
in f32, relative to the larger of 1 and the coefficient. --check compares to 1e-9 (f64) and 1e-5 (f32) in the same
sense. Files hold 11 significant digits from f64 libraries and 9 from f32 libraries. NOTES.md describes the conventions.

The oracle of the htk convention is openSMILE in its HTK-compatible mode: HTK itself cannot be redistributed.
Missing libraries are an error: `--only NAME ...` works on some files only.
"""
import argparse
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

sys.dont_write_bytecode = True
import numpy as np

import recipes
from recipes import FORMULAS, RATE, SIGNALS

HERE = Path(__file__).resolve().parent
F64, F32 = "f64", "f32"
RECIPE_TOLERANCE = {F64: 1e-6, F32: 1e-3}
CHECK_TOLERANCE = {F64: 1e-9, F32: 1e-5}
DIGITS = {F64: 11, F32: 9}


def distance(a, b):
    """The largest difference relative to the larger of 1 and b."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        return np.inf
    return float(np.max(np.abs(a - b) / np.maximum(1, np.abs(b)), initial=0.0))


# ---- the libraries


def psf(x, **options):
    import python_speech_features as lib

    return lib.mfcc(x, RATE, **options)


def librosa(x, **options):
    import librosa as lib

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=.* is too large for input signal")
        return lib.feature.mfcc(y=x, sr=RATE, **options).T


def torchaudio(x, precision=F64, **options):
    import torch
    import torchaudio as lib

    # The window, the mel filters and the DCT are made in the default dtype: this gives them in f64 from the start.
    torch.set_default_dtype(torch.float64 if precision == F64 else torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero values")
        transform = lib.transforms.MFCC(sample_rate=RATE, **options)
    return transform(torch.from_numpy(x).to(torch.get_default_dtype())).numpy().T


def knf(x, **options):
    import kaldi_native_fbank as lib

    opts = lib.MfccOptions()
    opts.frame_opts.dither = 0.0
    for name, value in options.items():
        setattr(opts.frame_opts if name in ("snip_edges", "window_type") else opts, name, value)
    online = lib.OnlineMfcc(opts)
    online.accept_waveform(RATE, (x * 32768).astype(np.float32).tolist())
    online.input_finished()
    rows = [online.get_frame(i) for i in range(online.num_frames_ready)]
    return np.array(rows, dtype=float).reshape(len(rows), opts.num_ceps)


def compliance_kaldi(x, **options):
    import torch
    import torchaudio.compliance.kaldi as lib

    torch.set_default_dtype(torch.float64)
    scaled = torch.from_numpy(x * 32768)[None, :]
    return lib.mfcc(scaled, dither=0.0, energy_floor=0.0, use_energy=True, **options).numpy()


def opensmile(x, use_power=0):
    from opensmile.core.lib import OpenSMILE

    rows = []
    smile = OpenSMILE()
    smile.initialize(str(HERE / "htk.conf"), {"usePower": use_power}, loglevel=1)
    smile.external_sink_set_callback_ex("extsink", lambda row, _: rows.append(np.array(row, dtype=float).reshape(-1)))
    # openSMILE multiplies by 32767 where HTK reads 16-bit samples, here x * 32768.
    smile.external_audio_source_write_data("extsource", (x * 32768 / 32767).astype(np.float32).tobytes())
    smile.external_audio_source_set_eoi("extsource")
    smile.run()
    smile.free()
    return np.array(rows).reshape(len(rows), 13)


# ---- what goes into the files

PSF_SETTINGS = {
    "sample_rate_hz": 16000, "frame": "25 ms = 400 samples", "hop": "10 ms = 160 samples",
    "last_frame": "padded with zeros", "preemphasis": "0.97 over the whole signal, first sample kept",
    "window": "rectangular", "fft": 512, "spectrum": "|X|^2/512", "mel_filters": 26, "mel": "2595 log10(1 + f/700)",
    "range_hz": [0, 8000], "log": "natural, of 2.220446e-16 where the energy is exactly 0", "coefficients": 13,
    "dct": "II, orthonormal", "lifter": 22, "c0": "replaced by the natural logarithm of the frame's energy",
}  # fmt: skip

SOTTOVOCE_SETTINGS = PSF_SETTINGS | {
    "frame": "20 ms = 320 samples", "hop": "20 ms = 320 samples",
    "window": "Hamming, symmetric: 0.54 - 0.46 cos(2pi n/319)", "c0": "kept",
}  # fmt: skip

LIBROSA_SETTINGS = {
    "sample_rate_hz": 16000, "frame": "2048 samples", "hop": "512 samples",
    "padding": "1024 zeros on both sides: frames are centred on 0, 512, 1024, ...", "preemphasis": "none",
    "window": "Hann, periodic: 0.5 - 0.5 cos(2pi n/2048)", "fft": 2048, "spectrum": "|X|^2", "mel_filters": 128,
    "mel": "Slaney", "filter_norm": "area: times 2/(right - left) in Hz", "range_hz": [0, 8000],
    "log": "10 log10, floor 1e-10, then at most 80 dB below the clip's largest", "coefficients": 20,
    "dct": "II, orthonormal", "lifter": 0, "input": "f64; the filters' weights are float32",
}  # fmt: skip

TORCHAUDIO_SETTINGS = {
    "sample_rate_hz": 16000, "frame": "400 samples", "hop": "200 samples",
    "padding": "200 samples reflected on both sides, edge sample not repeated: frames are centred on 0, 200, 400, ...",
    "preemphasis": "none", "window": "Hann, periodic: 0.5 - 0.5 cos(2pi n/400)", "fft": 400, "spectrum": "|X|^2",
    "mel_filters": 128, "mel": "2595 log10(1 + f/700)", "filter_norm": "none: peak 1; some low filters are empty",
    "range_hz": [0, 8000], "log": "10 log10, floor 1e-10, then at most 80 dB below the clip's largest",
    "coefficients": 40, "dct": "II, orthonormal", "lifter": 0, "input": "f64, as are window, filters and DCT",
}  # fmt: skip

KALDI_SETTINGS = {
    "sample_rate_hz": 16000, "input": "x * 32768", "dither": 0, "frame": "25 ms = 400 samples",
    "hop": "10 ms = 160 samples", "padding": "none (snip_edges): 1 + floor((n - 400)/160) frames",
    "dc": "each frame's mean removed", "preemphasis": "0.97 in each frame, first sample x0 - 0.97 x0",
    "window": "povey: (0.5 - 0.5 cos(2pi n/399))^0.85", "fft": 512, "spectrum": "|X|^2", "mel_filters": 23,
    "mel": "1127 ln(1 + f/700), triangles straight in mel", "range_hz": [20, 8000],
    "log": "natural, floor 1.1920929e-7", "coefficients": 13, "dct": "II, orthonormal", "lifter": 22,
    "c0": "replaced by the natural logarithm of the frame's energy before pre-emphasis and window, floor 1.1920929e-7",
}  # fmt: skip

HTK_SETTINGS = {
    "sample_rate_hz": 16000, "input": "x * 32768", "frame": "25 ms = 400 samples", "hop": "10 ms = 160 samples",
    "padding": "none: 1 + floor((n - 400)/160) frames", "dc": "kept (ZMEANSOURCE F)",
    "preemphasis": "0.97 in each frame, first sample x0 - 0.97 x0",
    "window": "Hamming, symmetric: 0.54 - 0.46 cos(2pi n/399)", "fft": 512, "spectrum": "|X| (USEPOWER F), bins 1..255",
    "mel_filters": 26, "mel": "1127 ln(1 + f/700), triangles straight in mel", "range_hz": [0, 8000],
    "log": "natural, floor 1", "coefficients": "c1..c12, then c0", "dct": "II times sqrt(2/26), c0 too", "lifter": 22,
}  # fmt: skip

PSF_CALL = "python_speech_features.mfcc(x, 16000)"
LIBROSA_CALL = "librosa.feature.mfcc(y=x, sr=16000).T"
TORCHAUDIO_CALL = "torch.set_default_dtype(torch.float64); torchaudio.transforms.MFCC(sample_rate=16000)(x).T"
KALDI_CALL = (
    "opts = kaldi_native_fbank.MfccOptions(); opts.frame_opts.dither = 0; f = kaldi_native_fbank.OnlineMfcc(opts); "
    "f.accept_waveform(16000, x * 32768 as float32); f.input_finished(); f.get_frame(i)"
)
COMPLIANCE_CALL = (
    "torch.set_default_dtype(torch.float64); torchaudio.compliance.kaldi.mfcc(x[None] * 32768, dither=0.0, "
    "energy_floor=0.0, use_energy=True)"
)
HTK_CALL = "openSMILE with htk.conf beside this file, its float input scaled so that htkcompatible's 32767 gives x * 32768"


class Oracle:
    def __init__(self, library, package, call, precision, compute, of_library=""):
        self.library, self.package, self.call = library, package, call
        self.precision, self.compute, self.of_library = precision, compute, of_library

    def describe(self):
        return {
            "library": self.library, "version": self.of_library + version(self.package), "call": self.call,
            "precision": self.precision,
        }  # fmt: skip


ORACLES = {
    "psf": Oracle("python_speech_features", "python_speech_features", PSF_CALL, F64, psf),
    "librosa": Oracle("librosa", "librosa", LIBROSA_CALL, F64, librosa),
    "torchaudio": Oracle("torchaudio", "torchaudio", TORCHAUDIO_CALL, F64, torchaudio),
    "knf": Oracle("kaldi-native-fbank", "kaldi_native_fbank", KALDI_CALL, F32, knf),
    "compliance": Oracle("torchaudio.compliance.kaldi", "torchaudio", COMPLIANCE_CALL, F64, compliance_kaldi),
    "opensmile": Oracle(
        "openSMILE, HTK-compatible mode", "opensmile", HTK_CALL, F32, opensmile,
        of_library="3.0.1, in the Python package opensmile ",
    ),  # fmt: skip
}


def case(oracle, signal, recipe, call=None, name=None, settings=None, own=False, **options):
    """One case: the library's output, held against the recipe. `own`: it states its library itself."""
    oracle = ORACLES[oracle]
    got = oracle.compute(SIGNALS[signal], **options)
    off = distance(recipe(SIGNALS[signal]), got)
    label = f"{oracle.library}, {name or 'defaults'}, {signal}"
    print(f"  {label}: {got.shape[0]} x {got.shape[1]}, recipe differs by {off:.1e}")
    assert off <= RECIPE_TOLERANCE[oracle.precision], f"{label}: the recipe differs by {off}"
    assert np.isfinite(got).all(), label
    head = {"name": name} if name else {}
    if own or call:
        head |= oracle.describe() | ({"call": call} if call else {})
    if settings:
        head["differs_from_the_defaults_in"] = settings
    return head | {
        "signal": signal, "frames": got.shape[0], "coefficients": got.shape[1], "mfcc": got,
        "_precision": oracle.precision,
    }  # fmt: skip


def document(oracle, settings, cases):
    used = {c["signal"]: FORMULAS[c["signal"]] for c in cases}
    return ORACLES[oracle].describe() | {"settings": settings, "signals": used, "cases": cases}


def mfcc_sottovoce():
    call = "python_speech_features.mfcc(x, 16000, winlen=0.02, winstep=0.02, winfunc=numpy.hamming, appendEnergy=False)"
    options = {"winlen": 0.02, "winstep": 0.02, "winfunc": np.hamming, "appendEnergy": False}
    cases = [case("psf", s, recipes.sottovoce, **options) for s in SIGNALS]
    older = json.loads((HERE / "mfcc-default.json").read_text())["mfcc"]
    assert np.max(np.abs(np.array(older) - cases[0]["mfcc"])) < 2e-9, "mfcc-default.json holds other numbers"
    return document("psf", SOTTOVOCE_SETTINGS, cases) | {"call": call}


def mfcc_python_speech_features():
    return document("psf", PSF_SETTINGS, [case("psf", s, recipes.python_speech_features) for s in SIGNALS])


def mfcc_librosa():
    cases = [case("librosa", s, recipes.librosa) for s in SIGNALS]
    exact = lambda x: recipes.librosa(x, weights=np.float64)
    cases += [
        case(
            "librosa", s, exact, dtype=np.float64, name="f64 weights",
            call="librosa.feature.mfcc(y=x, sr=16000, dtype=numpy.float64).T",
            settings="the filters' weights are f64 instead of float32",
        )
        for s in ("tones", "speechlike")
    ]  # fmt: skip
    return document("librosa", LIBROSA_SETTINGS, cases)


def mfcc_torchaudio():
    cases = [case("torchaudio", s, recipes.torchaudio) for s in ("tones", "speechlike")]
    for c in cases:
        off = distance(torchaudio(SIGNALS[c["signal"]], precision=F32), c["mfcc"])
        print(f"  in float32 throughout it differs from itself by {off:.1e}")
    return document("torchaudio", TORCHAUDIO_SETTINGS, cases)


def mfcc_kaldi():
    cases = [case("knf", s, recipes.kaldi) for s in SIGNALS]
    cases += [case("compliance", s, recipes.kaldi, name="second oracle", own=True) for s in ("tones", "speechlike")]
    return document("knf", KALDI_SETTINGS, cases)


def mfcc_htk():
    return document("opensmile", HTK_SETTINGS, [case("opensmile", s, recipes.htk) for s in ("tones", "speechlike")])


def mfcc_options():
    cases = []

    def add(oracle, name, call, settings, recipe, **options):
        cases.append(case(oracle, "speechlike", recipe, call=call, name=name, settings=settings, own=True, **options))

    def of_psf(name, settings, recipe_options, **options):
        text = ", ".join(f"{k}={'numpy.hamming' if k == 'winfunc' else v}" for k, v in options.items())
        recipe = lambda x: recipes.python_speech_features(x, **recipe_options)
        add("psf", name, f"python_speech_features.mfcc(x, 16000, {text})", settings, recipe, **options)

    def of_librosa(name, settings, recipe_options, **options):
        text = ", ".join(f"{k}={v!r}" for k, v in options.items())
        recipe = lambda x: recipes.librosa(x, **recipe_options)
        add("librosa", name, f"librosa.feature.mfcc(y=x, sr=16000, {text}).T", settings, recipe, **options)

    def of_knf(name, settings, recipe_options, **options):
        inside = lambda k: "frame_opts." if k in ("snip_edges", "window_type") else ""
        text = "".join(f"opts.{inside(k)}{k} = {v!r}; " for k, v in options.items())
        call = KALDI_CALL.replace("f = kaldi", text + "f = kaldi")
        add("knf", name, call, settings, lambda x: recipes.kaldi(x, **recipe_options), **options)

    def of_torchaudio(name, settings, recipe_options, **options):
        text = "".join(f", {k}={v!r}" for k, v in options.items())
        call = TORCHAUDIO_CALL.replace("sample_rate=16000", "sample_rate=16000" + text)
        add("torchaudio", name, call, settings, lambda x: recipes.torchaudio(x, **recipe_options), **options)

    hamming = {"hamming": True}
    of_psf("psf hamming", "window: symmetric Hamming", hamming, winfunc=np.hamming, appendEnergy=True)
    of_psf(
        "psf range", "40 filters over 50..4000 Hz, no pre-emphasis, no lifter, c0 kept",
        {"n_mels": 40, "low": 50, "high": 4000, "preemphasis": 0.0, "lifter": 0, "append_energy": False},
        nfilt=40, lowfreq=50, highfreq=4000, preemph=0.0, ceplifter=0, appendEnergy=False,
    )  # fmt: skip
    of_librosa("librosa htk", "HTK mel, filters of peak 1", {"htk": True, "area_norm": False}, htk=True, mel_norm=None)
    of_librosa("librosa peak 1", "filters of peak 1, still on Slaney's mel", {"area_norm": False}, mel_norm=None)
    of_librosa("librosa dct", "DCT-II not normalised: 2 sum", {"orthonormal": False}, norm=None)
    of_librosa("librosa lifter", "lifter 22: 1 + 11 sin(pi (k + 1)/22)", {"lifter": 22}, lifter=22)
    of_librosa(
        "librosa 25/10", "13 coefficients of 40 filters; window of 400 in the middle of an FFT of 512, hop 160",
        {"n_mfcc": 13, "n_mels": 40, "n_fft": 512, "window": 400, "hop": 160},
        n_mfcc=13, n_mels=40, n_fft=512, win_length=400, hop_length=160,
    )  # fmt: skip
    of_librosa("librosa from 0", "no padding: frame t starts at 512 t", {"center": False}, center=False)
    of_torchaudio("torchaudio log", "ln(e + 1e-6), no top_db", {"log_mels": True}, log_mels=True)
    of_torchaudio(
        "torchaudio from 0", "13 coefficients of 23 filters, hop 160, no padding",
        {"n_mfcc": 13, "n_mels": 23, "hop": 160, "center": False},
        n_mfcc=13, melkwargs={"n_fft": 400, "hop_length": 160, "n_mels": 23, "center": False},
    )  # fmt: skip
    of_knf("kaldi c0", "c0 kept", {"use_energy": False}, use_energy=False)
    of_knf("kaldi windowed energy", "energy after pre-emphasis and window", {"raw_energy": False}, raw_energy=False)
    of_knf("kaldi floor", "energy at least 1, so c0 at least 0", {"energy_floor": 1.0}, energy_floor=1.0)
    of_knf("kaldi all frames", "frames centred, edges reflected", {"snip_edges": False}, snip_edges=False)
    of_knf("kaldi hamming", "window: symmetric Hamming", hamming, window_type="hamming")
    add(
        "opensmile", "htk power", HTK_CALL + ", usePower=1", "power spectrum (USEPOWER T)",
        lambda x: recipes.htk(x, use_power=True), use_power=1,
    )  # fmt: skip
    cases.append(deltas())
    used = {c["signal"]: FORMULAS[c["signal"]] for c in cases}
    return {"about": "One option each, the rest as in the library's own file.", "signals": used, "cases": cases}


def deltas():
    import python_speech_features as lib

    mfcc = psf(SIGNALS["speechlike"])
    first = lib.delta(mfcc, 2)
    second = lib.delta(first, 2)
    assert distance(recipes.delta(mfcc, 2), first) < 1e-12 and distance(recipes.delta(first, 2), second) < 1e-12
    head = {"name": "deltas"} | ORACLES["psf"].describe()
    return head | {
        "call": "f = python_speech_features.mfcc(x, 16000); d = python_speech_features.delta(f, 2); python_speech_features.delta(d, 2)",
        "signal": "speechlike", "frames": mfcc.shape[0], "coefficients": mfcc.shape[1],
        "mfcc": mfcc, "delta": first, "delta_delta": second, "_precision": F64,
    }  # fmt: skip


FILES = {
    "sottovoce": mfcc_sottovoce,
    "python_speech_features": mfcc_python_speech_features,
    "librosa": mfcc_librosa,
    "kaldi": mfcc_kaldi,
    "torchaudio": mfcc_torchaudio,
    "htk": mfcc_htk,
    "options": mfcc_options,
}
MATRICES = ("mfcc", "delta", "delta_delta")

# ---- writing and checking


def text_of(doc):
    """JSON with one frame a line."""
    rows = []

    def mark(matrix, digits):
        rows.extend("[" + ", ".join(f"{v:.{digits}g}" for v in row) + "]" for row in matrix)
        return [f"row {len(rows) - len(matrix) + i}" for i in range(len(matrix))]

    cases = []
    for c in doc["cases"]:
        digits = DIGITS[c["_precision"]]
        cases.append({k: mark(v, digits) if k in MATRICES else v for k, v in c.items() if k != "_precision"})
    text = json.dumps(doc | {"cases": cases}, indent=1, ensure_ascii=False)
    for i, row in enumerate(rows):
        text = text.replace(f'"row {i}"', row, 1)
    json.loads(text)
    return text + "\n"


def differences(doc, stored):
    """What of the committed file is not what the libraries say now."""
    about = lambda d: {k: v for k, v in d.items() if k not in MATRICES and k not in ("cases", "_precision")}
    if about(doc) != about(stored):
        yield "the heading (versions, calls, settings or signals)"
    if len(doc["cases"]) != len(stored["cases"]):
        yield "the number of cases"
    for now, then in zip(doc["cases"], stored["cases"]):
        label = f"{now.get('name', 'defaults')}, {now['signal']}"
        if about(now) != about(then):
            yield f"{label}: the heading"
        for key in MATRICES:
            if key in now:
                shape = now[key].shape
                off = distance(now[key], np.array(then.get(key, []), dtype=float).reshape(-1, shape[1]))
                if not off <= CHECK_TOLERANCE[now["_precision"]]:
                    yield f"{label}: {key} differs by {off:.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    parser.add_argument("--only", nargs="+", choices=FILES, default=list(FILES), metavar="NAME", help=", ".join(FILES))
    args = parser.parse_args()
    wrong = 0
    for name in args.only:
        path = HERE / f"mfcc-{name}.json"
        print(path.name)
        doc = FILES[name]()
        if not args.check:
            path.write_text(text_of(doc))
            continue
        for what in differences(doc, json.loads(path.read_text())):
            wrong += 1
            print(f"  DIFFERS: {what}")
    if wrong:
        sys.exit(f"{wrong} differences from the committed files")
    print("all equal" if args.check else "written")


if __name__ == "__main__":
    main()
