//! Self-composition of losses on a grid by FFT, tilted towards the ε that is asked for, with its error counted in.
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;
use sottovoce_encode::exact;

use super::discrete::Losses;

/// Losses and how often each is composed.
pub(super) struct Steps<'a> {
    pub(super) spacing: f64,
    pub(super) all: Vec<(&'a Losses, u64)>,
}

/// Σ n·ln M(θ) and its two derivatives: cumulants of the tilted sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cumulants {
    pub(super) log_moment: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Steps<'_> {
    /// At a tilt θ ≥ 0, of the finite losses.
    pub(super) fn cumulants(&self, tilt: f64) -> Cumulants {
        let mut sum = Cumulants { log_moment: 0.0, mean: 0.0, variance: 0.0 };
        for (losses, count) in &self.all {
            let n = exact::u64_to_f64(*count);
            let one = moments(losses, self.spacing, tilt);
            sum.log_moment += n * one.log_moment;
            sum.mean += n * one.mean;
            sum.variance += n * one.variance;
        }
        sum
    }

    /// P's mass at infinite loss after all steps, rounded up.
    fn infinite(&self) -> f64 {
        self.all.iter().map(|(l, n)| l.infinite * exact::u64_to_f64(*n)).sum::<f64>() * (1.0 + 1e-12)
    }

    /// A point beyond which the tilted sum has probability at most e^`log`, by Chernoff's bound at the best λ that a search finds: any λ gives a
    /// bound. Above the mean for `sign` = 1, below it for −1.
    fn edge(&self, tilt: f64, at_tilt: &Cumulants, sign: f64, log: f64) -> f64 {
        let distance = |lambda: f64| {
            let moment = self.cumulants(tilt + sign * lambda).log_moment - at_tilt.log_moment;
            let edge = (moment - log) / lambda;
            if edge.is_nan() { f64::INFINITY } else { edge }
        };
        // Convex in 1/λ; for a normal law the best is √(−2·log)/deviation.
        let usual = (-2.0 * log).sqrt() / at_tilt.variance.sqrt();
        let (mut best, mut lambda) = (f64::INFINITY, usual * 2.0);
        for _ in 0..40 {
            let here = distance(lambda);
            if here > best {
                break;
            }
            best = here;
            lambda /= 1.5;
        }
        sign * best
    }
}

/// ln Σ p·e^(θl), and the mean and variance of l under p·e^(θl).
fn moments(losses: &Losses, spacing: f64, tilt: f64) -> Cumulants {
    let last = losses.masses.len() - 1;
    let place = |i: usize| (exact::to_f64(losses.first) + count(i)) * spacing + losses.offset;
    let top = if tilt >= 0.0 { place(last) } else { place(0) };
    // e^(θ(l − top)) by a product from the top down, or from the bottom up under a negative tilt. Its drift does no harm: a moment is a
    // normaliser, taken out again as the same number.
    let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
    let centre = losses.offset;
    let (fall, mut weight) = ((-tilt.abs() * spacing).exp(), 1.0);
    for k in 0..=last {
        let i = if tilt >= 0.0 { last - k } else { k };
        let (from, mass) = (place(i) - centre, weight * losses.masses[i]);
        sum += mass;
        first += mass * from;
        second += mass * from * from;
        weight *= fall;
        if weight < 1e-290 {
            break;
        }
    }
    let mean = first / sum;
    Cumulants {
        log_moment: tilt * top + sum.ln(),
        mean: mean + centre,
        variance: (second / sum - mean * mean).max(spacing * spacing),
    }
}

/// The composed losses above some point, ready for δ at any ε about the one that it was tilted for.
pub(super) struct Composed {
    /// Loss of each place.
    start: f64,
    spacing: f64,
    tilt: f64,
    log_moment: f64,
    /// The place of the tilted sum's mean.
    middle: usize,
    /// Σ over places from here up of tilted mass times e^(−θ·distance), and times e^(−(θ+1)·distance).
    kept: Vec<f64>,
    discounted: Vec<f64>,
    /// How far each of the sums may be off, in tilted mass.
    error: f64,
    /// By what the masses may be off, relative: each step's tilted masses are rounded, and there are n of them.
    relative: f64,
    /// Tilted mass that may be missing above, or be in the wrong place below.
    outside: f64,
    infinite: f64,
}

/// Errors of an FFT of this length in its 2-norm, relative: a few units of rounding a stage (Higham 2002, Thm. 24.2).
fn transform_error(length: f64) -> f64 {
    8.0 * f64::EPSILON * (length.log2() + 1.0)
}

impl Composed {
    /// Composes; `None` where the window would need more than `most` places. The planner keeps the transforms of the lengths that it has seen.
    pub(super) fn new(steps: &Steps<'_>, tilt: f64, most: usize, planner: &mut RealFftPlanner<f64>) -> Option<Self> {
        let spacing = steps.spacing;
        let cumulants = steps.cumulants(tilt);
        // What lies outside of the window is then below the FFT's own error.
        let log = -39.0;
        let (below, top) = (steps.edge(tilt, &cumulants, -1.0, log), steps.edge(tilt, &cumulants, 1.0, log));
        let places = ((top - below) / spacing).ceil() + 2.0;
        let longest = steps.all.iter().map(|(l, _)| l.masses.len()).max()?;
        if !(places > 0.0 && places <= count(most)) {
            return None;
        }
        let places = length_for(usize::try_from(exact::truncate(places)?).ok()?.max(longest + 1));
        if places > most {
            return None;
        }
        let outside = 2.0 * log.exp();
        // The loss of index 0 of the sum, and the first index of the window.
        let offset: f64 = steps.all.iter().map(|(l, n)| l.offset * exact::u64_to_f64(*n)).sum();
        let first = exact::truncate(((below - offset) / spacing).floor())?;
        let (composed, error) = convolve(steps, tilt, places, first, planner);
        let start = exact::to_f64(first) * spacing + offset;
        let (mut kept, mut discounted) = (vec![0.0; places + 1], vec![0.0; places + 1]);
        let (fall, fall_more) = ((-tilt * spacing).exp(), (-(tilt + 1.0) * spacing).exp());
        for i in (0..places).rev() {
            kept[i] = composed[i] + fall * kept[i + 1];
            discounted[i] = composed[i] + fall_more * discounted[i + 1];
        }
        let (log_moment, infinite) = (cumulants.log_moment, steps.infinite());
        let relative: f64 =
            steps.all.iter().map(|(l, n)| exact::u64_to_f64(*n) * tilting_error(l, spacing, tilt)).sum();
        let middle = exact::truncate((cumulants.mean - start) / spacing).and_then(|i| usize::try_from(i).ok());
        let middle = middle.unwrap_or(0).min(places - 2);
        Some(Self { start, spacing, tilt, log_moment, middle, kept, discounted, error, relative, outside, infinite })
    }

    fn place(&self, i: usize) -> f64 {
        self.start + count(i) * self.spacing
    }

    /// ln of what a unit of tilted mass at place `i` weighs.
    fn log_scale(&self, i: usize) -> f64 {
        self.log_moment - self.tilt * self.place(i)
    }

    /// δ at the loss of place `i`, and what it may be off by.
    fn delta_at(&self, i: usize) -> (f64, f64) {
        let scale = self.log_scale(i).exp();
        let delta = scale * (self.kept[i] - self.discounted[i]);
        // The 2-norm of e^(−θx)(1 − e^(−x)) on the grid, Cauchy–Schwarz with the error's; rounding of the sums; of the scale.
        let weight = (self.weight_norm() / self.spacing).sqrt();
        let rounding = f64::EPSILON * (8.0 / (self.tilt * self.spacing).max(1.0 / count(self.kept.len())) + 8.0);
        let error = scale * (self.error * weight + self.outside + rounding * self.kept[i].abs());
        let of_masses = delta.abs() * self.relative;
        let of_scale =
            delta.abs() * f64::EPSILON * 16.0 * (self.log_moment.abs() + (self.tilt * self.place(i)).abs() + 8.0);
        (delta, error + of_masses + of_scale)
    }

    /// ∫ e^(−2θx)(1 − e^(−x))² dx over x > 0, at most, on the grid too: the function rises and falls once.
    fn weight_norm(&self) -> f64 {
        let t = 2.0 * self.tilt;
        let window = count(self.kept.len()) * self.spacing;
        if t * window < 1.0 { window } else { (1.0 / t - 2.0 / (t + 1.0) + 1.0 / (t + 2.0)).max(0.0) + self.spacing }
    }

    /// δ at `epsilon`, at most.
    pub(super) fn delta_above(&self, epsilon: f64) -> f64 {
        let Some((delta, error)) = self.between_places(epsilon) else { return 1.0 };
        (delta + error + self.infinite).min(1.0)
    }

    /// δ at `epsilon`, at least.
    pub(super) fn delta_below(&self, epsilon: f64) -> f64 {
        let Some((delta, error)) = self.between_places(epsilon) else { return 0.0 };
        (delta - error).max(0.0)
    }

    /// δ and what it may be off by: between two places it is straight in e^ε, and the errors there differ by less than they are. `None` below
    /// the window.
    fn between_places(&self, epsilon: f64) -> Option<(f64, f64)> {
        let i = self.place_below(epsilon)?;
        let ((high, error), (low, other)) = (self.delta_at(i), self.delta_at(i + 1));
        let share = ((epsilon - self.place(i)).exp_m1() / self.spacing.exp_m1()).clamp(0.0, 1.0);
        Some((high + share * (low - high), 2.0 * error.max(other)))
    }

    fn place_below(&self, epsilon: f64) -> Option<usize> {
        let index = exact::truncate(((epsilon - self.start) / self.spacing).floor())?;
        usize::try_from(index).ok().map(|i| i.min(self.kept.len() - 2))
    }

    /// The least ε whose δ is certainly at most `delta`, by chords between places, and the greatest whose δ is certainly above it.
    pub(super) fn epsilon(&self, delta: f64, certain: Certain) -> Option<f64> {
        let value = |i: usize| {
            let (d, error) = self.delta_at(i);
            match certain {
                Certain::Above => d + error + self.infinite,
                Certain::Below => d - error,
            }
        };
        // δ falls from place to place. The errors are small about the loss that the tilt is for, and grow away from it.
        let (mut over, mut under) = (self.middle, self.middle);
        let mut stride = 1;
        while value(over) <= delta {
            over = over.checked_sub(stride)?;
            stride *= 2;
        }
        stride = 1;
        while value(under) > delta {
            under += stride;
            stride *= 2;
            if under >= self.kept.len() {
                return None;
            }
        }
        while under - over > 1 {
            let middle = usize::midpoint(over, under);
            if value(middle) > delta { over = middle } else { under = middle }
        }
        // Between two places δ is straight in e^ε. The errors at the two differ by less than they are.
        let ((high, error), (low, other)) = (self.delta_at(over), self.delta_at(under));
        let margin = match certain {
            Certain::Above => 2.0 * error.max(other) + self.infinite,
            Certain::Below => -2.0 * error.max(other),
        };
        let share = ((high + margin - delta) / (high - low).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        Some(self.place(over) + (share * self.spacing.exp_m1()).ln_1p())
    }
}

/// By how much p·e^(θl − ln M) may be off as it is computed, relative, at any loss of the grid.
fn tilting_error(losses: &Losses, spacing: f64, tilt: f64) -> f64 {
    let place = |i: f64| ((exact::to_f64(losses.first) + i) * spacing + losses.offset).abs();
    let farthest = place(0.0).max(place(count(losses.masses.len())));
    8.0 * f64::EPSILON * (tilt * farthest + moments(losses, spacing, tilt).log_moment.abs() + 2.0)
}

/// Which side of the truth must not be crossed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Certain {
    /// Never below the truth.
    Above,
    /// Never above it.
    Below,
}

/// The tilted sum's masses at the indices from `first` on, and the 2-norm of what they may be off by (`proof.md`, 4).
fn convolve(
    steps: &Steps<'_>,
    tilt: f64,
    places: usize,
    first: i64,
    planner: &mut RealFftPlanner<f64>,
) -> (Vec<f64>, f64) {
    let forward = planner.plan_fft_forward(places);
    let backward = planner.plan_fft_inverse(places);
    let mut product: Option<Vec<Complex<f64>>> = None;
    let unit = transform_error(count(places));
    let mut error = 0.0;
    let mut shift: i128 = 0;
    for (losses, times) in &steps.all {
        let mut input = forward.make_input_vec();
        let log_moment = moments(losses, steps.spacing, tilt).log_moment;
        for (i, p) in losses.masses.iter().enumerate() {
            if *p > 0.0 {
                let l = (exact::to_f64(losses.first) + count(i)) * steps.spacing + losses.offset;
                input[i] = p * (tilt * l - log_moment).exp();
            }
        }
        let norm = input.iter().map(|v| v * v).sum::<f64>().sqrt();
        let mut output = forward.make_output_vec();
        forward.process(&mut input, &mut output).expect("buffers of its own making");
        // |f̂| ≤ 1: the n-th power moves by at most n times what f̂ does, and by 3n units of its own.
        let n = exact::u64_to_f64(*times);
        error += n * (unit + 4.0 * f64::EPSILON) * norm * 1.01 + 3.0 * n * f64::EPSILON;
        for value in &mut output {
            *value = power(*value, *times);
        }
        product = Some(match product {
            None => output,
            Some(mut before) => {
                before.iter_mut().zip(&output).for_each(|(a, b)| *a *= b);
                before
            }
        });
        shift += i128::from(losses.first) * i128::from(*times);
    }
    let mut spectrum = product.expect("at least one step");
    // Of a real signal: what rounding left there is no part of it.
    spectrum[0].im = 0.0;
    if let Some(last) = spectrum.last_mut() {
        last.im = 0.0;
    }
    let mut output = backward.make_output_vec();
    backward.process(&mut spectrum, &mut output).expect("buffers of its own making");
    let scale = 1.0 / count(places);
    let norm = output.iter().map(|v| (v * scale).powi(2)).sum::<f64>().sqrt();
    error += 2.0 * unit * norm;
    // Index j of the sum is at (j − shift) mod places of the output.
    let rotate = (i128::from(first) - shift).rem_euclid(i128::try_from(places).expect("a length"));
    output.rotate_left(usize::try_from(rotate).expect("below the length"));
    for v in &mut output {
        *v *= scale;
    }
    (output, error)
}

/// The least length of at least `places` that transforms fast: 4, 5 or 6 times a power of two.
fn length_for(places: usize) -> usize {
    let power = places.next_power_of_two().max(32);
    [power / 8 * 5, power / 8 * 6].into_iter().find(|length| *length >= places).unwrap_or(power)
}

/// z^n by squaring.
fn power(z: Complex<f64>, n: u64) -> Complex<f64> {
    let (mut result, mut square, mut left) = (Complex::new(1.0, 0.0), z, n);
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}

fn count(n: usize) -> f64 {
    exact::u64_to_f64(u64::try_from(n).expect("a length in memory"))
}
