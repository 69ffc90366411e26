//! The pairs of distributions that dominate one step, as mixtures of normal laws on a line on which the privacy loss is monotone.
//!
//! Poisson sampling, one unit more or less: P = (1−q)·N(0,z²) + q·N(1,z²) against Q = N(0,z²) where the unit leaves, the reverse where it comes. Both
//! dominate (Zhu, Dong & Wang 2022, Thm. 11), both are composed, and the larger ε counts: one that is worst for a single step
//! need not stay so (Lebeda, Regehr, Kamath & Steinke 2024). One unit in another's place: (1−q)·N(0,z²) + q·N(±1,z²), its own mirror image.
//! Samples of a fixed size, one unit in another's place: [`Pair::fixed_size`].
use super::super::Adjacency;

/// Which of the two data sets has the unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    /// P has it.
    Remove,
    /// Q has it.
    Add,
}

/// One step's pair. Distances are in units of the noise's standard deviation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pair {
    /// Probability of the shifted part; 1 without sampling.
    q: f64,
    /// 1/z: the shift.
    shift: f64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    /// P = mixture, Q = N(0, 1); the loss rises with the position t.
    Remove,
    /// P = N(0, 1), Q = mixture; in the position −t, so that the loss rises with it.
    Add,
    /// Both mixtures, shifted to either side.
    Replace,
    /// Where the loss is above 0, the mixture of `Remove` against its Q, in the position from the middle between the two normal laws; where it is below,
    /// the same mirrored, with P and Q in each other's place; and at 0, the rest.
    FixedSize,
}

impl Pair {
    /// The pair of a step with sampling probability `q` in (0, 1] and noise multiplier `z`.
    pub(super) fn new(q: f64, z: f64, adjacency: Adjacency, direction: Direction) -> Self {
        let kind = match (adjacency, direction) {
            (Adjacency::ReplaceOne, _) => Kind::Replace,
            (_, Direction::Remove) => Kind::Remove,
            (_, Direction::Add) => Kind::Add,
        };
        Self { q, shift: 1.0 / z, kind }
    }

    /// What dominates a step on a sample of fixed size where one unit is in another's place, `q` being the share that is drawn and `z` the noise over one
    /// unit's norm: its hockey-stick curve is that of (1−q)·N(0,z²) + q·N(2,z²) from N(0,z²) at e^ε ≥ 1, and of the reverse below (Zhu, Dong & Wang
    /// 2022; `proof.md`, 8).
    pub(super) fn fixed_size(q: f64, z: f64) -> Self {
        Self { q, shift: 2.0 / z, kind: Kind::FixedSize }
    }

    /// What the outputs for two data sets are, where all units but one are at −1 and this one is at 1 in the first (`Remove`) or the second (`Add`).
    pub(super) fn fixed_size_attained(q: f64, z: f64, direction: Direction) -> Self {
        Self { shift: 2.0 / z, ..Self::new(q, z, Adjacency::AddOrRemoveOne, direction) }
    }

    /// Where the loss takes the value `l`: it is below on the left of it and above on the right. −∞ or ∞ for a loss below the least or
    /// above the greatest.
    pub(super) fn position(&self, l: f64) -> f64 {
        match self.kind {
            Kind::Remove => self.of_mixture(l),
            // −ln(…) falls with t: the position is −t.
            Kind::Add => -self.of_mixture(-l),
            Kind::Replace if l < 0.0 => -self.of_replacement(-l),
            Kind::Replace => self.of_replacement(l),
            Kind::FixedSize => {
                let from_middle = self.of_mixture(l.abs()) - self.shift / 2.0;
                if l == 0.0 { 0.0 } else { from_middle.copysign(l) }
            }
        }
    }

    /// t with ln(1 − q + q·e^(s·t − s²/2)) = l.
    fn of_mixture(&self, l: f64) -> f64 {
        let s = self.shift;
        if self.q >= 1.0 {
            return l / s + s / 2.0;
        }
        // (e^l − 1 + q)/q, in the logarithm where e^l would overflow.
        let log = if l > 30.0 {
            l + (-(1.0 - self.q) * (-l).exp()).ln_1p() - self.q.ln()
        } else {
            let inside = l.exp_m1() + self.q;
            if inside <= 0.0 {
                return f64::NEG_INFINITY;
            }
            inside.ln() - self.q.ln()
        };
        log / s + s / 2.0
    }

    /// t with (1 − q + u·y)/(1 − q + u/y) = e^l for y = e^(s·t) and u = q·e^(−s²/2), at l ≥ 0: a quadratic in y.
    fn of_replacement(&self, l: f64) -> f64 {
        let (s, out) = (self.shift, 1.0 - self.q);
        if self.q >= 1.0 {
            return l / (2.0 * s);
        }
        // u·y² − (1−q)(e^l − 1)·y − u·e^l = 0, divided by u·e^l, in w = y·e^(−l/2): w² − 2b·w − 1 = 0.
        let ln_b = (out / 2.0).ln() - self.q.ln() + s * s / 2.0 + l / 2.0 + (-(-l).exp_m1()).ln();
        // ln(b + √(b² + 1)) = asinh(b).
        let ln_w = if ln_b > 20.0 { ln_b + std::f64::consts::LN_2 } else { ln_b.exp().asinh() };
        (ln_w + l / 2.0) / s
    }

    /// P and Q of the positions between `a` and `b`; of none where b < a.
    pub(super) fn masses(&self, a: f64, b: f64) -> (Mass, Mass) {
        self.between(&self.cut(a), &self.cut(b.max(a)))
    }

    /// P and Q of the positions between each cut and the next; of none where that is before it.
    pub(super) fn cells(&self, cuts: &[f64]) -> impl Iterator<Item = (Mass, Mass)> {
        let mut cuts = cuts.iter();
        let mut last = cuts.next().copied().unwrap_or(f64::INFINITY);
        let mut from = self.cut(last);
        cuts.map(move |to| {
            last = last.max(*to);
            let to = self.cut(last);
            let masses = self.between(&from, &to);
            from = to;
            masses
        })
    }

    /// The tails of each normal law at a position: in the middle, to the right and to the left.
    fn cut(&self, t: f64) -> Cut {
        let s = self.shift;
        let none = Tail::at(f64::INFINITY);
        match self.kind {
            Kind::Remove => Cut { middle: Tail::at(t), right: Tail::at(t - s), left: none },
            // In the position −t the shift is to the other side.
            Kind::Add => Cut { middle: Tail::at(t), right: none, left: Tail::at(t + s) },
            Kind::Replace => Cut { middle: Tail::at(t), right: Tail::at(t - s), left: Tail::at(t + s) },
            Kind::FixedSize => Cut { middle: Tail::at(t), right: Tail::at(t - s / 2.0), left: Tail::at(t + s / 2.0) },
        }
    }

    fn between(&self, a: &Cut, b: &Cut) -> (Mass, Mass) {
        let middle = Tail::between(&a.middle, &b.middle);
        let mixture = |shifted: Mass| self.mixed(middle, shifted);
        let (right, left) = (|| Tail::between(&a.right, &b.right), || Tail::between(&a.left, &b.left));
        match self.kind {
            Kind::Remove => (mixture(right()), middle),
            Kind::Add => (middle, mixture(left())),
            Kind::Replace => (mixture(right()), mixture(left())),
            Kind::FixedSize => self.between_of_fixed_size(a, b),
        }
    }

    fn between_of_fixed_size(&self, a: &Cut, b: &Cut) -> (Mass, Mass) {
        let zero = 0.0;
        if a.middle.position < zero && b.middle.position > zero {
            let middle = self.cut(zero);
            let (left, right) = (self.between_of_fixed_size(a, &middle), self.between_of_fixed_size(&middle, b));
            return (left.0.plus(right.0), left.1.plus(right.1));
        }
        // To the right of the middle, the nearer normal law is where the unit was drawn, and P the mixture; to the left it is the reverse.
        let (near, far) = (Tail::between(&a.right, &b.right), Tail::between(&a.left, &b.left));
        if a.middle.position < zero {
            return (near, self.mixed(near, far));
        }
        let (p, q) = (self.mixed(far, near), far);
        if a.middle.position > zero || b.middle.position <= zero {
            return (p, q);
        }
        let rest = Tail::between(&Tail::at(-self.shift / 2.0), &Tail::at(self.shift / 2.0)).times(1.0 - self.q);
        (p.plus(rest), q.plus(rest))
    }

    /// (1 − q) of the one and q of the other.
    fn mixed(&self, out: Mass, drawn: Mass) -> Mass {
        let drawn = drawn.times(self.q);
        if self.q < 1.0 { out.times(1.0 - self.q).plus(drawn) } else { drawn }
    }

    /// The positions outside of which P has at most about Q(`reach`) on either side.
    pub(super) fn support(&self, reach: f64) -> (f64, f64) {
        match self.kind {
            Kind::Remove | Kind::Replace => (-reach, self.shift + reach),
            Kind::Add => (-reach, reach),
            Kind::FixedSize => (-reach, self.shift / 2.0 + reach),
        }
    }

    /// The loss at a position.
    pub(super) fn loss(&self, t: f64) -> f64 {
        let mixture = |t: f64| {
            let exponent = self.shift * t - self.shift * self.shift / 2.0;
            if self.q >= 1.0 {
                exponent
            } else if exponent > 30.0 {
                exponent + self.q.ln() + ((1.0 - self.q) / self.q * (-exponent).exp()).ln_1p()
            } else {
                (self.q * exponent.exp_m1()).ln_1p()
            }
        };
        match self.kind {
            Kind::Remove => mixture(t),
            Kind::Add => -mixture(-t),
            Kind::Replace => mixture(t) - mixture(-t),
            Kind::FixedSize => mixture(t.abs() + self.shift / 2.0).copysign(t),
        }
    }

    /// By how much the loss at a computed position may miss the loss that it was computed for (`proof.md`, 3).
    pub(super) fn loss_error(&self, largest_loss: f64, reach: f64) -> f64 {
        let conditioned = if self.q < 1.0 { 1.0 / (1.0 - self.q) } else { 1.0 };
        let in_position = (reach + self.shift) * self.shift;
        64.0 * f64::EPSILON * (conditioned + largest_loss.abs() + in_position + 1.0)
    }
}

/// A probability between two floats.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Mass {
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Mass {
    fn times(self, factor: f64) -> Self {
        Self { lower: (self.lower * factor).next_down().max(0.0), upper: (self.upper * factor).next_up() }
    }

    fn plus(self, other: Self) -> Self {
        Self { lower: (self.lower + other.lower).next_down().max(0.0), upper: (self.upper + other.upper).next_up() }
    }
}

/// Of the normal laws that a pair is made of, at one position.
struct Cut {
    middle: Tail,
    right: Tail,
    left: Tail,
}

/// The tail of the standard normal law beyond a position, on the side that the position lies on.
struct Tail {
    position: f64,
    beyond: f64,
    error: f64,
}

impl Tail {
    fn at(position: f64) -> Self {
        let beyond = upper_tail(position.abs());
        Self { position, beyond, error: beyond * relative_error(position) }
    }

    /// The standard normal law's probability from `a` to `b`.
    fn between(a: &Self, b: &Self) -> Mass {
        // Differences of tails on the side that both ends lie on lose only what is below the local mass.
        let error = a.error + b.error;
        let (mass, error) = if a.position >= 0.0 {
            (a.beyond - b.beyond, error)
        } else if b.position <= 0.0 {
            (b.beyond - a.beyond, error)
        } else {
            // On either side of the middle.
            (1.0 - a.beyond - b.beyond, error + f64::EPSILON)
        };
        Mass { lower: (mass - error).max(0.0), upper: mass + error }
    }
}

/// P[N(0,1) > t].
pub(super) fn upper_tail(t: f64) -> f64 {
    0.5 * libm::erfc(t * std::f64::consts::FRAC_1_SQRT_2)
}

/// Of [`upper_tail`]: libm's erfc is good to a unit in the last place, of which four are allowed for, and a position that is off by a unit in
/// its last place moves a tail by t²+1 units.
fn relative_error(t: f64) -> f64 {
    if t.is_infinite() { 0.0 } else { f64::EPSILON * (4.0 + 2.0 * (t * t + 1.0)) }
}
