//! The processes of the demo: started, watched by their own words, one killed and started again.
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use sottovoce_report::write_text;

use super::federation::{Site, Sites};
use crate::output::Output;

/// How long clients may take to leave after the last round.
const GOODBYE: Duration = Duration::from_secs(20);

/// Which institution was killed, and when.
#[derive(Clone, Debug, Serialize)]
pub struct Killed {
    /// Its name.
    pub name: String,
    /// In which round.
    pub round: u64,
    /// After which phase had closed.
    pub after_phase: String,
}

/// Child processes, killed when this is dropped: an error leaves none behind.
pub struct Processes {
    coordinator: Child,
    clients: Vec<Option<Child>>,
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.clients.iter_mut().flatten().chain([&mut self.coordinator]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Processes {
    /// Runs the federation to its end; the second institution is killed after the adverts of the middle round closed, and
    /// started again when that round was published.
    pub fn federate(sites: &Sites, rounds: u64, output: &Output) -> Result<Killed> {
        let (coordinator, mut events) = start_coordinator(sites)?;
        let mut all = Self { coordinator, clients: Vec::new() };
        let address = loop {
            let event = next_event(&mut events, sites)?;
            if event["event"] == "listening" {
                break event["address"].as_str().context("an address")?.to_owned();
            }
        };
        for site in &sites.sites {
            let mut config = site.config.clone();
            config.transport.coordinator.clone_from(&address);
            write_text(&site.config_file, &config.to_toml())?;
            all.clients.push(Some(start_client(site)?));
        }
        let victim = 1;
        let kill_round = rounds / 2 + 1;
        let mut killed: Option<Killed> = None;
        let bar = output.progress("rounds", rounds);
        let outcome = loop {
            let event = next_event(&mut events, sites)?;
            match event["event"].as_str() {
                Some("phase-closed")
                    if killed.is_none() && event["round"] == kill_round && event["phase"] == "adverts" =>
                {
                    if let Some(child) = &mut all.clients[victim] {
                        child.kill()?; // SIGKILL
                        child.wait()?;
                    }
                    let name = sites.sites[victim].name.clone();
                    bar.suspend(|| {
                        output.remark(format!(
                            "     killed {name} (SIGKILL) in round {kill_round}, its keys on the roster"
                        ));
                    });
                    killed = Some(Killed { name, round: kill_round, after_phase: "adverts".to_owned() });
                }
                Some("published") => {
                    bar.inc(1);
                    if event["record"]["round"] == kill_round && killed.is_some() {
                        all.clients[victim] = Some(start_client(&sites.sites[victim])?);
                        bar.suspend(|| output.remark(format!("     started {} again", sites.sites[victim].name)));
                    }
                }
                Some("attempt-aborted") => {
                    bar.suspend(|| {
                        output.remark(format!("     round {}: attempt given up: {}", event["round"], event["reason"]));
                    });
                }
                Some("finished") => break event["outcome"].as_str().unwrap_or_default().to_owned(),
                _ => {}
            }
        };
        bar.finish_and_clear();
        all.wait(sites)?;
        if outcome != "Completed" {
            bail!("the run ended early: {outcome} (see {})", sites.coordinator_log.display());
        }
        killed.context("the run was over before an institution could be killed")
    }

    fn wait(&mut self, sites: &Sites) -> Result<()> {
        let until = Instant::now() + GOODBYE;
        for (child, site) in self.clients.iter_mut().zip(&sites.sites) {
            let Some(child) = child else { continue };
            while child.try_wait()?.is_none() {
                if Instant::now() > until {
                    bail!("{} did not end with the run (see {})", site.name, site.log.display());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let status = self.coordinator.wait()?;
        anyhow::ensure!(
            status.success(),
            "the coordinator ended with {status} (see {})",
            sites.coordinator_log.display()
        );
        Ok(())
    }
}

fn start_coordinator(sites: &Sites) -> Result<(Child, BufReader<ChildStdout>)> {
    let binary = coordinator_binary()?;
    let mut child = Command::new(&binary)
        .arg(&sites.coordinator_config)
        .args(["--format", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&sites.coordinator_log)?)
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    let stdout = child.stdout.take().context("a pipe was asked for")?;
    Ok((child, BufReader::new(stdout)))
}

/// The coordinator is a binary of its own, beside this one.
fn coordinator_binary() -> Result<PathBuf> {
    let binary = std::env::current_exe()?.with_file_name("sottovoce-coordinator");
    if !binary.exists() {
        bail!(
            "{} is missing: build it first, `cargo build --release -p sottovoce-coordinator` (make demo does)",
            binary.display()
        );
    }
    Ok(binary)
}

fn start_client(site: &Site) -> Result<Child> {
    let log = File::options().create(true).append(true).open(&site.log)?;
    Command::new(std::env::current_exe()?)
        .arg("client")
        .arg(&site.config_file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start the client process of {}", site.name))
}

fn next_event(events: &mut BufReader<ChildStdout>, sites: &Sites) -> Result<Value> {
    let mut line = String::new();
    if events.read_line(&mut line)? == 0 {
        let log = std::fs::read_to_string(&sites.coordinator_log).unwrap_or_default();
        bail!("the coordinator ended unexpectedly:\n{}", log.trim_end());
    }
    serde_json::from_str(&line).with_context(|| format!("the coordinator said {line:?}"))
}
