//! One-time secrets of an attempt and the keys derived from them.
mod agreement;
mod points;

pub use agreement::agreement_probe;
pub(crate) use agreement::{Agreed, OneTimeSecret};
pub(crate) use points::is_sound_public_key;

use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use sottovoce_types::{ClientId, Digest};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::kem::KemKeys;
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

/// The self-mask key of R2.
pub(crate) fn self_mask(ctx2: &Digest, client: &ClientId, b: &Quad) -> MaskKey {
    MaskKey::from_bytes(*derive(ctx2.as_bytes(), b.to_bytes().as_ref(), labels::MASK_SELF, &[&client.0]))
}

/// The commitment to b in an advert. b has 256 bits, so the hash hides it.
pub(crate) fn commit_b(cfg: &Digest, client: &ClientId, b: &Quad) -> Digest {
    labels::COMMIT_B.hasher().field(cfg.as_bytes()).field(&client.0).field(b.to_bytes().as_ref()).finish()
}

/// Whether two commitments are one, in a time that does not say how far they agree.
pub(crate) fn same_commitment(one: &Digest, other: &Digest) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
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

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{SeedableRng, TryCryptoRng, TryRng};

    use super::*;

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
