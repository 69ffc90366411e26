//! `bench noise`: samples a second on one core, beside the keystream that they are made from.
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde_json::json;
use sottovoce_dp::noise::{DiscreteGaussian, IntegerNoise as _};
use sottovoce_dp::{RoundedGaussian, Sigma};
use sottovoce_report::{Align, TextTable};
use sottovoce_types::SCHEMA_VERSION;

use super::{Clock, best_rate};
use crate::exit::Exit;
use crate::output::Output;

/// Samples a call.
const SAMPLES: usize = 1 << 16;

pub(super) fn run(seconds: f64, output: &Output) -> anyhow::Result<Exit> {
    let clock = Clock::new();
    // For speed alone: a seed that anybody knows protects nobody.
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut out = vec![0i64; SAMPLES];
    let mut bytes = vec![0u8; SAMPLES * 8];
    let bar = output.progress("measuring", 6);
    let mut measured: Vec<(String, f64)> = Vec::new();
    let mut measure = |name: String, stage: &mut dyn FnMut() -> usize| {
        measured.push((name, best_rate(&clock, seconds, stage) * SAMPLES as f64));
        bar.inc(1);
    };
    measure("ChaCha20 keystream, 64-bit words".to_owned(), &mut || {
        rng.fill_bytes(&mut bytes);
        bytes.len()
    });
    for sigma in [4u64, 1000, 1_000_000] {
        let law = RoundedGaussian::new(Sigma::from_raw(sigma << Sigma::FRACTION_BITS)?);
        measure(format!("rounded Gaussian, sigma {sigma}"), &mut || {
            law.fill(&mut rng, &mut out);
            out.len()
        });
    }
    let law = RoundedGaussian::new(Sigma::from_raw(1000 << Sigma::FRACTION_BITS)?);
    measure("the same by Karney's algorithm (oracle), sigma 1000".to_owned(), &mut || {
        law.fill_by_karney(&mut rng, &mut out);
        out.len()
    });
    let law = DiscreteGaussian::new(1000, 1)?;
    measure("discrete Gaussian (Canonne et al. 2020), sigma 1000".to_owned(), &mut || {
        law.fill(&mut rng, &mut out);
        out.len()
    });
    bar.finish_and_clear();
    let keystream = measured[0].1;
    let rows: Vec<_> = measured
        .iter()
        .map(|(name, rate)| json!({"name": name, "per_second": rate, "of_keystream": rate / keystream}))
        .collect();
    let object = json!({"schema": SCHEMA_VERSION, "bench": "noise", "cores": 1, "rates": rows});
    output.result(&object, || {
        let mut table = TextTable::new([
            ("one core", Align::Left),
            ("million a second", Align::Right),
            ("of the keystream's words", Align::Right),
        ]);
        for (name, rate) in &measured {
            table.row([name.clone(), format!("{:.1}", rate / 1e6), format!("{:.2}", rate / keystream)]);
        }
        format!("{}\na rounded Gaussian sample reads three words", table.render())
    })?;
    Ok(Exit::Ok)
}
