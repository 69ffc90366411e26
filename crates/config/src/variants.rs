//! What a sweep compares: overrides under a name.
use serde::{Deserialize, Serialize};

use crate::Config;
use crate::error::{ConfigError, Fault};
use crate::layers::{Layers, read_override, with_overrides};
use crate::sections::Sweep;
use crate::sweep::at_target;

/// `[[sweep.variant]]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What tables call it.
    pub name: String,
    /// Overrides of the form `section.key=value`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Overrides on top of these, in cells with differential privacy.
    #[serde(default)]
    pub set_private: Vec<String>,
}

/// What a variant makes of a configuration.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Settings {
    /// Its name; `None` for the configuration itself.
    pub(crate) name: Option<String>,
    /// Of cells without DP.
    pub(crate) public: Config,
    /// Of cells with DP.
    pub(crate) private: Config,
}

/// Every variant, checked. They lie between the files and the command line's overrides, which win.
pub(crate) fn settings(config: &Config, layers: &Layers, overrides: &[&str]) -> Result<Vec<Settings>, ConfigError> {
    if config.sweep.variant.is_empty() {
        return Ok(vec![Settings { name: None, public: config.clone(), private: config.clone() }]);
    }
    let all = config.sweep.variant.iter().map(|variant| {
        let Variant { name, set, set_private } = variant;
        let public = with_lines(config, layers.clone(), set).and_then(|own| {
            // Without DP, as its cells are: what a privacy unit does not go with may be mended by set_private.
            let public =
                with_overrides(own.clone(), overrides, |c| Config { sweep: Sweep::default(), ..at_target(c, None) })?;
            Ok((own, public))
        });
        let (own, public) = public.map_err(|e| e.of_variant(format!("`{name}`")))?;
        let private =
            with_lines(config, own, set_private).and_then(|own| with_overrides(own, overrides, Config::clone));
        let lists = if set_private.is_empty() { "" } else { ", with its set_private" };
        let private = private.map_err(|e| e.of_variant(format!("`{name}`{lists}")))?;
        Ok(Settings { name: Some(name.clone()), public, private })
    });
    all.collect()
}

fn with_lines(config: &Config, mut layers: Layers, lines: &[String]) -> Result<Layers, ConfigError> {
    for line in lines {
        let mut own = Layers::default();
        read_override(line, &mut own)?;
        refuse_what_is_swept(config, own)?;
        read_override(line, &mut layers)?;
    }
    Ok(layers)
}

/// A line that every cell would overrule, or that would make rows of one table incomparable.
fn refuse_what_is_swept(config: &Config, mut own: Layers) -> Result<(), ConfigError> {
    let sweep = &config.sweep;
    let refused = own.keys().find_map(|(section, key)| {
        let why = match (section, key) {
            ("sweep", _) => "a variant says what a run is like, and not what is swept",
            ("corpus", _) => "one table is about one corpus: sweep each corpus by itself",
            ("run", "seed") => "every cell has its seed from sweep.seeds: take it out of the variant",
            ("partition", "fold") if !sweep.folds.is_empty() => {
                "every cell has its fold from sweep.folds: take it out of the variant"
            }
            ("privacy", "epsilon" | "epsilon_budget" | "noise_multiplier") if !sweep.epsilons.is_empty() => {
                "every cell has its noise from sweep.epsilons: take it out of the variant"
            }
            _ => return None,
        };
        Some((section, key, why))
    });
    let Some((section, key, why)) = refused else { return Ok(()) };
    let fault = Fault::Value { key: format!("{section}.{key}").into(), expected: why.into() };
    Err(ConfigError::new(fault, own.take_place(section, key)))
}
