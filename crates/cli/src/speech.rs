//! From a config to speech: a cache, a corpus, or synthetic voices.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sottovoce_audio::synth::{self, SynthSpec};
use sottovoce_audio::{
    CorpusKind, ExtractOptions, POOLED_STATISTICS, Scan, cache, examples, extract, extract_to_memory, scan,
};
use sottovoce_config::{self as config, Config, Facts};
use sottovoce_types::{Examples, LabelSet, Utterance};

use crate::output::Output;

/// Utterances with what must be said of them.
pub struct Speech {
    /// The utterances, of every emotion that the corpus has.
    pub utterances: Vec<Utterance>,
    /// The corpus, in words.
    pub description: String,
    /// Whether it is synthetic.
    pub synthetic: bool,
}

impl Speech {
    /// Fixed-width examples of the config's labels, standardised as it says.
    pub fn examples(&self, config: &Config) -> Examples {
        examples(&self.utterances, &config.corpus.labels.set(), config.features.standardisation)
    }
}

/// The classes of a config.
pub fn labels(config: &Config) -> LabelSet {
    config.corpus.labels.set()
}

/// What the plan must know of the features.
pub fn facts(config: &Config) -> Facts {
    Facts { inputs: POOLED_STATISTICS * usize::from(config.features.n_mfcc) }
}

/// What is done to the audio before the features.
pub fn options(config: &Config) -> ExtractOptions {
    ExtractOptions { trim_db: config.corpus.trim_db }
}

/// Loads what the config names: its cache where that exists, else its corpus; synthetic voices are made in `workspace`.
pub fn load(config: &Config, workspace: &Path, output: &Output) -> Result<Speech> {
    let spec = config.features.spec();
    let options = options(config);
    let synthetic = config.corpus.kind == config::CorpusKind::Synthetic;
    let cache_path = config.corpus.cache.clone().or_else(|| synthetic.then(|| synthetic_cache(config, workspace)));
    if let Some(path) = cache_path.as_deref().filter(|p| p.exists()) {
        let (info, utterances) = cache::read(path, &spec, &options)
            .with_context(|| format!("the feature cache of [corpus] cannot be used ({})", path.display()))?;
        return Ok(described(info.kind, info.synthetic, utterances));
    }
    let root = match (&config.corpus.path, synthetic) {
        (Some(path), _) => path.clone(),
        (None, true) => synthesise(config, workspace, output)?,
        (None, false) => bail!(
            "[corpus] names neither a path nor an existing cache: set corpus.path to the folder of the recordings, or \
             make a cache by `sottovoce extract` and set corpus.cache"
        ),
    };
    let scan = scan(kind(config.corpus.kind), &root)?;
    report_skipped(&scan, output);
    let bar = output.progress("extracting MFCCs", scan.clips.len() as u64);
    let progress = |done: usize, _total: usize| bar.set_position(done as u64);
    let utterances = if let Some(path) = &cache_path {
        let report = extract(&scan, &spec, &options, path, &progress)?;
        for failed in &report.failed {
            output.remark(format!("left out {}: {}", failed.path.display(), failed.error));
        }
        cache::read(path, &spec, &options)?.1
    } else {
        let extracted = extract_to_memory(&scan, &spec, &options, &progress)?;
        for failed in &extracted.failed {
            output.remark(format!("left out {}: {}", failed.path.display(), failed.error));
        }
        extracted.utterances
    };
    bar.finish_and_clear();
    Ok(described(scan.kind, synth::is_synthetic(&root), utterances))
}

/// The corpus reader that a config names.
pub fn kind(kind: config::CorpusKind) -> CorpusKind {
    match kind {
        // The synthetic corpus has CREMA-D's layout.
        config::CorpusKind::Synthetic | config::CorpusKind::CremaD => CorpusKind::CremaD,
        config::CorpusKind::Ravdess => CorpusKind::Ravdess,
        config::CorpusKind::Auto => CorpusKind::Auto,
    }
}

/// Says how many files are no clips, and the first few by name.
pub fn report_skipped(scan: &Scan, output: &Output) {
    for skipped in scan.skipped.iter().take(10) {
        output.remark(format!("skipped {}: {}", skipped.path.display(), skipped.reason));
    }
    if scan.skipped.len() > 10 {
        output.remark(format!("… and {} more (`sottovoce corpus check` lists all)", scan.skipped.len() - 10));
    }
}

fn described(kind: CorpusKind, synthetic: bool, utterances: Vec<Utterance>) -> Speech {
    Speech { utterances, description: corpus_name(kind, synthetic), synthetic }
}

fn corpus_name(kind: CorpusKind, synthetic: bool) -> String {
    match (synthetic, kind) {
        (true, _) => "synthetic voices (CREMA-D-shaped; says nothing about emotion in human speech)".to_owned(),
        (false, CorpusKind::CremaD) => "CREMA-D, intended labels".to_owned(),
        (false, CorpusKind::Ravdess) => "RAVDESS (CC BY-NC-SA 4.0), intended labels".to_owned(),
        (false, other) => other.name().to_owned(),
    }
}

fn synthetic_spec(config: &Config) -> SynthSpec {
    SynthSpec {
        speakers: config.corpus.synth_speakers,
        sentences: config.corpus.synth_sentences,
        seed: config.partition.seed,
    }
}

/// The features' digest is in the name, so that a changed config makes a new cache beside the old one.
fn synthetic_cache(config: &Config, workspace: &Path) -> PathBuf {
    let SynthSpec { speakers, sentences, seed, .. } = synthetic_spec(config);
    let digest = config.features_digest().to_string();
    workspace.join(format!("synthetic-{speakers}x{sentences}-{seed}-{}.h5", &digest[..12]))
}

fn synthesise(config: &Config, workspace: &Path, output: &Output) -> Result<PathBuf> {
    let spec = synthetic_spec(config);
    let root = workspace.join(format!("synthetic-{}x{}-{}", spec.speakers, spec.sentences, spec.seed));
    let bar = output.progress("synthesising voices", 0);
    synth::write_corpus(&root, &spec, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(root)
}
