//! Properties of the whole encoding.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use proptest::prelude::*;
use sottovoce_encode::{Clipped, EncodePlan, EncodeSpec, Extra, QuantiseError, SiteSum, SiteSumError, exact};
use sottovoce_types::{ClipNorm, Lanes, RingVec, Rotation, Update};

fn plan(dim: usize, clip: f64, clip_bits: u32, max_units: u64, weighted: bool) -> EncodePlan {
    let (clip, lanes) = (ClipNorm::new(clip).unwrap(), Lanes::new(1).unwrap());
    let extra = if weighted { Extra::Weight } else { Extra::None };
    EncodePlan::new(EncodeSpec {
        dim,
        clip,
        clip_bits,
        lanes,
        max_units,
        extra,
        rotation: Rotation::None,
        noise_tail: 0,
    })
    .unwrap()
}

fn update(values: &[f32]) -> Update {
    Update { values: values.to_vec(), examples: 1 }
}

fn one_unit(plan: &EncodePlan, values: &[f32]) -> Vec<i64> {
    let mut sum = SiteSum::empty(plan);
    sum.add(Clipped::new(&update(values), plan.spec().clip).unwrap().quantise(plan).unwrap()).unwrap();
    sum.into_coords()
}

fn squared_norm(coords: &[i64]) -> u128 {
    coords.iter().map(|x| u128::from(x.unsigned_abs()).pow(2)).sum()
}

/// Any finite f32, with extremes and subnormals far more often than chance would give.
fn adversarial_f32() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite()),
        Just(f32::MAX),
        Just(-f32::MAX),
        Just(f32::MIN_POSITIVE),
        Just(1e-45f32),
        Just(1.0f32),
        Just(1.0f32.next_down()),
        -1.0f32..1.0,
    ]
}

#[test]
fn claim_nan_and_infinite_updates_are_refused() {
    let clip = ClipNorm::new(1.0).unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(Clipped::new(&update(&[0.0, bad]), clip).err().unwrap().index, 1);
    }
    assert!(Clipped::new(&update(&[0.0, f32::MAX]), clip).is_ok());
}

#[test]
fn an_update_clipped_to_a_larger_norm_is_refused_by_the_integer_check() {
    let plan = plan(2, 1.0, 20, 1, false);
    let loose = Clipped::new(&update(&[0.8, 0.7]), ClipNorm::new(2.0).unwrap()).unwrap();
    assert_eq!(loose.quantise(&plan).err(), Some(QuantiseError::NormExceeded));
    let huge = Clipped::new(&update(&[f32::MAX, 0.0]), ClipNorm::new(1e30).unwrap()).unwrap();
    assert_eq!(huge.quantise(&plan).err(), Some(QuantiseError::NormExceeded));
    let tight = Clipped::new(&update(&[0.8, 0.7]), ClipNorm::new(1.0).unwrap()).unwrap();
    assert!(tight.was_scaled());
    assert!(tight.quantise(&plan).is_ok());
}

#[test]
fn more_units_than_planned_and_units_of_another_plan_are_refused() {
    let (small, other) = (plan(1, 1.0, 20, 1, false), plan(1, 1.0, 21, 1, false));
    let unit = |p: &EncodePlan| Clipped::new(&update(&[0.5]), p.spec().clip).unwrap().quantise(p).unwrap();
    let mut sum = SiteSum::empty(&small);
    assert_eq!(sum.add(unit(&other)), Err(SiteSumError::OtherPlan));
    sum.add(unit(&small)).unwrap();
    assert_eq!(sum.add(unit(&small)), Err(SiteSumError::TooManyUnits { max_units: 1 }));
    assert_eq!((sum.units(), sum.into_coords()), (1, vec![1 << 19]));
}

#[test]
fn weights_outside_zero_to_one_are_refused_and_no_weight_at_all_cannot_be_decoded() {
    let plan = plan(1, 1.0, 20, 2, true);
    let clipped = || Clipped::new(&update(&[0.5]), plan.spec().clip).unwrap();
    for bad in [0.0, -0.5, 1.000_001, f64::NAN] {
        assert!(matches!(clipped().quantise_weighted(&plan, bad), Err(QuantiseError::Weight { .. })));
    }
    assert!(matches!(clipped().quantise(&plan), Err(QuantiseError::OtherMode { plan_is_weighted: true })));
    let nothing = RingVec::zeros(plan.words(), plan.lanes());
    assert!(plan.decode_weighted(&nothing).is_err());
}

/// A plan that counts unclipped units.
fn counting(dim: usize, clip: f64, clip_bits: u32, max_units: u64, steps: u64) -> EncodePlan {
    let (clip, lanes) = (ClipNorm::new(clip).unwrap(), Lanes::new(1).unwrap());
    let extra = Extra::Unclipped { steps };
    EncodePlan::new(EncodeSpec {
        dim,
        clip,
        clip_bits,
        lanes,
        max_units,
        extra,
        rotation: Rotation::None,
        noise_tail: 0,
    })
    .unwrap()
}

#[test]
fn the_count_says_which_share_of_the_units_was_within_the_bound() {
    let plan = counting(2, 1.0, 20, 8, 1000);
    let mut packed = RingVec::zeros(plan.words(), plan.lanes());
    // Norms 0.3, 1 (on the bound within its margin: clipped), 5, 0.9.
    for values in [[0.3, 0.0], [0.0, 1.0], [3.0, 4.0], [0.9, 0.0]] {
        packed.add(&RingVec::pack(&one_unit(&plan, &values), plan.lanes()).unwrap());
    }
    let close = |units: f64, share: f64| (plan.decode_unclipped(&packed, units).unwrap() - share).abs() < 1e-12;
    assert!(close(4.0, 0.5));
    // Four units more that sent nothing count as half unclipped each.
    assert!(close(8.0, 0.5));
    let mean = plan.decode(&packed, 1.0);
    assert_eq!(mean.len(), 2, "the count is no parameter");
    assert!((mean[0] - (0.3 + 0.6 + 0.9)).abs() < 1e-4, "{mean:?}");
    assert_eq!(plan_without().decode_unclipped(&RingVec::zeros(2, plan.lanes()), 1.0), None);
}

fn plan_without() -> EncodePlan {
    plan(2, 1.0, 20, 8, false)
}

#[test]
fn a_unit_quantised_under_one_clipping_norm_is_not_added_under_another() {
    let plan = counting(1, 1.0, 20, 2, 7);
    let later = plan.with_clip(ClipNorm::new(0.9).unwrap());
    let unit = Clipped::new(&update(&[0.5]), plan.spec().clip).unwrap().quantise(&plan).unwrap();
    assert_eq!(SiteSum::empty(&later).add(unit), Err(SiteSumError::OtherPlan));
    // Clipped to the norm of another round, it fails the check in integers.
    let loose = Clipped::new(&update(&[1.0]), plan.spec().clip).unwrap();
    assert_eq!(loose.quantise(&later).err(), Some(QuantiseError::NormExceeded));
}

proptest! {
    #[test]
    fn claim_unit_and_count_together_move_the_sum_by_at_most_the_joint_sensitivity(
        values in prop::collection::vec(adversarial_f32(), 1..40), clip in 1e-6f64..1e6, clip_bits in 1u32..=40,
        steps in 1u64..(1 << 40),
    ) {
        let plan = counting(values.len(), clip, clip_bits, 1, steps);
        let unit = one_unit(&plan, &values);
        let norm = squared_norm(&unit);
        prop_assert!(norm <= plan.squared_sensitivity());
        // The bound of the parameters alone does not cover it: a count that rode along uncharged would be caught.
        prop_assert!(u128::from(unit.last().unwrap().unsigned_abs()) == u128::from(steps));
        prop_assert!(plan.squared_sensitivity() > u128::from(plan.clip_steps()).pow(2));
    }

    #[test]
    fn claim_one_unit_moves_the_integer_sum_by_at_most_the_clipping_norm(
        values in prop::collection::vec(adversarial_f32(), 1..40), clip in 1e-6f64..1e6, clip_bits in 1u32..=40,
    ) {
        let plan = plan(values.len(), clip, clip_bits, 1, false);
        prop_assert!(squared_norm(&one_unit(&plan, &values)) <= u128::from(plan.clip_steps()).pow(2));
    }

    #[test]
    fn a_vector_just_at_the_bound_never_fails_the_integer_check(
        direction in prop::collection::vec(-1.0f32..1.0, 1..2000), clip_bits in 20u32..=40,
    ) {
        let plan = plan(direction.len(), 1.0, clip_bits, 1, false);
        let coords = one_unit(&plan, &direction.iter().map(|v| v * 1e6).collect::<Vec<_>>());
        prop_assert!(squared_norm(&coords) <= u128::from(plan.clip_steps()).pow(2));
    }

    #[test]
    fn the_decoded_sum_is_within_one_step_a_unit_of_the_float_sum(
        units in prop::collection::vec(prop::collection::vec(-0.2f32..0.2, 5), 1..8), clip_bits in 8u32..=30,
    ) {
        let plan = plan(5, 1.0, clip_bits, 8, false);
        let mut packed = RingVec::zeros(plan.words(), plan.lanes());
        for unit in &units {
            packed.add(&RingVec::pack(&one_unit(&plan, unit), plan.lanes()).unwrap());
        }
        let decoded = plan.decode(&packed, 1.0);
        for (i, got) in decoded.into_iter().enumerate() {
            // Norms stay below 0.45, so nothing is clipped and the float sum is the truth.
            let truth: f64 = units.iter().map(|u| f64::from(u[i])).sum();
            let n = exact::to_f64(i64::try_from(units.len()).unwrap());
            prop_assert!((f64::from(got) - truth).abs() <= n * plan.step() + 1e-6);
        }
    }

    #[test]
    fn the_weighted_mean_is_the_float_weighted_mean(
        units in prop::collection::vec((-0.5f32..0.5, 0.05f64..=1.0), 1..8),
    ) {
        let plan = plan(1, 1.0, 30, 8, true);
        let mut packed = RingVec::zeros(plan.words(), plan.lanes());
        for &(value, weight) in &units {
            let mut sum = SiteSum::empty(&plan);
            let clipped = Clipped::new(&update(&[value]), plan.spec().clip).unwrap();
            sum.add(clipped.quantise_weighted(&plan, weight).unwrap()).unwrap();
            packed.add(&RingVec::pack(&sum.into_coords(), plan.lanes()).unwrap());
        }
        let weights: f64 = units.iter().map(|u| u.1).sum();
        let truth = units.iter().map(|u| f64::from(u.0) * u.1).sum::<f64>() / weights;
        prop_assert!((f64::from(plan.decode_weighted(&packed).unwrap()[0]) - truth).abs() < 1e-5);
    }
}
