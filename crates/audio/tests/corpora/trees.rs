//! Corpora in their published sizes, by name only: the files are empty unless a recording is given for each.
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const CREMA_D_SENTENCES: [&str; 12] =
    ["DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI"];
/// What the full design of 82 clips an actor has and the corpus has not, with the emotion missing ("" for all six).
const CREMA_D_MISSING: [(u32, &str, &str); 5] =
    [(1002, "TIE", "NEU"), (1008, "WSI", ""), (1009, "MTI", ""), (1019, "ITH", ""), (1076, "ITS", "NEU")];
/// Votes and how many clips have them: by voice alone, and with the picture.
const VOICE: [(&str, usize); 7] =
    [("A", 986), ("D", 547), ("F", 645), ("H", 353), ("N", 3897), ("S", 370), ("N:S", 644)];
const MULTIMODAL: [(&str, usize); 7] =
    [("A", 1019), ("D", 1139), ("F", 1084), ("H", 1219), ("N", 1972), ("S", 589), ("D:F:N", 420)];

/// CREMA-D: its 7442 names, demographics of its 91 actors, and a table of votes with the published totals. Which clip
/// has which vote is made up.
pub(crate) fn crema_d(root: &Path, wav: Option<&[u8]>) {
    let audio = root.join("AudioWAV");
    fs::create_dir_all(&audio).unwrap();
    fs::create_dir_all(root.join("processedResults")).unwrap();
    let mut people = String::from("\"ActorID\",\"Age\",\"Sex\",\"Race\",\"Ethnicity\"\n");
    let mut votes = String::from(
        "\"\",\"FileName\",\"VoiceVote\",\"VoiceLevel\",\"FaceVote\",\"FaceLevel\",\"MultiModalVote\",\"MultiModalLevel\"\n",
    );
    let (mut voice, mut multimodal) = (repeated(&VOICE), repeated(&MULTIMODAL));
    let mut row = 0;
    for actor in 1001..=1091 {
        // 48 men and 43 women, so divided that the men have 3930 clips.
        let sex =
            if actor % 2 == 1 && actor != 1009 || matches!(actor, 1004 | 1006 | 1010) { "Male" } else { "Female" };
        writeln!(people, "{actor},{},\"{sex}\",\"Unknown\",\"Not Hispanic\"", 20 + actor % 55).unwrap();
        for name in crema_d_names(actor) {
            fs::write(audio.join(format!("{name}.wav")), wav.unwrap_or_default()).unwrap();
            row += 1;
            let (voice, multimodal) = (voice.next().unwrap(), multimodal.next().unwrap());
            writeln!(votes, "\"{row}\",\"{name}\",\"{voice}\",\"69.1\",\"N\",\"92.22\",\"{multimodal}\",\"64.78\"")
                .unwrap();
        }
    }
    fs::write(root.join("VideoDemographics.csv"), people).unwrap();
    fs::write(root.join("processedResults/summaryTable.csv"), votes).unwrap();
}

fn crema_d_names(actor: u32) -> Vec<String> {
    let mut names = Vec::new();
    for sentence in CREMA_D_SENTENCES {
        for emotion in ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"] {
            let missing = |m: &(u32, &str, &str)| m.0 == actor && m.1 == sentence && (m.2.is_empty() || m.2 == emotion);
            if CREMA_D_MISSING.iter().any(missing) {
                continue;
            }
            let levels: &[&str] = if sentence == "IEO" && emotion != "NEU" { &["LO", "MD", "HI"] } else { &["XX"] };
            names.extend(levels.iter().map(|level| format!("{actor}_{sentence}_{emotion}_{level}")));
        }
    }
    names
}

/// Labels of one session and how many utterances have them; over all sessions 10 039.
type SessionLabels = [(&'static str, usize); 11];

/// The four usual classes are as published per session (happy with excited); how the rest divides is made up.
const IEMOCAP: [SessionLabels; 5] = [
    iemocap_session([229, 135, 143, 194, 384], [370, 22, 8, 1, 0, 501]),
    iemocap_session([137, 117, 210, 197, 362], [370, 22, 8, 1, 0, 501]),
    iemocap_session([240, 135, 151, 305, 320], [370, 21, 8, 1, 0, 501]),
    iemocap_session([327, 65, 238, 143, 258], [370, 21, 8, 0, 1, 502]),
    iemocap_session([170, 143, 299, 245, 384], [369, 21, 8, 0, 1, 502]),
];

const fn iemocap_session(usual: [usize; 5], rest: [usize; 6]) -> SessionLabels {
    let [ang, hap, exc, sad, neu] = usual;
    let [fru, sur, fea, oth, dis, xxx] = rest;
    [
        ("ang", ang),
        ("hap", hap),
        ("exc", exc),
        ("sad", sad),
        ("neu", neu),
        ("fru", fru),
        ("sur", sur),
        ("fea", fea),
        ("oth", oth),
        ("dis", dis),
        ("xxx", xxx),
    ]
}

/// IEMOCAP: 151 dialogs of 10 speakers with 10 039 labelled utterances and their words.
pub(crate) fn iemocap(root: &Path, wav: Option<&[u8]>) {
    for (labels, session) in IEMOCAP.iter().zip(1..) {
        let folder = root.join(format!("Session{session}"));
        let (evaluation, words) = (folder.join("dialog/EmoEvaluation"), folder.join("dialog/transcriptions"));
        for folder in [&evaluation, &words, &evaluation.join("Categorical"), &evaluation.join("Self-evaluation")] {
            fs::create_dir_all(folder).unwrap();
        }
        let dialogs = iemocap_dialogs(session);
        let blocks: Vec<&str> = repeated(labels).collect();
        // A step that divides none of the sessions' sizes mixes the labels, so that every dialog has several.
        let utterances: Vec<&str> = (0..blocks.len()).map(|i| blocks[i * 613 % blocks.len()]).collect();
        let share = utterances.len().div_ceil(dialogs.len());
        for (dialog, labels) in dialogs.iter().zip(utterances.chunks(share)) {
            let audio = folder.join("sentences/wav").join(dialog);
            fs::create_dir_all(&audio).unwrap();
            let names: Vec<String> = (0..labels.len())
                .map(|turn| format!("{dialog}_{}{:03}", if turn % 2 == 0 { 'F' } else { 'M' }, turn / 2))
                .collect();
            for name in &names {
                fs::write(audio.join(format!("{name}.wav")), wav.unwrap_or_default()).unwrap();
            }
            let labelled: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(labels.iter().copied()).collect();
            fs::write(evaluation.join(format!("{dialog}.txt")), evaluation_file(&labelled)).unwrap();
            fs::write(evaluation.join(format!("Categorical/{dialog}_e1_cat.txt")), "not to be read").unwrap();
            let said: Vec<String> = names.iter().map(|n| format!("{n} [006.2901-008.2357]: Excuse me.")).collect();
            fs::write(words.join(format!("{dialog}.txt")), said.join("\n")).unwrap();
        }
    }
}

/// A file of labels in the corpus's form, with the lines of single raters between.
pub(crate) fn evaluation_file(labels: &[(&str, &str)]) -> String {
    let mut text = String::from("% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n");
    for (utterance, label) in labels {
        write!(
            text,
            "[6.2901 - 8.2357]\t{utterance}\t{label}\t[2.5000, 3.5000, 3.0000]\nC-E2:\tNeutral;\t()\nC-E3:\tAnger; Frustration;\t()\n\
             A-E3:\tval 3; act 2; dom  2;\t()\nA-F1:\tval 2; act 2; dom  2;\t(curious)\n\n"
        )
        .unwrap();
    }
    text
}

/// Eight scenes improvised and seven scripted, each once with the markers on either actor, and one in two parts.
fn iemocap_dialogs(session: u32) -> Vec<String> {
    let scripts = ["01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2"].map(|s| format!("script{s}"));
    let scenes = (1..=8).map(|scene| format!("impro{scene:02}")).chain(scripts);
    let mut dialogs: Vec<String> =
        scenes.flat_map(|scene| ["F", "M"].map(|markers| format!("Ses0{session}{markers}_{scene}"))).collect();
    if session == 5 {
        dialogs.push("Ses05M_script01_1b".to_owned());
    }
    dialogs
}

fn repeated<'a>(counts: &'a [(&'static str, usize)]) -> impl Iterator<Item = &'static str> + 'a {
    counts.iter().flat_map(|&(word, n)| std::iter::repeat_n(word, n))
}
