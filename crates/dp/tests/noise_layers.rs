//! Noise in layers: how much is left after each number of dropouts, and that what is taken off is what was added.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]
use num_bigint::BigUint;
use proptest::prelude::*;
use sottovoce_dp::{
    LayerError, LayerPlan, NOISE_CHUNK_WORDS, NoiseError, NoiseShare, NoiseSource, OsNoise, SeededNoise, ShareError,
};
use sottovoce_encode::{EncodePlan, EncodeSpec, Extra, SiteSum};
use sottovoce_types::{ClipNorm, Lanes, LayerRule, LayerSet, NoiseMultiplier, RingVec, Rotation};

fn z(value: f64) -> NoiseMultiplier {
    NoiseMultiplier::new(value).unwrap()
}

/// A sum of nothing, of `dim` coordinates.
fn encode(dim: usize, clip_bits: u32, lanes: u8) -> EncodePlan {
    EncodePlan::new(EncodeSpec {
        dim,
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits,
        lanes: Lanes::new(lanes).unwrap(),
        max_units: 4,
        extra: Extra::None,
        rotation: Rotation::None,
        noise_tail: 1 << 17,
    })
    .unwrap()
}

fn seed(client: u32, layer: u32) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[0] = client as u8;
    seed[1] = layer as u8;
    seed
}

proptest! {
    #[test]
    fn claim_after_any_number_of_dropouts_the_honest_noise_reaches_the_target_in_exact_integers(
        multiplier in 0.05f64..50.0, clip_bits in 18u32..=30, q in 2u32..60, f in 0u32..59, more in 0u32..60, j in 0u32..60,
    ) {
        prop_assume!(f < q && j <= more);
        let rule = LayerRule::new(q + more, q, f).unwrap();
        let Ok(plan) = LayerPlan::new(z(multiplier), 1 << (2 * clip_bits), rule) else { return Ok(()) };
        let off = rule.surplus(j).unwrap();
        let left = plan.honest_variance(j, off).unwrap();
        prop_assert!(plan.reaches_target(&left), "{left} after {j} dropouts");
        // The wrong plan: one unit more is taken off than may be.
        let all = (1u32 << rule.layers()) - 1;
        if off.bits() < all {
            let more_off = LayerSet::of_bits(off.bits() + 1);
            prop_assert!(!plan.reaches_target(&plan.honest_variance(j, more_off).unwrap()));
        }
        // What the survivors of one dropout more would need is more than is left of a client for j of them.
        if j < more && rule.surplus(j + 1).unwrap() != off {
            prop_assert!(!plan.reaches_target(&(plan.kept(off) * (rule.honest() - j - 1))), "dropouts understated by one");
        }
        prop_assert_eq!(plan.honest_variance(more + 1, LayerSet::EMPTY), None);
        // Excess: below one unit u a client, whose square root is the first layer's sigma, rounded up.
        if let Some(u) = plan.layers().first() {
            let unit = BigUint::from(u.raw()) * u.raw();
            prop_assert!(!plan.reaches_target(&((plan.kept(off) - unit) * (rule.honest() - j))));
        }
    }

    /// What is checked once for all members holds for every smaller roster and every set of dealers on it.
    #[test]
    fn claim_noise_that_is_checked_for_all_members_can_be_made_in_every_attempt(
        multiplier in 0.5f64..2.0, clip_bits in 5u32..14, members in 4u32..60, f in 0u32..20,
    ) {
        let q = |n: u32| u32::midpoint(n, f) + 1;
        prop_assume!(f + 2 <= q(members) && q(members) <= members);
        let checked = LayerPlan::check(z(multiplier), 1 << (2 * clip_bits), (members, q(members), f));
        let mut all = true;
        for n in 2..=members {
            for dealers in q(n)..=n {
                let Some(rule) = LayerRule::new(dealers, q(n), f) else { continue };
                all &= LayerPlan::new(z(multiplier), 1 << (2 * clip_bits), rule).is_ok();
            }
        }
        prop_assert_eq!(checked.is_ok(), all);
    }

    #[test]
    fn the_tail_covers_all_the_noise_of_every_set_of_dealers(
        multiplier in 0.5f64..5.0, n in 4u32..40, f in 0u32..13,
    ) {
        let q = u32::midpoint(n, f) + 1;
        prop_assume!(f + 2 <= q && q <= n);
        let most = LayerRule::new(n, q, f).unwrap().layers();
        let tail = LayerPlan::tail_of_sum(z(multiplier), 1 << 48, q - f, (most, n, 13)).unwrap();
        for dealers in q..=n {
            let plan = LayerPlan::new(z(multiplier), 1 << 48, LayerRule::new(dealers, q, f).unwrap()).unwrap();
            // tail ≥ 13·√(n·variance) in grid steps.
            let steps = BigUint::from(tail) << 16u32;
            prop_assert!(&steps * &steps >= plan.kept(LayerSet::EMPTY) * n * 169u32);
        }
        let without = NoiseShare::joint(z(multiplier), 1 << 48, q - f).unwrap().tail_of_sum(n, 13);
        prop_assert!(tail >= without && tail - without <= u64::from(n * (most + 1)) + 14 * u64::from(n));
    }
}

#[test]
fn a_layer_below_four_grid_steps_is_refused_with_the_mend() {
    // n = 100, f = 10, q = 56: with 57 dealers one layer of variance 1/(46·47), 0.0215 of sigma*.
    let rule = LayerRule::new(57, 56, 10).unwrap();
    let Err(LayerError::TooFine { layers: 1, dealers: 57, more_clip_bits, .. }) = LayerPlan::new(z(1.0), 1 << 14, rule)
    else {
        panic!("a sigma of 2.75 grid steps passed")
    };
    assert_eq!(more_clip_bits, 1);
    assert!(LayerPlan::new(z(1.0), 1 << 16, rule).is_ok(), "the mend mends it");
    let told = LayerPlan::new(z(1.0), 1 << 14, rule).unwrap_err().to_string();
    assert!(told.contains("raise clip_bits by 1") && told.contains("aggregation.noise_removal = \"none\""), "{told}");
    assert!(matches!(LayerPlan::new(z(1.0), 1 << 6, rule), Err(LayerError::Base(ShareError::TooSmall { .. }))));
}

/// What is left of the noise of `survivors` of `dealers` clients in a packed sum, and in plain integers.
fn left_after(
    rule: LayerRule,
    plan: &LayerPlan,
    encode: &EncodePlan,
    survivors: u32,
    off: LayerSet,
    fresh: u8,
) -> RingVec {
    let mut sum = RingVec::zeros(encode.words(), encode.lanes());
    for client in 0..survivors {
        let mut source = SeededNoise::new([fresh ^ client as u8 ^ 0x50; 32]);
        let seeds: Vec<[u8; 32]> = (0..rule.layers())
            .map(|k| {
                let mut s = seed(client, k);
                s[2] = fresh;
                s
            })
            .collect();
        let refs: Vec<&[u8; 32]> = seeds.iter().collect();
        let noised = source.add_layered(SiteSum::empty(encode), plan, &refs).unwrap();
        sum.add(&noised.wrap(encode).unwrap().into_ring());
        let words = sum.words_mut();
        for layer in off.iter() {
            for (chunk, words) in words.chunks_mut(NOISE_CHUNK_WORDS).enumerate() {
                plan.take_off(layer, &seeds[layer as usize], (chunk, words), encode.lanes(), encode.coords());
            }
        }
    }
    sum
}

#[test]
fn claim_what_is_taken_off_is_to_the_bit_what_was_added() {
    for (lanes, dim) in
        [(1u8, NOISE_CHUNK_WORDS + 5), (2, 2 * NOISE_CHUNK_WORDS + 9), (3, 3 * NOISE_CHUNK_WORDS - 1), (2, 7)]
    {
        let encode = encode(dim, 14, lanes);
        let rule = LayerRule::new(10, 7, 3).unwrap();
        let plan = LayerPlan::new(z(1.0), encode.squared_sensitivity(), rule).unwrap();
        // Base alone, from the same source: what must be left when every layer is taken off.
        let mut base = RingVec::zeros(encode.words(), encode.lanes());
        for client in 0..3u8 {
            let bare = NoiseShare::joint(z(1.0), encode.squared_sensitivity(), rule.honest()).unwrap();
            let noised = SeededNoise::new([client ^ 0x50; 32]).add(SiteSum::empty(&encode), &bare).unwrap();
            base.add(&noised.wrap(&encode).unwrap().into_ring());
        }
        assert_eq!(left_after(rule, &plan, &encode, 3, LayerSet::of_bits(3), 0), base, "{lanes} lanes, {dim}");
        // Controls: a layer fewer, and the layers of another seed, leave something else.
        assert_ne!(left_after(rule, &plan, &encode, 3, LayerSet::of_bits(1), 0), base);
        let mut other = left_after(rule, &plan, &encode, 3, LayerSet::of_bits(1), 0);
        plan.take_off(1, &[9; 32], (0, other.words_mut()), encode.lanes(), encode.coords());
        assert_ne!(other, base);
    }
}

/// One chunk by itself, without those before it.
#[test]
fn the_noise_of_a_chunk_does_not_depend_on_the_others() {
    let encode = encode(2 * NOISE_CHUNK_WORDS * 2 + 11, 14, 2);
    let plan = LayerPlan::new(z(1.0), encode.squared_sensitivity(), LayerRule::new(10, 7, 3).unwrap()).unwrap();
    let mut whole = RingVec::zeros(encode.words(), encode.lanes());
    for (chunk, words) in whole.words_mut().chunks_mut(NOISE_CHUNK_WORDS).enumerate() {
        plan.take_off(1, &seed(0, 1), (chunk, words), encode.lanes(), encode.coords());
    }
    let last = &whole.words()[2 * NOISE_CHUNK_WORDS..];
    let mut alone = vec![0u64; last.len()];
    plan.take_off(1, &seed(0, 1), (2, &mut alone), encode.lanes(), encode.coords());
    assert_eq!(alone, last);
    let mut as_first = vec![0u64; last.len()];
    plan.take_off(1, &seed(0, 1), (0, &mut as_first), encode.lanes(), encode.coords());
    assert_ne!(as_first, last, "each chunk has a stream of its own");
    let mut none = vec![0u64; last.len()];
    plan.take_off(2, &seed(0, 1), (2, &mut none), encode.lanes(), encode.coords());
    assert_eq!(none, vec![0; last.len()], "a layer that the plan does not have");
}

/// Design, case 60: the variance of what is left of the honest survivors' noise, for each number of dropouts, against the exact one.
#[test]
fn claim_the_noise_that_is_left_has_the_variance_of_the_plan_for_each_number_of_dropouts() {
    let encode = encode(120_000, 14, 2);
    let (rule, multiplier) = (LayerRule::new(10, 7, 3).unwrap(), 1.0);
    let plan = LayerPlan::new(z(multiplier), encode.squared_sensitivity(), rule).unwrap();
    let target = (multiplier * 16384.0).powi(2);
    let variance = |survivors: u32, off: LayerSet, fresh: u8| {
        let coords = left_after(rule, &plan, &encode, survivors, off, fresh).unpack(encode.coords());
        coords.iter().map(|v| (*v as f64).powi(2)).sum::<f64>() / coords.len() as f64
    };
    // Relative standard error √(2/d) = 0.41 %; five of them.
    let five = 5.0 * (2.0 / encode.coords() as f64).sqrt();
    for j in 0..=rule.tolerated() {
        let off = rule.surplus(j).unwrap();
        let honest = rule.honest() - j;
        let raw: f64 = plan.honest_variance(j, off).unwrap().to_string().parse().unwrap();
        let expected = raw / 65536f64.powi(2) + f64::from(honest) * (1.0 + off.len() as f64) / 12.0;
        let found = variance(honest, off, j as u8 + 1);
        println!("{j} dropouts: {:.4} of the target, {:.4} by the plan", found / target, expected / target);
        assert!((found / expected - 1.0).abs() < five, "{j} dropouts: {found}, {expected} by the plan");
        assert!(found > target * (1.0 - five));
        // The wrong input: layers for one dropout fewer are taken off.
        if j > 0 {
            let stripped = variance(honest, rule.surplus(j - 1).unwrap(), j as u8 + 1);
            assert!(stripped < target * (1.0 - five), "{j} dropouts understated: {stripped}");
        }
    }
}

/// Section 2 of `layers.md`, by the exact law of two rounded Gaussians of different sizes against that of the rounded sum.
#[test]
fn claim_the_law_of_unequal_shares_is_within_the_bound_of_the_least() {
    let cdf = |x: f64| 0.5 * libm_erfc(-x / std::f64::consts::SQRT_2);
    let rounded = |s: f64, k: i64| cdf((k as f64 + 0.5) / s) - cdf((k as f64 - 0.5) / s);
    for (a, b) in [(0.5, 0.9), (0.6, 1.2), (0.7, 0.7)] {
        let s = f64::hypot(a, b);
        // M(r): N(0, s²) with the triangular rounding of two uniforms, by quadrature.
        let steps = 4000;
        let m = |r: i64| {
            (0..steps)
                .map(|i| {
                    let v = -1.0 + 2.0 * (f64::from(i) + 0.5) / f64::from(steps);
                    let x = (r as f64 + v) / s;
                    (1.0 - v.abs()) * (-0.5 * x * x).exp() / (s * (2.0 * std::f64::consts::PI).sqrt()) * 2.0
                        / f64::from(steps)
                })
                .sum::<f64>()
        };
        let p = |r: i64| (-40..=40).map(|k| rounded(a, k) * rounded(b, r - k)).sum::<f64>();
        let worst = (-3i64..=3).map(|r| (p(r) / m(r) - 1.0).abs()).fold(0.0, f64::max);
        // η(s, 2) = 2·Σ_{m ≥ 1} q^(m²/2), q = e^(−2π²s²).
        let eta = |s: f64| {
            (1..6).map(|m| 2.0 * (-std::f64::consts::PI.powi(2) * s * s * f64::from(m * m)).exp()).sum::<f64>()
        };
        let least = f64::min(a, b);
        assert!(worst <= eta(least) + 1e-6, "{a}, {b}: {worst} is above {}", eta(least));
        if a < b {
            assert!(worst > eta(f64::max(a, b)), "the bound of the largest share does not hold, and is caught");
        }
    }
}

/// erfc by its continued fraction and series: to 1e-12 where it is used here.
fn libm_erfc(x: f64) -> f64 {
    use statrs::function::erf::erfc;
    erfc(x)
}

#[test]
fn seeds_that_are_not_one_a_layer_and_noise_of_another_plan_are_refused() {
    let encode = encode(5, 14, 2);
    let plan = LayerPlan::new(z(1.0), encode.squared_sensitivity(), LayerRule::new(10, 7, 3).unwrap()).unwrap();
    let one = [0; 32];
    let refused = OsNoise.add_layered(SiteSum::empty(&encode), &plan, &[&one]).map(|_| ()).unwrap_err();
    assert_eq!(refused, NoiseError::Seeds { have: 1, need: 2 });
    let other = LayerPlan::new(z(1.0), encode.squared_sensitivity() * 4, plan.rule()).unwrap();
    let refused = OsNoise.add_layered(SiteSum::empty(&encode), &other, &[&one, &one]).map(|_| ()).unwrap_err();
    assert!(matches!(refused, NoiseError::OtherGrid { .. }));
}
