//! The embedded corpus: the same bytes for the same seed, and about as hard as acted human speech.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use sottovoce_audio::probe::{clip_folds, probe, relabelled, speaker_folds};
use sottovoce_audio::synth::{SynthError, SynthSpec, is_synthetic, write_corpus};
use sottovoce_audio::{CorpusKind, Labelling, Scaling, examples, extract_to_memory, scan};
use sottovoce_types::{Digest, Examples, FeatureSpec, InputKind, LabelSet};
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

fn corpus(folder: &TempDir, speakers: u32) -> Vec<sottovoce_types::Utterance> {
    write_corpus(folder.path(), &SynthSpec { speakers, sentences: 5, seed: 1 }, &|_, _| ()).unwrap();
    let scan = scan(CorpusKind::Auto, folder.path(), Labelling::default()).unwrap();
    extract_to_memory(&scan, &FeatureSpec::default(), &|_, _| ()).unwrap().utterances
}

#[test]
fn emotions_of_unseen_actors_are_told_apart_about_as_well_as_in_acted_speech() {
    let folder = TempDir::new().unwrap();
    let utterances = corpus(&folder, 24);
    let set = |standardisation| examples(&utterances, &LabelSet::five(), InputKind::Statistics, &standardisation);
    let read = |set: &Examples| probe(set, &speaker_folds(set, 3)).unwrap().accuracy;
    let raw = read(&set(Scaling::None));
    let standardised = read(&set(Scaling::PerSpeaker));
    // Broad on purpose: it must be learnable (chance is 0.2), not trivial, and speakers must differ.
    assert!((0.45..0.75).contains(&raw), "raw {raw:.3}, standardised {standardised:.3}");
    assert!((0.50..0.82).contains(&standardised), "raw {raw:.3}, standardised {standardised:.3}");
    assert!(standardised > raw, "raw {raw:.3}, standardised {standardised:.3}");
    // The control: with labels that mean nothing the same probe finds nothing.
    let mut shuffled = set(Scaling::PerSpeaker);
    let n = shuffled.len();
    shuffled.labels = (0..n).map(|i| u16::from(Digest::of(&i.to_le_bytes()).0[0]) % 5).collect();
    let chance = read(&shuffled);
    assert!((0.1..0.3).contains(&chance), "{chance:.3} on labels that mean nothing");
}

#[test]
fn sex_and_speaker_can_be_read_so_that_attacks_have_something_to_find() {
    let folder = TempDir::new().unwrap();
    let utterances = corpus(&folder, 24);
    let raw = examples(&utterances, &LabelSet::five(), InputKind::Statistics, &Scaling::None);
    let sex = relabelled(&raw, |m| m.sex);
    let of_sex = probe(&sex, &speaker_folds(&sex, 4)).unwrap();
    assert!(of_sex.uar > 0.8, "sex of unseen speakers: {of_sex:?}");
    let speaker = relabelled(&raw, |m| Some(m.speaker.clone()));
    let of_speaker = probe(&speaker, &clip_folds(&speaker, 5)).unwrap();
    assert!(of_speaker.accuracy > 8.0 * of_speaker.chance, "speaker of unseen clips: {of_speaker:?}");
    // The control: sex dealt out at random among speakers is not read.
    let dealt = relabelled(&raw, |m| Some(Digest::of(m.speaker.as_bytes()).0[0] % 2));
    let of_nothing = probe(&dealt, &speaker_folds(&dealt, 4)).unwrap();
    assert!(of_nothing.uar < 0.75, "a coin per speaker: {of_nothing:?}");
}
