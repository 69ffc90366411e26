//! What was said once is said again, in another attempt, in another form or by somebody else.
use std::collections::BTreeSet;

use sottovoce_secagg::*;
use sottovoce_types::{Digest, RingVec};

use crate::driver::{Cohort, Drops, Outcome, VALUES, run_round};

/// Everything that client 0 and the coordinator said in an attempt of four.
struct Said {
    advert: AdvertMsg,
    roster: RosterMsg,
    shares: SharesMsg,
    envelopes: EnvelopesMsg,
    input: MaskedInputMsg,
    survivors: SurvivorsMsg,
    signature: SurvivorSignatureMsg,
    quorum: SurvivorQuorumMsg,
    opening: OpeningMsg,
}

/// Runs the attempt whose configuration is `cfg`; at every step, client 0 and the coordinator are first shown what was said in
/// `earlier` and must refuse it.
#[allow(clippy::too_many_lines, reason = "every message of an attempt")]
fn attempt(cohort: &mut Cohort, cfg: &[u8], earlier: Option<&Said>) -> Said {
    cohort.session.cfg = Digest::of(cfg);
    let all = 0..cohort.n();
    let refused = |fault: Result<(), PeerFault>, what: &str| {
        assert!(fault.is_err(), "{what} of an earlier attempt was taken");
    };
    // Clients are shown old messages in states of their own, which end with the refusal.
    if let Some(old) = earlier {
        let victim = |c: &mut Cohort| c.until_roster().0.remove(0);
        let answer = victim(cohort).roster(old.roster.clone(), &cohort.sites[0], &mut cohort.rng);
        assert_eq!(answer.map(|_| ()), Err(Abort::OwnAdvertAltered));
        let answer = cohort.until_envelopes().0.remove(0).envelopes(old.envelopes.clone());
        assert_eq!(answer.map(|_| ()), Err(Abort::OwnDealingAltered));
        // Another dealer's old envelope and dealing among the fresh ones.
        let (mut states, _, messages) = cohort.until_envelopes();
        let mut mixed = messages[0].clone();
        mixed.dealt[1] = old.envelopes.dealt[1].clone();
        let dealer = cohort.id(2);
        assert_eq!(states.remove(0).envelopes(mixed).map(|_| ()), Err(Abort::DealingSignature { dealer }));
        let (mut states, _, messages) = cohort.until_envelopes();
        let mut mixed = messages[0].clone();
        mixed.dealt[1].envelope = old.envelopes.dealt[1].envelope.clone();
        assert_eq!(states.remove(0).envelopes(mixed).map(|_| ()), Err(Abort::EnvelopeAltered { dealer }));
        let (mut states, ..) = cohort.until_survivors(&[0, 1, 2, 3]);
        let answer = states.remove(0).survivors(old.survivors.clone(), &cohort.sites[0]);
        assert_eq!(answer.map(|_| ()), Err(Abort::OwnInputAltered));
        let (mut states, ..) = cohort.until_quorum(&[0, 1, 2, 3]);
        let answer = states.remove(0).quorum(old.quorum.clone(), &cohort.sites[0]);
        assert_eq!(answer, Err(Abort::QuorumSignature { signer: cohort.id(0) }));
    }
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    if let Some(old) = earlier {
        refused(server.advert(cohort.id(0), old.advert.clone()), "an advert");
    }
    let (mut states, mut adverts) = (Vec::new(), Vec::new());
    for i in all.clone() {
        let (state, m) = Advertised::start(cohort.session.clone(), &cohort.sites[i], &mut cohort.rng).unwrap();
        server.advert(cohort.id(i), m.clone()).unwrap();
        states.push(state);
        adverts.push(m);
    }
    let (server, roster) = server.close(&cohort.coordinator).unwrap();
    let mut server = server.complete().unwrap();
    if let Some(old) = earlier {
        refused(server.shares(cohort.id(0), old.shares.clone()), "shares");
    }
    let (mut shared, mut dealt) = (Vec::new(), Vec::new());
    for (i, state) in states.into_iter().enumerate() {
        let (state, m) = state.roster(roster.clone(), &cohort.sites[i], &mut cohort.rng).unwrap().complete().unwrap();
        server.shares(cohort.id(i), m.clone()).unwrap();
        shared.push(state);
        dealt.push(m);
    }
    let (mut server, envelopes) = server.close().unwrap();
    if let Some(old) = earlier {
        refused(server.input(cohort.id(0), old.input.clone()).map(|_| ()), "an input");
    }
    let (mut submitted, mut inputs) = (Vec::new(), Vec::new());
    for (i, state) in shared.into_iter().enumerate() {
        let state = state.envelopes(envelopes[i].1.clone()).unwrap();
        let (state, m) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        server.input(cohort.id(i), m.clone()).unwrap();
        submitted.push(state);
        inputs.push(m);
    }
    let (mut server, survivors) = server.close().unwrap();
    if let Some(old) = earlier {
        refused(server.signature(cohort.id(0), old.signature.clone()), "a signature");
    }
    let (mut consistent, mut signatures) = (Vec::new(), Vec::new());
    for (i, state) in submitted.into_iter().enumerate() {
        let (state, m) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), m.clone()).unwrap();
        consistent.push(state);
        signatures.push(m);
    }
    let (mut server, quorum) = server.close().unwrap();
    if let Some(old) = earlier {
        refused(server.opening(cohort.id(0), old.opening.clone()), "an opening");
    }
    let mut openings = Vec::new();
    for (i, state) in consistent.into_iter().enumerate() {
        let m = state.quorum(quorum.clone(), &cohort.sites[i]).unwrap();
        server.opening(cohort.id(i), m.clone()).unwrap();
        openings.push(m);
    }
    assert_eq!(server.close().unwrap().sum().unpack(VALUES), cohort.plain_sum(all));
    Said {
        advert: adverts.remove(0),
        roster,
        shares: dealt.remove(0),
        envelopes: envelopes[0].1.clone(),
        input: inputs.remove(0),
        survivors,
        signature: signatures.remove(0),
        quorum,
        opening: openings.remove(0),
    }
}

#[test]
fn nothing_said_in_one_attempt_is_taken_in_another() {
    let mut cohort = Cohort::new(4, 1);
    let first = attempt(&mut cohort, b"round 1 attempt 1", None);
    for later in [&b"round 1 attempt 2"[..], b"round 2 attempt 1"] {
        attempt(&mut cohort, later, Some(&first));
    }
    // Not even in an attempt of the very same configuration: keys are fresh, and so is all that hangs on them. The advert alone is
    // the same statement of the same client and would be taken; its client then leaves, for it is not the advert that it made.
    let (_, old) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
    let (mut states, _, mut roster) = cohort.until_roster();
    roster.adverts[0] = old;
    roster.sign(&cohort.session.cfg, &cohort.coordinator);
    let answer = states.remove(0).roster(roster, &cohort.sites[0], &mut cohort.rng);
    assert_eq!(answer.map(|_| ()), Err(Abort::OwnAdvertAltered));
}

/// S + l in place of S: the same signature to a verifier that is not strict.
fn malleated(signature: &[u8; 64]) -> [u8; 64] {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut out = *signature;
    let mut carry = 0u16;
    for (byte, l) in out[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(l) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    out
}

#[test]
fn a_quorum_with_a_malleated_signature_opens_nothing() {
    let mut cohort = Cohort::new(5, 1);
    let (mut states, _, mut quorum) = cohort.until_quorum(&[0, 1, 2, 3]);
    quorum.signatures[2].signature = malleated(&quorum.signatures[2].signature);
    let refused = states.remove(0).quorum(quorum, &cohort.sites[0]);
    assert_eq!(refused, Err(Abort::QuorumSignature { signer: cohort.id(2) }));
}

#[test]
fn the_second_encoding_of_a_point_on_a_roster_is_refused_naming_the_sender() {
    // u = 19 + p fits 255 bits: a second encoding of u = 19. And any key with its ignored top bit set.
    let mut cohort = Cohort::new(4, 1);
    let mut high = [0xff; 32];
    (high[0], high[31]) = (0xed + 18, 0x7f);
    let bit = |k: [u8; 32]| {
        let mut k = k;
        k[31] |= 0x80;
        k
    };
    for which in [0, 1] {
        let (states, _, mut roster) = cohort.until_roster();
        let key = if which == 0 { high } else { bit(roster.adverts[2].pk_mask) };
        roster.adverts[2].pk_mask = key;
        roster.adverts[2].sign(&cohort.sites[2]);
        roster.sign(&cohort.session.cfg, &cohort.coordinator);
        let state = states.into_iter().next().unwrap();
        let answer = state.roster(roster, &cohort.sites[0], &mut cohort.rng).map(|_| ());
        assert_eq!(answer, Err(Abort::Advert { client: cohort.id(2), fault: AdvertFault::WeakKey }));
    }
}

#[test]
fn an_identity_that_the_manifest_no_longer_lists_is_refused() {
    let mut cohort = Cohort::new(5, 1);
    let (_, advert) = Advertised::start(cohort.session.clone(), &cohort.sites[4], &mut cohort.rng).unwrap();
    let revoked = cohort.id(4);
    let mut members = (*cohort.session.members).clone();
    members.remove(&revoked);
    cohort.session.members = members.into();
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let fault = PeerFault::Advert { client: revoked, fault: AdvertFault::UnknownIdentity };
    assert_eq!(server.advert(revoked, advert), Err(fault));
    let start = Advertised::start(cohort.session.clone(), &cohort.sites[4], &mut cohort.rng);
    assert!(matches!(start, Err(Abort::NotAMember)));
}

/// Signs a masked input as client i would, under the context that its honest state holds.
fn signed_input(cohort: &Cohort, i: usize, ctx2: Digest, words: Vec<u64>) -> MaskedInputMsg {
    let (client, owner) = (cohort.id(i), chunks::Owner::Input(cohort.id(i)));
    let root = chunks::ChunkTree::of(owner, &words, std::num::NonZeroUsize::MIN).root();
    let mut signed = labels::INPUT.hasher();
    signed.field(ctx2.as_bytes()).field(&client.0).field(root.as_bytes()).number(words.len() as u64);
    MaskedInputMsg { signature: cohort.sites[i].sign(labels::INPUT, signed.finish().as_bytes()), words }
}

/// A client that puts no mask on its input shows it to the coordinator: its own loss. It also leaves the masks of the others
/// with it in the sum, which is then no sum.
#[test]
fn an_input_without_masks_is_taken_is_its_senders_own_loss_and_spoils_the_sum() {
    let mut cohort = Cohort::new(4, 1);
    let (states, mut server) = cohort.until_masking();
    let mut submitted = Vec::new();
    for (i, state) in states.into_iter().enumerate() {
        let ctx2 = state.ctx2();
        let plain = cohort.pack(&cohort.input(i));
        let (state, honest) = state.submit(plain.clone(), &cohort.sites[i]).unwrap();
        if i == 3 {
            let naked = signed_input(&cohort, i, ctx2, plain.words().to_vec());
            assert_eq!(RingVec::from_words(naked.words.clone(), cohort.session.lanes).unpack(VALUES), cohort.input(3));
            server.input(cohort.id(i), naked).unwrap();
        } else {
            assert_ne!(honest.words(), plain.words(), "the others stay masked");
            server.input(cohort.id(i), honest).unwrap();
            submitted.push((i, state));
        }
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in submitted {
        let (state, m) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), m).unwrap();
        consistent.push((i, state));
    }
    let (mut server, quorum) = server.close().unwrap();
    for (i, state) in consistent {
        server.opening(cohort.id(i), state.quorum(quorum.clone(), &cohort.sites[i]).unwrap()).unwrap();
    }
    let sum = server.close().unwrap();
    let plain = cohort.pack(&cohort.plain_sum(0..4));
    assert!(sum.sum().words().iter().zip(plain.words()).all(|(a, b)| a != b), "no word of it is the sum");
}

/// What is not promised: an input out of all bounds is summed as it is. It moves its own lanes at will and borrows a unit from the
/// next ones; what the others sent is masked as ever.
#[test]
fn an_input_tuned_to_wrap_lanes_corrupts_the_sum_and_tells_nothing_of_the_others() {
    let mut cohort = Cohort::new(4, 1);
    let top = i64::try_from(cohort.session.lanes.max_magnitude()).unwrap();
    let mut inputs: Vec<RingVec> = (0..4).map(|i| cohort.pack(&cohort.input(i))).collect();
    inputs[3] = cohort.pack(&[top, top, 0, 0, 0, 0]);
    let Outcome::Sum(sum) = run_round(&mut cohort, &inputs, &Drops::default()) else { panic!("a sum, if a bad one") };
    let honest = cohort.plain_sum(0..3);
    let got = sum.sum().unpack(VALUES);
    // The first lane wraps: 2^31 − 1 and 600 make −2^31 + 599.
    assert_eq!((honest[0], got[0]), (600, -top - 1 + 599));
    assert_ne!(got[1], honest[1] + top);
    assert_eq!(got[2..], honest[2..], "lanes of other words are untouched");
    // With the input known, what is left of it in the sum is the honest sum: nothing more is told than that.
    let mut left = sum.sum().clone();
    let negated = inputs[3].words().iter().map(|w| w.wrapping_neg()).collect();
    left.add(&RingVec::from_words(negated, cohort.session.lanes));
    assert_eq!(left.unpack(VALUES), honest);
}

/// A thousand attempts of one configuration: no public key, commitment, nonce, envelope or masked input comes twice, and
/// neither do the bytes that begin them.
#[test]
fn no_key_envelope_or_mask_repeats_in_a_thousand_attempts() {
    let mut cohort = Cohort::new(2, 0);
    let mut seen = BTreeSet::new();
    let mut fresh = |bytes: &[u8], what: &str| {
        let start: [u8; 16] = *bytes.first_chunk().unwrap();
        assert!(seen.insert(start), "{what} came twice");
    };
    for _ in 0..1000 {
        let (states, _, messages) = cohort.until_envelopes();
        for (i, (state, message)) in states.into_iter().zip(messages).enumerate() {
            // One from the other alone.
            let other = message.dealt[0].clone();
            fresh(&other.envelope.0, "an envelope");
            fresh(&other.entry.commit_s.0, "a commitment to a share of s");
            fresh(&other.entry.commit_b.0, "a commitment to a share of b");
            let zeros = RingVec::zeros(cohort.session.words, cohort.session.lanes);
            let (_, input) = state.envelopes(message).unwrap().submit(zeros, &cohort.sites[i]).unwrap();
            let bytes: Vec<u8> = input.words.iter().flat_map(|w| w.to_le_bytes()).collect();
            fresh(&bytes, "a mask");
        }
        let (_, _, roster) = cohort.until_roster();
        for a in &roster.adverts {
            for bytes in [a.pk_mask, a.pk_chan, a.commit_b.0, a.nonce] {
                fresh(&bytes, "a value of an advert");
            }
        }
    }
    assert_eq!(seen.len(), 1000 * 2 * (4 + 4));
}

/// The control: two processes that continue one generator (a fork, a snapshot put back) do repeat, and the test above sees it.
#[test]
fn control_a_cloned_generator_repeats_everything() {
    let cohort = Cohort::new(2, 0);
    let (mut one, mut other) = (cohort.rng.clone(), cohort.rng.clone());
    let (_, a) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut one).unwrap();
    let (_, b) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut other).unwrap();
    assert_eq!(a, b);
}
