//! From a config and its data to a federation: who holds what, identities, manifest, plan.
use std::sync::Arc;

use anyhow::{Context, Result};
use sottovoce_config::{Config, Split, TestSpeakers};
use sottovoce_round::{Manifest, Member, PublicKey, RunPlan};
use sottovoce_secagg::Identity;
use sottovoce_train::{self as train, Device, Partition, PartitionSpec, Trainer};
use sottovoce_types::{Examples, Sha256Writer};

use crate::speech;

/// A corpus dealt out as the config says.
pub fn partition(config: &Config, data: &Examples) -> Result<Partition> {
    let p = &config.partition;
    let mode = match p.mode {
        sottovoce_config::PartitionMode::Natural => train::PartitionMode::Natural,
        sottovoce_config::PartitionMode::Speakers => train::PartitionMode::Speakers,
        sottovoce_config::PartitionMode::Balanced => train::PartitionMode::Balanced,
        sottovoce_config::PartitionMode::Dirichlet => train::PartitionMode::Dirichlet {
            alpha: p.alpha.context("partition.mode = \"dirichlet\" needs partition.alpha")?,
        },
    };
    let per_client = usize::try_from(p.speakers_per_client)?;
    let spec = PartitionSpec {
        clients: usize::try_from(p.clients)?,
        speakers_per_client: (p.mode == sottovoce_config::PartitionMode::Speakers && per_client > 0)
            .then_some(per_client),
        mode,
        test_speakers: train::TestSpeakers::Count(match &p.test_speakers {
            TestSpeakers::Count(n) => usize::try_from(*n)?,
            TestSpeakers::Named(_) => 0,
        }),
        holdout_fraction: p.holdout_fraction,
        split: match p.split {
            Split::Speaker => train::Split::Speaker,
            Split::Random => train::Split::Random,
        },
        seed: p.seed,
    };
    if let TestSpeakers::Named(names) = &p.test_speakers {
        let unknown: Vec<&String> = names.iter().filter(|n| !data.meta.iter().any(|m| m.speaker == **n)).collect();
        if !unknown.is_empty() {
            return Err(crate::exit::usage(format!(
                "partition.test_speakers names speakers that the corpus lacks: {unknown:?}"
            )));
        }
        let mut partition = Partition::draw(&data.filter(|m| !names.contains(&m.speaker)), &spec)?;
        partition.test = data.filter(|m| names.contains(&m.speaker));
        return Ok(partition);
    }
    Ok(Partition::draw(data, &spec)?)
}

/// The split, in words for reports.
pub fn split_in_words(config: &Config, partition: &Partition) -> String {
    if partition.leaks {
        "random split of clips: LEAKS speakers from training to test, overstates accuracy".to_owned()
    } else {
        format!(
            "by speaker: {} speakers never trained on ({:?} partition)",
            partition.test.speakers().len(),
            config.partition.mode
        )
        .to_lowercase()
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
        .map(|(data, id)| member(&data.name, id.public_key(), &data.train))
        .collect();
    let manifest = Manifest::new(config.run.name.clone(), PublicKey(coordinator.public_key()), members)?;
    let plan = Arc::new(
        config.plan(speech::facts(config), Arc::new(manifest)).map_err(|e| crate::exit::usage(e.to_string()))?,
    );
    Ok(Simulated { coordinator, clients, plan })
}

/// A member that declares as many units as its data has speakers.
pub fn member(name: &str, public_key: [u8; 32], data: &Examples) -> Member {
    let units = u32::try_from(data.speakers().len()).unwrap_or(u32::MAX).max(1);
    Member { name: name.to_owned(), public_key: PublicKey(public_key), units }
}

/// The trainer of a config's model on its device.
pub fn trainer(config: &Config) -> Result<Trainer> {
    let device = match config.training.device {
        sottovoce_config::Device::Cpu => Device::Cpu,
        sottovoce_config::Device::Cuda => Device::Cuda(0),
    };
    Trainer::new(config.model_spec(speech::facts(config)), device).context("training.device cannot be used")
}
