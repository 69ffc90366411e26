//! The engines one message at a time: one survivor set per attempt, nothing leaves before it is durable, and nothing that
//! depends on data shows.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::hostile::{Hostile, NOW, refuses, with_body};
use common::{Federation, RUN, Site, engine, identity, plan, plan_with};
use sottovoce_dp::{LedgerEntry, LedgerError, LedgerKey, SeededNoise};
use sottovoce_round::{ClientEngine, ClientSetup, Entry, JournalEvent, Outcome, ProtocolFault, RunPlan};
use sottovoce_secagg::{Abort, InputRoot, SignedBy, SurvivorQuorumMsg, SurvivorsMsg};
use sottovoce_types::{AttemptId, Epsilon, Lanes, RoundId, Unit};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

// ---- one survivor set per attempt, ever ----

/// Five members, f = 1, q = 4; client 0 has signed the survivor set of all five.
fn signed_by_the_first() -> (Federation, Vec<(usize, Frame)>) {
    let mut federation = Federation::new(&plan(5, 1, 2));
    let survivors = federation.run_until(Kind::Survivors);
    assert_eq!(survivors.len(), 5);
    let (site, genuine) = survivors.iter().find(|(site, _)| *site == 0).unwrap().clone();
    federation.site_gets(site, &genuine);
    (federation, survivors)
}

/// The survivor set without one member, who is not member `but`.
fn without_another(plan: &RunPlan, frame: &Frame, but: &Site) -> (SurvivorsMsg, Frame) {
    let mut message = SurvivorsMsg::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    let left_out = message.inputs.iter().position(|i| i.index != position(plan, but)).unwrap();
    message.inputs.remove(left_out);
    let frame = with_body(frame, message.to_bytes());
    (message, frame)
}

/// Roster position when every member is on it: the order of ids.
fn position(plan: &RunPlan, site: &Site) -> u32 {
    u32::try_from(plan.manifest().keys().keys().position(|id| *id == site.id).unwrap()).unwrap()
}

#[test]
fn claim_one_release_per_attempt_a_second_survivor_set_is_refused() {
    let (mut federation, survivors) = signed_by_the_first();
    let plan = Arc::clone(&federation.plan);
    let site = &mut federation.sites[0];
    let signed: Vec<_> = site.journalled().filter(|e| matches!(e, JournalEvent::SurvivorsSigned { .. })).collect();
    assert_eq!(signed.len(), 1, "the signature is on record before it leaves");
    let (smaller, other) = without_another(&plan, &survivors[0].1, site);
    assert_eq!(smaller.inputs.len(), 4, "large enough by itself: q = 4");
    let fault = refuses(&mut site.engine, &other);
    assert!(matches!(fault, ProtocolFault::Unexpected { what: "survivor set", .. }), "{fault}");
    // The attempt is over for it: even what an honest coordinator would have sent next is refused.
    let rest: Vec<(usize, Frame)> = survivors.into_iter().filter(|(site, _)| *site != 0).collect();
    for (site, frame) in rest {
        federation.site_gets(site, &frame);
    }
    let quorum = federation.run_until(Kind::SurvivorQuorum);
    let (_, quorum) = quorum.first().expect("the four others are a quorum of five with one corrupt");
    let fault = refuses(&mut federation.sites[0].engine, quorum);
    assert!(matches!(fault, ProtocolFault::Unexpected { what: "survivor quorum", .. }), "{fault}");
    assert!(
        federation.sites[0].journalled().all(|e| !matches!(e, JournalEvent::OpeningCharged { .. })),
        "it opened nothing"
    );
}

#[test]
fn claim_one_release_per_attempt_a_quorum_over_another_survivor_set_opens_nothing() {
    let (mut federation, survivors) = signed_by_the_first();
    let plan = Arc::clone(&federation.plan);
    // The others are shown a set without one of them, and sign that.
    let shown: Vec<InputRoot> = {
        let (message, _) = without_another(&plan, &survivors[0].1, &federation.sites[0]);
        message.inputs
    };
    let mut signatures = Vec::new();
    for (site, genuine) in survivors.iter().filter(|(site, _)| *site != 0) {
        let client = &mut federation.sites[*site];
        let index = position(&plan, client);
        if !shown.iter().any(|i| i.index == index) {
            continue;
        }
        let frame = with_body(genuine, SurvivorsMsg { inputs: shown.clone() }.to_bytes());
        client.engine.handle_frame(NOW, &frame).unwrap();
        let left = client.settle();
        assert_eq!(left.len(), 1);
        let signature = left[0].body.as_ref().try_into().unwrap();
        signatures.push(SignedBy { index, signature });
    }
    // Client 0's own signature, over the whole set, is all that the coordinator can add: it reaches q by number alone.
    let own = federation.run_until(Kind::SurvivorSignature);
    let (_, own) = own.iter().find(|(site, _)| *site == 0).unwrap();
    let index = position(&plan, &federation.sites[0]);
    signatures.push(SignedBy { index, signature: own.body.as_ref().try_into().unwrap() });
    signatures.sort_by_key(|s| s.index);
    assert_eq!(signatures.len(), 4);
    let quorum =
        Frame { kind: Kind::SurvivorQuorum, ..with_body(&survivors[0].1, SurvivorQuorumMsg { signatures }.to_bytes()) };
    for site in 0..5 {
        if site != 0 && !shown.iter().any(|i| i.index == position(&plan, &federation.sites[site])) {
            continue;
        }
        let fault = refuses(&mut federation.sites[site].engine, &quorum);
        assert!(matches!(fault, ProtocolFault::SecAgg(Abort::QuorumSignature { .. })), "site {site}: {fault}");
    }
}

#[test]
fn claim_one_release_per_attempt_an_opening_is_not_repeated() {
    let mut federation = Federation::new(&plan(5, 1, 2));
    federation.run_until(Kind::Opening);
    for site in &mut federation.sites {
        let quorum = site.got(Kind::SurvivorQuorum).clone();
        let fault = refuses(&mut site.engine, &quorum);
        assert!(matches!(fault, ProtocolFault::Unexpected { what: "survivor quorum", .. }), "{fault}");
    }
}

#[test]
fn claim_one_release_per_attempt_a_restarted_client_refuses_the_attempt_it_was_in() {
    let (federation, survivors) = signed_by_the_first();
    let plan = Arc::clone(&federation.plan);
    let before = &federation.sites[0];
    let mut restarted = engine(&plan, 1, before.journal.clone());
    restarted.handle_connect(NOW);
    assert_eq!(restarted.poll_transmit().unwrap().kind, Kind::Hello);
    restarted.handle_frame(NOW, before.got(Kind::Welcome)).unwrap();
    let fault = refuses(&mut restarted, before.got(Kind::RoundConfig));
    assert!(matches!(fault, ProtocolFault::AttemptReplayed { round: 1, attempt: 1 }), "{fault}");
    for (_, frame) in &survivors {
        let fault = refuses(&mut restarted, frame);
        assert!(matches!(fault, ProtocolFault::Unexpected { .. }), "{fault}");
    }
    // A further attempt is another one, with keys and noise of its own, and is charged again.
    let spent = restarted.ledger().unwrap().epsilon_spent().upper;
    assert!(spent > 0.0, "the input that left before the crash stays charged");
    let hostile = Hostile::new(&plan);
    restarted.handle_frame(NOW, &hostile.config(1, 2, &plan.initial_params())).unwrap();
    assert!(matches!(
        restarted.poll_persist().unwrap().entry.event,
        JournalEvent::Joined { attempt: AttemptId(2), .. }
    ));
    assert!(restarted.poll_work().is_some());
}

// ---- debit before reveal ----

#[test]
fn claim_debit_before_reveal_no_frame_leaves_while_an_entry_waits() {
    // Federation::new and run check it at every step of every test here; this one runs through all phases of two rounds,
    // and then looks at the two steps that cost privacy.
    let mut whole = Federation::new(&plan(5, 1, 2));
    whole.run();
    assert_eq!(whole.coordinator.outcome(), Some(&Outcome::Completed));

    let mut federation = Federation::new(&plan(5, 1, 2));
    let (_, envelopes) = federation.run_until(Kind::Envelopes).into_iter().find(|(site, _)| *site == 0).unwrap();
    let client = &mut federation.sites[0].engine;
    client.handle_frame(NOW, &envelopes).unwrap();
    assert!(client.poll_transmit().is_none(), "the masked input waits");
    let key = LedgerKey { run: RUN, round: RoundId(1), attempt: AttemptId(1) };
    let reserved = client.poll_persist().unwrap().entry;
    assert!(matches!(reserved.event, JournalEvent::InputReserved { .. }));
    assert!(matches!(reserved.ledger, Some(LedgerEntry::Reserved { key: k, .. }) if k == key));
    assert_eq!(client.poll_transmit().unwrap().kind, Kind::MaskedInput);

    let mut federation = Federation::new(&plan(5, 1, 2));
    let signatures = federation.run_until(Kind::SurvivorSignature);
    for (site, frame) in &signatures {
        let id = federation.sites[*site].id;
        federation.coordinator.handle_frame(NOW, id, frame).unwrap();
    }
    let coordinator = &mut federation.coordinator;
    assert!(coordinator.poll_transmit().is_none(), "the unmask request waits");
    let debit = coordinator.poll_persist().unwrap().entry;
    assert!(matches!(debit.event, JournalEvent::Debited { .. }));
    assert!(matches!(debit.ledger, Some(LedgerEntry::Released { key: k, .. }) if k == key));
    assert_eq!(coordinator.poll_transmit().unwrap().frame.kind, Kind::SurvivorQuorum);
}

#[test]
fn an_attempt_that_lost_its_quorum_before_the_unmasking_costs_the_coordinator_nothing() {
    // Two of five vanish after their shares, the quorum of four is lost before anything was revealed.
    let mut federation = Federation::new(&plan(5, 1, 1));
    let inputs = federation.run_until(Kind::MaskedInput);
    federation.disconnect(0);
    federation.disconnect(1);
    let spent = |f: &Federation| f.coordinator.ledger().unwrap().epsilon_spent().upper;
    assert!(spent(&federation) > 0.0, "what is reserved counts as spent");
    for (site, input) in inputs.iter().filter(|(site, _)| *site > 1) {
        federation.coordinator_gets(*site, input).unwrap();
    }
    assert!(federation.journal.iter().any(|e| matches!(e.event, JournalEvent::AttemptAborted { .. })));
    assert!(federation.journal.iter().any(|e| matches!(e.ledger, Some(LedgerEntry::Voided { .. }))));
    let further = federation.journal.iter().filter(|e| matches!(e.ledger, Some(LedgerEntry::Reserved { .. }))).count();
    // The three that are left are enough for another attempt, which is under way and reserved for.
    assert_eq!(further, 2);
    assert_eq!(federation.coordinator.ledger().unwrap().charges(), 1, "one attempt counts, not two");
    // The sites that sent their input do not know that it was opened by nobody, and stay charged.
    assert_eq!(federation.sites[2].engine.ledger().unwrap().charges(), 1);
}

#[test]
fn a_sites_journal_begins_its_ledger_with_the_budget_and_another_budget_cannot_go_on_from_it() {
    let mut federation = Federation::new(&plan(5, 1, 2));
    federation.run();
    let journal = &federation.sites[0].journal;
    let ledger: Vec<&LedgerEntry> = journal.iter().filter_map(|e| e.ledger.as_ref()).collect();
    let budget = federation.plan.budget().unwrap();
    assert!(matches!(ledger[0], LedgerEntry::Opened { budget: b, .. } if *b == budget), "{:?}", ledger[0]);
    assert!(ledger[1..].iter().all(|e| matches!(e, LedgerEntry::Reserved { .. })) && ledger.len() == 3, "{ledger:?}");
    let richer = plan_with(5, 1, 2, |spec| {
        spec.privacy.as_mut().unwrap().epsilon_budget = Epsilon::new(200.0).unwrap();
    });
    let setup = ClientSetup {
        plan: richer,
        identity: identity(1),
        noise: Box::new(SeededNoise::new([1; 32])),
        seed: [1; 32],
        history: journal.clone(),
        allow_plain: false,
    };
    assert!(matches!(ClientEngine::new(setup).err(), Some(LedgerError::OtherBudget { .. })));
}

// ---- what depends on data does not show ----

#[test]
fn one_state_directory_never_mixes_releases_with_and_without_privacy() {
    let private = plan(5, 1, 1);
    let open = plan_with(5, 1, 1, |spec| {
        spec.unit = Unit::None;
        spec.privacy = None;
        spec.clip_bits = 36;
        spec.lanes = Lanes::new(1).unwrap();
    });
    let start = |plan: &Arc<RunPlan>, history| {
        let noise = Box::new(SeededNoise::new([1; 32]));
        let plan = Arc::clone(plan);
        ClientEngine::new(ClientSetup {
            plan,
            identity: identity(1),
            noise,
            seed: [1; 32],
            history,
            allow_plain: false,
        })
    };
    let mut federation = Federation::new(&private);
    federation.run();
    let charged = federation.sites[0].journal.clone();
    assert_eq!(start(&open, charged.clone()).err(), Some(LedgerError::NonPrivateNow));
    assert!(start(&private, charged).is_ok());
    let left = |ledger| Entry {
        event: JournalEvent::InputReserved { run: RUN, round: RoundId(1), attempt: AttemptId(1) },
        ledger,
    };
    assert_eq!(start(&private, vec![left(None)]).err(), Some(LedgerError::NonPrivateBefore));
    assert!(start(&open, vec![left(None)]).is_ok());
}
