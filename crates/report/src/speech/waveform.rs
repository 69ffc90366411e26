//! What of a waveform can be seen: the least and the greatest sample of each column of pixels.

/// A column's least and greatest finite sample, and how many of its samples are no finite numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Column {
    /// `None` where no sample is finite.
    pub(super) range: Option<(f64, f64)>,
    pub(super) void: usize,
}

/// `samples` in `columns` columns, fewer where there are fewer samples. The picture of an hour is no larger than that
/// of a second.
pub(super) fn envelope(samples: &[f32], columns: usize) -> Vec<Column> {
    let columns = columns.min(samples.len());
    (0..columns).map(|i| column(&samples[i * samples.len() / columns..(i + 1) * samples.len() / columns])).collect()
}

fn column(samples: &[f32]) -> Column {
    let finite = samples.iter().filter(|s| s.is_finite());
    let range = finite.fold(None, |range: Option<(f64, f64)>, &s| {
        let s = f64::from(s);
        Some(range.map_or((s, s), |(low, high)| (low.min(s), high.max(s))))
    });
    Column { range, void: samples.iter().filter(|s| !s.is_finite()).count() }
}

/// The largest finite magnitude, 0 when there is none.
pub(super) fn peak(samples: &[f32]) -> f64 {
    samples.iter().filter(|s| s.is_finite()).fold(0.0, |peak, &s| f64::from(s).abs().max(peak))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_loses_neither_peaks_nor_samples_that_are_no_numbers() {
        let mut samples = vec![0.0f32; 1000];
        samples[333] = 0.9;
        samples[334] = -0.7;
        samples[999] = f32::NAN;
        let columns = envelope(&samples, 7);
        assert_eq!(columns.len(), 7);
        let greatest = columns.iter().filter_map(|c| c.range).fold(0.0, |g, (_, high)| high.max(g));
        assert!((greatest - 0.9).abs() < 1e-6 && (peak(&samples) - 0.9).abs() < 1e-6);
        assert_eq!(columns.iter().map(|c| c.void).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn few_samples_are_few_columns_and_none_are_none() {
        assert_eq!(envelope(&[], 7), []);
        assert_eq!(envelope(&[0.5, f32::INFINITY], 7)[1], Column { range: None, void: 1 });
        assert!(peak(&[f32::NAN]).abs() < f64::EPSILON);
    }
}
