//! What leaves a client beside its masked input says nothing of its data: no loss, no count, no time, not even a length.
//! (Lam et al. 2021, "Gradient disaggregation", took sums apart with the participation counts that servers collect.)
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::{plan, private_spec, run, simulation};
use sottovoce_sim::Script;
use sottovoce_transcript::{Party, Record, Transcript};
use sottovoce_types::Tick;
use sottovoce_wire::Kind;

/// What every client sent, in order, with the times of the virtual clock.
fn sent(transcript: &Transcript) -> Vec<Record> {
    let view = transcript.coordinator();
    view.records().iter().filter(|r| matches!(r.from, Party::Client(_))).map(|r| (*r).clone()).collect()
}

/// A run of two rounds whose clients want `target`, under the same seeds.
fn run_towards(target: f32) -> Vec<Record> {
    let plan = plan(private_spec(4, 1, 2, 2.0, 100.0), 5);
    let mut sim = simulation(&plan, 5, Script::default());
    for client in &mut sim.clients {
        let targets = vec![vec![target; plan.layout().len()]; 2];
        client.trainer = Box::new(sottovoce_sim::TargetTrainer { targets, step: 0.5 });
    }
    sent(&run(sim).1)
}

#[test]
fn what_a_client_sends_beside_its_masked_input_is_the_same_whatever_its_data_is() {
    let (small, large) = (run_towards(0.01), run_towards(-3.0));
    let shape = |r: &Record| (r.at, r.from, r.frame.kind, r.frame.round, r.frame.attempt, r.frame.body.len());
    let shapes = |records: &[Record]| records.iter().map(shape).collect::<Vec<_>>();
    assert_eq!(shapes(&small), shapes(&large), "kinds, order, sizes and times");
    assert!(small.iter().any(|r| r.at > Tick(0)));
    // In the first round, before anything that was opened could differ, also the bytes: greeting, keys, shares, and the chunks that are audited.
    let mut compared = 0;
    for (a, b) in small.iter().zip(&large).filter(|(a, _)| a.frame.round.0 <= 1) {
        match a.frame.kind {
            Kind::Hello | Kind::Advert | Kind::Shares | Kind::WantAudit => {
                assert_eq!(a.frame.body, b.frame.body, "{:?}", a.frame.kind);
                compared += 1;
            }
            // The input itself, under its mask, and signatures over hashes of all inputs.
            Kind::MaskedInput | Kind::SurvivorSignature | Kind::Opening => {
                assert_ne!(a.frame.body, b.frame.body, "{:?}", a.frame.kind);
            }
            other => panic!("a client said something else: {other:?}"),
        }
    }
    assert_eq!(compared, 25, "greeting, keys, shares and two requests of an audit, of five clients");
    // And in the whole run, nothing of another kind.
    let kinds = [
        Kind::Hello,
        Kind::Advert,
        Kind::Shares,
        Kind::MaskedInput,
        Kind::SurvivorSignature,
        Kind::Opening,
        Kind::WantAudit,
    ];
    assert!(small.iter().all(|r| kinds.contains(&r.frame.kind)));
}

/// The control: the same seeds and the same data give the same bytes, so that a difference above comes from the data.
#[test]
fn control_the_same_data_gives_the_same_bytes() {
    let (once, again) = (run_towards(0.01), run_towards(0.01));
    assert!(once.iter().zip(&again).all(|(a, b)| a.frame == b.frame) && once.len() == again.len());
}
