//! The report of an audit: one page that loads nothing, numbers, and every figure with its data.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod xml;

use std::fs;
use std::path::Path;

use sottovoce_report::audit::{
    AuditCurve, AuditFamily, AuditFinding, AuditHeader, AuditReport, AuditRow, AuditVerdict, CurvePoint, ExposedUnit,
    Histogram, JudgedRow, RateRow, ScoreRow, SliceRow, TrueAndRecovered, ValueAtPrior, write_audit,
};
use sottovoce_report::audit_html;
use sottovoce_types::{Digest, Interval, SCHEMA_VERSION, Unit, Vantage, Verdict};

fn row(attack: &str, judged: bool) -> AuditRow {
    let ci95 = Interval { low: 0.4, high: 0.6 };
    let rate = RateRow {
        fpr: 0.01,
        tpr: Some(0.0213),
        ci95: Some(Interval { low: 0.01, high: 0.04 }),
        true_positives: Some(21),
        false_positives: Some(10),
        non_members: 1000,
        needed: 1000,
    };
    let refused = RateRow {
        fpr: 0.001,
        tpr: None,
        ci95: None,
        true_positives: None,
        false_positives: None,
        non_members: 1000,
        needed: 10_000,
    };
    let ppv = [0.01, 0.1, 0.5].map(|prior| ValueAtPrior { prior, value: prior, ci95 });
    AuditRow {
        attack: attack.to_owned(),
        vantage: Vantage::Released,
        metric: "auc".to_owned(),
        value: 0.512,
        ci95,
        chance: 0.5,
        trials: 2000,
        reading: "No better than guessing, while its control wins.".to_owned(),
        note: String::new(),
        citation: "Yeom et al. 2018".to_owned(),
        rates: if judged { vec![rate, refused] } else { Vec::new() },
        judged: judged.then(|| JudgedRow { balanced_accuracy: 0.53, ci95, ppv: ppv.to_vec() }),
        not_judged: None,
    }
}

fn curve() -> AuditCurve {
    let rates = [0.001f64, 0.01, 0.1, 1.0];
    let point = |fpr: f64| CurvePoint {
        fpr,
        tpr: fpr.sqrt(),
        band: Interval { low: fpr, high: fpr.powf(0.25) },
        simultaneous: Interval { low: 0.0, high: 1.0 },
        false_positives: 1,
        true_positives: 2,
    };
    AuditCurve {
        attack: "membership-loss-threshold".to_owned(),
        members: 1000,
        non_members: 1000,
        points: rates.map(point).to_vec(),
        ceiling: Some(rates.map(|x| [x, x.powf(0.3)]).to_vec()),
        ceiling_note: "Ceiling: the accountant's.".to_owned(),
        histogram: Histogram::of(&[1.0, 2.0, 3.0], &[0.0, 1.0, 2.0]),
    }
}

fn report(verdict: Verdict) -> AuditReport {
    let finding = AuditFinding {
        verdict,
        component: "noise".to_owned(),
        text: "VIOLATION: noise".to_owned(),
        narrowed: vec!["noise, round 3: too small".to_owned()],
        reproducer: "sottovoce audit run runs/x --rounds 3-3".to_owned(),
    };
    AuditReport {
        schema: SCHEMA_VERSION,
        header: AuditHeader {
            run: "<script>alert(1)</script>".to_owned(),
            synthetic: true,
            unit: Unit::Speaker,
            units: 48,
            views: vec![Vantage::Released, Vantage::Auditor],
            mechanism: "clip, noise".to_owned(),
            accountant: "GDP, closed form".to_owned(),
            epsilon: Some(8.0),
            delta: Some(0.1),
            members: 1000,
            non_members: 1000,
            speakers: 48,
            shadows: 0,
            clients: 8,
            rounds: 12,
            seeds: "run 1".to_owned(),
            config_sha256: Digest::of(b"config"),
            model_sha256: Digest::of(b"model"),
            wall_s: 12.0,
        },
        verdict: AuditVerdict {
            verdict: Some(verdict),
            epsilon_claimed: Some(8.0),
            epsilon_lower: Some(5.5),
            delta: Some(1e-5),
            bound: "gdp-clopper-pearson".to_owned(),
            alpha: 0.01,
            canaries: 1000,
            power: Some(1.52),
            findings: vec![finding],
            whole_training: None,
        },
        families: vec![AuditFamily {
            name: "Membership of a clip".to_owned(),
            question: "Was this clip trained on?".to_owned(),
            attacks: vec![row("membership-loss-threshold", true)],
            controls: vec![row("blind-baseline", false)],
            curves: vec![curve()],
        }],
        slices: vec![SliceRow {
            attack: "membership-loss-threshold".to_owned(),
            key: "emotion".to_owned(),
            value: "angry".to_owned(),
            members: 3,
            non_members: 2,
            auc: None,
            ci95: None,
            refused: Some("n/a: an area needs 20 members and 20 non-members".to_owned()),
        }],
        exposed: vec![ExposedUnit {
            attack: "membership-loss-threshold".to_owned(),
            unit: "1001_DFA_ANG_XX.wav".to_owned(),
            false_positive_rate: 0.02,
            models: 1,
        }],
        reconstructions: [1usize, 6].map(clip).to_vec(),
        not_tested: vec!["Timing.".to_owned()],
    }
}

/// A clip of so many frames of four features.
fn clip(frames: usize) -> TrueAndRecovered {
    let truth: Vec<f64> = (0..4 * frames).map(|i| f64::from(u32::try_from(i * 7 % 5).unwrap())).collect();
    TrueAndRecovered {
        attack: "inversion-analytic".to_owned(),
        clip: format!("clip-{frames}"),
        frames,
        width: 4,
        recovered: truth.iter().map(|v| v + 0.1).collect(),
        truth,
        snr_db: 12.5,
        mse: 0.01,
        blind_mse: 1.0,
        rank: 1,
        blind_rank: 300,
        candidates: 600,
    }
}

#[test]
fn the_page_loads_nothing_runs_nothing_and_escapes_what_it_is_given() {
    let page = audit_html(&report(Verdict::NoViolation));
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for loads in ["<script", "http://", "https://", "<link", "@import", "src="] {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(loads), "{loads}");
    }
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    let figures = page.split("<svg ").skip(1);
    let told =
        figures.clone().filter(|f| f.contains("role=\"img\"") && f.contains("aria-label") && f.contains("<desc>"));
    assert_eq!((figures.count(), told.count()), (4, 4), "two curves and two clips, each told in words");
}

#[test]
fn a_rate_with_too_few_behind_it_is_refused_with_the_number_needed_and_others_show_their_counts() {
    let page = audit_html(&report(Verdict::NoViolation));
    assert!(page.contains("non-members:<br>1000 of 10000"), "the refusal");
    assert!(page.contains("21 found,<br>10 of 1000 wrongly"), "the counts");
    assert!(page.contains("control: blind-baseline") && page.contains("too few</span>"));
    assert!(page.contains("✗ δ is not below 1/N"), "0.1 of 48 units");
}

#[test]
fn a_verdict_is_a_word_and_a_violation_comes_with_its_place_and_its_line() {
    let broken = audit_html(&report(Verdict::Violation));
    for part in ["✗ VIOLATION", "noise, round 3: too small", "sottovoce audit run runs/x --rounds 3-3"] {
        assert!(broken.contains(part), "{part}");
    }
    let unsure = audit_html(&report(Verdict::Inconclusive));
    assert!(unsure.contains("? INCONCLUSIVE") && unsure.contains("this is not a pass"));
    assert!(!unsure.contains("Again:"));
    assert!(audit_html(&report(Verdict::NoViolation)).contains("✓ PASS"));
}

#[test]
fn every_figure_lies_beside_its_data_and_an_older_audit_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("audit");
    fs::create_dir_all(folder.join("figures")).unwrap();
    fs::write(folder.join("figures/old.svg"), "old").unwrap();
    let score = ScoreRow {
        attack: "membership-loss-threshold".to_owned(),
        unit: "1001_DFA_ANG_XX.wav".to_owned(),
        score: -0.5,
        member: 1,
        cluster: "1001".to_owned(),
        run: 0,
    };
    let page = write_audit(&folder, &report(Verdict::NoViolation), &[score]).unwrap();
    assert_eq!(page, folder.join("report.html"));
    let mut names: Vec<String> =
        fs::read_dir(folder.join("figures")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected =
        ["reconstruction-01", "reconstruction-02", "roc-membership-loss-threshold", "scores-membership-loss-threshold"];
    let expected: Vec<String> = expected.iter().flat_map(|n| [format!("{n}.csv"), format!("{n}.svg")]).collect();
    assert_eq!(names, expected);
    for name in names.iter().filter(|n| Path::new(n).extension().is_some_and(|e| e == "svg")) {
        xml::check(&fs::read_to_string(folder.join("figures").join(name)).unwrap());
    }
    let roc = fs::read_to_string(folder.join("figures/roc-membership-loss-threshold.csv")).unwrap();
    assert_eq!(roc.lines().count(), 1 + 4 + 4, "{roc}");
    assert!(roc.contains("attack,0.01,0.1,0.01,") && roc.contains("ceiling,0.001,"), "{roc}");
    let clips = fs::read_to_string(folder.join("figures/reconstruction-02.csv")).unwrap();
    assert!(
        clips.starts_with("frame,feature,true,recovered\n0,0,0,0.1\n") && clips.lines().count() == 1 + 24,
        "{clips}"
    );
    let scores = fs::read_to_string(folder.join("scores.csv")).unwrap();
    assert_eq!(
        scores,
        "attack,unit,score,member,cluster,run\nmembership-loss-threshold,1001_DFA_ANG_XX.wav,-0.5,1,1001,0\n"
    );
    let json: AuditReport = serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(json.families, report(Verdict::NoViolation).families);
    assert!(json.reconstructions.iter().all(|c| c.truth.is_empty()), "features lie beside their figures");
}
