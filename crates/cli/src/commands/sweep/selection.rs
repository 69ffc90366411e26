//! What choosing among a sweep's runs by their results costs, beside what one run costs.
use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use sottovoce_config::SweepCell;
use sottovoce_dp::DpEvent;
use sottovoce_dp::accountant::{self, Accountant, Adjacency};
use sottovoce_types::{Delta, Digest, NoiseMultiplier, SweepRow, Unit};

/// ε of one run, and of the whole procedure of running all cells with one privacy unit and choosing by what came out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Selection {
    /// The privacy unit.
    unit: Unit,
    /// Runs with it.
    trials: usize,
    /// Runs on the same data that it does not cover: without differential privacy, or with another unit.
    uncovered_trials: usize,
    /// The largest ε of one of the runs.
    epsilon_per_run: f64,
    /// ε of all of them together, by composition; `None` where it is infinite, as it is when runs that it does not cover are looked at, too.
    epsilon_of_procedure: Option<f64>,
    /// The same, if only the runs with this unit are looked at.
    epsilon_of_its_trials: f64,
    /// δ of each of these.
    delta: f64,
    /// By which accountant.
    accountant: String,
    /// Whether the data is nobody's.
    synthetic: bool,
}

/// One for each unit that the finished cells have.
pub(super) fn of(cells: &[(Digest, SweepCell)], rows: &[SweepRow], synthetic: bool) -> Result<Vec<Selection>> {
    let mut units: Vec<Unit> = rows.iter().map(|r| r.unit).filter(|u| *u != Unit::None).collect();
    units.sort_by_key(|unit| unit.name());
    units.dedup();
    units.into_iter().map(|unit| of_unit(unit, cells, rows, synthetic)).collect()
}

fn of_unit(unit: Unit, cells: &[(Digest, SweepCell)], rows: &[SweepRow], synthetic: bool) -> Result<Selection> {
    let own: Vec<&SweepRow> = rows.iter().filter(|r| r.unit == unit).collect();
    // The largest δ that any of the runs promises: each promises its ε at that one, too.
    let delta = own.iter().map(|r| r.delta).fold(0.0, f64::max);
    let at = Delta::new(delta)?;
    // Runs of one noise and sampling are one release composed with itself, which accountants are quick and exact about.
    let mut releases: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut epsilon_per_run = 0.0f64;
    for row in &own {
        let cell = cells.iter().find(|(digest, _)| *digest == row.config_sha256);
        let q = cell.map_or(1.0, |(_, cell)| cell.config.privacy.sampling_rate);
        let (charged, epsilon) = charges(row, q)?;
        *releases.entry((row.noise_multiplier.to_bits(), q.to_bits())).or_default() += charged;
        epsilon_per_run = epsilon_per_run.max(epsilon);
    }
    let events = releases.into_iter().map(|((z, q), count)| release(f64::from_bits(z), f64::from_bits(q), count));
    let mut events = events.collect::<Result<Vec<_>>>()?;
    let event = if events.len() == 1 { events.remove(0) } else { DpEvent::Composed { events } };
    let accounted = accountant::epsilon(&event, at, Accountant::Auto, Adjacency::AddOrRemoveOne)?;
    let all = accounted.bracket.upper;
    let uncovered_trials = rows.len() - own.len();
    Ok(Selection {
        unit,
        trials: own.len(),
        uncovered_trials,
        epsilon_per_run,
        epsilon_of_procedure: (uncovered_trials == 0).then_some(all).filter(|e| e.is_finite()),
        epsilon_of_its_trials: all,
        delta,
        accountant: accounted.accountant.in_words().to_owned(),
        synthetic,
    })
}

fn release(z: f64, q: f64, count: u64) -> Result<DpEvent> {
    Ok(DpEvent::gaussian(NoiseMultiplier::new(z)?).poisson_sampled(q).self_composed(count))
}

/// How many releases a run was charged for, and their ε: one a round, and more where attempts failed, which the ε that it spent tells.
fn charges(row: &SweepRow, q: f64) -> Result<(u64, f64)> {
    let at = Delta::new(row.delta)?;
    let rounds = row.rounds.unwrap_or(0).max(1);
    let epsilon = |count| -> Result<f64> {
        let event = release(row.noise_multiplier, q, count)?;
        Ok(accountant::epsilon(&event, at, Accountant::Auto, Adjacency::AddOrRemoveOne)?.bracket.upper)
    };
    // What a coordinator without masks sees is another release, with another ε; the models, by which runs are chosen, are these.
    if row.aggregation.as_deref() == Some("plain") {
        return Ok((rounds, epsilon(rounds)?));
    }
    let spent = row.epsilon_spent.unwrap_or(f64::INFINITY);
    let mut count = rounds;
    // An attempt that failed is rare, and a run has a limit on them; what no number explains is charged as the limit.
    while count < rounds * 8 && epsilon(count)? * (1.0 + 1e-9) < spent {
        count += 1;
    }
    Ok((count, spent))
}

impl Selection {
    /// One line.
    pub(super) fn in_words(&self) -> String {
        let Self { unit, trials, uncovered_trials, epsilon_per_run, epsilon_of_its_trials: all, delta, .. } = self;
        let unit = unit.name();
        let runs = format!(
            "epsilon per run: at most {epsilon_per_run:.3}; epsilon of choosing among all {trials} runs with unit {unit} by their results: \
             {all:.3} (delta {delta}, {})",
            self.accountant
        );
        let more = match (uncovered_trials, self.synthetic) {
            (_, true) => {
                "; tuned on synthetic voices: the choice costs nobody anything, and real data pays for one run alone"
                    .to_owned()
            }
            (0, false) => String::new(),
            (n, false) => format!(
                "; {n} more runs on the same data have no differential privacy or another unit: whoever looks at their results, too, has no epsilon"
            ),
        };
        runs + &more
    }
}

#[cfg(test)]
mod tests {
    use sottovoce_config::SweepPlan;
    use sottovoce_dp::gdp;

    use super::super::each_once;
    use super::super::table::tests::result;
    use super::*;

    /// Cells, and rows as if each had spent what its noise costs.
    fn swept(text: &str) -> (Vec<(Digest, SweepCell)>, Vec<SweepRow>) {
        let cells = each_once(SweepPlan::parse(text, &[] as &[&str]).unwrap().cells);
        let row = |cell: &(Digest, SweepCell)| {
            let config = &cell.1.config;
            let z = config.noise_multiplier().map_or(0.0, NoiseMultiplier::value);
            let spent = release(z, config.privacy.sampling_rate, config.run.rounds).ok().map(|event| {
                let at = config.privacy.delta;
                accountant::epsilon(&event, at, Accountant::Auto, Adjacency::AddOrRemoveOne).unwrap().bracket.upper
            });
            SweepRow {
                unit: config.privacy.unit,
                noise_multiplier: z,
                rounds: Some(config.run.rounds),
                epsilon_spent: spent,
                delta: config.privacy.delta.value(),
                ..result(cell, 0).row
            }
        };
        let rows = cells.iter().map(row).collect();
        (cells, rows)
    }

    #[test]
    fn the_epsilon_of_choosing_among_runs_is_that_of_all_of_them_together() {
        let (cells, rows) = swept("[run]\nrounds = 4\n[privacy]\nnoise_multiplier = 2\n[sweep]\nseeds = [1, 2, 3]\n");
        let one = &of(&cells, &rows, false).unwrap()[0];
        let at = Delta::new(one.delta).unwrap();
        // Twelve Gaussian releases: mu = sqrt(12) / 2, in closed form.
        let exact = gdp::epsilon(12f64.sqrt() / 2.0, at);
        let all = one.epsilon_of_procedure.unwrap();
        assert!(all >= exact.lower && all <= exact.upper * (1.0 + 1e-6), "{all}");
        let alone = gdp::epsilon(4f64.sqrt() / 2.0, at).upper;
        assert!((one.epsilon_per_run - alone).abs() < 1e-6 * alone && all > 1.5 * one.epsilon_per_run);
        assert!(one.in_words().contains("among all 3 runs with unit speaker"), "{}", one.in_words());
    }

    #[test]
    fn runs_that_were_charged_more_than_their_rounds_cost_more() {
        let (cells, mut rows) = swept("[run]\nrounds = 4\n[privacy]\nnoise_multiplier = 2\n[sweep]\nseeds = [1, 2]\n");
        let before = of(&cells, &rows, false).unwrap()[0].epsilon_of_its_trials;
        let at = Delta::new(rows[0].delta).unwrap();
        rows[0].epsilon_spent = Some(gdp::epsilon(5f64.sqrt() / 2.0, at).upper);
        let after = of(&cells, &rows, false).unwrap()[0].epsilon_of_its_trials;
        let exact = gdp::epsilon(9f64.sqrt() / 2.0, at).upper;
        assert!(after > before && (after - exact).abs() < 1e-6 * exact, "{before}, {after}");
    }

    #[test]
    fn of_a_run_without_masks_the_models_are_charged_and_not_what_its_coordinator_sees() {
        let (cells, mut rows) = swept("[run]\nrounds = 4\n[privacy]\nnoise_multiplier = 2\n[sweep]\nseeds = [1, 2]\n");
        let before = of(&cells, &rows, false).unwrap()[0].clone();
        for row in &mut rows {
            row.epsilon_spent = row.epsilon_spent.map(|e| e * 3.0);
            row.aggregation = Some("plain".to_owned());
        }
        let after = of(&cells, &rows, false).unwrap()[0].clone();
        assert_eq!(after.epsilon_of_its_trials.to_bits(), before.epsilon_of_its_trials.to_bits());
        assert!((after.epsilon_per_run - before.epsilon_per_run).abs() < 1e-9);
        rows[0].aggregation = Some("secure".to_owned());
        assert!(of(&cells, &rows, false).unwrap()[0].epsilon_of_its_trials > after.epsilon_of_its_trials * 1.2);
    }

    #[test]
    fn with_a_run_that_is_not_private_the_procedure_has_no_epsilon_unless_the_data_is_nobodys() {
        let (cells, rows) = swept("[run]\nrounds = 2\n[sweep]\nepsilons = [\"none\", 8, 2]\n");
        let one = &of(&cells, &rows, false).unwrap()[0];
        assert_eq!((one.trials, one.uncovered_trials, one.epsilon_of_procedure), (2, 1, None));
        assert!(one.epsilon_of_its_trials > 8.0 && one.epsilon_of_its_trials < 10.1, "{one:?}");
        assert!(one.in_words().contains("has no epsilon"), "{}", one.in_words());
        let synthetic = of(&cells, &rows, true).unwrap()[0].in_words();
        assert!(synthetic.contains("costs nobody anything") && !synthetic.contains("has no epsilon"), "{synthetic}");
        assert!(of(&cells[..1], &rows[..1], false).unwrap().is_empty());
    }

    #[test]
    fn sampled_runs_of_different_noise_compose() {
        let text = "[run]\nrounds = 3\n[privacy]\nsampling_rate = 0.5\n[sweep]\nepsilons = [8, 4]\n";
        let (cells, rows) = swept(text);
        let one = &of(&cells, &rows, false).unwrap()[0];
        assert!(one.epsilon_of_its_trials > one.epsilon_per_run && one.epsilon_of_its_trials.is_finite(), "{one:?}");
    }
}
