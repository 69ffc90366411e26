//! Each party's folder: identity, manifest, feature cache, config.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use sottovoce_audio::cache;
use sottovoce_config::{Config, identity_file};
use sottovoce_report::write_text;
use sottovoce_round::{Manifest, PublicKey, RunPlan};
use sottovoce_train::Partition;

/// One institution.
pub struct Site {
    /// Its name in the manifest.
    pub name: String,
    /// Its config without the coordinator's address, which is known once it listens.
    pub config: Config,
    /// Where that config goes.
    pub config_file: PathBuf,
    /// Where its process's messages go.
    pub log: PathBuf,
}

/// All parties.
#[allow(clippy::struct_field_names, reason = "the institutions among all the parties' places")]
pub struct Sites {
    /// The coordinator's run directory.
    pub run: PathBuf,
    /// The coordinator's config.
    pub coordinator_config: PathBuf,
    /// Where the coordinator's messages go.
    pub coordinator_log: PathBuf,
    /// The institutions.
    pub sites: Vec<Site>,
    /// The plan that all agree on.
    pub plan: Arc<RunPlan>,
}

impl Sites {
    /// Makes every party's folder. Private keys are made where they stay; only public keys go into the manifest.
    pub fn set_up(root: &Path, config: &Config, partition: &Partition) -> Result<Self> {
        let coordinator_dir = root.join("coordinator");
        let coordinator = identity_file::create(&coordinator_dir.join("identity.key"), &mut rand::rng())?;
        let spec = config.features.spec();
        let all_path = config.corpus.cache.as_deref().context("a cache")?;
        let (info, utterances) = cache::read(all_path, &spec)?;
        let mut members = Vec::new();
        let mut sites: Vec<Site> = Vec::new();
        let manifest_file = root.join("manifest.toml");
        for client in &partition.clients {
            let dir = root.join("sites").join(&client.name);
            let identity = identity_file::create(&dir.join("identity.key"), &mut rand::rng())?;
            members.push(crate::federation::member(
                &client.name,
                identity.public_key(),
                &client.train,
                config.privacy.unit,
            ));
            let speakers = client.train.speakers();
            let own: Vec<_> = utterances.iter().filter(|u| speakers.contains(&u.annotation.speaker)).cloned().collect();
            let cache_file = dir.join("features.h5");
            cache::write(&cache_file, &info, &own)?;
            // Held-out clips help to standardise, are never trained on, and are the audit's non-members.
            let train_only = dir.join("train.txt");
            let paths: BTreeSet<&str> = client.train.meta.iter().map(|m| m.path.as_str()).collect();
            write_text(&train_only, &paths.into_iter().flat_map(|p| [p, "\n"]).collect::<String>())?;
            let mut own = config.clone();
            own.corpus.cache = Some(cache_file);
            own.corpus.train_only = Some(train_only);
            own.transport.identity = Some(dir.join("identity.key"));
            own.transport.manifest = Some(manifest_file.clone());
            own.transport.state = Some(dir.join("state"));
            sites.push(Site {
                name: client.name.clone(),
                config: own,
                config_file: dir.join("client.toml"),
                log: dir.join("client.log"),
            });
        }
        let manifest = Manifest::new(config.run.name.clone(), PublicKey(coordinator.public_key()), members)?;
        write_text(&manifest_file, &toml::to_string(&manifest)?)?;
        for site in &mut sites {
            site.config.transport.manifest_sha256 = Some(manifest.digest());
        }
        let run = root.join("run");
        let mut own = config.clone();
        own.transport.identity = Some(coordinator_dir.join("identity.key"));
        own.transport.manifest = Some(manifest_file);
        own.transport.state = Some(run.clone());
        own.transport.listen = ([127, 0, 0, 1], 0).into();
        let coordinator_config = coordinator_dir.join("coordinator.toml");
        write_text(&coordinator_config, &own.to_toml())?;
        let plan = config.plan(Arc::new(manifest)).map_err(|e| crate::exit::usage(e.to_string()))?;
        Ok(Self {
            run,
            coordinator_config,
            coordinator_log: coordinator_dir.join("coordinator.log"),
            sites,
            plan: Arc::new(plan),
        })
    }
}
