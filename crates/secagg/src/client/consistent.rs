//! R3 done: survivor set signed; waits for a quorum of signatures over the same set.
use std::collections::BTreeSet;

use sottovoce_types::{ClientId, Digest, LayerSet};
use sottovoce_wire::Encode as _;

use super::Dealt;
use crate::fault::Abort;
use crate::identity::{Identity, verify};
use crate::keys::Share;
use crate::labels;
use crate::messages::{InputRoot, MaskedInputMsg, Opened, OpenedLayers, OpeningMsg, SignedBy, SurvivorQuorumMsg};

/// A client that signed a survivor set. It can open that one and no other.
pub struct Consistent {
    pub(super) dealt: Dealt,
    pub(super) survivors: BTreeSet<u32>,
    /// The signed root of each survivor's input, as the coordinator shows it.
    pub(super) inputs: Vec<InputRoot>,
    pub(super) ctx3: Digest,
}

/// That a quorum signed one ctx3, and who else is in it has said so. Clients of one process that signed the same may share it,
/// and a client knows by it the certificate of the sum that it opened ([`crate::Certificate::verify_after`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CheckedQuorum {
    pub(crate) ctx3: Digest,
    /// Of all signatures that were looked at.
    pub(crate) signatures: Digest,
}

impl CheckedQuorum {
    /// What the quorum signed.
    pub fn ctx3(&self) -> Digest {
        self.ctx3
    }

    /// What stands for these signatures, in their order.
    pub(crate) fn digest_of(inputs: &[InputRoot], signatures: &[SignedBy]) -> Digest {
        let mut bytes = Vec::new();
        for input in inputs {
            input.encode(&mut bytes);
        }
        for signed in signatures {
            signed.encode(&mut bytes);
        }
        Digest::of(&bytes)
    }
}

impl Consistent {
    /// What was signed.
    pub fn ctx3(&self) -> Digest {
        self.ctx3
    }

    /// The survivor set U3: whose inputs are in the sum if it is opened.
    pub fn contributors(&self) -> Vec<ClientId> {
        self.dealt.roster.clients(&self.survivors)
    }

    /// U2: clients that dealt shares.
    pub fn dealers(&self) -> u32 {
        u32::try_from(self.dealt.dealers.len()).unwrap_or(u32::MAX)
    }

    /// n: clients on the roster.
    pub fn roster_size(&self) -> u32 {
        self.dealt.roster.len()
    }

    /// The layers of noise whose seeds are opened with this survivor set, and no others: it follows from the sets that were signed.
    pub fn surplus(&self) -> LayerSet {
        let Self { dealt, survivors, .. } = self;
        dealt.roster.session.surplus(dealt.roster.len(), dealt.dealers.len(), survivors.len())
    }

    /// Checks the quorum, and that everyone on the roster has spoken for itself, and opens: one share a dealer, of b for a survivor and of s for a dropout. Which of the two is
    /// decided here, from the set that this client signed; the coordinator has no way to ask for one or the other, and a
    /// [`OpeningMsg`] has room for one share a dealer. In a session with layers also its own seeds of the surplus layers, and its shares of the survivors'
    /// seeds of the same layers: of those that stay in the sum nothing ever leaves.
    ///
    /// The caller makes the privacy debit durable before the message leaves: once it has left, the sum is out.
    ///
    /// # Errors
    /// [`Abort`]: fewer than q signatures, a signature out of order, by a client outside U3, or over another ctx3; a survivor that
    /// signed neither ctx3 nor the input named for it; a client outside U3 that did not sign its advert or its list of picks.
    pub fn quorum(self, message: SurvivorQuorumMsg, id: &Identity) -> Result<OpeningMsg, Abort> {
        let checked = self.check(&message)?;
        self.on_quorum(checked, id)
    }

    /// The checks that do not depend on who makes them.
    ///
    /// # Errors
    /// [`Abort`], as [`Consistent::quorum`].
    pub fn check(&self, message: &SurvivorQuorumMsg) -> Result<CheckedQuorum, Abort> {
        let Self { dealt, survivors, inputs, ctx3 } = self;
        let (have, need) = (u32::try_from(message.signatures.len()).unwrap_or(u32::MAX), dealt.roster.q);
        if have < need {
            return Err(Abort::QuorumTooSmall { have, need });
        }
        // Strictly ascending: no signer counts twice.
        if !message.signatures.is_sorted_by(|a, b| a.index < b.index) {
            return Err(Abort::QuorumMalformed);
        }
        for signed in &message.signatures {
            let signer =
                survivors.get(&signed.index).and_then(|i| dealt.roster.at(*i)).ok_or(Abort::QuorumMalformed)?;
            verify(&signer.identity, labels::CTX3, ctx3.as_bytes(), &signed.signature)
                .map_err(|_| Abort::QuorumSignature { signer: signer.client })?;
        }
        check_silent(dealt, inputs, survivors, &message.signatures)?;
        Ok(CheckedQuorum { ctx3: *ctx3, signatures: CheckedQuorum::digest_of(inputs, &message.signatures) })
    }

    /// The same as [`Consistent::quorum`] with a quorum that was checked before, by another client of this process.
    ///
    /// # Errors
    /// [`Abort::OtherSession`] for a quorum over another ctx3 than this client signed.
    pub fn on_quorum(self, checked: CheckedQuorum, id: &Identity) -> Result<OpeningMsg, Abort> {
        let surplus = self.surplus();
        let Self { mut dealt, survivors, ctx3, .. } = self;
        if checked.ctx3 != ctx3 {
            return Err(Abort::OtherSession);
        }
        let with_layers = dealt.roster.session.layers.is_some();
        let opening = |share: &Share| Opened { share: *share.value.to_bytes(), opener: share.opener.0 };
        let (mut opened, mut shares) = (Vec::new(), Vec::new());
        for dealer in dealt.topology.dealers(dealt.me, &dealt.dealers) {
            // The pair is taken apart here: one half is opened, the other is wiped, and so are the shares of layers that stay.
            let Some(pair) = dealt.held.remove(&dealer) else {
                opened.push(None);
                shares.push(Vec::new());
                continue;
            };
            let survived = survivors.contains(&dealer);
            opened.push(Some(opening(if survived { &pair.b } else { &pair.s })));
            let surplus = if survived { surplus } else { LayerSet::EMPTY };
            let of_surplus = (0..).zip(&pair.layers).filter(|(layer, _)| surplus.contains(*layer));
            shares.push(of_surplus.map(|(_, share)| opening(share)).collect());
        }
        let own = (0..).zip(&dealt.layers).filter(|(layer, _)| surplus.contains(*layer));
        let own = own.map(|(_, seed)| *seed.to_bytes()).collect();
        let layers = with_layers.then(|| Box::new(OpenedLayers { own, shares }));
        let mut message = OpeningMsg { opened, layers, signature: [0; 64] };
        message.sign(&ctx3, id);
        Ok(message)
    }
}

/// Whoever signed ctx3 found its own advert, picks, shares and input unaltered in what ctx3 covers, so none of its earlier
/// signatures is looked at. A survivor that fell silent signed its input, over ctx2, which covers the rest; and who is no survivor
/// signed an advert, and a list where clients pick.
fn check_silent(
    dealt: &Dealt,
    inputs: &[InputRoot],
    survivors: &BTreeSet<u32>,
    signatures: &[SignedBy],
) -> Result<(), Abort> {
    let Dealt { roster, topology, ctx2, .. } = dealt;
    let has_signed = |index: u32| signatures.binary_search_by_key(&index, |signed| signed.index).is_ok();
    for input in inputs.iter().filter(|input| !has_signed(input.index)) {
        let owner = roster.at(input.index).ok_or(Abort::SurvivorsMalformed)?;
        let signed = MaskedInputMsg::signed(ctx2, &owner.client, &input.root, roster.session.words);
        verify(&owner.identity, labels::INPUT, signed.as_bytes(), &input.signature)
            .map_err(|_| Abort::InputSignature { owner: owner.client })?;
    }
    for (position, _) in roster.members().filter(|(position, _)| !survivors.contains(position)) {
        roster.vouched(position)?;
        topology.vouched(roster, position)?;
    }
    Ok(())
}
