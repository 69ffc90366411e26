//! The attack on a view with single updates: the last layer's bias of each.
use std::marker::PhantomData;
use std::ops::Range;

use sottovoce_types::ParamLayout;

use super::{CITATION, InferSpec, LABEL_PROFILE, LabelProfileError, ObservedUpdate, Profiles, infer};
use crate::attack::Attack;
use crate::scores::Described;
use crate::view::SingleUpdates;

/// Where the last layer's bias lies: the last tensor of the layout, when it is a vector.
pub fn last_layer_bias(layout: &ParamLayout) -> Option<Range<usize>> {
    let last = layout.entries().last()?;
    (last.shape.len() == 1).then(|| last.offset..last.offset + last.len())
}

/// [`infer`] on what a view shows: [`crate::view::ServerPlain`], or [`crate::view::MaskedTakenForPlain`] for the same code on the same
/// bytes with masks and without.
#[derive(Clone, PartialEq, Debug)]
pub struct LabelProfile<V> {
    spec: InferSpec,
    sees: PhantomData<V>,
}

impl<V: SingleUpdates> LabelProfile<V> {
    /// With what the attacker knows.
    pub fn new(spec: InferSpec) -> Self {
        Self { spec, sees: PhantomData }
    }
}

impl<V: SingleUpdates> Attack for LabelProfile<V> {
    type View<'a> = V;
    type Aux<'a> = ();
    type Found = Profiles;
    type Error = LabelProfileError;

    fn describe(&self) -> Described {
        Described { attack: LABEL_PROFILE, vantage: V::vantage(), citation: CITATION }
    }

    fn run(&self, view: &V, (): &(), _seed: u64) -> Result<Profiles, LabelProfileError> {
        infer(&bias_updates(view)?, &self.spec)
    }
}

/// The last layer's bias of each update that the view shows: one entry an input; a round that took two attempts gives two.
fn bias_updates<V: SingleUpdates>(view: &V) -> Result<Vec<ObservedUpdate>, LabelProfileError> {
    let layout = view.starts().first().map(|s| s.model.layout());
    let bias = layout.and_then(|l| last_layer_bias(l)).ok_or(LabelProfileError::NoBias)?;
    let cut = |u: &crate::view::ClientUpdate| ObservedUpdate {
        client: u.client,
        round: u.round,
        bias_update: u.values[bias.clone()].to_vec(),
    };
    Ok(view.updates().iter().map(cut).collect())
}
