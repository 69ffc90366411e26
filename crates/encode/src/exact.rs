//! Conversions between floats and integers whose rounding is stated; `as` is not used on numbers in this crate.

/// `value` = `sign` · `mantissa` · 2^`exponent`, exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dyadic {
    /// Whether the sign bit is set.
    pub negative: bool,
    /// Below 2^53.
    pub mantissa: u64,
    /// The power of two.
    pub exponent: i32,
}

/// The exact dyadic value of a finite float (IEEE 754-2019, 3.4); `None` for NaN and the infinities.
pub fn dyadic(value: f64) -> Option<Dyadic> {
    const FRACTION_BITS: u32 = 52;
    let bits = value.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    let biased = i32::try_from((bits >> FRACTION_BITS) & 0x7ff).expect("11 bits");
    let negative = value.is_sign_negative();
    match biased {
        0x7ff => None,
        0 => Some(Dyadic { negative, mantissa: fraction, exponent: -1074 }),
        _ => Some(Dyadic { negative, mantissa: fraction | (1 << FRACTION_BITS), exponent: biased - 1075 }),
    }
}

/// The integer part, rounded toward zero, exactly; `None` for NaN and for magnitudes of 2^63 and above.
pub fn truncate(value: f64) -> Option<i64> {
    let Dyadic { negative, mantissa, exponent } = dyadic(value)?;
    let magnitude = match exponent {
        ..=-53 => 0,
        -52..=0 => mantissa >> exponent.unsigned_abs(),
        // A mantissa of a positive exponent is normal, so it has 53 bits: at 11 the value reaches 2^63.
        1..=10 => mantissa << exponent.unsigned_abs(),
        _ => return None,
    };
    let magnitude = i64::try_from(magnitude).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// The nearest float, ties to even; exact up to magnitude 2^53.
pub fn to_f64(value: i64) -> f64 {
    let high = i32::try_from(value >> 32).expect("the upper half of an i64");
    let low = u32::try_from(value & 0xffff_ffff).expect("the lower half of an i64");
    // Both products are exact, so the one addition is the one rounding.
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// The nearest float, ties to even; exact up to 2^53.
pub fn u64_to_f64(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).expect("the upper half of a u64");
    let low = u32::try_from(value & 0xffff_ffff).expect("the lower half of a u64");
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// The nearest float, ties to even; exact up to magnitude 2^53.
pub(crate) fn wide_to_f64(value: i128) -> f64 {
    let magnitude = value.unsigned_abs();
    let excess = (u128::BITS - magnitude.leading_zeros()).saturating_sub(u64::BITS);
    let kept = u64::try_from(magnitude >> excess).expect("64 bits are left");
    // Bits are lost only from 64 that begin with a 1, of which a float keeps 53: the last stands for all that are lost.
    let lost = magnitude != u128::from(kept) << excess;
    let nearest = u64_to_f64(kept | u64::from(lost)) * power_of_two(excess / 2) * power_of_two(excess - excess / 2);
    if value < 0 { -nearest } else { nearest }
}

/// The nearest single-precision float, ties to even; values beyond its range become infinite.
pub fn to_f32(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is what this function is for")]
    let nearest = value as f32;
    nearest
}

/// 2^`bits` as a float, exactly; `bits` at most 63.
pub(crate) fn power_of_two(bits: u32) -> f64 {
    u64_to_f64(1 << bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn truncation_refuses_what_is_no_i64() {
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 9_223_372_036_854_775_808.0, -9.3e18, 1e300] {
            assert_eq!(truncate(v), None, "{v}");
        }
    }

    #[test]
    fn truncation_rounds_toward_zero_at_the_edges() {
        let cases = [
            (0.0, 0),
            (-0.0, 0),
            (f64::MIN_POSITIVE, 0),
            (5e-324, 0),
            (0.999_999_999_999_999_9, 0),
            (-0.999_999_999_999_999_9, 0),
            (1.0, 1),
            (-1.5, -1),
            (2.0f64.powi(52) + 0.5, 1 << 52),
            (2.0f64.powi(53) - 1.0, (1 << 53) - 1),
            (-(2.0f64.powi(62)), -(1 << 62)),
            (9_223_372_036_854_774_784.0, 9_223_372_036_854_774_784),
        ];
        for (v, expected) in cases {
            assert_eq!(truncate(v), Some(expected), "{v}");
        }
    }

    proptest! {
        #[test]
        fn truncation_is_the_hardware_conversion(v in -9.2e18f64..9.2e18, shrink in 0i32..70) {
            let v = v * 2f64.powi(-shrink);
            #[expect(clippy::cast_possible_truncation, reason = "the oracle")]
            let oracle = v as i64;
            prop_assert_eq!(truncate(v), Some(oracle));
        }

        #[test]
        fn floats_from_integers_are_the_nearest(v: i64, u: u64) {
            #[expect(clippy::cast_precision_loss, reason = "the oracle")]
            let (signed, unsigned) = (v as f64, u as f64);
            prop_assert_eq!(to_f64(v).to_bits(), signed.to_bits());
            prop_assert_eq!(u64_to_f64(u).to_bits(), unsigned.to_bits());
        }

        #[test]
        fn floats_from_wide_integers_are_the_nearest(v: i128, shrink in 0u32..127, near_a_tie in -2i128..=2) {
            for v in [v >> shrink, ((v >> shrink) & !0xfff_ffff) + 0x800_0000 + near_a_tie] {
                #[expect(clippy::cast_precision_loss, reason = "the oracle")]
                let oracle = v as f64;
                prop_assert_eq!(wide_to_f64(v).to_bits(), oracle.to_bits());
            }
        }

        #[test]
        fn dyadic_parts_give_the_value_back(bits: u64) {
            let v = f64::from_bits(bits);
            prop_assume!(v.is_finite());
            let d = dyadic(v).unwrap();
            // In two steps: 2^-1074 alone is no normal float, and powi of it loses nothing when split.
            let half = d.exponent / 2;
            let back = u64_to_f64(d.mantissa) * 2f64.powi(half) * 2f64.powi(d.exponent - half);
            prop_assert_eq!(back.to_bits(), v.abs().to_bits());
            prop_assert_eq!(d.negative, v.is_sign_negative());
        }
    }

    #[test]
    fn the_extremes_of_wide_integers_have_their_floats() {
        for (v, bits) in [(i128::MIN, -(2.0f64.powi(127))), (i128::MAX, 2.0f64.powi(127)), (0, 0.0), (-1, -1.0)] {
            assert_eq!(wide_to_f64(v).to_bits(), bits.to_bits());
        }
    }

    #[test]
    fn single_precision_is_the_nearest() {
        assert!((to_f32(0.1) - 0.1f32).abs() < f32::EPSILON / 100.0);
        assert!(to_f32(1e300).is_infinite());
    }
}
