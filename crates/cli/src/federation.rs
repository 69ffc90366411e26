//! From a config and its data to a federation: who holds what, identities, manifest, plan.
use std::sync::Arc;

use anyhow::{Context, Result};
use sottovoce_config::{Config, FoldBy, PartitionMode, Split, TestSpeakers};
use sottovoce_report::speech::{ClientRow, PartitionPicture};
use sottovoce_round::{Manifest, Member, PublicKey, RunPlan};
use sottovoce_secagg::Identity;
use sottovoce_train::{self as train, Fold, Partition, PartitionError, PartitionSpec, SetCounts, Trainer};
use sottovoce_types::{Examples, Sha256Writer, Unit};

use crate::speech;

/// A corpus dealt out as the config says. Nothing is trained or evaluated on a partition that did not come from here.
pub fn partition(config: &Config, data: &Examples) -> Result<Partition> {
    Partition::draw(data, &spec(&config.partition)?).map_err(|error| match error {
        // The data are at fault, and not what was asked for.
        PartitionError::Leak(leak) => anyhow::Error::new(leak).context("the data cannot be split fairly"),
        asked => crate::exit::usage(format!("[partition]: {asked}")),
    })
}

/// What `[partition]` asks for.
fn spec(p: &sottovoce_config::Partition) -> Result<PartitionSpec> {
    let mode = match p.mode {
        PartitionMode::Natural => train::PartitionMode::Natural,
        PartitionMode::Speakers => train::PartitionMode::Speakers,
        PartitionMode::Balanced => train::PartitionMode::Balanced,
        PartitionMode::Dirichlet => train::PartitionMode::Dirichlet {
            alpha: p.alpha.context("partition.mode = \"dirichlet\" needs partition.alpha")?,
        },
    };
    let per_client = usize::try_from(p.speakers_per_client)?;
    Ok(PartitionSpec {
        clients: usize::try_from(p.clients)?,
        speakers_per_client: (p.mode == PartitionMode::Speakers && per_client > 0).then_some(per_client),
        mode,
        test_speakers: match (p.folds, &p.test_speakers) {
            (0, TestSpeakers::Count(n)) => train::TestSpeakers::Count(usize::try_from(*n)?),
            (0, TestSpeakers::Named(names)) => train::TestSpeakers::Named(names.clone()),
            (folds, _) => train::TestSpeakers::Fold(Fold {
                by: match p.fold_by {
                    FoldBy::Speaker => train::FoldBy::Speaker,
                    FoldBy::Group => train::FoldBy::Group,
                },
                of: usize::try_from(folds)?,
                index: usize::try_from(p.fold)?.checked_sub(1).context("partition.fold counts from 1")?,
            }),
        },
        holdout_fraction: p.holdout_fraction,
        split: match p.split {
            Split::Speaker => train::Split::Speaker,
            Split::Random => train::Split::Random,
        },
        seed: p.seed,
    })
}

/// The split, in words for reports.
pub fn split_in_words(config: &Config, partition: &Partition) -> String {
    let p = &config.partition;
    let fold = match (p.folds, p.fold_by) {
        (0, _) => String::new(),
        (folds, _) if partition.leaks => format!(", fold {} of {folds}", p.fold),
        (folds, FoldBy::Speaker) => format!(", fold {} of {folds}", p.fold),
        (folds, FoldBy::Group) => format!(", fold {} of {folds} by recording group", p.fold),
    };
    if partition.leaks {
        format!("random split of clips{fold}: LEAKS speakers from training to test, overstates accuracy")
    } else {
        let speakers = partition.test.speakers().len();
        format!("by speaker{fold}: {speakers} speakers never trained on ({:?} partition)", p.mode).to_lowercase()
    }
}

/// Who holds what, to be drawn. It counts every site's clips, which a deployed coordinator never learns.
pub fn picture(config: &Config, partition: &Partition, synthetic: bool) -> PartitionPicture {
    let counts = partition.counts(&speech::labels(config));
    let row = |set: SetCounts| ClientRow { name: set.name, speakers: set.speakers, counts: set.counts };
    let some = |set: SetCounts| Some(row(set)).filter(|r| r.counts.iter().sum::<u64>() > 0);
    PartitionPicture {
        test: some(counts.test),
        holdout: some(counts.holdout),
        leaks: counts.leaks,
        synthetic,
        ..PartitionPicture::new(counts.classes, counts.clients.into_iter().map(row).collect())
    }
}

/// A federation of simulated identities: reproducible from the seed, and therefore never to be deployed.
pub struct Simulated {
    /// The coordinator's identity.
    pub coordinator: Identity,
    /// The clients', in the partition's order.
    pub clients: Vec<Identity>,
    /// The plan.
    pub plan: Arc<RunPlan>,
}

/// Identities from the run's seed, the manifest of the partition's clients, and the plan.
pub fn simulated(config: &Config, partition: &Partition) -> Result<Simulated> {
    let identity = |what: &str, i: usize| {
        let seed = Sha256Writer::new("sottovoce/1/sim/identity")
            .field(what.as_bytes())
            .number(i as u64)
            .number(config.run.seed)
            .finish();
        Identity::from_seed(seed.0)
    };
    let coordinator = identity("coordinator", 0);
    let clients: Vec<Identity> = (0..partition.clients.len()).map(|i| identity("client", i)).collect();
    let members = partition
        .clients
        .iter()
        .zip(&clients)
        .map(|(data, id)| member(&data.name, id.public_key(), &data.train, config.privacy.unit))
        .collect();
    let manifest = Manifest::new(config.run.name.clone(), PublicKey(coordinator.public_key()), members)?;
    let plan = Arc::new(config.plan(Arc::new(manifest)).map_err(|e| crate::exit::usage(e.to_string()))?);
    Ok(Simulated { coordinator, clients, plan })
}

/// A member that declares as many units as its data has: utterances where they are the privacy unit, speakers elsewhere.
pub fn member(name: &str, public_key: [u8; 32], data: &Examples, unit: Unit) -> Member {
    let units = if unit == Unit::Utterance { data.len() } else { data.speakers().len() };
    let units = u32::try_from(units).unwrap_or(u32::MAX).max(1);
    Member { name: name.to_owned(), public_key: PublicKey(public_key), units }
}

/// The trainer of a config's model on its device.
pub fn trainer(config: &Config) -> Result<Trainer> {
    Trainer::new(config.model_spec(), config.training.device).context("training.device cannot be used")
}

#[cfg(test)]
mod tests {
    use sottovoce_types::ExampleMeta;

    use super::*;
    use crate::exit::{Exit, WithExit};

    /// Four clips of each of ten speakers, two to a session.
    fn sessions() -> Examples {
        let mut data = Examples::empty(2);
        for speaker in 0..10u8 {
            for clip in 0..4u8 {
                let meta = ExampleMeta {
                    path: format!("{speaker}-{clip}.wav"),
                    speaker: format!("speaker {speaker}"),
                    sex: None,
                    group: Some(format!("session {}", speaker / 2 + 1)),
                };
                data.push(&[f32::from(speaker), f32::from(clip)], u16::from(clip), meta);
            }
        }
        data
    }

    fn config(partition: &str) -> Config {
        let text = format!(
            "[corpus]\nkind = \"auto\"\npath = \"p\"\n[aggregation]\nn_min = 3\n[partition]\nclients = 4\n\
             speakers_per_client = 0\n{partition}\n"
        );
        Config::parse(&text, &[] as &[&str]).unwrap_or_else(|e| panic!("{}", e.render(false)))
    }

    fn exit(error: &anyhow::Error) -> Exit {
        error.downcast_ref::<WithExit>().map_or(Exit::Failed, |e| e.exit)
    }

    #[test]
    fn data_that_leak_end_the_run_with_what_is_where() {
        let mut data = sessions();
        data.append(&data.select(&[5]));
        let error = partition(&config("test_speakers = 2"), &data).unwrap_err();
        assert_eq!(exit(&error), Exit::Failed);
        assert!(format!("{error:#}").contains("clip 1-1.wav stands twice"), "{error:#}");
    }

    #[test]
    fn what_the_corpus_cannot_give_is_an_error_of_the_config() {
        for (keys, says) in [
            ("test_speakers = [\"speaker 1\", \"nobody\"]", "no speakers [\"nobody\"]"),
            ("folds = 4\nfold_by = \"group\"", "takes 5 folds"),
            ("folds = 11", "11 folds"),
            ("test_speakers = 7", "needs 11 speakers"),
            ("split = \"random\"\ntest_speakers = [\"speaker 1\"]", "random split"),
        ] {
            let error = partition(&config(keys), &sessions()).unwrap_err();
            assert_eq!(exit(&error), Exit::Usage, "{keys}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_member_declares_the_units_that_the_run_protects() {
        let data = sessions();
        for (unit, units) in [(Unit::Speaker, 10), (Unit::Client, 10), (Unit::None, 10), (Unit::Utterance, 40)] {
            assert_eq!(member("site", [1; 32], &data, unit).units, units, "{unit:?}");
        }
    }

    #[test]
    fn folds_count_from_one_and_results_say_which_it_is() {
        let config = config("folds = 5\nfold = 5\nfold_by = \"group\"\nmode = \"natural\"");
        let p = partition(&config, &sessions()).unwrap();
        assert_eq!(p.test.speakers(), ["speaker 8", "speaker 9"]);
        assert_eq!(p.clients[0].train.speakers(), ["speaker 0", "speaker 1"]);
        let says = "by speaker, fold 5 of 5 by recording group: 2 speakers never trained on (natural partition)";
        assert_eq!(split_in_words(&config, &p), says);
    }

    #[test]
    fn a_random_split_is_printed_as_leaking_in_every_fold() {
        let config = config("folds = 4\nsplit = \"random\"");
        let p = partition(&config, &sessions()).unwrap();
        let says = split_in_words(&config, &p);
        assert!(says.starts_with("random split of clips, fold 1 of 4: LEAKS"), "{says}");
    }

    #[test]
    fn speakers_given_by_name_are_those_tested_on() {
        let p = partition(&config("test_speakers = [\"speaker 7\"]"), &sessions()).unwrap();
        assert_eq!(p.test.speakers(), ["speaker 7"]);
    }
}
