//! What a client pays for signatures: one strict check, and what a batch would take of the same.
//!
//! `cargo bench -p sottovoce-benches --bench signatures`. The batch equation is beside it to say what is given up: no batch agrees with
//! the strict check (`crates/secagg/tests/batches.rs`), so clients check signatures one by one, and fewer of them
//! (`crates/secagg/proof.md`, section 6). What that makes of a whole attempt, `sottovoce bench secagg --graph sparse --clients 1000` says.
#![allow(missing_docs, clippy::unwrap_used, reason = "benches")]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha512};
use sottovoce_secagg::{Identity, labels, verify};

const MESSAGE: [u8; 32] = [7; 32];

struct Item {
    key: [u8; 32],
    signature: [u8; 64],
}

fn items(count: usize) -> Vec<Item> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut item = || {
        let id = Identity::generate(&mut rng);
        Item { key: id.public_key(), signature: id.sign(labels::CTX3, &MESSAGE) }
    };
    (0..count).map(|_| item()).collect()
}

/// Σ z_i (R_i + k_i A_i − s_i B) is the neutral element, for random z_i of 128 bits.
fn batch(items: &[Item], rng: &mut ChaCha20Rng) -> bool {
    let (mut scalars, mut points) = (Vec::with_capacity(2 * items.len()), Vec::with_capacity(2 * items.len()));
    let (mut of_base, message) = (Scalar::ZERO, labels::CTX3.framed(&[&MESSAGE]));
    for item in items {
        let z = Scalar::from((u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64()));
        let (r, s) = item.signature.split_at(32);
        let mut hasher = Sha512::new();
        hasher.update(r);
        hasher.update(item.key);
        hasher.update(&message);
        let k = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
        of_base -= z * Scalar::from_canonical_bytes(s.try_into().unwrap()).unwrap();
        scalars.extend([z, z * k]);
        points.extend([r, &item.key].map(|bytes| CompressedEdwardsY::from_slice(bytes).unwrap().decompress().unwrap()));
    }
    scalars.push(of_base);
    points.push(ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(&scalars, &points).is_identity()
}

fn signatures(c: &mut Criterion) {
    let mut group = c.benchmark_group("signatures");
    group.sample_size(10);
    for count in [100, 1000] {
        let items = items(count);
        group.throughput(Throughput::Elements(u64::try_from(count).unwrap()));
        group.bench_function(format!("strict/{count}"), |b| {
            b.iter(|| items.iter().all(|i| verify(black_box(&i.key), labels::CTX3, &MESSAGE, &i.signature).is_ok()));
        });
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        assert!(batch(&items, &mut rng));
        group.bench_function(format!("batch/{count}"), |b| b.iter(|| batch(black_box(&items), &mut rng)));
    }
    group.finish();
}

criterion_group!(benches, signatures);
criterion_main!(benches);
