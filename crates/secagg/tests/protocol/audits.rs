//! The audit of an opened sum: what it recomputes, what it is shown, and how often it catches a false sum.
use std::num::NonZeroUsize;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_secagg::chunks::{CHUNK_WORDS, ChunkTree, Owner, chunk_count, chunk_range};
use sottovoce_secagg::*;
use sottovoce_types::RingVec;
use sottovoce_wire::{Decode, Encode};

use crate::driver::Cohort;

/// An opened round, with every masked input that arrived.
struct Round {
    cohort: Cohort,
    sum: SecureSum,
    sent: Vec<Vec<u64>>,
}

/// Five clients (f = 1, q = 4) with inputs of so many words; only those in `arrived` get theirs to the coordinator.
fn round(suite: MaskSuite, words: usize, arrived: &[usize]) -> Round {
    let mut cohort = Cohort::new(5, 1);
    (cohort.session.words, cohort.session.suite, cohort.session.allow_plain) = (words, suite, true);
    let (masking, mut server) = cohort.until_masking();
    let (mut states, mut sent) = (Vec::new(), Vec::new());
    for (i, state) in masking.into_iter().enumerate().filter(|(i, _)| arrived.contains(i)) {
        let values: Vec<i64> = (0..2 * words as i64).map(|k| (k * (i as i64 + 3)) % 1000 - 500).collect();
        let (state, message) = state.submit(cohort.pack(&values), &cohort.sites[i]).unwrap();
        sent.push(message.words.clone());
        server.input(cohort.id(i), message).unwrap();
        states.push((i, state));
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in states {
        let (state, signature) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), signature).unwrap();
        consistent.push((i, state));
    }
    let (mut server, quorum) = server.close().unwrap();
    for (i, state) in consistent {
        server.opening(cohort.id(i), state.quorum(quorum.clone(), &cohort.sites[i]).unwrap()).unwrap();
    }
    let sum = server.close().unwrap();
    Round { cohort, sum, sent }
}

impl Round {
    fn auditor(&self) -> ChunkAuditor {
        ChunkAuditor::new(self.cohort.session.clone(), self.sum.certificate(), self.sum.revealed()).unwrap()
    }

    /// Chunk `index` of the sum as the auditor computes it, every input chunk checked against its owner's root.
    fn audited(&self, auditor: &ChunkAuditor, index: usize) -> Vec<u64> {
        let range = chunk_range(index, self.cohort.session.words).unwrap();
        let chunks: Vec<&[u64]> = self.sent.iter().map(|words| &words[range.clone()]).collect();
        for (place, (client, words)) in auditor.contributors().zip(&self.sent).enumerate() {
            let path = ChunkTree::of(Owner::Input(client), words, NonZeroUsize::MIN).path(index).unwrap();
            assert!(auditor.is_chunk_of(place, index, chunks[place], &path));
        }
        auditor.sum(index, chunks)
    }
}

#[test]
fn claim_an_auditor_recomputes_every_chunk_of_the_sum_with_and_without_dropouts() {
    let words = 2 * CHUNK_WORDS + 77;
    let all = [0, 1, 2, 3, 4];
    for (suite, arrived) in [
        (MaskSuite::Aes256Ctr, &all[..]),
        (MaskSuite::Aes256Ctr, &[0, 1, 3, 4][..]),
        (MaskSuite::ChaCha20, &[1, 2, 3, 4][..]),
        (MaskSuite::None, &[0, 1, 2, 3][..]),
    ] {
        let round = round(suite, words, arrived);
        let auditor = round.auditor();
        assert_eq!(auditor.contributors().len(), arrived.len());
        for index in 0..chunk_count(words) {
            let range = chunk_range(index, words).unwrap();
            assert_eq!(round.audited(&auditor, index), round.sum.sum().words()[range], "{suite:?} chunk {index}");
        }
    }
}

#[test]
fn claim_an_auditor_takes_no_chunk_that_its_owner_did_not_sign() {
    let words = CHUNK_WORDS + 9;
    let round = round(MaskSuite::Aes256Ctr, words, &[0, 1, 2, 3]);
    let auditor = round.auditor();
    let client = auditor.contributors().next().unwrap();
    let tree = ChunkTree::of(Owner::Input(client), &round.sent[0], NonZeroUsize::MIN);
    let (chunk, path) = (&round.sent[0][CHUNK_WORDS..], tree.path(1).unwrap());
    assert!(auditor.is_chunk_of(0, 1, chunk, &path), "control");
    let mut altered = chunk.to_vec();
    altered[8] ^= 1;
    assert!(!auditor.is_chunk_of(0, 1, &altered, &path));
    assert!(!auditor.is_chunk_of(1, 1, chunk, &path), "another client's");
    assert!(!auditor.is_chunk_of(0, 0, chunk, &path), "another place");
    assert!(!auditor.is_chunk_of(0, 1, chunk, &[]));
    assert!(!auditor.is_chunk_of(4, 1, chunk, &path), "nobody's");
}

#[test]
fn claim_what_is_revealed_for_an_audit_is_what_the_opening_gave_and_one_secret_a_dealer() {
    let round = round(MaskSuite::Aes256Ctr, 3, &[0, 1, 2, 4]);
    let (session, certificate) = (&round.cohort.session, round.sum.certificate());
    let genuine = round.sum.revealed();
    assert_eq!(genuine.secrets.len(), 5, "one secret for each of the five dealers, in one slot");
    let back = Revealed::decode_exact(&session.message_ctx().unwrap(), &genuine.to_bytes()).unwrap();
    assert_eq!(back, *genuine);
    let refused = |change: &dyn Fn(&mut Revealed)| {
        let mut revealed = genuine.clone();
        change(&mut revealed);
        ChunkAuditor::new(session.clone(), certificate, &revealed).map(|_| ()).unwrap_err()
    };
    // The b of a contributor, and the s of the client that dropped out, each in the other's place or changed.
    for dealer in 0..5 {
        let secret = RevealedRefused::Secret(round.cohort.id(dealer));
        assert_eq!(refused(&|r| r.secrets[dealer][0] ^= 1), secret);
        assert_eq!(refused(&|r| r.secrets[dealer] = r.secrets[(dealer + 1) % 5]), secret);
        assert_eq!(refused(&|r| r.secrets[dealer] = [0xff; 32]), secret, "no field elements");
    }
    assert_eq!(refused(&|r| _ = r.secrets.pop()), RevealedRefused::Count { have: 4, need: 5 });
    assert!(matches!(refused(&|r| r.roster.adverts[0].nonce[0] ^= 1), RevealedRefused::Roster(_)));
    // A roster that the coordinator signs anew, of another attempt.
    let mut other = Cohort::new(5, 1);
    let (_, _, roster) = other.until_roster();
    let mut again = Cohort::seeded(5, 1, 1);
    again.until_roster();
    let (_, _, fresh) = again.until_roster();
    assert_ne!(roster, fresh);
    assert_eq!(refused(&|r| r.roster = fresh.clone()), RevealedRefused::OtherRoster);
    assert!(!format!("{genuine:?}").contains(&format!("{:?}", genuine.secrets[0])), "Debug shows no secret");
}

/// (m − bad choose c) / (m choose c): one auditor of c different chunks misses all bad ones.
fn misses(m: u32, bad: u32, c: u32) -> f64 {
    (0..c).map(|k| f64::from(m - bad - k) / f64::from(m - k)).product()
}

/// How often at least one of n auditors sees one of the first `bad` chunks of m.
fn caught(m: u32, bad: u32, n: u32, trials: u32, mut draw: impl FnMut() -> Vec<usize>) -> f64 {
    assert!(bad < m);
    let seen = |_: u32| (0..n).any(|_| draw().iter().any(|chunk| (*chunk as u32) < bad));
    f64::from((0..trials).map(seen).filter(|seen| *seen).count() as u32) / f64::from(trials)
}

/// Design, case 5: a coordinator falsifies the fraction p of the chunks of a sum. It is caught with probability 1 − (1 − p)^(nc) at least,
/// and with exactly the one that follows from c different chunks each.
#[test]
fn claim_a_false_sum_is_caught_with_the_probability_that_is_stated() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let trials = 20_000;
    for (m, bad, n, c) in [(16u32, 1u32, 5u32, 1u32), (16, 4, 5, 1), (64, 2, 10, 2), (40, 10, 3, 4), (500, 1, 10, 1)] {
        let exact = 1.0 - misses(m, bad, c).powi(n as i32);
        let stated = 1.0 - (1.0 - f64::from(bad) / f64::from(m)).powi((n * c) as i32);
        assert!(exact >= stated - 1e-12, "what is stated is never more than what holds");
        let rate = caught(m, bad, n, trials, || draw_chunks(m as usize, c as usize, &mut rng).unwrap());
        // Six standard errors: 2e-9 a row for a sound sampler.
        let six = 6.0 * (exact * (1.0 - exact) / f64::from(trials)).sqrt();
        assert!((rate - exact).abs() < six, "m {m} bad {bad} n {n} c {c}: {rate}, {exact} follows");
    }
    // A single chunk of 500, that is one false word in a sum of 16 million values, is seldom seen by ten sites.
    assert!(1.0 - misses(500, 1, 1).powi(10) < 0.021);
}

/// The control: auditors whose chunks can be foreseen, or lean to one side, do not catch as often, and the test above would see it.
#[test]
fn control_foreseeable_or_biased_chunks_fail_the_same_test() {
    let (m, bad, n, c, trials) = (16u32, 4u32, 5u32, 1u32, 20_000u32);
    let exact = 1.0 - misses(m, bad, c).powi(n as i32);
    let six = 6.0 * (exact * (1.0 - exact) / f64::from(trials)).sqrt();
    assert!((caught(m, bad, n, trials, || vec![15]) - exact).abs() > six);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut leaning = || vec![draw_chunks(m as usize, 2, &mut rng).unwrap()[1]];
    assert!((caught(m, bad, n, trials, &mut leaning) - exact).abs() > six, "the larger of two");
}

#[test]
fn chunks_that_are_drawn_are_different_and_all_where_fewer_are_there() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for (chunks, count) in [(0, 3), (1, 1), (3, 3), (3, 9), (100, 10)] {
        let drawn = draw_chunks(chunks, count, &mut rng).unwrap();
        assert_eq!(drawn.len(), count.min(chunks));
        assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|c| *c < chunks));
    }
}

/// A falsified sum against the recomputed one, end to end, over every chunk: the auditor sees exactly the chunks that were changed.
#[test]
fn claim_an_auditor_sees_a_false_chunk_and_no_other() {
    let words = 4 * CHUNK_WORDS;
    let round = round(MaskSuite::Aes256Ctr, words, &[0, 1, 2, 3, 4]);
    let auditor = round.auditor();
    let mut announced = RingVec::from_words(round.sum.sum().words().to_vec(), round.cohort.session.lanes);
    announced.words_mut()[2 * CHUNK_WORDS + 5] ^= 1;
    let false_chunks: Vec<usize> = (0..4)
        .filter(|index| round.audited(&auditor, *index) != announced.words()[chunk_range(*index, words).unwrap()])
        .collect();
    assert_eq!(false_chunks, [2]);
}
