//! What a report says, and that it is well formed whatever the run was.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod sample;
mod xml;

use sottovoce_report::speech::{ClientRow, PartitionPicture};
use sottovoce_report::{
    ReportError, RunReport, append_jsonl, attacks_text, bar_svg, by_sex_figure, confusion_svg, evaluation_text, html,
    learning_curve_svg, per_class_text, reliability_svg, rounds_text, summary_text,
};
use sottovoce_types::{Calibration, Interval, Verdict};

#[test]
fn a_full_report_is_well_formed_and_loads_nothing() {
    let page = html(&[sample::run()]);
    xml::check(&page);
    for loader in ["http://", "https://", "<script", "src=", "url(", "@import", "href="] {
        assert!(!page.contains(loader), "a report must not contain {loader}");
    }
    for said in [
        "UAR",
        "Confusion matrix",
        "weighted mean",
        "Reliability diagram",
        "overconfident",
        "Recognition by sex",
        "female − male, points",
        "Intervals are bootstraps over 10 speakers",
        "membership-loss",
        "No violation detected is not a proof of privacy",
        "What this report does not show",
        "the coordinator with corrupt clients",
        "0123456789abcdef",
        "rounds = 3",
    ] {
        assert!(page.contains(said), "a report must say {said}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let evil = "<script>alert(1)</script>\"'&\u{1}";
    let mut run = sample::run();
    run.summary.name = evil.to_owned();
    run.summary.corpus = evil.to_owned();
    run.summary.split = evil.to_owned();
    run.summary.labels[0] = evil.to_owned();
    run.summary.metrics.per_class[0].label = evil.to_owned();
    run.summary.privacy[0].basis = evil.to_owned();
    run.attacks[0].attack = evil.to_owned();
    run.attacks[0].note = evil.to_owned();
    run.attacks[0].metric = evil.to_owned();
    run.config = Some("</pre><script>".to_owned());
    run.provenance = Some(serde_json::json!({ evil: evil }));
    let page = html(&[run.clone(), run]);
    assert!(!page.contains("<script"));
    xml::check(&page.replace('\u{1}', ""));
}

#[test]
fn a_run_with_nothing_but_a_summary_says_what_is_missing() {
    let mut run = RunReport::new(sample::run().summary);
    run.summary.metrics.confusion.clear();
    run.summary.metrics.per_class.clear();
    run.summary.labels.clear();
    run.summary.privacy.clear();
    run.summary.centralised = None;
    let page = html(&[run]);
    xml::check(&page);
    for said in ["No attack was run", "No canary audit was run", "no learning curve", "ε = ∞ from every vantage"] {
        assert!(page.contains(said), "a report must say {said}");
    }
    xml::check(&html(&[]));
}

#[test]
fn values_that_are_no_numbers_leave_no_trace_in_figures() {
    let mut run = sample::run();
    for round in &mut run.rounds {
        let metrics = round.metrics.as_mut().unwrap();
        (metrics.uar, metrics.accuracy_ci95, round.epsilon_spent) =
            (f64::NAN, Some(Interval { low: f64::NEG_INFINITY, high: f64::NAN }), f64::NAN);
    }
    run.attacks[0].value = f64::NAN;
    run.attacks[1].ci95.high = f64::INFINITY;
    let audit = run.canary.as_mut().unwrap();
    (audit.epsilon_claimed, audit.epsilon_lower, audit.detectable_noise_shortfall) =
        (f64::INFINITY, f64::NAN, f64::NAN);
    let metrics = &mut run.summary.metrics;
    (metrics.weighted_f1, metrics.by_sex[0].uar, metrics.sex_gap.as_mut().unwrap().uar) =
        (f64::NAN, f64::NAN, f64::NAN);
    let calibration = metrics.calibration.as_mut().unwrap();
    (calibration.brier, calibration.mean_confidence) = (f64::NAN, f64::NAN);
    (calibration.bins[7].accuracy, calibration.bins[8].confidence) = (Some(f64::NAN), Some(f64::INFINITY));
    let page = html(&[run]);
    xml::check(&page);
    for attribute in ["=\"NaN", "=\"inf", " NaN ", "LNaN", "Linf"] {
        assert!(!page.contains(attribute), "{attribute}");
    }
}

#[test]
fn plain_aggregation_and_seeded_noise_stand_on_the_first_line() {
    let secure = html(&[sample::run()]);
    let mut run = sample::run();
    run.summary.aggregation = "plain".to_owned();
    run.summary.noise_source = "seeded".to_owned();
    let plain = html(&[run]);
    let first = |page: &str| page[page.find("<body>").unwrap()..page.find("<main>").unwrap()].to_owned();
    assert!(first(&secure).contains("Secure aggregation") && !first(&secure).contains("alarm"));
    assert!(first(&plain).contains("alarm") && first(&plain).contains("“plain”") && first(&plain).contains("“seeded”"));
    assert!(first(&plain).contains("every single update"));
}

#[test]
fn synthetic_speech_has_a_banner_and_human_speech_has_none() {
    let mut run = sample::run();
    let said = "Synthetic speech: says nothing about emotion in human speech";
    assert!(html(&[run.clone()]).contains(said));
    run.summary.synthetic = false;
    assert!(!html(&[run]).contains(said));
}

#[test]
fn an_attack_that_fails_without_a_winning_control_is_said_to_show_nothing() {
    let mut run = sample::run();
    run.attacks.truncate(2);
    let (good, weak) = ("while its control wins", "neither is its control: this shows nothing");
    assert!(html(&[run.clone()]).contains(good));
    // The control now does no better than guessing either.
    (run.attacks[1].ci95.low, run.attacks[1].value) = (0.44, 0.5);
    let page = html(&[run.clone()]);
    assert!(page.contains(weak) && !page.contains(good));
    run.attacks.remove(1);
    assert!(html(&[run]).contains("it has no control: this shows nothing"));
}

#[test]
fn each_verdict_reads_as_what_it_is() {
    for (verdict, said) in [
        (Verdict::NoViolation, "No violation detected: "),
        (Verdict::Violation, "Violation: the canaries show more"),
        (Verdict::Inconclusive, "Inconclusive"),
    ] {
        let mut run = sample::run();
        run.canary.as_mut().unwrap().verdict = verdict;
        let page = html(&[run]);
        assert!(page.contains(said) && page.contains("is not a proof of privacy"), "{verdict:?}");
    }
}

#[test]
fn several_runs_stand_side_by_side_and_then_one_by_one() {
    let (a, mut b) = (sample::run(), sample::run());
    b.summary.name = "second".to_owned();
    let page = html(&[a, b]);
    xml::check(&page);
    assert!(page.contains("Side by side") && page.contains("<h2>second</h2>"));
}

#[test]
fn a_run_directory_reads_back_and_what_it_lacks_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(RunReport::read(dir.path()), Err(ReportError::NotARun { .. })));
    let run = sample::run();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("metrics.json", serde_json::to_string(&run.summary).unwrap());
    let bare = RunReport::read(dir.path()).unwrap();
    assert_eq!(bare.missing.len(), 5, "{:?}", bare.missing);
    assert!(html(&[bare]).contains("canary.json is missing"));

    write("config.toml", run.config.clone().unwrap());
    write("canary.json", serde_json::to_string(&run.canary).unwrap());
    write("provenance.json", run.provenance.clone().unwrap().to_string());
    for round in &run.rounds {
        append_jsonl(dir.path().join("rounds.jsonl"), round).unwrap();
    }
    for attack in &run.attacks {
        append_jsonl(dir.path().join("attacks.jsonl"), attack).unwrap();
    }
    assert!(RunReport::read(dir.path()).unwrap() == run, "what was written reads back");

    let mut torn = std::fs::read_to_string(dir.path().join("rounds.jsonl")).unwrap();
    torn.truncate(torn.len() - 9);
    write("rounds.jsonl", torn);
    let read = RunReport::read(dir.path()).unwrap();
    assert_eq!((read.rounds.len(), read.missing.len()), (2, 1));

    let mut later = run.summary.clone();
    later.schema += 1;
    write("metrics.json", serde_json::to_string(&later).unwrap());
    assert!(matches!(RunReport::read(dir.path()), Err(ReportError::Schema { .. })));
}

#[test]
fn a_run_that_tells_who_holds_what_shows_it_and_one_that_does_not_lacks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    write("metrics.json", serde_json::to_string(&sample::run().summary).unwrap());
    let silent = RunReport::read(dir.path()).unwrap();
    assert!(!html(std::slice::from_ref(&silent)).contains("Who holds what"));
    assert!(silent.missing.iter().all(|part| !part.contains("partition")), "{:?}", silent.missing);

    let row = |name: &str, counts| ClientRow { name: name.to_owned(), speakers: 2, counts };
    let rows = vec![row("north & <south>", vec![40, 0]), row("east", vec![7])];
    let mut picture = PartitionPicture::new(vec!["angry".to_owned(), "sad".to_owned()], rows);
    picture.test = Some(row("unseen", vec![20, 21]));
    write("partition.json", serde_json::to_string(&picture).unwrap());
    let told = RunReport::read(dir.path()).unwrap();
    assert_eq!(told.partition, Some(picture.clone()));
    let page = html(&[told]);
    xml::check(&page);
    for said in ["<h3>Who holds what</h3>", "north &amp; &lt;south&gt;", "unseen (held out)", "<td class=\"n\">41</td>"]
    {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("LEAKS"));

    picture.leaks = true;
    write("partition.json", serde_json::to_string(&picture).unwrap());
    let page = html(&[RunReport::read(dir.path()).unwrap()]);
    assert!(page.contains(
        "<b class=\"bad\">LEAKS: speakers of the test set are trained on, so recognition is overstated.</b>"
    ));

    picture.schema += 1;
    write("partition.json", serde_json::to_string(&picture).unwrap());
    assert!(matches!(RunReport::read(dir.path()), Err(ReportError::Schema { .. })));
    write("partition.json", "{".to_owned());
    assert!(matches!(RunReport::read(dir.path()), Err(ReportError::Json { .. })));
}

#[test]
fn figures_stand_alone_as_files() {
    let run = sample::run();
    let figures = [
        learning_curve_svg(&run.rounds),
        learning_curve_svg(&[]),
        confusion_svg(&run.summary.labels, &run.summary.metrics.confusion),
        confusion_svg(&[], &[vec![0, 0], vec![1]]),
        bar_svg("Utterances by emotion", "utterances", &[("angry".to_owned(), 3.0), ("sad".to_owned(), f64::NAN)]),
        bar_svg("Nothing", "utterances", &[]),
        reliability_svg(run.summary.metrics.calibration.as_ref().unwrap()),
        reliability_svg(&Calibration {
            expected_calibration_error: 0.0,
            brier: 0.0,
            mean_confidence: 0.0,
            bins: Vec::new(),
        }),
        by_sex_figure(&run.summary.metrics).unwrap().document(),
    ];
    for svg in figures {
        xml::check(&svg);
        for must in ["xmlns=\"http://www.w3.org/2000/svg\"", "role=\"img\"", "aria-label=", "prefers-color-scheme:dark"]
        {
            assert!(svg.contains(must), "{must}");
        }
    }
}

#[test]
fn a_reliability_diagram_tells_every_bin_that_holds_something() {
    let calibration = sample::run().summary.metrics.calibration.unwrap();
    let svg = reliability_svg(&calibration);
    assert!(svg.contains("<title>Reliability diagram: expected calibration error 10.4 %, Brier score 0.61.</title>"));
    // Two bars and a dot each, and the key's dot: 11 of 15 bins hold something.
    assert_eq!(svg.matches("class=\"bar c0\"").count(), 22);
    assert_eq!(svg.matches("class=\"dot c0\"").count(), 12);
    let description = &svg[svg.find("<desc>").unwrap()..svg.find("</desc>").unwrap()];
    assert_eq!(description.matches("mean confidence").count(), 11, "{description}");
    assert!(description.contains("confidence over 60.0 % up to 66.7 %: 14 predictions"), "{description}");
    // The bin of 93.3 to 100 %, at 96.7 % sure and 80 % right, in a square of 300 pixels whose top left is at 66, 54.
    assert!(svg.contains("cx=\"356.1\" cy=\"114\""), "{svg}");
}

#[test]
fn an_evaluation_on_one_speaker_has_no_intervals_and_one_on_few_has_rough_ones() {
    let mut run = sample::run();
    let metrics = &mut run.summary.metrics;
    metrics.speakers = 3;
    let rough = "bootstraps over 3 speakers: with so few they are rough";
    assert!(evaluation_text(metrics).contains(rough));
    metrics.by_sex[0].speakers = 2;
    assert!(evaluation_text(metrics).contains("the female group has 2 speakers: its interval is rough"));
    assert!(html(std::slice::from_ref(&run)).contains(rough));

    let metrics = &mut run.summary.metrics;
    metrics.speakers = 1;
    (metrics.accuracy_ci95, metrics.uar_ci95, metrics.macro_f1_ci95) = (None, None, None);
    (metrics.by_sex[0].speakers, metrics.by_sex[0].uar_ci95) = (1, None);
    metrics.sex_gap.as_mut().unwrap().uar_ci95 = None;
    let said = "not estimable (1 speaker)";
    let text = evaluation_text(metrics);
    assert_eq!(text.matches(said).count(), 4, "{text}");
    assert!(text.contains("the gap has no interval"), "{text}");
    assert!(summary_text(&run.summary).contains(said));
    run.rounds.iter_mut().for_each(|r| r.metrics.as_mut().unwrap().uar_ci95 = None);
    let page = html(&[run]);
    xml::check(&page);
    // In the tiles, the tables and the figure.
    assert!(page.matches(said).count() >= 5, "{}", page.matches(said).count());
    assert!(page.contains("0.54, no interval"));
}

#[test]
fn a_gap_is_called_one_only_where_its_interval_leaves_out_zero() {
    let mut metrics = sample::run().summary.metrics;
    let (shown, not_shown) = ("leaves out 0", "holds 0");
    let text = evaluation_text(&metrics);
    assert!(text.contains(not_shown) && !text.contains(shown));
    for gap in ["female − male, points", "+8.0 (−3.0 to +19.0)", "+8.0 (−2.0 to +18.0)"] {
        assert!(text.contains(gap), "{gap}:\n{text}");
    }
    for ci in [Interval { low: 0.01, high: 0.15 }, Interval { low: -0.3, high: -0.02 }] {
        metrics.sex_gap.as_mut().unwrap().uar_ci95 = Some(ci);
        let text = evaluation_text(&metrics);
        assert!(text.contains(shown) && !text.contains(not_shown));
    }
    metrics.sex_gap = None;
    assert!(evaluation_text(&metrics).contains("cannot be compared"));
    metrics.examples += 7;
    assert!(evaluation_text(&metrics).contains("7 examples of speakers whose sex is not told are in no group"));
}

#[test]
fn confidence_is_set_beside_what_is_right() {
    let mut metrics = sample::run().summary.metrics;
    metrics.accuracy = 0.5;
    for (confidence, said) in [
        (0.6, "mean confidence 60.0 %, right 50.0 %: overconfident by 10.0 points"),
        (0.4, "underconfident by 10.0 points"),
        (0.503, "as confident as it is right"),
        (f64::NAN, "not comparable"),
    ] {
        metrics.calibration.as_mut().unwrap().mean_confidence = confidence;
        assert!(evaluation_text(&metrics).contains(said), "{said}");
    }
}

#[test]
fn a_run_without_sexes_or_calibration_says_so() {
    let mut run = sample::run();
    let metrics = &mut run.summary.metrics;
    (metrics.calibration, metrics.sex_gap) = (None, None);
    metrics.by_sex.clear();
    assert!(by_sex_figure(metrics).is_none());
    let text = evaluation_text(metrics);
    assert!(!text.contains("female") && !text.contains("confidence"), "{text}");
    let page = html(&[run]);
    xml::check(&page);
    assert!(page.contains("No figures by sex are recorded") && page.contains("No calibration is recorded"));
}

#[test]
fn a_bar_chart_draws_what_it_always_drew() {
    let svg = bar_svg("Clips", "utterances", &[("angry".to_owned(), 12.0), ("sad".to_owned(), 6.0)]);
    let body = &svg[svg.find("<text").unwrap()..];
    assert_eq!(body, include_str!("golden/bar.svg.txt"));
}

#[test]
fn terminal_tables_hold_the_figures() {
    let run = sample::run();
    let all = [
        summary_text(&run.summary),
        per_class_text(&run.summary.metrics),
        rounds_text(&run.rounds),
        attacks_text(&run.attacks),
        evaluation_text(&run.summary.metrics),
    ];
    for text in &all {
        assert!(text.lines().count() >= 4, "{text}");
        assert!(text.lines().all(|l| l == l.trim_end()), "{text}");
    }
    assert!(all[0].contains("synthetic speech: says nothing about emotion in human speech"));
    assert!(all[1].contains("weighted mean"));
    assert!(all[3].contains("  control: "));
    assert!(all[4].contains(&all[1]), "an evaluation has the figures by class");
}
