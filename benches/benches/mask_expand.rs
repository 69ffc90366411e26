//! Mask expansion against its two limits: the keystream alone (what the cipher costs) and a copy of the same bytes (what the
//! memory costs). The gap between `expand_into` and `keystream` is what fusing the addition costs; the target is 1.3.
//!
//! `cargo bench -p sottovoce-benches --bench mask_expand`
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ctr::Ctr128LE;
use sottovoce_secagg::mask::{MaskKey, Sign, expand_into};

/// A vector of 100 000 words: 400 000 coordinates at four lanes.
const WORDS: usize = 100_000;

fn mask_expand(c: &mut Criterion) {
    let mut group = c.benchmark_group("mask_expand/100k_words");
    group.throughput(Throughput::Bytes(8 * WORDS as u64));

    let key = MaskKey::from_bytes([7; 32]);
    let mut words = vec![1u64; WORDS];
    group.bench_function("expand_into", |b| b.iter(|| expand_into(black_box(&key), Sign::Add, black_box(&mut words))));

    let mut stream = vec![0u8; 8 * WORDS];
    group.bench_function("keystream", |b| {
        b.iter(|| {
            let mut cipher = Ctr128LE::<Aes256>::new(&[7u8; 32].into(), &[0u8; 16].into());
            cipher.write_keystream(black_box(&mut stream));
        });
    });

    let source = vec![3u64; WORDS];
    group.bench_function("copy", |b| b.iter(|| black_box(&mut words).copy_from_slice(black_box(&source))));
    group.finish();
}

criterion_group!(benches, mask_expand);
criterion_main!(benches);
