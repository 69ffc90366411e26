//! A certificate shows whose inputs a sum is over, and nothing that is changed in it passes.
use sottovoce_secagg::*;
use sottovoce_types::Digest;

use crate::driver::Cohort;

/// Five clients with f = 1 (q = 4), one of them gone before its input.
fn opened() -> (Cohort, Certificate, SecureSum) {
    let mut c = Cohort::new(5, 1);
    let alive = [0, 1, 2, 4];
    let (states, mut server, quorum) = c.until_quorum(&alive);
    for (i, state) in alive.iter().zip(states) {
        let message = state.quorum(quorum.clone(), &c.sites[*i]).unwrap();
        server.opening(c.id(*i), message).unwrap();
    }
    let sum = server.close().unwrap();
    let certificate = c.pass(sottovoce_wire::Kind::Result, sum.certificate());
    (c, certificate, sum)
}

#[test]
fn claim_a_certificate_shows_the_contributors_that_the_quorum_signed_for() {
    let (c, certificate, sum) = opened();
    let shown = certificate.verify(&c.session).unwrap();
    assert_eq!(shown.contributors, sum.contributors());
    assert_eq!(shown.ctx3, sum.ctx3());
    assert_eq!(shown.honest_floor, sum.honest_floor());
}

#[test]
fn claim_nothing_that_is_changed_in_a_certificate_passes() {
    let (c, genuine, _) = opened();
    let refused = |what: &str, change: &dyn Fn(&mut Certificate)| {
        let mut certificate = genuine.clone();
        change(&mut certificate);
        assert_ne!(certificate, genuine, "{what}");
        certificate.verify(&c.session).expect_err(what)
    };
    let signature = |fault: CertificateRefused| assert!(matches!(fault, CertificateRefused::Signature(_)), "{fault}");
    signature(refused("another root of the adverts", &|k| k.adverts_root = Digest::of(b"other")));
    signature(refused("another root of the shares", &|k| k.shares_root = Digest::of(b"other")));
    let graph = refused("a graph where there is none", &|k| k.graph_root = Some(Digest::of(b"graph")));
    assert_eq!(graph, CertificateRefused::Graph { n: 5 });
    signature(refused("another input", &|k| k.inputs[1].root = Digest::of(b"other")));
    signature(refused("a dealer left out", &|k| k.dealers.retain(|i| *i != 3)));
    signature(refused("a client less on the roster", &|k| {
        k.roster.pop();
        k.dealers.pop();
        k.inputs.last_mut().unwrap().index = 3;
        k.signatures.last_mut().unwrap().index = 3;
    }));
    signature(refused("the client that is gone in the place of one that is not", &|k| {
        k.inputs[3].index = 3;
        k.signatures[3].index = 3;
    }));
    signature(refused("one signature for another", &|k| k.signatures[0].signature = k.signatures[1].signature));
    let few = |fault: CertificateRefused, of: &str| {
        assert!(matches!(fault, CertificateRefused::TooFew { what, .. } if what == of), "{fault}");
    };
    few(refused("a signature less than q", &|k| k.signatures.truncate(3)), "signatures");
    few(refused("a survivor less than q", &|k| k.inputs.truncate(3)), "survivors");
    few(refused("a dealer less than q", &|k| k.dealers.truncate(3)), "dealers");
    few(refused("an empty roster", &|k| k.roster.clear()), "clients on the roster");
    let malformed = |fault: CertificateRefused| assert!(matches!(fault, CertificateRefused::Malformed(_)), "{fault}");
    malformed(refused("one signature twice", &|k| k.signatures[0] = k.signatures[1].clone()));
    malformed(refused("a signer who is no survivor", &|k| k.signatures[2].index = 3));
    malformed(refused("a survivor who dealt nothing", &|k| k.dealers.retain(|i| *i != 1)));
    malformed(refused("a dealer beyond the roster", &|k| k.dealers[4] = 5));
    malformed(refused("a roster out of order", &|k| k.roster.swap(0, 1)));
    // A stranger, under whichever signature.
    let stranger = Cohort::seeded(1, 0, 9);
    let mut roster = genuine.roster.clone();
    roster[0] = stranger.id(0);
    roster.sort();
    let fault = Certificate { roster, ..genuine.clone() }.verify(&c.session).unwrap_err();
    assert_eq!(fault, CertificateRefused::Stranger(stranger.id(0)));
}

#[test]
fn claim_a_certificate_of_other_terms_does_not_pass() {
    let (c, certificate, _) = opened();
    let under = |change: &dyn Fn(&mut Session)| {
        let mut session = c.session.clone();
        change(&mut session);
        certificate.verify(&session).unwrap_err()
    };
    assert!(matches!(under(&|s| s.cfg = Digest::of(b"another attempt")), CertificateRefused::Signature(_)));
    assert!(matches!(under(&|s| s.words = 4), CertificateRefused::Signature(_)));
    assert!(matches!(
        under(&|s| s.max_corrupt = 2),
        CertificateRefused::TooFew { .. } | CertificateRefused::Signature(_)
    ));
    assert!(matches!(under(&|s| s.max_corrupt = 4), CertificateRefused::HonestFloor { floor: 1 }));
    assert!(matches!(under(&|s| s.n_min = 6), CertificateRefused::TooFew { what: "clients on the roster", .. }));
}
