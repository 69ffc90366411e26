//! The hybrid key agreement and the audit of chunks, on graphs that clients pick.
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_secagg::chunks::{CHUNK_WORDS, ChunkTree, Owner, chunk_count, chunk_range};
use sottovoce_secagg::*;
use sottovoce_types::RingVec;
use sottovoce_wire::{Decode, Encode};

use crate::driver::{Cohort, Drops, Outcome, VALUES, run_round};
use crate::graphs::dealt;
use crate::sparse::two_of_24;

#[test]
fn claim_a_hybrid_sum_over_a_graph_of_picks_is_exact_whichever_clients_drop_in_each_phase() {
    let nobody = BTreeSet::new();
    let gone: BTreeSet<usize> = [0, 23].into();
    let phases = [
        ("nobody", Drops::default(), &nobody),
        ("picks", Drops { picks: gone.clone(), ..Drops::default() }, &gone),
        ("shares", Drops { shares: gone.clone(), ..Drops::default() }, &gone),
        ("inputs", Drops { inputs: gone.clone(), ..Drops::default() }, &gone),
        ("signatures", Drops { signatures: gone.clone(), ..Drops::default() }, &nobody),
        ("openings", Drops { openings: gone.clone(), ..Drops::default() }, &nobody),
    ];
    for (phase, drops, missing) in phases {
        let mut cohort = two_of_24().hybrid();
        let inputs: Vec<RingVec> = (0..24).map(|i| cohort.pack(&cohort.input(i))).collect();
        let Outcome::Sum(sum) = run_round(&mut cohort, &inputs, &drops) else { panic!("{phase}") };
        let there = (0..24).filter(|i| !missing.contains(i));
        assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(there), "{phase}");
        ChunkAuditor::new(cohort.session.clone(), sum.certificate(), sum.revealed()).expect(phase);
    }
}

/// An opened sum over a graph of picks, and the masked inputs that arrived, in roster order.
struct Opened {
    cohort: Cohort,
    sum: SecureSum,
    sent: Vec<Vec<u64>>,
}

fn opened(cohort: Cohort, gone: &[usize]) -> Opened {
    let (cohort, shared, server, _) = dealt(cohort);
    let (mut server, envelopes) = server.close().unwrap();
    let (mut submitted, mut sent) = (Vec::new(), Vec::new());
    for (i, (state, (_, message))) in shared.into_iter().zip(envelopes).enumerate() {
        if gone.contains(&i) {
            continue;
        }
        let values: Vec<i64> =
            (0..2 * cohort.session.words as i64).map(|k| (k * (i as i64 + 3)) % 1000 - 500).collect();
        let state = state.envelopes(message).unwrap();
        let (state, input) = state.submit(cohort.pack(&values), &cohort.sites[i]).unwrap();
        sent.push(input.words.clone());
        server.input(cohort.id(i), input).unwrap();
        submitted.push((i, state));
    }
    let (mut server, survivors) = server.close().unwrap();
    let mut consistent = Vec::new();
    for (i, state) in submitted {
        let (state, signature) = state.survivors(survivors.clone(), &cohort.sites[i]).unwrap();
        server.signature(cohort.id(i), signature).unwrap();
        consistent.push((i, state));
    }
    let (mut server, quorum) = server.close().unwrap();
    for (i, state) in consistent {
        server.opening(cohort.id(i), state.quorum(quorum.clone(), &cohort.sites[i]).unwrap()).unwrap();
    }
    Opened { sum: server.close().unwrap(), cohort, sent }
}

/// Three chunks, of which auditors draw some: each is found right, in both agreements, with dropouts and without.
#[test]
fn claim_random_chunks_of_a_sum_over_a_graph_of_picks_are_audited_in_both_key_agreements() {
    let words = 2 * CHUNK_WORDS + 77;
    let rng = &mut ChaCha20Rng::from_seed([6; 32]);
    for (hybrid, gone) in [(false, &[][..]), (false, &[3, 17]), (true, &[]), (true, &[0, 9])] {
        let mut cohort = two_of_24();
        cohort.session.words = words;
        let Opened { cohort, sum, sent } = opened(if hybrid { cohort.hybrid() } else { cohort }, gone);
        let encoded = sum.revealed().to_bytes();
        let revealed = Revealed::decode_exact(&cohort.session.message_ctx().unwrap(), &encoded).unwrap();
        let auditor = ChunkAuditor::new(cohort.session.clone(), sum.certificate(), &revealed).unwrap();
        let chunks = draw_chunks(chunk_count(words), 2, rng).unwrap();
        assert_eq!((chunks.len(), auditor.contributors().len()), (2, 24 - gone.len()));
        for index in chunks {
            let range = chunk_range(index, words).unwrap();
            let shown: Vec<&[u64]> = sent.iter().map(|input| &input[range.clone()]).collect();
            for (place, (client, input)) in auditor.contributors().zip(&sent).enumerate() {
                let path = ChunkTree::of(Owner::Input(client), input, NonZeroUsize::MIN).path(index).unwrap();
                assert!(auditor.is_chunk_of(place, index, shown[place], &path));
            }
            let computed = auditor.sum(index, shown);
            assert_eq!(computed, sum.sum().words()[range.clone()], "hybrid {hybrid}, {gone:?} gone, chunk {index}");
            // The control: a sum that is false in one word of this chunk is not what was computed.
            let mut announced = sum.sum().words()[range].to_vec();
            announced[5] ^= 1;
            assert_ne!(computed, announced);
        }
    }
}

/// One ciphertext for each pair of a dropout and a contributor that masked with each other, in the order that the graph says; another in the
/// place of one is told, and so is another graph.
#[test]
fn claim_what_is_revealed_of_a_hybrid_sum_over_a_graph_of_picks_is_bound_to_secrets_and_graph() {
    let gone = [0, 9];
    let Opened { cohort, sum, .. } = opened(two_of_24().hybrid(), &gone);
    let genuine = sum.revealed();
    let picked = |a: usize, b: usize| genuine.picks[a].1.contains(&(b as u32));
    let pairs = gone.iter().flat_map(|g| (0..24).filter(|i| !gone.contains(i)).map(move |i| (*g, i)));
    let masked = pairs.filter(|(a, b)| picked(*a, *b) || picked(*b, *a)).count();
    assert_eq!(genuine.ciphertexts.len(), masked);
    assert!((18..46).contains(&masked), "{masked}");
    let refused = |change: &dyn Fn(&mut Revealed)| {
        let mut revealed = genuine.clone();
        change(&mut revealed);
        let judged = ChunkAuditor::new(cohort.session.clone(), sum.certificate(), &revealed);
        judged.map(|_| ()).unwrap_err()
    };
    let count = RevealedRefused::Count { have: masked - 1, need: masked };
    assert_eq!(
        refused(&|r| {
            r.ciphertexts.pop();
        }),
        count
    );
    for place in [0, masked / 2, masked - 1] {
        let fault = refused(&|r| r.ciphertexts[place].ciphertext[7] ^= 1);
        assert!(matches!(fault, RevealedRefused::Ciphertext(_)), "{fault}");
        let fault = refused(&|r| r.ciphertexts[place].confirmation[7] ^= 1);
        assert!(matches!(fault, RevealedRefused::Ciphertext(_)), "{fault}");
    }
    assert!(matches!(refused(&|r| r.ciphertexts.swap(0, 1)), RevealedRefused::Ciphertext(_)));
    let exchanged = refused(&|r| {
        let list = std::mem::take(&mut r.picks[1].1);
        r.picks[1].1 = std::mem::replace(&mut r.picks[2].1, list);
    });
    assert_eq!(exchanged, RevealedRefused::OtherGraph);
    let other_picks = refused(&|r| {
        let picker = r.picks[4].0;
        r.picks[4].1 = (0..24).filter(|i| *i != picker).take(9).collect();
    });
    assert_eq!(other_picks, RevealedRefused::OtherGraph);
}
