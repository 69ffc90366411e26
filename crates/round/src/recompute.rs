//! A published sum computed again from the masked inputs that were kept, chunk by chunk: what an audit does with a few chunks of a peer, done
//! with all of them by whoever has the files.
use sottovoce_secagg::ChunkAuditor;
use sottovoce_secagg::chunks::{chunk_count, chunk_range};
use sottovoce_types::ClientId;
use sottovoce_wire::Decode as _;

use crate::audit::{ShownChunk, SignedOpenings};
use crate::chain::ModelChain;
use crate::fault::ProtocolFault;
use crate::layers::{LayerLaw, audited_chunk};
use crate::messages::RoundResult;
use crate::session::session;
use crate::statement::Statement as _;

impl ModelChain {
    /// Computes the sum of the chain's last round again. `result` is what was published of it, `openings` the encoding of
    /// [`SignedOpenings`], and `kept` gives a chunk of a contributor's masked input with its path. Returns the number of inputs.
    ///
    /// # Errors
    /// [`ProtocolFault`] by the first thing that does not hold: openings that the coordinator did not sign or that did not open the sum, a
    /// chunk that is missing or that its owner did not sign, a sum that is another.
    pub fn recompute_last(
        &self,
        result: &[u8],
        openings: &[u8],
        mut kept: impl FnMut(ClientId, u32) -> Option<ShownChunk>,
    ) -> Result<usize, ProtocolFault> {
        let ctx = self.plan().message_ctx();
        let malformed = |what| move |source| ProtocolFault::Malformed { what, source };
        let result = RoundResult::decode_exact(&ctx, result).map_err(malformed("Result"))?;
        let openings = SignedOpenings::decode_exact(&ctx, openings).map_err(malformed("Audit"))?;
        let Some(link) = self.links().last() else {
            return Err(ProtocolFault::Unexpected { what: "Result", state: "no round was followed" });
        };
        let said = link.announced.statement;
        let round = said.round.0;
        if said.sum != RoundResult::sum_digest(&result.sum) || said.attempt != result.attempt {
            return Err(ProtocolFault::TwoResults { round });
        }
        openings
            .verify(&said.ctx3, self.plan().manifest().coordinator())
            .map_err(|_| ProtocolFault::AuditSignature(round))?;
        let config = self.config_of(said.round, said.attempt, link.from, link.terms);
        // Whatever masks were asked for, a sum is audited alike.
        let session = session(self.plan(), config.digest(), true);
        let auditor = ChunkAuditor::new(session, &result.certificate, &openings.revealed)
            .map_err(|source| ProtocolFault::AuditOpenings { round, source })?;
        let contributors: Vec<ClientId> = auditor.contributors().collect();
        let (law, lanes) = (LayerLaw::of(self.plan()), self.plan().encode().lanes());
        for index in 0..chunk_count(result.sum.len()) {
            let place = u32::try_from(index).unwrap_or(u32::MAX);
            let mut shown = Vec::with_capacity(contributors.len());
            for (at, client) in contributors.iter().enumerate() {
                let chunk = kept(*client, place).ok_or(ProtocolFault::AuditRefused { round })?;
                if !auditor.is_chunk_of(at, index, &chunk.words, &chunk.path) {
                    return Err(ProtocolFault::AuditChunk { round, client: *client });
                }
                shown.push(chunk.words);
            }
            let range = chunk_range(index, result.sum.len()).expect("one of the sum's own chunks");
            let announced = result.sum.get(range).expect("a range of the sum");
            let inputs = shown.iter().map(Vec::as_slice);
            if audited_chunk(law.as_ref(), &auditor, index, inputs, lanes).as_deref() != Some(announced) {
                return Err(ProtocolFault::FalseSum { round });
            }
        }
        Ok(contributors.len())
    }
}
