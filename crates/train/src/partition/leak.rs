//! What a partition must keep apart.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{Hash, Hasher};

use sottovoce_types::{ExampleMeta, Examples};

use super::Partition;

/// Where a clip stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A client trains on it.
    Client(String),
    /// Nobody trains on it.
    Holdout,
    /// It is tested on.
    Test,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(name) => write!(f, "at {name}"),
            Self::Holdout => f.write_str("in the holdout"),
            Self::Test => f.write_str("in the test set"),
        }
    }
}

/// Something stands in two places that must be apart: results on such a partition mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Leak {
    /// A clip is there twice.
    #[error("clip {path} stands twice: {first} and {second}")]
    Path {
        /// The clip.
        path: String,
        /// Where it stands first.
        first: Place,
        /// Where it stands again.
        second: Place,
    },
    /// Clips of two speakers in two places are bit for bit the same: a file was copied under another speaker's name.
    #[error(
        "{path} ({first}) and {other_path} ({second}) are the same recording under the names of two speakers: one of \
         the names is wrong, remove that clip"
    )]
    SameRecording {
        /// One clip.
        path: String,
        /// The other.
        other_path: String,
        /// Where the one stands.
        first: Place,
        /// Where the other stands.
        second: Place,
    },
    /// A speaker is in two places.
    #[error(
        "speaker {speaker} is both {first} and {second}: no speaker may be at two clients, or trained and tested on"
    )]
    Speaker {
        /// The speaker.
        speaker: String,
        /// One place.
        first: Place,
        /// The other.
        second: Place,
    },
}

impl Partition {
    /// Looks for what would make results on this partition too good: [`Partition::draw`] ends with it, and a partition put
    /// together by other means must pass it before anything is trained.
    ///
    /// - No speaker is at two clients, at a client and in the test set, or in the holdout and the test set. A partition
    ///   that says that it [leaks](Partition::leaks) is excused from this alone.
    /// - No path occurs twice, wherever.
    /// - No two clips of different speakers, at two clients or at a client and in the test set, have the same features bit
    ///   for bit. A held-out clip counts as its speaker's client's: a copy of it that is trained on elsewhere would be a
    ///   member among the non-members of an audit. Rows of one repeated value identify nothing and are left out: the only
    ///   clip of a speaker, standardised on itself, is all zeros.
    ///
    /// # What it cannot see
    /// A person who is in the data under two names (`1001` and `actor-1001`, or in two corpora) is two speakers to it. A
    /// copy of a file whose features differ in one bit is another recording: features standardised per speaker, say, where
    /// not all of a speaker's clips were copied.
    ///
    /// Linear in the number of clips.
    ///
    /// # Errors
    /// The first [`Leak`] found.
    pub fn check(&self) -> Result<(), Leak> {
        let homes = if self.leaks { HashMap::new() } else { self.speakers_apart()? };
        self.paths_once()?;
        self.recordings_apart(&homes)
    }

    /// Where each speaker is trained or tested on.
    fn speakers_apart(&self) -> Result<HashMap<&str, Site>, Leak> {
        let mut homes: HashMap<&str, Site> = HashMap::new();
        for (site, set) in self.sets() {
            for ExampleMeta { speaker, .. } in &set.meta {
                match homes.entry(speaker) {
                    Entry::Vacant(home) => {
                        home.insert(site);
                    }
                    Entry::Occupied(home) if may_share(*home.get(), site) => {}
                    Entry::Occupied(home) => {
                        let (first, second) = (self.place(*home.get()), self.place(site));
                        return Err(Leak::Speaker { speaker: speaker.clone(), first, second });
                    }
                }
            }
        }
        Ok(homes)
    }

    fn paths_once(&self) -> Result<(), Leak> {
        let mut seen: HashMap<&str, Site> = HashMap::new();
        for (site, set) in self.sets() {
            for ExampleMeta { path, .. } in &set.meta {
                if let Some(first) = seen.insert(path, site) {
                    let (first, second) = (self.place(first), self.place(site));
                    return Err(Leak::Path { path: path.clone(), first, second });
                }
            }
        }
        Ok(())
    }

    fn recordings_apart(&self, homes: &HashMap<&str, Site>) -> Result<(), Leak> {
        let mut seen: HashMap<Bits<'_>, Vec<Heard<'_>>> = HashMap::new();
        for (site, set) in self.sets() {
            for (i, meta) in set.meta.iter().enumerate() {
                let row = Bits(set.row(i));
                if row.is_constant() {
                    continue;
                }
                let home = homes.get(meta.speaker.as_str()).copied().unwrap_or(site);
                let heard = seen.entry(row).or_default();
                if let Some(other) = heard.iter().find(|h| h.home != home && h.meta.speaker != meta.speaker) {
                    return Err(Leak::SameRecording {
                        path: other.meta.path.clone(),
                        other_path: meta.path.clone(),
                        first: self.place(other.site),
                        second: self.place(site),
                    });
                }
                // One of a speaker's equal clips in a place stands for all: the list stays short.
                if !heard.iter().any(|h| h.home == home && h.meta.speaker == meta.speaker) {
                    heard.push(Heard { site, home, meta });
                }
            }
        }
        Ok(())
    }

    /// All clips, the holdout last.
    fn sets(&self) -> impl Iterator<Item = (Site, &Examples)> {
        let clients = self.clients.iter().enumerate().map(|(i, client)| (Site::Client(i), &client.train));
        clients.chain([(Site::Test, &self.test), (Site::Holdout, &self.holdout)])
    }

    fn place(&self, site: Site) -> Place {
        match site {
            Site::Client(i) => Place::Client(self.clients[i].name.clone()),
            Site::Holdout => Place::Holdout,
            Site::Test => Place::Test,
        }
    }
}

/// A [`Place`] by number: two clients of one name are still two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    Client(usize),
    Holdout,
    Test,
}

/// Whether a speaker met at `home` may also be met at `site`; the holdout comes last.
fn may_share(home: Site, site: Site) -> bool {
    home == site || (site == Site::Holdout && home != Site::Test)
}

/// A clip met before.
struct Heard<'a> {
    site: Site,
    home: Site,
    meta: &'a ExampleMeta,
}

/// A row of features, equal to another only bit for bit.
struct Bits<'a>(&'a [f32]);

impl Bits<'_> {
    fn is_constant(&self) -> bool {
        self.0.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits())
    }
}

impl PartialEq for Bits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|v| v.to_bits()).eq(other.0.iter().map(|v| v.to_bits()))
    }
}

impl Eq for Bits<'_> {}

impl Hash for Bits<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|v| v.to_bits().hash(state));
    }
}
