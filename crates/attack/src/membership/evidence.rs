//! What a shadow attack may look at: φ of each clip under the target, under shadows that trained on it, and under shadows that did not.
use crate::shadows::ShadowLogits;

/// φ of some clips, `[n]` each.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Evidence {
    /// Under the model that is attacked.
    pub target: Vec<f64>,
    /// Under the shadows that trained on the clip.
    pub inside: Vec<Vec<f64>>,
    /// Under those that did not.
    pub outside: Vec<Vec<f64>>,
}

impl Evidence {
    /// Clips.
    pub fn len(&self) -> usize {
        self.target.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.target.is_empty()
    }
}

/// A shadow that an attack trains itself on, as if it were the target: its own evidence and its truths.
#[derive(Clone, PartialEq, Debug)]
pub struct Rehearsal {
    /// The shadow's evidence, without the shadow, its pair and the target's.
    pub clips: Evidence,
    /// Its evidence of the population.
    pub population: Evidence,
    /// What it trained on.
    pub member: Vec<bool>,
}

/// All that one target's attacks may look at.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// Of the clips that are scored.
    pub clips: Evidence,
    /// Of public clips that neither the target nor a shadow trained on.
    pub population: Evidence,
    /// A shadow to rehearse on. Of its pair nothing is in `clips` or `population`.
    pub rehearsal: Rehearsal,
}

impl ShadowLogits {
    /// The view of an attack on a model outside: the released one. `target` `[N]`, `population` `[Z]`. Shadows 0 and 1 are for rehearsal.
    pub fn view_of(&self, target: &[f64], population: &[f64]) -> View {
        self.view(target, population, None, 0)
    }

    /// The view of an attack on shadow `target`, and what that trained on. The shadow that is its complement is left out with it
    /// ([`Masks`](crate::shadows::Masks) says why), and the next pair is for rehearsal.
    ///
    /// Where there is nothing to find, areas over all shadows lean a little below 0.5: a target is missing from the mean of its own side, so that what
    /// it has in excess, that mean lacks. The lean shrinks with the number of shadows, and is never to the attack's favour.
    pub fn leave_one_out(&self, target: usize) -> (View, &[bool]) {
        let pair = target / 2;
        let rehearsal = (pair + 1) % (self.scored.len() / 2);
        let view = self.view(&self.scored[target], &self.population[target], Some(pair), rehearsal);
        (view, self.member.row(target))
    }

    fn view(&self, target: &[f64], population: &[f64], attacked: Option<usize>, rehearsal: usize) -> View {
        let shadows: Vec<usize> =
            (0..self.scored.len()).filter(|s| s / 2 != rehearsal && Some(s / 2) != attacked).collect();
        let clips = |target: &[f64]| {
            let under = |inside: bool| {
                let of = |i: usize| {
                    let own = shadows.iter().filter(|s| self.member.row(**s)[i] == inside);
                    own.map(|s| self.scored[*s][i]).collect()
                };
                (0..target.len()).map(of).collect()
            };
            Evidence { target: target.to_vec(), inside: under(true), outside: under(false) }
        };
        let public = |target: &[f64]| {
            let outside = (0..target.len()).map(|i| shadows.iter().map(|s| self.population[*s][i]).collect()).collect();
            Evidence { target: target.to_vec(), inside: vec![Vec::new(); target.len()], outside }
        };
        let shadow = 2 * rehearsal;
        View {
            clips: clips(target),
            population: public(population),
            rehearsal: Rehearsal {
                clips: clips(&self.scored[shadow]),
                population: public(&self.population[shadow]),
                member: self.member.row(shadow).to_vec(),
            },
        }
    }
}

/// Mean and sum of squared deviations.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum())
}

/// p of the true class from φ.
pub(super) fn probability(phi: f64) -> f64 {
    1.0 / (1.0 + (-phi).exp())
}

/// ℓ = −log p of the true class from φ: log(1 + e^−φ).
pub(super) fn loss(phi: f64) -> f64 {
    if phi > 0.0 { (-phi).exp().ln_1p() } else { phi.exp().ln_1p() - phi }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadows::Masks;

    #[test]
    fn an_attack_never_sees_the_shadow_that_it_attacks_nor_the_one_it_rehearses_on() {
        let who: Vec<String> = (0..12).map(|i| format!("s{}", i % 3)).collect();
        let member = Masks::within(&who, 8, 1).unwrap();
        // Each shadow answers with its own number.
        let rows = |n: usize| (0..8u32).map(|s| vec![f64::from(s); n]).collect::<Vec<_>>();
        let logits = ShadowLogits { member, scored: rows(12), population: rows(3) };
        for target in 0..8usize {
            let (view, truth) = logits.leave_one_out(target);
            let next = (target / 2 + 1) % 4;
            assert_eq!(truth, logits.member.row(target));
            assert!(view.rehearsal.clips.target.iter().all(|&s| s as usize == 2 * next));
            for i in 0..12 {
                let (inside, outside) = (&view.clips.inside[i], &view.clips.outside[i]);
                // As many in as out, whatever the truth is.
                assert_eq!((inside.len(), outside.len()), (2, 2));
                let pairs = inside.iter().chain(outside).map(|&s| s as usize / 2);
                assert!(pairs.into_iter().all(|p| p != target / 2 && p != next));
                assert!(inside.iter().all(|&s| logits.member.row(s as usize)[i]));
            }
            assert!(view.population.outside.iter().all(|o| o.len() == 4));
        }
        let released = logits.view_of(&[9.0; 12], &[9.0; 3]);
        assert_eq!((released.clips.inside[0].len(), released.clips.outside[0].len()), (3, 3));
    }

    #[test]
    fn losses_and_probabilities_of_phi_are_stable() {
        assert!((loss(0.0) - 2f64.ln()).abs() < 1e-12 && (loss(-700.0) - 700.0).abs() < 1e-9);
        assert!(loss(700.0) > 0.0 && (probability(0.0) - 0.5).abs() < 1e-15);
        assert!(((-loss(1.3)).exp() - probability(1.3)).abs() < 1e-12);
    }
}
