//! Whole runs on the virtual clock: what is summed, what is charged, what survives.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::{identity, plan, private_spec, run, simulation, spec, trainer};
use sottovoce_dp::LedgerEntry;
use sottovoce_round::{
    ClientEvent, ClientOutcome, ConfigStatement, Entry, JournalEvent, LocalTrainer, Outcome, RoundTerms, RunPlan,
    Statement, TrainFailed, UnitSum, WEIGHT_CAP_EXAMPLES, Work, receipts_in,
};
use sottovoce_sim::{DropAfter, Dropout, PoisonedTrainer, Script, SimClient};
use sottovoce_transcript::Party;
use sottovoce_types::{RoundId, Unit, Update};
use sottovoce_wire::Kind;

fn drop_of(client: usize, round: u64, after: DropAfter, back_after_ms: Option<u64>) -> Script {
    Script { dropouts: vec![Dropout { client, round: RoundId(round), after, back_after_ms }], ..Script::default() }
}

#[test]
fn without_noise_the_model_is_the_weighted_mean_of_the_clients() {
    let plan = plan(spec(3, 0, 1), 4);
    let (outcome, _) = run(simulation(&plan, 4, Script::default()));
    assert_eq!(outcome.outcome, Outcome::Completed);
    let start = outcome.models[0].values();
    let end = outcome.models[1].values();
    // Each client moves half of the way to 0.1·i; all weigh one example of WEIGHT_CAP_EXAMPLES.
    assert_eq!(WEIGHT_CAP_EXAMPLES, 4096);
    for (s, e) in start.iter().zip(end) {
        let mean: f32 = (1..=4u8).map(|i| 0.5 * (f32::from(i) * 0.1 - s)).sum::<f32>() / 4.0;
        assert!((e - (s + mean)).abs() < 1e-5, "{e} is not {}", s + mean);
    }
    assert!(outcome.faults.is_empty() && outcome.clients.iter().all(|c| c.faults.is_empty()));
    assert!(outcome.clients.iter().all(|c| c.outcome == Some(ClientOutcome::Completed)));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_noise() {
    let plan = plan(private_spec(4, 1, 3, 2.0, 100.0), 5);
    let (a, ta) = run(simulation(&plan, 5, Script::default()));
    let (b, tb) = run(simulation(&plan, 5, Script::default()));
    assert_eq!(a.models, b.models);
    let bodies = |t: &sottovoce_transcript::Transcript| -> Vec<bytes::Bytes> {
        t.coordinator().records().iter().map(|r| r.frame.body.clone()).collect()
    };
    assert_eq!(bodies(&ta), bodies(&tb));
    let mut other = simulation(&plan, 5, Script::default());
    other.seed = 8;
    assert_ne!(run(other).0.models.last(), a.models.last());
}

#[test]
fn a_dropout_in_any_phase_is_survived_and_the_sum_is_of_those_who_sent_their_input() {
    for after in DropAfter::ALL {
        let plan = plan(spec(3, 0, 2), 5);
        let (outcome, _) = run(simulation(&plan, 5, drop_of(1, 1, after, None)));
        assert_eq!(outcome.outcome, Outcome::Completed, "dropped after {after:?}");
        let first = &outcome.records[0];
        let in_the_sum = matches!(after, DropAfter::Input | DropAfter::Signature);
        assert_eq!(first.contributors, if in_the_sum { 5 } else { 4 }, "dropped after {after:?}");
        assert_eq!(first.dropouts, 1, "dropped after {after:?}");
        let present: Vec<u8> = if in_the_sum { vec![1, 2, 3, 4, 5] } else { vec![1, 3, 4, 5] };
        let (s, e) = (outcome.models[0].values()[0], outcome.models[1].values()[0]);
        let mean: f32 = present.iter().map(|&i| 0.5 * (f32::from(i) * 0.1 - s)).sum::<f32>()
            / f32::from(u8::try_from(present.len()).unwrap());
        assert!((e - (s + mean)).abs() < 1e-5, "a wrong sum after {after:?}");
        assert_eq!(outcome.records[1].contributors, 4, "round 2 goes on without it");
    }
}

/// Ten clients, f = 3, noise in layers, audited: whoever drops out, and whenever, all that stay have one model, and their receipts agree with the certificates.
#[test]
fn claim_a_run_with_layers_survives_a_dropout_in_any_phase_with_one_model_for_all() {
    for after in DropAfter::ALL {
        let mut spec = private_spec(7, 3, 2, 2.0, 100.0);
        spec.noise_removal = sottovoce_types::NoiseRemoval::Layers;
        let plan = plan(spec, 10);
        let (outcome, _) = run(simulation(&plan, 10, drop_of(1, 1, after, None)));
        assert_eq!(outcome.outcome, Outcome::Completed, "dropped after {after:?}");
        assert!(outcome.faults.is_empty(), "{after:?}: {:?}", outcome.faults);
        let expected = if matches!(after, DropAfter::Input | DropAfter::Signature) { 10 } else { 9 };
        assert_eq!(outcome.records[0].contributors, expected, "dropped after {after:?}");
        for (i, client) in outcome.clients.iter().enumerate().filter(|(i, _)| *i != 1) {
            assert!(
                client.faults.is_empty() && client.outcome == Some(ClientOutcome::Completed),
                "{i} after {after:?}"
            );
            let found = receipts_in(client.journal.entries(), &plan, None).unwrap().checked;
            let removed: Vec<&[u32]> = found.iter().map(|r| r.receipt.layers_removed.as_slice()).collect();
            let first: &[u32] = match (found[0].receipt.dealers, found[0].receipt.contributors) {
                (10, 9) => &[1],
                // Nobody dropped out, or one who never dealt: of nine dealers two may, or one of a roster of nine that need six.
                (10, 10) | (9, 9) => &[0, 1],
                sets => panic!("{sets:?}"),
            };
            assert_eq!(removed, [first, &[0, 1][..]], "{i} after {after:?}");
        }
    }
}

#[test]
fn a_client_that_comes_back_takes_part_in_the_next_round() {
    let plan = plan(spec(3, 0, 3), 5);
    let (outcome, _) = run(simulation(&plan, 5, drop_of(2, 1, DropAfter::Shares, Some(200))));
    assert_eq!(outcome.outcome, Outcome::Completed);
    assert_eq!(outcome.records[0].contributors, 4);
    assert_eq!(outcome.records[2].contributors, 5);
}

#[test]
fn too_many_dropouts_lose_the_quorum_and_never_give_a_wrong_sum() {
    let plan = plan(spec(4, 1, 1), 4);
    let mut script = drop_of(0, 1, DropAfter::Shares, None);
    script.dropouts.extend(drop_of(1, 1, DropAfter::Shares, None).dropouts);
    let (outcome, transcript) = run(simulation(&plan, 4, script));
    assert_eq!(outcome.outcome, Outcome::QuorumLost { round: RoundId(1) });
    assert!(outcome.records.is_empty());
    assert_eq!(transcript.coordinator().of_kind(Kind::SurvivorQuorum).count(), 0, "nothing was asked to be opened");
}

#[test]
fn a_model_that_is_no_longer_finite_is_not_published_and_its_sum_stays_charged() {
    let mut spec = private_spec(4, 1, 3, 2.0, 100.0);
    spec.server.learning_rate = 1e300;
    let plan = plan(spec, 5);
    let (outcome, _) = run(simulation(&plan, 5, Script::default()));
    assert_eq!(outcome.outcome, Outcome::ModelDiverged { round: RoundId(1) });
    assert!(outcome.records.is_empty() && outcome.models.len() == 1, "the initial model stays the last");
    let debits = outcome.journal.entries().iter().filter(|e| matches!(e.event, JournalEvent::Debited { .. })).count();
    assert_eq!(debits, 1);
}

#[test]
fn claim_debit_before_reveal_the_debit_is_journalled_before_the_unmask_request_can_leave() {
    let plan = plan(private_spec(4, 1, 2, 2.0, 100.0), 5);
    let (outcome, transcript) = run(simulation(&plan, 5, Script::default()));
    let debits = outcome.journal.entries().iter().filter(|e| matches!(e.event, JournalEvent::Debited { .. })).count();
    let rounds: std::collections::BTreeSet<_> =
        transcript.coordinator().of_kind(Kind::SurvivorQuorum).map(|r| (r.frame.round, r.frame.attempt)).collect();
    assert_eq!(debits, 2);
    assert_eq!(rounds.len(), debits, "one debit for each attempt that was opened");
    // The engine itself: with a debit waiting to be persisted, nothing leaves. Shown on the engine in `crates/round/tests/engine.rs`.
    for client in &outcome.clients {
        let reserved = |e: &&Entry| matches!(e.ledger, Some(LedgerEntry::Reserved { .. }));
        let charged = client.journal.entries().iter().filter(reserved).count();
        assert_eq!(charged, 2, "each site charged itself for each input that left");
    }
}

#[test]
fn claim_budget_exhausted_a_site_stops_by_itself_whatever_the_coordinator_says() {
    // Noise 1 costs about epsilon 4.4 a round at delta 1e-5; a budget of 7 lasts for two rounds, not for five.
    let plan = plan(private_spec(4, 1, 5, 1.0, 7.0), 5);
    let (outcome, _) = run(simulation(&plan, 5, Script::default()));
    assert!(outcome.records.len() < 5, "the run ended early");
    for client in &outcome.clients {
        assert!(client.epsilon_spent.unwrap() <= 7.0, "a site spent {:?}", client.epsilon_spent);
    }
    assert!(matches!(outcome.outcome, Outcome::BudgetExhausted { .. }));
}

#[test]
fn an_aborted_attempt_is_retried_with_fresh_keys_from_the_same_model() {
    // Two of five vanish after their shares: with f = 1 the quorum of 4 is lost; they come back for attempt 2.
    let plan = plan(private_spec(4, 1, 1, 2.0, 100.0), 5);
    let mut script = drop_of(0, 1, DropAfter::Shares, Some(100));
    script.dropouts.extend(drop_of(1, 1, DropAfter::Shares, Some(100)).dropouts);
    let (outcome, transcript) = run(simulation(&plan, 5, script));
    assert_eq!(outcome.outcome, Outcome::Completed);
    assert_eq!(outcome.records[0].attempt, 2);
    let mut adverts: Vec<_> = transcript.coordinator().of_kind(Kind::Advert).map(|r| r.frame.body.clone()).collect();
    let all = adverts.len();
    adverts.sort();
    adverts.dedup();
    assert_eq!(adverts.len(), all, "no key is advertised twice");
}

#[test]
fn claim_not_defended_poisoned_update_shifts_the_sum() {
    // The clip bounds how far one client moves the model in a round, and nothing here judges the direction.
    let plan = plan(private_spec(4, 1, 1, 0.01, 1e9), 5);
    let mut sim = simulation(&plan, 5, Script::default());
    let d = plan.layout().len();
    let mut direction = vec![0.0; d];
    direction[3] = -1e6;
    for (i, client) in sim.clients.iter_mut().enumerate() {
        let mut still = trainer(&plan, 1);
        still.step = 0.0;
        client.trainer =
            if i == 0 { Box::new(PoisonedTrainer { direction: direction.clone() }) } else { Box::new(still) };
    }
    let (outcome, _) = run(sim);
    let shift = outcome.models[1].values()[3] - outcome.models[0].values()[3];
    // −C over the ten units of the federation, within the little noise.
    assert!((shift + 0.1).abs() < 0.01, "one poisoned unit moved the model by {shift}");
}

#[test]
fn a_client_of_another_plan_is_refused() {
    let ours = plan(spec(3, 0, 1), 4);
    let theirs = plan(spec(3, 0, 2), 4);
    assert_ne!(ours.digest(), theirs.digest());
    let frame = sottovoce_wire::Frame {
        kind: Kind::Hello,
        run: sottovoce_types::RunId([0; 16]),
        round: RoundId(0),
        attempt: sottovoce_types::AttemptId(0),
        body: bytes::Bytes::from(sottovoce_wire::Encode::to_bytes(&sottovoce_round::Hello { plan: theirs.digest() })),
    };
    let mut coordinator =
        sottovoce_round::Coordinator::new(ours.clone(), identity(100), sottovoce_types::RunId([1; 16]));
    let id = identity(1).client_id();
    coordinator.handle_connect(sottovoce_types::Tick(0), id);
    let fault = coordinator.handle_frame(sottovoce_types::Tick(0), id, &frame).unwrap_err();
    assert!(matches!(fault, sottovoce_round::PeerFault::DifferentPlan { .. }));
    // Contexts of two plans differ even for the same round and model, so masks of one are noise in the other.
    let (run, round, attempt) = (sottovoce_types::RunId([1; 16]), RoundId(1), sottovoce_types::AttemptId(1));
    let model = ours.initial_params().digest();
    let digest =
        |plan: &RunPlan| ConfigStatement::of(plan, run, round, attempt, model, &RoundTerms::first(plan)).digest();
    assert_ne!(digest(&ours), digest(&theirs));
    assert_eq!(ours.spec().unit, Unit::None);
}

#[test]
fn unlisted_clients_do_not_compile_into_a_plan() {
    let plan = plan(spec(3, 0, 1), 4);
    assert_eq!(plan.units_of(&identity(9).client_id()), 0);
    let sim_client = SimClient { identity: identity(9), trainer: Box::new(trainer(&plan, 1)) };
    let mut sim = simulation(&plan, 4, Script::default());
    sim.clients.push(sim_client);
    let (outcome, _) = run(sim);
    assert_eq!(outcome.outcome, Outcome::Completed);
    assert_eq!(outcome.records[0].contributors, 4);
    assert_eq!(outcome.faults.len(), 1, "the stranger's greeting was refused: {:?}", outcome.faults);
}

/// A site whose training diverges in every round.
struct Diverging;

impl LocalTrainer for Diverging {
    fn train(&mut self, work: &Work, units: &mut UnitSum) -> Result<(), TrainFailed> {
        Ok(units.add(0, &Update { values: vec![f32::NAN; work.params.values().len()], examples: 1 })?)
    }
}

#[test]
fn without_a_privacy_unit_a_site_that_diverged_sends_no_input_and_the_others_go_on() {
    let plan = plan(spec(3, 0, 2), 4);
    let mut sim = simulation(&plan, 4, Script::default());
    sim.clients[1].trainer = Box::new(Diverging);
    let (outcome, transcript) = run(sim);
    assert_eq!(outcome.outcome, Outcome::Completed);
    assert!(outcome.records.iter().all(|r| r.contributors == 3));
    let diverged = Party::Client(outcome.clients[1].id);
    let sent = |kind| transcript.coordinator().of_kind(kind).filter(|r| r.from == diverged).count();
    assert_eq!(
        (sent(Kind::Advert), sent(Kind::Shares), sent(Kind::MaskedInput)),
        (0, 0, 0),
        "nothing of its data left"
    );
    assert_eq!(sent(Kind::Abort), 2, "it says that it sits out");
    let told = outcome.clients[1].events.iter().filter_map(|e| match e {
        ClientEvent::SatOut { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let told: Vec<String> = told.collect();
    assert!(told.len() == 2 && told[0].contains("diverged") && told[0].contains("lower the learning rate"), "{told:?}");
    // With a privacy unit the same trainer does not show.
    let private = common::plan(private_spec(3, 0, 1, 2.0, 100.0), 4);
    let mut sim = simulation(&private, 4, Script::default());
    sim.clients[1].trainer = Box::new(Diverging);
    assert_eq!(run(sim).0.records[0].contributors, 4);
}
