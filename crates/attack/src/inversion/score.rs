//! How close reconstructions come, beside a guess that never saw an update (R5).
use std::collections::BTreeMap;

use serde::Serialize;
use sottovoce_types::{AttackScore, ClientId, Examples, Interval, SCHEMA_VERSION};

use super::Reconstruction;
use crate::scores::Described;
use crate::stats::{clopper_pearson, mean_with_interval};

const LABEL_ACCURACY: &str = "label-accuracy";

/// What a score stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The attack on the run as deployed.
    Attack,
    /// The control that must win: no masks, no noise, one clip and one local step a client.
    Control,
}

/// What only the auditor knows.
#[derive(Clone, Copy, Debug)]
pub struct Cases<'a> {
    /// The clips behind each client's update.
    pub truths: &'a BTreeMap<ClientId, Examples>,
    /// Clips among which the true one is looked for; the true ones are added.
    pub others: &'a Examples,
    /// Mean of each feature, `[width]`: the blind guess.
    pub mean: &'a [f64],
    /// Standard deviation of each, `[width]`.
    pub deviation: &'a [f64],
}

/// One clip, true and recovered: a panel of a gallery.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Panel {
    /// Which attack recovered it.
    pub attack: &'static str,
    /// Clips among which it was looked for.
    pub candidates: usize,
    /// The true clip's path.
    pub clip: String,
    /// Whose it is.
    pub speaker: String,
    /// Frames.
    pub frames: usize,
    /// Features of a frame.
    pub width: usize,
    /// `[frames, width]`.
    pub truth: Vec<f64>,
    /// `[frames, width]`.
    pub recovered: Vec<f64>,
    /// True class.
    pub label: u16,
    /// Class that was read off, where one was.
    pub recovered_label: Option<u16>,
    /// Mean squared error in standard deviations.
    pub mse: f64,
    /// Cosine of what deviates from the mean, in standard deviations.
    pub cosine: f64,
    /// 10·log₁₀(‖x‖² / ‖x − x̂‖²), in dB.
    pub snr_db: f64,
    /// Mel-cepstral distance (10 / ln 10)·√(2·Σ_k (c_k − ĉ_k)²), mean over frames, without the first coefficient (Kubichek 1993); in dB
    /// where features are MFCCs as they come, a relative distance where they are scaled or pooled.
    pub mcd: f64,
    /// Place of the true clip among all by distance from what was recovered, from 1.
    pub rank: usize,
    /// The same for the blind guess.
    pub blind_rank: usize,
    /// The blind guess's mean squared error.
    pub blind_mse: f64,
}

/// What reconstruction came to.
#[derive(Clone, PartialEq, Debug)]
pub struct InversionScores {
    /// Records: retrieval at rank 1, cosine, mean squared error, and labels where they were read off.
    pub scores: Vec<AttackScore>,
    /// Every clip.
    pub gallery: Vec<Panel>,
    /// Clips among which each was looked for.
    pub candidates: usize,
}

/// Why reconstructions could not be scored.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// No client has both.
    #[error("no reconstruction is of a client whose clips are known: take truths and view of one run")]
    NothingToCompare,
    /// Nothing to find the true clip among.
    #[error("the true clips would be looked for among themselves alone: give other clips of the corpus")]
    NoOthers,
}

/// Scores each true clip by the reconstruction that is closest to it.
///
/// # Errors
/// [`ScoreError`].
pub fn score(
    of: Described,
    found: &[Reconstruction],
    cases: &Cases<'_>,
    role: Role,
    seed: u64,
) -> Result<InversionScores, ScoreError> {
    if cases.others.is_empty() {
        return Err(ScoreError::NoOthers);
    }
    let mut pool: Vec<&[f32]> = (0..cases.others.len()).map(|i| cases.others.row(i)).collect();
    let known: Vec<(&ClientId, &Examples)> = cases.truths.iter().collect();
    pool.extend(known.iter().flat_map(|(_, e)| (0..e.len()).map(|i| e.row(i))));
    pool.sort_by(|a, b| a.iter().map(|v| v.to_bits()).cmp(b.iter().map(|v| v.to_bits())));
    pool.dedup();
    let mut gallery = Vec::new();
    let mut of_others = Vec::new();
    let scale = Scale { mean: cases.mean, deviation: cases.deviation };
    for (client, truth) in known {
        let own: Vec<&Reconstruction> = found.iter().filter(|r| r.client == *client).collect();
        if own.is_empty() {
            continue;
        }
        gallery.extend((0..truth.len()).map(|i| Panel { attack: of.attack, ..panel(truth, i, &own, &pool, cases) }));
        // The closest of as many as there are is closer than any one of them: what others' reconstructions come to is what that is worth.
        for other in cases.truths.keys().filter(|c| *c != client) {
            let theirs: Vec<&Reconstruction> = found.iter().filter(|r| r.client == *other).collect();
            for i in (0..truth.len()).filter(|_| !theirs.is_empty()) {
                let x: Vec<f64> = truth.row(i).iter().map(|&v| f64::from(v)).collect();
                let best = closest(&scale, &theirs, &x);
                of_others.push(cosine(&scale.normed(&x), &scale.normed(&best.values)));
            }
        }
    }
    if gallery.is_empty() {
        return Err(ScoreError::NothingToCompare);
    }
    let chance = of_others.iter().sum::<f64>() / of_others.len().max(1) as f64;
    let mut scores = records(of, &gallery, pool.len(), chance, role, seed);
    // One label was read off for each client: of several clips it is nobody's.
    scores.retain(|s| s.metric != LABEL_ACCURACY || cases.truths.values().all(|t| t.len() == 1));
    Ok(InversionScores { scores, gallery, candidates: pool.len() })
}

fn panel(truth: &Examples, i: usize, found: &[&Reconstruction], pool: &[&[f32]], cases: &Cases<'_>) -> Panel {
    let scale = Scale { mean: cases.mean, deviation: cases.deviation };
    let x: Vec<f64> = truth.row(i).iter().map(|&v| f64::from(v)).collect();
    let best = closest(&scale, found, &x);
    let blind = scale.blind(x.len());
    let (z, z_found) = (scale.normed(&x), scale.normed(&best.values));
    let (width, frames) = (truth.width, truth.frames(i));
    let energy: f64 = x.iter().map(|v| v * v).sum();
    let error: f64 = x.iter().zip(&best.values).map(|(a, b)| (a - b).powi(2)).sum();
    let mcd = |(a, b): (&[f64], &[f64])| {
        let squares: f64 = a.iter().zip(b).skip(1).map(|(a, b)| (a - b).powi(2)).sum();
        10.0 / std::f64::consts::LN_10 * (2.0 * squares).sqrt()
    };
    Panel {
        attack: "",
        candidates: pool.len(),
        clip: truth.meta[i].path.clone(),
        speaker: truth.meta[i].speaker.clone(),
        frames,
        width,
        mse: scale.mse(&best.values, &x),
        cosine: cosine(&z, &z_found),
        // An error of 0 is below f32's rounding.
        snr_db: 10.0 * (energy / error.max(energy * 1e-15)).log10(),
        mcd: x.chunks(width).zip(best.values.chunks(width)).map(mcd).sum::<f64>() / frames as f64,
        rank: scale.rank(&best.values, &x, pool),
        blind_rank: scale.rank(&blind, &x, pool),
        blind_mse: scale.mse(&blind, &x),
        truth: x,
        recovered: best.values.clone(),
        label: truth.labels[i],
        recovered_label: best.label,
    }
}

fn closest<'a>(scale: &Scale<'_>, found: &[&'a Reconstruction], x: &[f64]) -> &'a Reconstruction {
    let far = |r: &&&Reconstruction| scale.mse(&r.values, x);
    found.iter().min_by(|a, b| far(a).total_cmp(&far(b))).expect("one at least")
}

/// Distances in standard deviations of each feature.
struct Scale<'a> {
    mean: &'a [f64],
    deviation: &'a [f64],
}

impl Scale<'_> {
    fn blind(&self, len: usize) -> Vec<f64> {
        self.mean.iter().copied().cycle().take(len).collect()
    }

    fn normed(&self, x: &[f64]) -> Vec<f64> {
        let width = self.mean.len();
        let one = |(i, v): (usize, &f64)| (v - self.mean[i % width]) / self.deviation[i % width].max(1e-12);
        x.iter().enumerate().map(one).collect()
    }

    /// Over the frames that both have.
    fn mse(&self, a: &[f64], b: &[f64]) -> f64 {
        let width = self.mean.len();
        let n = a.len().min(b.len()).max(1);
        let one = |(i, (a, b)): (usize, (&f64, &f64))| ((a - b) / self.deviation[i % width].max(1e-12)).powi(2);
        a.iter().zip(b).enumerate().map(one).sum::<f64>() / n as f64
    }

    /// 1 plus the clips that are closer; of ties the middle.
    fn rank(&self, found: &[f64], truth: &[f64], pool: &[&[f32]]) -> usize {
        let own = self.mse(found, truth);
        let (mut closer, mut tied) = (0, 0);
        for other in pool {
            let other: Vec<f64> = other.iter().map(|&v| f64::from(v)).collect();
            let distance = self.mse(found, &other);
            if distance < own {
                closer += 1;
            } else if distance <= own {
                tied += 1;
            }
        }
        1 + closer + usize::saturating_sub(tied, 1) / 2
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 { dot(a, b) / length } else { 0.0 }
}

fn records(of: Described, gallery: &[Panel], pool: usize, chance: f64, role: Role, seed: u64) -> Vec<AttackScore> {
    let clips = gallery.len() as u64;
    let speakers: Vec<&str> = gallery.iter().map(|p| p.speaker.as_str()).collect();
    let first = |rank: fn(&Panel) -> usize| gallery.iter().filter(|p| rank(p) == 1).count() as u64;
    let (hits, blind) = (first(|p| p.rank), first(|p| p.blind_rank));
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let snr = median(gallery.iter().map(|p| p.snr_db).collect());
    let mcd = median(gallery.iter().map(|p| p.mcd).collect());
    let (rank, blind_rank) = (
        median(gallery.iter().map(|p| p.rank as f64).collect()),
        median(gallery.iter().map(|p| p.blind_rank as f64).collect()),
    );
    let what = match role {
        Role::Attack => "reads the bytes that each client sent in this run",
        Role::Control => "reads a run without masks and noise, one clip and one local step a client, and must win",
    };
    let base = AttackScore {
        schema: SCHEMA_VERSION,
        attack: of.attack.into(),
        control_of: (role == Role::Control).then(|| of.attack.into()),
        vantage: of.vantage,
        metric: "retrieval-top1".into(),
        value: hits as f64 / clips as f64,
        ci95: clopper_pearson(hits, clips, 0.05),
        chance: (blind as f64 / clips as f64).max(1.0 / pool.max(1) as f64),
        trials: u32::try_from(clips).unwrap_or(u32::MAX),
        citation: of.citation.into(),
        note: format!(
            "{hits} of {clips} clips rank first of {pool} by distance from what was recovered (median rank {rank}); the mean of all clips, \
             which saw no update, has {blind} and median rank {blind_rank}; {what}."
        ),
    };
    let mean = |values: Vec<f64>| mean_with_interval(&values, &speakers, seed);
    let (cosine, ci95) = mean(gallery.iter().map(|p| p.cosine).collect());
    let of_cosine = AttackScore {
        metric: "reconstruction-cosine".into(),
        value: cosine,
        ci95: Interval { low: ci95.low.max(-1.0), high: ci95.high.min(1.0) },
        chance,
        note: format!(
            "Mean cosine between true and recovered features, both from the mean and in standard deviations; chance is that of what was \
             recovered of other clients; {what}."
        ),
        ..base.clone()
    };
    let (mse, ci95) = mean(gallery.iter().map(|p| p.mse).collect());
    let blind_mse: f64 = gallery.iter().map(|p| p.blind_mse).sum::<f64>() / clips as f64;
    let of_mse = AttackScore {
        metric: "reconstruction-mse".into(),
        value: mse,
        ci95: Interval { low: ci95.low.max(0.0), high: ci95.high },
        chance: blind_mse,
        note: format!(
            "Mean squared error in standard deviations; SNR {snr:.1} dB and mel-cepstral distance {mcd:.3} in the median; {what}."
        ),
        ..base.clone()
    };
    let mut all = vec![base.clone(), of_cosine, of_mse];
    let read: Vec<&Panel> = gallery.iter().filter(|p| p.recovered_label.is_some()).collect();
    if !read.is_empty() {
        let right = read.iter().filter(|p| p.recovered_label == Some(p.label)).count() as u64;
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for p in &read {
            *counts.entry(p.label).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        all.push(AttackScore {
            metric: LABEL_ACCURACY.into(),
            value: right as f64 / read.len() as f64,
            ci95: clopper_pearson(right, read.len() as u64, 0.05),
            chance: most as f64 / read.len() as f64,
            trials: u32::try_from(read.len()).unwrap_or(u32::MAX),
            note: format!("The emotion of {right} of {} clips was read off the last layer's bias; {what}.", read.len()),
            ..base
        });
    }
    all
}
