//! The noise that ends up in a sum: enough with the honest survivors alone, and with no data at all.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod support;

use sottovoce_dp::{
    NoiseError, NoiseShare, NoiseSource as _, NonPrivateAcknowledged, OsNoise, Private, SeededNoise, WrapError,
};
use sottovoce_encode::{Clipped, EncodePlan, EncodeSpec, Extra, SiteSum};
use sottovoce_types::{ClipNorm, Lanes, NoiseMultiplier, RingVec, Rotation, Update};
use support::moment_scores;

const DIM: usize = 50_000;
const CLIP_BITS: u32 = 16;
const CLIENTS: u32 = 5;
const HONEST: u32 = 3;

fn share(z: f64) -> NoiseShare {
    NoiseShare::new(NoiseMultiplier::new(z).unwrap(), 1 << CLIP_BITS, HONEST).unwrap()
}

fn plan(clip_bits: u32, noise_tail: u64) -> EncodePlan {
    let (clip, lanes) = (ClipNorm::new(1.0).unwrap(), Lanes::new(2).unwrap());
    EncodePlan::new(EncodeSpec {
        dim: DIM,
        clip,
        clip_bits,
        lanes,
        max_units: 100,
        extra: Extra::None,
        rotation: Rotation::None,
        noise_tail,
    })
    .unwrap()
}

fn sum_of_shares(plan: &EncodePlan, share: &NoiseShare, clients: u8) -> Vec<i64> {
    let mut sum = RingVec::zeros(plan.words(), plan.lanes());
    for client in 0..clients {
        let noised = SeededNoise::new([client + 1; 32]).add(SiteSum::empty(plan), share).unwrap();
        sum.add(&noised.wrap(plan).unwrap().into_ring());
    }
    plan.decode_coords(&sum)
}

#[test]
fn claim_the_honest_survivors_shares_alone_carry_the_target_noise() {
    let share = share(1.5);
    let plan = plan(CLIP_BITS, share.tail_of_sum(CLIENTS, 13));
    let target = 1.5 * f64::from(1u32 << CLIP_BITS);
    // Score of the variance against the target; 5.2 standard errors are a false alarm rate of 2e-7.
    let variance = |samples: &[i64]| moment_scores(samples, target)[1];
    assert!(variance(&sum_of_shares(&plan, &share, 2)) < -5.2, "one honest share missing is caught");
    let half = NoiseShare::new(NoiseMultiplier::new(0.75).unwrap(), 1 << CLIP_BITS, HONEST).unwrap();
    assert!(variance(&sum_of_shares(&plan, &half, 3)) < -5.2, "half the noise is caught");
    let scores = moment_scores(&sum_of_shares(&plan, &share, 3), target);
    assert!(scores.iter().all(|s| s.abs() < 5.2), "{scores:?}");
    assert!(variance(&sum_of_shares(&plan, &share, 5)) > 5.2, "everybody's shares are more than the target");
}

#[test]
fn claim_an_empty_site_still_adds_its_noise() {
    let share = share(1.0);
    let plan = plan(CLIP_BITS, share.tail_of_sum(CLIENTS, 13));
    let noised = OsNoise.add(SiteSum::empty(&plan), &share).unwrap();
    let coords = noised.wrap(&plan).unwrap().into_ring().unpack(DIM);
    // σ is 37 837 steps: a coordinate is 0 with probability 1e-5, so 50 of 50 000 are, at 6e-35.
    assert!(coords.iter().filter(|x| **x == 0).count() < 50);
    assert!(coords.iter().all(|x| x.unsigned_abs() <= share.tail(13)));
}

#[test]
fn claim_fresh_noise_is_drawn_for_every_call() {
    let share = share(1.0);
    let plan = plan(CLIP_BITS, share.tail_of_sum(CLIENTS, 13));
    let mut seeded = SeededNoise::new([9; 32]);
    let mut once = || seeded.add(SiteSum::empty(&plan), &share).unwrap().wrap(&plan).unwrap().into_ring();
    assert_ne!(once(), once());
    let os = || OsNoise.add(SiteSum::empty(&plan), &share).unwrap().wrap(&plan).unwrap().into_ring();
    assert_ne!(os(), os());
}

#[test]
fn a_share_for_the_parameters_alone_is_refused_for_a_vector_with_a_count() {
    let share = share(1.0);
    let (spec, steps) = (*plan(CLIP_BITS, 0).spec(), 1 << 10);
    let counting = EncodePlan::new(EncodeSpec { extra: Extra::Unclipped { steps }, ..spec }).unwrap();
    assert!(matches!(OsNoise.add(SiteSum::empty(&counting), &share).err(), Some(NoiseError::OtherGrid { .. })));
    let joint = NoiseShare::joint(share.noise_multiplier(), counting.squared_sensitivity(), HONEST).unwrap();
    let noised = OsNoise.add(SiteSum::empty(&counting), &joint).unwrap().wrap(&counting).unwrap().into_ring();
    assert_ne!(
        counting.decode_coords(&noised)[DIM],
        0,
        "the count is noised as everything else (0 with probability 1e-5)"
    );
}

#[test]
fn a_share_made_for_another_clipping_norm_is_refused() {
    let share = share(1.0);
    let finer = plan(CLIP_BITS + 1, 0);
    let error = OsNoise.add(SiteSum::empty(&finer), &share).err().unwrap();
    assert_eq!(error, NoiseError::OtherGrid { share: 1 << 32, sum: 1 << 34 });
}

#[test]
fn a_vector_noised_for_another_plan_is_refused() {
    let share = share(1.0);
    let (made_for, other) = (plan(CLIP_BITS, 1), plan(CLIP_BITS, 2));
    let noised = OsNoise.add(SiteSum::empty(&made_for), &share).unwrap();
    assert_eq!(noised.wrap(&other).err(), Some(WrapError::OtherPlan));
    let acknowledged = NonPrivateAcknowledged::i_understand_that_this_run_is_not_private();
    assert!(Private::without_noise(SiteSum::empty(&made_for), &other, acknowledged).is_err());
}

#[test]
fn noise_is_added_to_the_data_and_averages_out() {
    let share = share(1.0);
    let plan = plan(CLIP_BITS, share.tail_of_sum(CLIENTS, 13));
    let mut values = vec![0.0; DIM];
    values[0] = 0.5;
    let mut site = SiteSum::empty(&plan);
    let clipped = Clipped::new(&Update { values, examples: 1 }, plan.spec().clip).unwrap();
    site.add(clipped.quantise(&plan).unwrap()).unwrap();
    let with = SeededNoise::new([3; 32]).add(site, &share).unwrap().wrap(&plan).unwrap().into_ring().unpack(DIM);
    let without = SeededNoise::new([3; 32])
        .add(SiteSum::empty(&plan), &share)
        .unwrap()
        .wrap(&plan)
        .unwrap()
        .into_ring()
        .unpack(DIM);
    assert_eq!(with[0] - without[0], 1 << (CLIP_BITS - 1));
    assert_eq!(with[1..], without[1..]);
}
