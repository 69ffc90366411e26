//! Sequences of faults against a small model: messages dropped, changed in a bit, doubled and reordered, clients that crash and
//! begin again. Whatever comes together, the sum is exact over whom the model says, or there is none; and no client opens twice.
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_secagg::*;
use sottovoce_types::ClientId;
use sottovoce_wire::{Decode, Encode};

use crate::driver::{Cohort, VALUES};

/// A message of the protocol, by who sends it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Advert,
    Roster,
    Shares,
    Envelopes,
    Input,
    Survivors,
    Signature,
    Quorum,
    Opening,
}

const STEPS: [Step; 9] = [
    Step::Advert,
    Step::Roster,
    Step::Shares,
    Step::Envelopes,
    Step::Input,
    Step::Survivors,
    Step::Signature,
    Step::Quorum,
    Step::Opening,
];

/// What happens to a message.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It never arrives.
    Drop,
    /// One bit is flipped on the way: of the byte at this place, modulo the length.
    Flip(usize, u8),
    /// It arrives twice.
    Twice,
    /// Its sender dies after it and begins again, with an advert of its own. Where the message is no advert, it is a drop of all
    /// that follows.
    Restart,
}

#[derive(Clone, Debug)]
struct Faults(BTreeMap<(Step, usize), Fault>);

impl Faults {
    fn at(&self, step: Step, client: usize) -> Option<Fault> {
        self.0.get(&(step, client)).copied()
    }

    /// Whether the model counts this client's part of a step as done.
    fn spares(&self, step: Step, client: usize) -> bool {
        !matches!(self.at(step, client), Some(Fault::Drop | Fault::Flip(..)))
    }

    /// Whose signature under its input is changed in the survivors that this client is shown; `None` where it is something else, or nothing.
    fn changed_input_signature(&self, client: usize, survivors: &[usize]) -> Option<usize> {
        let Some(Fault::Flip(byte, _)) = self.at(Step::Survivors, client) else { return None };
        // A length, and for each survivor position, root and signature.
        let place = (byte % (4 + 100 * survivors.len())).checked_sub(4)?;
        (place % 100 >= 36).then(|| survivors[place / 100])
    }

    /// Whether this client dies before a step.
    fn died_before(&self, step: Step, client: usize) -> bool {
        self.0.iter().any(|((at, who), f)| *who == client && *at < step && matches!(f, Fault::Restart))
    }
}

/// Which clients the model says are counted in each phase of the coordinator: adverts, shares, inputs, signatures, openings.
fn model(n: usize, faults: &Faults) -> [Vec<usize>; 5] {
    let mut alive: Vec<usize> = (0..n).collect();
    let phases: [&[Step]; 5] = [
        &[Step::Advert],
        &[Step::Roster, Step::Shares],
        &[Step::Envelopes, Step::Input],
        &[Step::Survivors, Step::Signature],
        &[Step::Quorum, Step::Opening],
    ];
    // Whose input came with a changed signature, by who was shown it: nothing to whoever sees that client's signature over ctx3.
    let mut doubts: BTreeMap<usize, usize> = BTreeMap::new();
    phases.map(|steps| {
        if steps.contains(&Step::Survivors) {
            let of_others = alive.iter().filter_map(|i| Some((*i, faults.changed_input_signature(*i, &alive)?)));
            doubts = of_others.collect();
        }
        let signed = alive.clone();
        alive.retain(|i| {
            let doubt = doubts.get(i);
            let unsure = steps.contains(&Step::Quorum) && doubt.is_some_and(|owner| !signed.contains(owner));
            let spared = |s: &Step| faults.spares(*s, *i) || (*s == Step::Survivors && doubt.is_some());
            !unsure && steps.iter().all(|s| spared(s) && !faults.died_before(*s, *i))
        });
        alive.clone()
    })
}

/// What arrives of a message: nothing, the message, or something else.
fn carry<M: Encode + Decode<MessageCtx> + Clone + PartialEq>(
    cohort: &Cohort,
    fault: Option<Fault>,
    message: &M,
) -> Option<M> {
    match fault {
        Some(Fault::Drop) => None,
        Some(Fault::Flip(byte, bit)) => {
            let mut bytes = message.to_bytes();
            let place = byte % bytes.len();
            bytes[place] ^= 1 << (bit % 8);
            let changed = M::decode_exact(&cohort.session.message_ctx().unwrap(), &bytes).ok()?;
            assert!(changed != *message, "two encodings of one message");
            Some(changed)
        }
        _ => Some(message.clone()),
    }
}

/// Takes what arrived at the coordinator, in whatever order; says who was counted.
struct Arrivals<'a> {
    cohort: &'a Cohort,
    faults: &'a Faults,
    order: ChaCha20Rng,
}

impl Arrivals<'_> {
    fn take<M: Encode + Decode<MessageCtx> + Clone + PartialEq>(
        &mut self,
        step: Step,
        sent: Vec<(usize, M)>,
        mut give: impl FnMut(ClientId, M) -> Result<(), PeerFault>,
    ) -> BTreeSet<usize> {
        let mut sent = sent;
        for k in (1..sent.len()).rev() {
            let other = usize::try_from(self.order.next_u64() % (k as u64 + 1)).unwrap();
            sent.swap(k, other);
        }
        let mut counted = BTreeSet::new();
        for (i, message) in sent {
            let (fault, id) = (self.faults.at(step, i), self.cohort.id(i));
            let Some(arrived) = carry(self.cohort, fault, &message) else { continue };
            let flipped = matches!(fault, Some(Fault::Flip(..)));
            match give(id, arrived.clone()) {
                Ok(()) => {
                    assert!(!flipped, "{step:?} of client {i}: a changed message was taken");
                    counted.insert(i);
                }
                Err(e) => assert_eq!(e.client(), id, "{step:?}: another client was blamed"),
            }
            if matches!(fault, Some(Fault::Twice)) {
                let again = give(id, arrived);
                assert_eq!(again, Err(PeerFault::Repeated { client: id }), "{step:?} twice");
            }
        }
        counted
    }
}

/// One attempt under faults. What came of it, and how many openings left each client.
#[allow(clippy::too_many_lines, reason = "nine steps, one after the other")]
fn attempt(cohort: &mut Cohort, faults: &Faults, seed: u64) -> (Option<SecureSum>, BTreeMap<usize, u32>) {
    let mut rng = ChaCha20Rng::from_rng(&mut cohort.rng);
    let cohort = &*cohort;
    let mut opened = BTreeMap::new();
    let mut arrivals = Arrivals { cohort, faults, order: ChaCha20Rng::seed_from_u64(seed) };

    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let mut states = BTreeMap::new();
    let mut sent = Vec::new();
    let mut begun_again = Vec::new();
    for i in 0..cohort.n() {
        let (state, message) = Advertised::start(cohort.session.clone(), &cohort.sites[i], &mut rng).unwrap();
        states.insert(i, state);
        sent.push((i, message));
        if let Some(Fault::Restart) = faults.at(Step::Advert, i) {
            // It does not remember the first; both are on their way.
            let (state, second) = Advertised::start(cohort.session.clone(), &cohort.sites[i], &mut rng).unwrap();
            states.insert(i, state);
            begun_again.push((i, second));
        }
    }
    let counted = arrivals.take(Step::Advert, sent, |id, m| server.advert(id, m));
    for (i, second) in begun_again {
        let client = cohort.id(i);
        assert_eq!(server.advert(client, second), Err(PeerFault::Repeated { client }));
    }
    let Ok((server, roster)) = server.close(&cohort.coordinator) else { return (None, opened) };
    let mut server = server.complete().unwrap();

    let mut shared = BTreeMap::new();
    let mut sent = Vec::new();
    for (i, state) in states.into_iter().filter(|(i, _)| counted.contains(i)) {
        let Some(arrived) = carry(cohort, faults.at(Step::Roster, i), &roster) else { continue };
        let Ok(on_roster) = state.roster(arrived, &cohort.sites[i], &mut rng) else { continue };
        let (state, message) = on_roster.complete().unwrap();
        shared.insert(i, state);
        if !faults.died_before(Step::Shares, i) {
            sent.push((i, message));
        }
    }
    let counted = arrivals.take(Step::Shares, sent, |id, m| server.shares(id, m));
    let Ok((mut server, envelopes)) = server.close() else { return (None, opened) };
    let envelopes: BTreeMap<_, _> = envelopes.into_iter().collect();

    let mut submitted = BTreeMap::new();
    let mut sent = Vec::new();
    for (i, state) in shared.into_iter().filter(|(i, _)| counted.contains(i)) {
        let Some(arrived) = carry(cohort, faults.at(Step::Envelopes, i), &envelopes[&cohort.id(i)]) else { continue };
        let Ok(state) = state.envelopes(arrived) else { continue };
        let (state, message) = state.submit(cohort.pack(&cohort.input(i)), &cohort.sites[i]).unwrap();
        submitted.insert(i, state);
        if !faults.died_before(Step::Input, i) {
            sent.push((i, message));
        }
    }
    let counted = arrivals.take(Step::Input, sent, |id, m| server.input(id, m).map(|_| ()));
    let Ok((mut server, survivors)) = server.close() else { return (None, opened) };

    let mut consistent = BTreeMap::new();
    let mut sent = Vec::new();
    for (i, state) in submitted.into_iter().filter(|(i, _)| counted.contains(i)) {
        let Some(arrived) = carry(cohort, faults.at(Step::Survivors, i), &survivors) else { continue };
        let Ok((state, message)) = state.survivors(arrived, &cohort.sites[i]) else { continue };
        consistent.insert(i, state);
        if !faults.died_before(Step::Signature, i) {
            sent.push((i, message));
        }
    }
    let counted = arrivals.take(Step::Signature, sent, |id, m| server.signature(id, m));
    let agreed = server.ctx3();
    let Ok((mut server, quorum)) = server.close() else { return (None, opened) };

    let mut sent = Vec::new();
    // All that signed anything are shown the quorum, also those whose signature was not taken: they must not open.
    for (i, state) in consistent {
        let Some(arrived) = carry(cohort, faults.at(Step::Quorum, i), &quorum) else { continue };
        let same_set = state.ctx3() == agreed;
        let Ok(message) = state.quorum(arrived, &cohort.sites[i]) else { continue };
        assert!(same_set, "client {i} opened another set than the coordinator's");
        *opened.entry(i).or_default() += 1;
        if counted.contains(&i) && !faults.died_before(Step::Opening, i) {
            sent.push((i, message));
        }
    }
    arrivals.take(Step::Opening, sent, |id, m| server.opening(id, m));
    (server.close().ok(), opened)
}

fn check(n: usize, f: u32, faults: &Faults, seed: u64) {
    let mut cohort = Cohort::seeded(n, f, seed);
    let reached = model(n, faults);
    let (sum, opened) = attempt(&mut cohort, faults, seed);
    let roster = reached[0].len() as u32;
    let q = quorum(roster, f) as usize;
    let feasible = roster >= 2 && honest_floor(roster, f) >= 2;
    let expected = feasible && reached[1..].iter().all(|counted| counted.len() >= q);
    match sum {
        Some(sum) => {
            assert!(expected, "a sum where the model has none");
            let contributors: Vec<_> = reached[2].iter().map(|i| cohort.id(*i)).collect();
            assert_eq!(sum.contributors(), contributors);
            assert_eq!(sum.sum().unpack(VALUES), cohort.plain_sum(reached[2].iter().copied()));
        }
        None => assert!(!expected, "no sum where the model has one: {reached:?}"),
    }
    assert!(opened.values().all(|count| *count == 1), "a client opened twice: {opened:?}");
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::Drop),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(byte, bit)| Fault::Flip(byte, bit)),
        2 => Just(Fault::Twice),
        1 => Just(Fault::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Up to six faults anywhere; a failure shrinks to the few that matter.
    #[test]
    fn any_sequence_of_faults_gives_the_exact_sum_or_none_and_one_opening_at_most(
        n in 3usize..8, f in 0u32..3, seed: u64,
        faults in prop::collection::vec(((0usize..9).prop_map(|k| STEPS[k]), 0usize..8, fault()), 0..6),
    ) {
        let faults = faults.into_iter().filter(|(_, client, _)| *client < n);
        check(n, f, &Faults(faults.map(|(step, client, fault)| ((step, client), fault)).collect()), seed);
    }
}

/// Each fault by itself, at each step of one client, with nobody and with somebody to spare.
#[test]
fn each_single_fault_at_each_step_gives_the_exact_sum_or_none() {
    for (n, f) in [(3, 1), (5, 1)] {
        for step in STEPS {
            for fault in [Fault::Drop, Fault::Flip(0, 0), Fault::Flip(usize::MAX, 7), Fault::Twice, Fault::Restart] {
                check(n, f, &Faults([((step, 1), fault)].into()), 3);
            }
        }
    }
}
