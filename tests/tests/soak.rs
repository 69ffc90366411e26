//! A federation that is killed all the time: SIGKILL to one party after another, at moments drawn at random, for as many rounds as asked.
//! Nothing is lost, no ledger ever shrinks, no process grows, and the run that comes out verifies.
//!
//! The long one: `cargo test -p sottovoce-tests --test soak -- --ignored --nocapture`; `SOAK_ROUNDS` and `SOAK_SEED` say how many rounds and
//! which moments.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs, reason = "tests")]
mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::sites::{SiteProcess, Sites};
use common::{arg, json_lines, resident_kib, run};
use sottovoce_store::read_checkpoint;
use sottovoce_types::Sha256Writer;

const SITES: u8 = 4;
/// Memory that a process may gain from the second quarter of its rounds to the last: caches and the allocator's leftovers.
const MAY_GROW_KIB: u64 = 12 * 1024;

/// Deadlines are short, since a party that was killed is waited for; attempts are many, since each kill may cost one.
fn agreed(rounds: u64) -> String {
    format!(
        "[run]\nname = \"soak\"\nrounds = {rounds}\nevaluate_every = 0\n[model]\nhidden = []\n[training]\nepochs = 1\n\
         [privacy]\nunit = \"speaker\"\nnoise_multiplier = 8.0\nepsilon_budget = 100000.0\ndelta = 1e-5\n\
         [aggregation]\nn_min = 3\nmax_corrupt = 1\nmax_attempts = 60\n\
         [transport]\njoin_deadline_ms = 20000\nadvert_deadline_ms = 1500\nphase_deadline_ms = 700\n"
    )
}

/// Numbers that are the same for the same seed.
struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        let digest = Sha256Writer::new("sottovoce/1/tests/soak").number(self.seed).number(self.drawn).finish();
        u64::from_le_bytes(*digest.0.first_chunk().unwrap()) % bound
    }
}

/// What was seen.
#[derive(Default)]
struct Seen {
    kills: BTreeMap<String, u32>,
    /// ε spent by each party's own ledger, each time it was looked at.
    spent: BTreeMap<PathBuf, Vec<f64>>,
    /// Resident KiB of each party at each round.
    resident: BTreeMap<String, Vec<(u64, u64)>>,
}

impl Seen {
    /// Reads a ledger, whose chain must hold, and which must not have shrunk.
    fn look_at_ledger(&mut self, state: &Path) {
        if !state.join("journal.sqlite").exists() && std::fs::read_dir(state).is_err() {
            return;
        }
        let ran = run(&["privacy", "ledger", arg(state), "--format", "json"]);
        if ran.code != Some(0) {
            // Killed before its first entry: there is no ledger yet, and there must have been none before.
            assert!(!self.spent.contains_key(state), "{} lost its ledger: {}", state.display(), ran.stderr);
            return;
        }
        let ledger = ran.json();
        assert_eq!(ledger["chain"], "verified");
        let now = ledger["spent"]["epsilon_upper"].as_f64().unwrap();
        let all = self.spent.entry(state.to_owned()).or_default();
        assert!(all.last().is_none_or(|before| now >= *before), "{}: {all:?}, then {now}", state.display());
        all.push(now);
    }

    fn look_at_memory(&mut self, party: &str, pid: u32, round: u64) {
        if let Some(kib) = resident_kib(pid) {
            self.resident.entry(party.to_owned()).or_default().push((round, kib));
        }
    }

    /// Largest resident memory of a party in a quarter of the rounds, in KiB.
    fn peak(&self, party: &str, rounds: u64, quarter: u64) -> u64 {
        let (from, to) = (rounds * (quarter - 1) / 4, rounds * quarter / 4);
        let own = self.resident.get(party).into_iter().flatten();
        own.filter(|(round, _)| (from..=to).contains(round)).map(|(_, kib)| *kib).max().unwrap_or(0)
    }
}

/// Runs `rounds` rounds, with a kill every `between` rounds on average, somewhere in the round, and checks all that must hold. By rounds and not by
/// time: a machine that is slow has to get on, too.
async fn soak(rounds: u64, between: u64, seed: u64) -> Seen {
    let (mut seen, mut chance) = (Seen::default(), Chance { seed, drawn: 0 });
    let sites = Sites::bring_up(SITES, &agreed(rounds));
    let run_state = sites.path().join("run");
    let published =
        || if run_state.join("rounds.jsonl").exists() { lines_of(&run_state.join("rounds.jsonl")) } else { 0 };
    let began = Instant::now();
    let mut coordinator = sites.coordinator().await;
    let mut parties: Vec<SiteProcess> = (1..=SITES).map(|i| sites.start(i, &coordinator, &[])).collect();
    let mut next_kill = between;
    let stuck_after = Duration::from_secs(60 + 10 * rounds);
    loop {
        assert!(
            began.elapsed() < stuck_after,
            "round {} of {rounds} after {stuck_after:?}:\n{}",
            published(),
            coordinator.stderr()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
        let done = published();
        if !coordinator.is_running() {
            break;
        }
        seen.look_at_memory("coordinator", coordinator.pid(), done);
        for (i, site) in (1..).zip(&mut parties) {
            assert!(site.is_running() || done >= rounds, "site {i} ended by itself in round {done}");
            seen.look_at_memory(&format!("site {i}"), site.pid(), done);
        }
        // The last two rounds are left alone: whoever is killed when the run is over has nobody to ask.
        if done < next_kill || done + 2 >= rounds {
            continue;
        }
        next_kill = done + 1 + chance.below(2 * between - 1);
        // Not always at the same step of a round.
        tokio::time::sleep(Duration::from_millis(chance.below(150))).await;
        let victim = usize::try_from(chance.below(u64::from(SITES) + 1)).unwrap();
        if victim == usize::from(SITES) {
            coordinator.kill();
            seen.look_at_ledger(&run_state);
            coordinator = sites.coordinator().await;
            *seen.kills.entry("coordinator".to_owned()).or_default() += 1;
        } else {
            let number = u8::try_from(victim + 1).unwrap();
            assert!(parties.remove(victim).kill(), "site {number} had ended");
            seen.look_at_ledger(&sites.site(number).join("state"));
            parties.insert(victim, sites.start(number, &coordinator, &[]));
            *seen.kills.entry(format!("site {number}")).or_default() += 1;
        }
    }
    let said = coordinator.stderr();
    assert!(coordinator.end().await.success(), "{said}");
    let mut models = Vec::new();
    for site in parties {
        let (code, stdout, stderr) = site.end().await;
        assert_eq!(code, Some(0), "{stdout}\n{stderr}");
        let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        models.push(read_checkpoint(told["model"].as_str().unwrap()).unwrap().params.digest());
    }
    let seconds = began.elapsed().as_secs_f64();

    // Nothing is lost: each round once, in order, one model at the end, and all that was signed and charged holds together.
    let records = json_lines(&run_state.join("rounds.jsonl"));
    assert!(records.iter().map(|r| r["round"].as_u64().unwrap()).eq(1..=rounds), "{records:?}");
    let last = records.last().unwrap()["model_sha256"].as_str().unwrap();
    assert!(
        models.iter().all(|model| model.to_string() == last),
        "a site ended with another model than the coordinator"
    );
    assert_eq!(run(&["verify", arg(&run_state), "--format", "json"]).expect(0).json()["holds"], true);
    for i in 1..=SITES {
        seen.look_at_ledger(&sites.site(i).join("state"));
    }
    seen.look_at_ledger(&run_state);
    let attempts: u64 = records.iter().map(|r| r["attempt"].as_u64().unwrap()).sum();
    let dropouts: u64 = records.iter().map(|r| r["dropouts"].as_u64().unwrap()).sum();
    println!("{rounds} rounds in {seconds:.0} s, {attempts} attempts, {dropouts} dropouts survived; seed {seed}");
    println!("kills: {:?}", seen.kills);
    for (state, spent) in &seen.spent {
        let name = state.strip_prefix(sites.path()).unwrap().display();
        println!(
            "{name}: ledger looked at {} times, epsilon {:.2} at last, never less than before",
            spent.len(),
            spent.last().unwrap()
        );
    }
    for party in seen.resident.keys() {
        let peak = |quarter| seen.peak(party, rounds, quarter) as f64 / 1024.0;
        println!(
            "{party}: peak resident MiB by quarter of the rounds: {:.1} {:.1} {:.1} {:.1}",
            peak(1),
            peak(2),
            peak(3),
            peak(4)
        );
    }
    seen
}

fn lines_of(path: &Path) -> u64 {
    std::fs::read_to_string(path).unwrap_or_default().matches('\n').count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_rounds_with_kills_all_the_time_lose_nothing() {
    let seen = soak(30, 4, 3).await;
    assert!(seen.kills.values().sum::<u32>() >= 4, "{:?}", seen.kills);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: two hundred rounds"]
async fn two_hundred_rounds_with_random_kills_lose_nothing_and_memory_stays_flat() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |v| v.parse().unwrap());
    let rounds = number("SOAK_ROUNDS", 200);
    let seen = soak(rounds, 4, number("SOAK_SEED", 1)).await;
    for party in seen.resident.keys() {
        let (early, late) = (seen.peak(party, rounds, 2), seen.peak(party, rounds, 4));
        assert!(late <= early + MAY_GROW_KIB, "{party} grew from {early} to {late} KiB");
    }
}
