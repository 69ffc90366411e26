//! The rotation on the way from updates to sums and back.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use proptest::prelude::*;
use sottovoce_encode::{Clipped, EncodePlan, EncodeSpec, Extra, FLATNESS, Headroom, SiteSum, SiteSumError, exact};
use sottovoce_types::{ClipNorm, Digest, Lanes, RingVec, Rotation, Update};

fn spec(dim: usize, clip_bits: u32) -> EncodeSpec {
    EncodeSpec {
        dim,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits,
        lanes: Lanes::new(1).unwrap(),
        max_units: 8,
        extra: Extra::None,
        rotation: Rotation::Hadamard,
        noise_tail: 0,
    }
}

fn plan(spec: EncodeSpec) -> EncodePlan {
    EncodePlan::new(spec).unwrap().with_seed(Digest([3; 32])).in_round(1)
}

fn site(plan: &EncodePlan, values: &[f32]) -> SiteSum {
    let update = Update { values: values.to_vec(), examples: 1 };
    let mut sum = SiteSum::empty(plan);
    sum.add(Clipped::new(&update, plan.spec().clip).unwrap().quantise(plan).unwrap()).unwrap();
    sum
}

fn one_unit(plan: &EncodePlan, values: &[f32]) -> Vec<i64> {
    site(plan, values).into_coords()
}

fn pack(plan: &EncodePlan, coords: &[i64]) -> RingVec {
    RingVec::pack(coords, plan.lanes()).unwrap()
}

fn squared_norm(coords: &[i64]) -> u128 {
    coords.iter().map(|x| u128::from(x.unsigned_abs()).pow(2)).sum()
}

fn largest(coords: &[i64]) -> u64 {
    coords.iter().map(|x| x.unsigned_abs()).max().unwrap()
}

/// L2 distance of a decoded sum from what it should be, in units of C = 1.
fn error(plan: &EncodePlan, coords: &[i64], truth: &[f64]) -> f64 {
    let decoded = plan.decode_sum(&pack(plan, coords));
    decoded.iter().zip(truth).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Of norm 1: a twentieth of the squared norm spread over all coordinates, the rest on one.
fn heavy(dim: u32) -> Vec<f32> {
    let spread = (0.05 / f64::from(dim)).sqrt();
    let mut values: Vec<f32> = (0..dim)
        .map(|i| exact::to_f32(spread * (1.0 + 0.5 * f64::from(i).sin()) * f64::from(i % 2 * 2) - spread))
        .collect();
    values[17] = 0.9;
    values
}

#[test]
fn whatever_has_heavy_coordinates_is_spread_and_nothing_is_clamped() {
    let dim = 20_000u32;
    let size = usize::try_from(dim).unwrap();
    let plan = plan(spec(size, 30));
    assert_eq!(plan.block(), 1 << 14);
    let one_hot = |i: usize| (0..size).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
    let tail: Vec<f32> = (1..=dim).map(|i| 1.0 / exact::to_f32(f64::from(i))).collect();
    // Rows of the Hadamard matrix: without random signs each of them would end up on a single coordinate of a block.
    let row = |n: usize| {
        (0..size).map(|i| if (i & n).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }).collect::<Vec<f32>>()
    };
    for round in 1..=20 {
        let plan = plan.in_round(round);
        for (name, values) in [
            ("one hot", &one_hot(1234)),
            ("at the end", &one_hot(size - 1)),
            ("1/i", &tail),
            ("constant", &row(0)),
            ("row", &row(0x1a5)),
        ] {
            let coords = one_unit(&plan, values);
            assert!(largest(&coords) < plan.coordinate_bound(), "{name} in round {round}");
            // Not merely below it: C is where it was.
            assert!(squared_norm(&coords) > 999 * u128::from(plan.clip_steps()).pow(2) / 1000, "{name}");
        }
    }
}

#[test]
fn an_update_made_for_the_signs_of_a_round_is_clamped_in_it_and_in_no_other() {
    let plan = plan(spec(4096, 20));
    let mut unit = vec![0; 4096];
    unit[77] = 1 << 20;
    // What the rotation takes to a single coordinate, as one who knows the public signs can work out.
    let aimed: Vec<f32> = plan.decode_sum(&pack(&plan, &unit)).into_iter().map(exact::to_f32).collect();
    let clamped = one_unit(&plan, &aimed);
    let bound = plan.coordinate_bound();
    assert_eq!(bound, FLATNESS << 14, "κ·2^20/√4096");
    assert_eq!(u128::from(clamped[77].unsigned_abs()), u128::from(bound));
    // It costs its sender its weight, and moves the sum by less than C.
    assert!(squared_norm(&clamped) < u128::from(plan.clip_steps()).pow(2) / 100);
    let later = one_unit(&plan.in_round(2), &aimed);
    assert!(largest(&later) < bound && squared_norm(&later) > u128::from(plan.clip_steps()).pow(2) * 99 / 100);
}

#[test]
fn what_was_rotated_in_one_round_or_run_is_not_added_in_another() {
    let ours = plan(spec(16, 20));
    for other in [
        ours.in_round(2),
        ours.with_seed(Digest([4; 32])),
        plan(EncodeSpec { rotation: Rotation::None, ..spec(16, 20) }),
    ] {
        let update = Update { values: vec![0.1; 16], examples: 1 };
        let unit = Clipped::new(&update, ours.spec().clip).unwrap().quantise(&ours).unwrap();
        assert_eq!(SiteSum::empty(&other).add(unit), Err(SiteSumError::OtherPlan));
    }
    // Without a rotation rounds do not differ.
    let still = EncodePlan::new(EncodeSpec { rotation: Rotation::None, ..spec(16, 20) }).unwrap();
    assert_eq!(still.with_seed(Digest([1; 32])).in_round(9), still);
    assert_eq!((still.block(), still.coordinate_bound()), (1, 1 << 20));
}

/// The most lanes, and with two lanes the most clip_bits, for some units and noise of 20·C.
fn room(dim: usize, max_units: u64, clip_bits: u32, rotation: Rotation) -> (Option<u8>, Option<u32>) {
    let fits = |lanes: u8, clip_bits: u32| {
        let (lanes, noise_tail) = (Lanes::new(lanes).unwrap(), 20 << clip_bits);
        EncodePlan::new(EncodeSpec { lanes, max_units, rotation, noise_tail, ..spec(dim, clip_bits) }).is_ok()
    };
    ((1..=6).rev().find(|&l| fits(l, clip_bits)), (1..=40).rev().find(|&b| fits(2, b)))
}

#[test]
fn many_units_get_more_lanes_or_a_finer_grid_from_a_rotation_and_few_get_nothing() {
    let (none, hadamard) = (Rotation::None, Rotation::Hadamard);
    // The utterances of a corpus, as DP-FedSGD counts them.
    assert_eq!(room(100_000, 7442, 12, none), (Some(2), Some(18)));
    assert_eq!(room(100_000, 7442, 12, hadamard), (Some(3), Some(23)));
    // Speakers: noise takes the room, and there is nothing to gain.
    assert_eq!(room(100_000, 16, 12, none), (Some(3), Some(25)));
    assert_eq!(room(100_000, 16, 12, hadamard), (Some(3), Some(26)));
    // A refusal without it says that it would do.
    let narrow =
        EncodeSpec { lanes: Lanes::new(3).unwrap(), max_units: 7442, noise_tail: 20 << 12, ..spec(100_000, 12) };
    let refused = EncodePlan::new(EncodeSpec { rotation: none, ..narrow }).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a coordinate of the sum can need 26 bits, but 3 lanes leave 21: use 5 fewer clip_bits, or at most 2 lanes, \
         or rotation = \"hadamard\""
    );
    assert!(EncodePlan::new(narrow).is_ok());
    let refused = EncodePlan::new(EncodeSpec { clip_bits: 16, noise_tail: 20 << 16, ..narrow }).unwrap_err();
    assert!(matches!(refused, Headroom::TooNarrow { needed_bits: 25, rotation_fits: false, .. }), "{refused}");
}

#[test]
fn weight_and_count_are_not_rotated_and_keep_the_room_that_they_need() {
    let lanes = Lanes::new(3).unwrap();
    let narrow = EncodeSpec { lanes, max_units: 1000, ..spec(100_000, 12) };
    assert!(EncodePlan::new(narrow).is_ok());
    assert!(matches!(EncodePlan::new(EncodeSpec { extra: Extra::Weight, ..narrow }), Err(Headroom::TooNarrow { .. })));
    let counting = |steps| EncodePlan::new(EncodeSpec { extra: Extra::Unclipped { steps }, ..narrow });
    assert!(counting(1000).is_ok());
    assert!(matches!(counting(2000), Err(Headroom::TooNarrow { .. })));
    let plan = plan(EncodeSpec { extra: Extra::Unclipped { steps: 1000 }, ..spec(4096, 20) });
    assert_eq!(one_unit(&plan, &heavy(4096))[4096], 1000);
}

#[test]
fn a_grid_between_whose_steps_a_spread_update_would_vanish_is_refused() {
    // C/√d = 2^10/2^8 = 4 steps, and 2^9/2^8.
    assert!(EncodePlan::new(spec(1 << 16, 10)).is_ok());
    let refused = EncodePlan::new(spec(1 << 16, 9)).unwrap_err();
    assert!(matches!(refused, Headroom::TooCoarse { needed: 10, .. }));
    assert!(refused.to_string().contains("use at least 10 clip_bits"), "{refused}");
    assert!(matches!(EncodePlan::new(spec((1 << 16) + 1, 10)), Err(Headroom::TooCoarse { needed: 11, .. })));
    assert!(EncodePlan::new(EncodeSpec { rotation: Rotation::None, ..spec(1 << 16, 9) }).is_ok());
}

#[test]
fn in_equal_lanes_the_error_of_an_update_with_a_heavy_coordinate_is_smaller() {
    let values = heavy(100_000);
    let truth: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
    let error_of = |rotation| {
        let (_, clip_bits) = room(100_000, 7442, 12, rotation);
        let plan = plan(EncodeSpec { rotation, ..spec(100_000, clip_bits.unwrap()) });
        error(&plan, &one_unit(&plan, &values), &truth)
    };
    let (without, with) = (error_of(Rotation::None), error_of(Rotation::Hadamard));
    assert!(with < without / 20.0 && with > 0.0, "{with} {without}");
}

#[test]
fn a_sum_at_the_largest_magnitude_of_its_lane_is_decoded_exactly() {
    for lanes in [1, 2] {
        let plan = plan(EncodeSpec { lanes: Lanes::new(lanes).unwrap(), ..spec(100_000, 12) });
        let most = i64::try_from(plan.lanes().max_magnitude()).unwrap();
        let decoded = plan.decode_sum(&pack(&plan, &vec![most; 100_000]));
        // The norm is kept: no sum left its integers.
        let norm = decoded.iter().map(|v| v * v).sum::<f64>().sqrt();
        let expected = exact::to_f64(most) * plan.step() * 100_000f64.sqrt();
        assert!((norm / expected - 1.0).abs() < 1e-12, "{norm} {expected}");
    }
}

fn finite_f32() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite()),
        Just(f32::MAX),
        Just(-f32::MAX),
        Just(1e-45f32),
        Just(0.0f32),
        -1.0f32..1.0,
    ]
}

proptest! {
    #[test]
    fn claim_rotated_and_clamped_one_unit_moves_the_integer_sum_by_at_most_the_clipping_norm(
        values in prop::collection::vec(finite_f32(), 1..300), clip in 1e-6f64..1e6, clip_bits in 7u32..=40,
        round: u64, steps in 1u64..1 << 40,
    ) {
        let clip = ClipNorm::new(clip).unwrap();
        let alone = plan(EncodeSpec { clip, ..spec(values.len(), clip_bits) }).in_round(round);
        let unit = one_unit(&alone, &values);
        prop_assert!(squared_norm(&unit) <= u128::from(alone.clip_steps()).pow(2));
        prop_assert!(largest(&unit) <= alone.coordinate_bound());
        // With a count beside it: the joint sensitivity, the count as it is.
        let extra = Extra::Unclipped { steps };
        let counting = plan(EncodeSpec { clip, extra, ..spec(values.len(), clip_bits) }).in_round(round);
        let with_count = one_unit(&counting, &values);
        prop_assert!(squared_norm(&with_count) <= counting.squared_sensitivity());
        prop_assert_eq!(&with_count[..values.len()], &unit[..]);
        prop_assert_eq!(with_count[values.len()].unsigned_abs(), steps);
    }

    #[test]
    fn a_rotated_vector_just_at_the_bound_never_fails_the_integer_check(
        direction in prop::collection::vec(-1.0f32..1.0, 1..2000), clip_bits in 20u32..=40, round: u64,
    ) {
        let plan = plan(spec(direction.len(), clip_bits)).in_round(round);
        // `one_unit` unwraps it.
        let coords = one_unit(&plan, &direction.iter().map(|v| v * 1e6).collect::<Vec<_>>());
        prop_assert!(squared_norm(&coords) <= u128::from(plan.clip_steps()).pow(2));
    }

    #[test]
    fn the_decoded_sum_is_within_one_step_a_coordinate_and_unit_of_the_float_sum_in_l2(
        units in prop::collection::vec(prop::collection::vec(-0.05f32..0.05, 333), 1..8), clip_bits in 10u32..=40,
    ) {
        let plan = plan(EncodeSpec { max_units: 8, ..spec(333, clip_bits) });
        let mut sum = vec![0; 333];
        for unit in &units {
            one_unit(&plan, unit).iter().zip(&mut sum).for_each(|(x, s)| *s += x);
        }
        // Norms stay below 0.92, so nothing is clipped and the float sum is the truth.
        let truth: Vec<f64> = (0..333).map(|i| units.iter().map(|u| f64::from(u[i])).sum()).collect();
        let n = exact::to_f64(i64::try_from(units.len()).unwrap());
        let error = error(&plan, &sum, &truth);
        prop_assert!(error <= n * 333f64.sqrt() * plan.step() + 1e-12, "{}", error);
        // Decoded under the signs of another round it is another vector.
        let wrong = self::error(&plan.in_round(2), &sum, &truth);
        prop_assert!(wrong > 0.1, "{}", wrong);
    }

    #[test]
    fn the_weighted_mean_of_rotated_updates_is_the_float_weighted_mean(
        units in prop::collection::vec((prop::collection::vec(-0.1f32..0.1, 70), 0.05f64..=1.0), 1..8),
    ) {
        let plan = plan(EncodeSpec { extra: Extra::Weight, ..spec(70, 30) });
        let mut packed = RingVec::zeros(plan.words(), plan.lanes());
        for (values, weight) in &units {
            let update = Update { values: values.clone(), examples: 1 };
            let mut sum = SiteSum::empty(&plan);
            sum.add(Clipped::new(&update, plan.spec().clip).unwrap().quantise_weighted(&plan, *weight).unwrap()).unwrap();
            packed.add(&pack(&plan, &sum.into_coords()));
        }
        let weights: f64 = units.iter().map(|u| u.1).sum();
        let mean = plan.decode_weighted(&packed).unwrap();
        for (i, got) in mean.into_iter().enumerate() {
            let truth = units.iter().map(|u| f64::from(u.0[i]) * u.1).sum::<f64>() / weights;
            prop_assert!((f64::from(got) - truth).abs() < 1e-6);
        }
    }
}
