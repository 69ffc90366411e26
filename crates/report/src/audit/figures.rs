//! Figures of an audit.
use super::data::{AuditCurve, TrueAndRecovered};
use crate::Figure;
use crate::svg::{Beside, RocMark, RocPlot, TwoSides};
use crate::text::percent;

/// The ROC curve of an attack on logarithmic axes, with its band, guessing, and the accountant's ceiling where there is one.
pub(crate) fn roc_figure(curve: &AuditCurve) -> Figure {
    let points: Vec<RocMark> =
        curve.points.iter().map(|p| RocMark { fpr: p.fpr, tpr: p.tpr, band: (p.band.low, p.band.high) }).collect();
    let said = curve.points.iter().filter(|p| [0.01, 0.1, 0.5].iter().any(|x| (p.fpr - x).abs() < 0.1 * x));
    let said: Vec<String> =
        said.map(|p| format!("{} true positives at {} false positives", percent(p.tpr), percent(p.fpr))).collect();
    let non_members = curve.non_members.max(1) as f64;
    RocPlot {
        title: short(&curve.attack),
        label: format!("ROC curve of {} on logarithmic axes.", curve.attack),
        description: format!(
            "{} members against {} non-members. {}. {}",
            curve.members,
            curve.non_members,
            said.join("; "),
            curve.ceiling_note
        ),
        points: &points,
        ceiling: curve.ceiling.as_deref(),
        few_below: 10.0 / non_members,
        least: 1.0 / non_members,
    }
    .draw()
}

/// The scores of members and of non-members.
pub(crate) fn scores_figure(curve: &AuditCurve) -> Figure {
    let h = &curve.histogram;
    let shares = |counts: &[u64]| {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&c| c as f64 / all).collect::<Vec<f64>>()
    };
    TwoSides {
        title: format!("{}: scores", short(&curve.attack)),
        label: format!("Scores of {} as two histograms.", curve.attack),
        description: format!(
            "Scores of {} members, filled, and of {} non-members, dashed. The more they overlap, the less is told.",
            curve.members, curve.non_members
        ),
        axis: "score; higher means “member”",
        edges: &h.edges,
        filled: ("members", shares(&h.members)),
        outlined: ("non-members", shares(&h.non_members)),
    }
    .draw()
}

/// A clip's features and what was recovered of them, each feature in standard deviations over the clips `all`.
pub(crate) fn recovered_figure(clip: &TrueAndRecovered, all: &[TrueAndRecovered]) -> Figure {
    let scale: Vec<(f64, f64)> = (0..clip.width).map(|j| mean_and_deviation(j, clip.width, all)).collect();
    let grid = |values: &[f64]| -> Vec<f64> {
        let z = |(i, v): (usize, &f64)| {
            let (mean, deviation) = scale[i % clip.width];
            (v - mean) / deviation
        };
        let z: Vec<f64> = values.iter().enumerate().map(z).collect();
        if clip.frames == 1 {
            return z;
        }
        // Rows are coefficients, the lowest at the bottom.
        let row = |j: usize| (0..clip.frames).map(move |t| t * clip.width + j);
        (0..clip.width).rev().flat_map(row).map(|i| z.get(i).copied().unwrap_or(f64::NAN)).collect()
    };
    let (rows, columns) = if clip.frames == 1 { (1, clip.width) } else { (clip.width, clip.frames) };
    let axes =
        if clip.frames == 1 { ("feature (statistics of MFCCs over the clip)", "") } else { ("frame", "coefficient") };
    Beside {
        title: &clip.clip,
        lines: [
            format!("SNR {:.1} dB; error {:.3} sd², blind guess {:.3}", clip.snr_db, clip.mse, clip.blind_mse),
            format!(
                "true clip found at rank {} of {} (blind guess: rank {})",
                clip.rank, clip.candidates, clip.blind_rank
            ),
        ],
        description: format!(
            "Features of {}, true and as {} recovered them: signal-to-noise ratio {:.1} dB, rank {} of {} by distance.",
            clip.clip, clip.attack, clip.snr_db, clip.rank, clip.candidates
        ),
        names: ["true", "recovered"],
        rows,
        columns,
        grids: [grid(&clip.truth), grid(&clip.recovered)],
        limit: 2.5,
        axes,
    }
    .draw()
}

fn mean_and_deviation(feature: usize, width: usize, all: &[TrueAndRecovered]) -> (f64, f64) {
    let of_width = all.iter().filter(|c| c.width == width);
    let values: Vec<f64> = of_width.flat_map(|c| c.truth.iter().skip(feature).step_by(width).copied()).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    // What never varies has no scale of its own.
    (mean, if deviation > 1e-9 { deviation } else { 1.0 })
}

/// A name without what all of its kind begin with.
pub(crate) fn short(attack: &str) -> String {
    attack.strip_prefix("membership-").unwrap_or(attack).replace('-', " ")
}
