//! The third break of Flower's SecAgg+: sums that overflow in silence. Its defaults (flwr 1.42.0: values clipped to ±8, a range of
//! 2^22 in a ring of 2^32) have room for 1024 clients of full weight, the check looks at another number and only warns, and 1500
//! clients that each hold 7.9 average to −3.02. Here a plan that could overflow is no plan.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use sottovoce_encode::{EncodePlan, EncodeSpec, Extra, Headroom};
use sottovoce_types::{ClipNorm, Lanes, Rotation};

/// Flower's quantisation and averaging: ⌊(v + 8)/16 · 2^22⌉ a client, summed mod 2^32, and back.
fn flower_mean(value: f64, clients: u64) -> f64 {
    let (clip, range) = (8.0, f64::from(1u32 << 22));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^22")]
    let quantised = ((value + clip) / (2.0 * clip) * range).round() as u64;
    #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
    let (sum, n) = ((clients * quantised % (1 << 32)) as f64, clients as f64);
    (sum / range * (2.0 * clip) - clip * n) / n
}

#[test]
fn control_flowers_rule_averages_1500_clients_of_7_9_to_minus_3_02() {
    assert!((flower_mean(7.9, 1000) - 7.9).abs() < 1e-5, "below its 1024 clients it is right");
    assert!((flower_mean(7.9, 1500) + 3.02).abs() < 0.005, "{}", flower_mean(7.9, 1500));
}

/// The same numbers: a range of 2^22 steps in a lane of 32 bits.
fn plan(max_units: u64, noise_tail: u64) -> Result<EncodePlan, Headroom> {
    EncodePlan::new(EncodeSpec {
        dim: 4,
        clip: ClipNorm::new(8.0).unwrap(),
        clip_bits: 21, // ±2^21 steps
        lanes: Lanes::new(2).unwrap(),
        max_units,
        extra: Extra::None,
        rotation: Rotation::None,
        noise_tail,
    })
}

#[test]
fn a_plan_for_more_clients_than_the_ring_has_room_for_is_refused_and_says_what_to_change() {
    // 1023 · 2^21 steps and a sign fit 32 bits; 1024 · 2^21 = 2^31 do not.
    assert!(plan(1023, 0).is_ok());
    for (units, noise_tail) in [(1024, 0), (1500, 0), (1023, 1 << 21)] {
        let refused = plan(units, noise_tail).unwrap_err();
        assert!(matches!(refused, Headroom::TooNarrow { available_bits: 32, .. }), "{units}: {refused}");
        assert!(refused.to_string().contains("fewer clip_bits"), "{refused}");
    }
}

/// And what a plan has room for is summed exactly, at both extremes.
#[test]
fn as_many_clients_as_a_plan_has_room_for_are_summed_exactly_at_both_extremes() {
    let plan = plan(1023, 0).unwrap();
    let steps = i64::try_from(plan.clip_steps()).unwrap();
    let one = sottovoce_types::RingVec::pack(&[steps, -steps, 0, steps], plan.lanes()).unwrap();
    let mut sum = sottovoce_types::RingVec::zeros(plan.words(), plan.lanes());
    for _ in 0..1023 {
        sum.add(&one);
    }
    assert_eq!(sum.unpack(4), [1023 * steps, -1023 * steps, 0, 1023 * steps]);
    // The control: one client more than the plan has room for changes the sign of the sum.
    sum.add(&one);
    assert_eq!(sum.unpack(4)[0], -1024 * steps);
}
