//! IEMOCAP (Busso et al. 2008): `Session1/sentences/wav/<dialog>/<utterance>.wav`, labelled by the majority of its raters
//! in `Session1/dialog/EmoEvaluation/<dialog>.txt`.
//!
//! An utterance is `Ses01F_impro05_M003`: session, who wore the markers (not who speaks), dialog, who speaks and the
//! number of the turn. The speaker is the session with the letter of the last part: here Ses01M.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sottovoce_types::{Annotation, Dimensions, Emotion, Sex};

use super::files::{Reading, empty, folder, gather, not_empty, stem, walk};
use super::{CorpusKind, LabelSource, Scan, ScanError, SkipReason, Skipped};

const FORM: &str = "<session><F or M>_<dialog>_<F or M><number>, as in Ses01F_impro01_F000";
const SESSIONS: [&str; 5] = ["Session1", "Session2", "Session3", "Session4", "Session5"];

pub(super) fn scan(path: &Path) -> Result<Scan, ScanError> {
    let (root, folders) = sessions(path)?;
    let mut scan = empty(CorpusKind::Iemocap, LabelSource::RaterMajority, &root);
    let mut sessions = Vec::new();
    for folder in folders {
        sessions.push(Session::load(folder, &mut scan.skipped)?);
    }
    // All sessions at once, so that a recording copied into a second one is seen to be a duplicate.
    let recordings: Vec<PathBuf> = sessions.iter().flat_map(|s| s.recordings.iter().cloned()).collect();
    let session_of = |file: &Path| sessions.iter().find(|s| file.starts_with(&s.folder));
    gather(&mut scan, &root, recordings, |file| {
        session_of(file).ok_or(SkipReason::Name { expected: FORM }).and_then(|session| session.read(file))
    });
    for session in &sessions {
        session.list_labels_without_recording(&mut scan.skipped);
    }
    not_empty(scan, path)
}

/// Whether the file lies and is named as in this corpus.
pub(super) fn fits(path: &Path) -> bool {
    let above = |n: usize, name: &str| path.ancestors().nth(n).is_some_and(|a| a.ends_with(name));
    if above(1, "dialog/EmoEvaluation") {
        return dialog(&stem(path)).is_some() && path.extension().is_some_and(|e| e == "txt");
    }
    above(2, "sentences/wav") && Utterance::parse(&stem(path)).is_some()
}

/// The folder of the sessions, and the sessions in it: `path` itself, or the first folder in it that has any. A site may
/// hold some sessions only.
fn sessions(path: &Path) -> Result<(PathBuf, Vec<PathBuf>), ScanError> {
    let in_folder = |root: &Path| -> Vec<PathBuf> {
        SESSIONS
            .iter()
            .map(|s| root.join(s))
            .filter(|s| s.join("dialog").is_dir() || s.join("sentences").is_dir())
            .collect()
    };
    let io = |source| ScanError::Io { path: path.to_owned(), source };
    let mut roots = vec![path.to_owned()];
    for entry in std::fs::read_dir(path).map_err(io)? {
        roots.push(entry.map_err(io)?.path());
    }
    roots[1..].sort();
    let found = roots.into_iter().map(|root| (in_folder(&root), root)).find(|(sessions, _)| !sessions.is_empty());
    found.map(|(sessions, root)| (root, sessions)).ok_or_else(|| ScanError::NoSessions { path: path.to_owned() })
}

/// One session's folder: its recordings and what its text files say of them.
struct Session {
    folder: PathBuf,
    recordings: Vec<PathBuf>,
    /// Dialogs that have a file of labels.
    dialogs: BTreeSet<String>,
    labels: BTreeMap<String, Label>,
    transcripts: BTreeMap<String, String>,
}

impl Session {
    /// Reads the text files and lists the recordings; lines that cannot be read go to `skipped`.
    fn load(folder: PathBuf, skipped: &mut Vec<Skipped>) -> Result<Self, ScanError> {
        let sound = folder.join("sentences").join("wav");
        let recordings = if sound.is_dir() { walk(&sound)? } else { Vec::new() };
        let mut session = Self {
            recordings,
            dialogs: BTreeSet::new(),
            labels: BTreeMap::new(),
            transcripts: BTreeMap::new(),
            folder,
        };
        for file in dialog_files(&session.folder.join("dialog").join("EmoEvaluation"))? {
            session.read_labels(&file, skipped)?;
        }
        for file in dialog_files(&session.folder.join("dialog").join("transcriptions"))? {
            session.transcripts.extend(text(&file)?.lines().filter_map(transcript));
        }
        Ok(session)
    }

    fn read_labels(&mut self, file: &Path, skipped: &mut Vec<Skipped>) -> Result<(), ScanError> {
        self.dialogs.insert(stem(file));
        for (number, line) in text(file)?.lines().enumerate() {
            // Other lines are the heading and each rater's own opinion.
            if !line.starts_with('[') {
                continue;
            }
            let read = label(line).and_then(|(utterance, label)| {
                if self.of_another_session(&utterance) {
                    return Err("its utterance is of another session");
                }
                if self.labels.contains_key(&utterance.name) {
                    return Err("its utterance was labelled before");
                }
                Ok((utterance.name, label))
            });
            match read {
                Ok((utterance, label)) => drop(self.labels.insert(utterance, label)),
                Err(why) => {
                    let reason = SkipReason::LabelLine { line: number + 1, why };
                    skipped.push(Skipped { path: file.to_owned(), reason });
                }
            }
        }
        Ok(())
    }

    fn of_another_session(&self, utterance: &Utterance) -> bool {
        !self.folder.as_os_str().to_string_lossy().ends_with(&utterance.session[4..])
    }

    fn read(&self, file: &Path) -> Result<Reading, SkipReason> {
        let utterance = Utterance::parse(&stem(file)).ok_or(SkipReason::Name { expected: FORM })?;
        if self.of_another_session(&utterance) {
            let folder = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(SkipReason::Folder { name: utterance.session, folder });
        }
        let Some(label) = self.labels.get(&utterance.name) else {
            let dialog = folder(file);
            let labelled = self.dialogs.contains(&dialog);
            return Err(if labelled { SkipReason::NoLabel { dialog } } else { SkipReason::NoEvaluation { dialog } });
        };
        let annotation = Annotation {
            sex: Some(utterance.sex),
            group: Some(utterance.session),
            sentence: utterance.sentence,
            transcript: self.transcripts.get(&utterance.name).cloned(),
            dimensions: Some(label.dimensions),
            ..Annotation::new(utterance.speaker, emotion(&label.code)?)
        };
        Ok(Reading { id: utterance.name, annotation })
    }

    fn list_labels_without_recording(&self, skipped: &mut Vec<Skipped>) {
        let recorded: BTreeSet<String> = self.recordings.iter().map(|file| stem(file)).collect();
        for utterance in self.labels.keys().filter(|u| !recorded.contains(*u)) {
            let dialog = utterance.rsplit_once('_').map_or("", |(dialog, _)| dialog);
            let path = self.folder.join("sentences").join("wav").join(dialog).join(format!("{utterance}.wav"));
            skipped.push(Skipped { path, reason: SkipReason::NoAudio });
        }
    }
}

/// The dialogs' text files directly in `folder`: not macOS's `._` files, nor the folders of single raters (Attribute,
/// Categorical, Self-evaluation). None if the folder is not there.
fn dialog_files(folder: &Path) -> Result<Vec<PathBuf>, ScanError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let io = |source| ScanError::Io { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == "txt") && dialog(&stem(&path)).is_some() && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A text file; raters' comments are not all UTF-8.
fn text(file: &Path) -> Result<String, ScanError> {
    let bytes = std::fs::read(file).map_err(|source| ScanError::Io { path: file.to_owned(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

struct Label {
    code: String,
    dimensions: Dimensions,
}

/// `[140.2250 - 145.6000]\tSes01F_impro05_F019\tang\t[1.5000, 4.0000, 4.5000]`: start and end, utterance, label,
/// and valence, activation, dominance.
fn label(line: &str) -> Result<(Utterance, Label), &'static str> {
    let fields: Vec<&str> = line.trim_end().split('\t').map(str::trim).collect();
    let [_, utterance, code, numbers] = fields[..] else {
        return Err("it does not have four fields with tabs between them");
    };
    let utterance = Utterance::parse(utterance).ok_or("its second field is no utterance, as Ses01F_impro05_F019 is")?;
    let numbers = numbers.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let numbers: Option<Vec<f32>> = numbers.and_then(|n| n.split(',').map(|x| x.trim().parse().ok()).collect());
    match numbers.as_deref() {
        Some(&[valence, activation, dominance])
            if valence.is_finite() && activation.is_finite() && dominance.is_finite() =>
        {
            Ok((utterance, Label { code: code.to_owned(), dimensions: Dimensions { valence, activation, dominance } }))
        }
        _ => Err("its last field is not three numbers, as [1.5000, 4.0000, 4.5000] is"),
    }
}

/// `Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.`
fn transcript(line: &str) -> Option<(String, String)> {
    let (utterance, rest) = line.split_once(' ')?;
    let words = rest.trim_start().strip_prefix('[')?.split_once("]:")?.1.trim();
    (Utterance::parse(utterance).is_some() && !words.is_empty()).then(|| (utterance.to_owned(), words.to_owned()))
}

fn emotion(code: &str) -> Result<Emotion, SkipReason> {
    match code.to_ascii_lowercase().as_str() {
        "ang" => Ok(Emotion::Angry),
        "dis" => Ok(Emotion::Disgust),
        "exc" => Ok(Emotion::Excited),
        "fea" => Ok(Emotion::Fear),
        "fru" => Ok(Emotion::Frustrated),
        "hap" => Ok(Emotion::Happy),
        "neu" => Ok(Emotion::Neutral),
        "sad" => Ok(Emotion::Sad),
        "sur" => Ok(Emotion::Surprised),
        "oth" => Err(SkipReason::OtherEmotion),
        "xxx" => Err(SkipReason::NoAgreement),
        _ => Err(SkipReason::Emotion(code.to_owned())),
    }
}

/// Session and scene of a dialog's name: `Ses01F_impro05` is ("Ses01", "impro05").
fn dialog(name: &str) -> Option<(&str, &str)> {
    let (head, scene) = name.split_once('_')?;
    let session = head.strip_suffix(['F', 'M'])?;
    let number = session.strip_prefix("Ses0")?;
    (matches!(number, "1" | "2" | "3" | "4" | "5") && !scene.is_empty()).then_some((session, scene))
}

struct Utterance {
    name: String,
    session: String,
    speaker: String,
    sex: Sex,
    sentence: String,
}

impl Utterance {
    fn parse(name: &str) -> Option<Self> {
        let (dialog_name, turn) = name.rsplit_once('_')?;
        let (session, scene) = dialog(dialog_name)?;
        let sex = match turn.as_bytes() {
            [b'F', _, ..] => Sex::Female,
            [b'M', _, ..] => Sex::Male,
            _ => return None,
        };
        let speaker = format!("{session}{}", &turn[..1]);
        Some(Self { name: name.to_owned(), session: session.to_owned(), speaker, sex, sentence: scene.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_utterances_are_refused_and_those_that_are_are_read() {
        for odd in [
            "",
            "Ses01F",
            "Ses01F_F000",
            "Ses06F_impro01_F000",
            "Ses01X_impro01_F000",
            "Ses01F_impro01_X000",
            "Ses01F_impro01_F",
        ] {
            assert!(Utterance::parse(odd).is_none(), "{odd}");
        }
        let u = Utterance::parse("Ses05F_script01_1b_M003").unwrap();
        assert_eq!((u.speaker.as_str(), u.session.as_str(), u.sex), ("Ses05M", "Ses05", Sex::Male));
        assert_eq!(u.sentence, "script01_1b");
    }

    #[test]
    fn lines_that_are_no_labels_are_refused_and_those_that_are_are_read() {
        for odd in [
            "[1.0 - 2.0]",
            "[1.0 - 2.0] Ses01F_impro05_F019 ang [1.5, 4.0, 4.5]",
            "[1.0 - 2.0]\tSes01F_impro05\tang\t[1.5, 4.0, 4.5]",
            "[1.0 - 2.0]\tSes01F_impro05_F019\tang\t[1.5, 4.0]",
            "[1.0 - 2.0]\tSes01F_impro05_F019\tang\t[1.5, 4.0, nan]",
            "[1.0 - 2.0]\tSes01F_impro05_F019\tang\t1.5, 4.0, 4.5",
        ] {
            assert!(label(odd).is_err(), "{odd}");
        }
        let (u, l) = label("[140.2250 - 145.6000]\tSes01F_impro05_F019\tang\t[1.5000, 4.0000, 4.5000]\r")
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((u.name.as_str(), l.code.as_str()), ("Ses01F_impro05_F019", "ang"));
        assert_eq!(l.dimensions, Dimensions { valence: 1.5, activation: 4.0, dominance: 4.5 });
    }

    #[test]
    fn a_transcript_keeps_its_colons_and_a_line_of_no_utterance_is_none() {
        assert_eq!(transcript("M: hm."), None);
        assert_eq!(transcript("Ses01F_impro01_F000 [1-2]: "), None);
        let (u, words) = transcript("Ses01F_impro01_F000 [006.2901-008.2357]: Well: excuse me.").unwrap();
        assert_eq!((u.as_str(), words.as_str()), ("Ses01F_impro01_F000", "Well: excuse me."));
    }
}
