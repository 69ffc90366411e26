//! Evidence that an announced sum is not the sum of the inputs: one chunk of it, the same chunk of every input under the root that its
//! owner signed, and what opened the sum under the coordinator's own signature.
use serde::{Deserialize, Serialize};
use sottovoce_secagg::chunks::{Owner, chunk_count, root_of_chunk};
use sottovoce_secagg::graph::{Adversary, MaskGraph, SparseTerms};
use sottovoce_secagg::{Certificate, ChunkAuditor, KeyAgreement, MaskSuite, MessageCtx, Session};
use sottovoce_types::Lanes;
use sottovoce_wire::{Decode, DecodeError, Encode, Reader, put_u32};

use super::{EvidenceRefused, Shown};
use crate::audit::{ShownChunk, SignedOpenings};
use crate::layers::{LayerLaw, audited_chunk};
use crate::manifest::Manifest;
use crate::messages::RoundResult;
use crate::plan::RunPlan;
use crate::statement::{ConfigStatement, ResultStatement, Signed, Statement};

/// A sum that the coordinator announced, and what shows that it is false. Masked chunks and secrets that were opened: nothing that an
/// audit does not show to every member. About 64 KiB a contributor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FalseSum {
    /// What was announced.
    result: Signed<ResultStatement>,
    /// The attempt's configuration; its digest is under every context of the attempt.
    config: ConfigStatement,
    /// The plan's terms of secure aggregation, which are under them as well.
    terms: Terms,
    /// Everything else in the encodings of the protocol.
    #[serde(with = "hex_bytes")]
    proof: Vec<u8>,
}

/// What a session has of a plan, beside what the manifest says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Terms {
    n_min: u32,
    max_corrupt: u32,
    lanes: u8,
    words: u64,
    suite: u8,
    key_agreement: u8,
    graph: GraphTerms,
    /// What layers of noise are drawn by; its digest is in the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<LayerLaw>,
}

/// The rule of the graph: its words, and the bits of δ.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct GraphTerms {
    rule: String,
    max_dropout_bits: u64,
    adversary: String,
}

impl GraphTerms {
    fn of(graph: &MaskGraph) -> Self {
        let terms = graph.terms();
        Self {
            rule: graph.name().to_owned(),
            max_dropout_bits: terms.map_or(0, |terms| terms.max_dropout.to_bits()),
            adversary: terms.map_or_else(String::new, |terms| terms.adversary.name().to_owned()),
        }
    }

    fn graph(&self) -> Option<MaskGraph> {
        let adversaries = [Adversary::Malicious, Adversary::OneSurvivorSet];
        let adversary = adversaries.into_iter().find(|adversary| adversary.name() == self.adversary);
        let max_dropout = f64::from_bits(self.max_dropout_bits);
        let terms = adversary.map(|adversary| SparseTerms { max_dropout, adversary });
        [Some(MaskGraph::Complete), terms.map(MaskGraph::Sparse), terms.map(MaskGraph::Auto)]
            .into_iter()
            .flatten()
            .find(|graph| graph.name() == self.rule)
    }
}

/// What an audit was shown of one chunk.
struct Proof {
    certificate: Certificate,
    openings: SignedOpenings,
    chunk: u32,
    /// The chunk of the announced sum.
    sum: ShownChunk,
    /// The chunk of every contributor's input.
    inputs: Vec<ShownChunk>,
}

impl FalseSum {
    /// Of what an audit was shown.
    pub(crate) fn new(
        plan: &RunPlan,
        (result, config): (Signed<ResultStatement>, ConfigStatement),
        announced: &RoundResult,
        openings: &SignedOpenings,
        chunk: usize,
        inputs: &[ShownChunk],
    ) -> Self {
        let spec = plan.spec();
        let terms = Terms {
            n_min: spec.n_min,
            max_corrupt: spec.max_corrupt,
            lanes: plan.encode().lanes().into(),
            words: u64::try_from(plan.encode().words()).expect("a length fits 64 bits"),
            suite: spec.suite.byte(),
            key_agreement: spec.key_agreement.byte(),
            graph: GraphTerms::of(&spec.graph),
            layers: LayerLaw::of(plan),
        };
        let proof = Proof {
            certificate: announced.certificate.clone(),
            openings: openings.clone(),
            chunk: u32::try_from(chunk).expect("as it was asked for"),
            sum: announced.chunk(chunk).expect("the chunk that was audited"),
            inputs: inputs.to_vec(),
        };
        Self { result, config, terms, proof: proof.to_bytes() }
    }

    pub(super) fn verify(&self, manifest: &Manifest) -> Result<Shown, EvidenceRefused> {
        let ours = manifest.digest();
        let (said, config) = (&self.result.statement, &self.config);
        if said.manifest != ours || config.manifest != ours {
            return Err(EvidenceRefused::OtherFederation);
        }
        self.result.verify(manifest.coordinator()).map_err(|_| EvidenceRefused::NotSigned("result"))?;
        if (said.run, said.round, said.attempt) != (config.run, config.round, config.attempt) {
            return Err(EvidenceRefused::NoContradiction("the config is of another attempt than the result"));
        }
        let session = self.session(manifest).ok_or(EvidenceRefused::Malformed)?;
        let ctx = Shape { message: session.message_ctx().map_err(|_| EvidenceRefused::Malformed)? };
        let proof = Proof::decode_exact(&ctx, &self.proof).map_err(|_| EvidenceRefused::Malformed)?;
        if !proof.certificate.verify(&session).is_ok_and(|certified| certified.ctx3 == said.ctx3) {
            return Err(EvidenceRefused::NoContradiction("the certificate is not that of the result"));
        }
        let openings = proof.openings.verify(&said.ctx3, manifest.coordinator());
        openings.map_err(|_| EvidenceRefused::NotSigned("opening"))?;
        let (words, lanes) = (session.words, session.lanes);
        let auditor = ChunkAuditor::new(session, &proof.certificate, &proof.openings.revealed)
            .map_err(|_| EvidenceRefused::NoContradiction("what it shows did not open the sum"))?;
        let chunk = usize::try_from(proof.chunk).unwrap_or(usize::MAX);
        if root_of_chunk(Owner::Sum, chunk, &proof.sum.words, words, &proof.sum.path) != Some(said.sum) {
            return Err(EvidenceRefused::NoContradiction("the chunk is not one of the announced sum"));
        }
        let signed =
            |(place, shown): (usize, &ShownChunk)| auditor.is_chunk_of(place, chunk, &shown.words, &shown.path);
        if proof.inputs.len() != auditor.contributors().len() || !proof.inputs.iter().enumerate().all(signed) {
            return Err(EvidenceRefused::NoContradiction("the chunks are not those of the inputs that were signed"));
        }
        let inputs = proof.inputs.iter().map(|shown| shown.words.as_slice());
        let right = audited_chunk(self.terms.layers.as_ref(), &auditor, chunk, inputs, lanes);
        if right.ok_or(EvidenceRefused::Malformed)? == proof.sum.words {
            return Err(EvidenceRefused::NoContradiction("the announced sum is that of the inputs"));
        }
        let what = "announced a sum that is not the sum of the inputs that were signed";
        Ok(Shown { round: said.round, attempt: said.attempt, what })
    }

    /// The session that the terms name. They are true if the certificate holds under it.
    fn session(&self, manifest: &Manifest) -> Option<Session> {
        let words = usize::try_from(self.terms.words).ok()?;
        // A path to a chunk of more than 2^32 is none of ours.
        u32::try_from(chunk_count(words)).ok()?;
        Some(Session {
            cfg: self.config.digest(),
            coordinator: manifest.coordinator().0,
            members: manifest.keys().clone(),
            n_min: self.terms.n_min,
            max_corrupt: self.terms.max_corrupt,
            lanes: Lanes::new(self.terms.lanes)?,
            words,
            graph: self.terms.graph.graph()?,
            suite: MaskSuite::of_byte(self.terms.suite)?,
            key_agreement: KeyAgreement::of_byte(self.terms.key_agreement)?,
            layers: self.terms.layers.as_ref().map(LayerLaw::digest),
            allow_plain: true,
        })
    }
}

struct Shape {
    message: MessageCtx,
}

impl Encode for Proof {
    fn encode(&self, out: &mut Vec<u8>) {
        self.certificate.encode(out);
        self.openings.encode(out);
        put_u32(out, self.chunk);
        self.sum.encode(out);
        put_u32(out, u32::try_from(self.inputs.len()).expect("as many as contributors"));
        self.inputs.iter().for_each(|shown| shown.encode(out));
    }
}

impl Decode<Shape> for Proof {
    fn decode(ctx: &Shape, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ctx = &ctx.message;
        Ok(Self {
            certificate: Certificate::decode(ctx, input)?,
            openings: SignedOpenings::decode(ctx, input)?,
            chunk: input.u32()?,
            sum: ShownChunk::decode(ctx, input)?,
            inputs: input.list("chunks of inputs", ctx.n, |r| ShownChunk::decode(ctx, r))?,
        })
    }
}

/// Two hexadecimal digits a byte.
mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let digits = bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| DIGITS[usize::from(d)]);
        s.serialize_str(&digits.collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[h, l]| Some(digit(h)? << 4 | digit(l)?)).collect();
        bytes
            .filter(|_| rest.is_empty())
            .ok_or_else(|| serde::de::Error::custom("not an even number of hexadecimal digits"))
    }
}
