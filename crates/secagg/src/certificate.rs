//! A certificate of an opened sum: what shows anyone, offline, whose inputs it is over and that a quorum signed for that.
//!
//! It holds the parts that ctx1, ctx2 and ctx3 are hashes of, as far as they are not the session itself, and the signatures over
//! ctx3. It does not show that the sum is the right one: only who takes the openings themselves can compute it. All parties see the
//! same sum, because the coordinator signs it with this certificate and the next attempt's configuration covers what follows
//! from it.
use std::collections::BTreeSet;

use sottovoce_types::{ClientId, Digest, LayerSet};

use crate::client::CheckedQuorum;
use crate::context;
use crate::dealing::inputs_root;
use crate::identity::verify;
use crate::labels;
use crate::messages::{InputRoot, MaskedInputMsg, SignedBy};
use crate::session::{Session, honest_floor, quorum};

/// Whose inputs an opened sum is over, under a quorum's signatures. Read from outside: nothing in it is true before
/// [`Certificate::verify`] says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Everyone on the roster (U1), ascending.
    pub roster: Vec<ClientId>,
    /// Root over their adverts.
    pub adverts_root: Digest,
    /// Roster positions of the dealers (U2), ascending.
    pub dealers: Vec<u32>,
    /// Root over their signed share commitments.
    pub shares_root: Digest,
    /// Root over the lists of picks; none on the complete graph.
    pub graph_root: Option<Digest>,
    /// The survivors (U3) and the signed root of each input, by ascending roster position.
    pub inputs: Vec<InputRoot>,
    /// Signatures over ctx3, by ascending roster position.
    pub signatures: Vec<SignedBy>,
}

/// What a certificate shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certified {
    /// Whose inputs are in the sum (U3), ascending.
    pub contributors: Vec<ClientId>,
    /// What the quorum signed.
    pub ctx3: Digest,
    /// q − f: honest inputs guaranteed among the contributors.
    pub honest_floor: u32,
    /// n: clients on the roster (U1).
    pub roster: u32,
    /// Clients that dealt shares (U2).
    pub dealers: u32,
    /// The layers of noise that were taken off the sum; empty in a session without.
    pub surplus: LayerSet,
}

/// Why a certificate shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRefused {
    /// A list is not ascending, or names someone outside of the list that it must be part of.
    #[error("its {0} are not an ascending list within the list before it")]
    Malformed(&'static str),
    /// A sparse graph where the session has the complete one, or the other way round, or none that keeps the bounds.
    #[error("its roster of {n} clients has another graph in this session")]
    Graph {
        /// Clients on the roster.
        n: u32,
    },
    /// A member of the roster is not pinned.
    #[error("{0} is on its roster and is no member")]
    Stranger(ClientId),
    /// Too few clients, dealers, survivors or signatures.
    #[error("it has {have} {what}, {need} are needed")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// How many.
        have: u32,
        /// How many there must be.
        need: u32,
    },
    /// Fewer than two honest inputs are guaranteed.
    #[error("only {floor} honest inputs are guaranteed in its sum, at least 2 are needed")]
    HonestFloor {
        /// q − f.
        floor: u32,
    },
    /// A signature does not hold over these sets under this session.
    #[error(
        "the signature of {0} does not hold over the survivor set that it shows, in this attempt of this configuration"
    )]
    Signature(ClientId),
    /// An input that its owner did not sign in this attempt.
    #[error("the input that it names for {0} is not one that {0} signed in this attempt")]
    InputSignature(ClientId),
}

impl Certificate {
    /// Checks that a quorum of the session's members signed these sets, in the attempt whose configuration the session names, and
    /// that every survivor stands for its input: by its signature over ctx3, which covers it, or by the one over the input itself.
    ///
    /// # Errors
    /// [`CertificateRefused`].
    pub fn verify(&self, session: &Session) -> Result<Certified, CertificateRefused> {
        self.check(session, None)
    }

    /// The same for a client that took part and checked the very same signatures before it opened: it looks at none of them again.
    /// Where a single byte of them differs, all are looked at.
    ///
    /// # Errors
    /// [`CertificateRefused`].
    pub fn verify_after(&self, session: &Session, checked: &CheckedQuorum) -> Result<Certified, CertificateRefused> {
        self.check(session, Some(checked))
    }

    fn check(&self, session: &Session, known: Option<&CheckedQuorum>) -> Result<Certified, CertificateRefused> {
        let n = length(self.roster.len());
        if !self.roster.is_sorted_by(|a, b| a < b) {
            return Err(CertificateRefused::Malformed("roster"));
        }
        let floor = honest_floor(n, session.max_corrupt);
        let q = quorum(n, session.max_corrupt);
        at_least("clients on the roster", n, session.n_min)?;
        if floor < 2 {
            return Err(CertificateRefused::HonestFloor { floor });
        }
        match session.graph.on(n, session.max_corrupt) {
            Ok(sparse) if sparse.is_some() == self.graph_root.is_some() => {}
            _ => return Err(CertificateRefused::Graph { n }),
        }
        let identities = self
            .roster
            .iter()
            .map(|c| session.members.get(c).ok_or(CertificateRefused::Stranger(*c)))
            .collect::<Result<Vec<_>, _>>()?;
        if !self.dealers.is_sorted_by(|a, b| a < b) || self.dealers.last().is_some_and(|last| *last >= n) {
            return Err(CertificateRefused::Malformed("dealers"));
        }
        at_least("dealers", length(self.dealers.len()), q.max(session.n_min))?;
        let within = |inner: &InputRoot| self.dealers.binary_search(&inner.index).is_ok();
        if !self.inputs.is_sorted_by(|a, b| a.index < b.index) || !self.inputs.iter().all(within) {
            return Err(CertificateRefused::Malformed("survivors"));
        }
        at_least("survivors", length(self.inputs.len()), q)?;
        let survivors: BTreeSet<u32> = self.inputs.iter().map(|i| i.index).collect();
        let ctx1 = context::ctx1(session, &self.adverts_root, &self.roster);
        let ctx2 = context::ctx2(&ctx1, n, self.dealers.iter().copied(), &self.shares_root, self.graph_root.as_ref());
        let ctx3 = context::ctx3(&ctx2, n, survivors.iter().copied(), &inputs_root(&self.inputs));
        let signers_within = self.signatures.iter().all(|s| survivors.contains(&s.index));
        if !self.signatures.is_sorted_by(|a, b| a.index < b.index) || !signers_within {
            return Err(CertificateRefused::Malformed("signers"));
        }
        at_least("signatures", length(self.signatures.len()), q)?;
        let seen = CheckedQuorum { ctx3, signatures: CheckedQuorum::digest_of(&self.inputs, &self.signatures) };
        if known != Some(&seen) {
            self.check_signatures(session, &identities, &ctx2, &ctx3)?;
        }
        let client = |i: &u32| usize::try_from(*i).ok().and_then(|i| self.roster.get(i)).copied();
        let contributors = survivors.iter().filter_map(client).collect();
        let surplus = session.surplus(n, self.dealers.len(), self.inputs.len());
        let dealers = length(self.dealers.len());
        Ok(Certified { contributors, ctx3, honest_floor: floor, roster: n, dealers, surplus })
    }

    fn check_signatures(
        &self,
        session: &Session,
        identities: &[&[u8; 32]],
        ctx2: &Digest,
        ctx3: &Digest,
    ) -> Result<(), CertificateRefused> {
        let at =
            |index: u32| usize::try_from(index).ok().and_then(|i| Some((*self.roster.get(i)?, *identities.get(i)?)));
        for signed in &self.signatures {
            let (client, identity) = at(signed.index).ok_or(CertificateRefused::Malformed("signers"))?;
            verify(identity, labels::CTX3, ctx3.as_bytes(), &signed.signature)
                .map_err(|_| CertificateRefused::Signature(client))?;
        }
        let has_signed = |index: u32| self.signatures.binary_search_by_key(&index, |signed| signed.index).is_ok();
        for input in self.inputs.iter().filter(|input| !has_signed(input.index)) {
            let (client, identity) = at(input.index).ok_or(CertificateRefused::Malformed("survivors"))?;
            let signed = MaskedInputMsg::signed(ctx2, &client, &input.root, session.words);
            verify(identity, labels::INPUT, signed.as_bytes(), &input.signature)
                .map_err(|_| CertificateRefused::InputSignature(client))?;
        }
        Ok(())
    }
}

fn length(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn at_least(what: &'static str, have: u32, need: u32) -> Result<(), CertificateRefused> {
    if have < need { Err(CertificateRefused::TooFew { what, have, need }) } else { Ok(()) }
}
