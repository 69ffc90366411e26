//! round(σ·X) for an exact σ, decided on the real number.
use std::fmt;

use num_bigint::BigUint;
use rand_core::CryptoRng;

use super::block;
use super::karney::{Digits, Normal};

/// A standard deviation in grid steps, as an unsigned fixed-point number of 48 integer and 16 fraction bits: exact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sigma(u64);

/// A standard deviation beyond what the sampler computes with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sigma must be above 0 and at most 2^40 grid steps, but is {raw} / 2^16")]
pub struct SigmaOutOfRange {
    /// The number in 2^−16 grid steps.
    pub raw: u64,
}

impl Sigma {
    /// Fraction bits.
    pub const FRACTION_BITS: u32 = 16;
    /// 2^40 grid steps.
    const MAX: u64 = 1 << (40 + Self::FRACTION_BITS);

    /// `raw` / 2^16 grid steps.
    ///
    /// # Errors
    /// [`SigmaOutOfRange`] for 0 and above 2^40 steps.
    pub fn from_raw(raw: u64) -> Result<Self, SigmaOutOfRange> {
        if (1..=Self::MAX).contains(&raw) { Ok(Self(raw)) } else { Err(SigmaOutOfRange { raw }) }
    }

    /// In 2^−16 grid steps.
    pub fn raw(self) -> u64 {
        self.0
    }

    /// In grid steps, to nearest: for display and tests.
    pub fn to_f64(self) -> f64 {
        // Dividing by a power of two is exact.
        sottovoce_encode::exact::u64_to_f64(self.0) / 65536.0
    }
}

impl fmt::Display for Sigma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_f64().fmt(f)
    }
}

/// The law of round(σ·X), X standard normal, on the integers. Halves have probability 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundedGaussian {
    sigma: Sigma,
}

impl RoundedGaussian {
    /// With standard deviation `sigma` before rounding.
    pub fn new(sigma: Sigma) -> Self {
        Self { sigma }
    }

    /// One sample. Many at a time cost a fraction: [`RoundedGaussian::fill`].
    pub fn sample<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> i64 {
        let mut one = [0];
        block::fill(self.sigma, &mut block::Stream::<R, { block::SINGLE }>::new(rng), &mut one);
        one[0]
    }

    /// Fills `out` with independent samples. From a stream cipher's generator, one call or several give the same samples.
    pub fn fill<R: CryptoRng + ?Sized>(&self, rng: &mut R, out: &mut [i64]) {
        block::fill(self.sigma, &mut block::Stream::<R, { block::BULK }>::new(rng), out);
    }

    /// The same law by an algorithm that shares nothing with [`RoundedGaussian::fill`] but the rounding's definition: Karney's, several times
    /// slower. An oracle for statistical tests and for whoever wants a second opinion.
    pub fn fill_by_karney<R: CryptoRng + ?Sized>(&self, rng: &mut R, out: &mut [i64]) {
        let mut digits = Stream(rng);
        out.fill_with(|| self.sample_from(&mut digits));
    }

    #[inline]
    fn sample_from<D: Digits>(self, digits: &mut D) -> i64 {
        let mut normal = Normal::draw(digits);
        let magnitude = round_scaled(self.sigma, &mut normal, digits);
        if normal.negative { -magnitude } else { magnitude }
    }
}

/// 32-bit digits from a random stream.
struct Stream<'a, R: ?Sized>(&'a mut R);

impl<R: CryptoRng + ?Sized> Digits for Stream<'_, R> {
    const BITS: u32 = 32;
    type Number = ();

    #[inline]
    fn open(&mut self) {}

    #[inline]
    fn draw(&mut self, (): &(), _place: usize) -> u64 {
        u64::from(self.0.next_u32())
    }
}

/// ⌊σ·(k + x) + 1/2⌋, drawing digits of x until all numbers that begin with them round alike.
#[inline]
fn round_scaled<D: Digits>(sigma: Sigma, normal: &mut Normal<D>, digits: &mut D) -> i64 {
    let mut known = normal.fraction.digit(digits, 0);
    let mut bits = D::BITS;
    let mut place = 0;
    loop {
        let Some(rounded) = round_interval(sigma, normal.whole, known, bits) else {
            if bits + D::BITS > u64::BITS {
                return round_beyond_64_bits(sigma, normal, digits);
            }
            place += 1;
            known = (known << D::BITS) | normal.fraction.digit(digits, place);
            bits += D::BITS;
            continue;
        };
        return rounded;
    }
}

/// The common rounding of all σ·y with y in [k + known/2^bits, k + (known + 1)/2^bits), if they have one. `bits` ≤ 64.
#[inline]
fn round_interval(sigma: Sigma, whole: u32, known: u64, bits: u32) -> Option<i64> {
    let shift = Sigma::FRACTION_BITS + bits;
    // σ ≤ 2^56 in raw units and y·2^bits < 2^(64+7) for k < 127, so the product is below 2^127. Larger k have
    // probability below e^−8000; they take the path of arbitrary precision.
    if whole >= 127 {
        return None;
    }
    let scaled = u128::from(sigma.raw()) * ((u128::from(whole) << bits) | u128::from(known));
    let half = 1u128 << (shift - 1);
    let low = (scaled + half) >> shift;
    // The interval is open above, so its largest floor is that of the end less the smallest amount.
    let high = (scaled + half + u128::from(sigma.raw()) - 1) >> shift;
    (low == high).then(|| i64::try_from(low).expect("2^40 times less than 127"))
}

/// The same with integers of any size, when 64 digits of x leave it open.
#[cold]
fn round_beyond_64_bits<D: Digits>(sigma: Sigma, normal: &mut Normal<D>, digits: &mut D) -> i64 {
    let mut y = BigUint::from(normal.whole);
    let mut bits = 0;
    let mut place = 0;
    loop {
        y = (y << D::BITS) | BigUint::from(normal.fraction.digit(digits, place));
        bits += D::BITS;
        place += 1;
        if let Some(rounded) = round_interval_big(sigma, &y, bits) {
            // σ ≤ 2^40 and k < 2^22 but for an event of probability e^(−2^43).
            return i64::try_from(rounded).expect("a normal deviate below 2^22");
        }
    }
}

fn round_interval_big(sigma: Sigma, y: &BigUint, bits: u32) -> Option<BigUint> {
    let shift = Sigma::FRACTION_BITS + bits;
    let low = y * sigma.raw() + (BigUint::from(1u8) << (shift - 1));
    let high = (&low + (sigma.raw() - 1)) >> shift;
    let low = low >> shift;
    (low == high).then_some(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::super::karney::Uniform;
    use super::*;

    /// Real number j is the j-th stream of one ChaCha20 key, cut into digits of `BITS` bits: whatever the digit width, the real
    /// numbers are the same, so an exact sampler must return the same integers.
    struct Numbered<const BITS: u32> {
        opened: u64,
        drawn: u64,
    }

    struct Numeral {
        stream: ChaCha20Rng,
        pending: u64,
        pending_bits: u32,
    }

    impl<const BITS: u32> Digits for Numbered<BITS> {
        const BITS: u32 = BITS;
        type Number = std::cell::RefCell<Numeral>;

        fn open(&mut self) -> Self::Number {
            let mut stream = ChaCha20Rng::from_seed([7; 32]);
            stream.set_stream(self.opened);
            self.opened += 1;
            std::cell::RefCell::new(Numeral { stream, pending: 0, pending_bits: 0 })
        }

        fn draw(&mut self, number: &Self::Number, _place: usize) -> u64 {
            self.drawn += 1;
            let mut n = number.borrow_mut();
            if n.pending_bits == 0 {
                (n.pending, n.pending_bits) = (u64::from(n.stream.next_u32()), 32);
            }
            n.pending_bits -= BITS;
            (n.pending >> n.pending_bits) & ((1 << BITS) - 1)
        }
    }

    fn run<const BITS: u32>(sigma: Sigma, samples: usize) -> (Vec<i64>, u64) {
        let mut digits = Numbered::<BITS> { opened: 0, drawn: 0 };
        let law = RoundedGaussian::new(sigma);
        let out = (0..samples).map(|_| law.sample_from(&mut digits)).collect();
        (out, digits.drawn)
    }

    #[test]
    fn the_oracles_refinement_path_decides_as_its_fast_path() {
        // σ = 0.5, 3, 1000.37…, 2^40: with 2- and 8-bit digits ties and straddled boundaries are frequent, and beyond 64 digits of x the
        // arbitrary-precision path runs (σ = 2^40 with 2-bit digits leaves it open with probability 2^−24 only, so that path
        // has its own test below).
        for raw in [1 << 15, 3 << 16, 65_560_123, 1 << 56] {
            let sigma = Sigma::from_raw(raw).unwrap();
            let (wide, wide_drawn) = run::<32>(sigma, 3000);
            for (narrow, narrow_drawn) in [run::<2>(sigma, 3000), run::<8>(sigma, 3000), run::<16>(sigma, 3000)] {
                assert_eq!(narrow, wide, "sigma {sigma}");
                assert!(narrow_drawn > wide_drawn);
            }
        }
    }

    #[test]
    fn a_number_that_lies_on_a_boundary_for_200_digits_is_decided_by_the_next() {
        /// 1/6 = 0.2aaaa… in base 16 for 25 digits of 8 bits, then a little more or less.
        struct NearSixth {
            above: bool,
        }
        impl Digits for NearSixth {
            const BITS: u32 = 8;
            type Number = ();
            fn open(&mut self) {}
            fn draw(&mut self, (): &(), place: usize) -> u64 {
                match place {
                    0 => 0x2a,
                    25 => 0xaa + 1 - 2 * u64::from(!self.above),
                    _ => 0xaa,
                }
            }
        }
        // σ·y = 3·(1 + x) rounds at x = 1/6.
        let sigma = Sigma::from_raw(3 << 16).unwrap();
        for (above, expected) in [(false, 3), (true, 4)] {
            let mut digits = NearSixth { above };
            let fraction = Uniform::new(&mut digits);
            let mut normal = Normal { negative: false, whole: 1, fraction };
            assert_eq!(round_scaled(sigma, &mut normal, &mut digits), expected);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_precision_agrees_with_128_bits(
            raw in 1u64..=Sigma::MAX, whole in 0u32..127, digits: u64, bits in 1u32..=64,
        ) {
            let (sigma, known) = (Sigma::from_raw(raw).unwrap(), digits >> (64 - bits));
            let y = (BigUint::from(whole) << bits) | BigUint::from(known);
            let big = round_interval_big(sigma, &y, bits).map(|v| i64::try_from(v).unwrap());
            prop_assert_eq!(round_interval(sigma, whole, known, bits), big);
        }
    }

    #[test]
    fn sigma_zero_or_beyond_the_range_is_refused() {
        assert!(Sigma::from_raw(0).is_err());
        assert!(Sigma::from_raw((1 << 56) + 1).is_err());
    }

    /// Reproducibility only: the simulator's checkpoints depend on this stream staying as it is.
    #[test]
    fn the_stream_of_a_fixed_seed_is_stable() {
        let mut out = [0; 8];
        RoundedGaussian::new(Sigma::from_raw(1000 << 16).unwrap()).fill(&mut ChaCha20Rng::from_seed([1; 32]), &mut out);
        assert_eq!(out, STABLE);
    }

    const STABLE: [i64; 8] = [416, -983, 191, 1175, 1048, 1713, -114, -1347];
}
