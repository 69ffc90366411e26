//! The masked inputs behind the published sums, as far as they are there: each is the one that its owner signed, and what is left of them
//! without their masks is the sum.
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sottovoce_round::{AuditReply, ModelChain, RoundResult, RunPlan, ShownChunk};
use sottovoce_secagg::MaskedInputMsg;
use sottovoce_secagg::chunks::{ChunkTree, Owner, chunk_range};
use sottovoce_store::{read_kept_chunk, read_kept_round};
use sottovoce_transcript::{Party, ReleasedFrame, Transcript};
use sottovoce_types::{AttemptId, ClientId, RoundId};
use sottovoce_wire::{Decode as _, Encode as _, Frame, Kind};

/// How much was looked at.
#[derive(Default)]
pub(super) struct Tally {
    rounds: usize,
    inputs: usize,
    recomputed: usize,
}

impl Tally {
    /// In words, of so many rounds.
    pub(super) fn describe(&self, of: u64) -> String {
        if self.rounds == 0 {
            return format!(
                "none of the {of} rounds' are kept (training with aggregation.audit_chunks = 0 keeps none)"
            );
        }
        format!(
            "{} masked inputs of {} of {of} rounds are those that their owners signed; {} sums were computed again from them",
            self.inputs, self.rounds, self.recomputed
        )
    }
}

/// Those that a coordinator's state keeps of the round that the chain has just got.
pub(super) fn kept(state: &Path, chain: &ModelChain, round: RoundId, result: &[u8], tally: &mut Tally) -> Result<()> {
    let at = || format!("round {}", round.0);
    let Some(kept) = read_kept_round(state, round).with_context(at)? else { return Ok(()) };
    let mut refused = None;
    let chunk = |client: ClientId, index: u32| match read_kept_chunk(state, (round, kept.attempt), client, index) {
        Ok(found) => found,
        Err(error) => {
            refused = Some(error);
            None
        }
    };
    let inputs = chain.recompute_last(result, &kept.openings, chunk);
    if let Some(error) = refused {
        return Err(error).with_context(at);
    }
    tally.inputs += inputs.with_context(at)?;
    tally.rounds += 1;
    tally.recomputed += 1;
    Ok(())
}

/// The frames of a transcript that inputs and openings are in, by what they are of.
pub(super) struct Recorded<'a> {
    inputs: BTreeMap<(RoundId, AttemptId, ClientId), &'a Frame>,
    /// The encoding of what opened the sum of a round, where somebody audited it.
    openings: BTreeMap<RoundId, Vec<u8>>,
}

impl<'a> Recorded<'a> {
    pub(super) fn of(transcript: &'a Transcript, plan: &RunPlan) -> Self {
        let (mut inputs, mut openings) = (BTreeMap::new(), BTreeMap::new());
        for record in transcript.coordinator().records() {
            let frame = &record.frame;
            match (frame.kind, record.from) {
                (Kind::MaskedInput, Party::Client(client)) => {
                    // The first that arrived is the one that was taken.
                    inputs.entry((frame.round, frame.attempt, client)).or_insert(frame);
                }
                (Kind::Audit, Party::Coordinator) => {
                    if let Ok(AuditReply::Openings(shown)) = AuditReply::decode_exact(&plan.message_ctx(), &frame.body)
                    {
                        openings.entry(frame.round).or_insert_with(|| shown.to_bytes());
                    }
                }
                _ => {}
            }
        }
        Self { inputs, openings }
    }

    /// Checks those of the round that the chain has just got.
    pub(super) fn check(
        &self,
        plan: &RunPlan,
        chain: &ModelChain,
        released: &ReleasedFrame,
        tally: &mut Tally,
    ) -> Result<()> {
        let round = released.round;
        let result = RoundResult::decode_exact(&plan.message_ctx(), &released.body)?;
        let mut arrived: BTreeMap<ClientId, (Vec<u64>, ChunkTree)> = BTreeMap::new();
        for input in &result.certificate.inputs {
            let place = usize::try_from(input.index)?;
            let client = *result.certificate.roster.get(place).context("a survivor is not on the roster")?;
            let of = || format!("round {}: the masked input of client {client}", round.0);
            let frame = self.inputs.get(&(round, result.attempt, client));
            let frame = frame.with_context(|| format!("{} is not in the transcript", of()))?;
            let message = MaskedInputMsg::decode_exact(&plan.message_ctx(), &frame.body).with_context(of)?;
            let tree = ChunkTree::of(Owner::Input(client), &message.words, NonZeroUsize::MIN);
            ensure!(tree.root() == input.root, "{} is not the one that it signed", of());
            arrived.insert(client, (message.words, tree));
        }
        tally.rounds += 1;
        tally.inputs += arrived.len();
        if let Some(openings) = self.openings.get(&round) {
            let chunk = |client: ClientId, index: u32| {
                let (words, tree) = arrived.get(&client)?;
                let index = usize::try_from(index).ok()?;
                Some(ShownChunk {
                    words: words.get(chunk_range(index, words.len())?)?.to_vec(),
                    path: tree.path(index)?,
                })
            };
            chain.recompute_last(&released.body, openings, chunk)?;
            tally.recomputed += 1;
        }
        Ok(())
    }
}
