//! An honest round in memory, stage by stage; every message passes through its encoding and its size limit.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sottovoce_secagg::graph::{Adversary, Degrees, MaskGraph, SparseTerms};
use sottovoce_secagg::*;
use sottovoce_types::{ClientId, Digest, Lanes, RingVec};
use sottovoce_wire::{Decode, Encode, Kind, Limits};

/// A coordinator, its clients in roster order, and the session that all of them agree on.
pub(crate) struct Cohort {
    pub(crate) coordinator: Identity,
    pub(crate) sites: Vec<Identity>,
    pub(crate) session: Session,
    pub(crate) rng: ChaCha20Rng,
    /// Of the session, solved for once.
    degrees: std::cell::OnceCell<Degrees>,
    /// The keys of all layers of noise that [`noised`] added.
    pub(crate) layer_keys: std::cell::RefCell<Vec<LayerKey>>,
}

/// What stands for the noise of a layer in these tests: words that follow from its key.
pub(crate) fn stand_in(key: &LayerKey, words: usize) -> Vec<u64> {
    let mut words = vec![0u64; words];
    let mut rng = ChaCha20Rng::from_seed(*key.bytes());
    for word in &mut words {
        *word = rand_core::Rng::next_u64(&mut rng);
    }
    words
}

/// An input with the noise of its layers, where the session has them.
pub(crate) fn noised(cohort: &Cohort, state: &Masking, mut input: RingVec) -> RingVec {
    for key in state.layer_keys() {
        let noise = stand_in(&key, input.words().len());
        input.words_mut().iter_mut().zip(noise).for_each(|(word, noise)| *word = word.wrapping_add(noise));
        cohort.layer_keys.borrow_mut().push(key);
    }
    input
}

/// Inputs of three words of two lanes unless a test says otherwise.
pub(crate) const WORDS: usize = 3;
pub(crate) const VALUES: usize = 6;

impl Cohort {
    /// n clients, f of them possibly corrupt, n_min as low as the protocol allows.
    pub(crate) fn new(n: usize, f: u32) -> Self {
        Self::seeded(n, f, 1)
    }

    pub(crate) fn seeded(n: usize, f: u32, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let coordinator = Identity::generate(&mut rng);
        let mut sites: Vec<Identity> = (0..n).map(|_| Identity::generate(&mut rng)).collect();
        sites.sort_by_key(Identity::client_id);
        let session = Session {
            cfg: Digest::of(b"configuration"),
            coordinator: coordinator.public_key(),
            members: Arc::new(sites.iter().map(|s| (s.client_id(), s.public_key())).collect::<BTreeMap<_, _>>()),
            n_min: 2,
            max_corrupt: f,
            lanes: Lanes::new(2).unwrap(),
            words: WORDS,
            graph: MaskGraph::Complete,
            suite: MaskSuite::Aes256Ctr,
            key_agreement: KeyAgreement::X25519,
            layers: None,
            allow_plain: false,
        };
        Self {
            coordinator,
            sites,
            session,
            rng,
            degrees: std::cell::OnceCell::new(),
            layer_keys: std::cell::RefCell::default(),
        }
    }

    /// The same on a graph of picks that withstands f corrupt clients and this share of dropouts, all but `fewer` of the clients
    /// being on the roster at least.
    pub(crate) fn sparse(n: usize, f: u32, max_dropout: f64, fewer: usize) -> Self {
        let mut cohort = Self::new(n, f);
        cohort.session.n_min = (n - fewer) as u32;
        cohort.session.graph = MaskGraph::Sparse(SparseTerms { max_dropout, adversary: Adversary::Malicious });
        cohort
    }

    /// The same clients on another course of random numbers.
    pub(crate) fn reseeded(mut self, seed: u64, of: &Self) -> Self {
        self.coordinator = Identity::from_seed(*of.coordinator.seed());
        self.sites = of.sites.iter().map(|s| Identity::from_seed(*s.seed())).collect();
        self.session = of.session.clone();
        self.rng = ChaCha20Rng::seed_from_u64(seed);
        self
    }

    pub(crate) fn plain(mut self) -> Self {
        self.session.suite = MaskSuite::None;
        self.session.allow_plain = true;
        self
    }

    pub(crate) fn hybrid(mut self) -> Self {
        self.session.key_agreement = KeyAgreement::X25519MlKem768;
        self
    }

    /// With noise in layers.
    pub(crate) fn layered(mut self) -> Self {
        self.session.layers = Some(Digest::of(b"the law of the layers"));
        self
    }

    pub(crate) fn n(&self) -> usize {
        self.sites.len()
    }

    pub(crate) fn q(&self) -> usize {
        quorum(self.n() as u32, self.session.max_corrupt) as usize
    }

    pub(crate) fn id(&self, i: usize) -> ClientId {
        self.sites[i].client_id()
    }

    /// Sends a message through its encoding, within the limit of its kind.
    pub(crate) fn pass<M: Encode + Decode<MessageCtx> + PartialEq>(&self, kind: Kind, message: &M) -> M {
        let bytes = message.to_bytes();
        let degrees = *self.degrees.get_or_init(|| self.session.message_ctx().unwrap().degrees);
        let hybrid = self.session.key_agreement.is_hybrid();
        let layers = self.session.layer_count();
        let ctx = MessageCtx { n: self.n(), words: self.session.words, degrees, hybrid, layers };
        let limits = Limits::new(self.n(), self.session.words).with_kem(hybrid).with_layers(layers);
        let limit = limits.with_degrees(degrees.picks, degrees.holders, degrees.dealers).max_body(kind);
        assert!(bytes.len() <= limit, "{kind:?}: {} bytes, limit {limit}", bytes.len());
        let back = M::decode_exact(&ctx, &bytes).unwrap();
        assert!(back == *message, "{kind:?} does not round-trip");
        back
    }

    /// The input of client i when a test does not care: values that tell clients and coordinates apart.
    #[expect(clippy::unused_self, reason = "reads as the input of one of this cohort")]
    pub(crate) fn input(&self, i: usize) -> Vec<i64> {
        (0..VALUES as i64).map(|k| (i as i64 + 1) * 100 + k * if k % 2 == 0 { 1 } else { -7 }).collect()
    }

    /// The plain sum over these clients.
    pub(crate) fn plain_sum(&self, clients: impl IntoIterator<Item = usize>) -> Vec<i64> {
        clients
            .into_iter()
            .map(|i| self.input(i))
            .fold(vec![0; VALUES], |sum, x| sum.iter().zip(x).map(|(a, b)| a + b).collect())
    }

    pub(crate) fn pack(&self, values: &[i64]) -> RingVec {
        RingVec::pack(values, self.session.lanes).unwrap()
    }

    // Honest stages, nobody dropping: where a test begins.

    pub(crate) fn until_roster(&mut self) -> (Vec<Advertised>, CollectingShares, RosterMsg) {
        let mut server = CollectingAdverts::new(self.session.clone(), &self.coordinator);
        let mut states = Vec::new();
        for site in &self.sites {
            let (state, message) = Advertised::start(self.session.clone(), site, &mut self.rng).unwrap();
            server.advert(site.client_id(), message).unwrap();
            states.push(state);
        }
        let (server, roster) = server.close(&self.coordinator).unwrap();
        (states, server.complete().unwrap(), roster)
    }

    pub(crate) fn until_envelopes(&mut self) -> (Vec<Shared>, CollectingInputs, Vec<EnvelopesMsg>) {
        let (states, mut server, roster) = self.until_roster();
        let mut shared = Vec::new();
        for (site, state) in self.sites.iter().zip(states) {
            let (state, message) = state.roster(roster.clone(), site, &mut self.rng).unwrap().complete().unwrap();
            server.shares(site.client_id(), message).unwrap();
            shared.push(state);
        }
        let (server, envelopes) = server.close().unwrap();
        (shared, server, envelopes.into_iter().map(|(_, m)| m).collect())
    }

    pub(crate) fn until_masking(&mut self) -> (Vec<Masking>, CollectingInputs) {
        let (states, server, envelopes) = self.until_envelopes();
        (states.into_iter().zip(envelopes).map(|(s, m)| s.envelopes(m).unwrap()).collect(), server)
    }

    /// All submit, but only those in `arrived` reach the coordinator.
    pub(crate) fn until_survivors(
        &mut self,
        arrived: &[usize],
    ) -> (Vec<Submitted>, CollectingSignatures, SurvivorsMsg) {
        let (states, mut server) = self.until_masking();
        let mut submitted = Vec::new();
        for (i, state) in states.into_iter().enumerate() {
            let input = noised(self, &state, self.pack(&self.input(i)));
            let (state, message) = state.submit(input, &self.sites[i]).unwrap();
            if arrived.contains(&i) {
                server.input(self.id(i), message).unwrap();
            }
            submitted.push(state);
        }
        let (server, message) = server.close().unwrap();
        (submitted, server, message)
    }

    /// States of those in `arrived`, in order.
    pub(crate) fn until_quorum(
        &mut self,
        arrived: &[usize],
    ) -> (Vec<Consistent>, CollectingOpenings, SurvivorQuorumMsg) {
        let (states, mut server, message) = self.until_survivors(arrived);
        let mut consistent = Vec::new();
        for (i, state) in states.into_iter().enumerate().filter(|(i, _)| arrived.contains(i)) {
            let (state, signature) = state.survivors(message.clone(), &self.sites[i]).unwrap();
            server.signature(self.id(i), signature).unwrap();
            consistent.push(state);
        }
        let (server, quorum) = server.close().unwrap();
        (consistent, server, quorum)
    }
}

/// The phase in which each client falls silent: it does not send the message of that phase nor any later one.
#[derive(Clone, Default, Debug)]
pub(crate) struct Drops {
    pub(crate) adverts: BTreeSet<usize>,
    /// On a sparse graph.
    pub(crate) picks: BTreeSet<usize>,
    pub(crate) shares: BTreeSet<usize>,
    pub(crate) inputs: BTreeSet<usize>,
    pub(crate) signatures: BTreeSet<usize>,
    pub(crate) openings: BTreeSet<usize>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful in tests")]
pub(crate) enum Outcome {
    Sum(SecureSum),
    Lost(QuorumLost),
    /// The graph ends the attempt before anything is revealed.
    Graph(GraphRefused),
    Failed(OpenFailed),
}

/// Why a round has no sum.
enum NoSum {
    Lost(QuorumLost),
    Graph(GraphRefused),
    Failed(OpenFailed),
}

impl From<CloseFailed> for NoSum {
    fn from(failed: CloseFailed) -> Self {
        match failed {
            CloseFailed::Lost(lost) => Self::Lost(lost),
            CloseFailed::Graph(refused) => Self::Graph(refused),
        }
    }
}

/// A whole round in which clients only ever fall silent.
pub(crate) fn run_round(cohort: &mut Cohort, inputs: &[RingVec], drops: &Drops) -> Outcome {
    match sum_of_round(cohort, inputs, drops) {
        Ok(sum) => Outcome::Sum(sum),
        Err(NoSum::Lost(lost)) => Outcome::Lost(lost),
        Err(NoSum::Graph(refused)) => Outcome::Graph(refused),
        Err(NoSum::Failed(failed)) => Outcome::Failed(failed),
    }
}

fn sum_of_round(cohort: &mut Cohort, inputs: &[RingVec], drops: &Drops) -> Result<SecureSum, NoSum> {
    let mut rng = ChaCha20Rng::from_rng(&mut cohort.rng);
    let cohort = &*cohort;
    let alive = |i: &usize, gone: &[&BTreeSet<usize>]| gone.iter().all(|set| !set.contains(i));
    let lost = NoSum::Lost;

    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let mut advertised = BTreeMap::new();
    for i in (0..cohort.n()).filter(|i| alive(i, &[&drops.adverts])) {
        let (state, message) = Advertised::start(cohort.session.clone(), &cohort.sites[i], &mut rng).unwrap();
        server.advert(cohort.id(i), cohort.pass(Kind::Advert, &message)).unwrap();
        advertised.insert(i, state);
    }
    let (server, roster) = server.close(&cohort.coordinator)?;

    let mut shared = BTreeMap::new();
    let mut picked = BTreeMap::new();
    let server = match server {
        AfterAdverts::Shares(mut server) => {
            for (i, state) in advertised.into_iter().filter(|(i, _)| alive(i, &[&drops.shares])) {
                let roster = cohort.pass(Kind::Roster, &roster);
                let on_roster = state.roster(roster, &cohort.sites[i], &mut rng).unwrap();
                let (state, message) = on_roster.complete().unwrap();
                server.shares(cohort.id(i), cohort.pass(Kind::Shares, &message)).unwrap();
                shared.insert(i, state);
            }
            *server
        }
        AfterAdverts::Picks(mut server) => {
            // n clients of one process: what does not depend on who checks is checked once.
            let roster = CheckedRoster::new(cohort.session.clone(), &cohort.pass(Kind::Roster, &roster)).unwrap();
            for (i, state) in advertised.into_iter().filter(|(i, _)| alive(i, &[&drops.picks])) {
                let (state, message) = state.on_roster(&roster, &cohort.sites[i], &mut rng).unwrap().sparse().unwrap();
                server.picks(cohort.id(i), cohort.pass(Kind::Picks, &message)).unwrap();
                picked.insert(i, state);
            }
            let (mut server, graph) = server.close()?;
            let graph = cohort.pass(Kind::Graph, &graph);
            let checked = picked.values().next().unwrap().check(&graph).unwrap();
            for (i, state) in picked.into_iter().filter(|(i, _)| alive(i, &[&drops.shares])) {
                let (state, message) = state.on_graph(&checked, &cohort.sites[i], &mut rng).unwrap();
                server.shares(cohort.id(i), cohort.pass(Kind::Shares, &message)).unwrap();
                shared.insert(i, state);
            }
            server
        }
    };
    let (mut server, envelopes) = server.close().map_err(lost)?;
    let envelopes: BTreeMap<_, _> = envelopes.into_iter().collect();

    let mut submitted = BTreeMap::new();
    // Whoever was left without t live picks gets no envelopes: it cannot go on.
    let dealt = |i: &usize| envelopes.contains_key(&cohort.id(*i));
    for (i, state) in shared.into_iter().filter(|(i, _)| alive(i, &[&drops.inputs]) && dealt(i)) {
        let state = state.envelopes(cohort.pass(Kind::Envelopes, &envelopes[&cohort.id(i)])).unwrap();
        let input = noised(cohort, &state, inputs[i].clone());
        let (state, message) = state.submit(input, &cohort.sites[i]).unwrap();
        server.input(cohort.id(i), cohort.pass(Kind::MaskedInput, &message)).unwrap();
        submitted.insert(i, state);
    }
    let (mut server, survivors) = server.close()?;

    let mut consistent = BTreeMap::new();
    for (i, state) in submitted.into_iter().filter(|(i, _)| alive(i, &[&drops.signatures])) {
        let message = cohort.pass(Kind::Survivors, &survivors);
        let (state, message) = state.survivors(message, &cohort.sites[i]).unwrap();
        assert_eq!(state.ctx3(), server.ctx3());
        server.signature(cohort.id(i), cohort.pass(Kind::SurvivorSignature, &message)).unwrap();
        consistent.insert(i, state);
    }
    let (mut server, quorum) = server.close().map_err(lost)?;

    let quorum = cohort.pass(Kind::SurvivorQuorum, &quorum);
    let checked = consistent.values().next().unwrap().check(&quorum).unwrap();
    for (i, state) in consistent.into_iter().filter(|(i, _)| alive(i, &[&drops.openings])) {
        let message = state.on_quorum(checked, &cohort.sites[i]).unwrap();
        server.opening(cohort.id(i), cohort.pass(Kind::Opening, &message)).unwrap();
    }
    let ready = server.ready();
    let outcome = server.close();
    assert_eq!(ready, outcome.is_ok(), "ready() says whether honest openings suffice");
    outcome.map_err(NoSum::Failed)
}
