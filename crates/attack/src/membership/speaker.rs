//! U1, membership of a speaker: was anything of hers trained on? From clips of hers that were not.
use std::collections::BTreeMap;

/// Formula and paper.
pub(super) const CITATION: &str = "U1: sum over a speaker's held-out clips of their log likelihood ratios (M4 with one variance a side), with shadows that train on whole speakers \
                                   or not at all. After Song, Shmatikov, \"Auditing Data Provenance in Text-Generation Models\", KDD 2019 \
                                   (arXiv:1811.00513) and Carlini et al., S&P 2022";

/// How the clips of one speaker make one score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pool {
    /// Σ.
    Sum,
    /// Mean.
    Mean,
    /// The largest.
    Max,
    /// Mean of the middle half.
    TrimmedMean,
}

/// One score a speaker, in the order of their names, from those of clips `[n]`.
pub fn by_speaker(scores: &[f64], speakers: &[String], pool: Pool) -> Vec<(String, f64)> {
    let mut own: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    scores.iter().zip(speakers).for_each(|(score, s)| own.entry(s).or_default().push(*score));
    own.into_iter().map(|(s, scores)| (s.to_owned(), pooled(scores, pool))).collect()
}

fn pooled(mut scores: Vec<f64>, pool: Pool) -> f64 {
    let n = scores.len() as f64;
    match pool {
        Pool::Sum => scores.iter().sum(),
        Pool::Mean => scores.iter().sum::<f64>() / n,
        Pool::Max => scores.into_iter().fold(f64::NEG_INFINITY, f64::max),
        Pool::TrimmedMean => {
            scores.sort_by(f64::total_cmp);
            let cut = scores.len() / 4;
            let middle = &scores[cut..scores.len() - cut];
            middle.iter().sum::<f64>() / middle.len() as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speakers_clips_make_one_score() {
        let scores = [1.0, 2.0, 3.0, 100.0, -1.0];
        let who: Vec<String> = ["b", "b", "b", "b", "a"].map(String::from).to_vec();
        let of = |pool| by_speaker(&scores, &who, pool).into_iter().map(|(_, s)| s).collect::<Vec<_>>();
        assert_eq!(by_speaker(&scores, &who, Pool::Sum)[0].0, "a");
        assert_eq!((of(Pool::Sum), of(Pool::Mean)), (vec![-1.0, 106.0], vec![-1.0, 26.5]));
        assert_eq!((of(Pool::Max), of(Pool::TrimmedMean)), (vec![-1.0, 100.0], vec![-1.0, 2.5]));
    }
}
