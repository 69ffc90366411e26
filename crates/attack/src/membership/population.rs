//! M2, the population attack ("Attack-P").
/// Formula and paper.
pub(super) const CITATION: &str = "M2: score = share of public clips of the same class whose loss is at least the clip's: the 1 - alpha at which \
                                   Attack-P's threshold accuses it. Ye, Maddi, Murakonda, Bindschaedler, Shokri, \"Enhanced Membership Inference \
                                   Attacks against Machine Learning Models\", CCS 2022, Attack P (arXiv:2111.09679)";

/// Scores `[n]` from φ `[n]` and classes `[n]` of clips and of a population `[z]`. A class that the population lacks is compared with all of it.
pub fn population((phi, labels): (&[f64], &[u16]), (public, public_labels): (&[f64], &[u16])) -> Vec<f64> {
    let of = |(phi, label): (&f64, &u16)| {
        let own: Vec<f64> = public.iter().zip(public_labels).filter(|(_, l)| *l == label).map(|(p, _)| *p).collect();
        let own = if own.is_empty() { public } else { &own };
        // Half of the ties, and the middle of the first and last step, so that clips beyond all of the population are not accused alike.
        let below = own.iter().filter(|p| *p < phi).count() as f64
            + 0.5 * own.iter().filter(|p| p.total_cmp(phi).is_eq()).count() as f64;
        below / own.len().max(1) as f64
    };
    phi.iter().zip(labels).map(of).collect()
}
