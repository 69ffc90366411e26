//! Models that a malicious coordinator would like clients to train from, and what it would read off their updates.
//!
//! | | attack | what the coordinator sends |
//! |---|---|---|
//! | R4 | [`imprint`] | a first layer whose units all measure one statistic, so that the sum's rows differ by single clips |
//! | | [`silenced`] | to all but one client a model with dead units: the sum is then that one's update ("model inconsistency") |
//! | M12 | [`ascended`] | a model that has climbed the loss of one clip: who has the clip pulls it back down |
//!
//! They work through secure aggregation, because a sum of what the coordinator asked for is what it asked for. This protocol's clients
//! take no model from anyone: they compute each from what was opened, and a round that claims another is refused
//! (`sottovoce_round::ProtocolFault::WrongModel`). The tests show both.
use sottovoce_train::{TrainError, Trainer};
use sottovoce_types::{Examples, FlatParams, ModelSpec, TrainJob};

use crate::linear::norm;
use crate::stats::normal_quantile;

/// A model made for reading clips out of a sum (R4): the first hidden layer's units measure one statistic of a clip, w·x, each from
/// another threshold on; the layer after it treats all of them alike.
///
/// Fowl, Geiping, Czaja, Goldblum & Goldstein 2022, "Robbing the Fed" (arXiv:2110.13057), Section 3.1; `mean` and `deviation` of the
/// statistic are estimated on public clips. `None` of a model without a hidden layer.
pub fn imprint(spec: &ModelSpec, (mean, deviation): (f64, f64)) -> Option<FlatParams> {
    let ModelSpec::Dnn { inputs, hidden, .. } = spec else { return None };
    let units = *hidden.first()?;
    let mut model = spec.initialise(1);
    let places: Vec<(usize, usize)> = model.layout().entries().iter().map(|e| (e.offset, e.len())).collect();
    let theta = model.values_mut();
    let w = 1.0 / (*inputs as f64).sqrt();
    theta[places[0].0..][..places[0].1].fill(w as f32);
    for i in 0..units {
        let quantile = normal_quantile((i as f64 + 0.5) / units as f64);
        theta[places[1].0 + i] = -(mean + deviation * quantile) as f32;
    }
    // The same weight from every unit to each unit above, so that what comes back to them is the same; small, so that predictions are
    // about even, and of different sizes, so that it is not 0.
    let above = places[2].1 / units;
    for o in 0..above {
        let to_o = if o % 2 == 0 { 1e-3 } else { -2e-3 } * (1.0 + o as f64);
        theta[places[2].0 + o * units..][..units].fill(to_o as f32);
    }
    Some(model)
}

/// The statistic that [`imprint`]'s units measure.
pub fn imprinted_statistic(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v)).sum::<f64>() / (x.len().max(1) as f64).sqrt()
}

/// Clips in a sum of one-step updates from an imprinted model: (ΔW_i − ΔW_{i+1}) / (Δb_i − Δb_{i+1}) is the one clip whose statistic
/// lies between two thresholds, or a mixture where there are several.
pub fn read_imprint(spec: &ModelSpec, update: &[f64], tolerance: f64) -> Vec<Vec<f64>> {
    let ModelSpec::Dnn { inputs, hidden, .. } = spec else { return Vec::new() };
    let Some(&units) = hidden.first() else { return Vec::new() };
    let (weight, bias) = (&update[..inputs * units], &update[inputs * units..][..units]);
    let row = |i: usize| &weight[i * inputs..][..*inputs];
    let largest = bias.iter().fold(0.0f64, |m, b| m.max(b.abs()));
    let between = |i: usize| -> Option<Vec<f64>> {
        let next = if i + 1 < units { (row(i + 1), bias[i + 1]) } else { (&[][..], 0.0) };
        let apart = bias[i] - next.1;
        let of_next = |j: usize| next.0.get(j).copied().unwrap_or(0.0);
        (apart.abs() > tolerance * largest)
            .then(|| row(i).iter().enumerate().map(|(j, w)| (w - of_next(j)) / apart).collect())
    };
    (0..units).filter_map(between).collect()
}

/// The same model with every unit of the first layer dead: whoever trains from it leaves that layer as it is.
///
/// Pasquini, Francati & Ateniese 2022, "Eluding secure aggregation in federated learning via model inconsistency" (arXiv:2111.07380),
/// Section 4: sent to all clients but one, the sum's first layer is that one's.
pub fn silenced(model: &FlatParams) -> FlatParams {
    let mut silenced = model.clone();
    if let Some(bias) = model.layout().entries().get(1).cloned() {
        silenced.values_mut()[bias.offset..][..bias.len()].fill(-1e6);
    }
    silenced
}

/// A model that has climbed the loss of one clip by a step of length `gamma` (M12; Nasr, Shokri & Houmansadr 2019, arXiv:1812.00910,
/// Section 3.2).
///
/// # Errors
/// [`TrainError`] when the clip does not fit the model.
pub fn ascended(trainer: &Trainer, model: &FlatParams, clip: &Examples, gamma: f64) -> Result<FlatParams, TrainError> {
    let gradient = trainer.clipped_gradient(model, clip, &TrainJob::default(), f32::INFINITY)?.sum;
    let wide: Vec<f64> = gradient.iter().map(|&g| f64::from(g)).collect();
    let step = gamma / norm(&wide).max(1e-12);
    let mut climbed = model.clone();
    for (value, g) in climbed.values_mut().iter_mut().zip(&wide) {
        *value += (step * g) as f32;
    }
    Ok(climbed)
}
