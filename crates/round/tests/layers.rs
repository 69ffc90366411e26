//! Noise in layers, in whole runs: what is left in a sum, what is published and audited, and the receipts that sites write.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]
mod common;

use std::sync::Arc;

use common::hostile::{NOW, with_body};
use common::{Federation, RUN, identity, plan_with};
use sottovoce_dp::{LayerError, LedgerEntry};
use sottovoce_round::{
    ClientEvent, Entry, Evidence, JournalEvent, ModelChain, PlanError, PrivacyPlan, ProtocolFault, PublicKey,
    ReceiptRefused, ResultStatement, RoundResult, RunPlan, RunSpec, Signed, SignedReceipt, receipts_in,
};
use sottovoce_secagg::MaskSuite;
use sottovoce_types::{Delta, Epsilon, ModelSpec, NoiseMultiplier, NoiseRemoval, RingVec, RoundId, Unit};
use sottovoce_wire::{Decode, Encode, Frame, Kind};

/// Ten clients, f = 3: q = 7, three dropouts are tolerated, two layers. Two chunks.
fn plan(rounds: u64, removal: NoiseRemoval) -> Arc<RunPlan> {
    plan_with(10, 3, rounds, |spec| {
        spec.noise_removal = removal;
        spec.audit_chunks = 2;
        spec.n_min = 7;
        spec.model = ModelSpec::Dnn { inputs: 104, hidden: vec![190], classes: 4 };
    })
}

/// A federation after its run, in which these fell silent before a message of this kind left.
fn after(plan: &Arc<RunPlan>, gone: &[usize], before: Kind) -> Federation {
    let mut federation = Federation::new(plan);
    let held = federation.run_holding(|frame| frame.kind == before);
    for site in gone {
        federation.disconnect(*site);
    }
    for (site, frame) in held.into_iter().filter(|(site, _)| !gone.contains(site)) {
        federation.coordinator_gets(site, &frame).unwrap();
    }
    federation.run();
    while federation.published().is_empty() {
        federation.pass_deadline();
        federation.run();
    }
    federation
}

fn result_of(federation: &Federation) -> RoundResult {
    RoundResult::decode_exact(&federation.plan.message_ctx(), federation.results[&RoundId(1)].bytes()).unwrap()
}

/// The variance of the noise in the first sum, in squares of grid steps. All coordinates have the same update, so it is what they differ by.
fn variance(federation: &Federation) -> f64 {
    let encode = federation.plan.encode();
    let sum = RingVec::from_words(result_of(federation).sum, encode.lanes());
    let coords = encode.decode_coords(&sum);
    let mean = coords.iter().map(|v| *v as f64).sum::<f64>() / coords.len() as f64;
    coords.iter().map(|v| (*v as f64 - mean).powi(2)).sum::<f64>() / coords.len() as f64
}

fn receipts(federation: &Federation, site: usize) -> Vec<SignedReceipt> {
    let receipt = |event: &JournalEvent| match event {
        JournalEvent::OpeningCharged { receipt, .. } => receipt.as_deref().cloned(),
        _ => None,
    };
    federation.sites[site].journalled().filter_map(receipt).collect()
}

#[test]
fn claim_the_noise_left_in_a_published_sum_is_that_of_its_receipts_whoever_drops_out() {
    let layered = plan(1, NoiseRemoval::Layers);
    let words = 20_524.0f64; // about as many coordinates
    let five = 5.0 * (2.0 / words).sqrt();
    let target = (2.0 * 65_536.0f64).powi(2);
    let cases: [(&[usize], Kind, u32, &[u32]); 6] = [
        (&[], Kind::MaskedInput, 10, &[0, 1]),
        (&[2], Kind::MaskedInput, 9, &[1]),
        (&[2, 5], Kind::MaskedInput, 8, &[0]),
        (&[2, 5, 7], Kind::MaskedInput, 7, &[]),
        // They are in the sum and answer no more: their layers come off by shares.
        (&[2, 5], Kind::Opening, 10, &[0, 1]),
        // Two never dealt: of eight dealers one may drop out, and does not.
        (&[2, 5], Kind::Shares, 8, &[0]),
    ];
    for (gone, before, contributors, removed) in cases {
        let what = format!("{gone:?} before {before:?}");
        let federation = after(&layered, gone, before);
        assert_eq!(federation.published()[0].contributors, contributors, "{what}");
        let receipt = receipts(&federation, 0).remove(0);
        receipt.verify(&layered).unwrap();
        assert_eq!(
            (receipt.receipt.contributors, receipt.receipt.layers_removed.as_slice()),
            (contributors, removed),
            "{what}"
        );
        let kept: f64 = receipt.receipt.noise.kept_per_client.as_str().parse().unwrap();
        let expected = kept / 65_536f64.powi(2) * f64::from(contributors);
        let found = variance(&federation);
        println!("{what}: {:.3} of the target in the sum, {:.3} by the receipt", found / target, expected / target);
        assert!((found / expected - 1.0).abs() < five, "{what}: {found}, {expected} by the receipt");
        assert!(found > target * (1.0 - five), "{what}");
        // Whoever is still there found the sum right, both chunks of it, and has the coordinator's model.
        for site in (0..10).filter(|site| !gone.contains(site)) {
            let audited = federation.sites[site].events.iter();
            assert!(
                audited.into_iter().any(|e| matches!(e, ClientEvent::Audited { chunks: 2, .. })),
                "{what}, site {site}"
            );
            assert_eq!(federation.sites[site].engine.last_model(), Some(federation.coordinator.params()), "{what}");
        }
    }
    // Without removal everybody staying means 10/4 of the target, and with it 10/7: the wrong input for the check above.
    let federation = after(&plan(1, NoiseRemoval::None), &[], Kind::MaskedInput);
    let found = variance(&federation) / target;
    assert!((found / 2.5 - 1.0).abs() < five, "{found}");
    let receipt = receipts(&federation, 0).remove(0);
    receipt.verify(&federation.plan).unwrap();
    assert!((receipt.receipt.noise.noise_multiplier - 2.0 * (7.0f64 / 4.0).sqrt()).abs() < 1e-4);
}

/// The ledger charges the same with and without layers: what is left in the worst case.
#[test]
fn claim_layers_change_no_charge_and_no_budget() {
    let of = |removal| {
        let federation = after(&plan(2, removal), &[], Kind::MaskedInput);
        let ledger = federation.sites[0].engine.ledger().unwrap();
        (ledger.charges(), ledger.epsilon_spent().upper)
    };
    assert_eq!(of(NoiseRemoval::Layers), of(NoiseRemoval::None));
    // With sampling, too.
    let sampled = |removal| {
        plan_with(5, 1, 1, |spec| {
            spec.noise_removal = removal;
            spec.privacy.as_mut().unwrap().sampling =
                Some(sottovoce_dp::sampling::SamplingProbability::new(0.5).unwrap());
        })
    };
    let (with, without) = (sampled(NoiseRemoval::Layers), sampled(NoiseRemoval::None));
    assert_eq!(with.event(), without.event());
    let federation = after(&with, &[], Kind::MaskedInput);
    let receipt = receipts(&federation, 0).remove(0);
    receipt.verify(&with).unwrap();
    assert!((receipt.receipt.sampling_rate - 0.5).abs() < 1e-15 && receipt.receipt.noise.noise_multiplier >= 2.0);
}

/// The same result over another sum, with the model that follows from it, under the coordinator's own signature.
fn falsified(plan: &Arc<RunPlan>, frame: &Frame, change: impl FnOnce(&mut [u64])) -> Frame {
    let mut result = RoundResult::decode_exact(&plan.message_ctx(), &frame.body).unwrap();
    let mut chain = ModelChain::new(Arc::clone(plan), RUN);
    chain.follow(frame.round, &frame.body).unwrap();
    let genuine = chain.links()[0].announced.statement;
    change(&mut result.sum);
    let sign = |result: &mut RoundResult| {
        let sum = RoundResult::sum_digest(&result.sum);
        result.signature =
            Signed::by(ResultStatement { sum, model: result.model, ..genuine }, &identity(100)).signature;
    };
    sign(&mut result);
    let follows = ModelChain::new(Arc::clone(plan), RUN).follow(frame.round, &result.to_bytes());
    let Err(ProtocolFault::WrongModel { expected, .. }) = follows else { panic!("{follows:?}") };
    result.model = expected;
    sign(&mut result);
    with_body(frame, result.to_bytes())
}

/// What site 0 makes of a result, once it has audited it.
fn audit_of(federation: &mut Federation, result: &Frame) -> Result<(), ProtocolFault> {
    federation.sites[0].engine.handle_frame(NOW, result)?;
    loop {
        let asked: Vec<Frame> = std::iter::from_fn(|| federation.sites[0].engine.poll_transmit()).collect();
        if asked.is_empty() {
            return Ok(());
        }
        for frame in asked.into_iter().filter(|f| f.kind == Kind::WantAudit) {
            let id = federation.sites[0].id;
            federation.coordinator.handle_frame(NOW, id, &frame).unwrap();
            for answer in federation.settle_coordinator().into_iter().filter(|t| t.to == id) {
                federation.sites[0].engine.handle_frame(NOW, &answer.frame)?;
            }
        }
    }
}

fn before_its_result(plan: &Arc<RunPlan>) -> (Federation, Frame) {
    let mut federation = Federation::new(plan);
    let next = |frame: &Frame| frame.kind == Kind::RoundConfig && frame.round == RoundId(2);
    let held = federation.run_holding(|frame| frame.kind == Kind::Result || next(frame));
    let (_, frame) = held.into_iter().find(|(site, frame)| *site == 0 && frame.kind == Kind::Result).unwrap();
    (federation, frame)
}

/// What `sottovoce verify` checks of a site's journal.
#[test]
fn claim_receipts_in_a_journal_must_be_there_and_have_the_ledgers_totals() {
    let plan = plan(2, NoiseRemoval::Layers);
    let federation = after(&plan, &[], Kind::MaskedInput);
    let journal = &federation.sites[0].journal;
    let own = PublicKey(identity(1).public_key());
    let found = receipts_in(journal, &plan, Some(own)).unwrap();
    assert_eq!((found.checked, found.of_other_plans), (receipts(&federation, 0), 0));
    let refused = |change: &dyn Fn(&mut Box<SignedReceipt>, &mut bool)| {
        let mut journal = journal.clone();
        let mut stripped = false;
        for entry in &mut journal {
            if let JournalEvent::OpeningCharged { receipt, .. } = &mut entry.event {
                change(receipt.as_mut().unwrap(), &mut stripped);
                if stripped {
                    *receipt = None;
                }
            }
        }
        receipts_in(&journal, &plan, Some(own)).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused(&|_, stripped| *stripped = true), ReceiptRefused::Missing { round: 1, attempt: 1 }));
    let first = receipts(&federation, 0).remove(0);
    assert_eq!(refused(&|r, _| **r = first.clone()), ReceiptRefused::OtherEntry, "round 1 twice");
    let anothers = receipts(&federation, 1).remove(0);
    assert_eq!(refused(&|r, _| **r = anothers.clone()), ReceiptRefused::OtherEntry, "another site's");
    // A ledger that forgot a charge: the receipt remembers it.
    let mut forgot = journal.clone();
    let charge = |e: &Entry| matches!(e.ledger, Some(LedgerEntry::Reserved { .. }));
    let place = forgot.iter().position(charge).unwrap();
    forgot[place].ledger = None;
    let refused = receipts_in(&forgot, &plan, Some(own)).map(|_| ()).unwrap_err();
    assert!(matches!(refused, ReceiptRefused::Totals { charges: 1, in_ledger: 0, .. }), "{refused}");
    // Of another plan: told, not checked.
    let other = self::plan(2, NoiseRemoval::None);
    let found = receipts_in(journal, &other, Some(own)).unwrap();
    assert_eq!((found.checked.len(), found.of_other_plans), (0, 2));
}

/// A coordinator that does not take the surplus off, or takes something else off: the audit recomputes the removal, and third parties can.
#[test]
fn claim_a_sum_from_which_other_noise_was_taken_off_is_caught_and_proven() {
    let plan = plan(2, NoiseRemoval::Layers);
    let (mut federation, genuine) = before_its_result(&plan);
    audit_of(&mut federation, &genuine).unwrap();
    // A layer of one client's noise is a few hundred thousand steps in each coordinate: here in one chunk, in one word.
    for word in [0, 8192] {
        let (mut federation, genuine) = before_its_result(&plan);
        let lie = falsified(&plan, &genuine, |sum| sum[word] = sum[word].wrapping_add(40_000));
        let fault = audit_of(&mut federation, &lie).unwrap_err();
        assert!(matches!(fault, ProtocolFault::FalseSum { round: 1 }), "{fault}");
        let caught = std::iter::from_fn(|| federation.sites[0].engine.poll_event());
        let evidence: Vec<Evidence> = caught
            .filter_map(|e| if let ClientEvent::Caught { evidence } = e { Some(*evidence) } else { None })
            .collect();
        let value = serde_json::to_value(&evidence[0]).unwrap();
        serde_json::from_value::<Evidence>(value.clone()).unwrap().verify(plan.manifest()).unwrap();
        // The law of the layers is under the quorum's signatures: evidence with another law, or without one, shows nothing.
        let refused = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut other = value.clone();
            change(&mut other["terms"]);
            let read = serde_json::from_value::<Evidence>(other);
            assert!(read.is_err() || read.unwrap().verify(plan.manifest()).is_err());
        };
        refused(&|terms| terms["layers"]["noise_multiplier_bits"] = 4.0f64.to_bits().into());
        refused(&|terms| terms["layers"]["squared_sensitivity"] = "17".into());
        refused(&|terms| terms["layers"]["squared_sensitivity"] = "no number".into());
        refused(&|terms| terms["layers"]["coordinates"] = 5.into());
        refused(&|terms| _ = terms.as_object_mut().unwrap().remove("layers"));
    }
}

#[test]
fn claim_every_opened_attempt_has_a_receipt_that_third_parties_can_check() {
    let plan = plan(2, NoiseRemoval::Layers);
    let federation = after(&plan, &[4], Kind::MaskedInput);
    let mut chain = ModelChain::new(Arc::clone(&plan), RUN);
    for (round, result) in &federation.results {
        chain.follow(*round, result.bytes()).unwrap();
    }
    for site in (0..10).filter(|site| *site != 4) {
        let receipts = receipts(&federation, site);
        let opened = federation.sites[site].journalled().filter(|e| matches!(e, JournalEvent::OpeningCharged { .. }));
        assert_eq!((receipts.len(), opened.count()), (2, 2));
        for (signed, link) in receipts.iter().zip(chain.links()) {
            signed.verify(&plan).unwrap();
            signed.receipt.agrees_with(&link.certified).unwrap();
            assert!(signed.receipt.noise.reaches_what_is_charged && signed.receipt.noise.noise_multiplier >= 2.0);
            let text = serde_json::to_string(signed).unwrap();
            assert_eq!(serde_json::from_str::<SignedReceipt>(&text).unwrap(), *signed, "as a file");
        }
        let charges: Vec<u64> = receipts.iter().map(|r| r.receipt.charges).collect();
        assert_eq!(charges, [1, 2]);
        assert!(receipts[0].receipt.epsilon_spent < receipts[1].receipt.epsilon_spent);
        assert_eq!(
            receipts[0].receipt.agrees_with(&chain.links()[1].certified),
            Err(ReceiptRefused::OtherSets("survivor set"))
        );
    }
    // Without differential privacy there is nothing to state.
    let plain = plan_with(5, 1, 1, |spec| (spec.unit, spec.privacy) = (Unit::None, None));
    let federation = after(&plain, &[], Kind::MaskedInput);
    assert!(receipts(&federation, 0).is_empty());
}

#[test]
fn claim_a_receipt_with_anything_changed_is_refused() {
    let plan = plan(1, NoiseRemoval::Layers);
    let federation = after(&plan, &[4], Kind::MaskedInput);
    let genuine = receipts(&federation, 0).remove(0);
    genuine.verify(&plan).unwrap();
    // Under the old signature, whatever field it is.
    let value = serde_json::to_value(&genuine).unwrap();
    let fields: Vec<String> = value["receipt"].as_object().unwrap().keys().cloned().collect();
    let noise: Vec<String> = value["receipt"]["noise"].as_object().unwrap().keys().cloned().collect();
    let places = fields.iter().filter(|f| *f != "noise").map(|f| format!("/receipt/{f}"));
    let places: Vec<String> = places.chain(noise.iter().map(|f| format!("/receipt/noise/{f}"))).collect();
    assert_eq!(places.len(), 18 + 6, "{places:?}");
    for place in places {
        let mut other = value.clone();
        let field = other.pointer_mut(&place).unwrap();
        *field = match field.clone() {
            serde_json::Value::Number(n) if n.is_u64() => (n.as_u64().unwrap() + 1).into(),
            serde_json::Value::Number(n) => (n.as_f64().unwrap() * 2.0).into(),
            serde_json::Value::Bool(b) => (!b).into(),
            serde_json::Value::Array(_) => serde_json::json!([0]),
            serde_json::Value::String(s) => {
                format!("{}{}", &s[..s.len() - 1], if s.ends_with('1') { '2' } else { '1' }).into()
            }
            other => panic!("{other}"),
        };
        let changed = serde_json::from_value::<SignedReceipt>(other);
        assert!(changed.is_err() || changed.unwrap().verify(&plan).is_err(), "{place}");
    }
    // Other refusals name their reason.
    let other_plan = self::plan(1, NoiseRemoval::None);
    assert!(matches!(genuine.verify(&other_plan), Err(ReceiptRefused::OtherPlan { .. })));
    let mut stranger = genuine.clone();
    stranger.site.0 = identity(77).public_key();
    assert!(matches!(stranger.verify(&plan), Err(ReceiptRefused::Stranger(_))));
    let mut anothers = genuine.clone();
    anothers.site.0 = identity(2).public_key();
    assert_eq!(anothers.verify(&plan), Err(ReceiptRefused::Signature));
}

#[test]
fn removal_where_it_makes_no_sense_or_would_not_hold_is_refused_with_the_mend() {
    let with = |change: &dyn Fn(&mut RunSpec)| {
        let base = plan(1, NoiseRemoval::Layers);
        let mut spec = base.spec().clone();
        change(&mut spec);
        RunPlan::new(spec, Arc::clone(base.manifest())).map(|_| ())
    };
    assert!(with(&|_| ()).is_ok());
    let refused = with(&|spec| (spec.unit, spec.privacy) = (Unit::None, None)).unwrap_err();
    assert!(matches!(refused, PlanError::NoiseRemoval(why) if why.contains("there is none")), "{refused}");
    let refused = with(&|spec| spec.suite = MaskSuite::None).unwrap_err();
    assert!(refused.to_string().contains("aggregation.mode = \"secure\""), "{refused}");
    let refused = with(&|spec| {
        spec.clip_bits = 5;
        spec.privacy = Some(PrivacyPlan {
            noise_multiplier: NoiseMultiplier::new(0.4).unwrap(),
            sampling: None,
            delta: Delta::new(1e-5).unwrap(),
            epsilon_budget: Epsilon::new(100.0).unwrap(),
        });
    })
    .unwrap_err();
    assert!(matches!(refused, PlanError::Layers(LayerError::TooFine { .. })), "{refused}");
    assert!(refused.to_string().contains("raise clip_bits"), "{refused}");
}
