//! Clips of many frames as one vector each, for attacks that look at the clips and not at the model.
use sottovoce_types::Examples;

/// Clips of one frame as they are; otherwise the mean and the standard deviation over each clip's frames, `[n, 2·width]`.
pub(super) fn one_vector_each(examples: &Examples) -> Examples {
    if (0..examples.len()).all(|i| examples.frames(i) == 1) {
        return examples.clone();
    }
    let width = examples.width;
    let mut out = Examples::empty(2 * width);
    for i in 0..examples.len() {
        let (row, frames) = (examples.row(i), f64::from(u32::try_from(examples.frames(i)).unwrap_or(u32::MAX)));
        let column = |k: usize| row.iter().skip(k).step_by(width).map(|&x| f64::from(x));
        let means: Vec<f64> = (0..width).map(|k| column(k).sum::<f64>() / frames).collect();
        let deviation = |(k, mean): (usize, &f64)| (column(k).map(|x| (x - mean).powi(2)).sum::<f64>() / frames).sqrt();
        let both = means.iter().copied().chain(means.iter().enumerate().map(deviation));
        #[allow(clippy::cast_possible_truncation, reason = "features are f32")]
        let features: Vec<f32> = both.map(|x| x as f32).collect();
        out.push(&features, examples.labels[i], examples.meta[i].clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::tests::toy;

    #[test]
    fn frames_become_their_mean_and_deviation_and_one_frame_stays_what_it_is() {
        let mut clips = Examples::empty(2);
        clips.push(&[1.0, 5.0, 3.0, 5.0], 1, sottovoce_types::ExampleMeta::default());
        let pooled = one_vector_each(&clips);
        assert_eq!((pooled.row(0), pooled.labels[0]), (&[2.0, 5.0, 1.0, 0.0][..], 1));
        // Clips of one frame stay what they are.
        assert_eq!(one_vector_each(&toy(2, 3, 4)), toy(2, 3, 4));
    }
}
