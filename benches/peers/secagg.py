"""Times Flower's own functions of SecAgg+ on the same n and d as `sottovoce bench secagg` and the bench `secagg_round`.

    pip install flwr && python benches/peers/secagg.py [--clients 10] [--values 1000000] [--repeats 3]

One client's work in a round, as `flwr/client/mod/secure_aggregation/secaggplus_mod.py` does it: keys, agreement with every other
client, shares of both secrets encrypted for each (setup and share keys), then clip, quantise and mask (collect masked vectors). Each
stage is timed by itself, the best of the repeats is printed with the bytes that leave. Compare on a quiet machine, one thread.
"""
import argparse
import json
import os
import sys
import time

try:
    import flwr
    import numpy as np
    from flwr.common.secure_aggregation.crypto.shamir import create_shares
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import (
        bytes_to_private_key,
        encrypt,
        generate_key_pairs,
        generate_shared_key,
        private_key_to_bytes,
        public_key_to_bytes,
    )
    from flwr.common.secure_aggregation.quantization import quantize
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen, share_keys_plaintext_concat
except ImportError as error:
    sys.exit(f"this needs Flower and NumPy: pip install -r benches/peers/requirements.txt ({error})")

# Flower's defaults.
CLIP, RANGE, RING = 8.0, 1 << 22, 1 << 32


def share_keys(clients, threshold):
    """Stages 0 and 1 of one client. Gives its mask secrets, and the bytes that leave."""
    private, public = generate_key_pairs()
    _, channel = generate_key_pairs()
    others = [generate_key_pairs()[1] for _ in range(clients - 1)]
    start = time.perf_counter()
    mine, _ = generate_key_pairs()
    secret, _ = generate_key_pairs()
    seed = os.urandom(32)
    seed_shares = create_shares(seed, threshold, clients)
    key_shares = create_shares(private_key_to_bytes(secret), threshold, clients)
    pairwise, sent = [], len(public_key_to_bytes(public)) + len(public_key_to_bytes(channel))
    for i, other in enumerate(others):
        key = generate_shared_key(mine, other)
        sent += len(encrypt(key, share_keys_plaintext_concat(0, i + 1, seed_shares[i + 1], key_shares[i + 1])))
        pairwise.append(key)
    del private
    return time.perf_counter() - start, seed, pairwise, sent


def mask(values, seed, pairwise):
    """Stage 2 of one client: what leaves is one array of 64-bit integers."""
    start = time.perf_counter()
    vector = quantize([values], CLIP, RANGE)[0].astype(np.int64)
    vector += pseudo_rand_gen(seed, RING, [values.shape])[0]
    for i, key in enumerate(pairwise):
        stream = pseudo_rand_gen(key, RING, [values.shape])[0]
        vector = vector + stream if i % 2 else vector - stream
    vector = np.mod(vector, RING)
    return time.perf_counter() - start, vector.nbytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--values", type=int, nargs="+", default=[50_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for clients in options.clients:
        keys = [share_keys(clients, clients * 2 // 3 + 1) for _ in range(options.repeats)]
        _, seed, pairwise, sent = keys[0]
        for d in options.values:
            values = np.random.default_rng(1).normal(size=d)
            masked = [mask(values, seed, pairwise) for _ in range(options.repeats)]
            print(json.dumps({
                "peer": f"flwr {flwr.__version__}",
                "clients": clients,
                "values": d,
                "share_keys_ms": round(1e3 * min(k[0] for k in keys), 2),
                "mask_ms": round(1e3 * min(m[0] for m in masked), 2),
                "shares_bytes": sent,
                "masked_bytes": masked[0][1],
            }), flush=True)


if __name__ == "__main__":
    main()
