"""Whether PyTorch gives the logits that Sottovoce gives.

    python check.py CHECKPOINT.safetensors LOGITS.json

LOGITS.json: {"clips": [{"mfcc": [[..], ..], "logits": [..], "text": ".."}, ..]}, `mfcc` [frames, k] as the model sees
them and `text` for a text-cnn alone. For a dnn, `statistics` [5k] may stand in the place of `mfcc`: what was
standardised per speaker has no MFCCs.

`sottovoce predict --with-features --format json` writes such a file, with `files` for `clips`.

The clips go through the model in float64, each alone and all in one padded batch. Exit codes: 0 where no logit differs
by more than 1e-4; 1 where one does, or is not finite; 2 for wrong usage; 3 where PyTorch is not installed.
"""
import json
import math
import sys

LIMIT = 1e-4


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        import torch

        import models
    except ModuleNotFoundError as e:
        print(f"not checked: {e.name} is not installed", file=sys.stderr)
        return 3
    model, info = models.load(sys.argv[1])
    model, spec = model.double(), info["model"]
    with open(sys.argv[2], encoding="utf-8") as file:
        given = json.load(file)
    given = given.get("clips") or given.get("files")
    if not given:
        print(f"{sys.argv[2]} has no clips: nothing was checked", file=sys.stderr)
        return 2
    clips = [c["statistics"] if "statistics" in c else c["mfcc"] for c in given]
    texts = [c.get("text") or "" for c in given]
    wanted = torch.tensor([c["logits"] for c in given], dtype=torch.float64)
    ask = lambda some, said: model(**models.batch(spec, some, said, dtype=torch.float64))  # noqa: E731
    with torch.inference_mode():
        alone = torch.cat([ask([clip], [text]) for clip, text in zip(clips, texts)])
        together = ask(clips, texts)
    if wanted.shape != alone.shape:
        print(f"logits are {list(wanted.shape)}, the model gives {list(alone.shape)}")
        return 1
    apart = torch.maximum((alone - wanted).abs(), (together - wanted).abs())
    apart = apart.nan_to_num(nan=math.inf)
    clip, logit = divmod(apart.argmax().item(), apart.shape[1])
    largest = apart[clip, logit].item()
    where = f"clip {clip}, logit {logit}"
    print(f"{spec['kind']}, {len(clips)} clips: largest difference {largest:.3e} ({where}); at most {LIMIT:g}")
    return 0 if largest <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
