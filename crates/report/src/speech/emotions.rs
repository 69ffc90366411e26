//! How many clips of each emotion a corpus has.
use super::{head, plural};
use crate::svg::{Bar, BarChart};

/// One bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmotionCount<'a> {
    /// The emotion's name.
    pub emotion: &'a str,
    /// How many clips carry it.
    pub clips: u64,
}

const WIDTH: u32 = 640;

/// A bar an emotion, in the order given, with its count and share; the total above them. `note` goes under the title.
///
/// ```
/// use sottovoce_report::speech::{EmotionCount, emotion_counts};
/// let counts = [EmotionCount { emotion: "angry", clips: 96 }, EmotionCount { emotion: "sad", clips: 32 }];
/// let svg = emotion_counts("My corpus", &counts, None, false);
/// assert!(svg.contains("128 clips in total") && svg.contains("96 (75 %)"));
/// ```
pub fn emotion_counts(title: &str, counts: &[EmotionCount<'_>], note: Option<&str>, synthetic: bool) -> String {
    // Saturating: a picture of nonsense is better than none.
    let total = counts.iter().fold(0u64, |sum, c| sum.saturating_add(c.clips));
    let bar = |c: &EmotionCount<'_>| Bar {
        label: c.emotion.to_owned(),
        value: c.clips as f64,
        note: if total == 0 { "0".to_owned() } else { format!("{} ({})", c.clips, share(c.clips, total)) },
    };
    let emotions = if counts.len() == 1 { "1 emotion".to_owned() } else { format!("{} emotions", counts.len()) };
    let all = format!("{} in total, {emotions}", plural(total, "clip"));
    let head = head(title, WIDTH, synthetic).line(&all).lines(note);
    BarChart {
        title: title.to_owned(),
        unit: "clips".to_owned(),
        head,
        bars: counts.iter().map(bar).collect(),
        width: WIDTH,
    }
    .draw()
    .document()
}

/// A share in whole percent, where that is not a lie about something rare.
fn share(part: u64, total: u64) -> String {
    let percent = part as f64 / total as f64 * 100.0;
    if part > 0 && percent < 1.0 { "<1 %".to_owned() } else { format!("{percent:.0} %") }
}
