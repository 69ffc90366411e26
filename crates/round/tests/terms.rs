//! A coordinator that changes the terms: whatever it changes is another plan, which no client of ours joins. And what an attempt
//! that it claims to have lost costs it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::hostile::{Hostile, NOW, greeted, refuses};
use common::{Federation, RUN, engine, identity, plan, plan_with};
use sottovoce_dp::LedgerEntry;
use sottovoce_round::{
    ConfigStatement, JournalEvent, Manifest, Member, Outcome, ProtocolFault, PublicKey, RoundConfig, RoundTerms,
    RunPlan, RunSpec, Signed,
};
use sottovoce_secagg::MaskSuite;
use sottovoce_types::{
    AttemptId, ClipNorm, Delta, Digest, Epsilon, Lanes, ModelSpec, NoiseMultiplier, Rotation, RoundId, Unit,
};
use sottovoce_wire::{Encode, Frame, Kind};

/// A term, and the change to it that would serve a coordinator.
type Change = (&'static str, fn(&mut RunSpec));

const CHANGES: &[Change] = &[
    ("hardly any noise", |s| s.privacy.as_mut().unwrap().noise_multiplier = NoiseMultiplier::new(0.01).unwrap()),
    ("a larger budget", |s| s.privacy.as_mut().unwrap().epsilon_budget = Epsilon::new(1e6).unwrap()),
    ("another delta", |s| s.privacy.as_mut().unwrap().delta = Delta::new(1e-3).unwrap()),
    ("a huge clipping norm", |s| s.clip = ClipNorm::new(1e9).unwrap()),
    ("a finer grid", |s| s.clip_bits = 17),
    ("other lanes", |s| s.lanes = Lanes::new(1).unwrap()),
    ("another suite", |s| s.suite = MaskSuite::ChaCha20),
    ("fewer clients", |s| s.n_min = 4),
    ("nobody corrupt, and so a lower quorum and threshold", |s| s.max_corrupt = 0),
    ("more rounds", |s| s.rounds = 4),
    ("more attempts", |s| s.max_attempts = 100),
    ("no time at all", |s| s.deadlines.phase_ms = 0),
    ("all the time in the world", |s| s.deadlines.phase_ms = u64::MAX / 4),
    ("another unit", |s| s.unit = Unit::Client),
    ("rotated updates", |s| s.rotation = Rotation::Hadamard),
    ("another model of as many parameters", |s| {
        s.model = ModelSpec::Dnn { inputs: 1, hidden: vec![2], classes: 2 };
    }),
    ("other initial parameters", |s| s.init_seed = 2),
    ("a hundred local epochs", |s| s.job.epochs = 100),
    ("another learning rate", |s| s.job.learning_rate = 10.0),
    ("another step of the server", |s| s.server.learning_rate = 1e6),
    ("surplus noise taken off", |s| s.noise_removal = sottovoce_types::NoiseRemoval::Layers),
    ("other features", |s| s.features = Digest::of(b"other")),
];

#[test]
fn whatever_term_a_coordinator_changes_is_another_plan_that_no_client_joins() {
    let ours = plan(5, 1, 3);
    let mut digests = BTreeSet::from([ours.digest()]);
    for (what, change) in CHANGES {
        let theirs = plan_with(5, 1, 3, change);
        assert!(digests.insert(theirs.digest()), "{what}: the plan's digest does not cover it");
        // It greets under its own terms …
        let mut client = engine(&ours, 1, Vec::new());
        client.handle_connect(NOW);
        client.poll_transmit().unwrap();
        let fault = refuses(&mut client, &Hostile::new(&theirs).welcome());
        assert!(matches!(fault, ProtocolFault::DifferentPlan { .. }), "{what}: {fault}");
        // … or under ours, and then opens an attempt under its own: what it signed is not what the client makes of it.
        let mut client = greeted(&ours);
        let config = Hostile::new(&theirs).config(1, 1, &theirs.initial_params());
        let fault = refuses(&mut client, &config);
        assert!(
            matches!(
                fault,
                ProtocolFault::ConfigSignature | ProtocolFault::WrongModel { .. } | ProtocolFault::WrongTerms { .. }
            ),
            "{what}: {fault}"
        );
    }
}

/// Whom the manifest pins is part of it, too.
#[test]
fn a_manifest_with_a_member_more_or_with_another_coordinator_is_another_plan() {
    let ours = plan(5, 1, 3);
    let with = |manifest: Manifest| Arc::new(RunPlan::new(ours.spec().clone(), Arc::new(manifest)).unwrap());
    let mut members = ours.manifest().members().to_vec();
    members.push(Member { name: "sybil".into(), public_key: PublicKey(identity(66).public_key()), units: 2 });
    let more = Manifest::new("by hand".into(), ours.manifest().coordinator(), members.clone()).unwrap();
    members.pop();
    let coordinator = PublicKey(identity(67).public_key());
    let other = Manifest::new("by hand".into(), coordinator, members).unwrap();
    for theirs in [with(more), with(other)] {
        assert_ne!(theirs.digest(), ours.digest());
        let mut client = engine(&ours, 1, Vec::new());
        client.handle_connect(NOW);
        client.poll_transmit().unwrap();
        let fault = refuses(&mut client, &Hostile::new(&theirs).welcome());
        assert!(matches!(fault, ProtocolFault::DifferentPlan { .. }), "{fault}");
    }
}

/// The architecture's hash is in what the coordinator signs, beside the model's.
#[test]
fn a_config_of_another_architecture_is_refused() {
    let plan = plan(5, 1, 3);
    let model = plan.initial_params();
    let genuine = ConfigStatement::of(&plan, RUN, RoundId(1), AttemptId(1), model.digest(), &RoundTerms::first(&plan));
    let signed = |statement: ConfigStatement| {
        let Signed { statement, signature } = Signed::by(statement, &identity(100));
        let config = RoundConfig { model: statement.model, terms: statement.terms, signature };
        Hostile::frame(Kind::RoundConfig, 1, 1, config.to_bytes())
    };
    let mut client = greeted(&plan);
    let wider = plan_with(5, 1, 3, |spec| spec.model = ModelSpec::Dnn { inputs: 3, hidden: vec![4], classes: 2 });
    let fault = refuses(&mut client, &signed(ConfigStatement { layout: wider.layout().digest(), ..genuine }));
    assert!(matches!(fault, ProtocolFault::ConfigSignature), "{fault}");
    for other in [
        ConfigStatement { manifest: Digest::of(b"another federation"), ..genuine },
        ConfigStatement { run: sottovoce_types::RunId([8; 16]), ..genuine },
    ] {
        assert!(matches!(refuses(&mut client, &signed(other)), ProtocolFault::ConfigSignature));
    }
    client.handle_frame(NOW, &signed(genuine)).unwrap();
}

/// The openings are out, and the coordinator says that the attempt failed. A site does not believe it for its ledger: the attempt
/// stays charged, the next one is charged again, and shares nothing with the first.
#[test]
fn an_attempt_that_the_coordinator_calls_lost_after_the_opening_stays_charged_and_the_next_shares_no_byte_with_it() {
    let mut federation = Federation::new(&plan(5, 1, 2));
    let held = federation.run_until(Kind::Opening);
    assert_eq!(held.len(), 5);
    let plan = Arc::clone(&federation.plan);
    let site = &mut federation.sites[0];
    let charges = |journal: &[sottovoce_round::Entry]| {
        journal.iter().filter(|e| matches!(e.ledger, Some(LedgerEntry::Reserved { .. }))).count()
    };
    assert_eq!(charges(&site.journal), 1);
    let once = site.engine.ledger().unwrap().epsilon_spent().upper;
    // "Attempt 2, please": the client joins it, as it may.
    let retry = Hostile::new(&plan).config(1, 2, &plan.initial_params());
    site.engine.handle_frame(NOW, &retry).unwrap();
    let left = site.settle();
    let second = left.iter().find(|f| f.kind == Kind::Advert).unwrap().clone();
    let opened = site.journalled().filter(|e| matches!(e, JournalEvent::OpeningCharged { .. })).count();
    assert_eq!(opened, 1, "it is on record that the first was opened");
    assert!(site.engine.ledger().unwrap().epsilon_spent().upper >= once, "nothing is given back");
    // The attempt that the coordinator held back goes on among the others; ours is in the second. Its advert has no 16 bytes
    // in common with its own of the first but for its name.
    let first = advert_of(&plan, 0);
    assert_eq!(first.body.len(), second.body.len());
    let id = federation.sites[0].id;
    let own = second.body.windows(32).position(|w| w == id.0).unwrap();
    let windows: BTreeSet<&[u8]> = first.body.windows(16).collect();
    for (at, window) in second.body.windows(16).enumerate() {
        let of_the_name = at + 16 > own && at < own + 32;
        assert!(of_the_name || !windows.contains(window), "bytes {at} to {} repeat", at + 16);
    }
    // Run through a whole second attempt, and the charge is there twice.
    let mut again = Federation::new(&plan);
    again.run_until(Kind::Opening);
    let twice = charged_by_a_retry(&mut again);
    assert!(twice > once, "two attempts cost {twice}, one {once}");
}

/// The advert of a site's first attempt.
fn advert_of(plan: &Arc<RunPlan>, site: usize) -> Frame {
    let mut federation = Federation::new(plan);
    let adverts = federation.run_until(Kind::Advert);
    adverts.into_iter().find(|(s, _)| *s == site).unwrap().1
}

/// All sites have opened, but the coordinator's deadline passes before any opening arrives; it tries again.
fn charged_by_a_retry(federation: &mut Federation) -> f64 {
    for _ in 0..8 {
        let Some(due) = federation.coordinator.poll_timeout() else { break };
        federation.now = due;
        federation.coordinator.handle_timeout(due);
        federation.pump();
        federation.run();
    }
    federation.sites[0].engine.ledger().unwrap().epsilon_spent().upper
}

/// Late: after the survivor set is fixed, an input changes nothing, and its sender counts as gone. Being late is no fault.
#[test]
fn an_input_that_comes_after_the_survivor_set_is_fixed_is_not_in_the_sum() {
    let mut federation = Federation::new(&plan(5, 1, 1));
    let inputs = federation.run_until(Kind::MaskedInput);
    let (late, others): (Vec<_>, Vec<_>) = inputs.into_iter().partition(|(site, _)| *site == 2);
    for (site, input) in others {
        federation.coordinator_gets(site, &input).unwrap();
    }
    let due = federation.coordinator.poll_timeout().unwrap();
    federation.now = due;
    federation.coordinator.handle_timeout(due);
    federation.pump();
    federation.coordinator_gets(2, &late[0].1).unwrap();
    federation.run();
    assert_eq!(federation.coordinator.outcome(), Some(&Outcome::Completed));
    let record = &federation.published()[0];
    assert_eq!((record.contributors, record.dropouts), (4, 1));
    assert!(federation.sites[2].journalled().all(|e| !matches!(e, JournalEvent::SurvivorsSigned { .. })));
}
