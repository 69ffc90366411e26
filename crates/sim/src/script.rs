//! Scripted faults: which client vanishes when, and whether it comes back.
use sottovoce_round::Deadlines;
use sottovoce_types::{RoundId, Sha256Writer};
use sottovoce_wire::Kind;

/// The last thing that a client does in a round before it vanishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropAfter {
    /// It receives the config and nothing of it is heard again.
    Config,
    /// Its keys are advertised.
    Advert,
    /// On a sparse graph: it has picked its neighbours.
    Picks,
    /// Its shares are out.
    Shares,
    /// Its masked input is in: the sum will hold it, though it is gone.
    Input,
    /// It has signed the survivor set, but opens nothing.
    Signature,
}

impl DropAfter {
    /// Every phase of the complete graph.
    pub const ALL: [Self; 5] = [Self::Config, Self::Advert, Self::Shares, Self::Input, Self::Signature];

    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Config => None,
            Self::Advert => Some(Kind::Advert),
            Self::Picks => Some(Kind::Picks),
            Self::Shares => Some(Kind::Shares),
            Self::Input => Some(Kind::MaskedInput),
            Self::Signature => Some(Kind::SurvivorSignature),
        }
    }
}

/// One client vanishing in one round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dropout {
    /// Which client, by its place in the simulation.
    pub client: usize,
    /// In which round (first attempt that reaches the phase).
    pub round: RoundId,
    /// After what.
    pub after: DropAfter,
    /// Whether it connects again after this many milliseconds.
    pub back_after_ms: Option<u64>,
}

/// What goes wrong in a simulation.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Dropouts, each happening once.
    pub dropouts: Vec<Dropout>,
    /// Clients that come back from a dropout as a new process, which knows no more than its journal.
    pub forgetful: Vec<usize>,
    /// The coordinator is killed as soon as its journal holds so many entries, and started again from it: before anything that
    /// waited for the last of them has left. In rising order.
    pub kills: Vec<usize>,
}

impl Script {
    /// Dropouts by chance: in each of `rounds` rounds each of `clients` clients vanishes with `probability`, after a step drawn
    /// uniformly from [`DropAfter::ALL`], and connects again when the deadline that it missed is over. The same `seed` gives the same
    /// dropouts, and those of a smaller probability are among those of a larger one: what is compared differs by nothing else.
    pub fn by_chance(clients: usize, rounds: u64, probability: f64, seed: u64, deadlines: Deadlines) -> Self {
        let mut dropouts = Vec::new();
        for round in 1..=rounds {
            for client in 0..clients {
                let mut draw = Sha256Writer::new("sottovoce/1/sim/dropout");
                let drawn = draw.number(seed).number(round).number(client as u64).finish();
                let word = |at: usize| {
                    let mut four = [0; 4];
                    four.copy_from_slice(&drawn.0[at..at + 4]);
                    u32::from_le_bytes(four)
                };
                // 32 bits make a uniform number below 1.
                if f64::from(word(0)) / 2f64.powi(32) >= probability {
                    continue;
                }
                let after = DropAfter::ALL[word(4) as usize % DropAfter::ALL.len()];
                let missed_ms = match after {
                    DropAfter::Config => deadlines.advert_ms,
                    _ => deadlines.phase_ms,
                };
                dropouts.push(Dropout { client, round: RoundId(round), after, back_after_ms: Some(missed_ms + 1) });
            }
        }
        Self { dropouts, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines { join_ms: 1, advert_ms: 60_000, phase_ms: 10_000 };

    #[test]
    fn as_many_drop_out_as_the_probability_says_after_every_step_alike_and_a_smaller_share_is_part_of_a_larger() {
        let of = |p: f64| Script::by_chance(50, 200, p, 7, DEADLINES).dropouts;
        let (tenth, third) = (of(0.1), of(0.3));
        // Binomial of 10 000: 5 standard deviations are 150 and 229.
        assert!(
            tenth.len().abs_diff(1000) < 150 && third.len().abs_diff(3000) < 229,
            "{} {}",
            tenth.len(),
            third.len()
        );
        assert!(tenth.iter().all(|d| third.contains(d)));
        for after in DropAfter::ALL {
            let count = third.iter().filter(|d| d.after == after).count();
            assert!(count.abs_diff(third.len() / 5) < 110, "{after:?}: {count}");
        }
        assert!(of(0.0).is_empty());
        assert_ne!(Script::by_chance(50, 200, 0.1, 8, DEADLINES).dropouts, tenth, "another seed, others");
    }
}
