//! The attacks with shadow models, by name.
use sottovoce_types::Vantage;

use super::evidence::View;
use super::lira::{Offline, Variance, lira_offline, lira_online};
use super::{bavaria, lira, reference, rmia};
use crate::scores::Described;

/// An attack that compares the target with shadows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ShadowAttack {
    /// M3.
    Reference,
    /// M4, a variance for each clip.
    LiraOnline,
    /// M4, one variance a side.
    LiraFixedVariance,
    /// M5.
    LiraOffline,
    /// M6.
    Rmia,
    /// M7.
    Bavaria,
}

impl ShadowAttack {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Reference, Self::LiraOnline, Self::LiraFixedVariance, Self::LiraOffline, Self::Rmia, Self::Bavaria];

    /// Against the released model.
    pub fn described(self) -> Described {
        Described { attack: self.names().0, vantage: Vantage::Released, citation: self.citation() }
    }

    /// Against each shadow in turn: the training procedure, at as many targets as there are shadows.
    pub fn described_over_shadows(self) -> Described {
        Described { attack: self.names().1, ..self.described() }
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Reference => ("membership-reference", "membership-reference-over-shadows"),
            Self::LiraOnline => ("membership-lira-online", "membership-lira-online-over-shadows"),
            Self::LiraFixedVariance => {
                ("membership-lira-fixed-variance", "membership-lira-fixed-variance-over-shadows")
            }
            Self::LiraOffline => ("membership-lira-offline", "membership-lira-offline-over-shadows"),
            Self::Rmia => ("membership-rmia", "membership-rmia-over-shadows"),
            Self::Bavaria => ("membership-bavaria", "membership-bavaria-over-shadows"),
        }
    }

    fn citation(self) -> &'static str {
        match self {
            Self::Reference => reference::CITATION,
            Self::LiraOnline => lira::ONLINE,
            Self::LiraFixedVariance => lira::FIXED,
            Self::LiraOffline => lira::OFFLINE,
            Self::Rmia => rmia::CITATION,
            Self::Bavaria => bavaria::CITATION,
        }
    }

    /// Scores of the view's clips, `[n]`.
    pub fn scores(self, view: &View) -> Vec<f64> {
        let clips = &view.clips;
        match self {
            Self::Reference => reference(clips),
            Self::LiraOnline => lira_online(clips, Variance::PerClip),
            Self::LiraFixedVariance => lira_online(clips, Variance::Pooled),
            Self::LiraOffline => {
                let shadows = clips.outside.first().map_or(0, Vec::len);
                lira_offline(clips, Variance::for_shadows(shadows), Offline::Cdf)
            }
            Self::Rmia => rmia(clips, &view.population, rmia::tuned(view), rmia::GAMMA),
            Self::Bavaria => bavaria(clips),
        }
    }
}
