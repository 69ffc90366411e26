//! Sparse graphs, for cohorts too large for everybody to share with everybody.
//!
//! Each client picks k others by itself once the roster is fixed ([`choose_neighbours`]) and signs the list
//! ([`PicksMsg`]). It gives shares of its secrets to *its picks alone* and masks with its picks *and* with those that
//! picked it ([`Neighbourhood`]). k and t come from [`out_picks`], which every party computes from the same [`Cohort`]:
//! n is the roster's, and the rest is agreed on ([`MaskGraph`]). Why it is built so, what is proven and what was
//! simulated: `proof.md` beside this module.
//!
//! Where the protocol uses it. A client:
//!
//! | state | call | on an error |
//! | --- | --- | --- |
//! | roster accepted (R0′) | [`MaskGraph::on`] | leave: the terms cannot be kept |
//! | the same | [`choose_neighbours`], [`PicksMsg::new`] over ctx1 | leave |
//! | all lists shown (R0″) | [`Graph::new`], [`Graph::own_place`], [`PicksMsg::verify`] for every list | leave |
//! | dealing (R1) | share at [`Neighbourhood::holders`], expect envelopes from [`Neighbourhood::dealers`] | |
//! | dealers known (U2) | [`Neighbourhood::check_live`], then mask with [`Neighbourhood::mask_peers`] ∩ U2 | leave |
//! | survivors known (U3), before signing | [`Graph::check_survivors`]: all of them, not only itself | leave |
//! | opening (R4) | one share for each of [`Neighbourhood::dealers`] ∩ U2 | |
//!
//! The coordinator: [`PicksMsg::verify`] for each list, [`Graph::new`], and it shows *all* lists to everybody (n·k
//! positions); of those that dealt shares it takes [`Graph::supported`] as U2. ctx2 covers [`Graph::root`]: two clients that
//! were shown different graphs hold different keys.
//! Positions are roster positions throughout.
mod neighbourhood;
mod picks;
mod refused;
mod rule;
#[cfg(test)]
mod simulation;
mod solver;
mod tail;

pub(crate) use neighbourhood::check_list;
pub use neighbourhood::{Graph, GraphFault, Neighbourhood};
pub use picks::{PickFailed, PicksMsg, choose_neighbours};
pub use refused::GraphRefused;
pub use rule::{AUTO_COMPLETE, Degrees, MaskGraph, SparseTerms};
pub use solver::{
    Adversary, Cohort, FAILURE_LOG2, GraphParameters, Infeasible, MOST_CLIENTS, PRIVACY_LOG2, harary, out_picks,
};
