"""Times Flower's own functions of SecAgg+ on the same n and d as `sottovoce bench secagg` and the bench `secagg_round`.

    pip install flwr==1.42.0 && python benches/peers/secagg.py [--clients 10 100] [--values 50000 1000000] [--repeats 3]

One client's work in a round, by the functions that Flower's client runs (`flwr/client/mod/secure_aggregation/secaggplus_mod.py`):
`_setup` and `_share_keys` (two key pairs, shares of both secrets, agreement with every other client, sealed shares) and
`_collect_masked_vectors` (open the sealed shares, clip, quantise, mask). Flower's defaults: values clipped to 8, 2^22 steps, a ring of
2^32. The best of the repeats is printed, with the bytes that leave. Compare on a quiet machine, one thread:

    OMP_NUM_THREADS=1 taskset -c 0 python benches/peers/secagg.py
"""
import argparse
import importlib
import json
import sys
import time

try:
    import flwr
    import numpy as np
    from flwr.app import ConfigRecord
    from flwr.common import ndarrays_to_parameters
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import encrypt, generate_shared_key
    from flwr.common.secure_aggregation.secaggplus_constants import Key
    from flwr.common.secure_aggregation.secaggplus_utils import share_keys_plaintext_concat
    from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key

    # The package has a function of the same name.
    mod = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")
except ImportError as error:
    sys.exit(f"this needs Flower 1.42: pip install flwr==1.42.0 ({error})")


def timed(work, *arguments):
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def set_up(nid, clients, threshold):
    """A client after stage 0."""
    state = mod.SecAggPlusState()
    state.nid = nid
    terms = {Key.SAMPLE_NUMBER: clients, Key.SHARE_NUMBER: clients, Key.THRESHOLD: threshold, Key.CLIPPING_RANGE: 8.0,
             Key.TARGET_RANGE: 1 << 22, Key.MOD_RANGE: 1 << 32, Key.MAX_WEIGHT: 1000.0}
    seconds, keys = timed(mod._setup, state, ConfigRecord(terms))
    return seconds, state, keys


def sealed_for(receiver, sender, shares):
    """What `sender` seals for `receiver` in stage 1."""
    key = generate_shared_key(bytes_to_private_key(sender.sk2), bytes_to_public_key(receiver.pk2))
    return encrypt(key, share_keys_plaintext_concat(sender.nid, receiver.nid, *shares))


def round_of_one(clients, values):
    """The seconds of sharing and of masking of client 0 of `clients`, and the bytes of each."""
    set_ups = [set_up(nid, clients, clients * 2 // 3 + 1) for nid in range(clients)]
    state = set_ups[0][1]
    public = ConfigRecord({str(nid): [keys[Key.PUBLIC_KEY_1], keys[Key.PUBLIC_KEY_2]]
                           for nid, (_, _, keys) in enumerate(set_ups)})
    seconds, shared = timed(mod._share_keys, state, public)
    shares = (state.rd_seed_share_dict[0], state.sk1_share_dict[0])
    others = [other for _, other, _ in set_ups[1:]]
    received = ConfigRecord({Key.CIPHERTEXT_LIST: [sealed_for(state, other, shares) for other in others],
                             Key.SOURCE_LIST: [other.nid for other in others]})
    masking, masked = timed(mod._collect_masked_vectors, state, received, 100, ndarrays_to_parameters([values]))
    return {
        "share_keys": set_ups[0][0] + seconds,
        "mask": masking,
        "shares_bytes": sum(len(c) for c in shared[Key.CIPHERTEXT_LIST]) + len(state.pk1) + len(state.pk2),
        "masked_bytes": sum(len(a) for a in masked[Key.MASKED_PARAMETERS]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--values", type=int, nargs="+", default=[50_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for clients in options.clients:
        for d in options.values:
            values = np.random.default_rng(1).normal(size=d)
            rounds = [round_of_one(clients, values) for _ in range(options.repeats)]
            print(json.dumps({
                "peer": f"flwr {flwr.__version__}",
                "clients": clients,
                "values": d,
                "share_keys_ms": round(1e3 * min(r["share_keys"] for r in rounds), 1),
                "mask_ms": round(1e3 * min(r["mask"] for r in rounds), 1),
                "shares_bytes": rounds[0]["shares_bytes"],
                "masked_bytes": rounds[0]["masked_bytes"],
            }), flush=True)


if __name__ == "__main__":
    main()
