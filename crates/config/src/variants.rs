//! What a sweep compares: overrides under a name.
use serde::{Deserialize, Serialize};

use crate::Config;
use crate::error::{ConfigError, Fault};
use crate::grid::{self, Combination, swept_elsewhere};
use crate::layers::{Layers, read_override, unchecked, with_overrides};
use crate::sweep::{Sweep, at_target};

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

/// What a variant and a combination of the grid make of a configuration.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The variant's name; `None` without one.
    pub(crate) name: Option<String>,
    /// The values of the grid.
    pub(crate) combination: Combination,
    /// Of cells without DP.
    pub(crate) public: Config,
    /// Of cells with DP.
    pub(crate) private: Config,
    /// Where what they have was set.
    pub(crate) layers: Layers,
}

/// Every variant with every combination of the grid. They lie between the files and the command line's overrides, which win. Where
/// there is a grid, what does not go together is found in the cells, since rules may leave it out.
pub(crate) fn settings(config: &Config, layers: &Layers, overrides: &[&str]) -> Result<Vec<Settings>, ConfigError> {
    let sweep = &config.sweep;
    let mut whole = layers.clone();
    for text in overrides {
        read_override(text, &mut whole)?;
    }
    grid::check_rules(sweep, &whole)?;
    let combinations = sweep.grid.combinations(sweep, &whole, overrides)?;
    let variants: Vec<Option<&Variant>> =
        if sweep.variant.is_empty() { vec![None] } else { sweep.variant.iter().map(Some).collect() };
    let mut all = Vec::new();
    for variant in variants {
        for combination in &combinations {
            all.push(of_one(config, layers, overrides, variant, combination)?);
        }
    }
    Ok(all)
}

fn of_one(
    config: &Config,
    layers: &Layers,
    overrides: &[&str],
    variant: Option<&Variant>,
    combination: &Combination,
) -> Result<Settings, ConfigError> {
    let settings =
        |name, public, private, layers| Settings { name, combination: combination.clone(), public, private, layers };
    let in_grid = |mut layers: Layers| {
        for (known, value) in combination {
            layers.set(*known, value.clone());
        }
        let config = unchecked(&mut layers, overrides)?;
        Ok((config, layers))
    };
    let Some(Variant { name, set, set_private }) = variant else {
        if combination.is_empty() {
            return Ok(settings(None, config.clone(), config.clone(), layers.clone()));
        }
        let (both, layers) = in_grid(layers.clone())?;
        return Ok(settings(None, both.clone(), both, layers));
    };
    let of_variant = |e: ConfigError| e.of_variant(format!("`{name}`"));
    let own = with_lines(config, layers.clone(), set).map_err(of_variant)?;
    let public = if combination.is_empty() {
        // Without DP, as its cells are: what a privacy unit does not go with may be mended by set_private.
        with_overrides(own.clone(), overrides, |c| Config { sweep: Sweep::default(), ..at_target(c, None) })
    } else {
        in_grid(own.clone()).map(|(config, _)| config)
    };
    let public = public.map_err(of_variant)?;
    let private = with_lines(config, own, set_private).and_then(|own| {
        if combination.is_empty() {
            return Ok((with_overrides(own.clone(), overrides, Config::clone)?, own));
        }
        in_grid(own)
    });
    let lists = if set_private.is_empty() { "" } else { ", with its set_private" };
    let (private, layers) = private.map_err(|e| e.of_variant(format!("`{name}`{lists}")))?;
    Ok(settings(Some(name.clone()), public, private, layers))
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
    let refused = own.keys().find_map(|known| Some((known, swept_elsewhere(&config.sweep, known)?)));
    let Some(((section, key), why)) = refused else { return Ok(()) };
    let fault = Fault::Value { key: format!("{section}.{key}").into(), expected: why.into() };
    Err(ConfigError::new(fault, own.take_place(section, key)))
}
