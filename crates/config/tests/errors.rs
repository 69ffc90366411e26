//! Each error points at its place and says how to mend it.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use sottovoce_config::{Config, ConfigError, Fault, GraphAdversary, GraphChoice, Problem, Role, SweepPlan};
use sottovoce_round::PlanError;
use sottovoce_types::{Rotation, Unit};

const NONE: &[&str] = &[];

fn refused(text: &str) -> ConfigError {
    Config::parse(text, NONE).expect_err("must be refused")
}

fn problem(text: &str) -> (&'static str, Problem) {
    match refused(text).fault() {
        Fault::Problem { key, problem } => (key, problem.clone()),
        other => panic!("another fault: {other}"),
    }
}

#[test]
fn an_unknown_key_is_pointed_at_and_the_nearest_is_named() {
    let error = refused("[run]\nrounds = 3\n\n[training]\nlearning_rat = 0.1\n");
    let text = error.render(false);
    assert!(matches!(error.fault(), Fault::UnknownKey { .. }));
    assert!(text.contains("learning_rat = 0.1"), "shows the line:\n{text}");
    assert!(text.contains(":5:1"), "says where:\n{text}");
    assert!(text.contains("did you mean `training.learning_rate`?"), "{text}");
}

#[test]
fn a_key_of_another_section_is_sent_there() {
    let text = refused("[training]\ndelta = 1e-6\n").render(false);
    assert!(text.contains("did you mean `privacy.delta`?"), "{text}");
}

#[test]
fn an_unknown_section_is_pointed_at_and_the_nearest_is_named() {
    let text = refused("[privcy]\ndelta = 1e-6\n").render(false);
    assert!(text.contains("unknown section `[privcy]`") && text.contains("did you mean `[privacy]`?"), "{text}");
}

#[test]
fn a_value_of_the_wrong_type_or_range_is_pointed_at_by_its_key() {
    let text = refused("[privacy]\ndelta = \"small\"\n").render(false);
    assert!(text.contains("privacy.delta") && text.contains("\"small\""), "{text}");
    let text = refused("[privacy]\nepsilon = -1\n").render(false);
    assert!(text.contains("epsilon must be finite and above 0, but is -1"), "{text}");
    let text = refused("[aggregation]\nlanes = 7\n").render(false);
    assert!(text.contains("lanes must be 1 to 6"), "{text}");
    let text = refused("[privacy]\nunit = \"person\"\n").render(false);
    assert!(text.contains("speaker"), "lists what there is:\n{text}");
}

#[test]
fn text_that_is_not_toml_is_pointed_at() {
    let error = refused("[run]\nrounds = = 3\n");
    assert!(matches!(error.fault(), Fault::NotToml { .. }));
    assert!(error.render(false).contains(":2:"), "{}", error.render(false));
}

#[test]
fn a_section_given_as_a_value_is_refused() {
    assert!(matches!(refused("run = 3\n").fault(), Fault::NotASection { section: "run" }));
}

#[test]
fn overrides_win_and_are_checked_like_files() {
    let config =
        Config::parse("[run]\nrounds = 3\n", &["run.rounds=5", "privacy.unit=client", "model.hidden=[8, 4]"]).unwrap();
    assert_eq!((config.run.rounds, config.privacy.unit), (5, Unit::Client));
    assert_eq!(config.model.hidden, Some(vec![8, 4]));
    let error = Config::parse("", &["privacy.epsilom=4"]).unwrap_err();
    assert!(error.render(false).contains("did you mean `privacy.epsilon`?"));
    let error = Config::parse("", &["privacy.epsilon"]).unwrap_err();
    assert!(matches!(error.fault(), Fault::OverrideForm));
}

#[test]
fn files_extend_files_relative_to_themselves_and_not_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    write("base.toml", "[run]\nname = \"base\"\nrounds = 3\n");
    let child = write("sub/child.toml", "extends = \"../base.toml\"\n[run]\nrounds = 4\n");
    let config = Config::load(&child, NONE).unwrap();
    assert_eq!((config.run.name.as_str(), config.run.rounds), ("base", 4));

    let missing = write("missing.toml", "extends = \"nowhere.toml\"\n");
    let text = Config::load(&missing, NONE).unwrap_err().render(false);
    assert!(text.contains("nowhere.toml") && text.contains("extends"), "{text}");

    write("a.toml", "extends = \"b.toml\"\n");
    let b = write("b.toml", "extends = \"a.toml\"\n");
    assert!(matches!(Config::load(&b, NONE).unwrap_err().fault(), Fault::ExtendsItself { .. }));
}

#[test]
fn an_error_in_a_file_that_is_extended_names_that_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("base.toml"), "[privacy]\ndelta = 0.5\n").unwrap();
    let child = folder.path().join("child.toml");
    std::fs::write(&child, "extends = \"base.toml\"\n[run]\nrounds = 4\n").unwrap();
    let text = Config::load(&child, NONE).unwrap_err().render(false);
    assert!(text.contains("base.toml:2:"), "{text}");
}

#[test]
fn a_ring_that_would_overflow_is_refused_with_the_mend() {
    let (key, found) = problem("[privacy]\nclip_bits = 30\n[aggregation]\nlanes = 3\n");
    assert_eq!(key, "aggregation.lanes");
    assert!(matches!(found, Problem::Plan(PlanError::Headroom(_))));
    assert!(found.to_string().contains("fewer clip_bits"), "{found}");
}

#[test]
fn a_rotation_is_read_agreed_on_and_refused_where_it_would_leave_nothing() {
    let rotating = "[privacy]\nclip_bits = 5\nnoise_multiplier = 5.0\n[aggregation]\nrotation = \"hadamard\"\n";
    let (key, found) = problem(rotating);
    assert_eq!(key, "privacy.clip_bits");
    assert!(matches!(found, Problem::Plan(PlanError::Headroom(_))));
    assert!(found.to_string().contains("rotation = \"none\""), "{found}");
    // Without it the same grid is accepted.
    assert!(Config::parse(&rotating.replace("hadamard", "none"), NONE).is_ok());
    let text = refused("[aggregation]\nrotation = \"dft\"\n").render(false);
    assert!(text.contains("`none`") && text.contains("`hadamard`"), "{text}");
    let config = Config::parse(&rotating.replace("clip_bits = 5", "clip_bits = 16"), NONE).unwrap();
    assert_eq!(config.aggregation.rotation, Rotation::Hadamard);
    assert_eq!(Config::parse(&config.to_toml(), NONE).unwrap(), config);
    // A cell without differential privacy keeps it.
    assert!(Config::parse("[privacy]\nunit = \"none\"\n[aggregation]\nrotation = \"hadamard\"\n", NONE).is_ok());
}

#[test]
fn a_delta_that_allows_publishing_somebody_is_refused() {
    // 8 clients of 2 speakers: 1/16.
    let (key, found) = problem("[privacy]\ndelta = 0.0625\n");
    assert_eq!(key, "privacy.delta");
    assert!(matches!(found, Problem::DeltaTooLarge { units: 16, .. }));
    assert!(Config::parse("[privacy]\ndelta = 0.0624\n", NONE).is_ok());
}

#[test]
fn a_sum_that_could_open_one_client_is_refused() {
    assert!(matches!(problem("[aggregation]\nn_min = 1\n"), ("aggregation.n_min", Problem::TooFewHonest { .. })));
    // 4 clients of which 2 may be corrupt: quorum 4, so 2 honest ones; with 3 clients, quorum 3 and 1 honest.
    assert!(Config::parse("[aggregation]\nn_min = 4\nmax_corrupt = 2\n", NONE).is_ok());
    let few = problem("[aggregation]\nn_min = 3\nmax_corrupt = 2\n").1;
    assert_eq!(few, Problem::TooFewHonest { n_min: 3, max_corrupt: 2, honest: 1 });
    let many = problem("[partition]\nclients = 2\n").1;
    assert_eq!(many, Problem::TooFewClients { n_min: 3, clients: 2 });
}

#[test]
fn utterance_privacy_needs_gradients_that_depend_on_one_utterance_alone() {
    let text = |rest: &str| format!("[privacy]\nunit = \"utterance\"\ndelta = 1e-6\n{rest}");
    let (key, what) = problem(&text(""));
    assert!(key == "features.standardisation" && what.to_string().contains("`per-utterance` or `none`"), "{what}");
    for standardisation in ["per-utterance", "none"] {
        let good = text(&format!("[features]\nstandardisation = \"{standardisation}\"\n"));
        Config::parse(&good, &[] as &[&str]).unwrap_or_else(|e| panic!("{}", e.render(false)));
        for key in ["momentum", "weight_decay", "proximal_mu"] {
            let (place, what) = problem(&format!("{good}[training]\n{key} = 0.5\n"));
            assert_eq!(place, format!("training.{key}"));
            assert!(what.to_string().contains("no local training"), "{what}");
        }
    }
}

#[test]
fn two_sources_of_the_noise_are_refused() {
    let (key, found) = problem("[privacy]\nepsilon = 4\nnoise_multiplier = 1.5\n");
    assert_eq!((key, found), ("privacy.noise_multiplier", Problem::TwoNoises));
}

#[test]
fn a_sweep_of_epsilon_needs_a_unit() {
    let (key, found) = problem("[privacy]\nunit = \"none\"\n[sweep]\nepsilons = [4]\n");
    assert_eq!((key, found), ("sweep.epsilons", Problem::SweepWithoutUnit));
}

#[test]
fn a_synthetic_corpus_has_the_speakers_that_the_partition_needs() {
    let (key, found) = problem("[partition]\nclients = 12\n");
    assert_eq!(key, "corpus.synth_speakers");
    assert!(found.to_string().contains("need 32 speakers, but 24 are synthesised"), "{found}");
    assert!(Config::parse("[partition]\nclients = 12\nmode = \"natural\"\n", NONE).is_ok());
    let named = Config::parse("[partition]\ntest_speakers = [\"1001\", \"1002\"]\n", NONE).unwrap();
    assert_eq!(named.partition.test_speakers.count(), 2);
}

#[test]
fn nothing_said_is_speaker_level_privacy_with_secure_aggregation() {
    let config = Config::parse("", NONE).unwrap();
    assert_eq!(config.privacy.unit, Unit::Speaker);
    assert!(config.noise_multiplier().unwrap().value() > 0.5);
    assert!((config.epsilon_budget().unwrap().value() - 8.0).abs() < 1e-12);
    assert_eq!(config.model_spec().classes(), 5);
}

#[test]
fn a_noise_multiplier_buys_exactly_the_rounds_of_the_run() {
    use sottovoce_dp::gdp;
    let config = Config::parse("[run]\nrounds = 7\n[privacy]\nnoise_multiplier = 2\n", NONE).unwrap();
    let budget = config.epsilon_budget().unwrap().value();
    let spent = |rounds: f64| gdp::epsilon(rounds.sqrt() / 2.0, config.privacy.delta);
    assert!(spent(7.0).upper <= budget && budget < spent(8.0).lower);
}

#[test]
fn the_digest_is_that_of_the_resolved_text_and_changes_with_any_value() {
    let a = Config::parse("", NONE).unwrap();
    assert_eq!(a.digest(), sottovoce_types::Digest::of(a.to_toml().as_bytes()));
    assert_ne!(a.digest(), Config::parse("", &["run.seed=2"]).unwrap().digest());
    assert_ne!(a.features_digest(), Config::parse("", &["features.trim_db=30"]).unwrap().features_digest());
}

#[test]
fn a_spare_attempt_is_paid_for_by_noise_and_not_by_epsilon() {
    let load = |spare: u64| {
        let spare = format!("privacy.spare_attempts={spare}");
        Config::parse("[run]\nrounds = 10\n[privacy]\nepsilon = 4\n", &[spare.as_str()]).unwrap()
    };
    let (none, two) = (load(0), load(2));
    let more = two.noise_multiplier().unwrap().value() / none.noise_multiplier().unwrap().value();
    assert!((more - 1.2f64.sqrt()).abs() < 1e-9, "twelve attempts instead of ten: noise by sqrt(12/10), not {more}");
    assert_eq!(none.epsilon_budget(), two.epsilon_budget());
}

#[test]
fn a_sites_cap_is_no_part_of_the_plan_and_no_coordinators() {
    let places = "[transport]\nidentity = \"k\"\nmanifest = \"m\"\nstate = \"s\"\nmanifest_sha256 = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\n";
    let load = |more: &[&str]| Config::parse(places, more).unwrap();
    let (none, capped) = (load(&[]), load(&["privacy.site_epsilon_cap=3"]));
    assert_eq!(capped.privacy.site_epsilon_cap.map(f64::from), Some(3.0));
    assert_eq!((none.epsilon_budget(), none.noise_multiplier()), (capped.epsilon_budget(), capped.noise_multiplier()));
    assert!(capped.deployment(Role::Client).is_ok() && none.deployment(Role::Coordinator).is_ok());
    let refused = capped.deployment(Role::Coordinator).unwrap_err();
    assert!(matches!(refused.fault(), Fault::Problem { key: "privacy.site_epsilon_cap", problem: Problem::SitesOwn }));
    let (key, found) = problem("[privacy]\nunit = \"none\"\nsite_epsilon_cap = 3\n");
    assert_eq!((key, found), ("privacy.site_epsilon_cap", Problem::CapWithoutUnit));
    let mut open = capped;
    open.privacy.drop_unit();
    assert_eq!(open.privacy.site_epsilon_cap, None, "what loses its unit loses its cap");
}

#[test]
fn a_convention_brings_its_librarys_defaults_and_keys_said_beside_it_win() {
    use sottovoce_types::{Convention, FeatureSpec};
    let kaldi = Config::parse("[features]\nconvention = \"kaldi\"\nn_mfcc = 20\n", NONE).unwrap();
    assert_eq!(kaldi.features.spec(), FeatureSpec { n_mfcc: 20, ..FeatureSpec::of(Convention::Kaldi) });
    // Whatever the order of the layers.
    let overridden = Config::parse("[features]\nn_mfcc = 20\n", &["features.convention=kaldi"]).unwrap();
    assert_eq!(overridden.features, kaldi.features);
    assert_eq!(Config::parse(&kaldi.to_toml(), NONE).unwrap().features, kaldi.features);
    let error = Config::parse("[features]\nconvention = \"matlab\"\n", NONE).unwrap_err();
    assert!(error.render(false).contains("torchaudio"), "{}", error.render(false));
}

#[test]
fn listeners_votes_are_crema_ds_alone() {
    let (key, found) = problem("[corpus]\nkind = \"ravdess\"\nlabelling = \"voice\"\n");
    assert_eq!((key, found), ("corpus.labelling", Problem::NoVotes { labelling: "voice" }));
    assert!(Config::parse("[corpus]\nkind = \"crema-d\"\nlabelling = \"voice\"\n", NONE).is_ok());
}

#[test]
fn iemocap_has_four_classes_unless_others_are_asked_for() {
    let classes = |text: &str| Config::parse(text, NONE).unwrap().model_spec().classes();
    assert_eq!(classes("[corpus]\nkind = \"iemocap\"\n"), 4);
    assert_eq!(classes("[corpus]\nkind = \"iemocap\"\nlabels = \"five\"\n"), 5);
    assert_eq!(classes("[corpus]\nkind = \"crema-d\"\nlabels = \"six\"\n"), 6);
}

#[test]
fn what_an_extended_file_cuts_can_be_taken_back_with_none() {
    let taken_back = Config::parse("[features]\ntrim_db = 30\n", &["features.trim_db=none"]).unwrap();
    assert_eq!(taken_back.features.trim_db, None);
    let error = Config::parse("[features]\ntrim_db = \"nothing\"\n", NONE).unwrap_err().render(false);
    assert!(error.contains("features.trim_db") && error.contains("none"), "{error}");
}

#[test]
fn a_server_key_that_the_optimiser_does_not_look_at_is_refused() {
    for (optimiser, heeds) in [
        ("fedavg", &[][..]),
        ("fedavgm", &["momentum"]),
        ("fedadagrad", &["beta1", "tau"]),
        ("fedadam", &["beta1", "beta2", "tau"]),
        ("fedyogi", &["beta1", "beta2", "tau"]),
    ] {
        for key in ["momentum", "beta1", "beta2", "tau"] {
            let text = format!("[server]\noptimiser = \"{optimiser}\"\n{key} = 0.5\n");
            if heeds.contains(&key) {
                Config::parse(&text, NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
                let (place, what) = problem(&text.replace("0.5", "-0.5"));
                assert!(place == format!("server.{key}") && matches!(what, Problem::OutOfRange { .. }), "{what}");
            } else {
                let (place, what) = problem(&text);
                assert_eq!(place, format!("server.{key}"));
                assert!(what.to_string().contains(optimiser), "{what}");
            }
        }
    }
    let error = refused("[server]\noptimizer = \"fedadam\"\n");
    assert!(error.render(false).contains("server.optimiser"), "{}", error.render(false));
    assert!(problem("[server]\nlearning_rate = 0.0\n").0 == "server.learning_rate");
}

#[test]
fn scaffold_is_refused_where_it_does_not_hold() {
    let text = |unit: &str, training: &str| {
        format!("[server]\noptimiser = \"scaffold\"\n[privacy]\nunit = \"{unit}\"\n[training]\n{training}\n")
    };
    Config::parse(&text("none", "steps = 10"), NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
    for (unit, training, says) in [
        ("none", "", "training.steps"),
        ("none", "steps = 10\nmomentum = 0.9", "without momentum"),
        ("speaker", "steps = 10", "second release"),
        ("client", "steps = 10", "second release"),
    ] {
        let (key, what) = problem(&text(unit, training));
        assert!(key == "server.optimiser" && what.to_string().contains(says), "{what}");
    }
}

#[test]
fn noise_removal_is_refused_where_there_is_nothing_to_remove_or_it_would_not_hold() {
    let text = |rest: &str| format!("[aggregation]\nnoise_removal = \"layers\"\n{rest}\n");
    Config::parse(&text("[privacy]\nnoise_multiplier = 2.0"), NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
    for (rest, place, says) in [
        ("[privacy]\nunit = \"none\"", "aggregation.noise_removal", "there is none"),
        ("mode = \"plain\"\n[privacy]\nnoise_multiplier = 2.0", "aggregation.noise_removal", "without masks"),
        ("[privacy]\nnoise_multiplier = 1.0\nclip_bits = 4", "privacy.clip_bits", "raise clip_bits"),
    ] {
        let (key, what) = problem(&text(rest));
        assert!(key == place && what.to_string().contains(says), "{key}: {what}");
    }
    let error = refused("[aggregation]\nnoise_removal = \"some\"\n").to_string();
    assert!(error.contains("noise_removal"), "{error}");
}

#[test]
fn adaptive_clipping_is_refused_where_it_cannot_be_afforded_and_its_keys_where_they_do_nothing() {
    let text = |rest: &str| format!("[privacy]\nadaptive_clip = true\nnoise_multiplier = 2.0\n{rest}\n");
    // Sixteen speakers: σ_b is 2.4.
    Config::parse(&text(""), NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
    for (rest, place, says) in [
        ("clip_count_noise = 1.0", "privacy.clip_count_noise", "infinitely many"),
        ("clip_count_noise = 1.2", "privacy.clip_count_noise", "1.81 times"),
        ("clip_count_noise = 9.0", "privacy.clip_count_noise", "18 units"),
        ("clip_count_noise = -1.0", "privacy.clip_count_noise", "above 0"),
        ("clip_quantile = 1.0", "privacy.clip_quantile", "below 1"),
        ("clip_learning_rate = 0.0", "privacy.clip_learning_rate", "above 0"),
        ("unit = \"client\"", "privacy.adaptive_clip", "speakers or utterances"),
    ] {
        let (key, what) = problem(&text(rest));
        assert!(key == place && what.to_string().contains(says), "{key}: {what}");
    }
    for key in ["clip_quantile = 0.6", "clip_learning_rate = 0.3", "clip_count_noise = 5.0"] {
        let (place, what) = problem(&format!("[privacy]\n{key}\n"));
        assert!(key.starts_with(place.trim_start_matches("privacy.")), "{place}");
        assert_eq!(what, Problem::ClipStays);
    }
}

fn variant(lines: &str) -> ConfigError {
    refused(&format!(
        "[partition]\nfolds = 3\n[sweep]\nepsilons = [4]\nfolds = [1]\n[[sweep.variant]]\nname = \"cnn\"\n{lines}\n"
    ))
}

#[test]
fn an_unknown_key_of_a_variant_is_refused_by_its_name_and_as_an_override_is() {
    let error = variant("set = [\"model.hiden=[4]\"]");
    assert!(error.to_string().contains("variant `cnn`: unknown key `model.hiden`"), "{error}");
    let text = error.render(false);
    assert!(text.contains("did you mean `model.hidden`?") && text.contains("model.hiden=[4]"), "{text}");
    let error = variant("set_private = [\"modl.hidden=[4]\"]").to_string();
    assert!(error.contains("variant `cnn`, with its set_private: unknown section `[modl]`"), "{error}");
    let error = variant("set = [\"training.learning_rate=fast\"]").to_string();
    assert!(error.contains("variant `cnn`: `training.learning_rate`"), "{error}");
    let error = variant("set = [\"model.hidden\"]").to_string();
    assert!(error.contains("variant `cnn`: an override is written section.key=value"), "{error}");
}

#[test]
fn a_variant_is_checked_as_a_run_is() {
    let error = variant("set_private = [\"privacy.delta=0.5\"]");
    let text = error.render(false);
    assert!(text.contains("variant `cnn`, with its set_private: `privacy.delta`") && text.contains("1e-5"), "{text}");
    let error = variant("set = [\"privacy.unit=none\"]").to_string();
    assert!(error.contains("variant `cnn`: `sweep.epsilons`"), "{error}");
}

#[test]
fn a_variant_may_not_set_what_the_sweep_sets_in_every_cell() {
    for (line, mend) in [
        ("run.seed=3", "sweep.seeds"),
        ("partition.fold=2", "sweep.folds"),
        ("privacy.epsilon=3", "sweep.epsilons"),
        ("sweep.seeds=[3]", "what is swept, and not what a run is like"),
        ("corpus.kind=savee", "sweep each corpus by itself"),
    ] {
        let error = variant(&format!("set = [\"{line}\"]")).to_string();
        assert!(error.contains("variant `cnn`") && error.contains(mend), "{line}: {error}");
    }
    let alone = "[[sweep.variant]]\nname = \"a\"\nset = [\"privacy.epsilon=3\"]\n";
    assert!(Config::parse(alone, NONE).is_ok(), "where no targets are swept, a variant may have its own");
}

#[test]
fn variants_have_names_and_known_keys() {
    let unnamed = "[[sweep.variant]]\nname = \" \"\n";
    assert_eq!(problem(unnamed), ("sweep.variant", Problem::VariantName(" ".into())));
    let twice = "[[sweep.variant]]\nname = \"a\"\n[[sweep.variant]]\nname = \"a\"\n";
    assert_eq!(problem(twice), ("sweep.variant", Problem::VariantName("a".into())));
    let text = refused("[[sweep.variant]]\nname = \"a\"\nsets = []\n").render(false);
    assert!(text.contains("sweep.variant") && text.contains("set_private"), "{text}");
    assert!(refused("[[sweep.variant]]\nset = []\n").to_string().contains("name"));
}

#[test]
fn folds_that_the_partition_does_not_have_are_refused_by_name() {
    let refused = |is| Problem::OutOfRange { must: "at least 1 and at most partition.folds", is };
    assert_eq!(problem("[sweep]\nfolds = [1]\n"), ("sweep.folds", refused(1.0)));
    assert_eq!(problem("[partition]\nfolds = 3\n[sweep]\nfolds = [1, 4]\n"), ("sweep.folds", refused(4.0)));
    assert_eq!(problem("[partition]\nfolds = 3\n[sweep]\nfolds = [0]\n"), ("sweep.folds", refused(0.0)));
}

#[test]
fn a_cell_that_cannot_run_is_refused_before_any_runs() {
    // Of 17 speakers in two folds the first tests nine, and the second eight: that one alone leaves nine to train.
    let text = "[corpus]\nsynth_speakers = 17\n[partition]\nclients = 3\nspeakers_per_client = 3\nfolds = 2\nfold = 2\n[sweep]\nfolds = [1, 2]\n";
    assert!(Config::parse(text, NONE).is_ok());
    let error = SweepPlan::parse(text, NONE).unwrap_err().to_string();
    assert!(error.contains("corpus.synth_speakers"), "{error}");
}

#[test]
fn a_key_of_local_training_that_utterances_do_not_have_and_a_warm_up_without_end_are_refused() {
    let base = "[features]\nstandardisation = \"public\"\n[privacy]\nunit = \"utterance\"\n";
    assert!(Config::parse(base, NONE).is_ok());
    for key in ["momentum = 0.5", "steps = 3", "accumulate = 2", "optimiser = \"adamw\"", "weight_decay = 0.1"] {
        let (place, what) = problem(&format!("{base}[training]\n{key}\n"));
        assert!(key.starts_with(place.trim_start_matches("training.")), "{place}");
        assert!(matches!(what, Problem::NoLocalTraining { .. }), "{what}");
    }
    let (place, what) = problem("[run]\nrounds = 5\n[training]\nwarmup_rounds = 5\n");
    assert_eq!((place, what), ("training.warmup_rounds", Problem::OutOfRange { must: "below run.rounds", is: 5.0 }));
}

#[test]
fn a_dashboard_that_other_machines_reach_must_be_asked_for_by_name() {
    for open in ["0.0.0.0:4471", "192.0.2.7:4471", "[::]:4471"] {
        let (place, what) = problem(&format!("[transport]\ndashboard = \"{open}\"\n"));
        assert_eq!((place, &what), ("transport.dashboard", &Problem::DashboardOpen));
        assert!(
            what.to_string().contains("no password") && what.to_string().contains("transport.dashboard_public = true")
        );
        Config::parse(&format!("[transport]\ndashboard = \"{open}\"\ndashboard_public = true\n"), NONE).unwrap();
    }
    for closed in ["127.0.0.1:0", "[::1]:9000"] {
        Config::parse(&format!("[transport]\ndashboard = \"{closed}\"\n"), NONE).unwrap();
    }
    let (place, what) = problem("[transport]\ndashboard_public = true\n");
    assert_eq!((place, what), ("transport.dashboard_public", Problem::DashboardClosed));
}

#[test]
fn a_graph_is_read_agreed_on_and_refused_where_none_keeps_its_bounds() {
    let config = |graph: &str| Config::parse(&format!("[aggregation]\n{graph}\n"), NONE);
    let auto = config("").unwrap();
    assert_eq!(auto.aggregation.graph, GraphChoice::Auto);
    assert_eq!(config("graph = \"complete\"").unwrap().aggregation.mask_graph().name(), "complete");
    let sparse = "[partition]\nclients = 200\nspeakers_per_client = 1\n[corpus]\nsynth_speakers = 250\n[privacy]\nunit = \"client\"\ndelta = 1e-5\n[aggregation]\nn_min = 150\nmax_corrupt = 10\ngraph = \"sparse\"\ngraph_adversary = \"one-survivor-set\"\nmax_dropout = 0.05\n";
    let read = Config::parse(sparse, NONE).unwrap_or_else(|e| panic!("{}", e.render(false)));
    assert_eq!(read.aggregation.graph_adversary, GraphAdversary::OneSurvivorSet);
    assert_eq!(Config::parse(&read.to_toml(), NONE).unwrap(), read);
    let (key, found) = problem(&sparse.replace("max_dropout = 0.05", "max_dropout = 0.95"));
    assert_eq!(key, "aggregation.graph");
    assert!(matches!(found, Problem::Plan(PlanError::Graph { .. })), "{found}");
    assert!(found.to_string().contains("invite more clients"), "says what would help: {found}");
    let (key, found) = problem(&sparse.replace("max_dropout = 0.05", "max_dropout = 1.0"));
    assert_eq!(key, "aggregation.max_dropout");
    assert!(found.to_string().contains("from 0 to below 1"), "{found}");
    let (key, found) = problem("[aggregation]\ngraph = \"sparse\"\nn_min = 3\n");
    assert_eq!(key, "aggregation.graph");
    assert!(found.to_string().contains("use the complete graph"), "{found}");
    let text = refused("[aggregation]\ngraph = \"ring\"\n").render(false);
    assert!(text.contains("`complete`") && text.contains("`sparse`") && text.contains("`auto`"), "{text}");
}

#[test]
fn shadow_models_come_in_pairs_and_by_tier() {
    let must = "0 or an even number of at least 8: shadows come in pairs";
    for is in [2, 9] {
        let found = problem(&format!("[audit]\nshadows = {is}\n"));
        assert_eq!(found, ("audit.shadows", Problem::OutOfRange { must, is: f64::from(is) }));
    }
    let audit = |text: &str| Config::parse(&format!("[audit]\n{text}"), NONE).unwrap().audit;
    assert_eq!(audit("").shadow_models(true), 64);
    assert_eq!(audit("tier = \"smoke\"\n").shadow_models(true), 16);
    assert!(audit("tier = \"full\"\n").shadow_models(false) < audit("tier = \"full\"\n").shadow_models(true));
    assert_eq!(audit("tier = \"full\"\nshadows = 10\n").shadow_models(true), 10);
}
