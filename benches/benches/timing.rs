//! Whether the time of an operation depends on a secret: `cargo bench -p sottovoce-benches --bench timing -- 200000`, on a quiet machine.
//!
//! Two classes of inputs in random order, Welch's t between their times (`sottovoce_benches::dudect`). Before everything else two controls: a
//! comparison that ends at the first difference must be caught, or the run says so and ends with 1; and the same work in both classes must
//! not be. What is measured:
//!
//! | operation | classes |
//! |---|---|
//! | sharing of a secret | the secret 0, a random one |
//! | comparison of commitments | equal, different from the first byte on |
//! | one sample of noise | magnitudes below and above 0.67 σ |
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sottovoce_benches::dudect::{Class, LEAKS, SUSPECT, largest_t};
use sottovoce_dp::{RoundedGaussian, Sigma};
use sottovoce_secagg::probes;
use sottovoce_types::Digest;

/// Comparisons in one measurement: one takes less than the clock's tick.
const AT_ONCE: usize = 64;

fn timed<T>(operation: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = black_box(operation());
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of one operation")]
    let nanoseconds = begun.elapsed().as_nanos() as f64;
    (nanoseconds, result)
}

fn class(rng: &mut ChaCha20Rng) -> Class {
    if rng.next_u32() & 1 == 0 { Class::First } else { Class::Second }
}

/// Pairs of commitments that are equal in one class and differ from the first byte on in the other.
fn comparisons(count: usize, rng: &mut ChaCha20Rng, same: impl Fn(&Digest, &Digest) -> bool) -> Vec<(Class, f64)> {
    let measure = |_| {
        let class = class(rng);
        // The same steps in both classes, so that what is measured begins from the same state of the processor.
        let difference = if class == Class::Second { 0xa5 } else { 0 };
        let mut pairs = [(Digest::default(), Digest::default()); AT_ONCE];
        for (one, other) in &mut pairs {
            rng.fill_bytes(&mut one.0);
            *other = *one;
            for byte in &mut other.0 {
                *byte ^= black_box(difference);
            }
        }
        let count = || pairs.iter().map(|(a, b)| u64::from(same(black_box(a), black_box(b)))).sum::<u64>();
        (class, timed(count).0)
    };
    (0..count).map(measure).collect()
}

/// The control: what `==` on bytes may do.
fn ends_early(one: &Digest, other: &Digest) -> bool {
    one.0.iter().zip(&other.0).all(|(a, b)| black_box(*a) == *b)
}

fn sharing(count: usize, rng: &mut ChaCha20Rng) -> Vec<(Class, f64)> {
    let measure = |_| {
        let class = class(rng);
        let mut secret = [0u8; 32];
        rng.fill_bytes(&mut secret);
        let kept = if class == Class::Second { 0xff } else { 0 };
        for byte in &mut secret {
            *byte &= black_box(kept);
        }
        // Below p: the top byte of each word is cleared.
        secret.iter_mut().skip(7).step_by(8).for_each(|byte| *byte = 0);
        (class, timed(|| probes::share(black_box(&secret), 16, 24, rng)).0)
    };
    (0..count).map(measure).collect()
}

fn noise(count: usize, rng: &mut ChaCha20Rng) -> Vec<(Class, f64)> {
    const SIGMA: u64 = 1000;
    let law = RoundedGaussian::new(Sigma::from_raw(SIGMA << Sigma::FRACTION_BITS).unwrap());
    let measure = |_| {
        let mut sample = [0i64];
        let (time, ()) = timed(|| law.fill(rng, black_box(&mut sample)));
        (if sample[0].unsigned_abs() * 100 < SIGMA * 67 { Class::First } else { Class::Second }, time)
    };
    (0..count).map(measure).collect()
}

fn main() -> ExitCode {
    let count = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(100_000usize);
    let rng = &mut ChaCha20Rng::from_seed([1; 32]);
    let say = |what: &str, times: &[(Class, f64)]| {
        let t = largest_t(times);
        let verdict = match t {
            t if t > LEAKS => "depends on the class",
            t if t > SUSPECT => "run it again, longer",
            _ => "no difference found",
        };
        println!("{what:<44} {:>9} times  largest |t| {t:>8.2}  {verdict}", times.len());
        t
    };
    println!("a difference counts from |t| = {LEAKS} on; no difference found is no proof that there is none");
    // Warm: caches, branches, and the clock of the processor.
    drop(comparisons(count / 4, rng, ends_early));
    let caught = say("control: a comparison that ends early", &comparisons(count, rng, ends_early));
    let nothing = say("control: the same work in both classes", &comparisons(count, rng, |a, _| ends_early(a, a)));
    say("comparison of commitments", &comparisons(count, rng, probes::same_commitment));
    say("sharing of a secret", &sharing(count / 4, rng));
    say("one sample of noise, by its magnitude", &noise(count, rng));
    if caught > LEAKS && nothing < LEAKS {
        return ExitCode::SUCCESS;
    }
    println!("the controls do not tell a leak from none on this machine: nothing above means anything");
    ExitCode::FAILURE
}
