//! Who gets which speakers: clients, test set and holdout.
//!
//! The unit that moves is the speaker. No speaker stands in both train and test, nor at two clients, unless the split
//! is [`Split::Random`], which moves single clips, overstates accuracy by 12 to 55 points on real speech, and is flagged
//! in [`Partition::leaks`]. [`Partition::check`] looks for what slipped in all the same, with the data.
mod counts;
mod deal;
mod error;
mod groups;
mod holdout;
mod leak;
mod spec;
mod tested;
mod thinning;

use sottovoce_types::Examples;

pub use self::counts::{PartitionCounts, SetCounts};
use self::deal::{Dealt, deal_clips, deal_speakers};
pub use self::error::{PartitionError, TooFewSpeakers};
use self::holdout::hold_out;
pub use self::leak::{Leak, Place};
use self::spec::check;
pub use self::spec::{Fold, FoldBy, PartitionMode, PartitionSpec, Split, TestSpeakers};
use self::thinning::thin;
use crate::random::{Draws, purpose};

/// One client's data.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientData {
    /// Its name, `client-01` and on.
    pub name: String,
    /// What it trains on, by path.
    pub train: Examples,
}

/// A corpus dealt out.
#[derive(Clone, PartialEq, Debug)]
pub struct Partition {
    /// The clients, in the order of their names.
    pub clients: Vec<ClientData>,
    /// Speakers that no client has, by path.
    pub test: Examples,
    /// Clips of the clients' speakers that nobody trains on, by path.
    pub holdout: Examples,
    /// Whether test speakers are trained on: print it on every result.
    pub leaks: bool,
}

/// Places in the set sorted by path.
type Clips = Vec<usize>;

impl Partition {
    /// Deals `data` out by `spec`. The same seed gives the same partition, whatever order `data` comes in.
    ///
    /// # Errors
    /// [`PartitionError`], which names what is missing (how many speakers are needed, which clip has no group), or what
    /// stands in two places.
    pub fn draw(data: &Examples, spec: &PartitionSpec) -> Result<Self, PartitionError> {
        check(spec)?;
        let mut order: Clips = (0..data.len()).collect();
        order.sort_by(|&a, &b| {
            let key = |i: usize| (&data.meta[i].path, &data.meta[i].speaker, data.labels[i]);
            key(a).cmp(&key(b))
        });
        let data = data.select(&order);
        let mut draws = Draws::new(purpose::PARTITION, spec.seed);
        let Dealt { clients, test } = match spec.split {
            Split::Speaker => deal_speakers(&data, spec, &mut draws)?,
            Split::Random => deal_clips(&data, spec, &mut draws)?,
        };
        let select = |mut clips: Clips| {
            clips.sort_unstable();
            data.select(&clips)
        };
        let thin = |clips: Clips| match spec.mode {
            PartitionMode::Natural | PartitionMode::Speakers => clips,
            // Dealing clips has already given every client the same profile.
            PartitionMode::Balanced if spec.split == Split::Random => clips,
            PartitionMode::Balanced => thin(&data, clips, |classes| vec![1.0 / classes as f64; classes]),
            PartitionMode::Dirichlet { alpha } => thin(&data, clips, |classes| draws.dirichlet(alpha, classes)),
        };
        let thinned: Vec<Clips> = clients.into_iter().map(thin).collect();
        let mut holdout = Clips::new();
        let mut clients = Vec::with_capacity(spec.clients);
        for (clips, i) in thinned.into_iter().zip(1..) {
            let (kept, held) = hold_out(&data, clips, spec, &mut draws);
            holdout.extend(held);
            clients.push(ClientData { name: format!("client-{i:02}"), train: select(kept) });
        }
        let leaks = spec.split == Split::Random;
        let partition = Self { clients, test: select(test), holdout: select(holdout), leaks };
        partition.check()?;
        Ok(partition)
    }

    /// All clients' training examples, client by client: what the centralised baseline trains on.
    pub fn pooled(&self) -> Examples {
        let mut out = Examples::empty(self.test.width);
        self.clients.iter().for_each(|c| out.append(&c.train));
        out
    }
}

/// A fraction of a count, rounded to the nearest.
fn fraction_of(count: usize, fraction: f64) -> usize {
    (count as f64 * fraction).round() as usize
}
