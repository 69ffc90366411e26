//! `[model]`: which architecture, and how wide.
use serde::{Deserialize, Serialize};
use sottovoce_types::{FeatureSpec, ModelSpec};

use crate::error::Problem;

/// The architecture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Fully connected layers on statistics of a clip.
    #[default]
    Dnn,
    /// Convolutions over time.
    Cnn,
    /// A recurrent layer.
    Lstm,
    /// A recurrent layer and a transformer's.
    LstmTransformer,
    /// Convolutions and a mean that attention weighs.
    AttentionFcn,
    /// Convolutions over frames, and over the words of the transcript.
    TextCnn,
}

impl ModelKind {
    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dnn => "dnn",
            Self::Cnn => "cnn",
            Self::Lstm => "lstm",
            Self::LstmTransformer => "lstm-transformer",
            Self::AttentionFcn => "attention-fcn",
            Self::TextCnn => "text-cnn",
        }
    }
}

/// The widths that hold where no key says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSize {
    /// Hundreds to a few thousand parameters, because noise grows with their number.
    Small,
    /// Widths that the literature uses.
    #[default]
    Standard,
}

/// `[model]`: where a width is not given, `size` says it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The architecture.
    pub kind: ModelKind,
    /// Widths where no key says otherwise.
    pub size: ModelSize,
    /// Width of each hidden layer; none for a linear model.
    pub hidden: Option<Vec<usize>>,
    /// Channels of each convolution.
    pub channels: Option<Vec<usize>>,
    /// Frames that a convolution sees.
    pub kernel: Option<usize>,
    /// Width of the recurrent state.
    pub units: Option<usize>,
    /// Whether the LSTM reads in both directions.
    pub bidirectional: Option<bool>,
    /// Heads of the self-attention.
    pub heads: Option<usize>,
    /// Width of the transformer's feed-forward part.
    pub feed_forward: Option<usize>,
    /// Width of the layer that scores a frame.
    pub attention: Option<usize>,
    /// Rows of the table of words.
    pub vocabulary: Option<usize>,
    /// Width of a word's vector.
    pub embedding: Option<usize>,
    /// Channels of the convolution over words.
    pub text_channels: Option<usize>,
    /// Words that it sees.
    pub text_kernel: Option<usize>,
}

impl Model {
    /// The architecture for a front end and so many classes.
    pub(crate) fn spec(&self, features: &FeatureSpec, classes: usize) -> ModelSpec {
        let inputs = features.width();
        let sized = |small: usize, standard: usize| match self.size {
            ModelSize::Small => small,
            ModelSize::Standard => standard,
        };
        let channels = || {
            let by_size = if self.size == ModelSize::Small { vec![12] } else { vec![64, 64] };
            self.channels.clone().unwrap_or(by_size)
        };
        let kernel = self.kernel.unwrap_or(5);
        let units = self.units.unwrap_or(sized(8, 64));
        match self.kind {
            ModelKind::Dnn => {
                let hidden = self.hidden.clone().unwrap_or(vec![sized(8, 64)]);
                ModelSpec::Dnn { inputs: FeatureSpec::STATISTICS * inputs, hidden, classes }
            }
            ModelKind::Cnn => ModelSpec::Cnn { inputs, channels: channels(), kernel, classes },
            ModelKind::Lstm => {
                let bidirectional = self.bidirectional.unwrap_or(false);
                ModelSpec::Lstm { inputs, hidden: units, bidirectional, classes }
            }
            ModelKind::LstmTransformer => ModelSpec::LstmTransformer {
                inputs,
                hidden: units,
                heads: self.heads.unwrap_or(sized(2, 4)),
                feed_forward: self.feed_forward.unwrap_or(sized(16, 128)),
                classes,
            },
            ModelKind::AttentionFcn => ModelSpec::AttentionFcn {
                inputs,
                channels: channels(),
                kernel,
                attention: self.attention.unwrap_or(sized(4, 32)),
                classes,
            },
            ModelKind::TextCnn => ModelSpec::TextCnn {
                inputs,
                channels: channels(),
                kernel,
                vocabulary: self.vocabulary.unwrap_or(sized(64, 2048)),
                embedding: self.embedding.unwrap_or(sized(6, 32)),
                text_channels: self.text_channels.unwrap_or(sized(8, 32)),
                text_kernel: self.text_kernel.unwrap_or(3),
                classes,
            },
        }
    }

    /// A key that this architecture does not look at would do nothing, and a width may be impossible.
    pub(crate) fn check(&self, features: &FeatureSpec, classes: usize) -> Result<(), (&'static str, Problem)> {
        let heeded: &[&str] = match self.kind {
            ModelKind::Dnn => &["model.hidden"],
            ModelKind::Cnn => &["model.channels", "model.kernel"],
            ModelKind::Lstm => &["model.units", "model.bidirectional"],
            ModelKind::LstmTransformer => &["model.units", "model.heads", "model.feed_forward"],
            ModelKind::AttentionFcn => &["model.channels", "model.kernel", "model.attention"],
            ModelKind::TextCnn => &[
                "model.channels",
                "model.kernel",
                "model.vocabulary",
                "model.embedding",
                "model.text_channels",
                "model.text_kernel",
            ],
        };
        let given = [
            ("model.hidden", self.hidden.is_some()),
            ("model.channels", self.channels.is_some()),
            ("model.kernel", self.kernel.is_some()),
            ("model.units", self.units.is_some()),
            ("model.bidirectional", self.bidirectional.is_some()),
            ("model.heads", self.heads.is_some()),
            ("model.feed_forward", self.feed_forward.is_some()),
            ("model.attention", self.attention.is_some()),
            ("model.vocabulary", self.vocabulary.is_some()),
            ("model.embedding", self.embedding.is_some()),
            ("model.text_channels", self.text_channels.is_some()),
            ("model.text_kernel", self.text_kernel.is_some()),
        ];
        if let Some((key, _)) = given.iter().find(|(key, given)| *given && !heeded.contains(key)) {
            return Err((key, Problem::OtherModels { kind: self.kind.name() }));
        }
        let refused = self.spec(features, classes).check();
        refused.map_err(|e| (key_of(e.what), Problem::OutOfRange { must: e.must, is: e.is }))
    }
}

/// The key that sets what an architecture's check names.
fn key_of(what: &str) -> &'static str {
    match what {
        "the width of a hidden layer" => "model.hidden",
        "the channels of a convolution" | "the number of convolutions" => "model.channels",
        "the kernel" => "model.kernel",
        "the width of the state" => "model.units",
        "the number of heads" => "model.heads",
        "the width of the feed-forward part" => "model.feed_forward",
        "the width of the attention" => "model.attention",
        "the vocabulary" => "model.vocabulary",
        "the width of a word's vector" => "model.embedding",
        "the channels of the convolution over words" => "model.text_channels",
        "the kernel of the convolution over words" => "model.text_kernel",
        _ => "model.kind",
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn every_architecture_has_a_small_variant_of_hundreds_to_a_few_thousand_parameters() {
        let kinds = ["dnn", "cnn", "lstm", "lstm-transformer", "attention-fcn", "text-cnn"];
        for kind in kinds {
            let parameters = |size: &str| {
                let keys = [format!("model.kind={kind}"), format!("model.size={size}")];
                let config = Config::parse("", &keys).unwrap_or_else(|e| panic!("{}", e.render(false)));
                assert_eq!(config.model_spec().name(), kind);
                config.model_spec().layout().len()
            };
            let (small, standard) = (parameters("small"), parameters("standard"));
            assert!((300..3000).contains(&small) && standard > 4 * small, "{kind}: {small} and {standard}");
        }
    }

    #[test]
    fn a_width_of_another_architecture_and_one_that_is_impossible_are_refused_at_their_key() {
        for (keys, key, says) in [
            (["model.kind=cnn", "model.units=8"], "model.units", "cnn"),
            (["model.kind=lstm", "model.hidden=[8]"], "model.hidden", "lstm"),
            (["model.kind=cnn", "model.kernel=4"], "model.kernel", "odd"),
            (["model.kind=cnn", "model.kernel=65535"], "model.kernel", "at most 1023"),
            (["model.kind=cnn", "model.channels=[]"], "model.channels", "at least 1"),
            (["model.kind=lstm-transformer", "model.heads=3"], "model.heads", "divisor"),
            (["model.kind=text-cnn", "model.vocabulary=1"], "model.vocabulary", "at least 2"),
            (["model.kind=dnn", "model.hidden=[0]"], "model.hidden", "between 1"),
        ] {
            let error = Config::parse("", &keys).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(says), "{error}");
        }
    }
}
