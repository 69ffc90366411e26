//! Noise in layers: what secure aggregation opens of them is turned into noise, and taken off a sum, here. Coordinator, auditing clients and whoever
//! checks evidence do the same arithmetic.
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use sottovoce_dp::{LayerError, LayerPlan, NOISE_CHUNK_WORDS};
use sottovoce_secagg::chunks::CHUNK_WORDS;
use sottovoce_secagg::{ChunkAuditor, LayerKey, SecureSum};
use sottovoce_types::{Digest, Lanes, LayerRule, NoiseMultiplier, NoiseRemoval, RingVec, Sha256Writer};

use crate::plan::RunPlan;

/// A chunk of a sum has a stream of noise of its own.
const _: () = assert!(NOISE_CHUNK_WORDS == CHUNK_WORDS);

/// What layers of noise are drawn by, the same in all attempts of a run. Its digest is under every context of secure aggregation, so that nobody can be
/// shown another law for the same attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LayerLaw {
    noise_multiplier_bits: u64,
    /// In decimal digits: more than a JSON number holds.
    squared_sensitivity: String,
    coordinates: u64,
}

impl LayerLaw {
    /// That of a plan; `None` where nothing is taken off.
    pub(crate) fn of(plan: &RunPlan) -> Option<Self> {
        let privacy = plan.spec().privacy.filter(|_| plan.spec().noise_removal == NoiseRemoval::Layers)?;
        Some(Self {
            noise_multiplier_bits: privacy.noise_multiplier.value().to_bits(),
            squared_sensitivity: plan.encode().squared_sensitivity().to_string(),
            coordinates: u64::try_from(plan.encode().coords()).expect("a length fits 64 bits"),
        })
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut w = Sha256Writer::new("sottovoce/1/noise/law");
        w.number(self.noise_multiplier_bits).field(self.squared_sensitivity.as_bytes()).number(self.coordinates);
        w.finish()
    }

    /// The standard deviations in an attempt; `None` for a law that no plan has.
    pub(crate) fn plan(&self, rule: LayerRule) -> Option<Result<LayerPlan, LayerError>> {
        let z = NoiseMultiplier::new(f64::from_bits(self.noise_multiplier_bits)).ok()?;
        Some(LayerPlan::new(z, self.squared_sensitivity.parse().ok()?, rule))
    }

    /// Takes the surplus off the words of a sum from chunk `first` on. `None` for a law that no plan has.
    pub(crate) fn take_off(
        &self,
        rule: Option<LayerRule>,
        surplus: &[LayerKey],
        (first, words): (usize, &mut [u64]),
        lanes: Lanes,
        workers: NonZeroUsize,
    ) -> Option<()> {
        let plan = self.plan(rule?)?.ok()?;
        let coords = usize::try_from(self.coordinates).ok()?;
        let mut chunks: Vec<_> = (first..).zip(words.chunks_mut(CHUNK_WORDS)).collect();
        let each = chunks.len().div_ceil(workers.get()).max(1);
        std::thread::scope(|scope| {
            for part in chunks.chunks_mut(each) {
                let plan = &plan;
                scope.spawn(move || {
                    for (chunk, words) in part {
                        for key in surplus {
                            plan.take_off(key.layer, key.bytes(), (*chunk, words), lanes, coords);
                        }
                    }
                });
            }
        });
        Some(())
    }
}

/// The sum that is published: without the surplus of the noise.
///
/// # Panics
/// When the sum is of another plan than this, which was checked for every set of dealers.
pub(crate) fn without_surplus(plan: &RunPlan, sum: &SecureSum) -> RingVec {
    let Some(law) = LayerLaw::of(plan) else { return sum.sum().clone() };
    let (mut words, lanes) = (sum.sum().words().to_vec(), sum.sum().lanes());
    let workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    law.take_off(sum.layer_rule(), sum.surplus(), (0, &mut words), lanes, workers).expect("the plan has this law");
    RingVec::from_words(words, lanes)
}

/// Chunk `index` of the sum that must have been published, from that chunk of every masked input. `None` for a law that no plan has.
pub(crate) fn audited_chunk<'a>(
    law: Option<&LayerLaw>,
    auditor: &ChunkAuditor,
    index: usize,
    inputs: impl IntoIterator<Item = &'a [u64]>,
    lanes: Lanes,
) -> Option<Vec<u64>> {
    let mut chunk = auditor.sum(index, inputs);
    if let Some(law) = law {
        law.take_off(auditor.layer_rule(), auditor.surplus(), (index, &mut chunk), lanes, NonZeroUsize::MIN)?;
    }
    Some(chunk)
}
