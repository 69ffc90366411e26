//! Trade-off curves: the least rate of misses that a mechanism leaves to a test with a given rate of false alarms.
use std::fmt;

use sottovoce_dp::accountant::{self, AccountError, Adjacency};
use sottovoce_dp::{DpEvent, gdp};
use sottovoce_types::{Delta, Epsilon};

use crate::stats::{normal_cdf, normal_quantile};

/// ε of the points of a curve that is sampled: from total variation to where little is left, denser where curves bend.
const EPSILONS: [f64; 14] = [0.001, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0];

/// A declared trade-off curve f, or a curve below it: every (ε, δ) that holds gives
/// f(x) ≥ max(0, 1 − δ − e^ε·x, e^(−ε)·(1 − δ − x)) (Dong, Roth, Su 2022, Proposition 2.5), and a Gaussian mechanism has
/// f(x) = Φ(Φ⁻¹(1 − x) − μ) (Definition 3). Symmetric: f(f(x)) ≤ x.
#[derive(Clone, PartialEq, Debug)]
pub struct Curve(Shape);

#[derive(Clone, PartialEq, Debug)]
enum Shape {
    Gaussian { mu: f64 },
    Points { points: Vec<(f64, f64)>, of: String },
}

impl Curve {
    /// Of a μ-GDP mechanism.
    pub fn gaussian(mu: f64) -> Self {
        Self(Shape::Gaussian { mu })
    }

    /// Of whatever satisfies one (ε, δ).
    pub fn approximate(epsilon: f64, delta: f64) -> Self {
        Self(Shape::Points { points: vec![(epsilon, delta)], of: format!("({epsilon:.4}, {delta:e})-DP") })
    }

    /// What the accountant declares of `event`: the Gaussian curve where all of it is Gaussian noise without sampling, else the
    /// upper end of δ at several ε, by privacy loss distributions. A curve through finitely many points lies below the true one, so
    /// what contradicts it contradicts the accountant.
    ///
    /// # Errors
    /// [`AccountError`] for what no accountant has δ(ε) of.
    pub fn of_event(event: &DpEvent, adjacency: Adjacency) -> Result<Self, AccountError> {
        // Replacing a unit moves a sum by twice the norm that its coming or going does.
        let sensitivity = if adjacency == Adjacency::ReplaceOne { 2.0 } else { 1.0 };
        if let Some(square) = mu_squared(event) {
            return Ok(Self::gaussian(sensitivity * square.sqrt()));
        }
        let mut points = Vec::with_capacity(EPSILONS.len());
        for epsilon in EPSILONS {
            let asked = Epsilon::new(epsilon).expect("positive and finite");
            points.push((epsilon, accountant::delta(event, asked, adjacency)?.bracket.upper));
        }
        Ok(Self(Shape::Points { points, of: format!("{event}, {}", adjacency.in_words()) }))
    }

    /// f(x): the least rate of misses at a rate of false alarms `fpr` in [0, 1].
    pub fn miss_rate(&self, fpr: f64) -> f64 {
        match &self.0 {
            Shape::Gaussian { mu } => normal_cdf(-normal_quantile(fpr) - mu),
            Shape::Points { points, .. } => points.iter().fold(0.0, |most, &(epsilon, delta)| {
                let left = 1.0 - delta - fpr;
                most.max(1.0 - delta - epsilon.exp() * fpr).max((-epsilon).exp() * left)
            }),
        }
    }

    /// μ, where the curve is a Gaussian mechanism's.
    pub fn mu(&self) -> Option<f64> {
        match self.0 {
            Shape::Gaussian { mu } => Some(mu),
            Shape::Points { .. } => None,
        }
    }

    /// ε at `delta`, upper end, where the curve says one: for display, never compared.
    pub fn epsilon(&self, delta: Delta) -> Option<f64> {
        match &self.0 {
            Shape::Gaussian { mu } => Some(gdp::epsilon(*mu, delta).upper),
            Shape::Points { points, .. } => {
                points.iter().filter(|(_, d)| *d <= delta.value()).map(|(e, _)| *e).reduce(f64::min)
            }
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Gaussian { mu } => write!(f, "{mu:.4}-GDP"),
            Shape::Points { of, .. } => f.write_str(of),
        }
    }
}

/// μ² of Gaussian releases without sampling, which add up; `None` for anything else.
fn mu_squared(event: &DpEvent) -> Option<f64> {
    match event {
        DpEvent::Gaussian { noise_multiplier: z } if z.is_finite() && *z > 0.0 => Some(1.0 / (z * z)),
        DpEvent::NoOp => Some(0.0),
        DpEvent::SelfComposed { event, count } => mu_squared(event).map(|one| one * *count as f64),
        DpEvent::Composed { events } => events.iter().map(mu_squared).sum(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_of_points_lies_below_the_mechanisms_own() {
        // The same Gaussian release by its closed form, and by the (ε, δ) family of a sampled one with q next to 1.
        let gaussian = DpEvent::Gaussian { noise_multiplier: 1.0 };
        let exact = Curve::of_event(&gaussian, Adjacency::AddOrRemoveOne).unwrap();
        assert_eq!(exact.mu(), Some(1.0));
        let sampled = Curve::of_event(&gaussian.poisson_sampled(0.999_999), Adjacency::AddOrRemoveOne).unwrap();
        for x in [0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0] {
            let (below, f) = (sampled.miss_rate(x), exact.miss_rate(x));
            assert!(below <= f + 1e-9, "{x}: {below} above {f}");
            // And not far below, or nothing would ever contradict it.
            assert!(f - below < 0.03, "{x}: {below} for {f}");
        }
    }

    #[test]
    fn sampling_and_replacement_move_the_curve_the_right_way() {
        let event = DpEvent::Gaussian { noise_multiplier: 1.0 }.self_composed(4);
        let add = Curve::of_event(&event, Adjacency::AddOrRemoveOne).unwrap();
        let replace = Curve::of_event(&event, Adjacency::ReplaceOne).unwrap();
        assert_eq!((add.mu(), replace.mu()), (Some(2.0), Some(4.0)));
        let sampled = DpEvent::Gaussian { noise_multiplier: 1.0 }.poisson_sampled(0.1).self_composed(4);
        let sampled = Curve::of_event(&sampled, Adjacency::AddOrRemoveOne).unwrap();
        assert!(sampled.miss_rate(0.1) > add.miss_rate(0.1) && add.miss_rate(0.1) > replace.miss_rate(0.1));
        assert!(Curve::of_event(&DpEvent::NonPrivate, Adjacency::AddOrRemoveOne).is_err());
    }
}
