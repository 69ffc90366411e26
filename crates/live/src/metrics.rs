//! `/metrics`: the text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
//!
//! No sample has a client in a label: a scrape every few seconds, kept for years, would be a record of who answered when.
use std::fmt::Write as _;

use crate::board::PHASES;
use crate::live::Snapshot;

/// The content type that goes with [`metrics_text`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A moment of a run as Prometheus reads it.
pub fn metrics_text(snapshot: &Snapshot) -> String {
    let Snapshot { board, traffic, now_ms } = snapshot;
    let about = board.about();
    let mut out = Exposition::default();
    let (run, plan) = (about.run.to_string(), about.plan.to_string());
    let labels = [("run", &*run), ("plan", &*plan), ("name", &*about.name), ("version", env!("CARGO_PKG_VERSION"))];
    out.head("sottovoce_run_info", "gauge", "What runs; always 1.").sample("sottovoce_run_info", &labels, 1.0);
    out.gauge(
        "sottovoce_start_time_seconds",
        "When this coordinator was started, since 1970.",
        seconds(board.started_ms),
    );
    out.gauge("sottovoce_rounds_planned", "Rounds that the plan asks for.", whole(about.rounds));
    out.counter(
        "sottovoce_rounds_published_total",
        "Rounds published, those before a restart included.",
        board.published,
    );
    out.counter("sottovoce_attempts_opened_total", "Attempts begun, those before a restart included.", board.attempts);
    let help = "Attempts that ended without a model, those before a restart included.";
    out.counter("sottovoce_attempts_given_up_total", help, board.given_up_total);
    out.counter("sottovoce_refusals_total", "Attempts that members declined since this start.", board.refused_total);
    let help = "Answers that a connected member owed when a phase closed, since this start.";
    out.counter("sottovoce_late_total", help, board.late_total);
    out.gauge("sottovoce_members", "Members of the federation.", whole(board.members().len() as u64));
    out.gauge("sottovoce_members_present", "Members that are connected.", whole(board.present() as u64));
    out.gauge("sottovoce_members_needed", "Members that an attempt needs.", f64::from(about.n_min));
    out.head("sottovoce_phase", "gauge", "1 for what is waited for; all 0 when the run is over.");
    for phase in ["gathering"].iter().chain(&PHASES) {
        let open = board.open().is_some_and(|open| open.phase == *phase);
        out.sample("sottovoce_phase", &[("phase", phase)], f64::from(u8::from(open)));
    }
    if let Some(open) = board.open() {
        let left = seconds(open.closes_ms.saturating_sub(*now_ms));
        out.gauge("sottovoce_phase_closes_seconds", "Seconds until the open phase closes at the latest.", left);
    }
    if let Some((cap, delta)) = about.budget {
        let help = "Privacy spent: epsilon of all charges that stand, upper end.";
        out.gauge("sottovoce_epsilon_spent", help, board.epsilon_spent);
        out.gauge("sottovoce_epsilon_cap", "The epsilon above which no attempt is begun.", cap);
        out.gauge("sottovoce_delta", "The delta of both.", delta);
        out.gauge(
            "sottovoce_charges",
            "Charges that stand; one that is given back is taken off.",
            whole(board.charges),
        );
    }
    if let Some(last) = board.rounds().back() {
        out.gauge("sottovoce_last_round", "The last round published.", whole(last.round));
        out.gauge("sottovoce_last_round_duration_seconds", "How long it took.", seconds(last.duration_ms));
        out.gauge("sottovoce_last_round_contributors", "Clients in its sum.", f64::from(last.contributors));
        out.gauge("sottovoce_last_round_dropouts", "Clients lost in it.", f64::from(last.dropouts));
        out.gauge("sottovoce_last_round_mean_update_l2", "L2 norm of its mean update.", last.mean_update_l2);
    }
    let help = "Frames between the coordinator and all clients, since this start.";
    out.head("sottovoce_frames_total", "counter", help);
    out.sample("sottovoce_frames_total", &[("direction", "in")], whole(traffic.frames_in));
    out.sample("sottovoce_frames_total", &[("direction", "out")], whole(traffic.frames_out));
    let help = "Bytes of those frames, headers included, QUIC's own bytes not.";
    out.head("sottovoce_frame_bytes_total", "counter", help);
    out.sample("sottovoce_frame_bytes_total", &[("direction", "in")], whole(traffic.bytes_in));
    out.sample("sottovoce_frame_bytes_total", &[("direction", "out")], whole(traffic.bytes_out));
    out.0
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a string cannot fail");
        self
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", label_value(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let value = match value {
            v if v.is_nan() => "NaN".to_owned(),
            v if v.is_infinite() => if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
            v => v.to_string(),
        };
        writeln!(self.0, "{name}{labels} {value}").expect("writing to a string cannot fail");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help).sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help).sample(name, &[], whole(value));
    }
}

/// Backslash, quote and line feed are what a label's value must escape.
fn label_value(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[allow(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn whole(n: u64) -> f64 {
    n as f64
}

fn seconds(ms: u64) -> f64 {
    whole(ms) / 1e3
}
