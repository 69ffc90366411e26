//! Who joins which round.
use super::MatrixError;

/// How often one privacy unit may take part: at most `at_most` times, any two of its rounds at least `separation` apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Participation {
    at_most: u32,
    separation: u32,
}

impl Participation {
    /// Both at least 1; separation 1 lets a unit join every round.
    ///
    /// # Errors
    /// [`MatrixError::Zero`].
    pub fn new(at_most: u32, separation: u32) -> Result<Self, MatrixError> {
        for (what, value) in [("at_most", at_most), ("separation", separation)] {
            if value == 0 {
                return Err(MatrixError::Zero { what });
            }
        }
        Ok(Self { at_most, separation })
    }

    /// Rounds that one unit joins at most.
    pub fn at_most(self) -> u32 {
        self.at_most
    }

    /// Least difference of two rounds that one unit joins.
    pub fn separation(self) -> u32 {
        self.separation
    }
}

/// Units cut into fixed cohorts: cohort t mod b joins round t. Rounds count from 0.
///
/// A unit's number must not depend on which other units exist: give numbers once and let a unit that leaves leave a gap. A
/// place in a sorted list is no such number, as one unit more would move others to another cohort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FixedCohorts {
    cohorts: u32,
}

impl FixedCohorts {
    /// With so many cohorts.
    ///
    /// # Errors
    /// [`MatrixError::Zero`] for none.
    pub fn new(cohorts: u32) -> Result<Self, MatrixError> {
        if cohorts == 0 { Err(MatrixError::Zero { what: "cohorts" }) } else { Ok(Self { cohorts }) }
    }

    /// The cohort of a unit: its number modulo the number of cohorts.
    pub fn cohort_of(self, unit: u64) -> u32 {
        u32::try_from(unit % u64::from(self.cohorts)).expect("below a u32")
    }

    /// Whether `unit` joins `round`.
    pub fn joins(self, unit: u64, round: u32) -> bool {
        self.cohort_of(unit) == round % self.cohorts
    }

    /// Those of the units 0..`units` that join `round`, in order.
    pub fn members(self, units: u64, round: u32) -> impl Iterator<Item = u64> {
        let stride = usize::try_from(self.cohorts).expect("a usize has 32 bits here");
        (u64::from(round % self.cohorts)..units).step_by(stride)
    }

    /// What a training of so many rounds asks of one unit at most.
    ///
    /// # Errors
    /// [`MatrixError::Zero`] for no rounds.
    pub fn participation(self, rounds: u32) -> Result<Participation, MatrixError> {
        if rounds == 0 {
            return Err(MatrixError::Zero { what: "rounds" });
        }
        Participation::new(rounds.div_ceil(self.cohorts), self.cohorts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_no_unit_joins_more_often_or_closer_than_its_participation_says() {
        for (cohorts, rounds) in [(1u32, 7u32), (3, 10), (4, 12), (5, 3)] {
            let fixed = FixedCohorts::new(cohorts).unwrap();
            let participation = fixed.participation(rounds).unwrap();
            let mut busiest = 0;
            for unit in 0..20 {
                let joined: Vec<u32> = (0..rounds).filter(|&t| fixed.joins(unit, t)).collect();
                assert!(joined.windows(2).all(|w| w[1] - w[0] >= participation.separation()));
                for t in 0..rounds {
                    assert_eq!(fixed.members(20, t).any(|u| u == unit), joined.contains(&t));
                }
                busiest = busiest.max(joined.len());
            }
            assert_eq!(busiest, participation.at_most() as usize, "the bound is attained");
        }
    }

    #[test]
    fn every_unit_is_in_one_cohort_and_each_round_has_one() {
        let fixed = FixedCohorts::new(4).unwrap();
        assert_eq!(fixed.members(10, 6).collect::<Vec<_>>(), [2, 6]);
        assert_eq!((0..4).map(|t| fixed.members(10, t).count()).sum::<usize>(), 10);
        assert_eq!(fixed.cohort_of(7), 3);
    }

    #[test]
    fn nothing_of_nothing_is_refused() {
        assert_eq!(FixedCohorts::new(0).unwrap_err(), MatrixError::Zero { what: "cohorts" });
        let fixed = FixedCohorts::new(1).unwrap();
        assert_eq!(fixed.participation(0).unwrap_err(), MatrixError::Zero { what: "rounds" });
        assert_eq!(Participation::new(0, 1).unwrap_err(), MatrixError::Zero { what: "at_most" });
        assert_eq!(Participation::new(1, 0).unwrap_err(), MatrixError::Zero { what: "separation" });
    }
}
