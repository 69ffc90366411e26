//! The engines one message at a time: what a client refuses whoever asks, what a coordinator takes from nobody, and that
//! nothing leaves before it is durable.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Federation, RUN, Site, engine, identity, plan, plan_with};
use sottovoce_dp::{LedgerEntry, LedgerError, LedgerKey, SeededNoise};
use sottovoce_round::{
    ClientEngine, ClientSetup, Coordinator, CoordinatorEvent, Entry, Finished, Hello, JournalEvent, Outcome, PeerFault,
    ProtocolFault, RoundConfig, RoundResult, RunPlan, Welcome, config_digest, site_sum,
};
use sottovoce_secagg::{Abort, Identity, InputRoot, SignedBy, SurvivorQuorumMsg, SurvivorsMsg, labels};
use sottovoce_types::{AttemptId, Digest, Epsilon, FlatParams, Lanes, RoundId, RunId, Tick, Unit, Update};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

const NOW: Tick = Tick(0);

fn with_body(frame: &Frame, body: impl Into<Bytes>) -> Frame {
    Frame { body: body.into(), ..frame.clone() }
}

/// A client says no to this frame: nothing becomes durable, nothing is trained, and nothing but a refusal leaves.
fn refuses(engine: &mut ClientEngine, frame: &Frame) -> ProtocolFault {
    let fault = engine.handle_frame(NOW, frame).expect_err("the frame must be refused");
    assert_eq!(engine.poll_persist(), None, "{fault}");
    assert!(engine.poll_work().is_none(), "{fault}");
    while let Some(left) = engine.poll_transmit() {
        assert_eq!(left.kind, Kind::Abort, "{fault}: something besides a refusal left");
    }
    fault
}

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
    let spent = restarted.ledger().unwrap().spent_mu();
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
    let spent = |f: &Federation| f.coordinator.ledger().unwrap().spent_mu();
    assert!(spent(&federation) > 0.0, "what is reserved counts as spent");
    for (site, input) in inputs.iter().filter(|(site, _)| *site > 1) {
        federation.coordinator_gets(*site, input).unwrap();
    }
    assert!(federation.journal.iter().any(|e| matches!(e.event, JournalEvent::AttemptAborted { .. })));
    assert!(federation.journal.iter().any(|e| matches!(e.ledger, Some(LedgerEntry::Voided { .. }))));
    let further = federation.journal.iter().filter(|e| matches!(e.ledger, Some(LedgerEntry::Reserved { .. }))).count();
    // The three that are left are enough for another attempt, which is under way and reserved for.
    assert_eq!(further, 2);
    let one = federation.plan.spec().privacy.unwrap().noise_multiplier.value().recip();
    assert!((spent(&federation) - one).abs() < 1e-12, "one attempt counts, not two");
    // The sites that sent their input do not know that it was opened by nobody, and stay charged.
    assert!((federation.sites[2].engine.ledger().unwrap().spent_mu() - one).abs() < 1e-12);
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

// ---- what a client takes from no coordinator ----

/// Whoever speaks to a client as its coordinator, with the key that it was given.
struct Hostile {
    plan: Arc<RunPlan>,
    key: Identity,
}

impl Hostile {
    /// With the real coordinator's key: it can sign whatever it likes.
    fn new(plan: &Arc<RunPlan>) -> Self {
        Self { plan: Arc::clone(plan), key: identity(100) }
    }

    fn frame(kind: Kind, round: u64, attempt: u32, body: Vec<u8>) -> Frame {
        Frame { kind, run: RUN, round: RoundId(round), attempt: AttemptId(attempt), body: body.into() }
    }

    fn welcome(&self) -> Frame {
        Self::frame(Kind::Welcome, 1, 0, Welcome { plan: self.plan.digest() }.to_bytes())
    }

    fn config(&self, round: u64, attempt: u32, model: &FlatParams) -> Frame {
        let cfg = config_digest(&self.plan, RUN, RoundId(round), AttemptId(attempt), model.digest());
        let signature = self.key.sign(labels::CONFIG, cfg.as_bytes());
        let config = RoundConfig { params: model.values().to_vec(), signature };
        Self::frame(Kind::RoundConfig, round, attempt, config.to_bytes())
    }

    fn result(round: u64, attempt: u32, model: Digest) -> Frame {
        Self::frame(Kind::Result, round, attempt, RoundResult { model, contributors: 4 }.to_bytes())
    }
}

fn greeted(plan: &Arc<RunPlan>) -> ClientEngine {
    let mut client = engine(plan, 1, Vec::new());
    client.handle_connect(NOW);
    assert_eq!(client.poll_transmit().unwrap().kind, Kind::Hello);
    client.handle_frame(NOW, &Hostile::new(plan).welcome()).unwrap();
    client
}

/// Another model of the same shape.
fn other_model(plan: &RunPlan) -> FlatParams {
    let mut model = plan.initial_params();
    model.values_mut()[0] += 1.0;
    model
}

#[test]
fn a_client_accepts_the_config_of_its_plan() {
    // Positive control of the refusals below.
    let plan = plan(4, 1, 3);
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &Hostile::new(&plan).config(1, 1, &plan.initial_params())).unwrap();
    assert!(client.poll_persist().is_some() && client.poll_work().is_some());
}

#[test]
fn a_config_that_the_coordinator_did_not_sign_is_refused() {
    let plan = plan(4, 1, 3);
    let mut client = greeted(&plan);
    let model = plan.initial_params();
    let impostor = Hostile { plan: Arc::clone(&plan), key: identity(2) };
    assert!(matches!(refuses(&mut client, &impostor.config(1, 1, &model)), ProtocolFault::ConfigSignature));
    // A signature of another attempt, round or model does not carry over.
    let genuine = Hostile::new(&plan).config(1, 1, &model);
    let moved = Frame { attempt: AttemptId(2), ..genuine.clone() };
    assert!(matches!(refuses(&mut client, &moved), ProtocolFault::ConfigSignature));
    let moved = Frame { round: RoundId(2), ..genuine.clone() };
    assert!(matches!(refuses(&mut client, &moved), ProtocolFault::ConfigSignature));
    let mut body = genuine.body.to_vec();
    *body.last_mut().unwrap() ^= 1;
    assert!(matches!(refuses(&mut client, &with_body(&genuine, body)), ProtocolFault::ConfigSignature));
}

#[test]
fn the_first_round_begins_from_the_plans_model_and_each_further_one_from_the_announced_result() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let (first, other) = (plan.initial_params(), other_model(&plan));
    let mut client = greeted(&plan);
    let fault = refuses(&mut client, &hostile.config(1, 1, &other));
    assert!(
        matches!(fault, ProtocolFault::WrongModel { expected, found } if expected == first.digest() && found == other.digest())
    );
    client.handle_frame(NOW, &Hostile::result(1, 1, other.digest())).unwrap();
    let fault = refuses(&mut client, &hostile.config(2, 1, &first));
    assert!(
        matches!(fault, ProtocolFault::WrongModel { expected, found } if expected == other.digest() && found == first.digest())
    );
    client.handle_frame(NOW, &hostile.config(2, 1, &other)).unwrap();
}

#[test]
fn a_model_that_is_not_finite_is_refused_even_when_it_is_signed() {
    let plan = plan(4, 1, 3);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut model = plan.initial_params();
        model.values_mut()[2] = bad;
        let fault = refuses(&mut greeted(&plan), &Hostile::new(&plan).config(1, 1, &model));
        assert!(matches!(fault, ProtocolFault::NotFinite), "{fault}");
    }
}

#[test]
fn the_last_model_must_be_the_announced_one_and_finite() {
    let plan = plan(4, 1, 3);
    let (first, other) = (plan.initial_params(), other_model(&plan));
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &Hostile::result(3, 1, other.digest())).unwrap();
    let last = |model: &FlatParams| {
        Hostile::frame(Kind::Finished, 3, 1, Finished { params: model.values().to_vec() }.to_bytes())
    };
    assert!(matches!(refuses(&mut client, &last(&first)), ProtocolFault::WrongModel { .. }));
    let mut broken = other.clone();
    broken.values_mut()[1] = f32::NAN;
    assert!(matches!(refuses(&mut client, &last(&broken)), ProtocolFault::NotFinite));
    client.handle_frame(NOW, &last(&other)).unwrap();
    assert_eq!(client.last_model().map(FlatParams::digest), Some(other.digest()));
}

#[test]
fn a_coordinator_that_was_killed_after_the_last_round_hands_out_its_model_and_publishes_nothing_again() {
    let mut federation = Federation::new(&plan(4, 1, 2));
    // Its last frames are lost with it: the clients know the last result, or not even that.
    federation.run_until(Kind::Finished);
    let last = federation.coordinator.params().clone();
    let entries = federation.journal.clone();
    let mut resumed = Coordinator::resume(Arc::clone(&federation.plan), identity(100), &entries, last.clone()).unwrap();
    assert_eq!(resumed.outcome(), Some(&Outcome::Completed));
    resumed.start(NOW);
    for site in &mut federation.sites {
        assert!(!site.engine.is_finished());
        site.engine.handle_disconnect(NOW);
        site.engine.handle_connect(NOW);
        resumed.handle_connect(NOW, site.id);
        let hello = site.engine.poll_transmit().unwrap();
        resumed.handle_frame(NOW, site.id, &hello).unwrap();
        while let Some(transmit) = resumed.poll_transmit() {
            site.engine.handle_frame(NOW, &transmit.frame).unwrap();
        }
        assert_eq!(site.engine.last_model(), Some(&last));
    }
    assert_eq!(resumed.poll_persist(), None);
}

#[test]
fn frames_of_another_run_another_plan_or_beyond_the_plan_are_refused() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let model = plan.initial_params();
    let mut client = greeted(&plan);
    let other_run = Frame { run: RunId([8; 16]), ..hostile.config(1, 1, &model) };
    assert!(matches!(refuses(&mut client, &other_run), ProtocolFault::WrongRun("round config")));
    for round in [0, 4, u64::MAX] {
        let fault = refuses(&mut client, &hostile.config(round, 1, &model));
        assert!(matches!(fault, ProtocolFault::BeyondPlan { rounds: 3, .. }), "{fault}");
    }
    // A welcome where none is due, and one of another plan.
    let fault = refuses(&mut client, &hostile.welcome());
    assert!(matches!(fault, ProtocolFault::Unexpected { .. }), "{fault}");
    let theirs = plan_with(4, 1, 3, |spec| spec.server_learning_rate = 2.0);
    let mut fresh = engine(&plan, 1, Vec::new());
    fresh.handle_connect(NOW);
    fresh.poll_transmit().unwrap();
    let fault = refuses(&mut fresh, &Hostile::new(&theirs).welcome());
    assert!(matches!(fault, ProtocolFault::DifferentPlan { .. }), "{fault}");
    // Nothing before the greeting is over.
    let fault = refuses(&mut fresh, &hostile.config(1, 1, &model));
    assert!(matches!(fault, ProtocolFault::WrongRun(_) | ProtocolFault::Unexpected { .. }), "{fault}");
}

#[test]
fn an_attempt_is_joined_once_and_never_an_older_one() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let model = plan.initial_params();
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &hostile.config(1, 2, &model)).unwrap();
    client.poll_persist().unwrap();
    client.poll_work().unwrap();
    for attempt in [1, 2] {
        let fault = refuses(&mut client, &hostile.config(1, attempt, &model));
        assert!(matches!(fault, ProtocolFault::AttemptReplayed { round: 1, .. }), "{fault}");
    }
    client.handle_frame(NOW, &hostile.config(1, 3, &model)).unwrap();
}

#[test]
fn malformed_bodies_and_frames_that_only_clients_send_are_refused() {
    let plan = plan(4, 1, 3);
    let hostile = Hostile::new(&plan);
    let genuine = hostile.config(1, 1, &plan.initial_params());
    let mut client = greeted(&plan);
    let mut longer = genuine.body.to_vec();
    longer.push(0);
    for body in [Vec::new(), genuine.body[..genuine.body.len() - 1].to_vec(), longer] {
        let fault = refuses(&mut client, &with_body(&genuine, body));
        assert!(matches!(fault, ProtocolFault::Malformed { what: "RoundConfig", .. }), "{fault}");
    }
    for kind in [Kind::Hello, Kind::Advert, Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature, Kind::Opening] {
        let fault = refuses(&mut client, &Hostile::frame(kind, 1, 1, vec![0; 64]));
        assert!(matches!(fault, ProtocolFault::Unexpected { .. }), "{kind:?}: {fault}");
    }
    // After all of it the client still takes the real one.
    client.handle_frame(NOW, &genuine).unwrap();
    assert!(client.poll_persist().is_some());
}

// ---- what a coordinator takes from no client ----

/// Everything that the first client to answer a phase could send instead of its answer.
fn lies(genuine: &Frame) -> Vec<Frame> {
    let body = &genuine.body;
    let mut longer = body.to_vec();
    longer.push(0);
    let mut flipped = body.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    vec![
        with_body(genuine, Vec::new()),
        with_body(genuine, body[..body.len() - 1].to_vec()),
        with_body(genuine, longer),
        with_body(genuine, flipped),
        with_body(genuine, vec![0xff; body.len()]),
        Frame { run: RunId([8; 16]), ..genuine.clone() },
        Frame { attempt: AttemptId(7), ..genuine.clone() },
        Frame { round: RoundId(2), ..genuine.clone() },
        Frame { kind: Kind::RoundConfig, ..genuine.clone() },
        Frame { kind: Kind::SurvivorQuorum, ..genuine.clone() },
    ]
}

#[test]
fn the_coordinator_refuses_what_is_malformed_or_misplaced_and_its_state_is_as_if_it_had_not_come() {
    let plan = plan(4, 1, 1);
    let mut undisturbed = Federation::new(&plan);
    undisturbed.run();
    assert_eq!(undisturbed.coordinator.outcome(), Some(&Outcome::Completed));

    let mut federation = Federation::new(&plan);
    let stranger = identity(77).client_id();
    for kind in [Kind::Advert, Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature, Kind::Opening] {
        let answers = federation.run_until(kind);
        assert_eq!(answers.len(), 4, "{kind:?}");
        let (first, genuine) = &answers[0];
        let entries = federation.journal.len();
        for lie in lies(genuine) {
            let fault = federation.coordinator_gets(*first, &lie).expect_err("a lie must be refused");
            assert!(
                matches!(
                    fault,
                    PeerFault::Malformed { .. }
                        | PeerFault::WrongAttempt(..)
                        | PeerFault::WrongRole(..)
                        | PeerFault::SecAgg(_)
                ),
                "{kind:?}: {fault}"
            );
        }
        // Another client's answer, and an answer from nobody.
        let (second, theirs) = &answers[1];
        let fault = federation.coordinator_gets(*first, theirs).unwrap_err();
        assert!(matches!(fault, PeerFault::SecAgg(_)), "{kind:?} of another client: {fault}");
        let fault = federation.coordinator.handle_frame(NOW, stranger, genuine).unwrap_err();
        assert!(matches!(fault, PeerFault::NotGreeted(..)), "{fault}");
        // The answer itself is taken, once.
        federation.coordinator_gets(*first, genuine).unwrap();
        let fault = federation.coordinator_gets(*first, genuine).unwrap_err();
        assert!(matches!(fault, PeerFault::SecAgg(sottovoce_secagg::PeerFault::Repeated { .. })), "{kind:?}: {fault}");
        assert_eq!(federation.journal.len(), entries, "{kind:?}: nothing was journalled for it");
        federation.coordinator_gets(*second, theirs).unwrap();
        for (site, answer) in &answers[2..] {
            federation.coordinator_gets(*site, answer).unwrap();
        }
    }
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    assert_eq!(federation.coordinator.params().digest(), undisturbed.coordinator.params().digest());
    assert_eq!(federation.published()[0].contributors, 4);
}

#[test]
fn a_greeting_of_another_plan_or_of_no_member_is_refused() {
    let plan = plan(4, 1, 1);
    let theirs = plan_with(4, 1, 1, |spec| spec.clip_bits = 15);
    let mut federation = Federation::new(&plan);
    let hello = |plan: &RunPlan| Frame {
        kind: Kind::Hello,
        run: RunId([0; 16]),
        round: RoundId(0),
        attempt: AttemptId(0),
        body: Hello { plan: plan.digest() }.to_bytes().into(),
    };
    let fault = federation.coordinator_gets(0, &hello(&theirs)).unwrap_err();
    assert!(matches!(fault, PeerFault::DifferentPlan { .. }), "{fault}");
    let stranger = identity(77).client_id();
    federation.coordinator.handle_connect(NOW, stranger);
    let fault = federation.coordinator.handle_frame(NOW, stranger, &hello(&plan)).unwrap_err();
    assert!(matches!(fault, PeerFault::NotAMember(_)), "{fault}");
    // The four members greet rightly, and the run is theirs.
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    assert_eq!(federation.published()[0].cohort, 4);
}

#[test]
fn a_client_that_reconnects_in_a_later_phase_counts_as_gone_until_the_next_round() {
    for kind in [Kind::Shares, Kind::MaskedInput, Kind::SurvivorSignature, Kind::Opening] {
        let mut federation = Federation::new(&plan(5, 1, 2));
        let answers = federation.run_until(kind);
        federation.disconnect(2);
        federation.connect(2);
        // It is greeted, and asked for nothing more in this round.
        let configs = |f: &Federation| f.sites[2].received.iter().filter(|f| f.kind == Kind::RoundConfig).count();
        assert_eq!(configs(&federation), 1, "{kind:?}");
        for (site, answer) in answers.iter().filter(|(site, _)| *site != 2) {
            federation.coordinator_gets(*site, answer).unwrap();
        }
        federation.run();
        assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed), "{kind:?}");
        let records = federation.published();
        assert_eq!((records[0].attempt, records[0].dropouts), (1, 1), "{kind:?}: no deadline had to pass, no retry");
        let sent_its_input = matches!(kind, Kind::SurvivorSignature | Kind::Opening);
        assert_eq!(records[0].contributors, if sent_its_input { 5 } else { 4 }, "{kind:?}");
        assert_eq!(records[1].contributors, 5, "{kind:?}: it is back in round 2");
        assert_eq!(configs(&federation), 2, "{kind:?}");
        let left = |e: &CoordinatorEvent| matches!(e, CoordinatorEvent::Left { .. });
        assert_eq!(federation.events.iter().filter(|e| left(e)).count(), 1, "{kind:?}");
    }
}

#[test]
fn a_client_that_came_back_after_its_input_is_not_sent_what_it_would_take_for_a_lie() {
    let mut federation = Federation::new(&plan(5, 1, 2));
    let inputs = federation.run_until(Kind::MaskedInput);
    let (of_the_third, others): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|(site, _)| *site == 2);
    for (site, input) in of_the_third {
        federation.coordinator_gets(site, &input).unwrap();
    }
    federation.disconnect(2);
    federation.connect(2);
    for (site, input) in others {
        federation.coordinator_gets(site, &input).unwrap();
    }
    // Every frame that reaches a client is accepted, or this fails.
    federation.run();
    let records = federation.published();
    assert_eq!((records[0].contributors, records[0].dropouts), (5, 1), "its input is in the sum");
    assert_eq!(records[1].contributors, 5);
}

#[test]
fn a_refusal_is_told_once_an_attempt() {
    let mut federation = Federation::new(&plan(5, 1, 1));
    let (site, config) = federation.run_until(Kind::Advert).into_iter().next().unwrap();
    let refusal = Frame { kind: Kind::Abort, body: Bytes::from_static(b"no"), ..config };
    for _ in 0..3 {
        federation.coordinator_gets(site, &refusal).unwrap();
    }
    let refused = |e: &&CoordinatorEvent| matches!(e, CoordinatorEvent::Refused { .. });
    assert_eq!(federation.events.iter().filter(refused).count(), 1);
}

// ---- what depends on data does not show ----

#[test]
fn claim_no_data_dependent_refusal_an_update_that_is_not_finite_does_not_keep_its_site_away() {
    let plan = plan(4, 1, 2);
    let mut client = greeted(&plan);
    client.handle_frame(NOW, &Hostile::new(&plan).config(1, 1, &plan.initial_params())).unwrap();
    while client.poll_persist().is_some() {}
    let work = client.poll_work().unwrap();
    let update = |value: f32| Update { values: vec![value; plan.layout().len()], examples: 1 };
    let diverged = vec![update(0.01), update(f32::INFINITY)];
    client.handle_updates(NOW, work.round, work.attempt, diverged.clone()).unwrap();
    assert_eq!(client.poll_transmit().map(|f| f.kind), Some(Kind::Advert), "not a refusal");
    let id = identity(1).client_id();
    let with = site_sum(&plan, &id, &diverged).unwrap().into_coords();
    assert_eq!(with, site_sum(&plan, &id, &diverged[..1]).unwrap().into_coords(), "it counts as zero");
    // Without a privacy unit nothing is promised of one, and broken data stops here.
    let open = plan_with(4, 1, 2, |spec| {
        spec.unit = Unit::None;
        spec.privacy = None;
        spec.clip_bits = 36;
        spec.lanes = Lanes::new(1).unwrap();
    });
    assert!(site_sum(&open, &id, &diverged[1..]).is_err());
}

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
