//! Which shadow trains on what.
use std::collections::BTreeMap;

use crate::random::Stream;

/// Why masks cannot be drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// Shadows come in pairs, and an attack needs some.
    #[error("{shadows} shadows: they come in pairs, and the attacks need at least {LEAST} (audit.shadows)")]
    Shadows {
        /// Shadows asked for.
        shadows: usize,
    },
    /// Half of one thing is nothing.
    #[error("{groups} speaker(s): half of them in and half of them out needs at least 2")]
    Groups {
        /// Groups found.
        groups: usize,
    },
}

/// Fewest shadows: a pair for the target, a pair that tunes, two pairs to learn from.
pub const LEAST: usize = 8;

/// Membership M ∈ {0, 1}^{S×N} of N units in S shadows, in pairs: what is in one shadow is out of the next.
///
/// So each unit is in exactly half of the shadows, and in exactly half of any set of whole pairs. The latter is what leave-one-out needs: with
/// independent rows, the number of the *other* shadows that a unit is in would tell whether it is in the one that is attacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Masks {
    rows: Vec<Vec<bool>>,
}

impl Masks {
    /// One unit for each entry of `groups`, half of each group (speaker) in: exactly half of the units, up to one.
    ///
    /// # Errors
    /// [`MaskError`] where shadows are odd or too few, or there are fewer than two units.
    pub fn within(groups: &[String], shadows: usize, seed: u64) -> Result<Self, MaskError> {
        checked(shadows, groups.len())?;
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        groups.iter().enumerate().for_each(|(i, g)| members.entry(g).or_default().push(i));
        let mut stream = Stream::new("shadow-masks", seed);
        Ok(Self::paired(shadows, || {
            let mut row = vec![false; groups.len()];
            let mut odd = stream.coin();
            for own in members.values() {
                let mut own = own.clone();
                stream.shuffle(&mut own);
                let mut half = own.len() / 2;
                if own.len() % 2 == 1 {
                    half += usize::from(odd);
                    odd = !odd;
                }
                own[..half].iter().for_each(|&i| row[i] = true);
            }
            row
        }))
    }

    /// One unit for each entry of `groups`, whole groups (speakers) in or out: exactly half of the groups, up to one. Two lists with the
    /// same groups get the same groups in, under one seed: the utterances that are trained on, and those that are held out.
    ///
    /// # Errors
    /// As [`Self::within`].
    pub fn whole(groups: &[String], shadows: usize, seed: u64) -> Result<Self, MaskError> {
        let mut names: Vec<&String> = groups.iter().collect();
        names.sort_unstable();
        names.dedup();
        checked(shadows, names.len())?;
        let mut stream = Stream::new("shadow-masks-of-speakers", seed);
        Ok(Self::paired(shadows, || {
            let mut order: Vec<usize> = (0..names.len()).collect();
            stream.shuffle(&mut order);
            let mut inside: Vec<&String> = order[..names.len() / 2].iter().map(|&i| names[i]).collect();
            inside.sort_unstable();
            groups.iter().map(|g| inside.binary_search(&g).is_ok()).collect()
        }))
    }

    fn paired(shadows: usize, mut draw: impl FnMut() -> Vec<bool>) -> Self {
        let pair = |_| {
            let row = draw();
            let other = row.iter().map(|inside| !inside).collect();
            [row, other]
        };
        Self { rows: (0..shadows / 2).flat_map(pair).collect() }
    }

    /// Masks that were stored.
    pub(crate) fn of_rows(rows: Vec<Vec<bool>>) -> Self {
        Self { rows }
    }

    /// S.
    pub fn shadows(&self) -> usize {
        self.rows.len()
    }

    /// Row of a shadow, `[N]`.
    pub fn row(&self, shadow: usize) -> &[bool] {
        &self.rows[shadow]
    }

    /// The units that a shadow trains on.
    pub fn members(&self, shadow: usize) -> Vec<usize> {
        (0..self.rows[shadow].len()).filter(|&i| self.rows[shadow][i]).collect()
    }
}

fn checked(shadows: usize, groups: usize) -> Result<(), MaskError> {
    if shadows < LEAST || shadows % 2 == 1 {
        return Err(MaskError::Shadows { shadows });
    }
    if groups < 2 { Err(MaskError::Groups { groups }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(n: usize, of: usize) -> Vec<String> {
        (0..n).map(|i| format!("s{}", i % of)).collect()
    }

    #[test]
    fn every_unit_is_in_half_of_the_shadows_and_every_shadow_has_half_of_every_speaker() {
        let speakers = groups(70, 7);
        let masks = Masks::within(&speakers, 12, 3).unwrap();
        for i in 0..70 {
            assert_eq!((0..12).filter(|&s| masks.row(s)[i]).count(), 6);
        }
        for s in 0..12 {
            for speaker in 0..7 {
                let own = (0..70).filter(|i| i % 7 == speaker && masks.row(s)[*i]).count();
                assert_eq!(own, 5, "shadow {s}, speaker {speaker}");
            }
            assert_eq!(masks.members(s).len(), 35);
        }
        assert_ne!(masks.row(0), masks.row(2));
        assert_ne!(masks, Masks::within(&speakers, 12, 4).unwrap());
        assert_eq!(masks, Masks::within(&speakers, 12, 3).unwrap());
        // Odd clips of odd speakers: half of all, up to one.
        let odd = Masks::within(&groups(15, 3), 8, 1).unwrap();
        assert!((0..8).all(|s| (7..=8).contains(&odd.members(s).len())));
    }

    #[test]
    fn whole_speakers_are_in_or_out_and_two_lists_agree_on_them() {
        let (trained, held_out) = (groups(40, 8), groups(16, 8));
        let (a, b) = (Masks::whole(&trained, 8, 5).unwrap(), Masks::whole(&held_out, 8, 5).unwrap());
        for s in 0..8 {
            assert!((0..40).all(|i| a.row(s)[i] == a.row(s)[i % 8]) && (0..16).all(|i| b.row(s)[i] == a.row(s)[i % 8]));
            assert_eq!(a.row(s)[..8].iter().filter(|inside| **inside).count(), 4);
        }
    }

    #[test]
    fn whole_pairs_of_shadows_say_nothing_about_the_one_that_is_left_out() {
        let masks = Masks::within(&groups(50, 5), 10, 1).unwrap();
        for left_out in 0..10 {
            let others = |i: usize| (0..10).filter(|s| s / 2 != left_out / 2 && masks.row(*s)[i]).count();
            assert!((0..50).all(|i| others(i) == 4));
        }
    }

    #[test]
    fn odd_and_few_shadows_and_a_single_speaker_are_refused() {
        assert_eq!(Masks::within(&groups(9, 3), 9, 1), Err(MaskError::Shadows { shadows: 9 }));
        assert_eq!(Masks::whole(&groups(9, 3), 6, 1), Err(MaskError::Shadows { shadows: 6 }));
        assert_eq!(Masks::whole(&groups(9, 1), 8, 1), Err(MaskError::Groups { groups: 1 }));
    }
}
