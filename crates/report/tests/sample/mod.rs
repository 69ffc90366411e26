//! A small made-up run.
use sottovoce_report::RunReport;
use sottovoce_types::{
    AttackScore, Calibration, CalibrationBin, CanaryAudit, ClassMetrics, Digest, EpsilonByVantage, Interval, Metrics,
    RoundRecord, RunSummary, SCHEMA_VERSION, Sex, SexGap, SexMetrics, Unit, Vantage, Verdict,
};

pub(crate) fn run() -> RunReport {
    let attack =
        |attack: &str, control_of: Option<&str>, vantage, metric: &str, value: f64, half: f64, chance| AttackScore {
            schema: SCHEMA_VERSION,
            attack: attack.to_owned(),
            control_of: control_of.map(str::to_owned),
            vantage,
            metric: metric.to_owned(),
            value,
            ci95: Interval { low: milli(value - half), high: milli(value + half) },
            chance,
            trials: 400,
            citation: "Yeom et al. 2018".to_owned(),
            note: "Members have smaller losses.".to_owned(),
        };
    let mut run = RunReport::new(summary());
    run.rounds = (1..=3).map(round).collect();
    run.attacks = vec![
        attack("membership-loss", None, Vantage::Released, "auc", 0.51, 0.04, 0.5),
        attack("membership-loss", Some("membership-loss"), Vantage::Released, "auc", 0.82, 0.05, 0.5),
        attack("label-profile", None, Vantage::Coordinator, "advantage", 0.02, 0.05, 0.0),
        attack("label-profile", Some("label-profile"), Vantage::CoordinatorPlain, "advantage", 0.63, 0.08, 0.0),
    ];
    run.canary = Some(CanaryAudit {
        schema: SCHEMA_VERSION,
        method: "Gaussian canaries, Clopper-Pearson".to_owned(),
        epsilon_claimed: 8.0,
        delta: 1e-5,
        epsilon_lower: 5.31,
        confidence: 0.95,
        canaries: 1000,
        rounds: 3,
        detectable_noise_shortfall: 1.3,
        verdict: Verdict::NoViolation,
    });
    run.provenance = Some(serde_json::json!({ "commit": "0123456789abcdef", "seeds": { "run": 7, "split": [1, 2] } }));
    run.config = Some("[training]\nrounds = 3\n".to_owned());
    run
}

fn round(round: u64) -> RoundRecord {
    RoundRecord {
        schema: SCHEMA_VERSION,
        config_sha256: Digest::of(b"config"),
        round,
        attempt: 1,
        cohort: 5,
        contributors: 4,
        dropouts: 1,
        model_sha256: Digest::of(&round.to_le_bytes()),
        mean_update_l2: 0.8,
        charges: round,
        epsilon_spent: milli(f64::from(u32::try_from(round).unwrap()).sqrt() * 4.2),
        duration_ms: 1500,
        metrics: Some(metrics(0.2 + 0.1 * f64::from(u32::try_from(round).unwrap()))),
        clip_l2: None,
        unclipped_fraction: None,
    }
}

pub(crate) fn metrics(uar: f64) -> Metrics {
    let around = |v: f64| Some(Interval { low: milli(v - 0.06), high: milli(v + 0.05) });
    let uar = milli(uar);
    let class =
        |label: &str| ClassMetrics { label: label.to_owned(), precision: 0.5, recall: uar, f1: 0.5, support: 40 };
    Metrics {
        accuracy: milli(uar + 0.02),
        uar,
        macro_precision: 0.5,
        macro_recall: uar,
        macro_f1: 0.5,
        weighted_precision: 0.48,
        weighted_recall: milli(uar + 0.02),
        weighted_f1: 0.47,
        loss: 1.1,
        accuracy_ci95: around(uar + 0.02),
        uar_ci95: around(uar),
        macro_f1_ci95: around(0.5),
        uar_chance: 0.333,
        per_class: vec![class("angry"), class("neutral"), class("sad")],
        confusion: vec![vec![30, 6, 4], vec![5, 20, 15], vec![1, 9, 30]],
        calibration: Some(calibration()),
        by_sex: vec![group(Sex::Female, milli(uar + 0.04)), group(Sex::Male, milli(uar - 0.04))],
        sex_gap: Some(SexGap {
            accuracy: 0.08,
            accuracy_ci95: Some(Interval { low: -0.03, high: 0.19 }),
            uar: 0.08,
            uar_ci95: Some(Interval { low: -0.02, high: 0.18 }),
        }),
        examples: 120,
        speakers: 10,
    }
}

fn group(sex: Sex, uar: f64) -> SexMetrics {
    let around = |v: f64| Some(Interval { low: milli(v - 0.08), high: milli(v + 0.07) });
    SexMetrics {
        sex,
        examples: 60,
        speakers: 5,
        accuracy: uar,
        accuracy_ci95: around(uar),
        uar,
        uar_ci95: around(uar),
        recall: vec![Some(milli(uar + 0.1)), Some(milli(uar - 0.1)), None],
    }
}

/// Overconfident: the surer, the more.
fn calibration() -> Calibration {
    let counts = [0, 0, 0, 0, 2, 6, 9, 12, 15, 14, 16, 13, 11, 12, 10];
    let bins = counts.into_iter().zip(0u32..).map(|(count, i)| {
        let (low, high) = (f64::from(i) / 15.0, f64::from(i + 1) / 15.0);
        let confidence = (count > 0).then(|| milli(f64::midpoint(low, high)));
        let accuracy = confidence.map(|c| milli(c - 0.25 * (c - 0.3)));
        CalibrationBin { low: milli(low), high: milli(high), count, confidence, accuracy }
    });
    Calibration { expected_calibration_error: 0.104, brier: 0.61, mean_confidence: 0.69, bins: bins.collect() }
}

fn summary() -> RunSummary {
    let against = |vantage, epsilon: Option<f64>, basis: &str| EpsilonByVantage {
        vantage,
        epsilon,
        delta: 1e-5,
        basis: basis.to_owned(),
    };
    RunSummary {
        schema: SCHEMA_VERSION,
        name: "tiny".to_owned(),
        config_sha256: Digest::of(b"config"),
        corpus: "synthetic voices, 12 speakers".to_owned(),
        synthetic: true,
        labels: ["angry", "neutral", "sad"].map(str::to_owned).to_vec(),
        split: "by speaker".to_owned(),
        unit: Unit::Speaker,
        units: 12,
        clients: 5,
        rounds: 3,
        model: "dnn".into(),
        parameters: 1141,
        aggregation: "secure".to_owned(),
        noise_source: "os".to_owned(),
        dropouts: 1,
        model_sha256: Digest::of(b"model"),
        privacy: vec![
            against(Vantage::Coordinator, Some(7.994), "Gaussian DP, exact; no amplification claimed"),
            against(Vantage::Collusion, Some(9.1), "noise of the honest survivors only"),
            against(Vantage::Released, Some(7.994), "post-processing"),
        ],
        metrics: metrics(0.5),
        centralised: Some(metrics(0.62)),
        local_only_uar: Some(0.41),
        wall_s: 42.0,
    }
}

/// Three decimals: few enough digits that JSON gives back the same bits.
fn milli(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}
