"""Sottovoce's models as PyTorch modules, and what reads its checkpoints.

    pip install torch safetensors
    python models.py CHECKPOINT.safetensors CLIP.json [--text "what is said"]

Tensors have the names and shapes that a checkpoint has, so `load_state_dict` is strict. A batch is clips padded to one
length, `x` [clips, frames, features] with `lengths` [clips]; what stands in the padding changes nothing, not even NaN.
Without `lengths` all clips are as long as `x`. README.md says how features are made.
"""
import argparse
import hashlib
import importlib.util
import json
import struct
import unicodedata
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

VARIANCE_FLOOR = 1e-5  # under the root, so that its gradient is finite where a channel does not vary


# ---- parts


def kept(x, lengths):
    """Which frames of x [n, T, ...] are a clip's own: [n, T]; None for all."""
    if lengths is None:
        return None
    lengths = torch.as_tensor(lengths, device=x.device)
    if lengths.shape != x.shape[:1] or not bool(((lengths > 0) & (lengths <= x.shape[1])).all()):
        n, frames = x.shape[:2]
        raise ValueError(f"lengths must be a number from 1 to {frames} for each of {n} clips: {lengths.tolist()}")
    return torch.arange(x.shape[1], device=x.device) < lengths[:, None]


def masked(x, keep):
    """x [n, T, c] with 0 in the frames that are not kept."""
    return x if keep is None else x.masked_fill(~keep[:, :, None], 0.0)


def mean_over_frames(x, keep):
    """[n, T, c] to [n, c]: the mean of each clip's own frames; 0 where it has none. What is not kept must be 0."""
    return x.mean(1) if keep is None else x.sum(1) / keep.sum(1).clamp(min=1)[:, None].to(x.dtype)


def statistics_over_frames(x, keep):
    """[n, T, c] to [n, 2c]: mean, then standard deviation of the population (Snyder et al. 2018, section 2.1)."""
    mean, square = mean_over_frames(x, keep), mean_over_frames(x * x, keep)
    return torch.cat([mean, ((square - mean * mean).clamp(min=0) + VARIANCE_FLOOR).sqrt()], 1)


def convolutions(inputs, channels, kernel):
    pairs = zip([inputs, *channels], channels)
    return nn.ModuleList(nn.Conv1d(before, after, kernel, padding=(kernel - 1) // 2) for before, after in pairs)


def convolve(layers, x, keep):
    """x [n, T, c] through convolutions with ReLU. Frames beyond a clip become 0 after each, so that the next sees there
    what it would see if the clip were alone: zeros."""
    x = masked(x, keep).transpose(1, 2)
    for layer in layers:
        x = F.relu(layer(x))
        x = x if keep is None else x.masked_fill(~keep[:, None, :], 0.0)
    return x.transpose(1, 2)


def recur(lstm, x, lengths, keep):
    """States of a recurrent layer, [n, T, width]; 0 beyond a clip. Backward, a clip is read from its own last frame."""
    if keep is None:
        return lstm(x)[0]
    lengths = torch.as_tensor(lengths).cpu()
    packed = nn.utils.rnn.pack_padded_sequence(masked(x, keep), lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]


# ---- one module for each kind. `forward(x, lengths=None, words=None)` gives logits [n, classes].


class Dnn(nn.Module):
    """x is one vector of statistics for each clip: [n, inputs]."""

    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip([inputs, *hidden], [*hidden, classes]))

    def forward(self, x, lengths=None, words=None):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class Cnn(nn.Module):
    def __init__(self, inputs, channels, kernel, classes):
        super().__init__()
        self.conv = convolutions(inputs, channels, kernel)
        self.output = nn.Linear(2 * channels[-1], classes)

    def forward(self, x, lengths=None, words=None):
        keep = kept(x, lengths)
        return self.output(statistics_over_frames(convolve(self.conv, x, keep), keep))


class Lstm(nn.Module):
    """Gates stand in PyTorch's order: input, forget, cell, output."""

    def __init__(self, inputs, hidden, bidirectional, classes):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=bidirectional)
        self.output = nn.Linear(hidden * (2 if bidirectional else 1), classes)

    def forward(self, x, lengths=None, words=None):
        keep = kept(x, lengths)
        return self.output(mean_over_frames(recur(self.lstm, x, lengths, keep), keep))


class LstmTransformer(nn.Module):
    """No encoding of positions: the recurrent layer's states carry the order."""

    def __init__(self, inputs, hidden, heads, feed_forward, classes):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(hidden, heads, feed_forward, dropout=0.0, batch_first=True)
        self.output = nn.Linear(hidden, classes)

    def forward(self, x, lengths=None, words=None):
        keep = kept(x, lengths)
        states = recur(self.lstm, x, lengths, keep)
        states = self.encoder(states, src_key_padding_mask=None if keep is None else ~keep)
        return self.output(mean_over_frames(masked(states, keep), keep))


class Attention(nn.Module):
    """A score of each frame, softmax over a clip's own frames, and the mean of the frames with these weights."""

    def __init__(self, inputs, width):
        super().__init__()
        self.hidden = nn.Linear(inputs, width)
        self.score = nn.Linear(width, 1)

    def forward(self, x, keep):
        score = self.score(torch.tanh(self.hidden(x)))  # [n, T, 1]
        if keep is not None:
            score = score.masked_fill(~keep[:, :, None], -torch.inf)
        return (score.softmax(1) * x).sum(1)


class AttentionFcn(nn.Module):
    def __init__(self, inputs, channels, kernel, attention, classes):
        super().__init__()
        self.conv = convolutions(inputs, channels, kernel)
        self.attention = Attention(channels[-1], attention)
        self.output = nn.Linear(channels[-1], classes)

    def forward(self, x, lengths=None, words=None):
        keep = kept(x, lengths)
        return self.output(self.attention(convolve(self.conv, x, keep), keep))


class TextCnn(nn.Module):
    """words [n, W] are rows of the table (`word_rows`), filled up with 0: row 0 stands for no word and counts as zeros,
    whatever it holds."""

    def __init__(self, inputs, channels, kernel, vocabulary, embedding, text_channels, text_kernel, classes):
        super().__init__()
        self.conv = convolutions(inputs, channels, kernel)
        self.words = nn.Embedding(vocabulary, embedding)
        self.text_conv = convolutions(embedding, [text_channels], text_kernel)
        self.output = nn.Linear(2 * channels[-1] + text_channels, classes)

    def forward(self, x, lengths=None, words=None):
        if words is None:
            raise ValueError("this model also reads words [n, W]; for clips without text give zeros")
        keep = kept(x, lengths)
        spoken = statistics_over_frames(convolve(self.conv, x, keep), keep)
        words = F.pad(words, (0, max(0, 1 - words.shape[1])))  # a convolution wants at least one place
        is_word = words != 0
        text = mean_over_frames(convolve(self.text_conv, self.words(words), is_word), is_word)
        return self.output(torch.cat([spoken, text], 1))


KINDS = {
    "dnn": Dnn,
    "cnn": Cnn,
    "lstm": Lstm,
    "lstm-transformer": LstmTransformer,
    "attention-fcn": AttentionFcn,
    "text-cnn": TextCnn,
}


def build(spec):
    """The module of a spec such as {"kind": "cnn", "inputs": 13, "channels": [64], "kernel": 5, "classes": 5}."""
    widths = dict(spec)
    kind = widths.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of model {kind!r}; known: {', '.join(KINDS)}")
    return KINDS[kind](**widths)


# ---- checkpoints


def model_sha256(state):
    """The model hash (crates/types/src/params.rs) of a state dict in the module's order: names, shapes, exact bits."""

    def digest(label, fields):
        h = hashlib.sha256()
        for field in [label.encode(), *fields]:
            h.update(struct.pack("<Q", len(field)) + field)
        return h

    arch, values = [], b""
    for name, tensor in state.items():
        arch += [name.encode(), *(struct.pack("<Q", n) for n in tensor.shape), b";"]
        values += tensor.detach().cpu().numpy().astype("<f4").tobytes()
    return digest("sottovoce/1/model", [digest("sottovoce/1/arch", arch).digest(), values]).hexdigest()


def read_without_package(path):
    """The format is the length of a JSON header, the header, and the values."""
    data = Path(path).read_bytes()
    (header_len,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + header_len])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, t in header.items():
        if t["dtype"] != "F32":
            raise ValueError(f"{path}: tensor {name} is {t['dtype']}, not F32: no checkpoint of Sottovoce")
        start, end = (8 + header_len + offset for offset in t["data_offsets"])
        tensors[name] = torch.from_numpy(np.frombuffer(data[start:end], "<f4").reshape(t["shape"]).astype(np.float32))
    return metadata, tensors


def read(path):
    """Tensors by name, and what the checkpoint says of itself."""
    if importlib.util.find_spec("safetensors"):
        from safetensors import safe_open
        from safetensors.torch import load_file

        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    else:
        metadata, tensors = read_without_package(path)
    if "sottovoce" not in metadata:
        raise ValueError(f"{path} carries no metadata of Sottovoce")
    return tensors, json.loads(metadata["sottovoce"])


def load(path):
    """(module, info): the model of a checkpoint, in evaluation mode, and its metadata; its hash is checked.

    info is {"model_sha256": .., "model": the spec, "round": .., "extra": {..}}.
    """
    tensors, info = read(path)
    if info["model"] is None:
        raise ValueError(f"{path} does not say what it is of: build(spec) it, and load_state_dict(read(path)[0])")
    model = build(info["model"])
    model.load_state_dict(tensors, strict=True)
    found = model_sha256(model.state_dict())
    if found != info["model_sha256"]:
        raise ValueError(f"{path} is damaged: its values hash to {found}, it was saved as {info['model_sha256']}")
    return model.eval(), info


# ---- inputs


def statistics(mfcc):
    """What a dnn sees of one clip, MFCCs [frames, k] to float32 [5k] (crates/audio/src/pooled.rs): means, standard
    deviations, standard deviations of the frame-to-frame differences, 10th and 90th percentiles. In float64; deviations
    are of the population."""
    x = np.asarray(mfcc, dtype=np.float64)
    if len(x) == 0:
        return np.zeros(5 * x.shape[1], dtype=np.float32)
    differences = np.diff(x, axis=0).std(0) if len(x) > 1 else np.zeros(x.shape[1])
    percentiles = np.percentile(x, [10, 90], axis=0)
    return np.concatenate([x.mean(0), x.std(0), differences, *percentiles]).astype(np.float32)


def standardised(rows):
    """Each column with mean 0 and variance 1; 0 where it does not vary. `features.standardisation`: per-speaker, of the
    statistics of a speaker's clips [clips, 5k], or for a model of frames of all their frames; per-utterance, of a clip's
    frames [frames, k]."""
    x = np.asarray(rows, dtype=np.float64)
    mean, deviation = x.mean(0), x.std(0)
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-3)
    return np.where(varies, (x - mean) / np.where(varies, deviation, 1.0), 0.0).astype(np.float32)


CIRCLED_LETTERS = ["\u24b6\u24e9", "\U0001f130\U0001f149", "\U0001f150\U0001f169", "\U0001f170\U0001f189"]


def is_alphanumeric(c):
    """Whether Rust's `char::is_alphanumeric` holds; where the standard library cannot tell, an error."""
    if c.isalnum():
        return True
    combining = "\u0300" <= c <= "\u0362" and c != "\u0345" or "\ufe00" <= c <= "\ufe0f"
    if any(a <= c <= b for a, b in CIRCLED_LETTERS) or unicodedata.category(c) in ("Mn", "Mc", "Cn") and not combining:
        raise ValueError(f"U+{ord(c):04X}: Python's standard library does not say if words have it, as Rust's does")
    return False


def words_of(text):
    """The words of a transcript: letters, digits and apostrophes."""
    return "".join(c if c == "'" or is_alphanumeric(c) else " " for c in text).split(" ")


def word_rows(text, vocabulary):
    """Rows of the table of words, one a word (crates/types/src/examples.rs, `word_hashes`); none for no text."""
    hashes = (hashlib.sha256(w.lower().encode()).digest()[:4] for w in words_of(text or "") if w)
    return [1 + int.from_bytes(h, "little") % (vocabulary - 1) for h in hashes]


def batch(spec, clips, texts=None, dtype=torch.float32):
    """What a model of `spec` is called with, for MFCCs [frames, k] of each clip. For a dnn a clip may also be its
    vector of statistics."""
    clips = [np.asarray(c, dtype=np.float32) for c in clips]
    if spec["kind"] == "dnn":
        return {"x": torch.as_tensor(np.stack([c if c.ndim == 1 else statistics(c) for c in clips]), dtype=dtype)}
    lengths = [len(c) for c in clips]
    x = torch.zeros(len(clips), max(lengths), spec["inputs"], dtype=dtype)
    for row, clip in zip(x, clips):
        row[: len(clip)] = torch.as_tensor(clip)
    inputs = {"x": x, "lengths": torch.tensor(lengths)}
    if spec["kind"] == "text-cnn":
        rows = [word_rows(text, spec["vocabulary"]) for text in texts or [""] * len(clips)]
        inputs["words"] = torch.zeros(len(clips), max(map(len, rows)), dtype=torch.long)
        for row, words in zip(inputs["words"], rows):
            row[: len(words)] = torch.tensor(words, dtype=torch.long)
    return inputs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    clip = "a .npy array [frames, k], or what `sottovoce mfcc FILE --format json` prints"
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP", help=clip)
    parser.add_argument("--text", action="append", default=[], help="what is said, once for each clip, for a text-cnn")
    scaled = "as the model was trained (default: %(default)s); per-speaker: all clips are one speaker's"
    parser.add_argument("--standardise", choices=["none", "per-utterance", "per-speaker"], default="none", help=scaled)
    args = parser.parse_args()
    model, info = load(args.checkpoint)
    spec = info["model"]
    if args.text and len(args.text) != len(args.clips):
        parser.error(f"{len(args.text)} texts for {len(args.clips)} clips")
    clips = [np.load(p) if p.suffix == ".npy" else np.array(json.loads(p.read_text())["mfcc"]) for p in args.clips]
    if args.standardise == "per-utterance":
        clips = [standardised(c) for c in clips]
    if args.standardise == "per-speaker":
        if spec["kind"] == "dnn":
            clips = list(standardised([statistics(c) for c in clips]))
        else:  # over all frames of all clips
            ends = np.cumsum([len(c) for c in clips])[:-1]
            clips = np.split(standardised(np.concatenate(clips)), ends)
    with torch.inference_mode():
        logits = model(**batch(spec, clips, args.text or None))
    for path, z in zip(args.clips, logits):
        print(json.dumps({"clip": str(path), "logits": z.tolist(), "probabilities": z.softmax(0).tolist()}))


if __name__ == "__main__":
    main()
