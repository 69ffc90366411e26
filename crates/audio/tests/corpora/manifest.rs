use sottovoce_audio::{CorpusKind, LabelSource, Labelling, RowProblem, Scan, ScanError, SkipReason, scan};
use sottovoce_types::{Dimensions, Emotion, Sex};
use tempfile::TempDir;

use crate::{clip_names, touch, write};

fn problems(scan: &Scan) -> Vec<(u64, &RowProblem)> {
    let mut rows: Vec<_> = scan
        .skipped
        .iter()
        .map(|s| match &s.reason {
            SkipReason::Row { line, problem } => (*line, problem),
            other => panic!("{other}"),
        })
        .collect();
    rows.sort_by_key(|(line, _)| *line);
    rows
}

#[test]
fn a_missing_column_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["a.wav"]);
    for (column, header) in [("path", "file,speaker,emotion"), ("speaker", "path,emotion"), ("emotion", "path,speaker")]
    {
        write(folder.path(), "manifest.csv", &format!("{header}\na.wav,anna,happy\n"));
        let error = scan(CorpusKind::Manifest, folder.path(), Labelling::default()).unwrap_err();
        assert!(matches!(&error, ScanError::Column { column: named, .. } if *named == column), "{error}");
        let unlike_any = scan(CorpusKind::Auto, folder.path(), Labelling::default()).unwrap_err();
        assert!(matches!(unlike_any, ScanError::Unrecognised { .. }));
    }
    write(folder.path(), "manifest.csv", "path;speaker;emotion\na.wav;anna;happy\n");
    let error = scan(CorpusKind::Manifest, folder.path(), Labelling::default()).unwrap_err();
    assert!(error.to_string().contains("path;speaker;emotion"), "semicolons are seen in the message: {error}");
    std::fs::remove_file(folder.path().join("manifest.csv")).unwrap();
    let error = scan(CorpusKind::Manifest, folder.path(), Labelling::default()).unwrap_err();
    assert!(error.to_string().contains("manifest.csv"), "{error}");
}

#[test]
fn every_bad_row_is_listed_with_its_line_and_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["a.wav", "b.wav", "notes.txt", "deep/c.wav"]);
    let outside = folder.path().join("a.wav").display().to_string();
    let rows = [
        "path,speaker,emotion,sex,age_years,valence,activation,dominance",
        "a.wav,anna,happy,female,30,3,3.5,4",
        "b.wav,anna,Hapy,,,,,",
        "c.wav,anna,happy,,,,,",
        "./a.wav,ben,sad,,,,,",
        "b.wav,,happy,,,,,",
        "b.wav,ben,happy,F,,,,",
        "b.wav,ben,happy,,thirty,,,",
        "b.wav,ben,happy,,300,,,",
        "b.wav,ben,happy,,,3,,",
        "b.wav,ben,happy,,,3,3,inf",
        "../b.wav,ben,happy,,,,,",
        "deep/../b.wav,ben,happy,,,,,",
        &format!("{outside},ben,happy,,,,,"),
        "notes.txt,ben,happy,,,,,",
        "b.wav,ben,happy",
        "deep/c.wav,ben,joy,,,,,",
        "deep/c.wav , Ben ,Sad,MALE,,,,",
    ];
    write(folder.path(), "manifest.csv", &rows.join("\r\n"));
    let scan = scan(CorpusKind::Auto, folder.path(), Labelling::default()).unwrap();
    assert_eq!((scan.kind, scan.label_source), (CorpusKind::Manifest, LabelSource::Manifest));
    assert_eq!(scan.published(), None);
    let found = problems(&scan);
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), (3..=17).collect::<Vec<_>>());
    let wanted = [
        RowProblem::Emotion { emotion: "Hapy".to_owned(), nearest: "happy".to_owned() },
        RowProblem::Missing,
        RowProblem::Duplicate { first: 2 },
        RowProblem::Speaker,
        RowProblem::Sex("F".to_owned()),
        RowProblem::Age("thirty".to_owned()),
        RowProblem::Age("300".to_owned()),
        RowProblem::Dimensions,
        RowProblem::Dimensions,
        RowProblem::Outside,
        RowProblem::Outside,
        RowProblem::Outside,
        RowProblem::NotAudio,
        RowProblem::Fields { found: 3, wanted: 8 },
    ];
    assert_eq!(found[..14].iter().map(|(_, p)| (*p).clone()).collect::<Vec<_>>(), wanted);
    assert!(found[14].1.to_string().contains("angry, boredom, calm"), "an emotion like none: {}", found[14].1);
    assert_eq!(clip_names(&scan), ["a.wav", "deep/c.wav"]);
    let (a, c) = (&scan.clips[0].annotation, &scan.clips[1].annotation);
    assert_eq!(a.dimensions, Some(Dimensions { valence: 3.0, activation: 3.5, dominance: 4.0 }));
    assert_eq!((a.sex, a.age_years, a.emotion), (Some(Sex::Female), Some(30), Emotion::Happy));
    assert_eq!((c.speaker.as_str(), c.sex, c.emotion), ("Ben", Some(Sex::Male), Emotion::Sad));
}

#[test]
fn a_row_that_is_not_text_is_listed_and_the_next_is_read() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["a.wav"]);
    std::fs::write(folder.path().join("manifest.csv"), b"path,speaker,emotion\n\xff.wav,anna,sad\na.wav,anna,sad\n")
        .unwrap();
    let scan = scan(CorpusKind::Manifest, folder.path(), Labelling::default()).unwrap();
    assert_eq!((problems(&scan), scan.clips.len()), (vec![(2, &RowProblem::Text)], 1));
}

#[test]
fn any_csv_file_may_be_named_and_its_optional_columns_are_read_in_any_order() {
    let folder = TempDir::new().unwrap();
    touch(folder.path(), &["site/x.flac"]);
    let text = "\u{feff}Emotion,transcript,sentence,group,path,speaker\ncalm,\"Yes, well\",s1,ward,x.flac,p7\n";
    write(folder.path(), "site/ours.csv", text);
    let csv = folder.path().join("site/ours.csv");
    for kind in [CorpusKind::Auto, CorpusKind::Manifest] {
        let scan = scan(kind, &csv, Labelling::default()).unwrap();
        let a = &scan.clips[0].annotation;
        assert_eq!((a.emotion, a.group.as_deref(), a.sentence.as_str()), (Emotion::Calm, Some("ward"), "s1"));
        assert_eq!((a.transcript.as_deref(), scan.counts().groups["ward"]), (Some("Yes, well"), 1));
    }
    let error = scan(CorpusKind::Manifest, &csv, Labelling::Multimodal).unwrap_err();
    assert!(matches!(error, ScanError::Labelling { kind: CorpusKind::Manifest, .. }));
}
