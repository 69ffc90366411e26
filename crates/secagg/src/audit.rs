//! R5: the audit of an opened sum, chunk by chunk, by whoever has its certificate.
//!
//! A coordinator that takes the masks off can announce another sum than it computed. It can be asked for some chunks of all masked
//! inputs, each under the root that its owner signed ([`crate::chunks`]), and for the secrets that opened the sum ([`Revealed`]). The
//! auditor expands the masks that must come off at those chunks alone, for a mask can be expanded from any word on, and computes the
//! sum there by itself. A coordinator that falsifies the fraction p of the chunks escapes n auditors of c random chunks each with
//! probability (1 − p)^(nc) at most. So a sum that is false everywhere does not pass, and one that is false in a single
//! word of a long vector is seldom seen: one of m chunks escapes with probability (1 − c/m)^n.
//!
//! What an answer shows, the coordinator had: [`Revealed`] has one secret a dealer, b of a contributor or s of a dropout, as the opening
//! gave it, and no place for the other; of layers of noise the seeds of the surplus. Pairwise masks between contributors stay on. It puts any member that asks in the
//! coordinator's seat, though: what is promised against f clients that collude with the coordinator is then promised against f
//! clients, and not against more of them, even where the coordinator itself is honest.
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rand_core::CryptoRng;
use sottovoce_types::{ClientId, Digest, LayerRule};
use zeroize::Zeroize;

use crate::certificate::Certificate;
use crate::chunks::{CHUNK_WORDS, Owner, root_of_chunk};
use crate::context;
use crate::dealing::{PairCiphertexts, left_by};
use crate::fault::Abort;
use crate::kem::MaskCiphertext;
use crate::keys::{LayerKey, OneTimeSecret, commit_b, self_mask};
use crate::mask::{MaskKey, Prg, Sign, expand_into};
use crate::messages::{InputRoot, RosterMsg};
use crate::roster::Roster;
use crate::session::Session;
use crate::shamir::Quad;
use crate::topology::Topology;

/// What opened a sum: the roster's keys, and of each dealer the one secret that the opening gave.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed {
    /// The adverts, signed by the coordinator.
    pub roster: RosterMsg,
    /// Who picked whom, by ascending roster position; nothing on the complete graph.
    pub picks: Vec<(u32, Vec<u32>)>,
    /// By ascending roster position of the dealers (U2): b of a contributor, s of a dropout.
    pub secrets: Vec<[u8; 32]>,
    /// In a hybrid agreement, what agreed on the mask of each dropout with each contributor that it masked with, by ascending position of who encapsulated
    /// and then of the other.
    pub ciphertexts: Vec<MaskCiphertext>,
    /// In a session with layers, by contributor and then by layer, ascending: the seeds of the surplus.
    pub layers: Option<Vec<[u8; 32]>>,
}

// A secret that was opened is still nothing for a log.
impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Revealed({} adverts, {} secrets)", self.roster.adverts.len(), self.secrets.len())
    }
}

/// Why what a coordinator revealed is not what opened the sum of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevealedRefused {
    /// The roster is none that a client would have accepted.
    #[error("the roster that it shows does not pass: {0}")]
    Roster(#[from] Abort),
    /// Another roster than that of the certificate.
    #[error("the roster that it shows is not the one that the quorum signed for")]
    OtherRoster,
    /// Another graph than that of the certificate.
    #[error("the lists of picks that it shows are not those that the quorum signed for")]
    OtherGraph,
    /// Another number of secrets or ciphertexts than belong to the opening.
    #[error("it shows {have} secrets or ciphertexts where {need} belong to the opening")]
    Count {
        /// Secrets.
        have: usize,
        /// Dealers.
        need: usize,
    },
    /// A ciphertext between a dropout and a contributor that is not there, or does not give what it confirms.
    #[error("the ciphertext that it shows of {0} does not fit the secrets that it shows")]
    Ciphertext(ClientId),
    /// A seed of a layer that its client did not commit to.
    #[error("the seed that it shows of a layer of {0} is not one that this client committed to")]
    LayerSeed(ClientId),
    /// A secret that its dealer did not advertise.
    #[error("the secret that it shows of {0} is not the one behind that client's advert")]
    Secret(ClientId),
}

/// Recomputes single chunks of one opened sum.
pub struct ChunkAuditor {
    /// Contributors in roster order, with their signed roots.
    inputs: Vec<(ClientId, InputRoot)>,
    words: usize,
    prg: Option<Prg>,
    /// What must come off the sum of the masked inputs, with the sign that takes it off.
    masks: Vec<(MaskKey, Sign)>,
    rule: Option<LayerRule>,
    /// Layers of noise that are still in that sum.
    surplus: Vec<LayerKey>,
}

impl ChunkAuditor {
    /// Checks what was revealed against the certificate of the sum, which the caller has verified under this session.
    ///
    /// # Errors
    /// [`RevealedRefused`].
    pub fn new(session: Session, certificate: &Certificate, revealed: &Revealed) -> Result<Self, RevealedRefused> {
        let (prg, words) = (session.suite.prg(), session.words);
        let roster = Roster::accept(session, &revealed.roster)?;
        roster.all_vouched()?;
        if roster.adverts_root != certificate.adverts_root
            || !roster.members().map(|(_, m)| m.client).eq(certificate.roster.iter().copied())
        {
            return Err(RevealedRefused::OtherRoster);
        }
        let (have, need) = (revealed.secrets.len(), certificate.dealers.len());
        if have != need {
            return Err(RevealedRefused::Count { have, need });
        }
        let topology = Topology::of_lists(&roster, &revealed.picks).ok_or(RevealedRefused::OtherGraph)?;
        if topology.root() != certificate.graph_root.as_ref() {
            return Err(RevealedRefused::OtherGraph);
        }
        let survivors: BTreeSet<u32> = certificate.inputs.iter().map(|i| i.index).collect();
        let (n, u2) = (roster.len(), certificate.dealers.iter().copied());
        let ctx2 = context::ctx2(&roster.ctx1, n, u2, &certificate.shares_root, topology.root());
        let ciphertexts = pairs(&topology, &certificate.dealers, &survivors, revealed)?;
        let mut masks = Vec::new();
        for (dealer, secret) in certificate.dealers.iter().zip(&revealed.secrets) {
            let member = roster.at(*dealer).ok_or(RevealedRefused::OtherRoster)?;
            let wrong = RevealedRefused::Secret(member.client);
            let secret = Quad::from_bytes(secret).ok_or(wrong.clone())?;
            if survivors.contains(dealer) {
                if commit_b(&roster.session.cfg, &member.client, &secret) != member.commit_b {
                    return Err(wrong);
                }
                masks.push((self_mask(&ctx2, &member.client, &secret), Sign::Subtract));
            } else {
                let secret = OneTimeSecret::for_masks(
                    &roster.session.cfg,
                    &member.client,
                    &secret,
                    roster.session.key_agreement,
                );
                if secret.public() != member.pk_mask || secret.public_kem() != member.kem.as_ref().map(|kem| kem.mask) {
                    return Err(wrong);
                }
                let left = left_by(
                    (&roster, &topology),
                    &ctx2,
                    (*dealer, &secret),
                    &survivors,
                    &ciphertexts,
                    NonZeroUsize::MIN,
                );
                masks.extend(left.map_err(|by| RevealedRefused::Ciphertext(roster.client(by)))?);
            }
        }
        let inputs = certificate.inputs.iter().map(|input| (roster.client(input.index), *input)).collect();
        let dealers = u32::try_from(certificate.dealers.len()).unwrap_or(u32::MAX);
        let rule = roster.session.layer_rule(n, dealers);
        let surplus = surplus_keys(&roster, &ctx2, (certificate.dealers.len(), &survivors), revealed)?;
        Ok(Self { inputs, words, prg, masks, rule, surplus })
    }

    /// Contributors, in roster order.
    pub fn contributors(&self) -> impl ExactSizeIterator<Item = ClientId> + '_ {
        self.inputs.iter().map(|(client, _)| *client)
    }

    /// Whether this is chunk `index` of the masked input of the contributor at `place` in that order.
    pub fn is_chunk_of(&self, place: usize, index: usize, chunk: &[u64], path: &[Digest]) -> bool {
        self.inputs.get(place).is_some_and(|(client, input)| {
            root_of_chunk(Owner::Input(*client), index, chunk, self.words, path) == Some(input.root)
        })
    }

    /// How the noise was split; `None` in a session without layers.
    pub fn layer_rule(&self) -> Option<LayerRule> {
        self.rule
    }

    /// The layers of noise that the announced sum is without and [`Self::sum`] is with.
    pub fn surplus(&self) -> &[LayerKey] {
        &self.surplus
    }

    /// The sum at chunk `index`, with all noise, from that chunk of every contributor's masked input; each must have passed [`Self::is_chunk_of`].
    pub fn sum<'a>(&self, index: usize, chunks: impl IntoIterator<Item = &'a [u64]>) -> Vec<u64> {
        let mut sum = Vec::new();
        for chunk in chunks {
            sum.resize(chunk.len(), 0u64);
            sum.iter_mut().zip(chunk).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        if let Some(prg) = self.prg {
            let offset = index.saturating_mul(CHUNK_WORDS);
            let offset = u64::try_from(offset).expect("a length fits 64 bits");
            for (key, sign) in &self.masks {
                expand_into(prg, key, *sign, offset, &mut sum);
            }
        }
        sum
    }
}

/// The keys of the surplus layers, each seed checked against its owner's advert.
pub(crate) fn surplus_keys(
    roster: &Roster,
    ctx2: &Digest,
    (dealers, survivors): (usize, &BTreeSet<u32>),
    revealed: &Revealed,
) -> Result<Vec<LayerKey>, RevealedRefused> {
    let surplus = roster.session.surplus(roster.len(), dealers, survivors.len());
    let shown = revealed.layers.as_deref();
    let (have, need) = (shown.map_or(0, <[_]>::len), survivors.len().saturating_mul(surplus.len()));
    if have != need || shown.is_some() != roster.session.layers.is_some() {
        return Err(RevealedRefused::Count { have, need });
    }
    let places = survivors.iter().flat_map(|survivor| surplus.iter().map(move |layer| (*survivor, layer)));
    let key = |((survivor, layer), seed): ((u32, u32), &[u8; 32])| {
        let client = roster.client(survivor);
        let wrong = RevealedRefused::LayerSeed(client);
        let seed = Quad::from_bytes(seed).ok_or(wrong.clone())?;
        if roster.is_layer_seed(survivor, layer, &seed) {
            Ok(LayerKey::new(ctx2, &client, layer, &seed))
        } else {
            Err(wrong)
        }
    };
    places.zip(shown.unwrap_or_default()).map(key).collect()
}

/// The ciphertexts that are shown, by the pair that each is of.
fn pairs(
    topology: &Topology,
    dealers: &[u32],
    survivors: &BTreeSet<u32>,
    revealed: &Revealed,
) -> Result<PairCiphertexts, RevealedRefused> {
    let among: BTreeSet<u32> = dealers.iter().copied().collect();
    let mut wanted = Vec::new();
    for one in dealers {
        let peers = topology.mask_peers(*one, &among).into_iter();
        let theirs = peers.filter(|other| survivors.contains(one) != survivors.contains(other));
        wanted.extend(theirs.filter(|other| topology.encapsulates(*one, *other)).map(|other| (*one, other)));
    }
    let hybrid = revealed.roster.adverts.iter().any(|advert| advert.kem.is_some());
    let (have, need) = (revealed.ciphertexts.len(), if hybrid { wanted.len() } else { 0 });
    if have != need {
        return Err(RevealedRefused::Count { have, need });
    }
    Ok(wanted.into_iter().zip(revealed.ciphertexts.iter().cloned()).collect())
}

impl Drop for Revealed {
    fn drop(&mut self) {
        self.secrets.iter_mut().chain(self.layers.iter_mut().flatten()).for_each(Zeroize::zeroize);
    }
}

/// `count` different chunks of `chunks`, or all of them, each set as likely as any other (Floyd's sampling, as for neighbours).
/// `None` when the generator is broken.
pub fn draw_chunks(chunks: usize, count: usize, rng: &mut (impl CryptoRng + ?Sized)) -> Option<Vec<usize>> {
    let mut drawn = BTreeSet::new();
    for last in chunks.saturating_sub(count)..chunks {
        let pick = below(last.checked_add(1)?, rng)?;
        if !drawn.insert(pick) {
            drawn.insert(last);
        }
    }
    Some(drawn.into_iter().collect())
}

/// Uniform below `size`, by rejection; `None` after 64 rejections, 2^−64 at the very most for a sound generator.
fn below(size: usize, rng: &mut (impl CryptoRng + ?Sized)) -> Option<usize> {
    let size = u64::try_from(size).ok()?;
    let whole = u64::MAX.checked_div(size)?.saturating_mul(size);
    let word = (0..64).map(|_| rng.next_u64()).find(|word| *word < whole)?;
    usize::try_from(word.checked_rem(size)?).ok()
}
