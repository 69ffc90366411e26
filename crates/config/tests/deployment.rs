//! What simulations may and deployments may not.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
use sottovoce_config::{Config, Fault, Problem, Role};

const NONE: &[&str] = &[];

#[test]
fn plain_sums_are_refused_outside_of_simulations() {
    let text = "[aggregation]\nmode = \"plain\"\n[transport]\nidentity = \"i\"\nmanifest = \"m\"\nstate = \"s\"\nmanifest_sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n";
    let error = Config::parse(text, NONE).unwrap().deployment(Role::Coordinator).unwrap_err();
    assert!(matches!(error.fault(), Fault::Problem { problem: Problem::PlainDeployment, .. }));
    let secure = Config::parse(&text.replace("plain", "secure"), NONE).unwrap();
    assert!(secure.deployment(Role::Coordinator).is_ok());
    let error = Config::parse("", NONE).unwrap().deployment(Role::Client).unwrap_err();
    assert!(error.to_string().contains("transport.identity"), "{error}");
}

#[test]
fn masks_for_simulations_are_refused_outside_of_them() {
    let text = "[aggregation]\nmask_suite = \"chacha8\"\n[transport]\nidentity = \"i\"\nmanifest = \"m\"\nstate = \"s\"\nmanifest_sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n";
    for role in [Role::Coordinator, Role::Client] {
        let error = Config::parse(text, NONE).unwrap().deployment(role).unwrap_err();
        assert!(matches!(error.fault(), Fault::Problem { problem: Problem::MasksDeployment, .. }));
        assert!(error.to_string().contains("aggregation.mask_suite"), "{error}");
        for masks in ["aes-256-ctr", "chacha20", "aes-128-ctr"] {
            let config = Config::parse(&text.replace("chacha8", masks), NONE).unwrap();
            assert!(config.deployment(role).is_ok(), "{masks}");
            assert_eq!(config.aggregation.mask_suite.suite().name(), masks);
        }
    }
    assert!(Config::parse(&text.replace("chacha8", "aes"), NONE).is_err());
}

#[test]
fn dropouts_by_chance_are_refused_outside_of_simulations() {
    let text = "[transport]\nidentity = \"i\"\nmanifest = \"m\"\nstate = \"s\"\nmanifest_sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n[run]\ndropout = 0.25\n";
    for role in [Role::Coordinator, Role::Client] {
        let error = Config::parse(text, NONE).unwrap().deployment(role).unwrap_err();
        assert!(matches!(error.fault(), Fault::Problem { problem: Problem::DropoutDeployment(_), .. }));
        assert!(error.to_string().contains("run.dropout"), "{error}");
    }
    assert!(Config::parse(text, &["run.dropout=0"]).unwrap().deployment(Role::Client).is_ok());
    for out in ["1", "-0.1", "nan"] {
        let error = Config::parse("", &[format!("run.dropout={out}")]).unwrap_err().to_string();
        assert!(error.contains("run.dropout"), "{error}");
    }
}
