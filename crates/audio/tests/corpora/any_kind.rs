//! Telling the kinds apart, and what is none of them.
use sottovoce_audio::{CorpusKind, Labelling, ScanError, scan};
use tempfile::TempDir;

use crate::{touch, write};

fn recognised(files: &[&str]) -> Result<CorpusKind, ScanError> {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), files);
    scan(CorpusKind::Auto, folder.path(), Labelling::default()).map(|scan| scan.kind)
}

#[test]
fn a_folder_that_is_no_corpus_is_an_error_with_an_example_of_every_kind() {
    for files in [&["holiday.wav"][..], &["takes/a01.wav", "a02.wav"], &[]] {
        let error = recognised(files).unwrap_err();
        assert!(matches!(error, ScanError::Unrecognised { files: n, .. } if n == files.len()), "{error}");
        for kind in CorpusKind::SUPPORTED {
            assert!(error.to_string().contains(&format!("{kind}: ")), "{error}");
        }
    }
}

#[test]
fn a_corpus_of_another_kind_than_asked_for_is_an_error_that_counts_what_is_there() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["holiday.wav", "holiday.mp3"]);
    for kind in CorpusKind::SUPPORTED {
        let error = scan(kind, folder.path(), Labelling::default()).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
        if !matches!(kind, CorpusKind::Iemocap | CorpusKind::Manifest) {
            assert!(error.contains("1 not audio, 1 odd name"), "{error}");
        }
    }
}

#[test]
fn a_path_that_is_missing_or_no_folder_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["file.wav"]);
    for kind in CorpusKind::SUPPORTED.into_iter().chain([CorpusKind::Auto]).filter(|k| *k != CorpusKind::Manifest) {
        for name in ["none", "file.wav"] {
            let error = scan(kind, &folder.path().join(name), Labelling::default()).unwrap_err();
            assert!(matches!(&error, ScanError::Io { path, .. } if path.ends_with(name)), "{kind}: {error}");
        }
    }
    let error = scan(CorpusKind::Auto, &folder.path().join("none.csv"), Labelling::default()).unwrap_err();
    assert!(error.to_string().contains("none.csv"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_listed_is_an_error_that_names_it_and_not_a_smaller_corpus() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["Actor_01/03-01-05-02-01-01-01.wav", "Actor_02/03-01-05-02-01-01-02.wav"]);
    let closed = folder.path().join("Actor_02");
    let permit = |mode| std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
    permit(0o000);
    // The superuser lists every folder: then there is nothing to refuse.
    let refused = std::fs::read_dir(&closed).is_err();
    let found = scan(CorpusKind::Ravdess, folder.path(), Labelling::default());
    permit(0o700);
    match found {
        Err(ScanError::Io { path, .. }) => assert!(refused && path == closed),
        other => assert!(!refused && other.unwrap().clips.len() == 2),
    }
}

#[test]
fn the_kind_that_most_names_fit_is_taken_and_of_equals_the_first() {
    let (crema_d, emodb, tess) = ("1001_DFA_ANG_XX.wav", "03a01Fa.wav", "OAF_back_angry.wav");
    assert_eq!(recognised(&[crema_d, tess, emodb, "03a01Wa.wav"]).unwrap(), CorpusKind::Emodb);
    assert_eq!(recognised(&[crema_d, tess, emodb]).unwrap(), CorpusKind::CremaD);
    assert_eq!(recognised(&[tess, emodb]).unwrap(), CorpusKind::Emodb);
    assert_eq!(recognised(&["DC_a01.wav", "notes.wav"]).unwrap(), CorpusKind::Savee);
}

#[test]
fn a_manifest_beside_a_known_corpus_does_not_replace_it() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["Actor_01/03-01-05-01-01-01-01.wav"]);
    let row = "path,speaker,sex,emotion\nActor_01/03-01-05-01-01-01-01.wav,01,,angry\n";
    write(folder.path(), "manifest.csv", row);
    let auto = scan(CorpusKind::Auto, folder.path(), Labelling::default()).unwrap();
    assert_eq!(auto.kind, CorpusKind::Ravdess);
    let asked = scan(CorpusKind::Manifest, folder.path(), Labelling::default()).unwrap();
    assert_eq!((asked.kind, asked.clips[0].annotation.speaker.as_str()), (CorpusKind::Manifest, "01"));
}
