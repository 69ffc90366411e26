//! The rotation in a plan: who agrees on what, and what room it makes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::sync::Arc;

use common::{Federation, identity, plan, plan_with};
use sottovoce_encode::Headroom;
use sottovoce_round::{Manifest, Member, PlanError, PublicKey, RunPlan, RunSpec};
use sottovoce_types::{ClipNorm, Lanes, ModelSpec, Rotation, Unit};

#[test]
fn a_plan_that_rotates_is_another_plan_and_each_round_has_its_own_signs() {
    let (still, rotating) = (plan(4, 1, 2), plan_with(4, 1, 2, |spec| spec.rotation = Rotation::Hadamard));
    assert_ne!(still.digest(), rotating.digest());
    let clip = ClipNorm::new(1.0).unwrap();
    assert_eq!(still.encode_in(1, clip), still.encode_in(2, clip));
    assert_ne!(rotating.encode_in(1, clip), rotating.encode_in(2, clip));
    // Of everything agreed: another run has other signs.
    let other = plan_with(4, 1, 2, |spec| (spec.rotation, spec.init_seed) = (Rotation::Hadamard, 2));
    assert_ne!(rotating.encode_in(1, clip), other.encode_in(1, clip));
}

#[test]
fn a_federation_that_rotates_publishes_what_all_of_its_members_follow() {
    let plan = plan_with(5, 1, 3, |spec| spec.rotation = Rotation::Hadamard);
    let mut federation = Federation::new(&plan);
    federation.run();
    assert_eq!(federation.published().len(), 3);
    let model = federation.coordinator.params().digest();
    for site in &federation.sites {
        assert_eq!(site.engine.last_model().unwrap().digest(), model);
    }
}

/// DP-FedSGD at five sites of 1500 utterances each, on a model of 5127 parameters.
fn utterances(change: impl FnOnce(&mut RunSpec)) -> Result<RunPlan, PlanError> {
    let of = plan(5, 1, 1);
    let member =
        |i: u8| Member { name: format!("site {i}"), public_key: PublicKey(identity(i).public_key()), units: 1500 };
    let coordinator = PublicKey(identity(100).public_key());
    let manifest = Manifest::new("utterances".into(), coordinator, (1..=5).map(member).collect()).unwrap();
    let mut spec = of.spec().clone();
    spec.unit = Unit::Utterance;
    spec.model = ModelSpec::Dnn { inputs: 120, hidden: vec![40], classes: 7 };
    spec.clip_bits = 10;
    spec.lanes = Lanes::new(3).unwrap();
    change(&mut spec);
    RunPlan::new(spec, Arc::new(manifest))
}

#[test]
fn thousands_of_utterances_fit_three_lanes_with_a_rotation_and_two_without() {
    let refused = utterances(|_| ()).unwrap_err();
    assert!(
        matches!(
            refused,
            PlanError::Headroom(Headroom::TooNarrow { rotation_fits: true, lanes_that_fit: Some(2), .. })
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains("rotation = \"hadamard\""), "{refused}");
    let rotating = utterances(|spec| spec.rotation = Rotation::Hadamard).unwrap();
    let two = utterances(|spec| spec.lanes = Lanes::new(2).unwrap()).unwrap();
    // A third of the bytes that are masked and sent.
    assert_eq!((rotating.encode().words(), two.encode().words()), (1709, 2564));
    assert_eq!(rotating.encode().squared_sensitivity(), two.encode().squared_sensitivity());
    let coarse = utterances(|spec| (spec.rotation, spec.clip_bits) = (Rotation::Hadamard, 8)).unwrap_err();
    assert!(matches!(coarse, PlanError::Headroom(Headroom::TooCoarse { needed: 9, .. })), "{coarse}");
}
