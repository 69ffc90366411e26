//! What a cell took: seconds, and bytes of a client.
use super::SweepReport;
use super::groups::{Spread, SweepGroup};
use crate::plot::{Datum, Plot};
use crate::svg::{Bar, BarChart, Head};
use crate::text::significant;

const WIDTH: u32 = 720;

impl SweepReport {
    /// Seconds by the wall of a cell, with bytes up and down of a client in a round beside them.
    pub(crate) fn cost_plot(&self) -> Option<Plot> {
        let groups = self.groups();
        if groups.is_empty() {
            return None;
        }
        let label = |g: &SweepGroup| {
            let epsilon = g.epsilon_target.map_or("no DP".to_owned(), |_| format!("ε {}", g.name()));
            g.line.as_ref().map_or(epsilon.clone(), |line| format!("{line}, {epsilon}"))
        };
        let bar = |g: &SweepGroup| Bar { label: label(g), value: g.wall_s.mean, note: note(g) };
        let mut data = Vec::new();
        for g in &groups {
            let mut record = |series: &str, spread: Option<Spread>| {
                let Some(spread) = spread else { return };
                let (low, high) = spread.band();
                data.push(Datum {
                    panel: g.line.clone().unwrap_or_default(),
                    series: series.to_owned(),
                    x: g.x(),
                    y: spread.mean,
                    low: Some(low),
                    high: Some(high),
                    runs: g.runs,
                });
            };
            record("wall_s", Some(g.wall_s));
            record("bytes_up_per_client_round", g.bytes_up);
            record("bytes_down_per_client_round", g.bytes_down);
        }
        let title = "What a cell took";
        let figure = BarChart {
            title: title.to_owned(),
            unit: "seconds".to_owned(),
            head: Head::new(title, WIDTH).line("Bars: mean seconds by the wall of one cell, its audit included"),
            bars: groups.iter().map(bar).collect(),
            width: WIDTH,
        }
        .draw();
        let caption = "Seconds depend on the machine and on how many cells ran side by side. Bytes are of protocol frames, of one client in \
                       one round.";
        Some(Plot::new("cost", caption, figure, data))
    }
}

fn note(group: &SweepGroup) -> String {
    let seconds = format!("{} s", significant(group.wall_s.mean));
    match (group.bytes_up, group.bytes_down) {
        (Some(up), Some(down)) => format!("{seconds}; {} up, {} down", size(up.mean), size(down.mean)),
        _ => seconds,
    }
}

/// Bytes in kB or MB.
fn size(bytes: f64) -> String {
    if bytes < 1e6 { format!("{} kB", significant(bytes / 1e3)) } else { format!("{} MB", significant(bytes / 1e6)) }
}
