"""Recomputes whole attempts of secure aggregation from their fixed randomness and compares every byte.

Written from the protocol's description, with nothing but `cryptography` and the standard library: X25519, Ed25519, AES-256-GCM, AES,
ChaCha20, SHA-256 and HMAC. Shamir's sharing, HKDF (RFC 5869), Merkle trees, encodings and packing are written out here.

    python3 secagg_kat.py attempts.json

Ends with 0 when all agree; says which value differs first otherwise.
"""
import hashlib
import hmac
import json
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P = 2**64 - 2**32 + 1  # the field of shares
PREFIX = b"sottovoce/1/"
SUITES = {"aes-256-ctr": 1, "chacha20": 2, "aes-128-ctr": 3}


# ---- hashes, keys, signatures ----

def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


def framed(label, fields):
    """The label and the fields, each after its length as eight bytes."""
    return b"".join(u64(len(field)) + field for field in [PREFIX + label, *fields])


def digest(label, *fields):
    return hashlib.sha256(framed(label, fields)).digest()


def hkdf(salt, ikm, label, fields):
    """HKDF-SHA-256 to 32 bytes."""
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    return hmac.new(prk, framed(label, fields) + b"\x01", hashlib.sha256).digest()


def raw(public_key):
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(key, label, message):
    return key.sign(framed(label, [message]))


def client_id(public_key):
    return hashlib.sha256(public_key).digest()


def merkle_root(leaves):
    level = [digest(b"leaf", u64(i), leaf) for i, leaf in enumerate(leaves)]
    while len(level) > 1:
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level = [digest(b"node", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0] if level else bytes(32)


def merkle_path(leaves, place):
    """The neighbours on the way from a leaf to the root, lowest first."""
    level, path = [digest(b"leaf", u64(i), leaf) for i, leaf in enumerate(leaves)], []
    while len(level) > 1:
        path += level[place ^ 1:(place ^ 1) + 1]
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level, place = [digest(b"node", *pair) if len(pair) == 2 else pair[0] for pair in pairs], place // 2
    return path


def members_digest(n, members):
    bitmap = bytearray((n + 7) // 8)
    for i in members:
        bitmap[i // 8] |= 1 << (i % 8)
    return digest(b"members", u64(n), bytes(bitmap))


# ---- BLAKE3 of at most one chunk of 1024 bytes: what a short vector needs ----

BLAKE3_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
CHUNK_START, CHUNK_END, ROOT, KEYED_HASH, DERIVE_KEY_CONTEXT, DERIVE_KEY_MATERIAL = 1, 2, 8, 16, 32, 64


def rotated(word, bits):
    return (word >> bits | word << (32 - bits)) & 0xFFFFFFFF


def compress(chaining, block, length, flags):
    m = [int.from_bytes(block[k:k + 4], "little") for k in range(0, 64, 4)]
    v = [*chaining, *BLAKE3_IV[:4], 0, 0, length, flags]
    for _ in range(7):
        for k, (a, b, c, d) in enumerate(((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                                          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))):
            for word, right, left in ((m[2 * k], 16, 12), (m[2 * k + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
                v[d] = rotated(v[d] ^ v[a], right)
                v[c] = (v[c] + v[d]) & 0xFFFFFFFF
                v[b] = rotated(v[b] ^ v[c], left)
        m = [m[k] for k in (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)]
    return [v[k] ^ v[k + 8] for k in range(8)]


def blake3(key, data, mode):
    assert len(data) <= 1024, "longer ones are trees"
    chaining = [int.from_bytes(key[k:k + 4], "little") for k in range(0, 32, 4)]
    blocks = [data[k:k + 64] for k in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        flags = mode | (CHUNK_START if i == 0 else 0) | (CHUNK_END | ROOT if i == len(blocks) - 1 else 0)
        chaining = compress(chaining, block.ljust(64, b"\0"), len(block), flags)
    return b"".join(word.to_bytes(4, "little") for word in chaining)


def derive_key(context, material):
    start = b"".join(word.to_bytes(4, "little") for word in BLAKE3_IV)
    return blake3(blake3(start, context, DERIVE_KEY_CONTEXT), material, DERIVE_KEY_MATERIAL)


def input_root(client, words):
    """The tree over the chunks of a masked input: of one chunk, its leaf."""
    owner = derive_key(b"sottovoce/1/chunk", b"\0" + client)
    return blake3(blake3(owner, u64(0), KEYED_HASH), words_bytes(words), KEYED_HASH)


def input_signed(ctx2, client, root, words):
    """What a client signs of its masked input."""
    return digest(b"input", ctx2, client, root, u64(len(words)))


# ---- randomness: a ChaCha20 keystream, zero nonce ----

def chacha20(key, length):
    return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(length))


class Randomness:
    def __init__(self, seed):
        self.stream, self.at = chacha20(seed, 1 << 16), 0

    def take(self, n):
        self.at += n
        return self.stream[self.at - n:self.at]

    def element(self):
        """Uniform below P, by rejection."""
        while True:
            (value,) = struct.unpack("<Q", self.take(8))
            if value < P:
                return value

    def quad(self):
        return [self.element() for _ in range(4)]


# ---- Shamir's sharing of four elements ----

def quad_bytes(quad):
    return b"".join(u64(e) for e in quad)


def share(secret, threshold, holders, randomness):
    """Holder i has the values at i + 1 of four polynomials of degree threshold - 1."""
    higher = [randomness.quad() for _ in range(threshold - 1)]
    polynomials = [[secret[e], *(quad[e] for quad in higher)] for e in range(4)]
    return [[sum(c * pow(x, k, P) for k, c in enumerate(poly)) % P for poly in polynomials]
            for x in range(1, holders + 1)]


def combine(shares):
    """The secret of shares by holder."""
    secret = [0] * 4
    for i, quad in shares.items():
        weight = 1
        for j in shares:
            if j != i:
                weight = weight * (j + 1) * pow(j - i, -1, P) % P
        secret = [(s + weight * v) % P for s, v in zip(secret, quad)]
    return secret


# ---- masks and packing ----

def keystream(suite, key, words):
    length = 8 * words
    if suite == "chacha20":
        stream = chacha20(key, length)
    else:
        key = key if suite == "aes-256-ctr" else key[:16]
        counters = b"".join(i.to_bytes(16, "little") for i in range((length + 15) // 16))
        stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(counters)[:length]
    return list(struct.unpack(f"<{words}Q", stream))


def add(words, mask, sign_of_mask):
    return [(w + sign_of_mask * m) % 2**64 for w, m in zip(words, mask)]


def pack(values, lanes):
    bits = 64 // lanes
    return [sum(v << (bits * k) for k, v in enumerate(values[i:i + lanes])) % 2**64 for i in range(0, len(values), lanes)]


def unpack(words, lanes, count):
    bits, values = 64 // lanes, []
    for word in words:
        for _ in range(lanes):
            value = word % 2**bits
            value -= 2**bits if value >= 2**(bits - 1) else 0
            values.append(value)
            word = ((word - value) % 2**64) >> bits
    return values[:count]


def words_bytes(words):
    return struct.pack(f"<{len(words)}Q", *words)


def listed(items):
    return u32(len(items)) + b"".join(items)


# ---- layers of noise ----

def layer_count(dealers, q):
    """Layers beside the base: the binary digits of the dropouts that are tolerated."""
    return (dealers - q).bit_length()


def surplus_layers(dealers, q, f, gone):
    """Which layers are taken off: the binary digits of the largest multiple of the smallest that leaves enough."""
    honest, tolerated, count = dealers - f, dealers - q, layer_count(dealers, q)
    if tolerated == 0:
        return []
    units = (2**count - 1) * honest * (tolerated - gone) // (tolerated * (honest - gone))
    return [k for k in range(count) if units >> k & 1]


# ---- an attempt ----

class Client:
    """One client: its identity, what it drew, and what it holds of others."""

    def __init__(self, data, cfg, layers):
        self.identity = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(data["identity_seed"]))
        self.public = raw(self.identity.public_key())
        self.id = client_id(self.public)
        self.input = data["input"]
        self.randomness = Randomness(bytes.fromhex(data["randomness_seed"]))
        self.s, self.b = self.randomness.quad(), self.randomness.quad()
        c, self.nonce = self.randomness.take(32), self.randomness.take(32)
        self.mask = X25519PrivateKey.from_private_bytes(hkdf(cfg, quad_bytes(self.s), b"sk-mask", [self.id]))
        self.channel = X25519PrivateKey.from_private_bytes(hkdf(cfg, c, b"sk-chan", [self.id]))
        self.pk_mask, self.pk_chan = raw(self.mask.public_key()), raw(self.channel.public_key())
        self.commit_b = digest(b"commit-b", cfg, self.id, quad_bytes(self.b))
        self.layers = [self.randomness.quad() for _ in range(layers)]
        self.commit_layers = [digest(b"commit-layer", cfg, self.id, u64(k), quad_bytes(seed))
                              for k, seed in enumerate(self.layers)]
        fields = [cfg, self.id, self.pk_mask, self.pk_chan, self.commit_b]
        signed = digest(b"advert", *fields, self.nonce, *self.commit_layers)
        self.advert = b"".join([*fields, *self.commit_layers, self.nonce]) + sign(self.identity, b"advert", signed)

    def deal(self, clients, me, threshold, ctx1):
        of_s = share(self.s, threshold, len(clients), self.randomness)
        of_b = share(self.b, threshold, len(clients), self.randomness)
        of_layers = [share(seed, threshold, len(clients), self.randomness) for seed in self.layers]
        self.pairs, self.envelopes, entries = [], {}, []
        for j, holder in enumerate(clients):
            # Openers are drawn holder by holder.
            pair = [(shares[j], self.randomness.take(32)) for shares in (of_s, of_b, *of_layers)]
            self.pairs.append(pair)
            commits = [digest(b"share-commit", ctx1, self.id, holder.id, u64(kind), quad_bytes(value), opener)
                       for kind, (value, opener) in enumerate(pair)]
            sealed = b""
            if j != me:
                agreed = self.channel.exchange(X25519PublicKey.from_public_bytes(holder.pk_chan))
                key = hkdf(ctx1, agreed, b"env-key", [self.id, holder.id])
                plain = b"".join(quad_bytes(value) + opener for value, opener in pair)
                sealed = AESGCM(key).encrypt(bytes(12), plain, framed(b"env-key", [ctx1, self.id, holder.id]))
                self.envelopes[j] = sealed
            entries.append(b"".join([*commits[:2], digest(b"envelope", sealed), *commits[2:]]))
        self.entries = entries
        signed = digest(b"shares", ctx1, self.id, u64(len(entries)), merkle_root(entries))
        self.dealing_signature = sign(self.identity, b"shares", signed)
        self.dealing_digest = digest(b"dealing", signed, self.dealing_signature)
        self.dealing = listed(entries) + self.dealing_signature
        return self.dealing + listed([self.envelopes[j] for j in sorted(self.envelopes)])


def pair_key(secret, peer_public, ctx2, a, b):
    agreed = secret.exchange(X25519PublicKey.from_public_bytes(peer_public))
    return hkdf(ctx2, agreed, b"mask/pair", [min(a, b), max(a, b)])


def masked_input(clients, me, data, ctx2):
    own, suite = clients[me], data["suite"]
    words = pack(own.input, data["lanes"])
    words = add(words, keystream(suite, hkdf(ctx2, quad_bytes(own.b), b"mask/self", [own.id]), len(words)), 1)
    for j, peer in enumerate(clients):
        if j != me:
            key = pair_key(own.mask, peer.pk_mask, ctx2, own.id, peer.id)
            words = add(words, keystream(suite, key, len(words)), 1 if j > me else -1)
    return words


def unmasked(clients, there, shares_opened, sent, data, cfg, ctx2):
    """The sum, from what was sent and opened alone: secrets are put together from shares and checked against the adverts."""
    suite, words = data["suite"], [sum(column) % 2**64 for column in zip(*sent.values())]
    for i, dealer in enumerate(clients):
        secret = combine({holder: opened[i] for holder, opened in shares_opened.items()})
        if i in there:
            assert digest(b"commit-b", cfg, dealer.id, quad_bytes(secret)) == dealer.commit_b, "b is not the committed one"
            key = hkdf(ctx2, quad_bytes(secret), b"mask/self", [dealer.id])
            words = add(words, keystream(suite, key, len(words)), -1)
        else:
            mask = X25519PrivateKey.from_private_bytes(hkdf(cfg, quad_bytes(secret), b"sk-mask", [dealer.id]))
            assert raw(mask.public_key()) == dealer.pk_mask, "s does not give the mask key"
            for j in there:
                key = pair_key(mask, clients[j].pk_mask, ctx2, dealer.id, clients[j].id)
                # What j added for a later dealer, or took off for an earlier one.
                words = add(words, keystream(suite, key, len(words)), -1 if i > j else 1)
    return words


class Difference(Exception):
    pass


def check(data):
    compared = 0

    def same(what, ours, theirs):
        nonlocal compared
        if ours != theirs:
            raise Difference(f"{data['suite']}: {what} differs")
        compared += 1

    def messages(what, ours):
        theirs = data["messages"][what]
        same(f"the number of {what}", len(ours), len(theirs))
        for i, (a, b) in enumerate(zip(ours, theirs)):
            same(f"{what} {i}", a.hex(), b)

    cfg = bytes.fromhex(data["cfg"])
    coordinator = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(data["coordinator_seed"]))
    n, f = len(data["clients"]), data["max_corrupt"]
    q = (n + f) // 2 + 1
    law = bytes.fromhex(data["layers"]) if data["layers"] else None
    layers = layer_count(n, q) if law else 0
    clients = sorted((Client(c, cfg, layers) for c in data["clients"]), key=lambda c: c.id)
    messages("adverts", [c.advert for c in clients])

    adverts_root = merkle_root([c.advert for c in clients])
    roster = listed([c.advert for c in clients])
    roster += sign(coordinator, b"roster", digest(b"roster", cfg, adverts_root, u64(n)))
    messages("roster", [roster])

    ids = b"".join(c.id for c in clients)
    ctx1 = digest(b"ctx1", cfg, raw(coordinator.public_key()), adverts_root, ids, u64(data["n_min"]), u64(f),
                  u64(data["lanes"]), u64(data["words"]), u64(SUITES[data["suite"]]), *([b"layers", law] if law else []))
    same("ctx1", ctx1.hex(), data["ctx1"])
    messages("shares", [c.deal(clients, i, q, ctx1) for i, c in enumerate(clients)])

    dealers = [u32(i) + c.dealing_digest for i, c in enumerate(clients)]
    envelopes = [listed(dealers) + listed([u32(j) + dealer.entries[i] + listed(merkle_path(dealer.entries, i))
                                           + dealer.dealing_signature + dealer.envelopes[i]
                                           for j, dealer in enumerate(clients) if j != i]) for i in range(n)]
    messages("envelopes", envelopes)
    shares_root = merkle_root(dealers)
    ctx2 = digest(b"ctx2", ctx1, members_digest(n, range(n)), shares_root)
    same("ctx2", ctx2.hex(), data["ctx2"])

    there = [i for i in range(n) if i != data["gone"]]
    sent = {i: masked_input(clients, i, data, ctx2) for i in there}
    roots = {i: input_root(clients[i].id, sent[i]) for i in there}
    owned = {i: sign(clients[i].identity, b"input", input_signed(ctx2, clients[i].id, roots[i], sent[i])) for i in there}
    messages("masked_inputs", [words_bytes(sent[i]) + owned[i] for i in there])

    survivors = listed([u32(i) + roots[i] + owned[i] for i in there])
    messages("survivors", [survivors])
    inputs_root = merkle_root([u32(i) + roots[i] for i in there])
    ctx3 = digest(b"u3", ctx2, members_digest(n, there), inputs_root)
    same("ctx3", ctx3.hex(), data["ctx3"])
    signatures = {i: sign(clients[i].identity, b"u3", ctx3) for i in there}
    messages("signatures", [signatures[i] for i in there])
    quorum = listed([u32(i) + signatures[i] for i in there])
    messages("quorum", [quorum])

    openings, opened = [], {}
    surplus = surplus_layers(n, q, f, n - len(there)) if law else []
    for i in there:
        # Of a contributor the share of b, of a dropout the share of s.
        pairs = [dealer.pairs[i][1 if j in there else 0] for j, dealer in enumerate(clients)]
        opened[i] = [value for value, _ in pairs]
        fields = [part for value, opener in pairs for part in (quad_bytes(value), opener)]
        # Of layers: its own seeds of the surplus, and its shares of those of the contributors.
        of_layers = b""
        if law:
            own = [quad_bytes(clients[i].layers[k]) for k in surplus]
            held = [[dealer.pairs[i][2 + k] for k in surplus] if j in there else [] for j, dealer in enumerate(clients)]
            held = [[(quad_bytes(value), opener) for value, opener in of_dealer] for of_dealer in held]
            fields += [b"layers", u64(len(own)), *own]
            for of_dealer in held:
                fields += [u64(len(of_dealer)), *(part for both in of_dealer for part in both)]
            of_layers = listed(own) + listed([listed([value + opener for value, opener in d]) for d in held])
        signature = sign(clients[i].identity, b"open", digest(b"open", ctx3, *fields))
        openings.append(listed([b"\x01" + quad_bytes(value) + opener for value, opener in pairs]) + of_layers + signature)
    messages("openings", openings)

    keys = [[clients[i].id.hex(), k, hkdf(ctx2, quad_bytes(combine({h: clients[i].pairs[h][2 + k][0] for h in there})),
                                         b"noise/layer", [clients[i].id, u32(k)]).hex()] for i in there for k in surplus]
    same("the keys of the surplus", keys, data["surplus"])

    words = unmasked(clients, there, opened, sent, data, cfg, ctx2)
    same("the sum's words", words, data["sum_words"])
    plain = [sum(clients[i].input[k] for i in there) for k in range(len(data["sum"]))]
    same("the sum", unpack(words, data["lanes"], len(plain)), data["sum"])
    same("the plain sum", plain, data["sum"])
    certificate = listed([c.id for c in clients]) + adverts_root + listed([u32(i) for i in range(n)]) + shares_root
    # No graph was picked.
    messages("certificate", [certificate + b"\x00" + survivors + quorum])
    return compared


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        attempts = json.load(file)
    try:
        for data in attempts:
            print(f"{data['suite']}: {check(data)} values agree")
    except Difference as difference:
        sys.exit(str(difference))


if __name__ == "__main__":
    main()
