//! How an institution asks to be let in: a file that it makes, whose signature shows that it holds the private key. The key itself never
//! leaves the site.
use serde::{Deserialize, Serialize};
use sottovoce_secagg::{BadSignature, Identity, labels, verify};
use sottovoce_types::Sha256Writer;

use crate::manifest::{Member, PublicKey};

/// "Let me in as this member." Without the signature somebody could enrol another's public key under a name of their own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The federation it is for: a request for one is worth nothing in another.
    federation: String,
    name: String,
    public_key: PublicKey,
    units: u32,
    #[serde(with = "crate::statement::hex_signature")]
    signature: [u8; 64],
}

impl JoinRequest {
    /// A request under this identity.
    pub fn new(identity: &Identity, federation: String, name: String, units: u32) -> Self {
        let public_key = PublicKey(identity.public_key());
        let mut request = Self { federation, name, public_key, units, signature: [0; 64] };
        request.signature = identity.sign(labels::REQUEST, &request.signed());
        request
    }

    fn signed(&self) -> Vec<u8> {
        let mut w: Sha256Writer = labels::REQUEST.hasher();
        w.field(self.federation.as_bytes()).field(self.name.as_bytes()).field(&self.public_key.0);
        w.number(self.units.into()).finish().as_bytes().to_vec()
    }

    /// The federation that it is for.
    pub fn federation(&self) -> &str {
        &self.federation
    }

    /// Who asks, as a member of the manifest.
    ///
    /// # Errors
    /// [`BadSignature`] when whoever made the request does not hold the key, or it was changed on its way.
    pub fn verify(&self) -> Result<Member, BadSignature> {
        verify(&self.public_key.0, labels::REQUEST, &self.signed(), &self.signature)?;
        Ok(Member { name: self.name.clone(), public_key: self.public_key, units: self.units })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_a_request_for_anothers_key_or_a_changed_one_is_refused() {
        let identity = Identity::from_seed([4; 32]);
        let good = JoinRequest::new(&identity, "f".into(), "north".into(), 12);
        let member = good.verify().unwrap();
        assert_eq!((member.name.as_str(), member.units), ("north", 12));
        let victim = PublicKey(Identity::from_seed([5; 32]).public_key());
        let changes: [fn(&mut JoinRequest, PublicKey); 4] = [
            |r, victim| r.public_key = victim,
            |r, _| r.units = 1200,
            |r, _| r.name = "south".into(),
            |r, _| r.federation = "g".into(),
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed, victim);
            assert_eq!(changed.verify(), Err(BadSignature));
        }
    }
}
