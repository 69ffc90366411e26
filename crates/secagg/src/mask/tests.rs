use aes::cipher::{BlockCipherEncrypt, KeyInit};
use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> MaskKey {
    MaskKey::from_bytes([byte; 32])
}

fn mask(prg: Prg, byte: u8, words: usize) -> Vec<u64> {
    let mut out = vec![0; words];
    expand_into(prg, &key(byte), Sign::Add, 0, &mut out);
    out
}

fn workers(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// The AES below the mask is AES-256: NIST SP 800-38A, F.1.5 (ECB-AES256.Encrypt, block 1).
#[test]
fn the_block_cipher_is_that_of_sp_800_38a() {
    let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let mut block = aes::Block::try_from(hex("6bc1bee22e409f96e93d7e117393172a").as_slice()).unwrap();
    aes::Aes256::new_from_slice(&key).unwrap().encrypt_block(&mut block);
    assert_eq!(block.to_vec(), hex("f3eed1bdb5d2a03c064b5a7e3db181f8"));
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// Two words of a keystream at a word offset, under the key 000102…1f.
type Known = (u64, [u64; 2]);

/// `openssl enc -aes-256-ecb -nopad -K 000102…1f` (OpenSSL 3) over the counters 0, 1, 255, 256 and 257 as 16 little-endian bytes; that of
/// 2^32 by Python's `cryptography`, which gave the same for the others.
const AES_256_CTR: [Known; 6] = [
    (0, [0xd09f_492a_b600_90f2, 0x8077_2edd_6a9a_f3a9]),
    (2, [0x1c41_116a_8419_b5c7, 0xa801_f803_cb07_acd6]),
    (510, [0x94da_c2c9_3173_a3d9, 0xd62b_32f7_f737_1796]),
    (512, [0x4b83_c7ef_2c59_d905, 0x51a1_6848_6176_97f6]),
    (514, [0xc790_9bef_3fdf_b77a, 0xa741_4720_e092_3250]),
    (1 << 33, [0xb3e5_765c_8550_af9b, 0xc908_5b38_457a_615f]),
];

/// The same with `-aes-128-ecb -K 000102…0f`.
const AES_128_CTR: [Known; 6] = [
    (0, [0x825b_8f87_373b_a1c6, 0x79d8_c8a1_6281_4f6f]),
    (2, [0xa087_7cdd_63d3_7ce3, 0x829c_e060_3e0e_ff9a]),
    (510, [0x9687_39e4_5a90_03e7, 0xc7da_439e_3295_14f0]),
    (512, [0xc931_fe7e_3cb6_b19e, 0x0839_afba_87b9_6ba4]),
    (514, [0xcd62_e13a_bb0f_826d, 0xfd7b_1a5a_ea87_03ae]),
    (1 << 33, [0x288b_e66c_b631_a654, 0xb559_77f2_c249_6b7b]),
];

/// Python `cryptography` 48 (OpenSSL 3), `algorithms.ChaCha20` with the block counter in the first 4 bytes of the nonce and
/// zeros behind: blocks 0, 1, 63, 64, 65 and 2^30.
const CHACHA20: [Known; 6] = [
    (0, [0x6a19_c5d9_7d2b_fd39, 0x494a_dcb8_7703_bd8d]),
    (8, [0xd1a6_e6ad_3142_b818, 0x274e_43af_615c_6113]),
    (504, [0xd7ec_fd94_79d8_78d8, 0xb023_f651_9599_5599]),
    (512, [0xc7e8_60c3_db98_c38e, 0x273e_6aae_6e07_680a]),
    (520, [0xb593_d18d_6cf4_4d02, 0x5a61_2fb3_c955_eb8f]),
    (1 << 33, [0x6d0a_8ff0_03ed_0c10, 0x8dd1_a11e_9b16_4269]),
];

/// RFC 8439, section 2.3, written out in Python with 8 rounds. With 20 rounds the same script gives the blocks of
/// `cryptography` above; with 8 and a zero key it gives TC1 of draft-strombergson-chacha-test-vectors-01 (below).
const CHACHA8: [Known; 6] = [
    (0, [0x6aab_126e_8fb2_1540, 0x3312_c531_7b66_e8d9]),
    (8, [0x59b8_b2c8_0f6e_1a76, 0x9975_0a17_aef3_a9f5]),
    (504, [0x9528_c38b_2b9f_1f60, 0xeb0c_b675_5e6d_85f7]),
    (512, [0xea09_552f_da12_09fc, 0x11d1_43ea_f961_258b]),
    (520, [0x33e0_6a10_e9e0_2121, 0x7373_196f_db96_a05e]),
    (1 << 33, [0x3cac_f8dc_5de4_8e16, 0x413b_aacf_bbd4_19f5]),
];

#[test]
fn claim_every_stream_is_that_of_another_implementation() {
    let key = MaskKey::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    for (prg, known) in [
        (Prg::Aes256Ctr, AES_256_CTR),
        (Prg::Aes128Ctr, AES_128_CTR),
        (Prg::ChaCha20, CHACHA20),
        (Prg::ChaCha8, CHACHA8),
    ] {
        let mut stream = vec![0; 600];
        expand_into(prg, &key, Sign::Add, 0, &mut stream);
        for (offset, words) in known {
            let mut sought = [0; 2];
            expand_into(prg, &key, Sign::Add, offset, &mut sought);
            assert_eq!(sought, words, "{prg:?} sought at {offset}");
            if let Some(read) = usize::try_from(offset).ok().and_then(|i| stream.get(i..i + 2)) {
                assert_eq!(read, words, "{prg:?} read up to {offset}");
            }
        }
    }
}

/// draft-strombergson-chacha-test-vectors-01, TC1, 256-bit key, 8 rounds.
#[test]
fn chacha8_is_that_of_the_published_test_vectors() {
    let mut block = [0u8; 32];
    keystream(Prg::ChaCha8, &key(0), 0, &mut block);
    assert_eq!(block.to_vec(), hex("3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e"));
}

/// An independent computation: one block call at a time, counters written by hand.
#[test]
fn the_stream_is_aes_of_little_endian_counters_across_chunks() {
    let words = 3 * CHUNK_WORDS + 5;
    let cipher = aes::Aes256::new(&[9u8; 32].into());
    let expected: Vec<u64> = (0..words.div_ceil(2) as u128)
        .flat_map(|counter| {
            let mut block = aes::Block::from(counter.to_le_bytes());
            cipher.encrypt_block(&mut block);
            let bytes: [u8; 16] = block.into();
            let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
            [word(&bytes[..8]), word(&bytes[8..])]
        })
        .take(words)
        .collect();
    assert_eq!(mask(Prg::Aes256Ctr, 9, words), expected);
}

#[test]
fn no_two_generators_and_no_two_keys_make_one_mask() {
    let mut first = std::collections::BTreeSet::new();
    for prg in Prg::ALL {
        for byte in 0..8 {
            assert!(first.insert(mask(prg, byte, 2)));
        }
    }
    // AES-128 takes half of the key, and says so.
    let mut other = [7; 32];
    other[16..].fill(8);
    let mut words = vec![0; 2];
    expand_into(Prg::Aes128Ctr, &MaskKey::from_bytes(other), Sign::Add, 0, &mut words);
    assert_eq!(words, mask(Prg::Aes128Ctr, 7, 2));
}

fn any_prg() -> impl Strategy<Value = Prg> {
    prop::sample::select(Prg::ALL.to_vec())
}

/// What [`expand_all`] must give: one mask after another over the whole vector.
fn one_by_one(prg: Prg, signs: &[Sign], words: &[u64]) -> Vec<u64> {
    let mut out = words.to_vec();
    for (byte, sign) in (0u8..).zip(signs) {
        let mask = mask(prg, byte, words.len());
        for (word, mask) in out.iter_mut().zip(mask) {
            *word = if *sign == Sign::Add { word.wrapping_add(mask) } else { word.wrapping_sub(mask) };
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_added_by_one_is_subtracted_by_the_other(
        prg in any_prg(), key: [u8; 32], words in prop::collection::vec(any::<u64>(), 0..1500),
    ) {
        let mut masked = words.clone();
        expand_into(prg, &MaskKey::from_bytes(key), Sign::Add, 0, &mut masked);
        prop_assert!(words.len() < 2 || masked != words);
        expand_into(prg, &MaskKey::from_bytes(key), Sign::Subtract, 0, &mut masked);
        prop_assert_eq!(masked, words);
    }

    #[test]
    fn a_mask_sought_is_the_slice_of_the_whole(prg in any_prg(), from in 0usize..1400, len in 0usize..1400) {
        let whole = mask(prg, 4, 2800);
        let mut sought = vec![0; len];
        expand_into(prg, &key(4), Sign::Add, from as u64, &mut sought);
        prop_assert_eq!(&sought, &whole[from..from + len]);
        let mut bytes = vec![0u8; 8 * len];
        keystream(prg, &key(4), from as u64, &mut bytes);
        prop_assert_eq!(bytes, whole[from..from + len].iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>());
    }

    /// Every number of masks around the four abreast, both signs, lengths that end within chunks, parts and blocks, and more
    /// or fewer threads than there is work for.
    #[test]
    fn many_masks_at_once_are_the_masks_one_by_one(
        prg in any_prg(),
        signs in prop::collection::vec(prop::sample::select(vec![Sign::Add, Sign::Subtract]), 0..11),
        len in 0usize..20_000,
        threads in 1usize..5,
        start: u64,
    ) {
        let words: Vec<u64> = (0..len as u64).map(|i| start.wrapping_mul(i | 1)).collect();
        let mut out = words.clone();
        let masks = (0u8..).zip(&signs).map(|(byte, sign)| (key(byte), *sign));
        expand_all(prg, masks, &mut out, workers(threads));
        prop_assert!(out == one_by_one(prg, &signs, &words));
    }
}

/// More masks than are made ready together, and a vector on the edges of chunk, part and block.
#[test]
fn many_batches_and_every_edge_give_the_masks_one_by_one() {
    let signs: Vec<Sign> = (0..2 * BATCH + 3).map(|i| if i % 3 == 0 { Sign::Subtract } else { Sign::Add }).collect();
    let masks = |signs: &[Sign]| -> Vec<(MaskKey, Sign)> { (0u8..).zip(signs).map(|(b, s)| (key(b), *s)).collect() };
    for len in [0, 1, 2, 511, 512, 513] {
        let mut out = vec![5; len];
        expand_all(Prg::Aes256Ctr, masks(&signs), &mut out, workers(2));
        assert!(out == one_by_one(Prg::Aes256Ctr, &signs, &vec![5; len]), "{len}");
    }
    for len in [PART_WORDS, PART_WORDS + 1, BLOCK_WORDS - 1, BLOCK_WORDS, BLOCK_WORDS + 1, 2 * BLOCK_WORDS + 3] {
        let mut out = vec![5; len];
        expand_all(Prg::Aes256Ctr, masks(&signs[..6]), &mut out, workers(3));
        assert!(out == one_by_one(Prg::Aes256Ctr, &signs[..6], &vec![5; len]), "{len}");
    }
}

/// n = 2 to 200, every suite and lane count in turn, d = 9 in as few words as they fit: the values that n clients may reach
/// together, and ±(2^(w−1) − 1) of one against its opposite. The masks of R2 cancel and the sum is the sum.
#[test]
fn claim_pairwise_masks_of_up_to_two_hundred_clients_leave_the_sum_of_extremes() {
    use sottovoce_types::{Lanes, RingVec};
    for n in 2u8..=200 {
        let lanes = Lanes::new(1 + n % 6).unwrap();
        let prg = Prg::ALL[usize::from(n / 6) % 4];
        let top = i64::try_from(lanes.max_magnitude()).unwrap();
        let share = top / i64::from(n);
        let pair =
            |a: u8, b: u8| MaskKey::from_bytes(std::array::from_fn(|i| if i == 0 { a.min(b) } else { a.max(b) }));
        let mut sum = RingVec::zeros(lanes.words(9), lanes);
        for i in 0..n {
            let own = match i {
                0 => top,
                1 => -top,
                _ => 0,
            };
            let values = [share, -share, share, -share, 0, 1, -1, own, -own];
            let mut input = RingVec::pack(&values, lanes).unwrap();
            let sign = |j| if j > i { Sign::Add } else { Sign::Subtract };
            let masks = (0..n).filter(|j| *j != i).map(|j| (pair(i, j), sign(j)));
            expand_all(prg, masks, input.words_mut(), workers(1));
            sum.add(&input);
        }
        let n = i64::from(n);
        let all = n * share;
        assert_eq!(sum.unpack(9), [all, -all, all, -all, 0, n, -n, 0, 0], "n {n} {prg:?} {lanes:?}");
    }
}

/// Chi-square over the 256 byte values, 255 degrees of freedom.
fn chi_square(words: &[u64]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in words.iter().flat_map(|w| w.to_le_bytes()) {
        counts[usize::from(byte)] += 1;
    }
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    counts.iter().map(|c| (f64::from(*c) - expected).powi(2) / expected).sum()
}

/// 400 is exceeded with probability 1.6e-8 by uniform bytes; 130 is not reached with probability below 1e-11, so that bytes
/// that are too even (a counter) fail as well.
const UNIFORM: std::ops::Range<f64> = 130.0..400.0;

#[test]
fn claim_the_bytes_and_the_differences_of_every_stream_are_uniform() {
    for prg in Prg::ALL {
        let words = mask(prg, 11, 1 << 16);
        assert!(UNIFORM.contains(&chi_square(&words)), "{prg:?}: {}", chi_square(&words));
        // Of neighbouring words, and of the streams of two keys that differ in one bit.
        let steps: Vec<u64> = words.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        assert!(UNIFORM.contains(&chi_square(&steps)), "{prg:?}: {}", chi_square(&steps));
        let other = mask(prg, 10, 1 << 16);
        let apart: Vec<u64> = words.iter().zip(&other).map(|(a, b)| a.wrapping_sub(*b)).collect();
        assert!(UNIFORM.contains(&chi_square(&apart)), "{prg:?}: {}", chi_square(&apart));
    }
}

/// The control: what is not a mask fails the same test.
#[test]
fn control_the_uniformity_test_catches_counters_small_numbers_and_a_bias_of_one_bit_in_a_hundred() {
    let counter: Vec<u64> = (0..1u64 << 16).map(|i| i.wrapping_mul(0x0101_0101_0101_0101)).collect();
    assert!(!UNIFORM.contains(&chi_square(&counter)), "{}", chi_square(&counter));
    let small: Vec<u64> = (0..1u64 << 16).map(|i| i % 201).collect();
    assert!(!UNIFORM.contains(&chi_square(&small)), "{}", chi_square(&small));
    let mut biased = mask(Prg::Aes256Ctr, 11, 1 << 16);
    biased.iter_mut().step_by(50).for_each(|w| *w |= 0x0101_0101_0101_0101);
    assert!(!UNIFORM.contains(&chi_square(&biased)), "{}", chi_square(&biased));
}
