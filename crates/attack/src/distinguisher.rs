//! What a sum still says of one client: the distinguisher behind secure aggregation (M13).
//!
//! The coordinator has two candidates for one client's input, Δ₀ and Δ₁ (for example with one clip and without), and a sum that holds one
//! of them. With the others' sum normal with mean m and covariance Σ, as its own shadow clients estimate them, the best test is
//! LLR = (Δ₁ − Δ₀)ᵀ·Σ⁻¹·(S − m − ½(Δ₀ + Δ₁)), and it tells the two apart by d′ = ‖Δ₁ − Δ₀‖ in the metric of Σ⁻¹. The others' covariance
//! grows with their number, so d′ falls as 1/√(n − 1): secure aggregation by itself hides a client in a large cohort, not in a small one.
//!
//! Ngo, Östman, Durisi & Graell i Amat 2024, "Secure aggregation is not private against membership inference attacks" (arXiv:2403.17775), Section 4.
use std::collections::BTreeMap;

use sottovoce_types::{ClientId, Interval, RoundId};

use crate::attack::Attack;
use crate::linear::{dot, norm, solve_positive};
use crate::random::Stream;
use crate::scores::Described;
use crate::stats::{Auc, RocError, Trial, auc_with_interval};
use crate::view::ServerSecAgg;

/// The attack's name in records.
pub const DISTINGUISHER: &str = "secagg-distinguisher";

/// Share of the covariance that is taken to be diagonal: shadows are fewer than parameters, and say nothing of most directions.
const SHRINKAGE: f64 = 0.2;

/// M13 on the sums that hold a client's input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Distinguisher;

/// What the attacker knows besides.
#[derive(Clone, Debug)]
pub struct Knowledge<'a> {
    /// The client in question.
    pub victim: ClientId,
    /// The round that the candidates are of.
    pub round: RoundId,
    /// Δ₀ as it would stand in the sum, weights and clipping included, `[d]`.
    pub absent: &'a [f64],
    /// Δ₁.
    pub present: &'a [f64],
    /// What other clients' inputs look like: of shadow clients, as they would stand in the sum.
    pub shadows: &'a [Vec<f64>],
    /// Variance of the noise in each parameter of the sum; 0 without.
    pub noise_variance: f64,
}

/// What the test says of one sum.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Told {
    /// Clients in the sum.
    pub cohort: usize,
    /// Above 0: Δ₁.
    pub log_likelihood_ratio: f64,
    /// By how many standard deviations of the ratio the two candidates are apart.
    pub d_prime: f64,
}

/// Why the test could not be made.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistinguisherError {
    /// The victim is in no sum of that round.
    #[error("no opened sum of round {round} holds an input of client {victim}")]
    NotInSum {
        /// The client.
        victim: ClientId,
        /// The round.
        round: u64,
    },
    /// Nothing to learn the others from.
    #[error("{found} shadow updates say nothing of how clients differ: at least 3 are needed")]
    TooFewShadows {
        /// How many there are.
        found: usize,
    },
    /// Vectors of different lengths.
    #[error("candidates, shadows and sum must have one length: use updates of this run's model")]
    Lengths,
    /// A cohort that the pool cannot fill.
    #[error("a cohort of {cohort} is the victim and one speaker fewer beside the shadows, there are {found}")]
    SmallPool {
        /// The cohort.
        cohort: usize,
        /// Speakers beside the shadows and the victim.
        found: usize,
    },
    /// The trials carry no area.
    #[error(transparent)]
    Roc(#[from] RocError),
}

impl Attack for Distinguisher {
    type View<'a> = ServerSecAgg;
    type Aux<'a> = Knowledge<'a>;
    type Found = Told;
    type Error = DistinguisherError;

    fn describe(&self) -> Described {
        Described {
            attack: DISTINGUISHER,
            vantage: sottovoce_types::Vantage::Coordinator,
            citation: "M13: LLR = (d1 - d0)' S^-1 (sum - m - (d0 + d1) / 2). Ngo, Oestman, Durisi, Graell i Amat, \"Secure Aggregation is \
                       Not Private Against Membership Inference Attacks\" (arXiv:2403.17775)",
        }
    }

    fn run(&self, view: &ServerSecAgg, aux: &Knowledge<'_>, _seed: u64) -> Result<Told, DistinguisherError> {
        let not_there = DistinguisherError::NotInSum { victim: aux.victim, round: aux.round.0 };
        let sum = view.sums().iter().find(|s| s.round == aux.round && s.cohort.contains(&aux.victim));
        let sum = sum.ok_or(not_there)?;
        let others = Others::learn(aux.shadows, sum.cohort.len() - 1, aux.noise_variance)?;
        let (log_likelihood_ratio, d_prime) = others.test(aux.absent, aux.present, &sum.values)?;
        Ok(Told { cohort: sum.cohort.len(), log_likelihood_ratio, d_prime })
    }
}

/// The sum of the other clients' inputs: normal, with diagonal plus low-rank covariance.
struct Others {
    mean: Vec<f64>,
    diagonal: Vec<f64>,
    /// Rows U of the low-rank part Uᵀ·U.
    rows: Vec<Vec<f64>>,
}

impl Others {
    fn learn(shadows: &[Vec<f64>], others: usize, noise_variance: f64) -> Result<Self, DistinguisherError> {
        let m = shadows.len();
        if m < 3 {
            return Err(DistinguisherError::TooFewShadows { found: m });
        }
        let d = shadows[0].len();
        if shadows.iter().any(|s| s.len() != d) {
            return Err(DistinguisherError::Lengths);
        }
        let (count, k) = (m as f64, others as f64);
        let mean: Vec<f64> = (0..d).map(|j| shadows.iter().map(|s| s[j]).sum::<f64>() / count).collect();
        let centred: Vec<Vec<f64>> =
            shadows.iter().map(|s| s.iter().zip(&mean).map(|(v, m)| v - m).collect()).collect();
        let variance: Vec<f64> =
            (0..d).map(|j| centred.iter().map(|c| c[j] * c[j]).sum::<f64>() / (count - 1.0)).collect();
        // A parameter that no shadow moves may still be moved by somebody: a thousandth of the average variance.
        let floor = 1e-3 * variance.iter().sum::<f64>() / d.max(1) as f64;
        let diagonal =
            variance.iter().map(|v| k * (SHRINKAGE * v + floor) + noise_variance + f64::MIN_POSITIVE).collect();
        let scale = (k * (1.0 - SHRINKAGE) / (count - 1.0)).sqrt();
        let rows = centred.iter().map(|c| c.iter().map(|v| scale * v).collect()).collect();
        Ok(Self { mean: mean.iter().map(|v| k * v).collect(), diagonal, rows })
    }

    /// Σ⁻¹·v = D⁻¹v − D⁻¹Uᵀ(I + U·D⁻¹·Uᵀ)⁻¹·U·D⁻¹v (Woodbury).
    fn whiten(&self, v: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = v.iter().zip(&self.diagonal).map(|(v, d)| v / d).collect();
        let over = |row: &Vec<f64>| row.iter().zip(&self.diagonal).map(|(u, d)| u / d).collect::<Vec<f64>>();
        let rows: Vec<Vec<f64>> = self.rows.iter().map(over).collect();
        let small: Vec<Vec<f64>> = (0..rows.len())
            .map(|i| (0..rows.len()).map(|j| dot(&rows[i], &self.rows[j]) + f64::from(u8::from(i == j))).collect())
            .collect();
        let right: Vec<f64> = self.rows.iter().map(|u| dot(u, &scaled)).collect();
        let inner = solve_positive(&small, &right).expect("the identity plus a Gram matrix is positive");
        let mut out = scaled;
        for (row, a) in rows.iter().zip(&inner) {
            out.iter_mut().zip(row).for_each(|(o, u)| *o -= a * u);
        }
        out
    }

    fn line(&self, absent: &[f64], present: &[f64]) -> Result<Line, DistinguisherError> {
        let d = self.mean.len();
        if absent.len() != d || present.len() != d {
            return Err(DistinguisherError::Lengths);
        }
        let apart: Vec<f64> = present.iter().zip(absent).map(|(p, a)| p - a).collect();
        let direction = self.whiten(&apart);
        let middle: Vec<f64> =
            self.mean.iter().zip(present.iter().zip(absent)).map(|(m, (p, a))| m + 0.5 * (p + a)).collect();
        let offset = dot(&direction, &middle);
        let victim = [dot(&direction, absent) - offset, dot(&direction, present) - offset];
        let d_prime = dot(&direction, &apart).max(0.0).sqrt();
        Ok(Line { direction, victim, d_prime })
    }

    fn test(&self, absent: &[f64], present: &[f64], sum: &[f64]) -> Result<(f64, f64), DistinguisherError> {
        let line = self.line(absent, present)?;
        if sum.len() != line.direction.len() {
            return Err(DistinguisherError::Lengths);
        }
        // The victim's part with Δ₀ is the direction's product with Δ₀ less the offset.
        let offset = dot(&line.direction, absent) - line.victim[0];
        Ok((dot(&line.direction, sum) - offset, line.d_prime))
    }
}

/// One cohort size of the curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CohortPoint {
    /// Clients in the sum, the victim included.
    pub cohort: usize,
    /// d′ by the attacker's own model.
    pub d_prime: f64,
    /// d′ as it was: difference of the mean ratios of sums with Δ₁ and with Δ₀, over the standard deviation within each.
    pub measured_d_prime: f64,
    /// Speakers that sums were drawn from.
    pub speakers: usize,
    /// Area under the curve of telling the two; its interval is over speakers.
    pub auc: Auc,
}

/// An update of somebody else, as it would stand in a sum, and whose it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Other {
    /// Of whom: several updates of one speaker are not several speakers.
    pub speaker: String,
    /// The update, `[d]`.
    pub values: Vec<f64>,
}

/// Resamples of the speakers behind a sum.
const RESAMPLES: usize = 400;

/// The test against cohort size, with noise of standard deviation `noise` in each parameter of a sum: of each size, `trials` sums of people whom the attacker has no shadow of, half of them with Δ₁. The sum is
/// what secure aggregation opens, to the grid; no masks need to be made to see what it says.
///
/// Who is in a sum is drawn anew for each place, speaker by speaker, as if from the population that `others` are a sample of. The interval of
/// the area is the hull of that of the trials and of a bootstrap over speakers: trials share their few speakers, and by themselves say only how
/// well these are told apart, not others.
///
/// # Errors
/// [`DistinguisherError`].
pub fn against_cohort_size(
    (absent, present): (&[f64], &[f64]),
    shadows: &[Vec<f64>],
    others: &[Other],
    cohorts: &[usize],
    noise: f64,
    trials: usize,
    seed: u64,
) -> Result<Vec<CohortPoint>, DistinguisherError> {
    let mut stream = Stream::new("distinguisher", seed);
    let mut points = Vec::new();
    for &cohort in cohorts {
        let learnt = Others::learn(shadows, cohort.max(2) - 1, noise * noise)?;
        let line = learnt.line(absent, present)?;
        let mut by_speaker: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for other in others {
            if other.values.len() != line.direction.len() {
                return Err(DistinguisherError::Lengths);
            }
            by_speaker.entry(&other.speaker).or_default().push(dot(&line.direction, &other.values));
        }
        let speakers: Vec<Vec<f64>> = by_speaker.into_values().collect();
        if cohort < 2 || speakers.len() < cohort - 1 {
            return Err(DistinguisherError::SmallPool { cohort, found: speakers.len() });
        }
        let noise = noise * norm(&line.direction);
        let scored = line.trials(&speakers, cohort, noise, trials, &mut stream);
        let mut auc = auc_with_interval(&scored, seed)?;
        let mut again: Vec<f64> = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let drawn: Vec<Vec<f64>> =
                (0..speakers.len()).map(|_| speakers[stream.below(speakers.len())].clone()).collect();
            again.push(crate::stats::auc(&line.trials(&drawn, cohort, noise, trials, &mut stream))?);
        }
        again.sort_by(f64::total_cmp);
        let at = |q: f64| again[((RESAMPLES - 1) as f64 * q).round() as usize];
        auc.ci95 = Interval { low: auc.ci95.low.min(at(0.025)), high: auc.ci95.high.max(at(0.975)) };
        let (measured_d_prime, d_prime) = (separation(&scored), line.d_prime);
        points.push(CohortPoint { cohort, d_prime, measured_d_prime, speakers: speakers.len(), auc });
    }
    Ok(points)
}

/// The ratio as a line: it is linear in the sum.
struct Line {
    /// Σ⁻¹·(Δ₁ − Δ₀).
    direction: Vec<f64>,
    /// The ratio of the victim's own part, with Δ₀ and with Δ₁, the others' mean taken off.
    victim: [f64; 2],
    d_prime: f64,
}

impl Line {
    /// Sums of drawn people, every second one with Δ₁; the others by their projections, `[speakers][updates]`.
    fn trials(
        &self,
        speakers: &[Vec<f64>],
        cohort: usize,
        noise: f64,
        trials: usize,
        stream: &mut Stream,
    ) -> Vec<Trial> {
        let one = |i: usize| {
            let positive = i % 2 == 1;
            let mut score = self.victim[usize::from(positive)] + noise * stream.normal();
            for _ in 1..cohort {
                let own = &speakers[stream.below(speakers.len())];
                score += own[stream.below(own.len())];
            }
            Trial { score, positive, cluster: i.to_string() }
        };
        (0..trials).map(one).collect()
    }
}

/// (mean of positives − mean of negatives) over the root of the mean of their variances.
fn separation(trials: &[Trial]) -> f64 {
    let side = |positive: bool| -> (f64, f64) {
        let scores: Vec<f64> = trials.iter().filter(|t| t.positive == positive).map(|t| t.score).collect();
        let n = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / n;
        (mean, scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n)
    };
    let ((yes, a), (no, b)) = (side(true), side(false));
    (yes - no) / (0.5 * (a + b)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(stream: &mut Stream, n: usize) -> Vec<Vec<f64>> {
        // Clients differ most in one common direction, as models do that learn from different labels.
        let one = |s: &mut Stream| {
            let common = 2.0 * s.normal();
            (0..30).map(|j| common * (f64::from(j) * 0.4).cos() + 0.3 * s.normal()).collect()
        };
        (0..n).map(|_| one(stream)).collect()
    }

    fn people(stream: &mut Stream, n: usize) -> Vec<Other> {
        clients(stream, n).into_iter().enumerate().map(|(i, values)| Other { speaker: i.to_string(), values }).collect()
    }

    #[test]
    fn what_a_sum_tells_falls_as_the_root_of_the_cohort() {
        let mut s = Stream::new("test", 1);
        let (shadows, others) = (clients(&mut s, 60), people(&mut s, 80));
        let absent = vec![0.0; 30];
        let mut present = vec![0.0; 30];
        present[3] = 1.0;
        let points = against_cohort_size((&absent, &present), &shadows, &others, &[2, 5, 17, 65], 0.0, 600, 1).unwrap();
        for pair in points.windows(2) {
            let expected = (((pair[1].cohort - 1) / (pair[0].cohort - 1)) as f64).sqrt();
            assert!((pair[0].d_prime / pair[1].d_prime - expected).abs() < 1e-6 * expected);
        }
        let slope = (points[0].measured_d_prime / points[2].measured_d_prime).ln() / 16f64.ln();
        assert!((slope - 0.5).abs() < 0.12, "slope {slope}: {points:?}");
        assert!(points[0].auc.ci95.low > 0.9, "{points:?}");
        // Noise on top hides it, and d' says by how much.
        let noisy = against_cohort_size((&absent, &present), &shadows, &others, &[5], 3.0, 600, 1).unwrap();
        assert!(noisy[0].d_prime < 0.5 * points[1].d_prime && noisy[0].measured_d_prime < 0.6, "{noisy:?}");
        // Candidates that are the same cannot be told apart.
        let same = against_cohort_size((&absent, &absent), &shadows, &others, &[4], 0.0, 200, 1).unwrap();
        assert!((same[0].auc.value - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_interval_covers_the_population_and_that_of_the_trials_alone_does_not() {
        // The attacker's shadows are given; the few speakers that sums are drawn from are a sample, 24 of them with two updates each.
        let mut s = Stream::new("coverage", 1);
        let shadows = clients(&mut s, 40);
        let absent = vec![0.0; 30];
        let mut present = vec![0.0; 30];
        present[3] = 0.6;
        // What there is to find, of everybody: an area over 4000 speakers.
        let of = |others: &[Other], trials: usize, seed: u64| {
            against_cohort_size((&absent, &present), &shadows, others, &[9], 0.0, trials, seed).unwrap()[0]
        };
        let truth = of(&people(&mut s, 4000), 20_000, 1).auc.value;
        let (mut covered, mut alone) = (0, 0);
        for seed in 0..60 {
            let mut others = Vec::new();
            for (i, first) in people(&mut s, 12).into_iter().enumerate() {
                let again = first.values.iter().map(|v| v + 0.02 * s.normal()).collect();
                others.push(Other { speaker: i.to_string(), values: again });
                others.push(Other { speaker: i.to_string(), ..first });
            }
            let point = of(&others, 1000, seed);
            covered += u32::from((point.auc.ci95.low..=point.auc.ci95.high).contains(&truth));
            // Of independent trials as they were counted before: √(AUC·(1 − AUC)/n) either way, and wider than DeLong's.
            let half = 1.96 * (point.auc.value * (1.0 - point.auc.value) / 500.0).sqrt();
            alone += u32::from((point.auc.value - truth).abs() <= half);
        }
        // Bin(60, 0.95) is below 50 with probability below 1e-3.
        assert!(covered >= 50, "{covered} of 60, truth {truth}");
        assert!(alone < 50, "this test has no power: {alone} of 60");
    }

    #[test]
    fn what_cannot_be_tested_is_refused() {
        let mut s = Stream::new("test", 2);
        let (two, pool, few) = (clients(&mut s, 2), clients(&mut s, 5), people(&mut s, 5));
        let zero = vec![0.0; 30];
        let refused = against_cohort_size((&zero, &zero), &two, &few, &[3], 0.0, 10, 1).unwrap_err();
        assert_eq!(refused, DistinguisherError::TooFewShadows { found: 2 });
        let refused = against_cohort_size((&zero, &zero), &pool, &few, &[9], 0.0, 10, 1).unwrap_err();
        assert_eq!(refused, DistinguisherError::SmallPool { cohort: 9, found: 5 });
        let refused = against_cohort_size((&[0.0], &zero), &pool, &few, &[3], 0.0, 10, 1).unwrap_err();
        assert_eq!(refused, DistinguisherError::Lengths);
    }
}
