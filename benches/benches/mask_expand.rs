//! Mask expansion, each suite beside its limit, the keystream alone in the same run; the targets are 1.3 for one mask and for
//! many. `keystream` is the fastest that this crate's own cipher calls give (16 KiB at a time, in the first-level cache);
//! `ctr` is the `ctr` crate with a 128-bit counter, so that nobody has to take that for granted. `copy` is what memory costs.
//!
//! `cargo bench -p sottovoce-benches --bench mask_expand`
#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;
use std::num::NonZeroUsize;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ctr::Ctr128LE;
use sottovoce_secagg::mask::{MaskKey, Prg, Sign, expand_all, expand_into, keystream};

/// A vector of 125 000 words: 500 000 coordinates at four lanes.
const WORDS: usize = 125_000;

/// Masks at once: a client among ten.
const MASKS: u8 = 10;

fn mask_expand(c: &mut Criterion) {
    for prg in Prg::ALL {
        let mut group = c.benchmark_group(format!("mask_expand/{prg:?}"));
        let key = MaskKey::from_bytes([7; 32]);
        let mut words = vec![1u64; WORDS];

        let mut stream = vec![0u8; 1 << 14];
        group.throughput(Throughput::Bytes(1 << 14));
        group.bench_function("keystream", |b| b.iter(|| keystream(prg, &key, 0, black_box(&mut stream))));

        group.throughput(Throughput::Bytes(8 * WORDS as u64));
        group.bench_function("one mask", |b| b.iter(|| expand_into(prg, &key, Sign::Add, 0, black_box(&mut words))));

        group.throughput(Throughput::Bytes(8 * WORDS as u64 * u64::from(MASKS)));
        group.bench_function("ten masks", |b| {
            b.iter(|| {
                let masks = (0..MASKS)
                    .map(|i| (MaskKey::from_bytes([i; 32]), if i % 2 == 0 { Sign::Add } else { Sign::Subtract }));
                expand_all(prg, masks, black_box(&mut words), NonZeroUsize::MIN);
            });
        });
        group.finish();
    }

    let mut group = c.benchmark_group("mask_expand/beside");
    let mut stream = vec![0u8; 1 << 14];
    group.throughput(Throughput::Bytes(1 << 14));
    let mut cipher = Ctr128LE::<Aes256>::new(&[7u8; 32].into(), &[0u8; 16].into());
    group.bench_function("ctr", |b| b.iter(|| cipher.write_keystream(black_box(&mut stream))));

    let (mut words, source) = (vec![1u64; WORDS], vec![3u64; WORDS]);
    group.throughput(Throughput::Bytes(8 * WORDS as u64));
    group.bench_function("copy", |b| b.iter(|| black_box(&mut words).copy_from_slice(black_box(&source))));
    group.finish();
}

criterion_group!(benches, mask_expand);
criterion_main!(benches);
