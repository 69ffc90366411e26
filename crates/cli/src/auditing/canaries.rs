//! Canaries against the accountant's curve: the gate, to where a violation is narrowed, and a line that does it again.
use std::ops::RangeInclusive;

use anyhow::{Context as _, Result};
use sottovoce_attack::bound::NOT_DETECTABLE;
use sottovoce_attack::canary::{
    CanaryClaim, CanaryDesign, CanaryTrials, Mutation, Narrowed, Pipeline, PipelineSpec, narrow, run_canaries,
};
use sottovoce_attack::gate::{Curve, Finding, GateReport, GateTest, Policy, StageOf, gate};
use sottovoce_config::Config;
use sottovoce_dp::{OsNoise, gdp};
use sottovoce_round::RunPlan;
use sottovoce_secagg::honest_floor;
use sottovoce_types::{CanaryAudit, Epsilon, Verdict};

/// Confidence of the canaries' lower bound.
const CONFIDENCE: f64 = 0.99;

/// Which rounds are gated, with which defect planted: of the audit of a run all of them, and none.
#[derive(Clone, Debug)]
pub struct Gated {
    /// Rounds, from 1.
    pub rounds: RangeInclusive<u64>,
    /// A defect, or none.
    pub mutation: Mutation,
    /// The command that gates this run, to which rounds are added: `sottovoce audit run RUN`.
    pub again: String,
}

/// What the canaries showed.
pub struct Canaries {
    /// Empirical ε beside the claim.
    pub audit: CanaryAudit,
    /// What the gate says: of all rounds, and of the one to which a violation was narrowed.
    pub report: GateReport,
    /// To where a violation was narrowed.
    pub narrowed: Vec<Narrowed>,
    /// The trials of the first stage.
    pub trials: CanaryTrials,
}

/// Canaries in the rounds of `gated`, in two stages; a violation is narrowed. `None` without DP.
pub fn audit(config: &Config, plan: &RunPlan, gated: &Gated) -> Result<Option<Canaries>> {
    let rounds = gated.rounds.clone().count() as u64;
    let Some((pipeline, claim)) = canary_claim(config, plan, rounds)? else { return Ok(None) };
    let seed = config.run.seed;
    let (finding, trials) = tested(pipeline, gated, seed)?;
    let power = finding.detectable_noise_shortfall;
    let mut report = GateReport { verdict: finding.verdict, findings: vec![finding] };
    let mut narrowed = Vec::new();
    if report.verdict == Verdict::Violation {
        narrowed = narrow(pipeline, gated.mutation, gated.rounds.clone(), || OsNoise)?;
        let finding = &mut report.findings[0];
        if let Some(first) = narrowed.first() {
            finding.component = format!("{} (of clip, quantise, noise share, sum, decode)", first.component);
        }
        // One round is a smaller thing to look at, where it is seen in one round by itself.
        let round = narrowed.first().and_then(|n| n.rounds.first().copied());
        if let Some(round) = round.filter(|_| rounds > 1) {
            let alone = Gated { rounds: round..=round, ..gated.clone() };
            let (again, _trials) = tested(pipeline, &alone, seed ^ 0x6e61_7272_6f77)?;
            if again.verdict == Verdict::Violation {
                let component = finding.component.clone();
                report.findings.push(Finding { component, ..again });
            }
        }
    }
    // The gate decides, not the bound at one level: its verdict, and its power.
    let audit = CanaryAudit {
        verdict: report.verdict,
        detectable_noise_shortfall: power.min(NOT_DETECTABLE),
        ..trials.audit(claim)
    };
    Ok(Some(Canaries { audit, report, narrowed, trials }))
}

fn tested(pipeline: PipelineSpec, gated: &Gated, seed: u64) -> Result<(Finding, CanaryTrials)> {
    let (first, last) = (*gated.rounds.start(), *gated.rounds.end());
    let rounds = u32::try_from(gated.rounds.clone().count())?;
    let mut of_first = None;
    let test = GateTest {
        component: "clip, quantise, noise share, sum, decode".to_owned(),
        rounds: gated.rounds.clone(),
        declared: Curve::gaussian(f64::from(rounds).sqrt() / pipeline.noise_multiplier.value()),
        canaries: pipeline.canaries as u64,
        reproducer: format!("{} --rounds {first}-{last}", gated.again),
        run: Box::new(|stage| {
            let seed = seed.wrapping_mul(2).wrapping_add(u64::from(stage == StageOf::Second));
            let design = CanaryDesign { canaries: pipeline.canaries, rounds, seed };
            let mut running = Pipeline::new(pipeline, gated.mutation, OsNoise)?.from_round(first);
            let trials = run_canaries(design, |included| running.round(included))?;
            let errors = trials.errors();
            if stage == StageOf::First {
                of_first = Some(trials);
            }
            anyhow::Ok(errors)
        }),
    };
    let report = gate(vec![test], Policy::default())?;
    let finding = report.findings.into_iter().next().context("the gate had one test")?;
    Ok((finding, of_first.context("the gate ran its test")?))
}

/// What canaries of a plan are put through, and what the accountant says of `rounds` rounds; `None` without DP.
pub fn canary_claim(config: &Config, plan: &RunPlan, rounds: u64) -> Result<Option<(PipelineSpec, CanaryClaim)>> {
    let spec = plan.spec();
    let Some(privacy) = spec.privacy else { return Ok(None) };
    let rounds = u32::try_from(rounds.max(1))?;
    let mu = f64::from(rounds).sqrt() / privacy.noise_multiplier.value();
    let pipeline = PipelineSpec {
        clip: spec.clip,
        clip_bits: spec.clip_bits,
        lanes: spec.lanes,
        rotation: spec.rotation,
        noise_multiplier: privacy.noise_multiplier,
        honest: honest_floor(spec.n_min, spec.max_corrupt),
        canaries: usize::try_from(config.audit.canaries)?,
    };
    let claim = CanaryClaim {
        epsilon: Epsilon::new(gdp::epsilon(mu, privacy.delta).upper)?,
        delta: privacy.delta,
        confidence: CONFIDENCE,
        max_shortfall: Policy::default().max_shortfall,
    };
    Ok(Some((pipeline, claim)))
}

/// Seconds that one round of the gate takes, by running one.
pub fn seconds_of_a_round(pipeline: PipelineSpec) -> Result<f64> {
    let started = std::time::Instant::now();
    let mut running = Pipeline::new(pipeline, Mutation::None, OsNoise)?;
    let design = CanaryDesign { canaries: pipeline.canaries, rounds: 1, seed: 1 };
    run_canaries(design, |included| running.round(included))?;
    Ok(started.elapsed().as_secs_f64())
}
