//! `bench secagg`: an attempt of all clients, and what one of them and the coordinator spend on it.
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use sottovoce_report::{Align, TextTable};
use sottovoce_secagg::graph::{Adversary, MaskGraph, SparseTerms};
use sottovoce_secagg::{KeyAgreement, MaskSuite, quorum};
use sottovoce_sim::cost::{Cost, CostSpec, measure};
use sottovoce_types::{Lanes, SCHEMA_VERSION};

use crate::args::{AdversaryName, AgreementName, BenchSecaggArgs, GraphName, SuiteName};
use crate::exit::{Exit, usage};
use crate::output::Output;

pub(super) fn run(args: &BenchSecaggArgs, output: &Output) -> anyhow::Result<Exit> {
    let spec = spec(args)?;
    let wall = Instant::now();
    let bar = output.progress("measuring", 1);
    // For speed alone: a seed that anybody knows protects nobody.
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let cost = measure(spec, args.attempts - 1, &thread_time, &mut rng).map_err(|e| usage(e.to_string()))?;
    bar.finish_and_clear();
    let wall = wall.elapsed().as_secs_f64();
    output.result(&object(&cost, args, wall), || text(&cost, wall))?;
    Ok(Exit::Ok)
}

fn spec(args: &BenchSecaggArgs) -> anyhow::Result<CostSpec> {
    if !(0.0..1.0).contains(&args.dropout) {
        return Err(usage("--dropout must be 0 or above, and below 1"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to clients")]
    let dropouts = (f64::from(args.clients) * args.dropout).round() as u32;
    Ok(CostSpec {
        clients: args.clients,
        dimension: args.dimension,
        lanes: Lanes::new(args.lanes).ok_or_else(|| usage("--lanes must be 1 to 6"))?,
        dropouts,
        max_corrupt: args.max_corrupt.unwrap_or(args.clients / 10),
        key_agreement: match args.key_agreement {
            AgreementName::X25519 => KeyAgreement::X25519,
            AgreementName::Hybrid => KeyAgreement::X25519MlKem768,
        },
        graph: match args.graph {
            GraphName::Complete => MaskGraph::Complete,
            GraphName::Sparse => MaskGraph::Sparse(SparseTerms {
                max_dropout: args.max_dropout,
                adversary: match args.graph_adversary {
                    AdversaryName::Malicious => Adversary::Malicious,
                    AdversaryName::OneSurvivorSet => Adversary::OneSurvivorSet,
                },
            }),
        },
        suite: match args.suite {
            SuiteName::Aes256Ctr => MaskSuite::Aes256Ctr,
            SuiteName::ChaCha20 => MaskSuite::ChaCha20,
            SuiteName::Aes128Ctr => MaskSuite::Aes128Ctr,
            SuiteName::ChaCha8 => MaskSuite::ChaCha8,
            SuiteName::None => MaskSuite::None,
        },
    })
}

/// Time that this thread ran: what other processes take of the core is not in it.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread has run for no less than nothing")
}

/// Linux: the most memory that this process held at once, in bytes.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn object(cost: &Cost, args: &BenchSecaggArgs, wall: f64) -> Value {
    let (spec, primitives) = (&cost.spec, &cost.primitives);
    let phases: Vec<_> = cost
        .phases
        .iter()
        .map(|p| {
            json!({
                "name": p.name,
                "client_seconds": p.client_seconds,
                "server_seconds": p.server_seconds,
                "bytes_up": p.bytes_up,
                "bytes_down": p.bytes_down,
            })
        })
        .collect();
    let compared: Vec<_> = cost
        .compared()
        .iter()
        .map(|c| json!({"name": c.name, "seconds": c.measured, "limit_seconds": c.limit, "gap": c.gap()}))
        .collect();
    let found = spec.parameters().ok().flatten();
    json!({
        "schema": SCHEMA_VERSION,
        "bench": "secagg",
        "cores": 1,
        "graph": spec.graph.name(),
        "holders": found.map_or(spec.clients, |p| p.neighbours),
        "threshold": found.map_or(quorum(spec.clients, spec.max_corrupt), |p| p.threshold),
        "mask_peers": cost.peers,
        "masks_left_by_dropouts": cost.left,
        "suite": spec.suite.name(),
        "key_agreement": spec.key_agreement.name(),
        "clients": spec.clients,
        "dimension": spec.dimension,
        "lanes": spec.lanes,
        "dropouts": spec.dropouts,
        "max_corrupt": spec.max_corrupt,
        "attempts": args.attempts,
        "quorum": quorum(spec.clients, spec.max_corrupt),
        "phases": phases,
        "client_seconds": cost.client_seconds(),
        "server_seconds": cost.server_seconds(),
        "bytes_up": cost.bytes_up(),
        "bytes_down": cost.bytes_down(),
        "payload_bytes": spec.payload_bytes(),
        "expansion": cost.expansion(),
        "gaps": compared,
        "primitives": {
            // No masks, no keystream: infinity is no JSON number.
            "keystream_bytes_per_second": primitives.keystream.is_finite().then_some(primitives.keystream),
            "blake3_bytes_per_second": primitives.hash,
            "add_bytes_per_second": primitives.add,
            "x25519_seconds": primitives.agreement,
            "ed25519_verify_seconds": primitives.verification,
        },
        "peak_memory_bytes": peak_memory(),
        "wall_seconds": wall,
    })
}

fn text(cost: &Cost, wall: f64) -> String {
    let ms = |seconds: f64| format!("{:.2}", 1e3 * seconds);
    let mut phases = TextTable::new([
        ("one core", Align::Left),
        ("one client, ms", Align::Right),
        ("coordinator, ms", Align::Right),
        ("bytes up", Align::Right),
        ("bytes down", Align::Right),
    ]);
    for p in &cost.phases {
        let row = [ms(p.client_seconds), ms(p.server_seconds), p.bytes_up.to_string(), p.bytes_down.to_string()];
        let [client, server, up, down] = row;
        phases.row([p.name.to_owned(), client, server, up, down]);
    }
    phases.row([
        "all".to_owned(),
        ms(cost.client_seconds()),
        ms(cost.server_seconds()),
        cost.bytes_up().to_string(),
        cost.bytes_down().to_string(),
    ]);
    let mut gaps = TextTable::new([
        ("beside the limit of this machine", Align::Left),
        ("ms", Align::Right),
        ("limit, ms", Align::Right),
        ("gap", Align::Right),
    ]);
    for c in cost.compared() {
        gaps.row([c.name.to_owned(), ms(c.measured), ms(c.limit), format!("{:.2}", c.gap())]);
    }
    let (spec, p) = (&cost.spec, &cost.primitives);
    let keystream = p.keystream.is_finite().then(|| format!("{:.2} GB/s", p.keystream / 1e9));
    let keystream = keystream.unwrap_or_else(|| "none".to_owned());
    let graph = match spec.parameters() {
        Ok(Some(p)) => format!(
            "each with {} holders (threshold {}) and the measured one with {} mask peers",
            p.neighbours, p.threshold, cost.peers
        ),
        _ => "everybody with everybody".to_owned(),
    };
    let memory = peak_memory().map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    format!(
        "{} clients, {graph}, {} coordinates in {} lanes, {} dropouts, {} masks, {}\n{}\n{}\n\
         keystream {}, BLAKE3 {:.2} GB/s, addition {:.2} GB/s, X25519 {:.0} us, Ed25519 verification {:.0} us\n\
         bytes up are {:.3} of the {} that the vector has; peak memory, all clients in one process: {memory}; wall time {wall:.1} s",
        spec.clients,
        spec.dimension,
        spec.lanes.count(),
        spec.dropouts,
        spec.suite.name(),
        spec.key_agreement.name(),
        phases.render(),
        gaps.render(),
        keystream,
        p.hash / 1e9,
        p.add / 1e9,
        1e6 * p.agreement,
        1e6 * p.verification,
        cost.expansion(),
        spec.payload_bytes(),
    )
}
