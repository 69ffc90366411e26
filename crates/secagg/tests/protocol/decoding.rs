//! Every decoder refuses what is short, long, or asks for more than the session allows.
use proptest::prelude::*;
use sottovoce_secagg::graph::Degrees;
use sottovoce_secagg::*;
use sottovoce_wire::{Decode, DecodeError, Encode};

use crate::driver::Cohort;

/// One message of each kind, from an honest round of three with one dropout.
struct Sample {
    ctx: MessageCtx,
    advert: AdvertMsg,
    roster: RosterMsg,
    picks: PicksMsg,
    graph: GraphMsg,
    shares: SharesMsg,
    envelopes: EnvelopesMsg,
    input: MaskedInputMsg,
    survivors: SurvivorsMsg,
    signature: SurvivorSignatureMsg,
    quorum: SurvivorQuorumMsg,
    opening: OpeningMsg,
    abort: AbortMsg,
}

fn sample() -> Sample {
    sample_of(Cohort::new(3, 0))
}

fn sample_of(mut c: Cohort) -> Sample {
    let (states, _, roster) = c.until_roster();
    let (_, shares) =
        states.into_iter().next().unwrap().roster(roster.clone(), &c.sites[0], &mut c.rng).unwrap().complete().unwrap();
    let (_, _, envelopes) = c.until_envelopes();
    let (states, _) = c.until_masking();
    let (_, input) = states.into_iter().next().unwrap().submit(c.pack(&c.input(0)), &c.sites[0]).unwrap();
    let (states, _, survivors) = c.until_survivors(&[0, 1]);
    let (_, signature) = states.into_iter().next().unwrap().survivors(survivors.clone(), &c.sites[0]).unwrap();
    let (states, _, quorum) = c.until_quorum(&[0, 1]);
    let opening = states.into_iter().next().unwrap().quorum(quorum.clone(), &c.sites[0]).unwrap();
    let fault = Abort::Advert { client: c.id(1), fault: AdvertFault::Signature };
    let picks = PicksMsg::new(vec![1, 2], &c.session.cfg, &c.sites[0]);
    Sample {
        ctx: MessageCtx {
            degrees: Degrees { picks: 2, ..c.session.message_ctx().unwrap().degrees },
            ..c.session.message_ctx().unwrap()
        },
        advert: roster.adverts[0].clone(),
        roster,
        picks: picks.clone(),
        graph: GraphMsg { lists: (0..2).map(|picker| PickedBy { picker, list: picks.clone() }).collect() },
        shares,
        envelopes: envelopes[0].clone(),
        input,
        survivors,
        signature,
        quorum,
        opening,
        abort: fault.message(&c.session.cfg, &c.sites[0]),
    }
}

fn check<M: Encode + Decode<MessageCtx> + PartialEq + std::fmt::Debug>(ctx: &MessageCtx, message: &M) {
    let bytes = message.to_bytes();
    assert_eq!(M::decode_exact(ctx, &bytes).as_ref(), Ok(message));
    for len in 0..bytes.len() {
        assert!(M::decode_exact(ctx, &bytes[..len]).is_err(), "cut to {len} of {}", bytes.len());
    }
    let mut long = bytes.clone();
    long.push(0);
    assert!(matches!(M::decode_exact(ctx, &long), Err(DecodeError::Trailing { left: 1 })), "one byte more");
}

#[test]
fn claim_decoders_refuse_truncated_and_trailing_bytes() {
    check_all(&sample());
    let layered = sample_of(Cohort::new(3, 0).layered());
    assert_eq!((layered.ctx.layers, layered.advert.commit_layers.len()), (1, 1));
    check_all(&layered);
}

fn check_all(s: &Sample) {
    check(&s.ctx, &s.advert);
    check(&s.ctx, &s.roster);
    check(&s.ctx, &s.picks);
    check(&s.ctx, &s.graph);
    check(&s.ctx, &s.shares);
    check(&s.ctx, &s.envelopes);
    check(&s.ctx, &s.input);
    check(&s.ctx, &s.survivors);
    check(&s.ctx, &s.signature);
    check(&s.ctx, &s.quorum);
    check(&s.ctx, &s.opening);
    check(&s.ctx, &s.abort);
}

#[test]
fn claim_decoders_refuse_more_entries_than_the_session_has_members() {
    let s = sample();
    let small = MessageCtx { n: 1, degrees: Degrees { picks: 1, holders: 1, dealers: 1 }, ..s.ctx };
    let too_long = |e: DecodeError| assert!(matches!(e, DecodeError::TooLong { max: 1, .. }), "{e}");
    too_long(RosterMsg::decode_exact(&small, &s.roster.to_bytes()).unwrap_err());
    too_long(PicksMsg::decode_exact(&small, &s.picks.to_bytes()).unwrap_err());
    too_long(GraphMsg::decode_exact(&small, &s.graph.to_bytes()).unwrap_err());
    too_long(SharesMsg::decode_exact(&small, &s.shares.to_bytes()).unwrap_err());
    too_long(EnvelopesMsg::decode_exact(&small, &s.envelopes.to_bytes()).unwrap_err());
    too_long(SurvivorsMsg::decode_exact(&small, &s.survivors.to_bytes()).unwrap_err());
    too_long(SurvivorQuorumMsg::decode_exact(&small, &s.quorum.to_bytes()).unwrap_err());
    too_long(OpeningMsg::decode_exact(&small, &s.opening.to_bytes()).unwrap_err());
    // A vector is exactly as long as agreed.
    for words in [s.ctx.words - 1, s.ctx.words + 1] {
        assert!(MaskedInputMsg::decode_exact(&MessageCtx { words, ..s.ctx }, &s.input.to_bytes()).is_err());
    }
}

#[test]
fn claim_a_share_that_is_not_canonical_is_refused() {
    let s = sample();
    let mut opening = s.opening.clone();
    opening.opened[0].as_mut().unwrap().share = [0xff; 32];
    assert_eq!(
        OpeningMsg::decode_exact(&s.ctx, &opening.to_bytes()),
        Err(DecodeError::Invalid { what: "opened share" })
    );
    let s = sample_of(Cohort::new(3, 0).layered());
    let mut opening = s.opening.clone();
    opening.layers.as_mut().unwrap().own = vec![[0xff; 32]];
    let refused = OpeningMsg::decode_exact(&s.ctx, &opening.to_bytes());
    assert_eq!(refused, Err(DecodeError::Invalid { what: "seed of a layer" }));
    opening.layers.as_mut().unwrap().own = vec![[0; 32]; 2];
    let refused = OpeningMsg::decode_exact(&s.ctx, &opening.to_bytes());
    assert!(matches!(refused, Err(DecodeError::TooLong { max: 1, .. })), "{refused:?}");
}

#[test]
fn a_signed_reason_holds_for_its_author_attempt_and_reason_only() {
    let c = Cohort::new(3, 0);
    let cfg = c.session.cfg;
    let fault = Abort::DealingSignature { dealer: c.id(1) };
    let message = fault.message(&cfg, &c.sites[0]);
    assert!(message.verify(&cfg, &c.sites[1].public_key()).is_err());
    assert!(message.verify(&sottovoce_types::Digest::of(b"other"), &c.sites[0].public_key()).is_err());
    assert!(AbortMsg { code: 1, ..message.clone() }.verify(&cfg, &c.sites[0].public_key()).is_err());
    assert!(AbortMsg { about: None, ..message.clone() }.verify(&cfg, &c.sites[0].public_key()).is_err());
    assert!(message.verify(&cfg, &c.sites[0].public_key()).is_ok());
    assert_eq!((message.code, message.about), (fault.code(), Some(c.id(1))));
}

#[test]
fn claim_debug_output_shows_no_input_and_no_share() {
    let s = sample();
    let text = format!("{:?} {:?} {:?}", s.input, s.opening, s.shares);
    assert!(!text.contains(&s.input.words()[0].to_string()));
    let share = s.opening.opened[0].as_ref().unwrap().share;
    assert!(!text.contains(&format!("{share:?}")));
    assert!(text.contains("Opened(..)"));
}

proptest! {
    #[test]
    fn claim_no_bytes_make_a_decoder_panic(bytes: Vec<u8>, n in 0usize..5, words in 0usize..5) {
        let degrees = Degrees { picks: n, holders: n, dealers: n };
        let ctx = MessageCtx { n, words, degrees, hybrid: n % 2 == 1, layers: n % 3 };
        let _ = AdvertMsg::decode_exact(&ctx, &bytes);
        let _ = RosterMsg::decode_exact(&ctx, &bytes);
        let _ = PicksMsg::decode_exact(&ctx, &bytes);
        let _ = GraphMsg::decode_exact(&ctx, &bytes);
        let _ = SharesMsg::decode_exact(&ctx, &bytes);
        let _ = EnvelopesMsg::decode_exact(&ctx, &bytes);
        let _ = MaskedInputMsg::decode_exact(&ctx, &bytes);
        let _ = SurvivorsMsg::decode_exact(&ctx, &bytes);
        let _ = SurvivorSignatureMsg::decode_exact(&ctx, &bytes);
        let _ = SurvivorQuorumMsg::decode_exact(&ctx, &bytes);
        let _ = OpeningMsg::decode_exact(&ctx, &bytes);
        let _ = AbortMsg::decode_exact(&ctx, &bytes);
    }
}
