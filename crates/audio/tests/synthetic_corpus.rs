//! The embedded corpus: the same bytes for the same seed, and about as hard as acted human speech.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_precision_loss, reason = "shares of small counts")]

use std::collections::BTreeMap;
use std::path::Path;

use sottovoce_audio::synth::{SynthError, SynthSpec, is_synthetic, write_corpus};
use sottovoce_audio::{CorpusKind, ExtractOptions, Labelling, examples, extract_to_memory, scan};
use sottovoce_types::{Digest, Examples, FeatureSpec, LabelSet, Standardisation};
use tempfile::TempDir;

fn digests(root: &Path) -> BTreeMap<String, Digest> {
    let mut out = BTreeMap::new();
    for folder in [root.to_owned(), root.join("AudioWAV")] {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()) {
            let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
            out.insert(name, Digest::of(&std::fs::read(entry).unwrap()));
        }
    }
    out
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, seed| {
        let root = folder.path().join(name);
        let report = write_corpus(&root, &SynthSpec { speakers: 2, sentences: 2, seed }, &|_, _| ()).unwrap();
        assert_eq!(report.clips, 24);
        digests(&root)
    };
    let first = write("a", 1);
    assert_eq!(first.len(), 26, "24 clips, demographics, readme");
    assert_eq!(first, write("b", 1));
    let other = write("c", 2);
    assert!(first.iter().filter(|(name, _)| name.starts_with("100")).all(|(name, digest)| other[name] != *digest));
    assert_eq!(first, write("a", 1), "writing again into the same folder is the same corpus");
}

#[test]
fn a_folder_that_holds_anything_else_is_refused() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("1001_DFA_ANG_XX.wav"), b"someone's").unwrap();
    let spec = SynthSpec { speakers: 1, sentences: 1, seed: 1 };
    assert!(matches!(write_corpus(folder.path(), &spec, &|_, _| ()), Err(SynthError::NotOurs { .. })));
    let fresh = folder.path().join("fresh");
    write_corpus(&fresh, &spec, &|_, _| ()).unwrap();
    assert!(is_synthetic(&fresh) && !is_synthetic(folder.path()));
    let other = SynthSpec { seed: 2, ..spec };
    assert!(
        matches!(write_corpus(&fresh, &other, &|_, _| ()), Err(SynthError::NotOurs { .. })),
        "another seed's folder"
    );
}

#[test]
fn it_is_read_as_crema_d_and_known_as_synthetic() {
    let folder = TempDir::new().unwrap();
    write_corpus(folder.path(), &SynthSpec { speakers: 2, sentences: 1, seed: 1 }, &|_, _| ()).unwrap();
    for path in [folder.path().to_owned(), folder.path().join("AudioWAV")] {
        let scan = scan(CorpusKind::Auto, &path, Labelling::default()).unwrap();
        assert_eq!(
            (scan.kind, scan.clips.len(), scan.skipped.len(), scan.synthetic),
            (CorpusKind::CremaD, 12, 0, true)
        );
        assert!(scan.clips.iter().all(|c| c.annotation.sex.is_some()));
    }
}

/// Softmax regression by gradient descent on features brought to mean 0 and variance 1 over the training set.
struct Probe {
    scale: Vec<(f32, f32)>,
    weights: Vec<Vec<f32>>,
}

impl Probe {
    fn train(set: &Examples, classes: usize) -> Self {
        let n = set.len() as f32;
        let scale: Vec<(f32, f32)> = (0..set.width)
            .map(|k| {
                let mean = (0..set.len()).map(|i| set.row(i)[k]).sum::<f32>() / n;
                let variance = (0..set.len()).map(|i| (set.row(i)[k] - mean).powi(2)).sum::<f32>() / n;
                (mean, variance.sqrt().max(1e-6))
            })
            .collect();
        let mut probe = Self { scale, weights: vec![vec![0.0; set.width + 1]; classes] };
        let rows: Vec<Vec<f32>> = (0..set.len()).map(|i| probe.input(set.row(i))).collect();
        for _ in 0..150 {
            let mut gradient = vec![vec![0.0f32; set.width + 1]; classes];
            for (row, &label) in rows.iter().zip(&set.labels) {
                let scores = probe.scores(row);
                let top = scores.iter().copied().fold(f32::MIN, f32::max);
                let total: f32 = scores.iter().map(|s| (s - top).exp()).sum();
                for (class, score) in scores.iter().enumerate() {
                    let error = (score - top).exp() / total - f32::from(u8::from(class == usize::from(label)));
                    gradient[class].iter_mut().zip(row).for_each(|(g, x)| *g += error * x / n);
                }
            }
            for (weights, gradient) in probe.weights.iter_mut().zip(&gradient) {
                weights.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.3 * (g + 1e-3 * *w));
            }
        }
        probe
    }

    fn input(&self, row: &[f32]) -> Vec<f32> {
        row.iter().zip(&self.scale).map(|(x, (mean, deviation))| (x - mean) / deviation).chain([1.0]).collect()
    }

    fn scores(&self, input: &[f32]) -> Vec<f32> {
        self.weights.iter().map(|w| w.iter().zip(input).map(|(w, x)| w * x).sum()).collect()
    }

    fn accuracy(&self, set: &Examples) -> f64 {
        let right = (0..set.len()).filter(|&i| {
            let scores = self.scores(&self.input(set.row(i)));
            let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            best == usize::from(set.labels[i])
        });
        right.count() as f64 / set.len() as f64
    }
}

/// Mean over three folds of unseen speakers.
fn probe_accuracy(set: &Examples) -> f64 {
    let speakers = set.speakers();
    let fold_of = |speaker: &str| speakers.iter().position(|s| s == speaker).unwrap() / 2 % 3; // pairs: both sexes in each
    let accuracy = |fold: usize| {
        let probe = Probe::train(&set.filter(|m| fold_of(&m.speaker) != fold), 5);
        probe.accuracy(&set.filter(|m| fold_of(&m.speaker) == fold))
    };
    (0..3).map(accuracy).sum::<f64>() / 3.0
}

#[test]
fn emotions_of_unseen_actors_are_told_apart_about_as_well_as_in_acted_speech() {
    let folder = TempDir::new().unwrap();
    write_corpus(folder.path(), &SynthSpec { speakers: 24, sentences: 5, seed: 1 }, &|_, _| ()).unwrap();
    let scan = scan(CorpusKind::Auto, folder.path(), Labelling::default()).unwrap();
    let extracted = extract_to_memory(&scan, &FeatureSpec::default(), &ExtractOptions::default(), &|_, _| ()).unwrap();
    let set = |standardisation| examples(&extracted.utterances, &LabelSet::five(), standardisation);
    let raw = probe_accuracy(&set(Standardisation::None));
    let standardised = probe_accuracy(&set(Standardisation::PerSpeaker));
    // Broad on purpose: it must be learnable (chance is 0.2), not trivial, and speakers must differ.
    assert!((0.45..0.75).contains(&raw), "raw {raw:.3}, standardised {standardised:.3}");
    assert!((0.50..0.82).contains(&standardised), "raw {raw:.3}, standardised {standardised:.3}");
    assert!(standardised > raw, "raw {raw:.3}, standardised {standardised:.3}");
    // The control: with labels that mean nothing the same probe finds nothing.
    let mut shuffled = set(Standardisation::PerSpeaker);
    let n = shuffled.len();
    shuffled.labels = (0..n).map(|i| u16::from(Digest::of(&i.to_le_bytes()).0[0]) % 5).collect();
    let chance = probe_accuracy(&shuffled);
    assert!((0.1..0.3).contains(&chance), "{chance:.3} on labels that mean nothing");
}
