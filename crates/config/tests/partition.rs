//! `[partition]`: folds and what they go together with.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use sottovoce_config::{Config, Fault, FoldBy, Problem, TestSpeakers};

const NONE: &[&str] = &[];

/// The key that a partition is refused for, and why.
fn refused(keys: &str) -> (&'static str, Problem) {
    let error = Config::parse(&format!("[partition]\n{keys}\n"), NONE).expect_err(keys);
    match error.fault() {
        Fault::Problem { key, problem } => (key, problem.clone()),
        other => panic!("another fault: {other}"),
    }
}

fn accepted(text: &str) -> Config {
    Config::parse(text, NONE).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

#[test]
fn one_fold_is_refused_since_it_leaves_nobody_to_train_on() {
    let (key, problem) = refused("folds = 1");
    assert_eq!(key, "partition.folds");
    assert_eq!(problem, Problem::OutOfRange { must: "0 for none, or at least 2", is: 1.0 });
}

#[test]
fn a_fold_that_does_not_exist_is_refused_at_its_key() {
    for fold in [0, 6] {
        let (key, problem) = refused(&format!("folds = 5\nfold = {fold}\nspeakers_per_client = 1"));
        assert_eq!(key, "partition.fold");
        assert!(problem.to_string().contains("at most partition.folds"), "{problem}");
    }
}

#[test]
fn a_fold_without_folds_is_refused_rather_than_not_looked_at() {
    let (key, problem) = refused("fold = 2");
    assert_eq!(key, "partition.fold");
    assert!(problem.to_string().contains("partition.folds is 0"), "{problem}");
    let (key, problem) = refused("fold_by = \"group\"");
    assert_eq!(key, "partition.folds");
    assert!(problem.to_string().contains("partition.fold_by"), "{problem}");
}

#[test]
fn folds_beside_test_speakers_by_name_are_refused_with_both_keys() {
    let text = "[partition]\ntest_speakers = [\"1001\"]\nfolds = 5\n";
    let text = Config::parse(text, NONE).unwrap_err().render(false);
    assert!(text.contains("partition.folds") && text.contains("partition.test_speakers"), "{text}");
    assert!(text.contains(":3:"), "points at the folds:\n{text}");
}

#[test]
fn more_folds_than_synthetic_speakers_are_refused() {
    let (key, problem) = refused("folds = 25\nspeakers_per_client = 1");
    assert_eq!(key, "partition.folds");
    assert!(problem.to_string().contains("at most corpus.synth_speakers"), "{problem}");
}

#[test]
fn synthetic_speakers_must_suffice_for_the_clients_and_the_fold() {
    // 24 speakers in five folds: four of five speakers and one of four; eight clients of two need sixteen.
    let (key, problem) = refused("folds = 5\nclients = 10\nfold = 4");
    assert_eq!(key, "corpus.synth_speakers");
    let (clients, per_client, test, need, have) = (10, 2, 5, 25, 24);
    assert_eq!(problem, Problem::TooFewSpeakers { clients, per_client, test, need, have });
    accepted("[partition]\nfolds = 5\nclients = 10\nfold = 5\n");
}

#[test]
fn folds_replace_a_number_of_test_speakers_wherever_it_was_set() {
    let config = accepted("[partition]\ntest_speakers = 23\nfolds = 5\nfold = 2\n");
    let p = &config.partition;
    assert_eq!((p.folds, p.fold, p.fold_by), (5, 2, FoldBy::Speaker));
    assert_eq!(p.test_speakers, TestSpeakers::Count(23));
    let again = accepted(&config.to_toml());
    assert_eq!(again, config, "survives being written and read back");
}

#[test]
fn folds_by_group_leave_their_number_to_the_corpus() {
    let text = "[corpus]\nkind = \"auto\"\npath = \"p\"\n[partition]\nfolds = 5\nfold = 5\nfold_by = \"group\"\n";
    assert_eq!(accepted(text).partition.fold_by, FoldBy::Group);
}
