//! Utility against leakage: which settings no other beats in both.
use super::SweepReport;
use super::groups::{Spread, SweepGroup};
use crate::plot::{Datum, Plot};
use crate::svg::{Axis, Format, Mark, Scale, Scatter};
use crate::text::{epsilon_lower, percent};

impl SweepReport {
    /// UAR against the AUC of membership inference, and against what canaries showed of ε, where cells were audited.
    pub(crate) fn pareto_plots(&self) -> Vec<Plot> {
        let groups = self.groups();
        let membership = self.pareto(
            &groups,
            "pareto-membership",
            "Recognition against membership inference",
            "membership inference, AUC (0.5 is guessing)",
            |g| g.membership_auc,
            Some((0.5, "guessing".to_owned())),
        );
        let canaries = self.pareto(
            &groups,
            "pareto-canaries",
            "Recognition against ε that canaries showed",
            "empirical lower bound on ε",
            |g| g.epsilon_lower.filter(|l| l.mean.is_finite()),
            None,
        );
        membership.into_iter().chain(canaries).collect()
    }

    fn pareto(
        &self,
        groups: &[SweepGroup],
        name: &str,
        title: &str,
        measure: &str,
        leak: impl Fn(&SweepGroup) -> Option<Spread>,
        chance_x: Option<(f64, String)>,
    ) -> Option<Plot> {
        let points: Vec<(&SweepGroup, Spread)> = groups.iter().filter_map(|g| Some((g, leak(g)?))).collect();
        if points.len() < 2 {
            return None;
        }
        let places: Vec<(f64, f64)> = points.iter().map(|(g, l)| (l.mean, g.uar.mean)).collect();
        let on_front: Vec<bool> = places.iter().map(|p| !places.iter().any(|other| beats(*other, *p))).collect();
        let kinds = self.lines();
        let kind = |g: &SweepGroup| kinds.iter().position(|k| *k == g.line).unwrap_or(0);
        let name_of = |g: &SweepGroup| g.epsilon_target.map_or("no DP".to_owned(), |_| format!("ε {}", g.name()));
        let mark = |((g, leak), &on_front): (&(&SweepGroup, Spread), &bool)| Mark {
            x: leak.mean,
            y: g.uar.mean,
            spread: (leak.sd, g.uar.sd),
            name: name_of(g),
            kind: kind(g),
            on_front,
            tip: format!(
                "{}{}: UAR {}, {measure} {}{}",
                g.line.as_ref().map_or(String::new(), |l| format!("{l}, ")),
                name_of(g),
                percent(g.uar.mean),
                epsilon_lower(leak.mean),
                if on_front { ", on the front" } else { "" }
            ),
        };
        let marks: Vec<Mark> = points.iter().zip(&on_front).map(mark).collect();
        let ends = |pick: fn(&Mark) -> (f64, f64)| {
            marks.iter().map(pick).flat_map(|(mean, half)| [mean - half, mean + half]).collect::<Vec<_>>()
        };
        let x = Scale::linear(ends(|m| (m.x, m.spread.0)).into_iter().chain(chance_x.as_ref().map(|c| c.0)));
        let y = Scale::linear(ends(|m| (m.y, m.spread.1)).into_iter().chain(self.uar_chance));
        let data = points.iter().zip(&on_front).map(|((g, leak), &on_front)| Datum {
            panel: g.line.clone().unwrap_or_default(),
            series: format!("{}{}", name_of(g), if on_front { " (front)" } else { "" }),
            x: leak.mean.to_string(),
            y: g.uar.mean,
            low: Some(g.uar.band().0),
            high: Some(g.uar.band().1),
            runs: g.runs,
        });
        let data = data.collect();
        let figure = Scatter {
            title: title.to_owned(),
            label: format!(
                "{title}: {} settings, {} on the front.",
                marks.len(),
                on_front.iter().filter(|f| **f).count()
            ),
            x: Axis::new(measure, x, Format::Plain),
            y: Axis::new(format!("UAR, mean over {}", self.counted()), y, Format::Percent),
            kinds: kinds.iter().map(|k| k.clone().unwrap_or_else(|| "all cells".to_owned())).collect(),
            front: steps(&places, &on_front),
            marks,
            chance_x,
            size: (720, 400),
        }
        .draw();
        let caption = format!(
            "Full marks are on the front: no other setting recognises better and leaks less, by the means. Whiskers are one standard \
             deviation over {}: settings whose whiskers overlap are not told apart by these runs.",
            self.counted()
        );
        Some(Plot::new(name, caption, figure, data))
    }
}

/// Whether `a` leaks no more and recognises no worse than `b`, and better in one of them. Points are `(leakage, utility)`.
fn beats(a: (f64, f64), b: (f64, f64)) -> bool {
    a.0 <= b.0 && a.1 >= b.1 && (a.0 < b.0 || a.1 > b.1)
}

/// The front as a staircase: what can be had at each leakage.
fn steps(places: &[(f64, f64)], on_front: &[bool]) -> Vec<(f64, f64)> {
    let mut front: Vec<(f64, f64)> = places.iter().zip(on_front).filter(|(_, on)| **on).map(|(p, _)| *p).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (x, y) in front {
        if let Some(&(_, before)) = corners.last() {
            corners.push((x, before));
        }
        corners.push((x, y));
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_holds_what_nothing_beats_and_its_staircase_never_falls() {
        let places = [(0.5, 0.4), (0.6, 0.7), (0.55, 0.3), (0.7, 0.7), (0.65, 0.9)];
        let on: Vec<bool> = places.iter().map(|p| !places.iter().any(|o| beats(*o, *p))).collect();
        assert_eq!(on, [true, true, false, false, true]);
        let steps = steps(&places, &on);
        assert_eq!(steps, [(0.5, 0.4), (0.6, 0.4), (0.6, 0.7), (0.65, 0.7), (0.65, 0.9)]);
        assert!(!beats((0.5, 0.4), (0.5, 0.4)), "equals do not beat each other");
    }
}
