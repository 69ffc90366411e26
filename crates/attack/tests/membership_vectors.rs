//! Every membership attack against numbers that numpy computed from the formulas (`vectors/membership.py`).
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use serde_json::Value;
use sottovoce_attack::membership::{
    Evidence, Offline, Signal, Variance, bavaria, gaussian_head, lira_offline, lira_online, population, ratios,
    reference, rmia, trajectory,
};
use sottovoce_attack::stats::normal_cdf;

struct Vectors(Value);

impl Vectors {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("vectors/membership.json")).unwrap())
    }

    fn given(&self, name: &str) -> Vec<f64> {
        serde_json::from_value(self.0["given"][name].clone()).unwrap()
    }

    fn matrix(&self, name: &str) -> Vec<Vec<f64>> {
        serde_json::from_value(self.0["given"][name].clone()).unwrap()
    }

    fn labels(&self, name: &str) -> Vec<u16> {
        serde_json::from_value(self.0[name].clone()).unwrap()
    }

    fn clips(&self) -> Evidence {
        Evidence { target: self.given("target"), inside: self.matrix("inside"), outside: self.matrix("outside") }
    }

    fn public(&self) -> Evidence {
        let target = self.given("public");
        Evidence { inside: vec![Vec::new(); target.len()], target, outside: self.matrix("public_outside") }
    }

    fn same(&self, name: &str, found: &[f64]) {
        let expected: Vec<f64> = serde_json::from_value(self.0["expected"][name].clone()).unwrap();
        assert_eq!(expected.len(), found.len(), "{name}");
        for (i, (e, f)) in expected.iter().zip(found).enumerate() {
            assert!((e - f).abs() < 1e-9 * (1.0 + e.abs()), "{name} {i}: {e} and not {f}");
        }
    }
}

#[test]
fn attacks_give_what_numpy_gives() {
    let v = Vectors::read();
    let clips = v.clips();
    v.same("reference", &reference(&clips));
    v.same("lira_online", &lira_online(&clips, Variance::PerClip));
    v.same("lira_fixed", &lira_online(&clips, Variance::Pooled));
    let cdf: Vec<f64> = lira_offline(&clips, Variance::PerClip, Offline::Cdf).into_iter().map(normal_cdf).collect();
    v.same("lira_offline_cdf", &cdf);
    v.same("lira_offline_logpdf", &lira_offline(&clips, Variance::PerClip, Offline::LogPdf));
    v.same("bavaria", &bavaria(&clips));
    let (a, gamma) = (v.0["a"].as_f64().unwrap(), v.0["gamma"].as_f64().unwrap());
    v.same("rmia_ratios", &ratios(&clips, a));
    v.same("rmia", &rmia(&clips, &v.public(), a, gamma));
    let (labels, public_labels) = (v.labels("labels"), v.labels("public_labels"));
    v.same("population", &population((&clips.target, &labels), (&v.given("public"), &public_labels)));
    v.same("quantile", &gaussian_head(&clips.target, &v.matrix("rows"), &v.given("public"), &v.matrix("public_rows")));
    let rounds = v.matrix("rounds");
    v.same("trajectory_logit", &trajectory(&rounds, Signal::Logit));
    v.same("trajectory_confidence", &trajectory(&rounds, Signal::Confidence));
    v.same("trajectory_loss", &trajectory(&rounds, Signal::Loss));
}

#[test]
fn the_vectors_tell_the_variants_apart() {
    let v = Vectors::read();
    let clips = v.clips();
    let apart = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).any(|(a, b)| (a - b).abs() > 1e-3);
    assert!(apart(lira_online(&clips, Variance::PerClip), lira_online(&clips, Variance::Pooled)));
    assert!(apart(bavaria(&clips), lira_online(&clips, Variance::Pooled)));
    assert!(apart(ratios(&clips, 0.3), ratios(&clips, 0.4)));
    let rounds = v.matrix("rounds");
    assert!(apart(trajectory(&rounds, Signal::Logit), trajectory(&rounds, Signal::Loss)));
}
