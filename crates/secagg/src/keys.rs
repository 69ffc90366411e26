//! One-time secrets of an attempt and the keys derived from them.
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use sottovoce_types::{ClientId, Digest};
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::kem::{Ciphertexts, Decapsulation, ENCAPSULATION_KEY_LEN, KemKeys, KemSecret, MaskCiphertext, encapsulate};
use crate::labels::{self, Label};
use crate::mask::MaskKey;
use crate::session::KeyAgreement;
use crate::shamir::Quad;

/// HKDF-SHA-256 (RFC 5869) to 32 bytes, `info` being the label and length-prefixed fields.
fn derive(salt: &[u8], ikm: &[u8], label: Label, fields: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand(&label.framed(fields), out.as_mut())
        .expect("32 bytes are within the 8160 that HKDF-SHA-256 gives");
    out
}

/// An X25519 secret, and in a hybrid agreement the ML-KEM secrets beside it, that never outlive their attempt. No `Debug`, no
/// `Clone`; wiped on drop (by x25519-dalek and ml-kem), in a place of its own as [`Quad`].
pub(crate) struct OneTimeSecret {
    x25519: Box<StaticSecret>,
    kem: Option<Box<KemSecrets>>,
}

struct KemSecrets {
    decapsulation: Decapsulation,
    /// What the randomness of every encapsulation is derived from.
    coins: Zeroizing<[u8; 32]>,
}

impl OneTimeSecret {
    /// The mask secret that everyone who holds t shares of `s` can derive again.
    pub(crate) fn for_masks(cfg: &Digest, client: &ClientId, s: &Quad, agreement: KeyAgreement) -> Self {
        Self::derived(cfg, client, &s.to_bytes(), labels::SK_MASK, agreement)
    }

    /// The channel secret, from 32 fresh bytes.
    fn for_channel(cfg: &Digest, client: &ClientId, c: &[u8; 32], agreement: KeyAgreement) -> Self {
        Self::derived(cfg, client, c, labels::SK_CHAN, agreement)
    }

    fn derived(cfg: &Digest, client: &ClientId, secret: &[u8; 32], purpose: Label, agreement: KeyAgreement) -> Self {
        let x25519 = Box::new(StaticSecret::from(*derive(cfg.as_bytes(), secret, purpose, &[&client.0])));
        let part =
            |label, part: &[u8]| derive(cfg.as_bytes(), secret, label, &[purpose.name().as_bytes(), &client.0, part]);
        let kem = agreement.is_hybrid().then(|| {
            Box::new(KemSecrets {
                decapsulation: Decapsulation::of_seeds(&part(labels::KEM_SEED, b"d"), &part(labels::KEM_SEED, b"z")),
                coins: part(labels::KEM_COINS, b""),
            })
        });
        Self { x25519, kem }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        PublicKey::from(&*self.x25519).to_bytes()
    }

    /// The encapsulation key; `None` in an agreement without.
    pub(crate) fn public_kem(&self) -> Option<[u8; ENCAPSULATION_KEY_LEN]> {
        self.kem.as_ref().map(|kem| kem.decapsulation.public())
    }

    /// Ciphertext and secret for a peer's key: the same whenever they are made again. `None` in an agreement without.
    pub(crate) fn encapsulate_to(
        &self,
        ctx1: &Digest,
        from: &ClientId,
        to: &ClientId,
        key: &[u8; ENCAPSULATION_KEY_LEN],
    ) -> Option<([u8; crate::kem::CIPHERTEXT_LEN], KemSecret)> {
        let kem = self.kem.as_ref()?;
        let coins = derive(ctx1.as_bytes(), kem.coins.as_ref(), labels::KEM_COINS, &[&from.0, &to.0]);
        encapsulate(key, &coins)
    }

    /// What agrees on the mask with a later client, and the secret.
    pub(crate) fn mask_ciphertext(
        &self,
        ctx1: &Digest,
        from: &ClientId,
        to: &ClientId,
        key: &[u8; ENCAPSULATION_KEY_LEN],
    ) -> Option<(MaskCiphertext, KemSecret)> {
        let (ciphertext, secret) = self.encapsulate_to(ctx1, from, to, key)?;
        let confirmation = confirmation(ctx1, from, to, &secret);
        Some((MaskCiphertext { ciphertext, confirmation }, secret))
    }

    /// The secret of a pair's mask that an earlier client sent; `None` when its confirmation does not fit: the sender is at fault.
    pub(crate) fn mask_secret(
        &self,
        ctx1: &Digest,
        from: &ClientId,
        to: &ClientId,
        sent: &MaskCiphertext,
    ) -> Option<KemSecret> {
        let secret = self.kem.as_ref()?.decapsulation.decapsulate(&sent.ciphertext);
        bool::from(confirmation(ctx1, from, to, &secret).ct_eq(&sent.confirmation)).then_some(secret)
    }

    /// The secret of the envelope that these ciphertexts came with; `None` in an agreement without.
    pub(crate) fn channel_secret(&self, sent: &Ciphertexts) -> Option<KemSecret> {
        Some(self.kem.as_ref()?.decapsulation.decapsulate(&sent.channel))
    }

    /// The shared secret with a peer's key; `None` when that key has low order (RFC 7748, section 6.1).
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Option<Agreed> {
        let shared = self.x25519.diffie_hellman(&PublicKey::from(*peer));
        shared.was_contributory().then_some(Agreed { x25519: shared, kem: None })
    }
}

/// For the tests in `inside.rs`, which cheat with it.
#[cfg(test)]
impl OneTimeSecret {
    pub(crate) fn use_other_coins(&mut self) {
        if let Some(kem) = &mut self.kem {
            kem.coins = Zeroizing::new([0x77; 32]);
        }
    }
}

fn confirmation(ctx1: &Digest, from: &ClientId, to: &ClientId, secret: &KemSecret) -> [u8; 32] {
    *derive(ctx1.as_bytes(), secret.as_ref(), labels::KEM_CONFIRM, &[&from.0, &to.0])
}

/// An agreed secret; only ever the input of a key derivation.
pub(crate) struct Agreed {
    x25519: SharedSecret,
    kem: Option<KemSecret>,
}

impl Agreed {
    /// With the ML-KEM secret of a hybrid agreement: the key then holds while either of the two does.
    pub(crate) fn with_kem(self, secret: Option<KemSecret>) -> Self {
        Self { kem: secret, ..self }
    }

    /// Both secrets, each of 32 bytes, as they are derived from.
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        bytes.extend_from_slice(self.x25519.as_bytes());
        if let Some(kem) = &self.kem {
            bytes.extend_from_slice(kem.as_ref());
        }
        bytes
    }

    /// k_ij of R2, the same for both parties.
    pub(crate) fn pair_mask(&self, ctx2: &Digest, a: &ClientId, b: &ClientId) -> MaskKey {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        MaskKey::from_bytes(*derive(ctx2.as_bytes(), &self.bytes(), labels::MASK_PAIR, &[&low.0, &high.0]))
    }

    /// The key of the one envelope of this attempt from `from` to `to`.
    pub(crate) fn envelope(&self, ctx1: &Digest, from: &ClientId, to: &ClientId) -> Zeroizing<[u8; 32]> {
        derive(ctx1.as_bytes(), &self.bytes(), labels::ENV_KEY, &[&from.0, &to.0])
    }
}

fn plain(bytes: &[u8; 32]) -> OneTimeSecret {
    OneTimeSecret { x25519: Box::new(StaticSecret::from(*bytes)), kem: None }
}

/// One X25519 agreement a call, between keys that anybody knows: T_dh of the physical limit, for benches. Says whether both
/// took part, which they did.
pub fn agreement_probe() -> impl Fn() -> bool {
    let (secret, peer) = (plain(&[1; 32]), plain(&[2; 32]).public());
    move || secret.agree(&peer).is_some()
}

/// The self-mask key of R2.
pub(crate) fn self_mask(ctx2: &Digest, client: &ClientId, b: &Quad) -> MaskKey {
    MaskKey::from_bytes(*derive(ctx2.as_bytes(), b.to_bytes().as_ref(), labels::MASK_SELF, &[&client.0]))
}

/// The commitment to b in an advert. b has 256 bits, so the hash hides it.
pub(crate) fn commit_b(cfg: &Digest, client: &ClientId, b: &Quad) -> Digest {
    labels::COMMIT_B.hasher().field(cfg.as_bytes()).field(&client.0).field(b.to_bytes().as_ref()).finish()
}

/// The commitment to the seed of a layer in an advert. A seed has 256 bits, so the hash hides it.
pub(crate) fn commit_layer(cfg: &Digest, client: &ClientId, layer: usize, seed: &Quad) -> Digest {
    let layer = u64::try_from(layer).expect("an index fits 64 bits");
    let mut hasher = labels::COMMIT_LAYER.hasher();
    hasher.field(cfg.as_bytes()).field(&client.0).number(layer).field(seed.to_bytes().as_ref()).finish()
}

/// What one layer of one client's noise in one attempt is drawn from. Whoever has it can draw that layer again.
#[derive(Clone, PartialEq, Eq)]
pub struct LayerKey {
    /// Whose layer.
    pub client: ClientId,
    /// Which one, from 0.
    pub layer: u32,
    /// In a place of its own, so that no copy stays behind where it was.
    key: Box<Zeroizing<[u8; 32]>>,
}

impl LayerKey {
    pub(crate) fn new(ctx2: &Digest, client: &ClientId, layer: u32, seed: &Quad) -> Self {
        let place = layer.to_le_bytes();
        let key = derive(ctx2.as_bytes(), seed.to_bytes().as_ref(), labels::NOISE_LAYER, &[&client.0, &place]);
        Self { client: *client, layer, key: Box::new(key) }
    }

    /// 32 bytes that are used for nothing else.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.key
    }
}

// A secret until the quorum says that its layer is surplus.
impl std::fmt::Debug for LayerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerKey({}, layer {})", self.client, self.layer)
    }
}

/// What a client draws for one attempt.
pub(crate) struct OneTimeKeys {
    /// s: shared among the holders; gives the mask secret, revealed when the client drops out.
    pub(crate) s: Quad,
    /// b: shared among the holders; gives the self mask, revealed when the client is a contributor.
    pub(crate) b: Quad,
    /// Seeds of the layers of its noise: shared among the holders; those of the surplus are revealed when it is a contributor.
    pub(crate) layers: Vec<Quad>,
    /// Mask secret, from s.
    pub(crate) mask: OneTimeSecret,
    /// Channel secret.
    pub(crate) channel: OneTimeSecret,
    /// Nonce of the advert.
    pub(crate) nonce: [u8; 32],
    /// Holders that get spoilt shares, in tests.
    #[cfg(test)]
    pub(crate) spoilt: Vec<u32>,
}

impl OneTimeKeys {
    /// Draws everything afresh. `None` when the generator is plainly broken: it repeats itself or gives no field element.
    pub(crate) fn draw(
        cfg: &Digest,
        client: &ClientId,
        agreement: KeyAgreement,
        layers: usize,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<Self> {
        let (s, b) = (Quad::random(rng)?, Quad::random(rng)?);
        let mut c = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(c.as_mut());
        let mut nonce = [0u8; 32];
        rng.fill_bytes(&mut nonce);
        // Health, not entropy: a generator that returns a constant must not pass for randomness.
        let mut repeats = s.to_bytes().ct_eq(&*b.to_bytes()) | c.ct_eq(&nonce);
        let layers = (0..layers).map(|_| Quad::random(rng)).collect::<Option<Vec<_>>>()?;
        for (layer, before) in layers.iter().zip([&b].into_iter().chain(&layers)) {
            repeats |= layer.to_bytes().ct_eq(&*before.to_bytes());
        }
        if bool::from(repeats) {
            return None;
        }
        let mask = OneTimeSecret::for_masks(cfg, client, &s, agreement);
        let channel = OneTimeSecret::for_channel(cfg, client, &c, agreement);
        Some(Self {
            s,
            b,
            layers,
            mask,
            channel,
            nonce,
            #[cfg(test)]
            spoilt: Vec::new(),
        })
    }
}

impl OneTimeKeys {
    /// The encapsulation keys to be advertised; `None` in an agreement without.
    pub(crate) fn kem(&self) -> Option<Box<KemKeys>> {
        Some(Box::new(KemKeys { mask: self.mask.public_kem()?, channel: self.channel.public_kem()? }))
    }
}

/// Which of a dealer's secrets a share belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShareKind {
    /// Of s: gives the mask secret of a dropout.
    Mask,
    /// Of b: gives the self mask of a contributor.
    SelfMask,
    /// Of the seed of this layer: gives a contributor's surplus noise.
    Layer(u32),
}

/// A share and the opener of its commitment. No `Debug`, no `Clone`; wiped on drop.
pub(crate) struct Share {
    pub(crate) value: Quad,
    pub(crate) opener: Opener,
}

/// 32 uniform bytes that make a share commitment hiding.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Opener(pub(crate) [u8; 32]);

impl Share {
    /// Adds a fresh opener to a share.
    pub(crate) fn with_opener(value: Quad, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut opener = Opener([0u8; 32]);
        rng.fill_bytes(&mut opener.0);
        Self { value, opener }
    }

    /// From the bytes of share and opener; `None` when the share is not canonical.
    pub(crate) fn from_bytes(share: &[u8; 32], opener: &[u8; 32]) -> Option<Self> {
        Some(Self { value: Quad::from_bytes(share)?, opener: Opener(*opener) })
    }

    /// The dealer's commitment to this share.
    pub(crate) fn commitment(&self, ctx1: &Digest, kind: ShareKind, dealer: &ClientId, holder: &ClientId) -> Digest {
        labels::SHARE_COMMIT
            .hasher()
            .field(ctx1.as_bytes())
            .field(&dealer.0)
            .field(&holder.0)
            .number(match kind {
                ShareKind::Mask => 0,
                ShareKind::SelfMask => 1,
                ShareKind::Layer(layer) => u64::from(layer).saturating_add(2),
            })
            .field(self.value.to_bytes().as_ref())
            .field(&self.opener.0)
            .finish()
    }
}

/// The canonical encodings of the points of low order on Curve25519 and its twist (cr.yp.to/ecdh.html#validate). A roster of
/// thousands of keys is checked by comparison, not by as many agreements; [`OneTimeSecret::agree`] looks again.
#[rustfmt::skip]
const LOW_ORDER: [[u8; 32]; 5] = [
    [0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    [0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    [0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00],
    [0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57],
    [0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
];

/// Whether a public key is one that an honest client would send.
pub(crate) fn is_sound_public_key(key: &[u8; 32]) -> bool {
    is_canonical(key) && !LOW_ORDER.contains(key)
}

/// Below p = 2^255 − 19 with the top bit clear, so that one key has one encoding and cannot be on a roster twice.
fn is_canonical(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    let at_least_p = *last == 0x7f && middle.iter().all(|b| *b == 0xff) && *first >= 0xed;
    *last < 0x80 && !at_least_p
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{SeedableRng, TryCryptoRng, TryRng};

    use super::*;

    /// The points of low order on Curve25519 and its twist, canonical encodings first (Bernstein, "Curve25519: new
    /// Diffie-Hellman speed records", and cr.yp.to/ecdh.html#validate).
    pub(crate) fn low_order_points() -> Vec<[u8; 32]> {
        let hex = |t: &str| -> [u8; 32] {
            let bytes: Vec<u8> = t
                .as_bytes()
                .chunks(2)
                .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap())
                .collect();
            bytes.try_into().unwrap()
        };
        let mut p_minus_one = [0xff; 32];
        (p_minus_one[0], p_minus_one[31]) = (0xec, 0x7f);
        let (mut p, mut p_plus_one, mut one) = (p_minus_one, p_minus_one, [0; 32]);
        (p[0], p_plus_one[0], one[0]) = (0xed, 0xee, 1);
        vec![
            [0; 32],
            one,
            hex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            hex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            p_minus_one,
            p,
            p_plus_one,
        ]
    }

    #[test]
    fn claim_low_order_and_second_encodings_of_keys_are_refused() {
        for point in low_order_points() {
            assert!(!is_sound_public_key(&point), "{point:02x?}");
        }
        // The list is that of the points with which an agreement comes to nothing.
        let secret = plain(&[0x42; 32]);
        assert!(LOW_ORDER.iter().all(|point| is_canonical(point) && secret.agree(point).is_none()));
        let listed = low_order_points().into_iter().filter(is_canonical);
        assert_eq!(listed.collect::<std::collections::BTreeSet<_>>(), LOW_ORDER.into());
        let mut honest = plain(&[1; 32]).public();
        assert!(is_sound_public_key(&honest));
        honest[31] |= 0x80;
        assert!(!is_sound_public_key(&honest), "the ignored top bit is a second encoding");
    }

    #[test]
    fn both_ends_of_a_pair_derive_one_key_and_each_direction_its_own_envelope_key() {
        let rng = &mut ChaCha20Rng::from_seed([3; 32]);
        let (cfg, ctx) = (Digest([1; 32]), Digest([2; 32]));
        let (a, b) = (ClientId([10; 32]), ClientId([11; 32]));
        let mut draw = |client| OneTimeKeys::draw(&cfg, client, KeyAgreement::X25519, 0, rng).unwrap();
        let (ka, kb) = (draw(&a), draw(&b));
        let ab = ka.mask.agree(&kb.mask.public()).unwrap();
        let ba = kb.mask.agree(&ka.mask.public()).unwrap();
        let words = |key: &MaskKey| {
            let mut out = vec![0u64; 4];
            crate::mask::expand_into(crate::mask::Prg::Aes256Ctr, key, crate::mask::Sign::Add, 0, &mut out);
            out
        };
        assert_eq!(words(&ab.pair_mask(&ctx, &a, &b)), words(&ba.pair_mask(&ctx, &b, &a)));
        assert_ne!(words(&ab.pair_mask(&ctx, &a, &b)), words(&ab.pair_mask(&cfg, &a, &b)), "another context");
        assert_ne!(*ab.envelope(&ctx, &a, &b), *ab.envelope(&ctx, &b, &a));
        assert_eq!(*ab.envelope(&ctx, &a, &b), *ba.envelope(&ctx, &a, &b));
    }

    #[test]
    fn the_probe_of_the_benches_agrees() {
        assert!(agreement_probe()());
    }

    #[test]
    fn the_mask_secret_comes_back_from_s() {
        let rng = &mut ChaCha20Rng::from_seed([4; 32]);
        let (cfg, a) = (Digest([1; 32]), ClientId([10; 32]));
        for agreement in KeyAgreement::ALL {
            let keys = OneTimeKeys::draw(&cfg, &a, agreement, 0, rng).unwrap();
            let again = OneTimeSecret::for_masks(&cfg, &a, &keys.s, agreement);
            assert_eq!(again.public(), keys.mask.public());
            assert_eq!(again.public_kem(), keys.mask.public_kem());
            assert_eq!(again.public_kem().is_some(), agreement.is_hybrid());
        }
    }

    /// The parts of a hybrid agreement between two parties, and the mask and envelope keys that follow.
    #[test]
    fn claim_a_hybrid_key_differs_if_either_half_differs() {
        let rng = &mut ChaCha20Rng::from_seed([5; 32]);
        let (cfg, ctx) = (Digest([1; 32]), Digest([2; 32]));
        let (a, b) = (ClientId([10; 32]), ClientId([11; 32]));
        let mut draw = |client| OneTimeKeys::draw(&cfg, client, KeyAgreement::X25519MlKem768, 0, rng).unwrap();
        let (ka, kb, kc) = (draw(&a), draw(&b), draw(&a));
        let words = |agreed: &Agreed| {
            let mut out = vec![0u64; 4];
            let key = agreed.pair_mask(&ctx, &a, &b);
            crate::mask::expand_into(crate::mask::Prg::Aes256Ctr, &key, crate::mask::Sign::Add, 0, &mut out);
            (out, *agreed.envelope(&ctx, &a, &b))
        };
        let to_b = kb.kem().unwrap().mask;
        let (sent, own) = ka.mask.mask_ciphertext(&ctx, &a, &b, &to_b).unwrap();
        let got = kb.mask.mask_secret(&ctx, &a, &b, &sent).unwrap();
        let agree = |x: &OneTimeSecret, peer: &[u8; 32], kem| words(&x.agree(peer).unwrap().with_kem(kem));
        let key = agree(&ka.mask, &kb.mask.public(), Some(own.clone()));
        assert_eq!(key, agree(&kb.mask, &ka.mask.public(), Some(got)), "both ends");
        let other_kem = kc.mask.mask_ciphertext(&ctx, &a, &b, &to_b).unwrap().1;
        for (what, other) in [
            ("another ML-KEM half", agree(&ka.mask, &kb.mask.public(), Some(other_kem))),
            ("another X25519 half", agree(&kc.mask, &kb.mask.public(), Some(own.clone()))),
            ("no ML-KEM half", agree(&ka.mask, &kb.mask.public(), None)),
        ] {
            assert_ne!(key.0, other.0, "{what}: mask");
            assert_ne!(key.1, other.1, "{what}: envelope");
        }
        // Made again from s, the same ciphertext and secret; for another peer, another.
        let again = OneTimeSecret::for_masks(&cfg, &a, &ka.s, KeyAgreement::X25519MlKem768);
        assert!(again.mask_ciphertext(&ctx, &a, &b, &to_b).unwrap().0 == sent);
        assert!(again.mask_ciphertext(&ctx, &a, &ClientId([12; 32]), &to_b).unwrap().0 != sent);
        // A ciphertext that was altered, or is confirmed for another pair, is told.
        let mut altered = sent.clone();
        altered.ciphertext[9] ^= 1;
        assert!(kb.mask.mask_secret(&ctx, &a, &b, &altered).is_none());
        assert!(kb.mask.mask_secret(&ctx, &b, &a, &sent).is_none());
        // The secrets of mask and channel have nothing in common.
        assert_ne!(ka.mask.public_kem(), ka.channel.public_kem());
    }

    struct Constant(u8);
    impl TryRng for Constant {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::from_le_bytes([self.0; 4]))
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from_le_bytes([self.0; 8]))
        }
        fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
            dst.fill(self.0);
            Ok(())
        }
    }
    impl TryCryptoRng for Constant {}

    #[test]
    fn claim_a_broken_generator_is_refused() {
        for byte in [0, 7, 0xff] {
            assert!(
                OneTimeKeys::draw(&Digest([1; 32]), &ClientId([2; 32]), KeyAgreement::X25519, 2, &mut Constant(byte))
                    .is_none()
            );
        }
    }
}
