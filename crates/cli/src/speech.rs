//! From a config to speech: a cache, a corpus, or synthetic voices.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sottovoce_audio::synth::{self, SynthSpec};
use sottovoce_audio::{
    CacheError, CorpusKind, ExtractError, Failed, FrontEnd, LabelSource, Labelling, Scaling, Scan, ScanError, cache,
    examples, extract, extract_to_memory, scan,
};
use sottovoce_config::{self as config, Config};
use sottovoce_types::{Digest, Emotion, Examples, LabelSet, Utterance};

use crate::exit::usage;
use crate::output::Output;

/// No corpus of ours takes longer on one core.
const LONGEST_EXTRACTION: Duration = Duration::from_mins(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

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
    /// Examples of the config's labels, as its model reads them, on the scale that it asks for.
    pub fn examples(&self, config: &Config) -> Examples {
        examples(&self.utterances, &config.corpus.label_set(), config.model_spec().input_kind(), &scaling(config))
    }
}

/// The classes of a config.
pub fn labels(config: &Config) -> LabelSet {
    config.corpus.label_set()
}

/// How the config brings features to one scale.
pub fn scaling(config: &Config) -> Scaling {
    let scaling = Scaling::of(config.features.standardisation, &config.features.spec());
    scaling.expect("the front end was built before there were utterances to scale")
}

/// The config's front end; a spec that cannot be followed is the config's fault.
pub fn front_end(config: &Config) -> Result<FrontEnd> {
    FrontEnd::new(&config.features.spec()).map_err(|e| usage(e.to_string()))
}

/// Loads what the config names: its cache where that exists, else its corpus; synthetic voices are made in `workspace`.
pub fn load(config: &Config, workspace: &Path, output: &Output) -> Result<Speech> {
    let spec = front_end(config)?.spec().clone();
    let synthetic = config.corpus.kind == config::CorpusKind::Synthetic;
    // Recordings that are named are never taken for the synthetic ones that would be made without them.
    let made_here = synthetic && config.corpus.path.is_none();
    let cache_path = config.corpus.cache.clone().or_else(|| made_here.then(|| synthetic_cache(config, workspace)));
    if let Some(path) = cache_path.as_deref().filter(|p| p.exists()) {
        let (info, utterances) = cache::read(path, &spec).map_err(|e| cache_error(path, e))?;
        let named = kind(config.corpus.kind);
        if !synthetic && named != CorpusKind::Auto && named != info.kind {
            return Err(usage(format!(
                "{}: holds {}, and corpus.kind = \"{named}\": name its own cache, or change corpus.kind",
                path.display(),
                info.kind
            )));
        }
        if !same_labels(info.kind, info.label_source, config.corpus.labelling) {
            return Err(usage(format!(
                "{}: its labels are {}, and corpus.labelling = \"{}\": extract again, or change corpus.labelling",
                path.display(),
                info.label_source.name(),
                config.corpus.labelling.name()
            )));
        }
        return described(config, info.kind, info.label_source, info.synthetic, utterances, output);
    }
    let root = match (&config.corpus.path, synthetic) {
        (Some(path), _) => path.clone(),
        (None, true) => synthesise(config, workspace, output)?,
        (None, false) => {
            return Err(usage(
                "[corpus] names neither a path nor an existing cache: set corpus.path to the folder of the recordings, or \
                 make a cache by `sottovoce extract` and set corpus.cache",
            ));
        }
    };
    let scan = scan(kind(config.corpus.kind), &root, config.corpus.labelling).map_err(scan_error)?;
    report_skipped(&scan, output);
    let bar = output.progress("extracting MFCCs", scan.clips.len() as u64);
    let progress = |done: usize, _total: usize| bar.set_position(done as u64);
    let utterances = if let Some(path) = &cache_path {
        let report = when_free(path, output, || extract(&scan, &spec, path, &progress))?;
        report_failed(&report.failed, output);
        cache::read(path, &spec)?.1
    } else {
        let extracted = extract_to_memory(&scan, &spec, &progress)?;
        report_failed(&extracted.failed, output);
        extracted.utterances
    };
    bar.finish_and_clear();
    described(config, scan.kind, scan.label_source, scan.synthetic, utterances, output)
}

/// Extracts as soon as no other process, and no other cell of a sweep, extracts to the same cache: what that one wrote is then reused.
fn when_free<T>(path: &Path, output: &Output, extract: impl Fn() -> Result<T, ExtractError>) -> Result<T> {
    let began = Instant::now();
    loop {
        match extract() {
            Err(ExtractError::Busy { .. }) if began.elapsed() < LONGEST_EXTRACTION => {
                if began.elapsed() < BETWEEN_LOOKS {
                    output.remark(format!("another extraction writes {}: waiting for it", path.display()));
                }
                std::thread::sleep(BETWEEN_LOOKS);
            }
            other => return Ok(other?),
        }
    }
}

/// Asking a corpus for labels that it does not have is the config's fault, or the command line's; the rest is the disk's.
pub fn scan_error(error: ScanError) -> anyhow::Error {
    match error {
        ScanError::Labelling { .. } | ScanError::Votes { .. } => usage(error.to_string()),
        other => other.into(),
    }
}

/// Another spec than the cache's is the config's fault; damage is not.
fn cache_error(path: &Path, error: CacheError) -> anyhow::Error {
    let context = format!("the feature cache of [corpus] cannot be used ({})", path.display());
    match error {
        CacheError::OtherSpec { .. } => usage(format!("{context}: {error}")),
        other => anyhow::Error::new(other).context(context),
    }
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

/// Whether a cache's labels are those that a config asks for.
fn same_labels(kind: CorpusKind, labels: LabelSource, wanted: Labelling) -> bool {
    match wanted {
        // What that is depends on the corpus; on CREMA-D it is not what listeners heard.
        Labelling::Intended => kind != CorpusKind::CremaD || labels == LabelSource::Intended,
        Labelling::Voice => labels == LabelSource::VoiceMajority,
        Labelling::Multimodal => labels == LabelSource::MultimodalMajority,
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
    let utterances = each_recording_once(utterances, output)?;
    if kind == CorpusKind::Iemocap
        && config.corpus.kind != config::CorpusKind::Iemocap
        && config.corpus.labels == config::Labels::Auto
    {
        return Err(usage(
            "this is IEMOCAP, which has its own classes: set corpus.kind = \"iemocap\" for the usual four, or set corpus.labels",
        ));
    }
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

/// A recording that is there twice could be trained on and, as its copy, tested on or held out for a membership audit. Copies are known
/// by their features before standardisation, so that one in another file format is found, too. A speaker's own copies count once;
/// one recording under two speakers' names is an error, since nobody can say whose it is.
fn each_recording_once(utterances: Vec<Utterance>, output: &Output) -> Result<Vec<Utterance>> {
    let mut seen: HashMap<Digest, (String, String)> = HashMap::new();
    let mut kept = Vec::with_capacity(utterances.len());
    for u in utterances {
        let bytes: Vec<u8> = u.mfcc.iter().flat_map(|v| v.to_le_bytes()).collect();
        let features = Digest::of(&bytes);
        match seen.get(&features) {
            // Digital silence is the same everywhere and tells nobody apart.
            _ if u.mfcc.chunks_exact(u.width).all(|frame| frame == &u.mfcc[..u.width]) => kept.push(u),
            None => {
                seen.insert(features, (u.path.clone(), u.annotation.speaker.clone()));
                kept.push(u);
            }
            Some((path, speaker)) if *speaker == u.annotation.speaker => {
                output.remark(format!("left out {}: the same recording as {path}", u.path));
            }
            Some((path, speaker)) => bail!(
                "{path} (speaker {speaker}) and {} (speaker {}) are the same recording: it would be trained and tested on; remove \
                 one of them from the corpus",
                u.path,
                u.annotation.speaker
            ),
        }
    }
    Ok(kept)
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
    workspace.join(format!("synthetic-v{}-{speakers}x{sentences}-{seed}-{}.h5", synth::VERSION, &digest[..12]))
}

fn synthesise(config: &Config, workspace: &Path, output: &Output) -> Result<PathBuf> {
    let spec = synthetic_spec(config);
    let root =
        workspace.join(format!("synthetic-v{}-{}x{}-{}", synth::VERSION, spec.speakers, spec.sentences, spec.seed));
    let bar = output.progress("synthesising voices", 0);
    synth::write_corpus(&root, &spec, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(root)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::args::{Format, Global};

    #[test]
    fn a_cache_that_another_extraction_holds_is_waited_for_and_other_errors_are_not() {
        let output = Output::new(&Global {
            format: Format::Text,
            quiet: true,
            verbose: 0,
            color: sottovoce_config::Colour::Never,
        });
        let (path, tries) = (Path::new("a.h5"), Cell::new(0));
        let third_time = || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(ExtractError::Busy { path: path.to_owned() }) } else { Ok(tries.get()) }
        };
        assert_eq!(when_free(path, &output, third_time).unwrap(), 3);
        let never = || -> Result<(), ExtractError> {
            tries.set(tries.get() + 1);
            let source = std::io::ErrorKind::StorageFull.into();
            Err(CacheError::Io { path: path.to_owned(), action: "write", source }.into())
        };
        assert!(when_free(path, &output, never).is_err());
        assert_eq!(tries.get(), 4);
    }
}
