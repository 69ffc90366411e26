//! Sites as processes of their own, brought up by the documented commands: what a site refuses, whatever its coordinator asks.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use common::sites::Sites;
use common::{arg, run};
use serde_json::Value;
use sottovoce_dp::gdp;
use sottovoce_types::Delta;

const AGREED: &str = r#"
[run]
name = "three-words"
rounds = 4

[model]
hidden = []

[privacy]
unit = "speaker"
noise_multiplier = 2.0
epsilon_budget = 1000.0
delta = 1e-5

[aggregation]
n_min = 3
max_corrupt = 1
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_at_its_own_cap_ends_with_exit_10_and_the_others_go_on_to_the_end() {
    let sites = Sites::bring_up(4, AGREED);
    let coordinator = sites.coordinator().await;
    // Two rounds fit under this cap, three do not.
    let after = |rounds: f64| gdp::epsilon(rounds.sqrt() / 2.0, Delta::new(1e-5).unwrap()).upper;
    let cap = 0.5 * (after(2.0) + after(3.0));
    let cap_key = format!("privacy.site_epsilon_cap={cap}");
    let mut started: Vec<_> = (1..=3).map(|i| sites.start(i, &coordinator, &[])).collect();
    started.push(sites.start(4, &coordinator, &[&cap_key]));
    let mut ended = Vec::new();
    for site in started {
        ended.push(site.end().await);
    }
    let said = coordinator.stderr();
    assert!(coordinator.end().await.success(), "{said}");
    for (code, stdout, stderr) in &ended[..3] {
        assert_eq!(*code, Some(0), "{stdout}\n{stderr}");
    }
    let (code, stdout, stderr) = &ended[3];
    assert_eq!(*code, Some(10), "{stdout}\n{stderr}");
    let told: Value = serde_json::from_str(stdout).unwrap();
    let declined = told["declined"].as_str().unwrap();
    assert!(declined.starts_with("round 3 is declined") && declined.contains("cap"), "{declined}");
    let spent = told["epsilon_spent"].as_f64().unwrap();
    assert!((spent - after(2.0)).abs() < 1e-6 && spent <= cap, "{spent}");

    // Its ledger says so.
    let state = sites.site(4).join("state");
    let ledger = run(&["privacy", "ledger", arg(&state), "--format", "json"]).expect(0).json();
    assert_eq!(ledger["attempts"].as_array().unwrap().len(), 2, "{ledger}");
    assert!(ledger["left_epsilon"].as_f64().unwrap() > 0.0, "{ledger}");
    // The federation went on without it.
    let rounds = common::json_lines(&sites.path().join("run/rounds.jsonl"));
    let contributors: Vec<u64> = rounds.iter().map(|r| r["contributors"].as_u64().unwrap()).collect();
    assert_eq!(contributors, [4, 4, 3, 3]);
}

#[test]
fn claim_a_site_refuses_a_manifest_that_it_did_not_pin() {
    let sites = Sites::bring_up(3, AGREED);
    let (manifest, config) = (sites.path().join("manifest.toml"), sites.site(1).join("client.toml"));
    let good = std::fs::read_to_string(&manifest).unwrap();
    let refused = |words: &[&str], set: &[&str]| {
        run(&[&["client", arg(&config)], set].concat()).expect(1).complains(words);
        assert!(!sites.site(1).join("state").exists(), "nothing was begun");
    };
    // Somebody lets a member of their own in, or counts speakers that are not there.
    std::fs::write(&manifest, good.replacen("units = 2", "units = 2000", 1)).unwrap();
    refused(&["transport.manifest_sha256 pins", "cert show"], &[]);
    std::fs::write(&manifest, &good).unwrap();

    // By the consortium's key instead: not signed, then signed, then changed after that.
    let key = sites.path().join("consortium.key");
    let shown = run(&["cert", "init", "--out", arg(&key), "--format", "json"]).expect(0).json();
    let consortium = format!("transport.consortium=[{}]", shown["public_key"]);
    refused(&["is not signed by", "transport.consortium", "cert sign"], &["--set", &consortium]);
    let signed = run(&["cert", "sign", arg(&manifest), "--identity", arg(&key), "--format", "json"]).expect(0).json();
    assert_eq!(signed["signed_by"][0], shown["public_key"]);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("units = 2", "units = 3", 1)).unwrap();
    refused(&["changed after it was signed"], &["--set", &consortium]);
    run(&["cert", "show", arg(&manifest)]).expect(1).complains(&["changed after it was signed"]);

    // A revision says who joins, who leaves and whose key is another, and must be signed again.
    std::fs::write(&manifest, &text).unwrap();
    let (fresh, request, next) =
        (sites.path().join("new.key"), sites.path().join("new.toml"), sites.path().join("next.toml"));
    run(&["cert", "init", "--out", arg(&fresh)]).expect(0);
    let ask = ["cert", "request", "--identity", arg(&fresh), "--federation", "three-words", "--name", "site-2"];
    run(&[&ask[..], &["--units", "2", "--out", arg(&request)]].concat()).expect(0);
    let revise = ["cert", "manifest", "--revises", arg(&manifest), "--request", arg(&request), "--remove", "site-3"];
    let made = run(&[&revise[..], &["--out", arg(&next), "--format", "json"]].concat()).expect(0).json();
    assert_eq!(made["changes"], serde_json::json!(["site-2 has another key", "site-3 leaves"]));
    assert_eq!((&made["revision"], &made["previous"]), (&2.into(), &signed["digest"]));
    assert_eq!(made["signed_by"], serde_json::json!([]), "a revision carries no signature of the one before it");
    run(&["cert", "manifest", "--revises", arg(&manifest), "--remove", "nobody", "--out", arg(&next)])
        .expect(2)
        .complains(&["no such member"]);
}

fn verdicts(report: &Value) -> Vec<(&str, &str)> {
    let text = |value: &Value| -> &'static str { Box::leak(value.as_str().unwrap().to_owned().into_boxed_str()) };
    report["checks"].as_array().unwrap().iter().map(|c| (text(&c["of"]), text(&c["verdict"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_finds_what_would_stop_a_run() {
    let sites = Sites::bring_up(3, AGREED);
    let config = sites.site(1).join("client.toml");
    let preflight = |set: &[&str], code| {
        let set: Vec<&str> = set.iter().flat_map(|one| ["--set", one]).collect();
        run(&[&["preflight", arg(&config), "--format", "json"], &set[..]].concat()).expect(code).json()
    };
    let all = ["membership", "data", "state", "coordinator", "disk", "clock"];
    // Nobody listens there.
    let report = preflight(&["transport.coordinator=\"127.0.0.1:9\""], 1);
    assert_eq!(verdicts(&report).iter().map(|v| v.0).collect::<Vec<_>>(), all);
    assert_eq!(report["ready"], false);
    let bad: Vec<_> = verdicts(&report).into_iter().filter(|v| v.1 == "bad").collect();
    assert_eq!(bad, [("coordinator", "bad")], "{report}");

    let coordinator_config = sites.path().join("coordinator.toml");
    let its = run(&["preflight", arg(&coordinator_config), "--format", "json"]).expect(0).json();
    assert_eq!((&its["role"], &its["ready"]), (&"coordinator".into(), &true.into()), "{its}");

    let coordinator = sites.coordinator().await;
    let address = format!("transport.coordinator=\"{}\"", coordinator.address);
    let report = tokio::task::block_in_place(|| preflight(&[&address], 0));
    assert!(verdicts(&report).iter().all(|v| v.1 == "good"), "{report}");
    assert_eq!(report["plan"], its["plan"]);
    // Another's key: the coordinator does not let it in, and it is no member.
    let stranger = sites.path().join("stranger.key");
    run(&["cert", "init", "--out", arg(&stranger)]).expect(0);
    let as_stranger = format!("transport.identity={:?}", arg(&stranger));
    let report = tokio::task::block_in_place(|| preflight(&[&address, &as_stranger], 1));
    let bad: Vec<_> = verdicts(&report).into_iter().filter(|v| v.1 == "bad").map(|v| v.0).collect();
    assert_eq!(bad, ["membership", "data", "coordinator"], "{report}");
    // A budget that is spent already, and a corpus with more speakers than were declared.
    let report = tokio::task::block_in_place(|| preflight(&[&address, "privacy.site_epsilon_cap=1e-9"], 0));
    assert_eq!(report["ready"], true, "nothing is spent yet: {report}");
    let everyone = format!("corpus.path={:?}", arg(&sites.path().join("all")));
    let another = format!("corpus.cache={:?}", arg(&sites.path().join("all.h5")));
    let report = tokio::task::block_in_place(|| preflight(&[&address, &everyone, &another], 1));
    let data = &report["checks"][1];
    assert!(data["says"].as_str().unwrap().contains("6 speakers, but the manifest declares 2 units"), "{data}");
}
