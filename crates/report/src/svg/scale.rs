//! Axes' arithmetic: ranges that are never empty, round ticks, labels.

/// How numbers on an axis are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Format {
    /// As they are.
    #[default]
    Plain,
    /// Fractions as percentages.
    Percent,
}

impl Format {
    /// `v` as a tick's label, where ticks are `step` apart.
    fn tick(self, v: f64, step: f64) -> String {
        let (v, step) = if self == Self::Percent { (v * 100.0, step * 100.0) } else { (v, step) };
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let text = format!("{v:.decimals$}");
        if self == Self::Percent { text + " %" } else { text }
    }

    /// `v` in running text.
    pub(crate) fn value(self, v: f64) -> String {
        match self {
            _ if !v.is_finite() => "–".to_owned(),
            Self::Percent => format!("{:.1} %", v * 100.0),
            Self::Plain => crate::text::significant(v),
        }
    }
}

/// Maps values to 0..=1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Scale {
    /// From `low` to `high`.
    Linear { low: f64, high: f64 },
    /// From `low` to `high`, both above 0.
    Log { low: f64, high: f64 },
}

impl Scale {
    /// A linear scale over the finite values, widened to round ends; \[0, 1\] when there is none.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = finite_range(values).unwrap_or((0.0, 1.0));
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            let widen = if high == 0.0 { 0.5 } else { high.abs() * 0.1 };
            (low, high) = (low - widen, high + widen);
        }
        let step = round_step((high - low) / 5.0);
        Self::Linear { low: (low / step).floor() * step, high: (high / step).ceil() * step }
    }

    /// A logarithmic scale over the finite values above 0, with a margin; \[0.1, 10\] when there is none.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|v| *v > 0.0);
        let (low, high) = finite_range(positive).unwrap_or((0.1, 10.0));
        // One value, or a few close together, get room enough for a round tick on some side.
        let margin = if high < 2.0 * low { 2.2 } else { (high / low).powf(0.06).max(1.15) };
        Self::Log { low: low / margin, high: high * margin }
    }

    /// Where `v` lies, 0 at the low end and 1 at the high end; `None` when it has no place.
    pub(crate) fn place(self, v: f64) -> Option<f64> {
        let at = match self {
            Self::Linear { low, high } => (v - low) / (high - low),
            Self::Log { low, high } if v > 0.0 => (v / low).ln() / (high / low).ln(),
            Self::Log { .. } => return None,
        };
        at.is_finite().then_some(at.clamp(-0.02, 1.02))
    }

    /// Round values with labels, `whole` for whole numbers only.
    pub(crate) fn ticks(self, format: Format, whole: bool) -> Vec<(f64, String)> {
        match self {
            Self::Linear { low, high } => {
                let mut step = round_step((high - low) / 6.0);
                if whole {
                    step = step.max(1.0).round();
                }
                let first = (low / step).ceil() as i64;
                let last = (high / step + 1e-9).floor() as i64;
                let ticks = (first..=last.min(first + 20)).map(|k| k as f64 * step);
                ticks.map(|v| (v, format.tick(v, step))).collect()
            }
            Self::Log { low, high } => {
                let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
                let wide = last - first > 4;
                let mantissas: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let all = (first..=last).flat_map(|e| mantissas.iter().map(move |m| m * 10f64.powi(e)));
                all.filter(|v| (low..=high).contains(v)).map(|v| (v, format.value(v))).collect()
            }
        }
    }
}

fn finite_range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| v.is_finite()).fold(None, |range, v| {
        let (low, high) = range.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    })
}

/// The smallest of 1, 2 or 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    if !(step.is_finite() && step > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= step * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, format: Format) -> Vec<String> {
        scale.ticks(format, false).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_inside_the_range() {
        let scale = Scale::linear([0.23, 0.71]);
        assert_eq!(labels(scale, Format::Percent), ["20 %", "30 %", "40 %", "50 %", "60 %", "70 %", "80 %"]);
        assert_eq!(labels(Scale::log([0.5, 8.0]), Format::Plain), ["0.5", "1", "2", "5"]);
    }

    #[test]
    fn a_scale_of_nothing_or_of_nonsense_is_still_a_scale() {
        for values in [vec![], vec![f64::NAN], vec![f64::INFINITY, f64::NEG_INFINITY], vec![3.0], vec![0.0]] {
            for scale in [Scale::linear(values.clone()), Scale::log(values.clone())] {
                assert!(!scale.ticks(Format::Plain, false).is_empty(), "{scale:?}");
                assert_eq!(scale.place(f64::NAN), None);
                assert!(scale.place(1.0).is_some(), "{scale:?}");
            }
        }
        assert_eq!(Scale::log([1.0, 2.0]).place(0.0), None, "zero has no logarithm");
    }

    #[test]
    fn whole_ticks_have_no_fractions() {
        let ticks = Scale::linear([1.0, 3.0]).ticks(Format::Plain, true);
        assert_eq!(ticks.into_iter().map(|(_, l)| l).collect::<Vec<_>>(), ["1", "2", "3"]);
    }
}
