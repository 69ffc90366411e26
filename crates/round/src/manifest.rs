//! Who belongs to the federation: identities pinned by everyone before the first round.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sottovoce_types::{ClientId, Digest, Sha256Writer};

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
    coordinator: PublicKey,
    members: Vec<Member>,
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
}

impl Manifest {
    /// Joins the members of a federation.
    ///
    /// # Errors
    /// [`ManifestError`] for duplicate keys, a member that is the coordinator, or one without units.
    pub fn new(federation: String, coordinator: PublicKey, members: Vec<Member>) -> Result<Self, ManifestError> {
        let mut by_id: BTreeMap<ClientId, &Member> = BTreeMap::new();
        for member in &members {
            if member.public_key == coordinator {
                return Err(ManifestError::CoordinatorIsMember(member.name.clone()));
            }
            if member.units == 0 {
                return Err(ManifestError::NoUnits(member.name.clone()));
            }
            if let Some(first) = by_id.insert(ClientId::of_public_key(&member.public_key.0), member) {
                return Err(ManifestError::DuplicateKey { first: first.name.clone(), second: member.name.clone() });
            }
        }
        let keys = Arc::new(by_id.iter().map(|(&id, m)| (id, m.public_key.0)).collect());
        Ok(Self { raw: RawManifest { federation, coordinator, members }, keys })
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

    /// Identifies the federation.
    pub fn digest(&self) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/1/manifest");
        w.field(self.raw.federation.as_bytes()).field(&self.raw.coordinator.0);
        for m in &self.raw.members {
            w.field(m.name.as_bytes()).field(&m.public_key.0).number(m.units.into());
        }
        w.finish()
    }
}

impl TryFrom<RawManifest> for Manifest {
    type Error = ManifestError;
    fn try_from(raw: RawManifest) -> Result<Self, ManifestError> {
        Self::new(raw.federation, raw.coordinator, raw.members)
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

    #[test]
    fn one_identity_cannot_be_two_members() {
        let two = Manifest::new("f".into(), PublicKey([9; 32]), vec![member("a", 1), member("b", 1)]);
        assert_eq!(two, Err(ManifestError::DuplicateKey { first: "a".into(), second: "b".into() }));
        let also = Manifest::new("f".into(), PublicKey([1; 32]), vec![member("a", 1)]);
        assert_eq!(also, Err(ManifestError::CoordinatorIsMember("a".into())));
        let good = Manifest::new("f".into(), PublicKey([9; 32]), vec![member("a", 1), member("b", 2)]).unwrap();
        assert_eq!(good.total_units(), 4);
    }
}
