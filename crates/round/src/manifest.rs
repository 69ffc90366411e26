//! Who belongs to the federation: identities pinned by everyone before the first round.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sottovoce_secagg::{Identity, labels, verify};
use sottovoce_types::{ClientId, Digest};

/// An Ed25519 public key; 64 hexadecimal digits in files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest(self.0), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Digest::from_hex(&text)
            .map(|d| Self(d.0))
            .ok_or_else(|| serde::de::Error::custom("an Ed25519 public key is 64 hexadecimal digits"))
    }
}

/// One client of the federation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// A name for people.
    pub name: String,
    /// Its identity key.
    pub public_key: PublicKey,
    /// Privacy units (speakers or utterances, as the run says; not looked at when the unit is the client) that it may
    /// contribute in a round. Public: the coordinator divides by it.
    pub units: u32,
}

/// The federation as its members agreed on it. Its digest is pinned by everyone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RawManifest", into = "RawManifest")]
pub struct Manifest {
    raw: RawManifest,
    keys: Arc<BTreeMap<ClientId, [u8; 32]>>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    federation: String,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    revision: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Digest>,
    coordinator: PublicKey,
    members: Vec<Member>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<Endorsement>,
}

fn first() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_first(revision: &u32) -> bool {
    *revision == first()
}

/// "This is the federation that we agreed on", signed by one who may say so: the consortium, or a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsement {
    /// Whose signature it is.
    pub by: PublicKey,
    /// Over the manifest's digest.
    #[serde(with = "crate::statement::hex_signature")]
    pub signature: [u8; 64],
}

/// A manifest that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The same key twice.
    #[error("members {first:?} and {second:?} have the same public key: one identity is one member")]
    DuplicateKey {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// The coordinator is also a member.
    #[error("member {0:?} has the coordinator's public key: the coordinator must not be a client")]
    CoordinatorIsMember(String),
    /// A member without units.
    #[error("member {0:?} declares 0 units: it could contribute nothing")]
    NoUnits(String),
    /// A name that two members share.
    #[error("two members are called {0:?}: people tell them apart by name")]
    DuplicateName(String),
    /// A later revision that does not say which it revises, or a first one that does.
    #[error("revision {revision} {problem}: `sottovoce cert manifest --revises` writes both")]
    Revision {
        /// Its number.
        revision: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// A signature that does not hold: the manifest was changed after it was signed, or it was never signed by this key.
    #[error("the signature of {by} does not hold for this manifest: it was changed after it was signed")]
    BadEndorsement {
        /// Whose it claims to be.
        by: PublicKey,
    },
    /// The same signer twice.
    #[error("{by} signed twice")]
    EndorsedTwice {
        /// Who.
        by: PublicKey,
    },
}

impl Manifest {
    /// Joins the members of a federation: its first revision, signed by nobody.
    ///
    /// # Errors
    /// [`ManifestError`] for duplicate keys or names, a member that is the coordinator, or one without units.
    pub fn new(federation: String, coordinator: PublicKey, members: Vec<Member>) -> Result<Self, ManifestError> {
        let (revision, previous, signatures) = (first(), None, Vec::new());
        Self::checked(RawManifest { federation, revision, previous, coordinator, members, signatures })
    }

    /// The next revision of this one, with other members: who joins, who leaves, whose key is another. Signed by nobody.
    ///
    /// # Errors
    /// As [`Manifest::new`].
    pub fn revised(&self, coordinator: PublicKey, members: Vec<Member>) -> Result<Self, ManifestError> {
        let federation = self.raw.federation.clone();
        let (revision, previous) = (self.raw.revision.saturating_add(1), Some(self.digest()));
        Self::checked(RawManifest { federation, revision, previous, coordinator, members, signatures: Vec::new() })
    }

    fn checked(raw: RawManifest) -> Result<Self, ManifestError> {
        let mut by_id: BTreeMap<ClientId, &Member> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for member in &raw.members {
            if member.public_key == raw.coordinator {
                return Err(ManifestError::CoordinatorIsMember(member.name.clone()));
            }
            if member.units == 0 {
                return Err(ManifestError::NoUnits(member.name.clone()));
            }
            if let Some(first) = by_id.insert(ClientId::of_public_key(&member.public_key.0), member) {
                return Err(ManifestError::DuplicateKey { first: first.name.clone(), second: member.name.clone() });
            }
            if !names.insert(&member.name) {
                return Err(ManifestError::DuplicateName(member.name.clone()));
            }
        }
        let problem = match (raw.revision, raw.previous) {
            (0, _) => Some("does not exist, they count from 1"),
            (1, Some(_)) => Some("revises another"),
            (2.., None) => Some("does not say which it revises"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(ManifestError::Revision { revision: raw.revision, problem });
        }
        let keys = Arc::new(by_id.iter().map(|(&id, m)| (id, m.public_key.0)).collect());
        let manifest = Self { raw, keys };
        manifest.check_signatures()?;
        Ok(manifest)
    }

    fn check_signatures(&self) -> Result<(), ManifestError> {
        let digest = self.digest();
        let mut signers = BTreeSet::new();
        for Endorsement { by, signature } in &self.raw.signatures {
            if verify(&by.0, labels::MANIFEST, digest.as_bytes(), signature).is_err() {
                return Err(ManifestError::BadEndorsement { by: *by });
            }
            if !signers.insert(by) {
                return Err(ManifestError::EndorsedTwice { by: *by });
            }
        }
        Ok(())
    }

    /// Adds this identity's signature, once.
    pub fn endorse(&mut self, identity: &Identity) {
        let by = PublicKey(identity.public_key());
        if !self.raw.signatures.iter().any(|s| s.by == by) {
            let signature = identity.sign(labels::MANIFEST, self.digest().as_bytes());
            self.raw.signatures.push(Endorsement { by, signature });
        }
    }

    /// Who signed this revision; every signature was checked when it was read.
    pub fn endorsed_by(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.raw.signatures.iter().map(|s| s.by)
    }

    /// Its number, from 1.
    pub fn revision(&self) -> u32 {
        self.raw.revision
    }

    /// Digest of the revision before it.
    pub fn previous(&self) -> Option<Digest> {
        self.raw.previous
    }

    /// Name of the federation.
    pub fn federation(&self) -> &str {
        &self.raw.federation
    }

    /// The coordinator's identity key.
    pub fn coordinator(&self) -> PublicKey {
        self.raw.coordinator
    }

    /// The members as listed.
    pub fn members(&self) -> &[Member] {
        &self.raw.members
    }

    /// Identity keys by client id.
    pub fn keys(&self) -> &Arc<BTreeMap<ClientId, [u8; 32]>> {
        &self.keys
    }

    /// A member by id.
    pub fn member(&self, id: &ClientId) -> Option<&Member> {
        let key = self.keys.get(id)?;
        self.raw.members.iter().find(|m| m.public_key.0 == *key)
    }

    /// Units of all members together: the N of the privacy statement.
    pub fn total_units(&self) -> u64 {
        self.raw.members.iter().map(|m| u64::from(m.units)).sum()
    }

    /// Number of members.
    pub fn len(&self) -> u32 {
        u32::try_from(self.raw.members.len()).unwrap_or(u32::MAX)
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.raw.members.is_empty()
    }

    /// Identifies this revision of the federation; signatures are over it, not part of it.
    pub fn digest(&self) -> Digest {
        let mut w = labels::MANIFEST.hasher();
        w.field(self.raw.federation.as_bytes()).field(&self.raw.coordinator.0);
        w.number(self.raw.revision.into());
        w.field(self.raw.previous.as_ref().map_or(&[][..], |p| p.as_bytes()));
        for m in &self.raw.members {
            w.field(m.name.as_bytes()).field(&m.public_key.0).number(m.units.into());
        }
        w.finish()
    }
}

impl TryFrom<RawManifest> for Manifest {
    type Error = ManifestError;
    fn try_from(raw: RawManifest) -> Result<Self, ManifestError> {
        Self::checked(raw)
    }
}

impl From<Manifest> for RawManifest {
    fn from(m: Manifest) -> Self {
        m.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, byte: u8) -> Member {
        Member { name: name.into(), public_key: PublicKey([byte; 32]), units: 2 }
    }

    fn federation(members: &[(&str, u8)]) -> Manifest {
        let members = members.iter().map(|&(name, byte)| member(name, byte)).collect();
        Manifest::new("f".into(), PublicKey([9; 32]), members).unwrap()
    }

    fn read(raw: &RawManifest) -> Result<Manifest, ManifestError> {
        let text = serde_json::to_string(raw).unwrap();
        Manifest::try_from(serde_json::from_str::<RawManifest>(&text).unwrap())
    }

    #[test]
    fn claim_a_changed_manifest_or_a_foreign_signature_is_refused() {
        let consortium = Identity::from_seed([7; 32]);
        let mut good = federation(&[("a", 1), ("b", 2)]);
        let digest = good.digest();
        good.endorse(&consortium);
        good.endorse(&consortium);
        assert_eq!(good.digest(), digest, "a signature changes nothing that is signed");
        let by = PublicKey(consortium.public_key());
        assert_eq!(read(&good.raw).unwrap().endorsed_by().collect::<Vec<_>>(), [by]);

        let refused = Err(ManifestError::BadEndorsement { by });
        let changes: [fn(&mut RawManifest); 6] = [
            |m| m.members[1].public_key = PublicKey([3; 32]),
            |m| m.members[1].units = 3,
            |m| m.members[1].name = "c".into(),
            |m| m.members.truncate(1),
            |m| m.coordinator = PublicKey([8; 32]),
            |m| (m.revision, m.previous) = (2, Some(Digest::of(b"another"))),
        ];
        for change in changes {
            let mut raw = good.raw.clone();
            change(&mut raw);
            assert_eq!(read(&raw), refused);
        }
        let mut raw = good.raw.clone();
        raw.signatures[0].by = PublicKey(Identity::from_seed([6; 32]).public_key());
        assert_eq!(read(&raw), Err(ManifestError::BadEndorsement { by: raw.signatures[0].by }));
        let mut raw = good.raw.clone();
        raw.signatures.push(raw.signatures[0]);
        assert_eq!(read(&raw), Err(ManifestError::EndorsedTwice { by }));
    }

    #[test]
    fn a_revision_names_the_one_before_it() {
        let old = federation(&[("a", 1), ("b", 2)]);
        let new = old.revised(PublicKey([9; 32]), vec![member("a", 1), member("b", 3)]).unwrap();
        assert_eq!((new.revision(), new.previous(), new.federation()), (2, Some(old.digest()), "f"));
        assert_ne!(new.digest(), old.digest());
        for (revision, previous) in [(0, None), (1, Some(old.digest())), (2, None)] {
            let refused = read(&RawManifest { revision, previous, ..new.raw.clone() });
            assert!(matches!(refused, Err(ManifestError::Revision { .. })), "{refused:?}");
        }
    }

    #[test]
    fn one_identity_cannot_be_two_members() {
        let two = Manifest::new("f".into(), PublicKey([9; 32]), vec![member("a", 1), member("b", 1)]);
        assert_eq!(two, Err(ManifestError::DuplicateKey { first: "a".into(), second: "b".into() }));
        let also = Manifest::new("f".into(), PublicKey([1; 32]), vec![member("a", 1)]);
        assert_eq!(also, Err(ManifestError::CoordinatorIsMember("a".into())));
        let good = Manifest::new("f".into(), PublicKey([9; 32]), vec![member("a", 1), member("b", 2)]).unwrap();
        assert_eq!(good.total_units(), 4);
        let namesakes = Manifest::new("f".into(), PublicKey([9; 32]), vec![member("a", 1), member("a", 2)]);
        assert_eq!(namesakes, Err(ManifestError::DuplicateName("a".into())));
    }
}
