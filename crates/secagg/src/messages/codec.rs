//! Encodings of the messages: fields in order, integers little-endian, lists with their length (u32) first, options with a
//! byte 0 or 1. No list is longer than the session has members, or than the graph has edges at a client, and a vector is exactly
//! as long as agreed.
use std::sync::Arc;

use sottovoce_types::{ClientId, Digest};
use sottovoce_wire::{Decode, DecodeError, Encode, Reader, put_u32};

use super::{
    AbortMsg, AdvertMsg, DealerDigest, Dealing, DealtToYou, EnvelopesMsg, GraphMsg, InputRoot, MaskedInputMsg, Opened,
    OpenedLayers, OpeningMsg, PickedBy, RosterMsg, ShareEntry, SharesMsg, SignedBy, SurvivorQuorumMsg,
    SurvivorSignatureMsg, SurvivorsMsg,
};
use crate::audit::Revealed;
use crate::certificate::Certificate;
use crate::envelope::{Envelope, envelope_len};
use crate::graph::PicksMsg;
use crate::kem::{Ciphertexts, KemKeys, MaskCiphertext};
use crate::session::MessageCtx;
use crate::shamir::Quad;

fn put_list<T>(out: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_u32(out, u32::try_from(items.len()).expect("our own lists are as long as a roster"));
    for item in items {
        put(out, item);
    }
}

fn put_option<T>(out: &mut Vec<u8>, item: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(u8::from(item.is_some()));
    if let Some(item) = item {
        put(out, item);
    }
}

impl Encode for AdvertMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        self.cfg.encode(out);
        self.client.encode(out);
        out.extend_from_slice(&self.pk_mask);
        out.extend_from_slice(&self.pk_chan);
        if let Some(kem) = &self.kem {
            out.extend_from_slice(&kem.mask);
            out.extend_from_slice(&kem.channel);
        }
        self.commit_b.encode(out);
        self.commit_layers.iter().for_each(|commitment| commitment.encode(out));
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for AdvertMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            cfg: Digest::decode(ctx, input)?,
            client: ClientId::decode(ctx, input)?,
            pk_mask: input.array()?,
            pk_chan: input.array()?,
            kem: if ctx.hybrid {
                Some(Box::new(KemKeys { mask: input.array()?, channel: input.array()? }))
            } else {
                None
            },
            commit_b: Digest::decode(ctx, input)?,
            commit_layers: one_a_layer(ctx, input)?,
            nonce: input.array()?,
            signature: input.array()?,
        })
    }
}

impl Encode for RosterMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.adverts, |out, a| a.encode(out));
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for RosterMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            adverts: input.list("adverts of a roster", ctx.n, |r| AdvertMsg::decode(ctx, r))?,
            signature: input.array()?,
        })
    }
}

impl Encode for PicksMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.picks, |out, pick| put_u32(out, *pick));
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for PicksMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { picks: input.list("picks", ctx.degrees.picks, Reader::u32)?, signature: input.array()? })
    }
}

impl Encode for GraphMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.lists, |out, list| {
            put_u32(out, list.picker);
            list.list.encode(out);
        });
    }
}

impl Decode<MessageCtx> for GraphMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let lists = input
            .list("lists of a graph", ctx.n, |r| Ok(PickedBy { picker: r.u32()?, list: PicksMsg::decode(ctx, r)? }))?;
        Ok(Self { lists })
    }
}

impl Encode for ShareEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.leaf());
    }
}

impl Decode<MessageCtx> for ShareEntry {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            commit_s: Digest::decode(ctx, input)?,
            commit_b: Digest::decode(ctx, input)?,
            envelope: Digest::decode(ctx, input)?,
            layers: one_a_layer(ctx, input)?,
        })
    }
}

/// As many as the session has layers, without their number.
fn one_a_layer(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Vec<Digest>, DecodeError> {
    (0..ctx.layers).map(|_| Digest::decode(ctx, input)).collect()
}

impl Encode for Dealing {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.entries, |out, e| e.encode(out));
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for Dealing {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let entries = input.list("share commitments", ctx.degrees.holders, |r| ShareEntry::decode(ctx, r))?;
        Ok(Self { entries, signature: input.array()? })
    }
}

impl Encode for Envelope {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        if let Some(kem) = &self.1 {
            out.extend_from_slice(&kem.channel);
            put_option(out, kem.mask.as_ref(), |out, mask| mask.encode(out));
        }
    }
}

impl Decode<MessageCtx> for Envelope {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let sealed = input.take(envelope_len(ctx.layers))?.to_vec();
        if !ctx.hybrid {
            return Ok(Self(sealed, None));
        }
        let channel = input.array()?;
        let mask =
            if input.boolean("mask ciphertext present")? { Some(MaskCiphertext::decode(ctx, input)?) } else { None };
        Ok(Self(sealed, Some(Box::new(Ciphertexts { channel, mask }))))
    }
}

impl Encode for MaskCiphertext {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ciphertext);
        out.extend_from_slice(&self.confirmation);
    }
}

impl Decode<MessageCtx> for MaskCiphertext {
    fn decode(_: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ciphertext: input.array()?, confirmation: input.array()? })
    }
}

impl Encode for SharesMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        self.dealing.encode(out);
        put_list(out, &self.envelopes, |out, e| e.encode(out));
    }
}

impl Decode<MessageCtx> for SharesMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let dealing = Dealing::decode(ctx, input)?;
        let envelopes = input.list("envelopes", ctx.degrees.holders, |r| Envelope::decode(ctx, r))?;
        Ok(Self { dealing, envelopes })
    }
}

/// Neighbours on the way to the root of a tree with fewer than 2^32 leaves.
const LONGEST_PATH: usize = 32;

impl Encode for DealtToYou {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.dealer);
        self.entry.encode(out);
        put_list(out, &self.path, |out, digest| digest.encode(out));
        out.extend_from_slice(&self.signature);
        self.envelope.encode(out);
    }
}

impl Decode<MessageCtx> for DealtToYou {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            dealer: input.u32()?,
            entry: ShareEntry::decode(ctx, input)?,
            path: input.list("path of commitments", LONGEST_PATH, |r| Digest::decode(ctx, r))?,
            signature: input.array()?,
            envelope: Envelope::decode(ctx, input)?,
        })
    }
}

impl Encode for EnvelopesMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.dealers, |out, d| {
            put_u32(out, d.dealer);
            d.digest.encode(out);
        });
        put_list(out, &self.dealt, |out, d| d.encode(out));
    }
}

impl Decode<MessageCtx> for EnvelopesMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let dealer = |r: &mut Reader<'_>| Ok(DealerDigest { dealer: r.u32()?, digest: Digest::decode(ctx, r)? });
        Ok(Self {
            dealers: Arc::new(input.list("dealers", ctx.n, dealer)?),
            dealt: input.list("shares dealt", ctx.degrees.dealers, |r| DealtToYou::decode(ctx, r))?,
        })
    }
}

impl Encode for Revealed {
    fn encode(&self, out: &mut Vec<u8>) {
        self.roster.encode(out);
        put_list(out, &self.picks, |out, (picker, picks)| {
            put_u32(out, *picker);
            put_list(out, picks, |out, pick| put_u32(out, *pick));
        });
        put_list(out, &self.secrets, |out, secret| out.extend_from_slice(secret));
        put_list(out, &self.ciphertexts, |out, sent| sent.encode(out));
        if let Some(layers) = &self.layers {
            put_list(out, layers, |out, seed| out.extend_from_slice(seed));
        }
    }
}

impl Decode<MessageCtx> for Revealed {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let roster = RosterMsg::decode(ctx, input)?;
        let list = |r: &mut Reader<'_>| Ok((r.u32()?, r.list("picks", ctx.degrees.picks, Reader::u32)?));
        let picks = input.list("lists of picks", ctx.n, list)?;
        let secrets = input.list("revealed secrets", ctx.n, Reader::array)?;
        let pairs = if ctx.hybrid { ctx.n.saturating_mul(ctx.degrees.holders) } else { 0 };
        let ciphertexts = input.list("revealed ciphertexts", pairs, |r| MaskCiphertext::decode(ctx, r))?;
        let seeds = ctx.n.saturating_mul(ctx.layers);
        let layers =
            if ctx.layers > 0 { Some(input.list("revealed seeds of layers", seeds, Reader::array)?) } else { None };
        Ok(Self { roster, picks, secrets, ciphertexts, layers })
    }
}

impl Encode for Certificate {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.roster, |out, client| client.encode(out));
        self.adverts_root.encode(out);
        put_list(out, &self.dealers, |out, dealer| put_u32(out, *dealer));
        self.shares_root.encode(out);
        put_option(out, self.graph_root.as_ref(), |out, root| root.encode(out));
        put_list(out, &self.inputs, |out, i| i.encode(out));
        put_list(out, &self.signatures, |out, s| s.encode(out));
    }
}

impl Decode<MessageCtx> for Certificate {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            roster: input.list("clients of a roster", ctx.n, |r| ClientId::decode(ctx, r))?,
            adverts_root: Digest::decode(ctx, input)?,
            dealers: input.list("dealers", ctx.n, Reader::u32)?,
            shares_root: Digest::decode(ctx, input)?,
            graph_root: if input.boolean("graph root present")? { Some(Digest::decode(ctx, input)?) } else { None },
            inputs: input.list("survivors", ctx.n, |r| InputRoot::decode(ctx, r))?,
            signatures: input.list("signatures", ctx.n, |r| SignedBy::decode(ctx, r))?,
        })
    }
}

impl Encode for MaskedInputMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.words.len().saturating_mul(8).saturating_add(64));
        out.extend(self.words.iter().flat_map(|w| w.to_le_bytes()));
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for MaskedInputMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { words: input.words(ctx.words)?, signature: input.array()? })
    }
}

impl Encode for SurvivorsMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.inputs, |out, i| i.encode(out));
    }
}

impl Encode for InputRoot {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.index);
        self.root.encode(out);
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for InputRoot {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { index: input.u32()?, root: Digest::decode(ctx, input)?, signature: input.array()? })
    }
}

impl Encode for SignedBy {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.index);
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for SignedBy {
    fn decode(_: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { index: input.u32()?, signature: input.array()? })
    }
}

impl Decode<MessageCtx> for SurvivorsMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { inputs: input.list("survivors", ctx.n, |r| InputRoot::decode(ctx, r))? })
    }
}

impl Encode for SurvivorSignatureMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for SurvivorSignatureMsg {
    fn decode(_: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { signature: input.array()? })
    }
}

impl Encode for SurvivorQuorumMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.signatures, |out, s| s.encode(out));
    }
}

impl Decode<MessageCtx> for SurvivorQuorumMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { signatures: input.list("survivor signatures", ctx.n, |r| SignedBy::decode(ctx, r))? })
    }
}

impl Encode for OpeningMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.opened, |out, o| {
            put_option(out, o.as_ref(), |out, o| {
                out.extend_from_slice(&o.share);
                out.extend_from_slice(&o.opener);
            });
        });
        if let Some(layers) = &self.layers {
            layers.encode(out);
        }
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for OpeningMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let opened = input.list("opened shares", ctx.degrees.dealers, |r| {
            if r.boolean("share present")? { opened(r).map(Some) } else { Ok(None) }
        })?;
        let layers = if ctx.layers > 0 { Some(Box::new(OpenedLayers::decode(ctx, input)?)) } else { None };
        Ok(Self { opened, layers, signature: input.array()? })
    }
}

/// A share and its opener. One share has one encoding.
fn opened(input: &mut Reader<'_>) -> Result<Opened, DecodeError> {
    let opened = Opened { share: input.array()?, opener: input.array()? };
    Quad::from_bytes(&opened.share).ok_or(DecodeError::Invalid { what: "opened share" })?;
    Ok(opened)
}

impl Encode for OpenedLayers {
    fn encode(&self, out: &mut Vec<u8>) {
        put_list(out, &self.own, |out, seed| out.extend_from_slice(seed));
        put_list(out, &self.shares, |out, shares| {
            put_list(out, shares, |out, o| {
                out.extend_from_slice(&o.share);
                out.extend_from_slice(&o.opener);
            });
        });
    }
}

impl Decode<MessageCtx> for OpenedLayers {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let own = input.list("own seeds of layers", ctx.layers, |r| {
            let seed = r.array()?;
            Quad::from_bytes(&seed).ok_or(DecodeError::Invalid { what: "seed of a layer" })?;
            Ok(seed)
        })?;
        let of_dealer = |r: &mut Reader<'_>| r.list("shares of seeds of layers", ctx.layers, opened);
        Ok(Self { own, shares: input.list("shares of layers by dealer", ctx.degrees.dealers, of_dealer)? })
    }
}

impl Encode for AbortMsg {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.code);
        put_option(out, self.about.as_ref(), |out, c| c.encode(out));
        out.extend_from_slice(&self.signature);
    }
}

impl Decode<MessageCtx> for AbortMsg {
    fn decode(ctx: &MessageCtx, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            code: input.u8()?,
            about: if input.boolean("client named")? { Some(ClientId::decode(ctx, input)?) } else { None },
            signature: input.array()?,
        })
    }
}
