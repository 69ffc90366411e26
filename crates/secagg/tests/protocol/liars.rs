//! Lies about keys and shares (R0 and R1), told by the coordinator to clients or by clients to the coordinator.
use std::sync::Arc;

use sottovoce_secagg::graph::{Adversary, MaskGraph, SparseTerms};
use sottovoce_secagg::*;
use sottovoce_types::{ClientId, Digest};

use crate::driver::Cohort;

/// What client 0 says to a roster that `lie` changed and the coordinator signed again.
fn roster_shown(cohort: &mut Cohort, lie: impl FnOnce(&mut RosterMsg, &Cohort)) -> Result<(), Abort> {
    let (states, _, mut roster) = cohort.until_roster();
    lie(&mut roster, cohort);
    roster.sign(&cohort.session.cfg, &cohort.coordinator);
    let state = states.into_iter().next().unwrap();
    state.roster(roster, &cohort.sites[0], &mut cohort.rng).map(|_| ())
}

#[test]
fn an_honest_roster_is_accepted() {
    assert_eq!(roster_shown(&mut Cohort::new(4, 1), |_, _| ()), Ok(()));
}

#[test]
fn claim_own_advert_altered_or_left_out_is_refused() {
    let altered = roster_shown(&mut Cohort::new(4, 1), |r, _| r.adverts[0].pk_chan[0] ^= 1);
    assert_eq!(altered, Err(Abort::OwnAdvertAltered));
    let left_out = roster_shown(&mut Cohort::new(4, 1), |r, _| {
        r.adverts.remove(0);
    });
    assert_eq!(left_out, Err(Abort::OwnAdvertAltered));
    // Another advert that this client itself signed, from an earlier attempt at the same configuration.
    let mut cohort = Cohort::new(4, 1);
    let (_, earlier) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
    assert_eq!(roster_shown(&mut cohort, |r, _| r.adverts[0] = earlier), Err(Abort::OwnAdvertAltered));
}

fn advert_refused(client: ClientId, fault: AdvertFault) -> Result<(), Abort> {
    Err(Abort::Advert { client, fault })
}

#[test]
fn claim_swapped_public_keys_are_refused() {
    // The coordinator puts its own key in place of another's (man in the middle) …
    let mut cohort = Cohort::new(4, 1);
    let bad = advert_refused(cohort.id(2), AdvertFault::Signature);
    assert_eq!(roster_shown(&mut cohort, |r, _| r.adverts[2].pk_mask = [9; 32]), bad);
    // … or exchanges the keys of two clients.
    let swapped = roster_shown(&mut cohort, |r, _| {
        let key = r.adverts[1].pk_mask;
        r.adverts[1].pk_mask = r.adverts[2].pk_mask;
        r.adverts[2].pk_mask = key;
    });
    assert_eq!(swapped, advert_refused(cohort.id(1), AdvertFault::Signature));
    // … or claims that one client's advert is another's.
    let renamed = roster_shown(&mut cohort, |r, c| {
        r.adverts[1].client = c.id(2);
        r.adverts[2].client = c.id(1);
        r.adverts.swap(1, 2);
    });
    assert_eq!(renamed, advert_refused(cohort.id(1), AdvertFault::Signature));
}

#[test]
fn claim_unknown_identity_refused_on_a_roster_and_by_an_honest_coordinator() {
    let mut cohort = Cohort::new(4, 1);
    let sybil = Identity::generate(&mut cohort.rng);
    let mut own_members = (*cohort.session.members).clone();
    own_members.insert(sybil.client_id(), sybil.public_key());
    let theirs = Session { members: own_members.into(), ..cohort.session.clone() };
    let (_, advert) = Advertised::start(theirs, &sybil, &mut cohort.rng).unwrap();
    let shown = roster_shown(&mut cohort, |r, _| {
        r.adverts.push(advert.clone());
        r.adverts.sort_by_key(|a| a.client);
    });
    assert_eq!(shown, advert_refused(sybil.client_id(), AdvertFault::UnknownIdentity));
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let fault = PeerFault::Advert { client: sybil.client_id(), fault: AdvertFault::UnknownIdentity };
    assert_eq!(server.advert(sybil.client_id(), advert), Err(fault.clone()));
    assert_eq!((fault.client(), server.count()), (sybil.client_id(), 0));
    // And someone who is no member cannot even begin.
    assert!(matches!(Advertised::start(cohort.session.clone(), &sybil, &mut cohort.rng), Err(Abort::NotAMember)));
}

#[test]
fn claim_an_identity_on_the_roster_twice_is_refused() {
    let twice = roster_shown(&mut Cohort::new(4, 1), |r, _| r.adverts.insert(2, r.adverts[2].clone()));
    assert_eq!(twice, Err(Abort::RosterMalformed));
    let unordered = roster_shown(&mut Cohort::new(4, 1), |r, _| r.adverts.swap(1, 2));
    assert_eq!(unordered, Err(Abort::RosterMalformed));
}

/// A colluder that echoes a victim's key would share the victim's pairwise mask.
#[test]
fn claim_a_public_key_on_the_roster_twice_is_refused() {
    let mut cohort = Cohort::new(4, 1);
    let bad = advert_refused(cohort.id(3), AdvertFault::RepeatedKey);
    let echoed_mask = roster_shown(&mut cohort, |r, c| {
        r.adverts[3].pk_mask = r.adverts[0].pk_mask;
        r.adverts[3].sign(&c.sites[3]);
    });
    assert_eq!(echoed_mask, bad);
    let echoed_as_channel = roster_shown(&mut cohort, |r, c| {
        r.adverts[3].pk_chan = r.adverts[0].pk_mask;
        r.adverts[3].sign(&c.sites[3]);
    });
    assert_eq!(echoed_as_channel, bad);

    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let (_, victim) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
    let (_, mut echo) = Advertised::start(cohort.session.clone(), &cohort.sites[3], &mut cohort.rng).unwrap();
    echo.pk_mask = victim.pk_mask;
    echo.sign(&cohort.sites[3]);
    server.advert(cohort.id(0), victim).unwrap();
    let fault = PeerFault::Advert { client: cohort.id(3), fault: AdvertFault::RepeatedKey };
    assert_eq!(server.advert(cohort.id(3), echo), Err(fault));
}

#[test]
fn claim_low_order_points_are_refused_naming_the_sender() {
    let mut cohort = Cohort::new(4, 1);
    let mut one = [0; 32];
    one[0] = 1;
    for point in [[0; 32], one] {
        let shown = roster_shown(&mut cohort, |r, c| {
            r.adverts[2].pk_chan = point;
            r.adverts[2].sign(&c.sites[2]);
        });
        assert_eq!(shown, advert_refused(cohort.id(2), AdvertFault::WeakKey));
    }
}

#[test]
fn claim_an_advert_of_another_attempt_is_refused() {
    let mut cohort = Cohort::new(4, 1);
    let other = Session { cfg: Digest::of(b"attempt 2"), ..cohort.session.clone() };
    let (_, old) = Advertised::start(other, &cohort.sites[3], &mut cohort.rng).unwrap();
    let bad = advert_refused(cohort.id(3), AdvertFault::OtherConfig);
    assert_eq!(roster_shown(&mut cohort, |r, _| r.adverts[3] = old.clone()), bad);
    // Relabelling it breaks its signature.
    let cfg = cohort.session.cfg;
    let relabelled = roster_shown(&mut cohort, |r, _| r.adverts[3] = AdvertMsg { cfg, ..old });
    assert_eq!(relabelled, advert_refused(cohort.id(3), AdvertFault::Signature));
}

#[test]
fn claim_a_roster_that_is_too_small_is_refused() {
    let mut cohort = Cohort::new(5, 1);
    cohort.session.n_min = 5;
    let small = roster_shown(&mut cohort, |r, _| r.adverts.truncate(4));
    assert_eq!(small, Err(Abort::RosterTooSmall { n: 4, n_min: 5 }));
    // n_min alone would allow it, the honest floor does not: three clients, one of them honest beside the victim at most.
    let mut cohort = Cohort::new(5, 2);
    let thin = roster_shown(&mut cohort, |r, _| r.adverts.truncate(3));
    assert_eq!(thin, Err(Abort::HonestFloor { n: 3, f: 2, floor: 1 }));
    // A cohort of one.
    let alone = roster_shown(&mut Cohort::new(4, 0), |r, _| r.adverts.truncate(1));
    assert_eq!(alone, Err(Abort::RosterTooSmall { n: 1, n_min: 2 }));
}

#[test]
fn claim_a_roster_not_signed_by_the_pinned_coordinator_is_refused() {
    let mut cohort = Cohort::new(4, 1);
    let impostor = Identity::generate(&mut cohort.rng);
    for forge in [
        &(|r: &mut RosterMsg, _: &Cohort| r.signature[3] ^= 1) as &dyn Fn(&mut RosterMsg, &Cohort),
        &|r, c| r.sign(&c.session.cfg, &impostor),
        &|r, c| r.sign(&c.session.cfg, &c.sites[1]),
        &|r, c| r.sign(&Digest::of(b"attempt 2"), &c.coordinator),
    ] {
        let (mut states, _, mut roster) = cohort.until_roster();
        forge(&mut roster, &cohort);
        let answer = states.remove(0).roster(roster, &cohort.sites[0], &mut cohort.rng);
        assert!(matches!(answer, Err(Abort::CoordinatorSignature)));
    }
}

/// f, n_min, lanes, words, graph and suite are in ctx1: whoever sees other terms signs other things.
#[test]
fn claim_parties_with_different_terms_cannot_share() {
    let base = Cohort::new(5, 1).session;
    for theirs in [
        Session { max_corrupt: 0, ..base.clone() },
        Session { n_min: 3, ..base.clone() },
        Session { words: 4, ..base.clone() },
        Session { lanes: sottovoce_types::Lanes::new(3).unwrap(), ..base.clone() },
        Session {
            graph: MaskGraph::Auto(SparseTerms { max_dropout: 0.1, adversary: Adversary::Malicious }),
            ..base.clone()
        },
        Session { suite: MaskSuite::None, allow_plain: true, ..base.clone() },
        Session { suite: MaskSuite::ChaCha20, ..base.clone() },
        Session { suite: MaskSuite::Aes128Ctr, ..base.clone() },
        Session { suite: MaskSuite::ChaCha8, allow_plain: true, ..base.clone() },
    ] {
        let mut cohort = Cohort::new(5, 1);
        let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
        let mut states = Vec::new();
        for (i, site) in cohort.sites.iter().enumerate() {
            let session = if i == 0 { theirs.clone() } else { cohort.session.clone() };
            let (state, advert) = Advertised::start(session, site, &mut cohort.rng).unwrap();
            server.advert(site.client_id(), advert).unwrap();
            states.push(state);
        }
        let (server, roster) = server.close(&cohort.coordinator).unwrap();
        let mut server = server.complete().unwrap();
        let (_, shares) =
            states.remove(0).roster(roster, &cohort.sites[0], &mut cohort.rng).unwrap().complete().unwrap();
        let fault = PeerFault::Signature { client: cohort.id(0) };
        assert_eq!(server.shares(cohort.id(0), shares), Err(fault));
    }
}

#[test]
fn the_coordinator_takes_one_advert_from_its_own_sender_only() {
    let mut cohort = Cohort::new(4, 1);
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let (_, advert) = Advertised::start(cohort.session.clone(), &cohort.sites[0], &mut cohort.rng).unwrap();
    assert_eq!(server.advert(cohort.id(1), advert.clone()), Err(PeerFault::Stranger { client: cohort.id(1) }));
    server.advert(cohort.id(0), advert.clone()).unwrap();
    assert_eq!(server.advert(cohort.id(0), advert), Err(PeerFault::Repeated { client: cohort.id(0) }));
    assert!(server.has(&cohort.id(0)) && !server.has(&cohort.id(1)));
    assert_eq!(server.expected(), vec![cohort.id(1), cohort.id(2), cohort.id(3)]);
}

// ── R1 ──

/// What client 0 says to envelopes that `lie` changed. It gets none from itself: `dealt[i]` is client i + 1's.
fn envelopes_shown(
    cohort: &mut Cohort,
    lie: impl FnOnce(&mut Vec<DealtToYou>, &mut Vec<DealerDigest>),
) -> Result<(), Abort> {
    let (states, _, messages) = cohort.until_envelopes();
    let mut message = messages[0].clone();
    lie(&mut message.dealt, Arc::make_mut(&mut message.dealers));
    states.into_iter().next().unwrap().envelopes(message).map(|_| ())
}

#[test]
fn claim_altered_or_withheld_shares_are_refused() {
    let cohort = || Cohort::new(5, 1);
    let dealer = cohort().id(2);
    let signature = || Err(Abort::DealingSignature { dealer });
    let altered = || Err(Abort::EnvelopeAltered { dealer });
    assert_eq!(envelopes_shown(&mut cohort(), |_, _| ()), Ok(()));
    assert_eq!(envelopes_shown(&mut cohort(), |d, _| d[1].envelope.0[7] ^= 1), altered());
    assert_eq!(envelopes_shown(&mut cohort(), |d, _| d[1].envelope = d[2].envelope.clone()), altered());
    // Another commitment, no way to the root or another, another dealer's, another holder's.
    assert_eq!(envelopes_shown(&mut cohort(), |d, _| d[1].entry.commit_s = Digest([0; 32])), signature());
    assert_eq!(envelopes_shown(&mut cohort(), |d, _| d[1].path.clear()), signature());
    assert_eq!(envelopes_shown(&mut cohort(), |d, _| d[1].path[0] = Digest([0; 32])), signature());
    assert_eq!(envelopes_shown(&mut cohort(), |d, _| d[1] = DealtToYou { dealer: 2, ..d[2].clone() }), signature());
    let mut other = cohort();
    let (states, _, messages) = other.until_envelopes();
    let mut message = messages[0].clone();
    message.dealt[1] = messages[1].dealt.iter().find(|d| d.dealer == 2).unwrap().clone();
    let refused = states.into_iter().next().unwrap().envelopes(message).map(|_| ());
    assert_eq!(refused, Err(Abort::DealingSignature { dealer: other.id(2) }), "what client 1 was dealt");
    // Withheld, though the dealer is said to be one; or of somebody who is not.
    let withheld = envelopes_shown(&mut cohort(), |d, _| {
        d.remove(1);
    });
    assert_eq!(withheld, Err(Abort::DealersMalformed));
    let no_dealer = envelopes_shown(&mut cohort(), |_, u2| {
        u2.remove(2);
    });
    assert_eq!(no_dealer, Err(Abort::DealersMalformed));
    // Another dealing is said to be among those of U2 than the one shown.
    let other_dealing = envelopes_shown(&mut cohort(), |_, u2| u2[2].digest = Digest([0; 32]));
    assert_eq!(other_dealing, Err(Abort::DealersMalformed));
    assert_eq!(envelopes_shown(&mut cohort(), |_, u2| u2[0].digest = Digest([0; 32])), Err(Abort::OwnDealingAltered));
    let left_out = envelopes_shown(&mut cohort(), |_, u2| {
        u2.remove(0);
    });
    assert_eq!(left_out, Err(Abort::OwnDealingAltered));
}

#[test]
fn claim_a_set_of_dealers_that_is_too_small_or_no_set_is_refused() {
    let mut cohort = Cohort::new(5, 1); // q = 4
    let mut cut = |to: usize| {
        envelopes_shown(&mut cohort, |d, u2| {
            u2.truncate(to);
            d.truncate(to - 1);
        })
    };
    assert_eq!(cut(4), Ok(()), "four dealers are enough");
    assert_eq!(cut(3), Err(Abort::TooFewDealers { have: 3, need: 4 }));
    let mut lie = |change: &dyn Fn(&mut Vec<DealerDigest>)| envelopes_shown(&mut cohort, |_, u2| change(u2));
    assert_eq!(lie(&|u2| u2[4].dealer = 5), Err(Abort::DealersMalformed));
    assert_eq!(lie(&|u2| u2.insert(3, u2[3])), Err(Abort::DealersMalformed));
    assert_eq!(lie(&|u2| u2.swap(2, 3)), Err(Abort::DealersMalformed));
}

/// Two rosters, both properly signed: client 0 sees all five, client 4 sees four (without client 1). Their contexts differ,
/// so neither takes the other's shares; the two statements with the coordinator's signature are the evidence.
#[test]
fn claim_different_rosters_end_the_attempt() {
    let mut cohort = Cohort::new(5, 1);
    let (mut states, mut server, roster) = cohort.until_roster();
    let mut other = roster.clone();
    other.adverts.remove(1);
    other.sign(&cohort.session.cfg, &cohort.coordinator);
    let b = states.pop().unwrap();
    let (_, from_b) = b.roster(other, &cohort.sites[4], &mut cohort.rng).unwrap().complete().unwrap();
    let a = states.remove(0);
    let (a, from_a) = a.roster(roster.clone(), &cohort.sites[0], &mut cohort.rng).unwrap().complete().unwrap();
    // An honest coordinator notices.
    assert_eq!(server.shares(cohort.id(4), from_b.clone()), Err(PeerFault::Shape { client: cohort.id(4) }));
    // A lying one pads B's list so that it has the right length; the honest coordinator's own work then shows it to A.
    server.shares(cohort.id(0), from_a).unwrap();
    for (i, state) in states.into_iter().enumerate() {
        let site = &cohort.sites[i + 1];
        let (_, m) = state.roster(roster.clone(), site, &mut cohort.rng).unwrap().complete().unwrap();
        server.shares(site.client_id(), m).unwrap();
    }
    let (_, messages) = server.close().unwrap();
    let mut message = messages[0].1.clone();
    let dealt = DealtToYou {
        dealer: 4,
        entry: from_b.dealing.entries[0].clone(),
        path: message.dealt[0].path.clone(),
        signature: from_b.dealing.signature,
        envelope: from_b.envelopes[0].clone(),
    };
    Arc::make_mut(&mut message.dealers).push(DealerDigest { dealer: 4, digest: Digest([0; 32]) });
    message.dealt.push(dealt);
    let refused = a.envelopes(message);
    assert!(matches!(refused, Err(Abort::DealingSignature { dealer }) if dealer == cohort.id(4)));
}

#[test]
fn claim_malformed_shares_are_refused_naming_the_dealer_and_leave_the_phase_as_it_was() {
    let mut cohort = Cohort::new(4, 1);
    let (mut states, mut server, roster) = cohort.until_roster();
    let (state, good) = states.remove(0).roster(roster, &cohort.sites[0], &mut cohort.rng).unwrap().complete().unwrap();
    let client = cohort.id(0);
    let mut lie = |change: &dyn Fn(&mut SharesMsg)| {
        let mut bad = good.clone();
        change(&mut bad);
        server.shares(client, bad).unwrap_err()
    };
    assert_eq!(lie(&|m| m.envelopes.truncate(2)), PeerFault::Shape { client });
    assert_eq!(lie(&|m| m.dealing.entries.truncate(3)), PeerFault::Shape { client });
    assert_eq!(lie(&|m| m.dealing.entries[1].commit_b = Digest([0; 32])), PeerFault::Signature { client });
    assert_eq!(lie(&|m| m.envelopes[1].0[0] ^= 1), PeerFault::EnvelopeHash { client });
    assert_eq!(lie(&|m| m.dealing.sign(&Digest([1; 32]), &cohort.sites[0])), PeerFault::Signature { client });
    assert_eq!(lie(&|m| m.dealing.sign(&state.ctx1(), &cohort.sites[1])), PeerFault::Signature { client });
    assert_eq!(server.count(), 0);
    server.shares(client, good.clone()).unwrap();
    assert_eq!(server.shares(client, good.clone()), Err(PeerFault::Repeated { client }));
    let stranger = Identity::generate(&mut cohort.rng).client_id();
    assert_eq!(server.shares(stranger, good), Err(PeerFault::Stranger { client: stranger }));
}

// ── R2 ──

#[test]
fn claim_a_forged_or_repeated_input_adds_nothing() {
    let mut cohort = Cohort::new(4, 0);
    let (masking, mut server) = cohort.until_masking();
    let (mut states, mut sent) = (Vec::new(), Vec::new());
    for (i, state) in masking.into_iter().enumerate() {
        let (state, message) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        states.push(state);
        sent.push(message);
    }
    let client = cohort.id(0);
    let mut altered = sent[0].clone();
    altered.words[0] ^= 1;
    assert_eq!(server.input(client, altered).map(|_| ()), Err(PeerFault::Signature { client }));
    // Another client's input under one's own name.
    assert_eq!(server.input(client, sent[1].clone()).map(|_| ()), Err(PeerFault::Signature { client }));
    let mut short = sent[0].clone();
    short.words.pop();
    assert_eq!(server.input(client, short).map(|_| ()), Err(PeerFault::Shape { client }));
    assert_eq!(server.count(), 0);
    server.input(client, sent[0].clone()).unwrap();
    assert_eq!(server.input(client, sent[0].clone()).map(|_| ()), Err(PeerFault::Repeated { client }));
    assert_eq!(server.expected().len(), 3);
    // What was refused is not in the sum: the round opens to the right one.
    for (i, message) in sent.into_iter().enumerate().skip(1) {
        server.input(cohort.id(i), message).unwrap();
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in states.into_iter().enumerate() {
        let (state, signature) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), signature).unwrap();
        consistent.push(state);
    }
    let (mut server, quorum) = server.close().unwrap();
    for (i, state) in consistent.into_iter().enumerate() {
        server.opening(cohort.id(i), state.quorum(quorum.clone(), &cohort.sites[i]).unwrap()).unwrap();
    }
    assert_eq!(server.close().unwrap().sum().unpack(6), cohort.plain_sum(0..4));
}
