//! Label-profile inference by the coordinator, on real training, real encoding and real masked inputs.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss, missing_docs, reason = "tests")]
use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sottovoce_attack::label_profile::{
    InferSpec, LabelProfileScores, MeanPrediction, ObserveSpec, Profiles, Role, Scale, infer_from_view,
    last_layer_bias, score,
};
use sottovoce_dp::{NonPrivateAcknowledged, Private};
use sottovoce_encode::{Clipped, EncodePlan, EncodeSpec, Extra, SiteSum};
use sottovoce_secagg::graph::MaskGraph;
use sottovoce_secagg::{Advertised, CollectingAdverts, Identity, MaskSuite, Session};
use sottovoce_train::{Device, Trainer};
use sottovoce_transcript::{MemoryTap, Party, Tap as _};
use sottovoce_types::{
    AttemptId, ClientId, ClipNorm, Digest, ExampleMeta, Examples, FlatParams, Lanes, LocalOptimiser, ModelSpec,
    RingVec, Rotation, RoundId, RunId, Tick, TrainJob,
};
use sottovoce_wire::{Encode as _, Frame, Kind};

const CLIENTS: u8 = 10;
const CLASSES: u16 = 4;
const WIDTH: usize = 6;
const ROUNDS: u64 = 3;

/// Clips of one speaker with one dominant emotion, and their true profile.
fn site(rng: &mut ChaCha20Rng, speaker: u8) -> (Examples, Vec<f64>) {
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let mut data = Examples::empty(WIDTH);
    let mut counts = vec![0.0; usize::from(CLASSES)];
    let dominant = u16::from(speaker) % CLASSES;
    let share = 0.35 + 0.4 * uniform();
    for clip in 0..24 {
        let other = (uniform() * f64::from(CLASSES)) as u16 % CLASSES;
        let label = if uniform() < share { dominant } else { other };
        counts[usize::from(label)] += 1.0 / 24.0;
        // A weak signal: the label shifts one coordinate by one standard deviation of the uniform noise.
        let x: Vec<f32> =
            (0..WIDTH).map(|j| (uniform() - 0.5 + if j == usize::from(label) { 0.3 } else { 0.0 }) as f32).collect();
        data.push(
            &x,
            label,
            ExampleMeta { path: format!("{clip}"), speaker: format!("{speaker}"), sex: None, group: None },
        );
    }
    (data, counts)
}

struct Federation {
    coordinator: Identity,
    identities: Vec<Identity>,
    sites: Vec<Examples>,
    truth: Profiles,
    plan: EncodePlan,
    trainer: Trainer,
}

impl Federation {
    fn new(clip: f64) -> Self {
        Self::rotating(clip, Rotation::None)
    }

    fn rotating(clip: f64, rotation: Rotation) -> Self {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let coordinator = Identity::from_seed([99; 32]);
        let identities: Vec<Identity> = (1..=CLIENTS).map(|i| Identity::from_seed([i; 32])).collect();
        let (sites, profiles): (Vec<_>, Vec<_>) = (0..CLIENTS).map(|i| site(&mut rng, i)).unzip();
        let truth = identities.iter().map(Identity::client_id).zip(profiles).collect();
        let spec = ModelSpec::Dnn { inputs: WIDTH, hidden: vec![8], classes: usize::from(CLASSES) };
        let plan = EncodePlan::new(EncodeSpec {
            dim: spec.layout().len(),
            clip: ClipNorm::new(clip).unwrap(),
            clip_bits: 16,
            lanes: Lanes::new(2).unwrap(),
            max_units: u64::from(CLIENTS),
            extra: Extra::None,
            rotation,
            noise_tail: 0,
        })
        .unwrap();
        let trainer = Trainer::new(spec, Device::Cpu).unwrap();
        Self { coordinator, identities, sites, truth, plan, trainer }
    }

    fn session(&self, suite: MaskSuite) -> Session {
        Session {
            cfg: Digest::of(b"label profile"),
            coordinator: self.coordinator.public_key(),
            members: Arc::new(self.identities.iter().map(|i| (i.client_id(), i.public_key())).collect()),
            n_min: 3,
            max_corrupt: 0,
            lanes: self.plan.lanes(),
            words: self.plan.words(),
            graph: MaskGraph::Complete,
            suite,
            allow_plain: suite == MaskSuite::None,
        }
    }

    /// Every client's plain input to a round: trained, clipped, quantised, packed; no noise, so that masks alone protect.
    fn inputs(&self, global: &FlatParams, round: u64) -> Vec<RingVec> {
        let job = TrainJob {
            epochs: 2,
            batch: 8,
            learning_rate: 0.1,
            momentum: 0.0,
            weight_decay: 0.0,
            proximal_mu: 0.0,
            optimiser: LocalOptimiser::Sgd,
            seed: round,
            ..TrainJob::default()
        };
        let one = |data: &Examples| {
            let update = self.trainer.train(global, data, &job).unwrap();
            let plan = self.plan.in_round(round);
            let mut sum = SiteSum::empty(&plan);
            sum.add(Clipped::new(&update, plan.spec().clip).unwrap().quantise(&plan).unwrap()).unwrap();
            let acknowledged = NonPrivateAcknowledged::i_understand_that_this_run_is_not_private();
            Private::without_noise(sum, &plan, acknowledged).unwrap().into_ring()
        };
        self.sites.iter().map(one).collect()
    }

    /// The protocol up to the masked inputs, as the coordinator sees them.
    fn masked_inputs(&self, inputs: &[RingVec], suite: MaskSuite, round: u64) -> Vec<(ClientId, Vec<u8>)> {
        let mut rng = ChaCha20Rng::seed_from_u64(round);
        let mut adverts = CollectingAdverts::new(self.session(suite), &self.coordinator);
        let mut advertised = Vec::new();
        for id in &self.identities {
            let (state, message) = Advertised::start(self.session(suite), id, &mut rng).unwrap();
            adverts.advert(id.client_id(), message).unwrap();
            advertised.push(state);
        }
        let (shares, roster) = adverts.close(&self.coordinator).unwrap();
        let mut shares = shares.complete().unwrap();
        let mut sharing = Vec::new();
        for (id, state) in self.identities.iter().zip(advertised) {
            let (state, message) = state.roster(roster.clone(), id, &mut rng).unwrap().complete().unwrap();
            shares.shares(id.client_id(), message).unwrap();
            sharing.push(state);
        }
        let (mut collecting, envelopes) = shares.close().unwrap();
        let mut envelopes: BTreeMap<_, _> = envelopes.into_iter().collect();
        let mut out = Vec::new();
        for ((id, state), input) in self.identities.iter().zip(sharing).zip(inputs) {
            let masking = state.envelopes(envelopes.remove(&id.client_id()).unwrap()).unwrap();
            let (_, message) = masking.submit(input.clone(), id).unwrap();
            out.push((id.client_id(), message.to_bytes()));
            collecting.input(id.client_id(), message).unwrap();
        }
        out
    }

    /// A run of a few rounds; the attack reads the coordinator's view of it.
    fn attack(&self, suite: MaskSuite, role: Role) -> LabelProfileScores {
        let mut tap = MemoryTap::new();
        let mut global = self.trainer.spec().initialise(5);
        for round in 1..=ROUNDS {
            let inputs = self.inputs(&global, round);
            for (client, body) in self.masked_inputs(&inputs, suite, round) {
                let frame = Frame {
                    kind: Kind::MaskedInput,
                    run: RunId([1; 16]),
                    round: RoundId(round),
                    attempt: AttemptId(1),
                    body: body.into(),
                };
                tap.record(Tick(round), Party::Client(client), Party::Coordinator, &frame);
            }
            let mut sum = RingVec::zeros(self.plan.words(), self.plan.lanes());
            for input in &inputs {
                sum.add(input);
            }
            let mean = self.plan.in_round(round).decode(&sum, f64::from(CLIENTS));
            for (theta, step) in global.values_mut().iter_mut().zip(mean) {
                *theta += step;
            }
        }
        let layout = self.trainer.spec().layout();
        let session = self.session(suite);
        let seen = ObserveSpec {
            encode: self.plan,
            message: session.message_ctx().unwrap(),
            bias: last_layer_bias(&layout).unwrap(),
            units: BTreeMap::new(),
        };
        let infer = InferSpec {
            classes: usize::from(CLASSES),
            scale: Scale::Unknown,
            mean_prediction: MeanPrediction::Uniform,
        };
        let guesses = infer_from_view(&tap.transcript().coordinator(), &seen, &infer).unwrap();
        score(&guesses, &self.truth, role, 1).unwrap()
    }
}

#[test]
fn claim_coordinator_learns_no_label_profile_with_masks() {
    let found = Federation::new(1.0).attack(MaskSuite::Aes256Ctr, Role::Attack);
    let ci95 = found.correlation.ci95;
    assert!(ci95.low <= 0.0 && 0.0 <= ci95.high, "{found:?}");
    assert!(found.p_value > 0.01, "{found:?}");
    // Naming the dominant emotion does no better than always naming the most common one.
    assert!(found.top1.ci95.low <= found.top1.chance, "{found:?}");
}

#[test]
fn label_profile_wins_without_masks() {
    let found = Federation::new(1.0).attack(MaskSuite::None, Role::ControlWithoutMasks);
    assert!(found.correlation.ci95.low > 0.5 && found.p_value < 0.005, "{found:?}");
    assert!(found.top1.ci95.low > found.top1.chance, "{found:?}");
    assert_eq!(found.correlation.control_of.as_deref(), Some("label-profile"));
}

#[test]
fn a_rotation_hides_nothing_from_who_knows_its_public_signs() {
    let found = Federation::rotating(1.0, Rotation::Hadamard).attack(MaskSuite::None, Role::ControlWithoutMasks);
    assert!(found.correlation.ci95.low > 0.5 && found.p_value < 0.005, "{found:?}");
}

#[test]
fn clipping_alone_does_not_hide_the_label_profile() {
    let found = Federation::new(0.05).attack(MaskSuite::None, Role::ControlWithoutMasks);
    assert!(found.correlation.ci95.low > 0.5 && found.p_value < 0.005, "{found:?}");
}
