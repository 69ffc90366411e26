//! Lies about who survived (R3) and about what is opened (R4): at most one survivor set of an attempt is ever opened.
use std::num::NonZeroUsize;

use sottovoce_secagg::*;
use sottovoce_types::Digest;

use crate::driver::Cohort;

/// What client 0 of five (q = 4) says to a survivor set that `lie` changed.
fn survivors_shown(lie: impl FnOnce(&mut Vec<InputRoot>)) -> Result<(), Abort> {
    let mut cohort = Cohort::new(5, 1);
    let (states, _, mut message) = cohort.until_survivors(&[0, 1, 2, 3, 4]);
    lie(&mut message.inputs);
    states.into_iter().next().unwrap().survivors(message, &cohort.sites[0]).map(|_| ())
}

#[test]
fn claim_a_survivor_set_below_the_quorum_is_not_signed() {
    assert_eq!(survivors_shown(|_| ()), Ok(()));
    assert_eq!(survivors_shown(|i| i.truncate(4)), Ok(()), "q survivors are enough");
    assert_eq!(survivors_shown(|i| i.truncate(3)), Err(Abort::TooFewSurvivors { have: 3, need: 4 }));
    assert_eq!(survivors_shown(|i| i.truncate(1)), Err(Abort::TooFewSurvivors { have: 1, need: 4 }), "a sum of one");
    assert_eq!(survivors_shown(Vec::clear), Err(Abort::TooFewSurvivors { have: 0, need: 4 }));
}

#[test]
fn claim_a_survivor_set_without_the_addressee_is_not_signed() {
    assert_eq!(
        survivors_shown(|i| {
            i.remove(0);
        }),
        Err(Abort::NotASurvivor)
    );
}

#[test]
fn claim_a_survivor_who_dealt_no_shares_or_is_named_twice_is_refused() {
    assert_eq!(survivors_shown(|i| i[4].index = 5), Err(Abort::SurvivorsMalformed));
    assert_eq!(survivors_shown(|i| i.insert(2, i[2])), Err(Abort::SurvivorsMalformed));
    assert_eq!(survivors_shown(|i| i.swap(1, 2)), Err(Abort::SurvivorsMalformed));
    // On the roster, but not among the dealers.
    let mut cohort = Cohort::new(5, 1);
    let (states, _, messages) = cohort.until_envelopes();
    let state = states.into_iter().next().unwrap();
    let mut message = messages[0].clone();
    message.dealt.pop();
    std::sync::Arc::make_mut(&mut message.dealers).pop();
    let state = state.envelopes(message).unwrap();
    let (state, _) = state.submit(cohort.pack(&cohort.input(0)), &cohort.sites[0]).unwrap();
    let inputs = (0..5).map(|index| InputRoot { index, root: Digest([0; 32]), signature: [0; 64] }).collect();
    let refused = state.survivors(SurvivorsMsg { inputs }, &cohort.sites[0]);
    assert!(matches!(refused, Err(Abort::SurvivorsMalformed)));
}

#[test]
fn claim_another_input_in_this_clients_name_is_not_signed() {
    assert_eq!(survivors_shown(|i| i[0].root = Digest([0; 32])), Err(Abort::OwnInputAltered));
}

/// What client 0 of five (q = 4), four of whom arrived, says to a quorum that `lie` changed.
fn quorum_shown(lie: impl FnOnce(&mut Vec<SignedBy>, &Cohort, Digest)) -> Result<(), Abort> {
    let mut cohort = Cohort::new(5, 1);
    let (states, _, mut message) = cohort.until_quorum(&[0, 1, 2, 3]);
    let state = states.into_iter().next().unwrap();
    lie(&mut message.signatures, &cohort, state.ctx3());
    state.quorum(message, &cohort.sites[0]).map(|_| ())
}

#[test]
fn claim_a_quorum_that_is_too_small_doubled_or_foreign_opens_nothing() {
    assert_eq!(quorum_shown(|_, _, _| ()), Ok(()));
    assert_eq!(quorum_shown(|s, _, _| s.truncate(3)), Err(Abort::QuorumTooSmall { have: 3, need: 4 }));
    // One signature shown twice to make up the number.
    assert_eq!(quorum_shown(|s, _, _| s[3] = s[2].clone()), Err(Abort::QuorumMalformed));
    // A member outside the survivor set signs the right thing.
    let outsider = quorum_shown(|s, c, ctx3| {
        s[3] = SignedBy { index: 4, signature: c.sites[4].sign(labels::CTX3, ctx3.as_bytes()) };
    });
    assert_eq!(outsider, Err(Abort::QuorumMalformed));
    // Nobody at all at that position.
    assert_eq!(quorum_shown(|s, _, _| s[3].index = 9), Err(Abort::QuorumMalformed));
}

#[test]
fn claim_a_quorum_over_another_survivor_set_or_purpose_opens_nothing() {
    let signer = |c: &Cohort| Err(Abort::QuorumSignature { signer: c.id(3) });
    let cohort = Cohort::new(5, 1);
    let other_set = quorum_shown(|s, c, _| s[3].signature = c.sites[3].sign(labels::CTX3, Digest::of(b"x").as_bytes()));
    assert_eq!(other_set, signer(&cohort));
    let other_purpose = quorum_shown(|s, c, ctx3| s[3].signature = c.sites[3].sign(labels::OPEN, ctx3.as_bytes()));
    assert_eq!(other_purpose, signer(&cohort));
    assert_eq!(quorum_shown(|s, _, _| s[3].signature[40] ^= 1), signer(&cohort));
    // One more valid signature than needed does not excuse a bad one.
    let another_key = quorum_shown(|s, c, ctx3| s[3].signature = c.sites[1].sign(labels::CTX3, ctx3.as_bytes()));
    assert_eq!(another_key, signer(&cohort));
}

/// n = 7, f = 2, q = 5. The coordinator shows U3 to some of the five honest clients and U3 without client 6 to the others,
/// and clients 5 and 6 sign whatever it likes. However it splits them, at most one set reaches a quorum.
#[test]
fn claim_one_release_per_attempt_two_survivor_sets_never_both_reach_a_quorum() {
    for split in 0u32..32 {
        let mut cohort = Cohort::new(7, 2);
        let everyone: Vec<usize> = (0..7).collect();
        let (states, _, whole) = cohort.until_survivors(&everyone);
        let mut part = whole.clone();
        part.inputs.pop();
        let mut consistent = Vec::new();
        let mut signatures = [Vec::new(), Vec::new()];
        let mut contexts = [None, None];
        for (i, state) in states.into_iter().enumerate().take(5) {
            let side = usize::from(split >> i & 1 == 1);
            let shown = if side == 0 { whole.clone() } else { part.clone() };
            let (state, message) = state.survivors(shown, &cohort.sites[i]).unwrap();
            contexts[side] = Some(state.ctx3());
            signatures[side].push(SignedBy { index: i as u32, signature: message.signature });
            consistent.push((i, side, state));
        }
        if let [Some(a), Some(b)] = contexts {
            assert_ne!(a, b);
        }
        // The corrupt two sign both (6 is no survivor of the second set).
        for (side, corrupt) in [(0, vec![5, 6]), (1, vec![5])] {
            if let Some(ctx3) = contexts[side] {
                for i in corrupt {
                    let signature = cohort.sites[i].sign(labels::CTX3, ctx3.as_bytes());
                    signatures[side].push(SignedBy { index: i as u32, signature });
                }
            }
        }
        let mut opened = [0, 0];
        for (i, side, state) in consistent {
            let quorum = SurvivorQuorumMsg { signatures: signatures[side].clone() };
            match state.quorum(quorum, &cohort.sites[i]) {
                Ok(_) => opened[side] += 1,
                Err(e) => assert!(matches!(e, Abort::QuorumTooSmall { need: 5, .. })),
            }
        }
        assert!(opened[0] == 0 || opened[1] == 0, "split {split:05b}: both sets were opened");
    }
}

/// Two sets of dealers U2: clients 0 to 2 see all five, clients 3 and 4 are told that client 1 dealt nothing (q = 4, so
/// both sets are large enough). From there on their contexts differ: an honest coordinator refuses the inputs of the second
/// half, and a lying one that knows every input cannot get a quorum of either half. (That the masks do not cancel either
/// is `inside::claim_masks_of_different_dealer_sets_do_not_cancel`.)
#[test]
fn claim_different_dealer_sets_end_the_attempt() {
    let mut cohort = Cohort::new(5, 1);
    let (states, mut server, messages) = cohort.until_envelopes();
    let mut submitted = Vec::new();
    let mut shown = SurvivorsMsg { inputs: Vec::new() };
    for (i, state) in states.into_iter().enumerate() {
        let mut message = messages[i].clone();
        if i >= 3 {
            message.dealt.remove(1);
            std::sync::Arc::make_mut(&mut message.dealers).remove(1);
        }
        let state = state.envelopes(message).unwrap();
        let (state, input) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        if i != 1 {
            let owner = chunks::Owner::Input(cohort.id(i));
            let root = chunks::ChunkTree::of(owner, &input.words, NonZeroUsize::MIN).root();
            shown.inputs.push(InputRoot { index: i as u32, root, signature: input.signature });
        }
        let client = cohort.id(i);
        let taken = server.input(client, input).map(|_| ());
        assert_eq!(taken, if i < 3 { Ok(()) } else { Err(PeerFault::Signature { client }) });
        submitted.push(state);
    }
    let lost = QuorumLost { phase: Phase::Inputs, have: 3, need: 4 };
    assert!(matches!(server.close(), Err(CloseFailed::Lost(l)) if l == lost));
    // The liar shows everyone the survivor set {0, 2, 3, 4}, with the inputs that it really has. Each half signs another ctx3, so
    // that neither has four signatures.
    let (mut states, mut signatures) = (Vec::new(), Vec::new());
    for (i, state) in submitted.into_iter().enumerate().filter(|(i, _)| *i != 1) {
        let (state, message) = state.survivors(shown.clone(), &cohort.sites[i]).unwrap();
        signatures.push(SignedBy { index: i as u32, signature: message.signature });
        states.push((i, state));
    }
    assert_ne!(states[0].1.ctx3(), states[3].1.ctx3());
    for (i, state) in states {
        let quorum = SurvivorQuorumMsg { signatures: signatures.clone() };
        let refused = state.quorum(quorum, &cohort.sites[i]);
        let signer = cohort.id(if i < 3 { 3 } else { 0 });
        assert_eq!(refused, Err(Abort::QuorumSignature { signer }), "client {i}");
    }
}

// ── R4 ──

#[test]
fn claim_a_wrong_share_is_blamed_on_its_sender_and_the_round_goes_on_without_it() {
    let mut cohort = Cohort::new(5, 1);
    let (states, mut server, quorum) = cohort.until_quorum(&[0, 1, 2, 3, 4]);
    let ctx3 = states[0].ctx3();
    for (i, state) in states.into_iter().enumerate() {
        let good = state.quorum(quorum.clone(), &cohort.sites[i]).unwrap();
        if i == 2 {
            let mut bad = good.clone();
            bad.opened[3].as_mut().unwrap().share[0] ^= 1;
            // Altered on the way: the signature tells.
            let client = cohort.id(2);
            assert_eq!(server.opening(client, bad.clone()), Err(PeerFault::Signature { client }));
            // Signed by its sender: the dealer's commitment tells.
            bad.sign(&ctx3, &cohort.sites[2]);
            assert_eq!(
                server.opening(client, bad.clone()),
                Err(PeerFault::WrongShare { client, dealer: cohort.id(3) })
            );
            // A share of another dealer, or of the other secret, is as wrong.
            bad = good.clone();
            bad.opened[3] = bad.opened[4].clone();
            bad.sign(&ctx3, &cohort.sites[2]);
            assert_eq!(server.opening(client, bad), Err(PeerFault::WrongShare { client, dealer: cohort.id(3) }));
            assert!(!server.has(&client));
            continue;
        }
        server.opening(cohort.id(i), good).unwrap();
    }
    assert_eq!(server.expected(), vec![cohort.id(2)]);
    assert!(server.ready(), "q = 4 good openings are there");
    let sum = server.close().unwrap();
    assert_eq!(sum.sum().unpack(6), cohort.plain_sum(0..5));
    assert_eq!(sum.survivors().len(), 4);
}

/// For every dealer one share: the type has no room for a second, and which kind it is follows from the signed set. Here
/// client 4 dropped out after dealing: its mask secret is opened, the seeds of the four others.
#[test]
fn claim_never_both_kinds_of_share_of_one_client() {
    let mut cohort = Cohort::new(5, 1);
    let (states, mut server, quorum) = cohort.until_quorum(&[0, 1, 2, 3]);
    for (i, state) in states.into_iter().enumerate() {
        assert_eq!(state.contributors().len(), 4);
        let opening = state.quorum(quorum.clone(), &cohort.sites[i]).unwrap();
        assert_eq!(opening.opened.len(), 5, "one a dealer");
        // The coordinator checks each share against the commitment of the kind that U3 says, so the other kind would fail.
        server.opening(cohort.id(i), opening).unwrap();
    }
    let sum = server.close().unwrap();
    assert_eq!(sum.dropouts(), vec![cohort.id(4)]);
    assert_eq!(sum.sum().unpack(6), cohort.plain_sum(0..4));
}

#[test]
fn claim_nothing_is_opened_with_fewer_than_t_openings() {
    let mut cohort = Cohort::new(5, 1);
    let (states, mut server, quorum) = cohort.until_quorum(&[0, 1, 2, 3, 4]);
    for (i, state) in states.into_iter().enumerate().take(3) {
        server.opening(cohort.id(i), state.quorum(quorum.clone(), &cohort.sites[i]).unwrap()).unwrap();
    }
    assert!(!server.ready());
    assert_eq!(server.close(), Err(OpenFailed::TooFewOpenings { have: 3, need: 4 }));
}

#[test]
fn openings_of_strangers_repeats_and_other_shapes_are_refused() {
    let mut cohort = Cohort::new(5, 1);
    let (states, mut server, quorum) = cohort.until_quorum(&[0, 1, 2, 3]);
    let mut openings: Vec<OpeningMsg> =
        states.into_iter().enumerate().map(|(i, s)| s.quorum(quorum.clone(), &cohort.sites[i]).unwrap()).collect();
    let outsider = cohort.id(4);
    assert_eq!(server.opening(outsider, openings[0].clone()), Err(PeerFault::Stranger { client: outsider }));
    let client = cohort.id(0);
    assert_eq!(server.opening(client, openings[1].clone()), Err(PeerFault::Signature { client }));
    let good = openings[0].clone();
    openings[0].opened.pop();
    assert_eq!(server.opening(client, openings[0].clone()), Err(PeerFault::Shape { client }));
    server.opening(client, good.clone()).unwrap();
    assert_eq!(server.opening(client, good), Err(PeerFault::Repeated { client }));
}

#[test]
fn a_signature_over_another_set_is_refused_by_the_coordinator_too() {
    let mut cohort = Cohort::new(5, 1);
    let (states, mut server, message) = cohort.until_survivors(&[0, 1, 2, 3, 4]);
    let mut other = message.clone();
    other.inputs.pop();
    let mut states = states.into_iter();
    let (_, signature) = states.next().unwrap().survivors(other, &cohort.sites[0]).unwrap();
    let client = cohort.id(0);
    assert_eq!(server.signature(client, signature), Err(PeerFault::Signature { client }));
    assert_eq!((server.count(), server.expected().len()), (0, 5));
    let (_, signature) = states.next().unwrap().survivors(message, &cohort.sites[1]).unwrap();
    server.signature(cohort.id(1), signature).unwrap();
    assert_eq!(server.contributors().len(), 5);
    assert!(matches!(server.close(), Err(QuorumLost { phase: Phase::Signatures, have: 1, need: 4 })));
}
