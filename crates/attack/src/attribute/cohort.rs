//! A property of the cohort from the sum: are at least half of the speakers women? (A3)
//!
//! After Melis, Song, De Cristofaro & Shmatikov 2019, "Exploiting unintended feature leakage in collaborative learning"
//! (arXiv:1805.04049), Section 5: a classifier on updates of shadow cohorts. Secure aggregation leaves this attack what it reads; only the
//! size of the cohort and noise take it away.
use rayon::prelude::*;
use sottovoce_train::{TrainError, unit_update};
use sottovoce_types::Vantage;

use super::ridge::{Ridge, Training};
use super::{AttributeError, FirstLayer, Knowledge, rate, scaled};
use crate::attack::{Attack, Guesses};
use crate::random::Stream;
use crate::scores::Described;
use crate::view::{RoundStart, ServerSecAgg, Summed};

/// The attack's name in records.
pub const COHORT_PROPERTY: &str = "cohort-property";

/// The unit's name in what is found: a run has one cohort.
pub const COHORT: &str = "cohort";

/// Shadow cohorts that the classifier learns from.
const SHADOW_COHORTS: usize = 160;

/// A3 on the sums of the first rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CohortProperty {
    /// Rounds whose sums are averaged.
    pub rounds: usize,
    /// Standard deviation of the noise in each parameter of a sum's mean; 0 without.
    pub noise: f64,
}

impl Attack for CohortProperty {
    type View<'a> = ServerSecAgg;
    type Aux<'a> = Knowledge<'a>;
    type Found = Guesses;
    type Error = AttributeError;

    fn describe(&self) -> Described {
        Described {
            attack: COHORT_PROPERTY,
            vantage: Vantage::Coordinator,
            citation: "A3: classifier on sums of shadow cohorts at theta_t, first layer. After Melis, Song, De Cristofaro, Shmatikov, \
                       \"Exploiting Unintended Feature Leakage in Collaborative Learning\", IEEE S&P 2019 (arXiv:1805.04049), Section 5",
        }
    }

    fn run(&self, view: &ServerSecAgg, aux: &Knowledge<'_>, seed: u64) -> Result<Guesses, AttributeError> {
        let positives = aux.speakers.iter().filter(|s| s.positive).count();
        let negatives = aux.speakers.len() - positives;
        let seen: Vec<(&Summed, &RoundStart)> =
            view.sums().iter().take(self.rounds.max(1)).filter_map(|sum| Some((sum, view.start(sum.round)?))).collect();
        let (first, start) = seen.first().ok_or(AttributeError::NothingSeen)?;
        let cohort = first.cohort.len();
        if positives < 2 || negatives < 2 {
            return Err(AttributeError::TooFewShadows { positives, negatives });
        }
        let layer = FirstLayer::of(&start.model).ok_or(AttributeError::NoFirstLayer)?;
        let mean_over_rounds = |of: &mut dyn FnMut(usize) -> Result<Vec<f64>, TrainError>| {
            let mut mean = vec![0.0; layer.len];
            for (place, (_, start)) in seen.iter().enumerate() {
                let values = of(place)?;
                let by = rate(&start.job) * seen.len() as f64;
                mean.iter_mut().zip(&values).for_each(|(m, v)| *m -= v / by);
            }
            Ok::<Vec<f64>, TrainError>(mean)
        };
        let target = mean_over_rounds(&mut |place| Ok(seen[place].0.mean()[..layer.len].to_vec()))?;
        let shadows = aux
            .speakers
            .par_iter()
            .map(|own| {
                mean_over_rounds(&mut |place| {
                    let start = seen[place].1;
                    let update = unit_update(aux.trainer, &start.model, &start.job, &own.name, &own.data)?;
                    let shrink = (start.clip.value() / update.norm().max(1e-300)).min(1.0);
                    Ok(update.values[..layer.len].iter().map(|&v| shrink * f64::from(v)).collect())
                })
            })
            .collect::<Result<Vec<_>, TrainError>>()?;
        let (rows, positive) = shadow_cohorts(&shadows, aux, cohort, seed);
        let eta = rate(&start.job);
        let variance = (self.noise / eta).powi(2) / seen.len() as f64;
        let m = rows.len() as f64;
        let (scale, noise): (Vec<f64>, Vec<f64>) = (0..layer.len)
            .map(|j| {
                let mean = rows.iter().map(|r| r[j]).sum::<f64>() / m;
                let total = rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / m + variance;
                if total > 1e-24 { (total.sqrt().recip(), variance / total) } else { (0.0, 0.0) }
            })
            .unzip();
        let rows: Vec<Vec<f64>> = rows.iter().map(|r| scaled(r, &scale)).collect();
        // Cohorts share speakers, so that no fold is free of those it is tested on: eight folds choose a penalty, and no score is read off
        // them.
        let folds: Vec<usize> = (0..rows.len()).map(|i| i % 8).collect();
        let fitted = Ridge::fit(&Training { rows: &rows, positive: &positive, groups: &folds, noise: &noise });
        Ok(Guesses { of: self.describe(), scores: vec![(COHORT.into(), fitted.score(&scaled(&target, &scale)))] })
    }
}

/// Means of random shadow cohorts, with every number of women as likely as any other, and whether they are at least half.
fn shadow_cohorts(shadows: &[Vec<f64>], aux: &Knowledge<'_>, cohort: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<bool>) {
    let mut stream = Stream::new("shadow-cohorts", seed);
    let of = |positive: bool| -> Vec<usize> {
        (0..aux.speakers.len()).filter(|&i| aux.speakers[i].positive == positive).collect()
    };
    let (women, men) = (of(true), of(false));
    let mut pick = |from: &[usize], n: usize, into: &mut Vec<usize>| {
        let mut order = from.to_vec();
        stream.shuffle(&mut order);
        // A pool that is smaller than asked for gives some twice.
        into.extend(order.iter().cycle().take(n));
    };
    (0..SHADOW_COHORTS)
        .map(|i| {
            let number = i % (cohort + 1);
            let mut members = Vec::with_capacity(cohort);
            pick(&women, number, &mut members);
            pick(&men, cohort - number, &mut members);
            let width = shadows[0].len();
            let mean =
                (0..width).map(|j| members.iter().map(|&k| shadows[k][j]).sum::<f64>() / cohort as f64).collect();
            (mean, 2 * number >= cohort)
        })
        .unzip()
}
