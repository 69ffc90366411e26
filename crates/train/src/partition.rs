//! Who gets which speakers: clients, test set and holdout.
//!
//! The unit that moves is the speaker. No speaker stands in both train and test, nor at two clients, unless the split
//! is [`Split::Random`], which moves single clips, overstates accuracy by 12 to 55 points on real speech, and is flagged
//! in [`Partition::leaks`].
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sottovoce_types::{Examples, OutOfRange, Sex};

use crate::random::{Draws, purpose};

/// How speakers, and then clips, reach clients.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PartitionMode {
    /// As recorded: speakers in the order of their names, so that neighbours (one session's pair, one recording group)
    /// stay together; every clip is kept.
    #[default]
    Natural,
    /// Speakers drawn at random; every clip is kept.
    Speakers,
    /// Speakers drawn at random, then each client's clips thinned to equally many of every emotion it has: no client
    /// differs from another in its emotions.
    Balanced,
    /// Speakers drawn at random, then each client's clips thinned to an emotion profile from a Dirichlet distribution
    /// (Hsu, Qi and Brown, arXiv:1909.06335, §2, by client rather than by pool): one clip at least.
    Dirichlet {
        /// Concentration: 0.1 gives clients of one or two emotions, 100 nearly equal ones.
        alpha: f64,
    },
}

/// What a split keeps apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Test speakers are heard in no training clip.
    #[default]
    Speaker,
    /// Clips are split at random: a test speaker is also trained on. **Leaks**, and is flagged on every result.
    Random,
}

/// How much is tested on.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TestSpeakers {
    /// So many speakers.
    Count(usize),
    /// This fraction of the speakers, in \[0, 1).
    Fraction(f64),
}

/// How a corpus is dealt out.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionSpec {
    /// Number of clients.
    pub clients: usize,
    /// Speakers at each client; without it, all training speakers are dealt out as evenly as their number allows.
    pub speakers_per_client: Option<usize>,
    /// How speakers and clips reach clients.
    pub mode: PartitionMode,
    /// Speakers tested on, of both sexes alike as far as the corpus has them.
    pub test_speakers: TestSpeakers,
    /// Fraction of each client's clips that is never trained on, in \[0, 1), spread over its emotions and speakers: the
    /// non-members of a membership audit. Every speaker keeps one clip at least.
    pub holdout_fraction: f64,
    /// What the split keeps apart.
    pub split: Split,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for PartitionSpec {
    fn default() -> Self {
        Self {
            clients: 8,
            speakers_per_client: None,
            mode: PartitionMode::default(),
            test_speakers: TestSpeakers::Fraction(0.2),
            holdout_fraction: 0.1,
            split: Split::default(),
            seed: 1,
        }
    }
}

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

/// A corpus has too few speakers for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the partition needs {needed} speakers ({clients} clients of {per_client} and {test} to test on), the corpus has \
     {found}: ask for fewer clients, fewer speakers per client or fewer test speakers"
)]
pub struct TooFewSpeakers {
    /// Speakers needed.
    pub needed: usize,
    /// Speakers in the corpus.
    pub found: usize,
    /// Clients asked for.
    pub clients: usize,
    /// Speakers that each needs.
    pub per_client: usize,
    /// Speakers tested on.
    pub test: usize,
}

/// Why a corpus cannot be dealt out as asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// A number of the spec is out of its range.
    #[error("the partition is not possible: {0}")]
    Spec(#[from] OutOfRange),
    /// There are too few speakers.
    #[error(transparent)]
    TooFewSpeakers(#[from] TooFewSpeakers),
    /// A random split has fewer training clips than clients.
    #[error(
        "the random split leaves {found} clips to train on, fewer than its {needed} clients: ask for fewer clients"
    )]
    TooFewClips {
        /// Clips needed.
        needed: usize,
        /// Clips left after test set and holdout.
        found: usize,
    },
}

/// Places in the set sorted by path.
type Clips = Vec<usize>;

impl Partition {
    /// Deals `data` out by `spec`. The same seed gives the same partition, whatever order `data` comes in.
    ///
    /// # Errors
    /// [`PartitionError`], which names how many speakers are needed.
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
        Ok(Self { clients, test: select(test), holdout: select(holdout), leaks: spec.split == Split::Random })
    }

    /// All clients' training examples, client by client: what the centralised baseline trains on.
    pub fn pooled(&self) -> Examples {
        let mut out = Examples::empty(self.test.width);
        self.clients.iter().for_each(|c| out.append(&c.train));
        out
    }
}

struct Dealt {
    clients: Vec<Clips>,
    test: Clips,
}

fn check(spec: &PartitionSpec) -> Result<(), OutOfRange> {
    let fraction = |v: f64| (0.0..1.0).contains(&v);
    let (alpha, alpha_ok) = match spec.mode {
        PartitionMode::Dirichlet { alpha } => (alpha, alpha.is_finite() && alpha > 0.0),
        _ => (1.0, true),
    };
    let (test, test_ok) = match spec.test_speakers {
        TestSpeakers::Fraction(f) => (f, fraction(f)),
        TestSpeakers::Count(_) => (0.0, true),
    };
    let rules = [
        ("the number of clients", "at least 1", spec.clients as f64, spec.clients > 0),
        ("the number of speakers per client", "at least 1", 0.0, spec.speakers_per_client != Some(0)),
        ("the Dirichlet alpha", "finite and above 0", alpha, alpha_ok),
        ("the fraction of test speakers", "in [0, 1)", test, test_ok),
        ("the holdout fraction", "in [0, 1)", spec.holdout_fraction, fraction(spec.holdout_fraction)),
    ];
    rules.into_iter().try_for_each(|(what, must, is, ok)| if ok { Ok(()) } else { Err(OutOfRange { what, must, is }) })
}

fn deal_speakers(data: &Examples, spec: &PartitionSpec, draws: &mut Draws) -> Result<Dealt, TooFewSpeakers> {
    let mut speakers: BTreeMap<&str, Clips> = BTreeMap::new();
    for (i, meta) in data.meta.iter().enumerate() {
        speakers.entry(&meta.speaker).or_default().push(i);
    }
    let found = speakers.len();
    let test = match spec.test_speakers {
        TestSpeakers::Count(n) => n,
        TestSpeakers::Fraction(f) => fraction_of(found, f),
    };
    let per_client = spec.speakers_per_client.unwrap_or(1);
    let needed = spec.clients.saturating_mul(per_client).saturating_add(test);
    if found < needed {
        return Err(TooFewSpeakers { needed, found, clients: spec.clients, per_client, test });
    }

    let sexes: Vec<(&str, Option<Sex>)> =
        speakers.iter().map(|(&name, clips)| (name, data.meta[clips[0]].sex)).collect();
    let tested = test_speakers(&sexes, test, draws);
    let test = tested.iter().filter_map(|name| speakers.remove(name)).flatten().collect();
    let mut training: Vec<Clips> = speakers.into_values().collect();
    if spec.mode != PartitionMode::Natural {
        draws.shuffle(&mut training);
    }

    let mut clients = Vec::with_capacity(spec.clients);
    let mut left = training.into_iter();
    for client in 0..spec.clients {
        // Without a number, the speakers still left are shared by the clients still to come.
        let share = spec.speakers_per_client.unwrap_or_else(|| left.len().div_ceil(spec.clients - client));
        let mut own: Clips = left.by_ref().take(share).flatten().collect();
        draws.shuffle(&mut own);
        clients.push(own);
    }
    Ok(Dealt { clients, test })
}

/// Draws `count` speakers, from each sex in turn while it has any; speakers of unknown sex are a group of their own.
fn test_speakers<'a>(speakers: &[(&'a str, Option<Sex>)], count: usize, draws: &mut Draws) -> Vec<&'a str> {
    let mut groups: Vec<Vec<&str>> = [Some(Sex::Female), Some(Sex::Male), None]
        .into_iter()
        .map(|sex| speakers.iter().filter(|(_, s)| *s == sex).map(|&(name, _)| name).collect())
        .collect();
    for group in &mut groups {
        draws.shuffle(group);
    }
    // The larger group first, so that an odd one out falls where it is missed least.
    groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
    let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|i| groups.iter().filter_map(move |g| g.get(i).copied())).take(count).collect()
}

fn deal_clips(data: &Examples, spec: &PartitionSpec, draws: &mut Draws) -> Result<Dealt, PartitionError> {
    let speakers = data.speakers().len();
    let test = match spec.test_speakers {
        TestSpeakers::Count(n) if n >= speakers => {
            let (clients, per_client) = (spec.clients, 0);
            return Err(TooFewSpeakers { needed: n + 1, found: speakers, clients, per_client, test: n }.into());
        }
        TestSpeakers::Count(n) => n as f64 / speakers as f64,
        TestSpeakers::Fraction(f) => f,
    };
    let mut clips: Clips = (0..data.len()).collect();
    draws.shuffle(&mut clips);
    let mut rest = clips.split_off(fraction_of(clips.len(), test));
    let test = clips;
    if rest.len() < spec.clients {
        return Err(PartitionError::TooFewClips { needed: spec.clients, found: rest.len() });
    }
    if spec.mode == PartitionMode::Balanced {
        // Dealt in turn within each emotion, so that clients differ by one clip of each at most.
        rest.sort_by_key(|&i| data.labels[i]);
    }
    let deal = |client| rest.iter().copied().skip(client).step_by(spec.clients).collect();
    Ok(Dealt { clients: (0..spec.clients).map(deal).collect(), test })
}

/// Keeps as many clips as fit a profile over the emotions that are there: the largest m with m·p_c ≤ n_c for all c,
/// then ⌊m·p_c⌋ clips of emotion c; one clip of the likeliest emotion if that is none.
fn thin(data: &Examples, clips: Clips, profile: impl FnOnce(usize) -> Vec<f64>) -> Clips {
    let mut by_label: BTreeMap<u16, Clips> = BTreeMap::new();
    for i in clips {
        by_label.entry(data.labels[i]).or_default().push(i);
    }
    let profile = profile(by_label.len());
    let m = by_label.values().zip(&profile).map(|(n, p)| n.len() as f64 / p).fold(f64::INFINITY, f64::min);
    let mut kept = Vec::new();
    let mut likeliest: Option<(f64, usize)> = None;
    for (clips, p) in by_label.values().zip(profile) {
        // The emotion that bounds m must not lose a clip to rounding.
        kept.extend(clips.iter().take((m * p + 1e-9).floor() as usize));
        if likeliest.is_none_or(|(best, _)| p > best) {
            likeliest = Some((p, clips[0]));
        }
    }
    if kept.is_empty() {
        kept.extend(likeliest.map(|(_, clip)| clip));
    }
    kept
}

/// Takes a random fraction of each of a client's speakers' clips out of its training, after thinning: members and
/// non-members of a membership audit are then exchangeable. A balanced client gives the same number of each emotion and
/// stays balanced. Where speakers are kept apart, none loses its last clip.
fn hold_out(data: &Examples, mut clips: Clips, spec: &PartitionSpec, draws: &mut Draws) -> (Clips, Clips) {
    draws.shuffle(&mut clips);
    let by_emotion = spec.mode == PartitionMode::Balanced && spec.split == Split::Speaker;
    // Groups side by side; the sort is stable, so within one the order stays random: members and non-members of a
    // membership audit must be exchangeable.
    match (by_emotion, spec.split) {
        (true, _) => clips.sort_by_key(|&i| data.labels[i]),
        (false, Split::Speaker) => clips.sort_by_key(|&i| &data.meta[i].speaker),
        (false, Split::Random) => {}
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for &i in &clips {
        *left.entry(&data.meta[i].speaker).or_default() += 1;
    }
    let same_group = |&a: &usize, &b: &usize| match (by_emotion, spec.split) {
        (true, _) => data.labels[a] == data.labels[b],
        (false, Split::Speaker) => data.meta[a].speaker == data.meta[b].speaker,
        (false, Split::Random) => true,
    };
    let (mut kept, mut held) = (Clips::new(), Clips::new());
    for group in clips.chunk_by(same_group) {
        let wanted = fraction_of(group.len(), spec.holdout_fraction);
        for (place, &i) in group.iter().enumerate() {
            let speaker_left = left.get_mut(data.meta[i].speaker.as_str()).expect("counted above");
            let may_go = spec.split == Split::Random || *speaker_left > 1;
            if place < wanted && may_go {
                *speaker_left -= 1;
                held.push(i);
            } else {
                kept.push(i);
            }
        }
    }
    (kept, held)
}

/// A fraction of a count, rounded to the nearest.
fn fraction_of(count: usize, fraction: f64) -> usize {
    (count as f64 * fraction).round() as usize
}
