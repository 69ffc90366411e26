//! `explain`: who can learn what under a config, before anything is run.
use std::sync::Arc;

use serde_json::json;
use sottovoce_config::{AggregationMode, Config, manifest_file};
use sottovoce_dp::accountant::{self, Accountant, Adjacency};
use sottovoce_dp::{DpEvent, KeptNoise, LayerPlan, NoiseShare};
use sottovoce_report::{Align, TextTable, bar_svg};
use sottovoce_round::{Manifest, Member, PublicKey, RunPlan};
use sottovoce_secagg::{honest_floor, quorum};
use sottovoce_types::{Delta, EpsilonByVantage, LayerRule, NoiseRemoval, SCHEMA_VERSION, Unit, Vantage};

use super::load_config;
use crate::args::ExplainArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::study;

/// One point of the collusion curve.
struct Colluders {
    clients: u32,
    /// Noise multiplier of what is left against them.
    noise_multiplier: f64,
    /// ε of the whole run; `None` is infinity.
    epsilon: Option<f64>,
    why: &'static str,
}

/// `explain`
pub fn run(args: &ExplainArgs, output: &Output) -> anyhow::Result<Exit> {
    let config = load_config(&args.config)?;
    let why_unprotected = match (config.privacy.unit, config.aggregation.mode) {
        (Unit::None, _) => Some("privacy.unit = \"none\": nothing is noised, and every epsilon is infinite"),
        (_, AggregationMode::Plain) => {
            Some("aggregation.mode = \"plain\": the coordinator sees every site's update by itself")
        }
        _ => None,
    };
    if let Some(why) = why_unprotected.filter(|_| !args.unprotected) {
        return Err(usage(format!(
            "this config protects nobody from its coordinator ({why}): name a unit and use secure aggregation, or say --unprotected \
             to have it explained all the same"
        )));
    }
    let (plan, known) = plan(&config)?;
    let run = plan.event().self_composed(plan.spec().rounds);
    let mut vantages = study::guarantees(&plan, &run)?;
    if let Some(privacy) = plan.spec().privacy {
        vantages.push(peer_client(&plan, &run, privacy.delta)?);
    }
    let curve = match plan.spec().privacy {
        Some(privacy) => collusion_curve(&plan, &run, privacy.delta)?,
        None => Vec::new(),
    };
    if let Some(path) = &args.plot {
        let bar = |c: &Colluders| Some((format!("{} of {} clients", c.clients, plan.manifest().len()), c.epsilon?));
        let bars: Vec<_> = curve.iter().filter_map(bar).collect();
        let svg = bar_svg("Epsilon against the coordinator with so many clients", "epsilon of the whole run", &bars);
        sottovoce_report::write_text(path, &svg)?;
    }
    let points: Vec<_> = curve
        .iter()
        .map(|c| json!({"colluding_clients": c.clients, "noise_multiplier": c.noise_multiplier, "epsilon": c.epsilon, "why": c.why}))
        .collect();
    let spec = plan.spec();
    let object = json!({
        "schema": SCHEMA_VERSION, "config_sha256": config.digest(), "clients": plan.manifest().len(), "units": plan.total_units(),
        "units_are": known, "unit": spec.unit.name(), "rounds": spec.rounds, "sampling_rate": plan.sampling_rate(),
        "noise_multiplier": spec.privacy.map(|p| p.noise_multiplier), "delta": spec.privacy.map(|p| p.delta),
        "max_corrupt": spec.max_corrupt, "quorum": quorum(plan.manifest().len(), spec.max_corrupt),
        "noise_removal": spec.noise_removal.name(), "noise": noise_points(&plan),
        "graph": graph_object(&plan)?, "vantages": vantages, "collusion": points, "not_hidden": NOT_HIDDEN, "protects": why_unprotected.is_none(),
    });
    output.result(&object, || text(&plan, known, &vantages, &curve))?;
    Ok(Exit::Ok)
}

/// Between whom masks are made, on the largest roster and on the smallest.
fn graph_object(plan: &RunPlan) -> anyhow::Result<serde_json::Value> {
    let spec = plan.spec();
    let on = |n: u32| -> anyhow::Result<serde_json::Value> {
        let Some(found) = spec.graph.on(n, spec.max_corrupt).map_err(|e| usage(e.to_string()))? else {
            return Ok(
                json!({"clients": n, "graph": "complete", "holders": n, "threshold": quorum(n, spec.max_corrupt)}),
            );
        };
        Ok(json!({
            "clients": n, "graph": "sparse", "holders": found.neighbours, "threshold": found.threshold,
            "privacy_failure_log2": found.privacy_log2, "attempt_failure_log2": found.failure_log2,
        }))
    };
    let (terms, members) = (spec.graph.terms(), plan.manifest().len());
    Ok(json!({
        "choice": spec.graph.name(), "max_dropout": terms.map(|t| t.max_dropout), "adversary": terms.map(|t| t.adversary.name()),
        "attempts_a_round": spec.max_attempts, "all_members": on(members)?, "fewest": on(spec.n_min)?,
    }))
}

/// The same for people.
fn graph_text(plan: &RunPlan) -> String {
    let spec = plan.spec();
    let on = |n: u32| match spec.graph.on(n, spec.max_corrupt) {
        Ok(None) => format!(
            "{n} clients: complete, shares of every secret at all of them, threshold {}",
            quorum(n, spec.max_corrupt)
        ),
        Ok(Some(found)) => format!(
            "{n} clients: sparse, each picks k = {} holders of its secrets, threshold t = {}; by chance, privacy fails in at most 2^{:.1} of \
             attempts (of which a round has {} at most), and an attempt in 2^{:.1}",
            found.neighbours, found.threshold, found.privacy_log2, spec.max_attempts, found.failure_log2
        ),
        Err(refused) => format!("{n} clients: none; {refused}"),
    };
    let mut lines = vec![on(plan.manifest().len())];
    if spec.n_min < plan.manifest().len() {
        lines.push(on(spec.n_min));
    }
    format!("graph = {}\n  {}\n", spec.graph.name(), lines.join("\n  "))
}

/// The honest noise in a sum of all members, by how many of them drop out, as a noise multiplier.
fn kept_noise(plan: &RunPlan) -> Vec<(u32, KeptNoise)> {
    let Some(privacy) = plan.spec().privacy else { return Vec::new() };
    let (n, f) = (plan.manifest().len(), plan.spec().max_corrupt);
    let (q, z, sensitivity) = (quorum(n, f), privacy.noise_multiplier, plan.encode().squared_sensitivity());
    let share = NoiseShare::joint(z, sensitivity, honest_floor(n, f).max(1)).ok();
    let rule = LayerRule::new(n, q, f).filter(|_| plan.spec().noise_removal == NoiseRemoval::Layers);
    let layers = rule.and_then(|rule| LayerPlan::new(z, sensitivity, rule).ok());
    let most = n.saturating_sub(q);
    let mut dropouts: Vec<u32> = if most <= 6 { (0..=most).collect() } else { vec![0, most / 4, most / 2, most] };
    dropouts.dedup();
    let kept = |j: u32| match &layers {
        Some(layers) => KeptNoise::of_layers(layers, j),
        None => share.as_ref().map(|share| KeptNoise::of_shares(share, (n - j).saturating_sub(f))),
    };
    dropouts.into_iter().filter_map(|j| Some((j, kept(j)?))).collect()
}

fn noise_points(plan: &RunPlan) -> Vec<serde_json::Value> {
    let point = |(j, kept): &(u32, KeptNoise)| json!({"dropouts": j, "honest_noise_multiplier": kept.noise_multiplier});
    kept_noise(plan).iter().map(point).collect()
}

fn noise_text(plan: &RunPlan) -> String {
    let kept = kept_noise(plan);
    if kept.is_empty() {
        return String::new();
    }
    let points: Vec<String> = kept.iter().map(|(j, kept)| format!("{j}: {:.4}", kept.noise_multiplier)).collect();
    format!(
        "noise_removal = {}; the honest noise multiplier in a sum, by how many of all members drop out: {}\n\n",
        plan.spec().noise_removal.name(),
        points.join(", ")
    )
}

/// What nobody's epsilon covers.
const NOT_HIDDEN: &[&str] = &[
    "who takes part in which round, when, and how many bytes they send",
    "how long a site trains, and with it about how much data it has, or drew",
    "the number of units that each site declares in the manifest",
    "the released models, to whoever they are given",
];

fn text(plan: &RunPlan, known: &str, vantages: &[EpsilonByVantage], curve: &[Colluders]) -> String {
    let spec = plan.spec();
    let n = plan.manifest().len();
    let mut out = format!(
        "{} clients, {} units ({known}), unit = {}, {} rounds\na sum is opened with {} of {n} clients at least, of whom {} may be corrupt\n{}\n",
        n,
        plan.total_units(),
        spec.unit.name(),
        spec.rounds,
        quorum(n, spec.max_corrupt),
        spec.max_corrupt,
        graph_text(plan),
    );
    out.push_str(&noise_text(plan));
    let mut table = TextTable::new([
        ("against", Align::Left),
        ("epsilon of the run", Align::Right),
        ("on the grounds of", Align::Left),
    ]);
    for v in vantages {
        table.row([v.vantage.name().to_owned(), shown(v.epsilon), v.basis.clone()]);
    }
    out.push_str(&table.render());
    if !curve.is_empty() {
        out.push_str("\n\nthe coordinator together with c clients\n");
        let mut table = TextTable::new([
            ("c", Align::Right),
            ("noise multiplier left", Align::Right),
            ("epsilon of the run", Align::Right),
            ("because", Align::Left),
        ]);
        for c in curve {
            let z = format!("{:.4}", c.noise_multiplier);
            table.row([c.clients.to_string(), z, shown(c.epsilon), c.why.to_owned()]);
        }
        out.push_str(&table.render());
    }
    out.push_str("\n\nwhoever reads the network sees TLS records: sizes and times, and nothing of what is in them\nnot hidden by any of this:\n");
    for thing in NOT_HIDDEN {
        out.push_str(&format!("  - {thing}\n"));
    }
    out
}

fn shown(epsilon: Option<f64>) -> String {
    epsilon.map_or("infinite".to_owned(), |e| format!("{e:.4}"))
}

/// Another client, which follows the protocol, sees the models, and knows its own share of the noise in every sum.
fn peer_client(plan: &RunPlan, run: &DpEvent, delta: Delta) -> anyhow::Result<EpsilonByVantage> {
    let f = plan.spec().max_corrupt;
    let left = |m: u32| (f64::from(quorum(m, f).saturating_sub(1)) / f64::from(honest_floor(m, f).max(1))).sqrt();
    let least = (plan.spec().n_min..=plan.manifest().len()).map(left).fold(1.0, f64::min);
    let found = accountant::epsilon(&run.with_noise_times(least), delta, Accountant::Auto, Adjacency::AddOrRemoveOne)?;
    Ok(EpsilonByVantage {
        vantage: Vantage::PeerClient,
        epsilon: Some(found.bracket.upper).filter(|e| e.is_finite()),
        delta: delta.value(),
        basis: format!(
            "{}; it knows its own share of the noise, which counts where max_corrupt is 0 (here {f})",
            found.accountant.in_words()
        ),
    })
}

/// What is left of the noise against the coordinator and c clients, as a factor of its standard deviation, on whichever roster that the plan
/// allows leaves least: the coordinator chooses who is on it, and a smaller one may be opened twice by fewer.
fn noise_left(plan: &RunPlan, clients: u32) -> (f64, &'static str) {
    let f = plan.spec().max_corrupt;
    let layered = plan.spec().noise_removal == NoiseRemoval::Layers;
    let on_roster = |m: u32| {
        let (q, floor) = (quorum(m, f), honest_floor(m, f).max(1));
        let everybody = m.saturating_sub(f).max(1);
        // Two survivor sets could each find q signatures once 2q − m clients sign both: their difference shows single inputs. Layers are then taken off by the larger
        // one, and the base is made for all honest clients together.
        let (honest, of, why) = if clients >= (2 * q).saturating_sub(m) {
            if layered {
                (1, everybody, "enough to open two sums of one attempt: a site has the base of its own noise alone")
            } else {
                (1, floor, "enough to open two sums of one attempt: a site has its own noise alone")
            }
        } else if clients > f {
            // Of s survivors s − f were counted on: what is left of that is least in the smallest set.
            (q - clients, floor, "more than max_corrupt: their shares of the noise are known")
        } else if layered {
            // The noise of s survivors is that of s − f of them: more are left of it, by a fraction that is least where all stay.
            (m - clients, everybody, "what every sum is sure of")
        } else {
            (q - clients, floor, "what every sum is sure of")
        };
        ((f64::from(honest) / f64::from(of)).sqrt(), why)
    };
    // Somebody honest must be on it.
    let rosters = plan.spec().n_min.max(clients + 1)..=plan.manifest().len();
    rosters.map(on_roster).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, "nobody honest is left"))
}

/// What is left against the coordinator and c clients.
fn collusion_curve(plan: &RunPlan, run: &DpEvent, delta: Delta) -> anyhow::Result<Vec<Colluders>> {
    let (n, f) = (plan.manifest().len(), plan.spec().max_corrupt);
    let z = plan.spec().privacy.map_or(0.0, |p| p.noise_multiplier.value());
    let broken_from = (2 * quorum(n, f)).saturating_sub(n);
    let point = |clients: u32| -> anyhow::Result<Colluders> {
        let (left, why) = noise_left(plan, clients);
        let found =
            accountant::epsilon(&run.with_noise_times(left), delta, Accountant::Auto, Adjacency::AddOrRemoveOne)?;
        let epsilon = Some(found.bracket.upper).filter(|e| e.is_finite());
        Ok(Colluders { clients, noise_multiplier: z * left, epsilon, why })
    };
    // All of them up to where it changes, then where it ends.
    let mut all: Vec<u32> = (0..=broken_from.min(n.saturating_sub(1))).collect();
    if all.len() > 24 {
        let step = all.len().div_ceil(20);
        let last = all.len() - 1;
        all = all
            .into_iter()
            .enumerate()
            .filter(|(i, c)| i % step == 0 || *i == last || *c == f)
            .map(|(_, c)| c)
            .collect();
    }
    all.into_iter().map(point).collect()
}

/// The plan of the federation that the config names; where no manifest is named, one with stand-ins for its members.
fn plan(config: &Config) -> anyhow::Result<(RunPlan, &'static str)> {
    if let Some(path) = &config.transport.manifest {
        let manifest = Arc::new(manifest_file::load(path)?);
        let plan = config.plan(manifest).map_err(|e| usage(e.to_string()))?;
        return Ok((plan, "as the manifest declares"));
    }
    let p = &config.partition;
    let (units, known) = match config.privacy.unit {
        Unit::Speaker if p.speakers_per_client > 0 => (p.speakers_per_client, "as the partition says"),
        Unit::Speaker | Unit::Utterance => (1000, "a stand-in: the corpus decides"),
        Unit::Client | Unit::None => (1, "the clients themselves"),
    };
    let member = |i: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&(i + 1).to_le_bytes());
        Member { name: format!("client {}", i + 1), public_key: PublicKey(key), units }
    };
    let members = (0..p.clients).map(member).collect();
    let manifest = Manifest::new(config.run.name.clone(), PublicKey([0; 32]), members)?;
    Ok((config.plan(Arc::new(manifest)).map_err(|e| usage(e.to_string()))?, known))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sottovoce_dp::gdp;
    use sottovoce_types::Vantage::{Coordinator, KnowsSample};

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "[partition]\nclients = 10\nspeakers_per_client = 4\n[corpus]\nsynth_speakers = 60\n[aggregation]\nn_min = 6\nmax_corrupt = 2\n[privacy]\nnoise_multiplier = 3\ndelta = 1e-5\n{more}\n"
        );
        Config::parse(&text, &[] as &[&str]).unwrap_or_else(|e| panic!("{}", e.render(false)))
    }

    #[test]
    fn the_collusion_curve_is_what_the_honest_shares_leave_and_never_falls() {
        let config = config("");
        let (plan, _) = plan(&config).unwrap();
        let run = plan.event().self_composed(plan.spec().rounds);
        let delta = plan.spec().privacy.unwrap().delta;
        let curve = collusion_curve(&plan, &run, delta).unwrap();
        // n = 10, f = 2: q = 7, noise is sized for 5; two sums can be opened from 2·7 − 10 = 4 colluders on, and on a roster of 9, where
        // q = 6, from 3 on.
        assert_eq!(curve.iter().map(|c| c.clients).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!((curve[2].noise_multiplier - 3.0).abs() < 1e-12, "at max_corrupt it is what is charged");
        assert!((curve[0].noise_multiplier - 3.0 * (7.0f64 / 5.0).sqrt()).abs() < 1e-12);
        // On nine of them q = 6 and the noise is sized for 4: one share is half of it. On ten it would still be two fifths of 3² more.
        assert!((curve[3].noise_multiplier - 3.0 / 2.0).abs() < 1e-12, "the smaller roster breaks first");
        assert!((curve[4].noise_multiplier - 3.0 / 5.0f64.sqrt()).abs() < 1e-12, "one share of five");
        for pair in curve.windows(2) {
            assert!(pair[0].epsilon.unwrap() <= pair[1].epsilon.unwrap());
        }
        let exact = gdp::epsilon((plan.spec().rounds as f64).sqrt() / 3.0, delta);
        let printed = curve[2].epsilon.unwrap();
        assert!(printed >= exact.lower && printed <= exact.upper * (1.0 + 1e-9), "{printed}");
    }

    /// With layers the worst case is as it was up to max_corrupt, and worse beyond: once two sums can be opened the base alone is left.
    #[test]
    fn claim_the_collusion_curve_with_layers_ends_at_the_base_of_one_site() {
        let text = "[partition]\nclients = 10\nspeakers_per_client = 4\n[corpus]\nsynth_speakers = 60\n[aggregation]\nn_min = 6\nmax_corrupt = 2\n\
                    noise_removal = \"layers\"\n[privacy]\nnoise_multiplier = 3\ndelta = 1e-5\n";
        let layered = Config::parse(text, &[] as &[&str]).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let (plan, _) = plan(&layered).unwrap();
        let run = plan.event().self_composed(plan.spec().rounds);
        let curve = collusion_curve(&plan, &run, plan.spec().privacy.unwrap().delta).unwrap();
        let left: Vec<f64> = curve.iter().map(|c| c.noise_multiplier).collect();
        assert!((left[2] - 3.0).abs() < 1e-12, "at max_corrupt it is what is charged");
        assert!((left[0] - 3.0 * (10.0f64 / 8.0).sqrt()).abs() < 1e-12, "{left:?}");
        // Two sums on a roster of nine, seven of them honest; on one of ten, eight.
        assert!((left[3] - 3.0 / 7.0f64.sqrt()).abs() < 1e-12, "{left:?}");
        assert!((left[4] - 3.0 / 8.0f64.sqrt()).abs() < 1e-12, "{left:?}");
        assert!(left.windows(2).all(|pair| pair[0] >= pair[1]));
        // The table of dropouts: close to what is charged with layers, far above it without.
        let kept: Vec<f64> = kept_noise(&plan).iter().map(|(_, kept)| kept.noise_multiplier).collect();
        assert_eq!(kept.len(), 4);
        assert!(kept.iter().all(|z| (3.0..3.4).contains(z)), "{kept:?}");
        let (without, _) = super::plan(&config("")).unwrap();
        let kept: Vec<f64> = kept_noise(&without).iter().map(|(_, kept)| kept.noise_multiplier).collect();
        assert!((kept[0] - 3.0 * (8.0f64 / 5.0).sqrt()).abs() < 1e-3 && (kept[3] - 3.0).abs() < 1e-3, "{kept:?}");
        assert!(noise_text(&plan).contains("noise_removal = layers"));
    }

    #[test]
    fn the_graph_is_shown_with_its_degree_threshold_and_bounds() {
        let text = "[partition]\nclients = 200\nspeakers_per_client = 1\n[corpus]\nsynth_speakers = 300\n[aggregation]\nn_min = 100\nmax_corrupt = 10\n\
                    max_dropout = 0.1\n[privacy]\nnoise_multiplier = 3\ndelta = 1e-5\n";
        let config = Config::parse(text, &[] as &[&str]).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let (plan, _) = plan(&config).unwrap();
        let found = plan.spec().graph.on(200, 10).unwrap().unwrap();
        let object = graph_object(&plan).unwrap();
        assert_eq!(object["choice"], "auto");
        assert_eq!(object["all_members"]["holders"], found.neighbours);
        assert_eq!(object["all_members"]["threshold"], found.threshold);
        assert!(object["all_members"]["privacy_failure_log2"].as_f64().unwrap() <= -40.0);
        assert!(object["all_members"]["attempt_failure_log2"].as_f64().unwrap() <= -20.0);
        assert_eq!((&object["fewest"]["graph"], &object["fewest"]["clients"]), (&json!("complete"), &json!(100)));
        let text = graph_text(&plan);
        let shown =
            format!("each picks k = {} holders of its secrets, threshold t = {};", found.neighbours, found.threshold);
        assert!(text.contains(&shown) && text.contains("100 clients: complete"), "{text}");
    }

    #[test]
    fn claim_no_roster_that_the_plan_allows_leaves_less_than_is_printed() {
        // Four clients, three of them enough, none reckoned corrupt: on three, q = 2, and one colluder can open two sums.
        let text = "[partition]\nclients = 4\nspeakers_per_client = 2\n[corpus]\nsynth_speakers = 20\n[aggregation]\nn_min = 3\nmax_corrupt = 0\n\
                    [privacy]\nnoise_multiplier = 3\ndelta = 1e-5\n";
        let config = Config::parse(text, &[] as &[&str]).unwrap_or_else(|e| panic!("{}", e.render(false)));
        let (plan, _) = plan(&config).unwrap();
        let (left, _) = noise_left(&plan, 1);
        assert!(
            (left - 0.5f64.sqrt()).abs() < 1e-12,
            "a share of two, where four on the roster would leave more: {left}"
        );
        let run = plan.event().self_composed(plan.spec().rounds);
        let peer = peer_client(&plan, &run, plan.spec().privacy.unwrap().delta).unwrap();
        let exact = gdp::epsilon(
            (plan.spec().rounds as f64).sqrt() / (3.0 * 0.5f64.sqrt()),
            plan.spec().privacy.unwrap().delta,
        );
        assert!((peer.epsilon.unwrap() / exact.upper - 1.0).abs() < 1e-9, "{peer:?}");
    }

    #[test]
    fn whoever_knows_the_sample_has_the_epsilon_without_amplification() {
        let config = config("sampling_rate = 0.25");
        let (plan, _) = plan(&config).unwrap();
        let run = plan.event().self_composed(plan.spec().rounds);
        let vantages = study::guarantees(&plan, &run).unwrap();
        let of = |vantage| vantages.iter().find(|v| v.vantage == vantage).unwrap().epsilon.unwrap();
        assert!(of(Coordinator) < 0.6 * of(KnowsSample), "{} and {}", of(Coordinator), of(KnowsSample));
    }
}
