//! What must go together before anything is read: found here, an error still has its place in the file.
use sottovoce_dp::sampling::SamplingProbability;
use sottovoce_encode::Headroom;
use sottovoce_round::{AdaptiveClipRefused, PlanError};
use sottovoce_secagg::quorum;
use sottovoce_types::{ClassWeights, Labelling, LocalOptimiser, Standardisation, Unit};

use crate::corpus::CorpusKind;
use crate::error::Problem;
use crate::plan::rehearse;
use crate::sections::{FoldBy, Partition, PartitionMode, TestSpeakers};
use crate::{Config, EpsilonTarget, Privacy};

type Found = Result<(), (&'static str, Problem)>;

pub(crate) fn check(config: &Config) -> Found {
    numbers(config)?;
    data(config)?;
    let classes = config.corpus.label_set().emotions().len();
    config.model.check(&config.features.spec(), classes)?;
    config.training.check(classes)?;
    if u64::from(config.training.warmup_rounds) >= config.run.rounds {
        let is = config.training.warmup_rounds.into();
        return Err(("training.warmup_rounds", Problem::OutOfRange { must: "below run.rounds", is }));
    }
    privacy(config)?;
    cohort(config)?;
    let shadows = config.audit.shadows;
    if shadows != 0 && (shadows < 8 || shadows % 2 == 1) {
        let must = "0 or an even number of at least 8: shadows come in pairs";
        return Err(("audit.shadows", Problem::OutOfRange { must, is: shadows.into() }));
    }
    crate::sweep::check(&config.sweep, &config.partition)?;
    rehearse(config).map_err(|e| (blame(&e), Problem::Plan(e)))
}

/// The key that a plan's refusal is about.
fn blame(error: &PlanError) -> &'static str {
    match error {
        PlanError::Headroom(Headroom::TooCoarse { .. }) => "privacy.clip_bits",
        PlanError::Headroom(_) => "aggregation.lanes",
        PlanError::TooFewHonest { .. } | PlanError::TooFewMembers { .. } => "aggregation.n_min",
        PlanError::Graph { .. } => "aggregation.graph",
        PlanError::Privacy { .. } => "privacy.unit",
        PlanError::Sampling { .. } => "privacy.sampling_rate",
        PlanError::AdaptiveClip(AdaptiveClipRefused::Unit { .. }) => "privacy.adaptive_clip",
        PlanError::AdaptiveClip(_) => "privacy.clip_count_noise",
        PlanError::Server(_) | PlanError::Scaffold(_) => "server.optimiser",
        PlanError::NoiseRemoval(_) => "aggregation.noise_removal",
        PlanError::BalancedUtterances => "training.class_weights",
        _ => "privacy.clip_bits",
    }
}

fn numbers(c: &Config) -> Found {
    let at_least_one = |key, value: u64| match value {
        0 => Err((key, Problem::OutOfRange { must: "at least 1", is: 0.0 })),
        _ => Ok(()),
    };
    at_least_one("run.rounds", c.run.rounds)?;
    at_least_one("training.epochs", c.training.epochs.into())?;
    at_least_one("training.batch", c.training.batch.into())?;
    at_least_one("partition.clients", c.partition.clients.into())?;
    at_least_one("aggregation.max_attempts", c.aggregation.max_attempts.into())?;
    at_least_one("transport.advert_deadline_ms", c.transport.advert_deadline_ms)?;
    at_least_one("transport.phase_deadline_ms", c.transport.phase_deadline_ms)?;
    at_least_one("features.n_mfcc", c.features.n_mfcc.into())?;
    let within = |key, must, ok: bool, is: f64| if ok { Ok(()) } else { Err((key, Problem::OutOfRange { must, is })) };
    let positive = |key, v: f64| within(key, "finite and above 0", v.is_finite() && v > 0.0, v);
    let not_negative = |key, v: f64| within(key, "finite and at least 0", v.is_finite() && v >= 0.0, v);
    positive("training.learning_rate", c.training.learning_rate)?;
    let max_dropout = c.aggregation.max_dropout;
    within("aggregation.max_dropout", "from 0 to below 1", (0.0..1.0).contains(&max_dropout), max_dropout)?;
    within("run.dropout", "from 0 to below 1", (0.0..1.0).contains(&c.run.dropout), c.run.dropout)?;
    c.server.check()?;
    positive("features.frame_ms", c.features.frame_ms)?;
    positive("features.hop_ms", c.features.hop_ms)?;
    let n_mfcc = f64::from(c.features.n_mfcc);
    within("features.n_mfcc", "at most features.n_mels", c.features.n_mfcc <= c.features.n_mels, n_mfcc)?;
    let nyquist = f64::from(c.features.sample_rate_hz) / 2.0;
    let (low, high) = (c.features.mel_low_hz, c.features.mel_high_hz);
    not_negative("features.mel_low_hz", low)?;
    within(
        "features.mel_high_hz",
        "above mel_low_hz and at most half of sample_rate_hz",
        low < high && high <= nyquist,
        high,
    )?;
    let frame_samples = c.features.frame_ms * f64::from(c.features.sample_rate_hz) / 1000.0;
    let n_fft = f64::from(c.features.n_fft);
    within(
        "features.n_fft",
        "at least the samples of a frame, and at most 65536",
        n_fft >= frame_samples && n_fft <= 65_536.0,
        n_fft,
    )?;
    let holdout = c.partition.holdout_fraction;
    within("partition.holdout_fraction", "at least 0 and below 1", (0.0..1.0).contains(&holdout), holdout)?;
    c.features.trim_db.map_or(Ok(()), |v| positive("features.trim_db", v))?;
    let snr = c.features.noise_snr_db.unwrap_or(0.0);
    within("features.noise_snr_db", "between -100 and 100", (-100.0..=100.0).contains(&snr), snr)?;
    let rate = c.features.sample_rate_hz;
    within("features.sample_rate_hz", "between 1000 and 768000", (1_000..=768_000).contains(&rate), rate.into())?;
    positive("features.log_floor", c.features.log_floor)?;
    let deltas = c.features.deltas;
    within("features.deltas", "0, 1 or 2", deltas <= 2, deltas.into())?;
    let preemphasis = c.features.preemphasis;
    within("features.preemphasis", "at least 0 and below 1", (0.0..1.0).contains(&preemphasis), preemphasis)
}

fn data(c: &Config) -> Found {
    let voted = matches!(c.corpus.kind, CorpusKind::CremaD | CorpusKind::Auto);
    if c.corpus.labelling != Labelling::Intended && !voted {
        return Err(("corpus.labelling", Problem::NoVotes { labelling: c.corpus.labelling.name() }));
    }
    let p = &c.partition;
    match (p.mode, p.alpha) {
        (PartitionMode::Dirichlet, None) => {
            return Err(("partition.alpha", Problem::Needed { when: "partition.mode is `dirichlet`" }));
        }
        (PartitionMode::Dirichlet, Some(alpha)) if !(alpha.is_finite() && alpha > 0.0) => {
            return Err(("partition.alpha", Problem::OutOfRange { must: "finite and above 0", is: alpha }));
        }
        _ => {}
    }
    folds(&c.partition)?;
    test_speakers(c)?;
    if c.transport
        .coordinator
        .rsplit_once(':')
        .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
    {
        let written = c.transport.coordinator.as_str().into();
        return Err(("transport.coordinator", Problem::NotAnAddress(written)));
    }
    match (c.transport.dashboard.ip().is_loopback(), c.transport.dashboard_public) {
        (false, false) => return Err(("transport.dashboard", Problem::DashboardOpen)),
        (true, true) => return Err(("transport.dashboard_public", Problem::DashboardClosed)),
        _ => {}
    }
    Ok(())
}

/// Test speakers given as a number may come from a default or an extended file, so folds replace them; all else that folds
/// would silently replace, or that would silently go without them, is refused.
fn folds(p: &Partition) -> Found {
    let refuse = |key, must, is: u32| Err((key, Problem::OutOfRange { must, is: is.into() }));
    match (p.folds, p.fold, p.fold_by, &p.test_speakers) {
        (1, ..) => refuse("partition.folds", "0 for none, or at least 2", 1),
        (0, _, FoldBy::Group, _) => refuse("partition.folds", "at least 2 where partition.fold_by is `group`", 0),
        (0, fold, ..) if fold != 1 => refuse("partition.fold", "1 where partition.folds is 0", fold),
        (folds @ 2.., _, _, TestSpeakers::Named(_)) => {
            refuse("partition.folds", "0 where partition.test_speakers lists names", folds)
        }
        (folds @ 2.., fold, ..) if fold == 0 || fold > folds => {
            refuse("partition.fold", "at least 1 and at most partition.folds", fold)
        }
        _ => Ok(()),
    }
}

fn test_speakers(c: &Config) -> Found {
    let p = &c.partition;
    let per_client = if p.mode == PartitionMode::Speakers { p.speakers_per_client.max(1) } else { 1 };
    let (clients, have) = (p.clients, c.corpus.synth_speakers);
    if c.corpus.kind != CorpusKind::Synthetic || c.corpus.path.is_some() {
        return Ok(());
    }
    let test = match (p.folds, p.fold_by) {
        (0, _) => p.test_speakers.count(),
        (folds, FoldBy::Speaker) if folds > have => {
            let is = folds.into();
            return Err(("partition.folds", Problem::OutOfRange { must: "at most corpus.synth_speakers", is }));
        }
        // Blocks of which the first are longer by one.
        (folds, FoldBy::Speaker) => have / folds + u32::from(p.fold <= have % folds),
        // One at least; synthesised voices have no groups, which is found where they are dealt out.
        (_, FoldBy::Group) => 1,
    };
    let need = u64::from(clients) * u64::from(per_client) + u64::from(test);
    if need > u64::from(have) {
        return Err(("corpus.synth_speakers", Problem::TooFewSpeakers { clients, per_client, test, need, have }));
    }
    Ok(())
}

fn privacy(c: &Config) -> Found {
    if c.privacy.unit == Unit::Utterance {
        utterance(c)?;
    }
    sampling(&c.privacy)?;
    adaptive_clip(&c.privacy)?;
    if c.privacy.epsilon.is_some() && c.privacy.noise_multiplier.is_some() {
        return Err(("privacy.noise_multiplier", Problem::TwoNoises));
    }
    if c.privacy.unit == Unit::None && c.privacy.site_epsilon_cap.is_some() {
        return Err(("privacy.site_epsilon_cap", Problem::CapWithoutUnit));
    }
    if c.privacy.unit == Unit::None && c.sweep.epsilons.iter().any(|EpsilonTarget(e)| e.is_some()) {
        return Err(("sweep.epsilons", Problem::SweepWithoutUnit));
    }
    match c.stated_units() {
        Some(units) if c.privacy.unit != Unit::None => delta_below(c, units),
        _ => Ok(()),
    }
}

/// A probability, and units inside a site to draw from.
fn sampling(p: &Privacy) -> Found {
    let q = p.sampling_rate;
    if SamplingProbability::new(q).is_err() {
        return Err(("privacy.sampling_rate", Problem::OutOfRange { must: "at least 1e-9 and at most 1", is: q }));
    }
    if q < 1.0 && matches!(p.unit, Unit::Client | Unit::None) {
        return Err(("privacy.sampling_rate", Problem::NothingToDraw { unit: p.unit.name() }));
    }
    Ok(())
}

/// Numbers in their range, and none that would do nothing. Whether the count can be afforded is the plan's to say.
fn adaptive_clip(p: &Privacy) -> Found {
    let key_of = |key: &str| match key {
        "clip_quantile" => "privacy.clip_quantile",
        "clip_learning_rate" => "privacy.clip_learning_rate",
        _ => "privacy.clip_count_noise",
    };
    if let Some(adaptive) = p.adaptive() {
        return match adaptive.check() {
            Err(AdaptiveClipRefused::OutOfRange { key, must, is }) => {
                Err((key_of(key), Problem::OutOfRange { must, is }))
            }
            _ => Ok(()),
        };
    }
    let defaults = Privacy::default();
    let moved = |a: f64, b: f64| a.to_bits() != b.to_bits();
    for (key, set) in [
        ("privacy.clip_quantile", moved(p.clip_quantile, defaults.clip_quantile)),
        ("privacy.clip_learning_rate", moved(p.clip_learning_rate, defaults.clip_learning_rate)),
        ("privacy.clip_count_noise", p.clip_count_noise.is_some()),
    ] {
        if set {
            return Err((key, Problem::ClipStays));
        }
    }
    Ok(())
}

/// What an utterance's gradient may depend on: the model and that utterance, and nothing else.
fn utterance(c: &Config) -> Found {
    if c.features.standardisation == Standardisation::PerSpeaker {
        return Err(("features.standardisation", Problem::NotOneUtterance));
    }
    let job = c.training.job(c.run.seed);
    if job.class_weights == ClassWeights::Balanced {
        return Err(("training.class_weights", Problem::BalancedUtterances));
    }
    for (key, is) in [
        ("training.momentum", job.momentum),
        ("training.weight_decay", job.weight_decay),
        ("training.proximal_mu", job.proximal_mu),
        ("training.steps", job.steps.into()),
        ("training.accumulate", f64::from(job.accumulate) - 1.0),
        ("training.optimiser", f64::from(u8::from(job.optimiser == LocalOptimiser::AdamW))),
    ] {
        if is > 0.0 {
            return Err((key, Problem::NoLocalTraining { is }));
        }
    }
    Ok(())
}

/// δ ≥ 1/N is met by publishing one unit's recordings as they are.
pub(crate) fn delta_below(c: &Config, units: u64) -> Found {
    let delta = c.privacy.delta.value();
    // Exact below 2^53 units.
    #[allow(clippy::cast_precision_loss, reason = "fewer than 2^53 units")]
    let below = 1.0 / units.max(1) as f64;
    if delta >= below { Err(("privacy.delta", Problem::DeltaTooLarge { delta, units, below })) } else { Ok(()) }
}

fn cohort(c: &Config) -> Found {
    let (n_min, max_corrupt) = (c.aggregation.n_min, c.aggregation.max_corrupt);
    if let Some(clients) = c.stated_clients()
        && clients < n_min
    {
        return Err(("aggregation.n_min", Problem::TooFewClients { n_min, clients }));
    }
    let honest = quorum(n_min, max_corrupt).saturating_sub(max_corrupt);
    if n_min < 2 || max_corrupt >= n_min || honest < 2 {
        return Err(("aggregation.n_min", Problem::TooFewHonest { n_min, max_corrupt, honest }));
    }
    Ok(())
}
