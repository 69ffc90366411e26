//! From a config to speech: a cache, a corpus, or synthetic voices.
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sottovoce_audio::synth::{self, SynthSpec};
use sottovoce_audio::{
    CorpusKind, Failed, FrontEnd, LabelSource, Labelling, POOLED_STATISTICS, Scan, cache, examples, extract,
    extract_to_memory, scan,
};
use sottovoce_config::{self as config, Config, Facts};
use sottovoce_types::{Digest, Emotion, Examples, LabelSet, Utterance};

use crate::exit::usage;
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
        examples(&self.utterances, &config.corpus.label_set(), config.features.standardisation)
    }
}

/// The classes of a config.
pub fn labels(config: &Config) -> LabelSet {
    config.corpus.label_set()
}

/// What the plan must know of the features.
pub fn facts(config: &Config) -> Facts {
    Facts { inputs: POOLED_STATISTICS * config.features.spec().width() }
}

/// The config's front end; a spec that cannot be followed is the config's fault.
pub fn front_end(config: &Config) -> Result<FrontEnd> {
    FrontEnd::new(&config.features.spec()).map_err(|e| usage(e.to_string()))
}

/// Loads what the config names: its cache where that exists, else its corpus; synthetic voices are made in `workspace`.
pub fn load(config: &Config, workspace: &Path, output: &Output) -> Result<Speech> {
    let spec = front_end(config)?.spec().clone();
    let synthetic = config.corpus.kind == config::CorpusKind::Synthetic;
    let cache_path = config.corpus.cache.clone().or_else(|| synthetic.then(|| synthetic_cache(config, workspace)));
    if let Some(path) = cache_path.as_deref().filter(|p| p.exists()) {
        let (info, utterances) = cache::read(path, &spec)
            .with_context(|| format!("the feature cache of [corpus] cannot be used ({})", path.display()))?;
        if !same_labels(info.kind, info.labels, config.corpus.labelling) {
            return Err(usage(format!(
                "{}: its labels are {}, and corpus.labelling = \"{}\": extract again, or change corpus.labelling",
                path.display(),
                info.labels.name(),
                config.corpus.labelling.name()
            )));
        }
        return described(config, info.kind, info.labels, info.synthetic, utterances, output);
    }
    let root = match (&config.corpus.path, synthetic) {
        (Some(path), _) => path.clone(),
        (None, true) => synthesise(config, workspace, output)?,
        (None, false) => bail!(
            "[corpus] names neither a path nor an existing cache: set corpus.path to the folder of the recordings, or \
             make a cache by `sottovoce extract` and set corpus.cache"
        ),
    };
    let scan = scan(kind(config.corpus.kind), &root, labelling(config.corpus.labelling))?;
    report_skipped(&scan, output);
    let bar = output.progress("extracting MFCCs", scan.clips.len() as u64);
    let progress = |done: usize, _total: usize| bar.set_position(done as u64);
    let utterances = if let Some(path) = &cache_path {
        let report = extract(&scan, &spec, path, &progress)?;
        report_failed(&report.failed, output);
        cache::read(path, &spec)?.1
    } else {
        let extracted = extract_to_memory(&scan, &spec, &progress)?;
        report_failed(&extracted.failed, output);
        extracted.utterances
    };
    bar.finish_and_clear();
    described(config, scan.kind, scan.labels, scan.synthetic, utterances, output)
}

/// The corpus reader that a config names.
pub fn kind(kind: config::CorpusKind) -> CorpusKind {
    match kind {
        // The synthetic corpus has CREMA-D's layout.
        config::CorpusKind::Synthetic | config::CorpusKind::CremaD => CorpusKind::CremaD,
        config::CorpusKind::Iemocap => CorpusKind::Iemocap,
        config::CorpusKind::Ravdess => CorpusKind::Ravdess,
        config::CorpusKind::Emodb => CorpusKind::Emodb,
        config::CorpusKind::Savee => CorpusKind::Savee,
        config::CorpusKind::Tess => CorpusKind::Tess,
        config::CorpusKind::Manifest => CorpusKind::Manifest,
        config::CorpusKind::Auto => CorpusKind::Auto,
    }
}

/// The labelling that a config names.
pub fn labelling(labelling: config::Labelling) -> Labelling {
    match labelling {
        config::Labelling::Intended => Labelling::Intended,
        config::Labelling::Voice => Labelling::VoiceMajority,
        config::Labelling::Multimodal => Labelling::MultimodalMajority,
    }
}

/// Whether a cache's labels are those that a config asks for.
fn same_labels(kind: CorpusKind, labels: LabelSource, wanted: config::Labelling) -> bool {
    match wanted {
        // What that is depends on the corpus; on CREMA-D it is not what listeners heard.
        config::Labelling::Intended => kind != CorpusKind::CremaD || labels == LabelSource::Intended,
        config::Labelling::Voice => labels == LabelSource::VoiceMajority,
        config::Labelling::Multimodal => labels == LabelSource::MultimodalMajority,
    }
}

fn report_failed(failed: &[Failed], output: &Output) {
    for failed in failed {
        output.remark(format!("left out {}: {}", failed.path.display(), failed.error));
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

fn described(
    config: &Config,
    kind: CorpusKind,
    labels: LabelSource,
    synthetic: bool,
    utterances: Vec<Utterance>,
    output: &Output,
) -> Result<Speech> {
    one_speaker_a_recording(&utterances)?;
    let set = config.corpus.label_set();
    let used = utterances.iter().filter(|u| set.index_of(u.annotation.emotion).is_some()).count();
    if used == 0 {
        return Err(usage(format!(
            "none of the {} utterances has an emotion of corpus.labels ({})",
            utterances.len(),
            set.names().join(", ")
        )));
    }
    if kind == CorpusKind::Iemocap && set.index_of(Emotion::Fear).is_some() {
        let fear = utterances.iter().filter(|u| u.annotation.emotion == Emotion::Fear).count();
        output.remark(format!(
            "IEMOCAP has {fear} clips of fear among {used}: its recall means little. corpus.labels = \"four\" is the usual task."
        ));
    }
    Ok(Speech { utterances, description: corpus_name(kind, labels, synthetic), synthetic })
}

/// The same recording under two speakers' names would stand in training and in test, whatever the split; after standardisation per
/// speaker its features differ, so it is known by the file's digest.
fn one_speaker_a_recording(utterances: &[Utterance]) -> Result<()> {
    let mut seen: HashMap<Digest, &Utterance> = HashMap::new();
    for u in utterances {
        let first = seen.entry(u.sha256).or_insert(u);
        if first.annotation.speaker != u.annotation.speaker {
            bail!(
                "{} (speaker {}) and {} (speaker {}) are the same recording: it would be trained and tested on; remove one of \
                 them from the corpus",
                first.path,
                first.annotation.speaker,
                u.path,
                u.annotation.speaker
            );
        }
    }
    Ok(())
}

/// A corpus in words, with what must be said beside every result on it.
pub fn corpus_name(kind: CorpusKind, labels: LabelSource, synthetic: bool) -> String {
    if synthetic {
        return "synthetic voices (CREMA-D-shaped; says nothing about emotion in human speech)".to_owned();
    }
    let corpus = match kind {
        CorpusKind::CremaD => "CREMA-D",
        CorpusKind::Iemocap => "IEMOCAP",
        CorpusKind::Ravdess => "RAVDESS (CC BY-NC-SA 4.0)",
        CorpusKind::Emodb => "Emo-DB",
        CorpusKind::Savee => "SAVEE",
        CorpusKind::Tess => "TESS",
        CorpusKind::Manifest => "recordings of a manifest",
        CorpusKind::Auto => "a corpus",
    };
    let labels = match labels {
        LabelSource::Intended => "intended labels",
        LabelSource::VoiceMajority => "labels by most of those who heard the voice",
        LabelSource::MultimodalMajority => "labels by most of those who heard and saw it",
        LabelSource::RaterMajority => "labels by most of its raters",
        LabelSource::Manifest => "labels of the manifest",
    };
    format!("{corpus}, {labels}")
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
