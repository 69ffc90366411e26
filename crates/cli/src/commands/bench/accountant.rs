//! `bench accountant`: milliseconds of each accountant, on one core.
use serde_json::json;
use sottovoce_dp::DpEvent;
use sottovoce_dp::accountant::{Accountant, Adjacency, calibrate_noise_multiplier, epsilon};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::{Delta, Epsilon, NoiseMultiplier, SCHEMA_VERSION};

use super::{Clock, best_rate};
use crate::exit::Exit;
use crate::output::Output;

/// One run of what is measured.
type Work<'a> = Box<dyn FnMut() -> usize + 'a>;

pub(super) fn run(seconds: f64, output: &Output) -> anyhow::Result<Exit> {
    let clock = Clock::new();
    let delta = Delta::new(1e-5)?;
    let training = |z: f64, q: f64, steps: u64| -> anyhow::Result<DpEvent> {
        Ok(DpEvent::gaussian(NoiseMultiplier::new(z)?).poisson_sampled(q).self_composed(steps))
    };
    let sampled = training(1.0, 0.01, 1000)?;
    let unsampled = training(1.0, 1.0, 100)?;
    let of = |event: &DpEvent, accountant| {
        let found =
            epsilon(event, delta, accountant, Adjacency::AddOrRemoveOne).expect("an event that it accounts for");
        usize::from(found.bracket.upper > 0.0)
    };
    let calibrate = || {
        let make = |z| DpEvent::gaussian(z).poisson_sampled(0.1).self_composed(100);
        let (target, auto) = (Epsilon::new(2.0).expect("above 0"), Accountant::Auto);
        let found = calibrate_noise_multiplier(target, delta, make, auto, Adjacency::AddOrRemoveOne);
        usize::from(found.is_ok())
    };
    let mut stages: Vec<(&'static str, Work<'_>)> = vec![
        ("epsilon by PLD, q 0.01, z 1, T 1000", Box::new(|| of(&sampled, Accountant::Pld))),
        ("epsilon by RDP, q 0.01, z 1, T 1000", Box::new(|| of(&sampled, Accountant::Rdp))),
        ("epsilon by GDP, q 1, z 1, T 100", Box::new(|| of(&unsampled, Accountant::Gdp))),
        ("calibrate by PLD, epsilon 2, q 0.1, T 100", Box::new(calibrate)),
    ];
    let bar = output.progress("measuring", stages.len() as u64);
    let mut measured = Vec::new();
    for (name, stage) in &mut stages {
        measured.push((*name, 1e3 / best_rate(&clock, seconds, stage)));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let rows: Vec<_> = measured.iter().map(|(name, ms)| json!({"name": name, "milliseconds": ms})).collect();
    let object = json!({"schema": SCHEMA_VERSION, "bench": "accountant", "cores": 1, "delta": delta, "times": rows});
    output.result(&object, || {
        let mut table = TextTable::new([("one core, delta 1e-5", Align::Left), ("milliseconds", Align::Right)]);
        for (name, ms) in &measured {
            table.row([(*name).to_owned(), format!("{ms:.3}")]);
        }
        table.render()
    })?;
    Ok(Exit::Ok)
}
