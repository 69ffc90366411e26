//! What an audit did not test, from its config and from what ran.
use sottovoce_config::AttackName;
use sottovoce_secagg::MaskSuite;
use sottovoce_types::{NoiseRemoval, Unit, Vantage};

use super::{Audited, Found};

/// Remarks that say why something has no figure.
const SAYS_WHY: [&str; 4] = ["not audited", "not inferred", "no control", "blind baseline"];

pub(super) fn list(audited: &Audited<'_>, found: &Found<'_>) -> Vec<String> {
    let (config, spec) = (audited.config, audited.plan.spec());
    let mut out: Vec<String> =
        found.remarks.iter().filter(|r| SAYS_WHY.iter().any(|w| r.contains(w))).map(|r| sentence(r)).collect();
    out.dedup();
    let left_out: Vec<String> =
        AttackName::ALL.iter().filter(|a| !config.audit.attacks.contains(a)).map(|a| name(*a)).collect();
    if !left_out.is_empty() {
        out.push(format!("Attacks that audit.attacks leaves out: {}.", left_out.join(", ")));
    }
    let seen: Vec<Vantage> = found.attacks.iter().filter(|a| a.control_of.is_none()).map(|a| a.vantage).collect();
    let blind = [Vantage::Network, Vantage::Coordinator, Vantage::Collusion, Vantage::PeerClient, Vantage::Released];
    let coordinator = |v: &Vantage| *v == Vantage::Coordinator && seen.contains(&Vantage::CoordinatorPlain);
    let blind: Vec<&str> = blind.iter().filter(|v| !seen.contains(v) && !coordinator(v)).map(|v| v.name()).collect();
    if !blind.is_empty() {
        out.push(format!("No attack looked from: {}.", blind.join(", ")));
    }
    if spec.privacy.is_none() {
        out.push("Nothing was held against a guarantee, because the run makes none.".to_owned());
    } else if found.canaries.is_none() {
        out.push("The implementation was not held against the accountant: audit.attacks leaves canary out.".to_owned());
    } else {
        out.push(
            "The gate's canaries go through clip, grid, noise shares, sums and decoding. They do not go through feature extraction, local training, masks, \
             key agreement, the network, timing, or who takes part."
                .to_owned(),
        );
    }
    if spec.privacy.is_some() && audited.plan.sampling().is_some() {
        out.push(
            "Secret sampling: canaries are in every round, so that its amplification was not tested; the ε of the verdict is without it.".to_owned(),
        );
    }
    if spec.noise_removal == NoiseRemoval::Layers {
        out.push(
            "Removal of noise in layers: the gate's canaries go through shares without layers, and shadow models carry the noise that is left without removal."
                .to_owned(),
        );
    }
    if spec.adaptive_clip.is_some() {
        out.push("The adaptation of the clipping norm, and what its noised count of unclipped units says.".to_owned());
    }
    if spec.suite != MaskSuite::None && spec.max_corrupt > 0 {
        out.push(format!(
            "Collusion: up to {} corrupt clients are reckoned with; no attack took what they know out of a sum.",
            spec.max_corrupt
        ));
    }
    out.push(
        "A coordinator that sends models of its own making (imprinted, dead, climbed: R4, M12). Clients of this protocol compute each model \
         themselves and refuse such rounds; `sottovoce audit selftest` shows the attacks with that check off, and the refusals with it on."
            .to_owned(),
    );
    out.push(
        "Properties of the whole cohort, such as whether half of it are women (A3): one run is one cohort and one guess, which has no interval. \
         No guarantee about one unit hides them."
            .to_owned(),
    );
    if spec.unit == Unit::Utterance {
        out.push("An ε about one utterance says little of a speaker with many.".to_owned());
    }
    out.push("Other seeds, other splits, other models, other corpora: one run is one draw.".to_owned());
    out.push("The choice of settings, where it looked at the same data.".to_owned());
    out.push(
        "Who a recovered clip's or an update's speaker is (re-identification), and audio made of recovered MFCCs."
            .to_owned(),
    );
    out
}

/// As it stands in a config.
fn name(attack: AttackName) -> String {
    serde_json::to_value(attack)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("{attack:?}"))
}

/// With a capital and a full stop.
fn sentence(remark: &str) -> String {
    let mut chars = remark.trim_end_matches('.').chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).chain(['.']).collect())
}
