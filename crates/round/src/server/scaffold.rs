//! SCAFFOLD's control variate at the server (Karimireddy et al. 2020, Algorithm 1, option II), out of the one secure sum.
//!
//! Client i takes K steps of size η, each along g_i(y) + c − c_i. With Δ_i = y_i − x, option II is
//! c_i⁺ = c_i − c − Δ_i / (Kη): the mean of its own gradients g_i along the way. It sends
//!
//! U_i = Δ_i + Kη·(c − c_i) = −Kη·c_i⁺,
//!
//! that is, its update with the correction taken out again. From the weighted mean Ū of U_i over the contributors S the server forms
//!
//! x⁺ = x + η_g·Ū, c⁺ = c + |S|/N·(−Ū/(Kη) − c).
//!
//! No second vector travels, and nothing is revealed but one sum of as many words as without SCAFFOLD.
//!
//! U_i can be longer than Δ_i, by up to Kη·‖c − c_i‖: `aggregation.max_update_l2` must leave room for it.
//!
//! *Everybody contributes.* c⁺ is then the weighted mean of all c_i⁺, so from round 2 on the weighted mean of c − c_i is 0, Ū is the mean
//! of Δ_i, and the iterates are those of Algorithm 1 (with data-size weights in place of 1/N in both means). c = 0 and c_i = 0 before
//! round 1, so this holds there too.
//!
//! *Dropouts.* c becomes the running mean c⁺ = (1 − s)·c + s·(mean of c_i⁺ over S), s = |S|/N, whatever the weights. The paper instead sums
//! differences c_i⁺ − c_i and steps along the mean of Δ_i over S. Both need c to be the mean of all c_i at all times: with unequal weights
//! (|S|/N is not S's share of the weight), or when one client loses its c_i, c is off by a constant that no later round removes, and the
//! run converges to a wrong point. Here neither c⁺ nor c_i⁺ depends on what c_i was, so one round in which everybody contributes
//! puts all right, and rounds that do not bring it down by 1 − s each. The price: in a round with dropouts the model steps along the
//! contributors' own mean gradient, as FedAvg does, without the paper's correction for those who are missing. Local drift is corrected in any case.
//!
//! *Restart.* A client keeps c_i in memory. One that lost it takes c_i = c: its next round is a round of FedAvg for it, after which
//! it has a c_i again, and nothing stays behind.
use crate::plan::RunPlan;

/// The server's c, `[d]`.
#[derive(Clone)]
pub(super) struct Control {
    values: Vec<f32>,
}

impl Control {
    pub(super) fn zeros(dim: usize) -> Self {
        Self { values: vec![0.0; dim] }
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// c⁺ from the released mean Ū of `round`, to which `share` = |S|/N of the members contributed.
    pub(super) fn step(&mut self, plan: &RunPlan, round: u64, mean: &[f32], share: f64) {
        let path = plan.local_path(round);
        for (c, u) in self.values.iter_mut().zip(mean) {
            let old = f64::from(*c);
            #[allow(clippy::cast_possible_truncation, reason = "a control variate travels as f32")]
            let new = (old + share * (-f64::from(*u) / path - old)) as f32;
            *c = new;
        }
    }

    pub(super) fn to_f64(&self) -> Vec<f64> {
        self.values.iter().map(|&v| f64::from(v)).collect()
    }

    pub(super) fn restore(&mut self, values: &[f64]) {
        // Exact: it was f32 when it was kept.
        #[allow(clippy::cast_possible_truncation, reason = "kept from f32")]
        self.values.iter_mut().zip(values).for_each(|(c, v)| *c = *v as f32);
    }
}
