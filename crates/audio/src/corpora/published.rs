//! The figures that the corpora's papers print, to hold a copy of a corpus against.
use sottovoce_types::Emotion;
use sottovoce_types::Emotion::{
    Angry, Boredom, Calm, Disgust, Excited, Fear, Frustrated, Happy, Neutral, Sad, Surprised,
};

use super::{CorpusKind, LabelSource, Scan};

/// What a whole copy of a corpus holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// Recordings, those without a usable label included (IEMOCAP: 2507 without agreement and 3 of `oth`).
    pub clips: usize,
    /// Speakers.
    pub speakers: usize,
    /// Recordings per emotion.
    pub emotions: &'static [(Emotion, usize)],
    /// Who says so.
    pub source: &'static str,
}

/// The published figures of a corpus under its first labelling (CREMA-D: intended); a manifest has none.
pub fn published(kind: CorpusKind) -> Option<Published> {
    Some(match kind {
        CorpusKind::Auto | CorpusKind::Manifest => return None,
        CorpusKind::CremaD => Published {
            clips: 7442,
            speakers: 91,
            emotions: &[(Angry, 1271), (Disgust, 1271), (Fear, 1271), (Happy, 1271), (Neutral, 1087), (Sad, 1271)],
            source: "Cao et al. 2014 and the corpus's file names",
        },
        CorpusKind::Iemocap => Published {
            clips: 10_039,
            speakers: 10,
            emotions: &[
                (Angry, 1103),
                (Disgust, 2),
                (Excited, 1041),
                (Fear, 40),
                (Frustrated, 1849),
                (Happy, 595),
                (Neutral, 1708),
                (Sad, 1084),
                (Surprised, 107),
            ],
            source: "Busso et al. 2008 and the corpus's label files",
        },
        CorpusKind::Ravdess => Published {
            clips: 1440,
            speakers: 24,
            emotions: &[
                (Angry, 192),
                (Calm, 192),
                (Disgust, 192),
                (Fear, 192),
                (Happy, 192),
                (Neutral, 96),
                (Sad, 192),
                (Surprised, 192),
            ],
            source: "Livingstone & Russo 2018 (audio-only speech)",
        },
        CorpusKind::Emodb => Published {
            clips: 535,
            speakers: 10,
            emotions: &[(Angry, 127), (Boredom, 81), (Disgust, 46), (Fear, 69), (Happy, 71), (Neutral, 79), (Sad, 62)],
            source: "Burkhardt et al. 2005 and the corpus's file names",
        },
        CorpusKind::Savee => Published {
            clips: 480,
            speakers: 4,
            emotions: &[
                (Angry, 60),
                (Disgust, 60),
                (Fear, 60),
                (Happy, 60),
                (Neutral, 120),
                (Sad, 60),
                (Surprised, 60),
            ],
            source: "Haq & Jackson 2010",
        },
        CorpusKind::Tess => Published {
            clips: 2800,
            speakers: 2,
            emotions: &[
                (Angry, 400),
                (Disgust, 400),
                (Fear, 400),
                (Happy, 400),
                (Neutral, 400),
                (Sad, 400),
                (Surprised, 400),
            ],
            source: "Pichora-Fuller & Dupuis 2020",
        },
    })
}

impl Scan {
    /// The published figures that this scan may be held against: none for synthetic voices, nor for the votes of
    /// CREMA-D's listeners.
    pub fn published(&self) -> Option<Published> {
        let first = matches!(self.label_source, LabelSource::Intended | LabelSource::RaterMajority);
        published(self.kind).filter(|_| first && !self.synthetic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emotions_add_up_to_the_clips_and_only_iemocap_has_clips_without_an_emotion() {
        for kind in CorpusKind::SUPPORTED {
            let Some(published) = published(kind) else { continue };
            assert!(published.emotions.is_sorted(), "{kind}");
            let labelled: usize = published.emotions.iter().map(|(_, n)| n).sum();
            let unlabelled = if kind == CorpusKind::Iemocap { 2507 + 3 } else { 0 };
            assert_eq!(labelled + unlabelled, published.clips, "{kind}");
        }
        assert_eq!(published(CorpusKind::Manifest), None);
    }
}
