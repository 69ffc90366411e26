//! Identities in TLS: RFC 7250 raw public keys, pinned on both sides.
//!
//! There are no certificates, no names and no authorities. Each side presents the Ed25519 key that the federation's
//! manifest lists for it, and proves in the TLS 1.3 handshake that it holds the private half (RFC 8446, section 4.4.3).
//! A client accepts exactly one coordinator key; a coordinator accepts exactly the members' keys. What is refused here
//! never reaches a round engine.
//!
//! There is no 0-RTT and no resumption: a replayable first flight has no place in this protocol, and a resumed session
//! would skip the proof of possession.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::ring::{default_provider, sign::any_eddsa_type};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig, SignatureScheme,
};
use sottovoce_types::ClientId;
use zeroize::Zeroizing;

use crate::reset::ResetKey;

/// The application protocol that both sides must name (RFC 7301). The number changes with the wire format.
pub const ALPN: &[u8] = b"sottovoce/1";

/// The name that QUIC needs to start a handshake. Nothing checks it and it is not sent (no SNI): keys are pinned.
pub(crate) const SERVER_NAME: &str = "sottovoce.invalid";

/// SubjectPublicKeyInfo of an Ed25519 key up to the 32 bytes of the key itself (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// PKCS#8 version 1 of an Ed25519 key up to the 32 bytes of the seed itself (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// This process' Ed25519 identity, ready to sign TLS handshakes.
///
/// It has no `Debug`, `Clone` or serialised form. The seed is wiped from our own buffer; the key that *ring* expands
/// from it lives as long as this value and the endpoints made from it.
pub struct TlsIdentity {
    key: Arc<CertifiedKey>,
    public_key: [u8; 32],
    reset_key: ResetKey,
}

impl TlsIdentity {
    /// The identity that an Ed25519 seed stands for (RFC 8032, section 5.1.5: the 32-byte private key).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut der = Zeroizing::new([0u8; PKCS8_PREFIX.len() + 32]);
        der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
        der[PKCS8_PREFIX.len()..].copy_from_slice(seed);
        let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(&der[..]))
            .expect("a fixed RFC 8410 prefix and any 32 bytes are an Ed25519 key");
        let spki = key.public_key().expect("Ed25519 keys of the ring provider know their public half").to_vec();
        let public_key = public_key_of_spki(&spki).expect("the ring provider encodes Ed25519 keys by RFC 8410");
        Self {
            key: Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key)),
            public_key,
            reset_key: ResetKey::derive(seed),
        }
    }

    /// The public half, 32 bytes by RFC 8032.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    pub(crate) fn reset_key(&self) -> &ResetKey {
        &self.reset_key
    }

    /// The client id that belongs to this identity.
    pub fn client_id(&self) -> ClientId {
        ClientId::of_public_key(&self.public_key)
    }
}

/// The TLS side of a coordinator: presents `identity`, accepts only `members`.
pub(crate) fn server_config(
    identity: &TlsIdentity,
    members: &BTreeMap<ClientId, [u8; 32]>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = PinnedMembers { members: members.clone(), keys: KeyCheck::new(&provider) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&identity.key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The TLS side of a client: presents `identity`, accepts only `coordinator_key`.
pub(crate) fn client_config(identity: &TlsIdentity, coordinator_key: &[u8; 32]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = PinnedCoordinator { key: *coordinator_key, keys: KeyCheck::new(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // custom verifier: pinning one key is stricter than what it replaces
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&identity.key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// The Ed25519 key inside a DER SubjectPublicKeyInfo, if that is exactly what it is.
pub(crate) fn public_key_of_spki(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()
}

/// Verifies the handshake signature: the proof that the peer holds the private half of the key it presented.
#[derive(Debug)]
struct KeyCheck {
    provider: Arc<CryptoProvider>,
}

impl KeyCheck {
    fn new(provider: &Arc<CryptoProvider>) -> Self {
        Self { provider: Arc::clone(provider) }
    }

    fn signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signed, &self.provider.signature_verification_algorithms)
    }
}

/// What a coordinator demands of a client's key: that it is a member's.
#[derive(Debug)]
struct PinnedMembers {
    members: BTreeMap<ClientId, [u8; 32]>,
    keys: KeyCheck,
}

impl ClientCertVerifier for PinnedMembers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let presented = presented_key(end_entity, intermediates)?;
        let client = ClientId::of_public_key(&presented);
        // The id is a hash of the key, so finding it would do; comparing the key too costs nothing and assumes nothing.
        if self.members.get(&client) == Some(&presented) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(refused(KeyRefused::NotAMember { client }))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.keys.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// What a client demands of the coordinator's key: that it is the pinned one.
#[derive(Debug)]
struct PinnedCoordinator {
    key: [u8; 32],
    keys: KeyCheck,
}

impl ServerCertVerifier for PinnedCoordinator {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = presented_key(end_entity, intermediates)?;
        if presented == self.key {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(refused(KeyRefused::NotTheCoordinator { presented, pinned: self.key }))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.keys.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn presented_key(end_entity: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<[u8; 32], rustls::Error> {
    let key = public_key_of_spki(end_entity).filter(|_| rest.is_empty());
    key.ok_or_else(|| refused(KeyRefused::NotEd25519))
}

/// Why a peer's key was refused. The text travels to the peer in the QUIC close frame: it names public keys only.
#[derive(thiserror::Error)]
enum KeyRefused {
    #[error("the peer did not present one raw Ed25519 public key (RFC 7250)")]
    NotEd25519,
    #[error(
        "identity {} is not a member of this federation; add its public key to the manifest, or use a member's identity",
        .client.to_hex()
    )]
    NotAMember { client: ClientId },
    #[error(
        "the coordinator presented the key {} but the manifest pins {}; check the address, or whether the manifest is \
         an old one", Hex(.presented), Hex(.pinned)
    )]
    NotTheCoordinator { presented: [u8; 32], pinned: [u8; 32] },
}

impl fmt::Debug for KeyRefused {
    // rustls shows a custom refusal by `Debug`, in the log and in what the peer is told: let that be the sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Hex<'a>(&'a [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn refused(why: KeyRefused) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
}

/// The TLS alert that a refused key causes (`certificate_unknown`, RFC 8446, section 6.2), as QUIC carries it
/// (RFC 9001, section 4.8: 0x0100 plus the alert).
pub(crate) const KEY_REFUSED_CODE: u64 = 0x0100 + 46;

/// The refusal's own sentence, without the words that rustls puts around it.
pub(crate) fn refusal_text(reason: &str) -> &str {
    reason
        .strip_prefix("invalid peer certificate: Other(OtherError(")
        .and_then(|rest| rest.strip_suffix("))"))
        .unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    const PUBLIC: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
        0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];

    #[test]
    fn a_seed_gives_the_public_key_of_rfc_8032() {
        let identity = TlsIdentity::from_seed(&SEED);
        assert_eq!(identity.public_key(), PUBLIC);
        assert_eq!(identity.client_id(), ClientId::of_public_key(&PUBLIC));
    }

    #[test]
    fn only_an_ed25519_spki_is_read_as_a_key() {
        let spki = [SPKI_PREFIX.as_slice(), &PUBLIC].concat();
        assert_eq!(public_key_of_spki(&spki), Some(PUBLIC));
        assert_eq!(public_key_of_spki(&spki[..43]), None, "one byte short");
        assert_eq!(public_key_of_spki(&[spki.as_slice(), &[0]].concat()), None, "one byte over");
        let mut other = spki.clone();
        other[8] = 0x71; // id-Ed448
        assert_eq!(public_key_of_spki(&other), None);
    }

    /// One handshake in memory; each side's verdict.
    fn shake(client: &TlsIdentity, server: &TlsIdentity) -> (Result<(), rustls::Error>, Result<(), rustls::Error>) {
        // Pins are by public key: what a thief of nothing but public keys would have to get past.
        let members = BTreeMap::from([(client.client_id(), client.public_key)]);
        let client_config = client_config(client, &server.public_key).unwrap();
        let mut c = rustls::ClientConnection::new(Arc::new(client_config), SERVER_NAME.try_into().unwrap()).unwrap();
        let mut s = rustls::ServerConnection::new(Arc::new(server_config(server, &members).unwrap())).unwrap();
        let (mut c_ok, mut s_ok) = (Ok(()), Ok(()));
        for _ in 0..4 {
            let mut flight = Vec::new();
            while c.wants_write() {
                c.write_tls(&mut flight).unwrap();
            }
            let mut flight = flight.as_slice();
            while s_ok.is_ok() && !flight.is_empty() {
                s.read_tls(&mut flight).unwrap();
                s_ok = s.process_new_packets().map(|_| ());
            }
            let mut flight = Vec::new();
            while s.wants_write() {
                s.write_tls(&mut flight).unwrap();
            }
            let mut flight = flight.as_slice();
            while c_ok.is_ok() && !flight.is_empty() {
                c.read_tls(&mut flight).unwrap();
                c_ok = c.process_new_packets().map(|_| ());
            }
        }
        (c_ok, s_ok)
    }

    /// The public key of one identity with the private key of another.
    fn forged(public: &TlsIdentity, private: &TlsIdentity) -> TlsIdentity {
        let key = CertifiedKey::new(public.key.cert.clone(), Arc::clone(&private.key.key));
        TlsIdentity { key: Arc::new(key), public_key: public.public_key, reset_key: ResetKey::derive(&[0; 32]) }
    }

    #[test]
    fn claim_unknown_identity_refused_in_the_handshake_without_the_private_half_of_the_key() {
        let (member, coordinator) = (TlsIdentity::from_seed(&SEED), TlsIdentity::from_seed(&[1; 32]));
        let thief = TlsIdentity::from_seed(&[2; 32]);
        let (_, server) = shake(&forged(&member, &thief), &coordinator);
        assert!(
            matches!(server, Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))),
            "a member's public key without its private half: {server:?}"
        );
        let (client, _) = shake(&member, &forged(&coordinator, &thief));
        assert!(
            matches!(client, Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))),
            "the coordinator's public key without its private half: {client:?}"
        );
        assert_eq!(shake(&member, &coordinator), (Ok(()), Ok(())));
    }

    #[test]
    fn a_key_that_is_not_pinned_is_refused_by_name() {
        let provider = Arc::new(default_provider());
        let stranger = TlsIdentity::from_seed(&[7; 32]);
        let verifier = PinnedMembers {
            members: BTreeMap::from([(ClientId::of_public_key(&PUBLIC), PUBLIC)]),
            keys: KeyCheck::new(&provider),
        };
        let refusal = verifier.verify_client_cert(&stranger.key.cert[0], &[], UnixTime::now()).unwrap_err().to_string();
        let text = refusal_text(&refusal);
        assert!(text.starts_with(&format!("identity {}", stranger.client_id().to_hex())), "{text}");
        let member = TlsIdentity::from_seed(&SEED);
        assert!(verifier.verify_client_cert(&member.key.cert[0], &[], UnixTime::now()).is_ok());
        assert!(
            verifier.verify_client_cert(&member.key.cert[0], &stranger.key.cert, UnixTime::now()).is_err(),
            "a chain is not a raw public key"
        );
    }
}
