//! Sparse graphs, for cohorts too large for everybody to share with everybody.
//!
//! Each client picks k others by itself once the roster is fixed ([`choose_neighbours`]) and signs the list
//! ([`PicksMsg`]). It gives shares of its secrets to *its picks alone* and masks with its picks *and* with those that
//! picked it ([`Neighbourhood`]). k and t come from [`out_picks`], which every party computes from the same [`Cohort`]:
//! take n from the roster, and the rest from the agreed configuration. Why it is built so, what is proven and what was
//! simulated: `proof.md` beside this module.
//!
//! How a client's states use it:
//!
//! | state | call | on an error |
//! | --- | --- | --- |
//! | configuration checked | [`out_picks`] | leave: the terms cannot be kept |
//! | roster accepted (R0′) | [`choose_neighbours`], [`PicksMsg::new`] over ctx1 | leave |
//! | all lists shown (R0″) | [`Graph::new`], [`Graph::own_place`], [`PicksMsg::verify`] for those that name it | leave |
//! | dealing (R1) | share at [`Neighbourhood::holders`], expect envelopes from [`Neighbourhood::dealers`] | |
//! | dealers known (U2) | [`Neighbourhood::check_live`], then mask with [`Neighbourhood::mask_peers`] ∩ U2 | leave |
//! | survivors known (U3), before signing | [`Graph::check_survivors`]: all of them, not only itself | leave |
//! | opening (R4) | one share for each of [`Neighbourhood::dealers`] ∩ U2 | |
//!
//! and the coordinator's: [`PicksMsg::verify`] for each list, [`Graph::new`], and it shows *all* lists to everybody (n·k
//! positions); of the inputs that arrived it takes [`Graph::supported`] as survivors. ctx2 must cover [`Graph::root`]: two clients that were shown different graphs then hold different keys.
//! Positions are roster positions throughout.
mod neighbourhood;
mod picks;
#[cfg(test)]
mod simulation;
mod solver;
mod tail;

pub use neighbourhood::{Graph, GraphFault, Neighbourhood};
pub use picks::{PickFailed, PicksMsg, choose_neighbours};
pub use solver::{
    Adversary, Cohort, FAILURE_LOG2, GraphParameters, Infeasible, MOST_CLIENTS, PRIVACY_LOG2, harary, out_picks,
};
