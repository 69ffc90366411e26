//! Why signatures are not checked in batches: what every batch equation accepts, the strict check of one signature refuses.
//!
//! A batch asks whether Σ z_i (R_i + k_i A_i − s_i B) is the neutral element, for random z_i (Bernstein, Duif, Lange, Schwabe & Yang,
//! "High-speed high-security signatures", 2012, section 5). A signature whose R has a component of small order, which only the owner of
//! the key can make, leaves a term of small order: it vanishes for some z_i, or, where all is multiplied by the cofactor, always.
//! `verify_strict` multiplies by nothing and refuses it. To tell would take a check of R by itself, which costs as much as the
//! signature (Chalkias, Garillot & Nikolaenko, "Taming the many EdDSAs", 2020, section 4: no batch agrees with a check without cofactor).
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest as _, Sha512};
use sottovoce_secagg::labels::{self, Label};
use sottovoce_secagg::{BadSignature, Identity, verify};

const LABEL: Label = labels::CTX3;
const MESSAGE: &[u8] = b"the same survivors";

struct Item {
    key: [u8; 32],
    signature: [u8; 64],
}

fn wide(parts: &[&[u8]]) -> Scalar {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

fn challenge(r: &[u8], key: &[u8; 32]) -> Scalar {
    wide(&[r, key, &LABEL.framed(&[MESSAGE])])
}

/// A signature by the owner of `seed`, with `torsion` added to its R, and to its public key where `in_key` says so.
fn signed(seed: [u8; 32], torsion: EdwardsPoint, in_key: bool) -> Item {
    let expanded: [u8; 64] = Sha512::digest(seed).into();
    let secret = Scalar::from_bytes_mod_order(clamp_integer(*expanded.first_chunk().unwrap()));
    let neutral = EIGHT_TORSION[0];
    let (of_key, of_r) = if in_key { (torsion, neutral) } else { (neutral, torsion) };
    let key = (EdwardsPoint::mul_base(&secret) + of_key).compress().to_bytes();
    let nonce = wide(&[b"nonce", &seed]);
    let r = (EdwardsPoint::mul_base(&nonce) + of_r).compress().to_bytes();
    let s = nonce + challenge(&r, &key) * secret;
    Item { key, signature: [r, s.to_bytes()].concat().try_into().unwrap() }
}

fn honest(seed: u8) -> Item {
    let id = Identity::from_seed([seed; 32]);
    Item { key: id.public_key(), signature: id.sign(LABEL, MESSAGE) }
}

/// The batch equation, with the cofactor or without.
fn batch(items: &[Item], cofactor: bool, rng: &mut ChaCha20Rng) -> bool {
    let (mut scalars, mut points, mut of_base) = (Vec::new(), Vec::new(), Scalar::ZERO);
    for item in items {
        let z = Scalar::from((u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64()));
        let (r, s) = item.signature.split_at(32);
        of_base -= z * Scalar::from_canonical_bytes(s.try_into().unwrap()).unwrap();
        scalars.extend([z, z * challenge(r, &item.key)]);
        points.extend([r, &item.key].map(|bytes| CompressedEdwardsY::from_slice(bytes).unwrap().decompress().unwrap()));
    }
    scalars.push(of_base);
    points.push(ED25519_BASEPOINT_POINT);
    let left = EdwardsPoint::vartime_multiscalar_mul(&scalars, &points);
    if cofactor { left.mul_by_cofactor().is_identity() } else { left.is_identity() }
}

fn strict(item: &Item) -> Result<(), BadSignature> {
    verify(&item.key, LABEL, MESSAGE, &item.signature)
}

/// How many of 400 batches of that item and three honest ones pass.
fn passing(item: impl Fn() -> Item, cofactor: bool) -> u32 {
    let rng = &mut ChaCha20Rng::from_seed([1; 32]);
    (0..400).map(|_| u32::from(batch(&[honest(1), item(), honest(2), honest(3)], cofactor, rng))).sum()
}

#[test]
fn a_signature_whose_r_has_a_part_of_small_order_passes_batches_and_is_refused_strictly() {
    // The controls: the equation holds for honest signatures, and the signer above makes them when it adds nothing.
    assert_eq!((passing(|| honest(4), false), passing(|| honest(4), true)), (400, 400));
    let plain = signed([4; 32], EIGHT_TORSION[0], false);
    assert_eq!((plain.key, plain.signature.len()), (honest(4).key, 64));
    assert_eq!(strict(&plain), Ok(()));
    let forged = || Item { signature: honest(5).signature, ..honest(4) };
    assert_eq!((passing(forged, false), passing(forged, true)), (0, 0));
    // Of order 2, 4 and 8: without the cofactor one batch in so many passes, with it all do.
    for (torsion, order) in [(EIGHT_TORSION[4], 2), (EIGHT_TORSION[2], 4), (EIGHT_TORSION[1], 8)] {
        let item = || signed([4; 32], torsion, false);
        assert_eq!(strict(&item()), Err(BadSignature), "order {order}");
        let (seen, mean) = (passing(item, false), 400 / order);
        // Five standard deviations of a binomial.
        let band = 5.0 * (f64::from(mean) * (1.0 - 1.0 / f64::from(order))).sqrt();
        assert!((f64::from(seen) - f64::from(mean)).abs() < band, "order {order}: {seen} of 400 passed");
        assert_eq!(passing(item, true), 400, "order {order}, with the cofactor");
    }
}

/// A key that is no multiple of the base point: strictly its signatures hold where the challenge is a multiple of the order of what is added,
/// and batches accept others of them, too. Refusing such keys in the manifest would not help: R above needs none.
#[test]
fn a_key_with_a_part_of_small_order_passes_batches_where_it_is_refused_strictly() {
    let items: Vec<[u8; 32]> = (0..32u8).map(|i| [i + 10; 32]).collect();
    let refused: Vec<_> =
        items.iter().filter(|seed| strict(&signed(**seed, EIGHT_TORSION[1], true)).is_err()).collect();
    assert!((20..32).contains(&refused.len()), "{} of 32 refused: seven in eight", refused.len());
    for seed in refused {
        assert_eq!(passing(|| signed(*seed, EIGHT_TORSION[1], true), true), 400, "with the cofactor");
    }
}

/// What `verify` refuses before any equation.
#[test]
fn keys_and_nonces_of_small_order_are_refused_whatever_they_are_said_to_sign() {
    for torsion in EIGHT_TORSION {
        let key = torsion.compress().to_bytes();
        for r in EIGHT_TORSION {
            let item = Item { key, signature: [r.compress().to_bytes(), [0; 32]].concat().try_into().unwrap() };
            assert_eq!(strict(&item), Err(BadSignature));
        }
    }
    // R of small order under an honest key: s = k a satisfies the equation up to what is added.
    for torsion in EIGHT_TORSION {
        let expanded: [u8; 64] = Sha512::digest([4; 32]).into();
        let secret = Scalar::from_bytes_mod_order(clamp_integer(*expanded.first_chunk().unwrap()));
        let (key, r) = (honest(4).key, torsion.compress().to_bytes());
        let s = challenge(&r, &key) * secret;
        let item = Item { key, signature: [r, s.to_bytes()].concat().try_into().unwrap() };
        assert_eq!(strict(&item), Err(BadSignature));
    }
}
