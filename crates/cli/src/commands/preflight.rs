//! `preflight`: what a run over the network will need, checked before anybody waits for this party.
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;
use sottovoce_config::{Config, Deployment, Role, identity_file, manifest_file};
use sottovoce_dp::OsNoise;
use sottovoce_net::{ParticipateOptions, TlsIdentity, probe};
use sottovoce_round::{ClientEngine, ClientSetup, Entry, RunPlan};
use sottovoce_secagg::Identity;
use sottovoce_store::read_journal;
use sottovoce_types::{SCHEMA_VERSION, Unit};

use super::load_config;
use crate::args::ConfigArgs;
use crate::exit::{Exit, refused, usage};
use crate::output::Output;
use crate::speech;

/// Free space below so many times what the run will write is remarked on.
const COMFORT: u64 = 4;

/// How one check came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Good,
    Doubtful,
    Bad,
}

/// One check.
#[derive(Serialize)]
struct Check {
    of: &'static str,
    verdict: Verdict,
    says: String,
}

impl Check {
    fn new(of: &'static str, outcome: Result<(Verdict, String)>) -> Self {
        match outcome {
            Ok((verdict, says)) => Self { of, verdict, says },
            Err(error) => Self { of, verdict: Verdict::Bad, says: format!("{error:#}") },
        }
    }
}

#[allow(clippy::unnecessary_wraps, reason = "what every check ends with")]
fn good(says: String) -> Result<(Verdict, String)> {
    Ok((Verdict::Good, says))
}

/// Who asks.
struct Party {
    config: Config,
    deployment: Deployment,
    identity: Identity,
    plan: Arc<RunPlan>,
    role: Role,
}

/// `preflight`
pub fn run(args: &ConfigArgs, output: &Output) -> Result<Exit> {
    let config = load_config(args)?;
    // The identity says which of the two this is; a configuration that suits neither is refused as a client's.
    let either = config.deployment(Role::Coordinator).or_else(|_| config.deployment(Role::Client));
    let deployment = either.map_err(refused)?;
    let identity = identity_file::load(&deployment.identity)?;
    let manifest = Arc::new(manifest_file::load_pinned(&deployment.manifest, &deployment.pin)?);
    let role = if identity.public_key() == manifest.coordinator().0 { Role::Coordinator } else { Role::Client };
    let deployment = config.deployment(role).map_err(refused)?;
    let plan = Arc::new(config.plan(manifest.clone()).map_err(|e| usage(e.to_string()))?);
    let party = Party { config, deployment, identity, plan, role };
    let mut checks = vec![Check::new("membership", party.membership())];
    if role == Role::Client {
        checks.push(Check::new("data", party.data(output)));
        checks.push(Check::new("state", party.client_state()));
        checks.push(Check::new("coordinator", party.reaches()));
    } else {
        checks.push(Check::new("state", party.coordinator_state()));
        checks.push(Check::new("address", party.listens()));
    }
    checks.push(Check::new("disk", party.disk()));
    checks.push(Check::new("clock", party.clock()));
    let ready = checks.iter().all(|c| c.verdict != Verdict::Bad);
    let role = if role == Role::Client { "client" } else { "coordinator" };
    let object = json!({
        "schema": SCHEMA_VERSION, "role": role, "ready": ready, "plan": party.plan.digest(), "checks": checks,
    });
    output.result(&object, || {
        let mut text = String::new();
        for check in &checks {
            let word = match check.verdict {
                Verdict::Good => "good",
                Verdict::Doubtful => "doubt",
                Verdict::Bad => "BAD",
            };
            text += &format!("{word:<6} {:<12} {}\n", check.of, check.says);
        }
        text += &format!("plan {}: the same at every party, or it is refused\n", party.plan.digest());
        text + if ready { "ready" } else { "not ready" }
    })?;
    Ok(if ready { Exit::Ok } else { Exit::Failed })
}

impl Party {
    fn membership(&self) -> Result<(Verdict, String)> {
        let manifest = self.plan.manifest();
        let of = format!("{:?}, revision {}, digest {}", manifest.federation(), manifest.revision(), manifest.digest());
        if self.role == Role::Coordinator {
            return good(format!("the coordinator of {of}"));
        }
        let member = manifest.member(&self.identity.client_id()).with_context(|| {
            format!(
                "the identity in {} is not in {of}: ask for a revision (`sottovoce cert request`)",
                self.deployment.identity.display()
            )
        })?;
        good(format!("member {:?} with {} units of {of}", member.name, member.units))
    }

    fn data(&self, output: &Output) -> Result<(Verdict, String)> {
        let examples = speech::load(&self.config, &self.deployment.state, output)?.examples(&self.config);
        ensure!(!examples.is_empty(), "no clip of this corpus has one of the labels that corpus.labels names");
        let (clips, speakers) = (examples.len(), examples.speakers().len());
        let held = format!("{clips} clips of {speakers} speakers");
        let member = self.plan.manifest().member(&self.identity.client_id()).context("it is no member")?;
        let units = match self.config.privacy.unit {
            Unit::Speaker => speakers,
            Unit::Utterance => clips,
            Unit::Client | Unit::None => return good(held),
        };
        let declared = usize::try_from(member.units)?;
        if units > declared {
            bail!(
                "{held}, but the manifest declares {declared} units for {:?}: a round with more is refused; name those that \
                 take part in corpus.train_only, or have the manifest revised",
                member.name
            );
        }
        if units < declared {
            let says =
                format!("{held}, fewer than the {declared} units that the manifest declares: the mean is over those");
            return Ok((Verdict::Doubtful, says));
        }
        good(held)
    }

    /// What the journal in the state folder says, if there is one.
    fn history(&self) -> Result<Vec<Entry>> {
        if self.deployment.state.join("state.sqlite").exists() {
            Ok(read_journal(&self.deployment.state)?.0)
        } else {
            Ok(Vec::new())
        }
    }

    fn client_state(&self) -> Result<(Verdict, String)> {
        let history = self.history()?;
        let begun = history.len();
        let setup = ClientSetup {
            plan: Arc::clone(&self.plan),
            identity: Identity::from_seed(*self.identity.seed()),
            noise: Box::new(OsNoise),
            seed: [0; 32], // nothing is drawn
            history,
            allow_plain: false,
        };
        let engine = ClientEngine::capped(setup, self.config.privacy.site_epsilon_cap)?;
        let entries = if begun == 0 { "a new state".to_owned() } else { format!("{begun} entries, hash chain holds") };
        let Some(ledger) = engine.ledger() else { return good(format!("{entries}; no differential privacy")) };
        let (spent, left) = (ledger.epsilon_spent().upper, ledger.epsilon_left());
        let says = format!("{entries}; epsilon {spent:.4} spent, {left:.4} left");
        if left <= 0.0 {
            bail!("{says}: every round would be declined (exit code 10)");
        }
        good(says)
    }

    fn coordinator_state(&self) -> Result<(Verdict, String)> {
        match self.history()?.len() {
            0 => good("a new run".to_owned()),
            begun => good(format!("{begun} entries, hash chain holds: the run goes on from there")),
        }
    }

    fn reaches(&self) -> Result<(Verdict, String)> {
        let manifest = self.plan.manifest();
        let address = self.config.transport.coordinator.clone();
        let tls = TlsIdentity::from_seed(&self.identity.seed());
        let options = ParticipateOptions::new(address.clone(), manifest.coordinator().0, tls);
        let probed = tokio::runtime::Runtime::new()?.block_on(probe(options)).with_context(|| {
            format!(
                "{address} (transport.coordinator): is the coordinator started, and does the firewall let UDP through?"
            )
        })?;
        let milliseconds = probed.handshake.as_secs_f64() * 1e3;
        good(format!("{} has the pinned key and lets this site in, handshake {milliseconds:.1} ms", probed.addr))
    }

    fn listens(&self) -> Result<(Verdict, String)> {
        let address = self.config.transport.listen;
        UdpSocket::bind(address).with_context(|| {
            format!("cannot listen on {address} (transport.listen): is a coordinator running already?")
        })?;
        good(format!("UDP {address} is free"))
    }

    /// What the run writes at most, in bytes; journal rows are small beside it.
    fn will_write(&self) -> u64 {
        let (rounds, members) = (self.plan.spec().rounds, u64::from(self.plan.manifest().len()));
        let input = 8 * self.plan.encode().words() as u64;
        let model = 4 * self.plan.layout().len() as u64;
        match self.role {
            // A round's result and model, and in the transcript every input and what is sent out of it.
            Role::Coordinator => rounds * (input + model + 2 * members * input),
            Role::Client => 2 * model + (1 << 20),
        }
    }

    fn disk(&self) -> Result<(Verdict, String)> {
        let place = nearest(&self.deployment.state);
        let stat =
            rustix::fs::statvfs(&place).with_context(|| format!("cannot ask how full {} is", place.display()))?;
        let (free, needed) = (stat.f_bavail * stat.f_frsize, self.will_write());
        let says = format!("{} MiB free at {}, at most {} MiB are written", free >> 20, place.display(), needed >> 20);
        ensure!(free > needed, "{says}");
        let tight = free < COMFORT * needed;
        Ok((if tight { Verdict::Doubtful } else { Verdict::Good }, says))
    }

    /// The protocol itself needs no clock: deadlines are the coordinator's, and keys have no dates. Logs and files do.
    fn clock(&self) -> Result<(Verdict, String)> {
        let now = SystemTime::now();
        for file in [&self.deployment.manifest, &self.deployment.state.join("state.sqlite")] {
            let Ok(written) = file.metadata().and_then(|m| m.modified()) else { continue };
            if let Ok(ahead) = written.duration_since(now)
                && ahead.as_secs() > 60
            {
                let says = format!("{} was written {} s in the future: set the clock", file.display(), ahead.as_secs());
                return Ok((Verdict::Doubtful, says));
            }
        }
        good("not behind its own files".to_owned())
    }
}

/// The nearest folder above that exists: what the state will be made in.
fn nearest(path: &Path) -> PathBuf {
    let existing = path.ancestors().find(|p| !p.as_os_str().is_empty() && p.exists());
    existing.map_or_else(|| PathBuf::from("."), Path::to_owned)
}
