//! `bench train`: a training step of the three seed models at the sizes that `benches/peers/train.py` gives PyTorch.
use serde_json::json;
use sottovoce_report::{Align, TextTable};
use sottovoce_train::Trainer;
use sottovoce_types::{Device, ExampleMeta, Examples, ModelSpec, SCHEMA_VERSION, TrainJob};

use super::{Clock, best_rate};
use crate::exit::Exit;
use crate::output::Output;

/// Examples of a step, frames of an example, coefficients of a frame.
const SHAPE: (usize, usize, usize) = (BATCH as usize, 125, 13);
const BATCH: u32 = 32;
/// Steps of one run: the examples are moved and the model is read once in as many.
const STEPS: u32 = 4;

struct Measured {
    spec: ModelSpec,
    parameters: usize,
    step_ms: f64,
    forward_ms: f64,
    each_ms: f64,
    /// Multiplications and additions of the matrix products of a step, at the rate that one large product reaches.
    limit_ms: f64,
}

pub(super) fn run(seconds: f64, output: &Output) -> anyhow::Result<Exit> {
    let (_, _, coefficients) = SHAPE;
    let specs = [
        ModelSpec::Dnn { inputs: 104, hidden: vec![256, 128], classes: 5 },
        ModelSpec::Cnn { inputs: coefficients, channels: vec![64, 64], kernel: 5, classes: 5 },
        ModelSpec::Lstm { inputs: coefficients, hidden: 64, bidirectional: false, classes: 5 },
    ];
    let clock = Clock::new();
    let bar = output.progress("measuring", specs.len() as u64);
    let peak = peak_flops(&clock, seconds);
    let mut measured = Vec::new();
    for spec in specs {
        measured.push(measure(spec, &clock, seconds, peak)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let models: Vec<_> = measured
        .iter()
        .map(|m| {
            json!({
                "model": m.spec.name(), "spec": m.spec, "parameters": m.parameters, "step_ms": m.step_ms,
                "forward_ms": m.forward_ms, "per_example_gradients_ms": m.each_ms, "limit_ms": m.limit_ms,
            })
        })
        .collect();
    let clock_name = if clock.cpu { "cpu" } else { "wall" };
    let (batch, frames, _) = SHAPE;
    let object = json!({
        "schema": SCHEMA_VERSION, "bench": "train", "threads": 1, "clock": clock_name, "batch": batch, "frames": frames,
        "coefficients": coefficients, "matrix_product_gflops": peak / 1e9, "models": models,
    });
    output.result(&object, || {
        let columns = ["step", "forward", "gradients one by one", "limit"].map(|name| (name, Align::Right));
        let head = [("model", Align::Left), ("parameters", Align::Right)];
        let mut table = TextTable::new(head.into_iter().chain(columns));
        for m in &measured {
            let times = [m.step_ms, m.forward_ms, m.each_ms, m.limit_ms].map(|ms| format!("{ms:.3} ms"));
            let name = [m.spec.name().to_owned(), m.parameters.to_string()];
            table.row(name.into_iter().chain(times));
        }
        format!(
            "one thread, {clock_name} time, {batch} examples of {frames} frames; limit: the step's matrix products at {:.0} GFLOP/s, \
             what a product of 512 by 512 reaches here\n\n{}",
            peak / 1e9,
            table.render()
        )
    })?;
    Ok(Exit::Ok)
}

fn measure(spec: ModelSpec, clock: &Clock, seconds: f64, peak: f64) -> anyhow::Result<Measured> {
    let data = clips(&spec);
    let (trainer, start) = (Trainer::new(spec.clone(), Device::Cpu)?, spec.initialise(1));
    let job = TrainJob { epochs: STEPS, batch: BATCH, learning_rate: 0.01, ..TrainJob::default() };
    let ms = |rate: f64| 1e3 / rate;
    let step_ms = ms(best_rate(clock, seconds, &mut || {
        trainer.train(&start, &data, &job).expect("the clips fit the model").values.len()
    })) / f64::from(STEPS);
    let forward_ms =
        ms(best_rate(clock, seconds, &mut || trainer.logits(&start, &data).expect("the clips fit the model").len()));
    let each_ms = ms(best_rate(clock, seconds, &mut || {
        let mut numbers = 0;
        let counted = trainer.gradients(&start, &data, &job, &mut |u| numbers += u.values.len());
        counted.expect("the clips fit the model");
        numbers
    }));
    let limit_ms = 1e3 * flops(&spec) / peak;
    Ok(Measured { parameters: start.values().len(), spec, step_ms, forward_ms, each_ms, limit_ms })
}

/// Numbers that stand for clips; what they are changes no time.
fn clips(spec: &ModelSpec) -> Examples {
    let (count, frames, _) = SHAPE;
    let frames = if matches!(spec, ModelSpec::Dnn { .. }) { 1 } else { frames };
    let mut data = Examples::empty(spec.inputs());
    for (i, label) in (0..count).zip((0..5u16).cycle()) {
        let features: Vec<f32> =
            (0..frames * spec.inputs()).map(|j| ((j * 7 + i * 13) % 29) as f32 / 14.5 - 1.0).collect();
        data.push(&features, label, ExampleMeta::default());
    }
    data
}

/// Two for each multiplication with its addition, forward, back to the inputs (of all layers but the first), and to the weights.
fn flops(spec: &ModelSpec) -> f64 {
    let (batch, frames, _) = SHAPE;
    let product =
        |rows: usize, inputs: usize, outputs: usize, passes: usize| (2 * rows * inputs * outputs * passes) as f64;
    match spec {
        ModelSpec::Dnn { inputs, hidden, classes } => {
            let widths: Vec<usize> = [*inputs].into_iter().chain(hidden.iter().copied()).chain([*classes]).collect();
            (1..widths.len()).map(|i| product(batch, widths[i - 1], widths[i], if i == 1 { 2 } else { 3 })).sum()
        }
        ModelSpec::Cnn { inputs, channels, kernel, .. } => {
            let widths: Vec<usize> = [*inputs].into_iter().chain(channels.iter().copied()).collect();
            let layer =
                |i: usize| product(batch * frames, kernel * widths[i - 1], widths[i], if i == 1 { 2 } else { 3 });
            (1..widths.len()).map(layer).sum()
        }
        ModelSpec::Lstm { inputs, hidden, .. } => {
            product(batch * frames, *inputs, 4 * hidden, 2) + product(batch * frames, *hidden, 4 * hidden, 3)
        }
        _ => 0.0,
    }
}

/// Operations a second of one large matrix product, through the same library.
fn peak_flops(clock: &Clock, seconds: f64) -> f64 {
    const N: usize = 512;
    let rate = best_rate(clock, seconds, &mut || sottovoce_train::square_product(N));
    rate * (2 * N * N * N) as f64
}
