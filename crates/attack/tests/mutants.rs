//! Ways in which real systems broke their differential privacy, put in on purpose, and what catches each.
//!
//! `cargo test -p sottovoce-attack --test mutants -- --nocapture` prints the table. Every audit uses the same canaries against the same claim, with confidence
//! 0.999 for each bound: were the seeds drawn anew, the honest mechanism would be called broken once in a thousand times, and the other rows would stay what
//! they are. Detectors that are no audits say what they are.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "tests")]
#![allow(clippy::cast_precision_loss, reason = "counts and grid steps far below 2^53")]
use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use sottovoce_attack::bound::gdp_mu_lower;
use sottovoce_attack::canary::{CanaryClaim, CanaryDesign, Mutation, Pipeline, PipelineSpec, run_canaries};
use sottovoce_dp::noise::{DiscreteGaussian, IntegerNoise as _};
use sottovoce_dp::sampling::{SamplingProbability, poisson};
use sottovoce_dp::{RoundedGaussian, SeededNoise, Sigma, gdp};
use sottovoce_types::{CanaryAudit, ClipNorm, Delta, Epsilon, Lanes, NoiseMultiplier, Rotation, Verdict};

const CANARIES: usize = 20_000;
const DELTA: f64 = 1e-5;
/// ε = 8 at δ = 10⁻⁵ for one release.
const Z: f64 = 0.6003;
const CLIP_STEPS: i64 = 1 << 16;
const CONFIDENCE: f64 = 0.999;

struct Row {
    mutant: &'static str,
    detector: &'static str,
    claimed: String,
    found: String,
    caught: bool,
}

fn z() -> NoiseMultiplier {
    NoiseMultiplier::new(Z).unwrap()
}

fn claim(mu: f64) -> CanaryClaim {
    let delta = Delta::new(DELTA).unwrap();
    let epsilon = Epsilon::new(gdp::epsilon(mu, delta).upper).unwrap();
    CanaryClaim { epsilon, delta, confidence: CONFIDENCE, max_shortfall: 1.3 }
}

fn design(rounds: u32) -> CanaryDesign {
    CanaryDesign { canaries: CANARIES, rounds, seed: 77 }
}

/// Clip, quantise, share, wrap, sum over four clients, decode: the code of a run.
fn pipeline(mutation: Mutation) -> CanaryAudit {
    let spec = PipelineSpec {
        clip: ClipNorm::new(1.0).unwrap(),
        clip_bits: 16,
        lanes: Lanes::new(2).unwrap(),
        rotation: Rotation::None,
        noise_multiplier: z(),
        honest: 4,
        canaries: CANARIES,
    };
    let mut pipeline = Pipeline::new(spec, mutation, SeededNoise::new([5; 32])).unwrap();
    run_canaries(design(1), |included| pipeline.round(included)).unwrap().audit(claim(1.0 / Z))
}

/// A mechanism by hand: what a canary that is in adds to its coordinate in grid steps, then `noise` on each, then `after`.
fn by_hand(
    mu: f64,
    canary: i64,
    mut noise: impl FnMut(&mut [i64]),
    after: impl Fn(i64) -> f64,
    rounds: u32,
) -> CanaryAudit {
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, Infallible> {
        let mut drawn = vec![0; included.len()];
        noise(&mut drawn);
        let sums = included.iter().zip(drawn).map(|(inside, r)| if *inside { canary + r } else { r });
        Ok(sums.map(&after).collect())
    };
    run_canaries(design(rounds), mechanism).unwrap().audit(claim(mu))
}

fn law(z: f64) -> RoundedGaussian {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sigma of a test")]
    let raw = (z * CLIP_STEPS as f64 * 65_536.0).ceil() as u64;
    RoundedGaussian::new(Sigma::from_raw(raw).unwrap())
}

fn in_clips(steps: i64) -> f64 {
    steps as f64 / CLIP_STEPS as f64
}

fn of(mutant: &'static str, audit: &CanaryAudit) -> Row {
    Row {
        mutant,
        detector: "canaries",
        claimed: format!("{:.2}", audit.epsilon_claimed),
        found: format!("> {:.2}", audit.epsilon_lower),
        caught: audit.verdict == Verdict::Violation,
    }
}

/// Noise on the released mean, which is divided by the number of units that took part: a canary that pulls against ten others moves the mean twice, by
/// what it adds and by being counted.
fn wrong_denominator(data_dependent: bool) -> CanaryAudit {
    let others = 10i64;
    let mut rng = ChaCha20Rng::from_seed([8; 32]);
    let mechanism = |included: &[bool]| -> Result<Vec<f64>, Infallible> {
        let mut drawn = vec![0; included.len()];
        law(Z).fill(&mut rng, &mut drawn);
        let means = included.iter().zip(drawn).map(|(inside, r)| {
            let (sum, count) = if *inside { (others - 1, others + 1) } else { (others, others) };
            let count = if data_dependent { count } else { others };
            // In units of C, times the public number of units: noise of z, whatever the mean is divided by.
            let mean = sum as f64 * others as f64 / count as f64;
            others as f64 - mean - in_clips(r)
        });
        Ok(means.collect())
    };
    run_canaries(design(1), mechanism).unwrap().audit(claim(1.0 / Z))
}

/// The canary is in the first of two rounds. The auditor subtracts the second, which holds nothing but noise.
fn subtracted_rounds(reused: bool) -> CanaryAudit {
    let noise = move |drawn: &mut [i64]| {
        let mut second = vec![0; drawn.len()];
        law(Z).fill(&mut ChaCha20Rng::from_seed([9; 32]), drawn);
        let seed = if reused { [9; 32] } else { [10; 32] };
        law(Z).fill(&mut ChaCha20Rng::from_seed(seed), &mut second);
        drawn.iter_mut().zip(second).for_each(|(a, b)| *a -= b);
    };
    by_hand(1.0 / Z, CLIP_STEPS, noise, in_clips, 1)
}

/// Exact ε of one release with integer noise of probabilities ∝ `weight`, sensitivity 1: both directions are one, the law being even.
fn exact_epsilon(weight: impl Fn(f64) -> f64) -> f64 {
    let weights: Vec<f64> = (-60..=60).map(|x| weight(f64::from(x))).collect();
    let total: f64 = weights.iter().sum();
    let delta = |e: f64| weights.windows(2).map(|w| (w[1] - e.exp() * w[0]).max(0.0)).sum::<f64>() / total;
    let (mut low, mut high) = (0.0, 50.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if delta(middle) > DELTA { low = middle } else { high = middle }
    }
    high
}

/// χ² over four degrees of freedom of how many of 24 units a sampler takes, against Binomial(24, 0.1): sizes 0, 1, 2, 3, 4 and more.
fn sizes_statistic(mut size: impl FnMut(usize) -> usize) -> f64 {
    let draws = 5000;
    let mut seen = [0.0; 5];
    for i in 0..draws {
        seen[size(i).min(4)] += 1.0;
    }
    let mut expected = [0.0; 5];
    let mut p = 0.9f64.powi(24);
    for (k, cell) in expected.iter_mut().take(4).enumerate() {
        *cell = p * draws as f64;
        p *= (24.0 - k as f64) / (k as f64 + 1.0) / 9.0;
    }
    expected[4] = draws as f64 - expected.iter().sum::<f64>();
    seen.iter().zip(expected).map(|(s, e)| (s - e).powi(2) / e).sum()
}

/// |mean| of noise in standard errors: the float recipe that casts rounds to zero or takes the floor, and is off by half a step.
fn mean_score(noise: &[i64], sigma: f64) -> f64 {
    let sum: i64 = noise.iter().sum();
    (sum as f64 / (noise.len() as f64).sqrt() / sigma).abs()
}

fn audits() -> Vec<Row> {
    let mut half = ChaCha20Rng::from_seed([6; 32]);
    let mut late = ChaCha20Rng::from_seed([7; 32]);
    let four_clips = 4 * CLIP_STEPS;
    vec![
        of("updates are not clipped", &pipeline(Mutation::ClipSkipped)),
        of(
            "clipped after the noise, which then hides nothing",
            &by_hand(
                1.0 / Z,
                four_clips,
                |drawn| law(Z).fill(&mut late, drawn),
                |v| in_clips(v.clamp(-four_clips * 2, four_clips * 2)),
                1,
            ),
        ),
        of("no noise", &pipeline(Mutation::NoiseOff)),
        of("half the noise", &by_hand(1.0 / Z, CLIP_STEPS, |drawn| law(Z / 2.0).fill(&mut half, drawn), in_clips, 1)),
        of("one client's share of five is missing", &pipeline(Mutation::NoiseForAll { clients: 5 })),
        of("one seed's noise in two rounds", &subtracted_rounds(true)),
        of("mean over those who took part", &wrong_denominator(true)),
    ]
}

fn other_detectors() -> Vec<Row> {
    let (sigma, n) = (3.0, 100_000);
    let gaussian = exact_gaussian();
    let discrete = exact_epsilon(|x| (-x * x / 2.0).exp());
    let mut drawn = vec![0; n];
    RoundedGaussian::new(Sigma::from_raw(3 << 16).unwrap()).fill(&mut ChaCha20Rng::from_seed([12; 32]), &mut drawn);
    // The usual recipe: a float normal deviate, times sigma, cast by the floor.
    let floored: Vec<i64> = {
        let mut bits = vec![0; n];
        law(1.0).fill(&mut ChaCha20Rng::from_seed([13; 32]), &mut bits);
        #[allow(clippy::cast_possible_truncation, reason = "the mutant")]
        bits.iter().map(|b| (in_clips(*b) * sigma).floor() as i64).collect()
    };
    let score = mean_score(&floored, sigma);
    assert!(mean_score(&drawn, sigma) < 5.0, "the exact sampler is not called biased");
    let shuffled = sizes_statistic(|i| (0..24).filter(|u| (u * 7 + i) % 10 == 0).count());
    let mut coins = ChaCha20Rng::from_seed([14; 32]);
    let q = SamplingProbability::new(0.1).unwrap();
    let honest = sizes_statistic(|_| poisson(24, q, &mut coins).0.units().count());
    assert!(honest < 28.0, "coins pass for coins: {honest}");
    vec![
        Row {
            mutant: "discrete for rounded Gaussian at sigma = 1",
            detector: "exact probabilities",
            claimed: format!("{gaussian:.4}"),
            found: format!("{discrete:.4}"),
            caught: discrete > gaussian,
        },
        Row {
            mutant: "float noise, cast to integers",
            detector: "mean of the noise",
            claimed: "0".to_owned(),
            found: format!("{score:.0} standard errors"),
            caught: score > 5.0,
        },
        Row {
            mutant: "a shuffle charged as Poisson sampling",
            detector: "chi-square of sample sizes",
            claimed: "below 28".to_owned(),
            found: format!("{shuffled:.0}"),
            caught: shuffled > 28.0,
        },
    ]
}

fn exact_gaussian() -> f64 {
    gdp::epsilon(1.0, Delta::new(DELTA).unwrap()).upper
}

#[test]
fn claim_every_planted_defect_of_the_pipeline_is_caught_and_the_honest_one_passes() {
    let honest = pipeline(Mutation::None);
    let rows: Vec<Row> = audits().into_iter().chain(other_detectors()).collect();
    println!("{:<52} {:<27} {:>9} {:>20}  caught", "mutant", "detector", "claimed", "found");
    let print = |mutant: &str, detector: &str, claimed: &str, found: &str, caught: &str| {
        println!("{mutant:<52} {detector:<27} {claimed:>9} {found:>20}  {caught}");
    };
    let (claimed, found) = (format!("{:.2}", honest.epsilon_claimed), format!("> {:.2}", honest.epsilon_lower));
    print("none: the pipeline as it is", "canaries", &claimed, &found, "no, rightly");
    for row in &rows {
        print(row.mutant, row.detector, &row.claimed, &row.found, if row.caught { "yes" } else { "NO" });
    }
    assert_eq!(honest.verdict, Verdict::NoViolation);
    assert!(honest.epsilon_lower > 0.8 * honest.epsilon_claimed, "the audit has power: {honest:?}");
    for row in &rows {
        assert!(row.caught, "{}", row.mutant);
    }
}

#[test]
fn the_controls_of_the_mutants_made_by_hand_pass() {
    assert_ne!(subtracted_rounds(false).verdict, Verdict::Violation, "fresh noise in each round");
    assert_eq!(wrong_denominator(false).verdict, Verdict::NoViolation, "a public denominator");
    let mut rng = ChaCha20Rng::from_seed([15; 32]);
    let whole = by_hand(1.0 / Z, CLIP_STEPS, |drawn| law(Z).fill(&mut rng, drawn), in_clips, 1);
    assert_eq!(whole.verdict, Verdict::NoViolation);
    // The discrete Gaussian's ε above the Gaussian's is not this test's arithmetic: 40-digit values are 4.4302 and 4.3772.
    assert!((exact_epsilon(|x| (-x * x / 2.0).exp()) - 4.4302).abs() < 1e-4);
    assert!((exact_gaussian() - 4.3772).abs() < 1e-4);
    // The rounded Gaussian stays below.
    let tail = |t: f64| 0.5 * statrs::function::erf::erfc(t / 2f64.sqrt());
    let rounded = exact_epsilon(|x| tail(x.abs() - 0.5) - tail(x.abs() + 0.5));
    assert!((rounded - 4.1824).abs() < 1e-3, "{rounded}");
    // And the law by which the discrete one is sampled is that law: its variance at σ = 1 is 1 to 1e-7, the rounded one's 13/12.
    let mut out = vec![0; 200_000];
    DiscreteGaussian::new(1, 1).unwrap().fill(&mut rng, &mut out);
    let variance = out.iter().map(|x| x * x).sum::<i64>() as f64 / 200_000.0;
    assert!((variance - 1.0).abs() < 0.02, "{variance}");
    assert!(
        gdp_mu_lower(run_canaries(design(1), |i| Ok::<_, Infallible>(vec![0.0; i.len()])).unwrap().errors(), 0.01)
            <= 0.0
    );
}
