//! Secure aggregation against an untrusted coordinator: the coordinator learns the sum of the inputs of the contributors
//! of one attempt, and nothing else about any of them.
//!
//! This is the pairwise-mask protocol of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine
//! Learning" (CCS 2017), in its active-adversary form, on the complete graph or, for larger cohorts, on one whose edges clients pick ([`graph`]), with three changes: the quorum that signs the
//! survivor set is a Byzantine quorum q = ⌊(n+f)/2⌋+1 ([`quorum`]); every key is used for one attempt; and every mask key
//! is derived from a hash of all that was agreed so far, so a coordinator that shows two clients two different things gets
//! noise. The argument is in `proof.md` beside this crate.
//!
//! It does no I/O and knows no clock, no model, no noise and, but for the bounds in [`graph`], no floating point; randomness
//! is an argument. It does not check that an input is honest: a malicious client can spoil the sum, not the privacy of
//! others. It does not hide who takes part.
//!
//! Read first [`Advertised`], the first state of a client (each transition consumes a state and gives the next:
//! [`Advertised`] → [`Shared`] → [`Masking`] → [`Submitted`] → [`Consistent`]), and [`CollectingAdverts`], the first phase
//! of the coordinator (→ [`CollectingShares`] → [`CollectingInputs`] → [`CollectingSignatures`] → [`CollectingOpenings`] →
//! [`SecureSum`]). On a sparse graph there is one state more, [`Picked`] between [`Advertised`] and [`Shared`], and one phase more,
//! [`CollectingPicks`] between [`CollectingAdverts`] and [`CollectingShares`]; which follows, [`OnRoster`] and [`AfterAdverts`] say.
//!
//! ```
//! use std::{collections::BTreeMap, sync::Arc};
//! use rand_core::SeedableRng;
//! use sottovoce_secagg::graph::MaskGraph;
//! use sottovoce_secagg::{Advertised, CollectingAdverts, Identity, KeyAgreement, MaskSuite, Session};
//! use sottovoce_types::{Digest, Lanes, RingVec};
//!
//! let mut rng = rand_chacha::ChaCha20Rng::from_seed([1; 32]); // deployments pass the operating system's
//! let coordinator = Identity::generate(&mut rng);
//! let sites = [Identity::generate(&mut rng), Identity::generate(&mut rng), Identity::generate(&mut rng)];
//! let lanes = Lanes::new(2).unwrap();
//! let session = Session {
//!     cfg: Digest::of(b"what all agreed on"),
//!     coordinator: coordinator.public_key(),
//!     members: Arc::new(sites.iter().map(|s| (s.client_id(), s.public_key())).collect::<BTreeMap<_, _>>()),
//!     n_min: 3, max_corrupt: 0, lanes, words: 1, graph: MaskGraph::Complete, suite: MaskSuite::Aes256Ctr,
//!     key_agreement: KeyAgreement::X25519, layers: None, allow_plain: false,
//! };
//! let mut adverts = CollectingAdverts::new(session.clone(), &coordinator);
//! let mut clients = Vec::new();
//! for site in &sites {
//!     let (state, advert) = Advertised::start(session.clone(), site, &mut rng)?;
//!     adverts.advert(site.client_id(), advert)?;
//!     clients.push(state);
//! }
//! let (shares, roster) = adverts.close(&coordinator)?;
//! let mut shares = shares.complete().ok_or("a sparse graph")?;
//! let mut sharing = Vec::new();
//! for (site, state) in sites.iter().zip(clients) {
//!     let (state, message) = state.roster(roster.clone(), site, &mut rng)?.complete().ok_or("a sparse graph")?;
//!     shares.shares(site.client_id(), message)?;
//!     sharing.push(state);
//! }
//! let (mut inputs, envelopes) = shares.close()?;
//! let envelopes: BTreeMap<_, _> = envelopes.into_iter().collect();
//! let mut submitted = Vec::new();
//! for (site, state) in sites.iter().zip(sharing) {
//!     let state = state.envelopes(envelopes[&site.client_id()].clone())?;
//!     let (state, message) = state.submit(RingVec::pack(&[1, -5], lanes)?, site)?;
//!     inputs.input(site.client_id(), message)?;
//!     submitted.push(state);
//! }
//! let (mut signatures, survivors) = inputs.close()?;
//! let mut consistent = Vec::new();
//! for (site, state) in sites.iter().zip(submitted) {
//!     let (state, message) = state.survivors(survivors.clone(), site)?;
//!     signatures.signature(site.client_id(), message)?;
//!     consistent.push(state);
//! }
//! let (mut openings, signed) = signatures.close()?;
//! for (site, state) in sites.iter().zip(consistent) {
//!     openings.opening(site.client_id(), state.quorum(signed.clone(), site)?)?;
//! }
//! assert_eq!(openings.close()?.sum().unpack(2), vec![3, -15]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A state cannot be used twice, so no client opens two survivor sets of one attempt:
//!
//! ```compile_fail,E0382
//! # use sottovoce_secagg::*;
//! fn open_twice(state: Consistent, a: SurvivorQuorumMsg, b: SurvivorQuorumMsg, id: &Identity) {
//!     let _ = state.quorum(a, id);
//!     let _ = state.quorum(b, id);
//! }
//! ```
//!
//! nor signs two of them:
//!
//! ```compile_fail,E0382
//! # use sottovoce_secagg::*;
//! fn sign_twice(state: Submitted, a: SurvivorsMsg, b: SurvivorsMsg, id: &Identity) {
//!     let _ = state.survivors(a, id);
//!     let _ = state.survivors(b, id);
//! }
//! ```
//!
//! # Errors
//! [`Abort`]: what a client refuses; the attempt is over for it and its secrets are gone. [`PeerFault`]: what the
//! coordinator refuses from one client, by name; its state is as it was. [`QuorumLost`]: too few clients are left.
//! [`OpenFailed`]: the sum cannot be opened, and why.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::panic,
        reason = "tests may unwrap"
    )
)]

// So that tests inside the crate can use the driver of the tests outside.
#[cfg(test)]
extern crate self as sottovoce_secagg;

mod audit;
mod certificate;
pub mod chunks;
mod client;
mod context;
mod dealing;
mod envelope;
mod fault;
mod goldilocks;
pub mod graph;
mod identity;
#[cfg(test)]
mod inside;
mod kem;
mod keys;
pub mod labels;
pub mod mask;
mod merkle;
mod messages;
pub mod probes;
mod roster;
mod server;
mod session;
mod shamir;
mod topology;

pub use audit::{ChunkAuditor, Revealed, RevealedRefused, draw_chunks};
pub use certificate::{Certificate, CertificateRefused, Certified};
pub use client::{
    Advertised, CheckedGraph, CheckedQuorum, CheckedRoster, Consistent, Masking, OnRoster, Picked, Shared, Submitted,
};
pub use envelope::{ENVELOPE_LEN, Envelope, envelope_len};
pub use fault::{
    Abort, AdvertFault, CloseFailed, Complaint, DealerFault, OpenFailed, PeerFault, Phase, QuorumLost, SpoiltShares,
};
pub use graph::{GraphRefused, PicksMsg};
pub use identity::{BadSignature, Identity, verify};
pub use kem::{CIPHERTEXT_LEN, Ciphertexts, ENCAPSULATION_KEY_LEN, KemKeys, MaskCiphertext};
pub use keys::LayerKey;
pub use labels::Label;
pub use messages::{
    AbortMsg, AdvertMsg, DealerDigest, Dealing, DealtToYou, EnvelopesMsg, GraphMsg, InputRoot, MaskedInputMsg, Opened,
    OpenedLayers, OpeningMsg, PickedBy, RosterMsg, ShareEntry, SharesMsg, SignedBy, SurvivorQuorumMsg,
    SurvivorSignatureMsg, SurvivorsMsg,
};
pub use server::{
    AfterAdverts, CollectingAdverts, CollectingInputs, CollectingOpenings, CollectingPicks, CollectingShares,
    CollectingSignatures, SecureSum,
};
pub use session::{KeyAgreement, MaskSuite, MessageCtx, Session, honest_floor, quorum};
