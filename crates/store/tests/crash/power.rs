//! What a disk holds after the power went. Worse than most: what was not synced may be lost, torn inside a sector, or on the disk out of
//! order; names that were not synced may be as they were. What was synced is kept.
//!
//! After Pillai et al. 2014, "All File Systems Are Not Created Equal" (OSDI), §3: every prefix of the operations, and for each every subset of
//! the pending ones from a bounded family.
use std::collections::{BTreeMap, BTreeSet};

/// An operation on a file. Names are relative to the state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Made, or emptied.
    Create(String),
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        len: usize,
    },
    Sync(String),
    Rename {
        from: String,
        to: String,
    },
    Remove(String),
    /// Of the directory with this name; "" is the state directory itself.
    SyncDirectory(String),
}

/// Content by name.
pub type Files = BTreeMap<String, Vec<u8>>;

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                // A sector that never came reads as zeros.
                content.resize(content.len().max(end), 0);
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Truncate(len) => content.resize(*len, 0),
        }
    }
}

#[derive(Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

impl Inode {
    fn with<'a>(&self, changes: impl IntoIterator<Item = &'a Change>) -> Vec<u8> {
        let mut content = self.synced.clone();
        for change in changes {
            change.apply(&mut content);
        }
        content
    }

    fn all(&self) -> Vec<u8> {
        self.with(&self.pending)
    }

    /// What it may hold after a crash.
    fn outcomes(&self) -> BTreeSet<Vec<u8>> {
        let mut outcomes = BTreeSet::from([self.synced.clone(), self.all()]);
        for (i, change) in self.pending.iter().enumerate() {
            let before = &self.pending[..i];
            outcomes.insert(self.with(before));
            if let Change::Write { at, bytes } = change {
                for cut in [1, 512, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    let torn = Change::Write { at: *at, bytes: bytes[..cut.min(bytes.len())].to_vec() };
                    outcomes.insert(self.with(before.iter().chain([&torn])));
                }
            }
            // It alone was late, and what came after it was not.
            outcomes.insert(self.with(before.iter().chain(&self.pending[i + 1..])));
        }
        outcomes
    }
}

#[derive(Clone)]
enum Naming {
    Link(String, usize),
    Rename(String, String),
    Unlink(String),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename(from, to) => {
                let inode = names.remove(from).expect("a file that is renamed is there");
                names.insert(to.clone(), inode);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
        }
    }

    fn directory(&self) -> &str {
        let (Self::Link(name, _) | Self::Rename(name, _) | Self::Unlink(name)) = self;
        name.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// A disk with what is on it, and what is on its way there.
#[derive(Clone, Default)]
pub struct Disk {
    inodes: Vec<Inode>,
    synced: BTreeMap<String, usize>,
    pending: Vec<Naming>,
}

impl Disk {
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(file) => {
                if let Some(inode) = self.inode(file) {
                    inode.pending.push(Change::Truncate(0));
                } else {
                    self.inodes.push(Inode::default());
                    self.pending.push(Naming::Link(file.clone(), self.inodes.len() - 1));
                }
            }
            Op::Write { file, at, bytes } => self.change(file, Change::Write { at: *at, bytes: bytes.clone() }),
            Op::Truncate { file, len } => self.change(file, Change::Truncate(*len)),
            Op::Sync(file) => {
                let inode = self.inode(file).expect("a file that is synced is there");
                inode.synced = inode.all();
                inode.pending.clear();
            }
            Op::Rename { from, to } => self.pending.push(Naming::Rename(from.clone(), to.clone())),
            Op::Remove(file) => self.pending.push(Naming::Unlink(file.clone())),
            Op::SyncDirectory(directory) => {
                let (synced, pending) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition::<Vec<_>, _>(|naming| naming.directory() == directory);
                for naming in &synced {
                    naming.apply(&mut self.synced);
                }
                self.pending = pending;
            }
        }
    }

    /// Every content that the files may have if the power goes now.
    pub fn crashes(&self) -> BTreeSet<Files> {
        let mut crashes = BTreeSet::new();
        for kept in 0..=self.pending.len() {
            let names = self.names(kept);
            // The others are at one end or the other; one file at a time is anywhere between.
            for rest in [Inode::all, |inode: &Inode| inode.synced.clone()] {
                let files: Files =
                    names.iter().map(|(name, inode)| (name.clone(), rest(&self.inodes[*inode]))).collect();
                for (name, inode) in &names {
                    for content in self.inodes[*inode].outcomes() {
                        let mut files = files.clone();
                        files.insert(name.clone(), content);
                        crashes.insert(files);
                    }
                }
                crashes.insert(files);
            }
        }
        crashes
    }

    fn names(&self, kept: usize) -> BTreeMap<String, usize> {
        let mut names = self.synced.clone();
        for naming in &self.pending[..kept] {
            naming.apply(&mut names);
        }
        names
    }

    fn inode(&mut self, file: &str) -> Option<&mut Inode> {
        let inode = *self.names(self.pending.len()).get(file)?;
        Some(&mut self.inodes[inode])
    }

    fn change(&mut self, file: &str, change: Change) {
        self.inode(file).expect("a file that is written is there").pending.push(change);
    }
}

/// The content of files through a sequence of operations, none of them lost. For comparing a record with the directory it is of.
pub fn without_a_crash(ops: &[Op]) -> Files {
    let mut disk = Disk::default();
    for op in ops {
        disk.apply(op);
    }
    let names = disk.names(disk.pending.len());
    names.into_iter().map(|(name, inode)| (name, disk.inodes[inode].all())).collect()
}

#[test]
fn what_was_synced_is_kept_and_what_was_not_may_be_lost_torn_or_out_of_order() {
    let write = |file: &str, at, bytes: &[u8]| Op::Write { file: file.into(), at, bytes: bytes.to_vec() };
    let rename = |from: &str, to: &str| Op::Rename { from: from.into(), to: to.into() };
    let crashes = |ops: &[Op]| {
        let mut disk = Disk::default();
        for op in ops {
            disk.apply(op);
        }
        disk.crashes()
    };
    let files = |all: &[(&str, &str)]| -> Files {
        all.iter().map(|(name, content)| ((*name).into(), content.as_bytes().to_vec())).collect()
    };
    let old = [Op::Create("f".into()), write("f", 0, b"old"), Op::Sync("f".into()), Op::SyncDirectory(String::new())];
    assert_eq!(crashes(&old), BTreeSet::from([files(&[("f", "old")])]));
    let after = |more: &[Op]| crashes(&[&old[..], more].concat());
    // In place: torn.
    assert!(after(&[write("f", 0, b"NEW")]).contains(&files(&[("f", "Nld")])));
    // Two writes: the second without the first.
    assert!(after(&[write("f", 3, b"1"), write("f", 4, b"2")]).contains(&files(&[("f", "old\x002")])));
    // Beside, and renamed before it was synced: the name of the new one, with nothing in it.
    let beside = [Op::Create("p".into()), write("p", 0, b"new")];
    let hasty = after(&[&beside[..], &[rename("p", "f")]].concat());
    assert!(hasty.contains(&files(&[("f", "")])) && hasty.contains(&files(&[("f", "n")])), "{hasty:?}");
    // Synced before: the old one or the new one.
    let whole = after(&[&beside[..], &[Op::Sync("p".into()), rename("p", "f")]].concat());
    let either = [files(&[("f", "old")]), files(&[("f", "old"), ("p", "new")]), files(&[("f", "new")])];
    assert_eq!(whole, BTreeSet::from(either));
    let durable = [&beside[..], &[Op::Sync("p".into()), rename("p", "f"), Op::SyncDirectory(String::new())]].concat();
    assert_eq!(after(&durable), BTreeSet::from([files(&[("f", "new")])]));
    // Removed, and the directory not synced: it may be back.
    let removed = after(&[Op::Remove("f".into())]);
    assert_eq!(removed, BTreeSet::from([files(&[("f", "old")]), files(&[])]));
}
