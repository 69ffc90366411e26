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

fn repeated<'a>(counts: &'a [(&'static str, usize)]) -> impl Iterator<Item = &'static str> + 'a {
    counts.iter().flat_map(|&(word, n)| std::iter::repeat_n(word, n))
}
