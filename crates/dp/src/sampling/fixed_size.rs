//! A fixed number of units, every subset of that size being as likely as another.
use rand_core::CryptoRng;

use super::{Law, Sample, SamplingCertificate};

/// More units asked for than there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{size} units cannot be drawn from {population}")]
pub struct SampleTooLarge {
    /// Units to choose from.
    pub population: usize,
    /// Units asked for.
    pub size: usize,
}

/// Draws `size` of `population` units without replacement (Knuth, TAOCP 2, 3.4.2, Algorithm S).
///
/// Its accounting is for data sets that differ by *replacing* one unit: with one unit more or less the same size is another law.
///
/// # Errors
/// [`SampleTooLarge`].
pub fn fixed_size<R: CryptoRng + ?Sized>(
    population: usize,
    size: usize,
    coins: &mut R,
) -> Result<(Sample, SamplingCertificate), SampleTooLarge> {
    if size > population {
        return Err(SampleTooLarge { population, size });
    }
    let count = |n: usize| u64::try_from(n).expect("a number of units");
    let (mut wanted, mut included) = (count(size), Vec::with_capacity(population));
    for remaining in (1..=count(population)).rev() {
        let taken = below(remaining, coins) < wanted;
        wanted -= u64::from(taken);
        included.push(taken);
    }
    let law = Law::FixedSize { population: count(population), size: count(size) };
    Ok((Sample::of(included), SamplingCertificate { law }))
}

/// Uniform below `n`, exactly (Lemire 2019, Algorithm 5).
fn below<R: CryptoRng + ?Sized>(n: u64, coins: &mut R) -> u64 {
    let unfair = n.wrapping_neg() % n; // 2^64 mod n
    loop {
        let product = u128::from(coins.next_u64()) * u128::from(n);
        let low = u64::try_from(product & u128::from(u64::MAX)).expect("the lower half");
        if low >= unfair {
            return u64::try_from(product >> 64).expect("the upper half");
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;
    use statrs::distribution::{ChiSquared, ContinuousCDF as _};

    use super::*;

    /// p-value of χ² over the 20 subsets of 3 of 6 units.
    fn p_value(mut draw: impl FnMut() -> Vec<usize>) -> f64 {
        let draws = 30_000;
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..draws {
            *seen.entry(draw()).or_insert(0.0) += 1.0;
        }
        assert!(seen.len() <= 20 && seen.keys().all(|subset| subset.len() == 3));
        let expected = f64::from(draws) / 20.0;
        let unseen = 20 - u32::try_from(seen.len()).unwrap();
        let statistic = seen.values().map(|count: &f64| (count - expected).powi(2) / expected).sum::<f64>();
        ChiSquared::new(19.0).unwrap().sf(statistic + f64::from(unseen) * expected)
    }

    #[test]
    fn every_subset_of_the_size_is_as_likely_as_another_and_a_biased_shuffle_is_caught() {
        let mut coins = ChaCha20Rng::from_seed([5; 32]);
        let p = p_value(|| fixed_size(6, 3, &mut coins).unwrap().0.units().collect());
        assert!(p > 1e-3, "{p}");
        // The common mistake in a shuffle: every position is swapped with any position.
        let biased = p_value(|| {
            let mut order: Vec<usize> = (0..6).collect();
            for i in 0..6 {
                order.swap(i, usize::try_from(below(6, &mut coins)).unwrap());
            }
            let mut first = order[..3].to_vec();
            first.sort_unstable();
            first
        });
        assert!(biased < 1e-3, "{biased}");
    }

    #[test]
    fn the_charge_names_both_sizes_and_too_large_a_sample_is_refused() {
        let mut coins = ChaCha20Rng::from_seed([6; 32]);
        let (_, certificate) = fixed_size(10, 4, &mut coins).unwrap();
        let charge = certificate.charge(sottovoce_types::NoiseMultiplier::new(1.0).unwrap());
        assert_eq!(charge.event().to_string(), "Gaussian noise of multiplier 1 on 4 units drawn from 10");
        assert!(matches!(fixed_size(3, 4, &mut coins), Err(SampleTooLarge { population: 3, size: 4 })));
        assert_eq!(fixed_size(3, 3, &mut coins).unwrap().0.units().count(), 3);
        assert_eq!(fixed_size(3, 0, &mut coins).unwrap().0.units().count(), 0);
    }

    #[test]
    fn numbers_below_a_bound_are_uniform_even_where_64_bits_do_not_divide() {
        let mut coins = ChaCha20Rng::from_seed([8; 32]);
        // 3·2^62: without the rejection, the lowest third of the outcomes would come twice as often.
        let n = 3u64 << 62;
        let low = (0..60_000).filter(|_| below(n, &mut coins) < n / 3).count();
        assert!((19_300..20_700).contains(&low), "{low}");
    }
}
