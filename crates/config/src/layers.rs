//! Reading files, files that they extend, and overrides; each value keeps the place that it came from.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;
use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Fault, Place};
use crate::keys::{SECTIONS, keys_of, nearest, nearest_key};
use crate::variants::{self, Settings};
use crate::{Config, Features, check};

/// `(section, key)` -> value and place, of the last layer that sets it.
#[derive(Clone, Default)]
pub(crate) struct Layers {
    values: BTreeMap<(&'static str, &'static str), (toml::Value, Place)>,
    /// Path below `[sweep]`, such as `grid.model.kind` or `exclude.0.model.kind` -> place.
    within: BTreeMap<String, Place>,
}

/// A configuration, and those of its sweep's variants: they cannot be told from it, since a default of theirs may hang on what
/// they set.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) settings: Vec<Settings>,
}

impl Layers {
    /// What is set.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.values.keys().copied()
    }

    /// Sets one key of the grid of a sweep.
    pub(crate) fn set(&mut self, known: (&'static str, &'static str), value: toml::Value) {
        if let Some(place) = self.place_within(&format!("grid.{}.{}", known.0, known.1)).cloned() {
            self.values.insert(known, (value, place));
        }
    }

    /// Where an entry of `[sweep.grid]` or `[[sweep.exclude]]` stands, or else the whole of them.
    pub(crate) fn place_within(&self, path: &str) -> Option<&Place> {
        let whole = path.split('.').next().unwrap_or_default();
        let of_key = |(section, key): &(&str, &str)| *section == "sweep" && *key == whole;
        let set = || self.values.iter().find(|(known, _)| of_key(known)).map(|(_, (_, place))| place);
        self.within.get(path).or_else(set)
    }

    /// What `above` sets holds.
    fn extend(&mut self, above: Self) {
        for (section, key) in above.values.keys() {
            if *section == "sweep" {
                self.within.retain(|path, _| path.split('.').next() != Some(key));
            }
        }
        self.values.extend(above.values);
        self.within.extend(above.within);
    }

    /// Where a key was set; `None` where it has its default.
    pub(crate) fn take_place(&mut self, section: &str, key: &str) -> Option<Place> {
        let found = *self.values.keys().find(|(s, k)| *s == section && *k == key)?;
        self.values.remove(&found).map(|(_, place)| place)
    }
}

pub(crate) fn load(path: &Path, overrides: &[impl AsRef<str>]) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::default();
    read_file(path, None, &mut Vec::new(), &mut layers)?;
    finish(&layers, overrides)
}

pub(crate) fn parse(text: &str, overrides: &[impl AsRef<str>]) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::default();
    if let Some((_, place)) = read_text("configuration", text, &mut layers)? {
        return Err(ConfigError::new(Fault::ExtendsWithoutFile, Some(place)));
    }
    finish(&layers, overrides)
}

fn finish(layers: &Layers, overrides: &[impl AsRef<str>]) -> Result<Loaded, ConfigError> {
    let overrides: Vec<&str> = overrides.iter().map(AsRef::as_ref).collect();
    let config = with_overrides(layers.clone(), &overrides, Config::clone)?;
    let settings = variants::settings(&config, layers, &overrides)?;
    Ok(Loaded { config, settings })
}

/// The configuration of layers with overrides on top, checked as it will run.
pub(crate) fn with_overrides(
    mut layers: Layers,
    overrides: &[&str],
    as_it_runs: impl FnOnce(&Config) -> Config,
) -> Result<Config, ConfigError> {
    let config = unchecked(&mut layers, overrides)?;
    match check::check(&as_it_runs(&config)) {
        Ok(()) => Ok(config),
        Err((key, problem)) => {
            let place = key.split_once('.').and_then(|(section, name)| layers.take_place(section, name));
            Err(ConfigError::new(Fault::Problem { key, problem }, place))
        }
    }
}

/// The configuration of layers with overrides on top, whose values may not go together.
pub(crate) fn unchecked(layers: &mut Layers, overrides: &[&str]) -> Result<Config, ConfigError> {
    for text in overrides {
        read_override(text, layers)?;
    }
    resolve(layers)
}

/// Sets one key after another on the defaults, so that what does not fit is known by its key and not only by its type.
fn resolve(layers: &Layers) -> Result<Config, ConfigError> {
    let mut config = Config { features: default_features(layers), ..Config::default() };
    let mut table = toml::Table::try_from(&config).expect("the defaults are plain values");
    for ((section, key), (value, place)) in &layers.values {
        let section_table =
            table.get_mut(*section).and_then(toml::Value::as_table_mut).expect("every section has defaults");
        section_table.insert((*key).to_owned(), value.clone());
        config = Config::deserialize(table.clone()).map_err(|e| {
            let fault = Fault::Value { key: format!("{section}.{key}").into(), expected: e.message().into() };
            ConfigError::new(fault, Some(Place { text: place.text.clone(), span: place.span }))
        })?;
    }
    Ok(config)
}

/// A convention gives the other keys of its section their defaults. One that does not exist is found with its place, as any
/// other value that does not fit.
fn default_features(layers: &Layers) -> Features {
    let convention = layers.values.get(&("features", "convention")).and_then(|(value, _)| value.as_str()?.parse().ok());
    Features::of(convention.unwrap_or_default())
}

fn read_file(
    path: &Path,
    asked_at: Option<Place>,
    open: &mut Vec<PathBuf>,
    layers: &mut Layers,
) -> Result<(), ConfigError> {
    let unreadable = |source| Fault::Unreadable { path: path.to_owned(), source };
    let (text, identity) = match std::fs::read_to_string(path).and_then(|t| Ok((t, path.canonicalize()?))) {
        Ok(both) => both,
        Err(source) => return Err(ConfigError::new(unreadable(source), asked_at)),
    };
    if open.contains(&identity) {
        return Err(ConfigError::new(Fault::ExtendsItself { path: path.to_owned() }, asked_at));
    }
    open.push(identity);
    let mut own = Layers::default();
    if let Some((base, place)) = read_text(&path.display().to_string(), &text, &mut own)? {
        let base = path.parent().unwrap_or(Path::new("")).join(base);
        read_file(&base, Some(place), open, layers)?;
    }
    layers.extend(own);
    Ok(())
}

/// Adds what a text sets; returns what it extends, and where it says so.
fn read_text(name: &str, text: &str, layers: &mut Layers) -> Result<Option<(PathBuf, Place)>, ConfigError> {
    let source = NamedSource::new(name, Arc::<str>::from(text)).with_language("toml");
    let not_toml = |e: &toml::de::Error| {
        let fault = Fault::NotToml { source_says: e.message().into() };
        ConfigError::new(fault, e.span().map(|span| Place::new(&source, span)))
    };
    let spans = DeTable::parse(text).map_err(|e| not_toml(&e))?;
    let values: toml::Table = toml::from_str(text).map_err(|e| not_toml(&e))?;
    let mut extends = None;
    for (name, entry) in spans.get_ref() {
        let written = name.get_ref().as_ref();
        if written == "extends" {
            let place = Place::new(&source, entry.span());
            match entry.get_ref() {
                DeValue::String(path) => extends = Some((PathBuf::from(path.as_ref()), place)),
                _ => return Err(ConfigError::new(Fault::ExtendsNotAPath, Some(place))),
            }
            continue;
        }
        let section =
            known_section(written).map_err(|f| ConfigError::new(f, Some(Place::new(&source, name.span()))))?;
        let (DeValue::Table(keys), Some(table)) =
            (entry.get_ref(), values.get(section).and_then(toml::Value::as_table))
        else {
            return Err(ConfigError::new(Fault::NotASection { section }, Some(Place::new(&source, name.span()))));
        };
        for (key, value) in keys {
            let known = known_key(section, key.get_ref())
                .map_err(|f| ConfigError::new(f, Some(Place::new(&source, key.span()))))?;
            let plain = table.get(known).expect("both readings of one text have the same keys").clone();
            if section == "sweep" && ["grid", "exclude"].contains(&known) {
                places_within(value.get_ref(), known, &source, &mut layers.within);
            }
            layers.values.insert((section, known), (plain, Place::new(&source, value.span())));
        }
    }
    Ok(extends)
}

/// The places of all entries in a table or list.
fn places_within(
    value: &DeValue<'_>,
    path: &str,
    source: &NamedSource<Arc<str>>,
    within: &mut BTreeMap<String, Place>,
) {
    match value {
        DeValue::Table(entries) => {
            for (name, entry) in entries {
                let path = format!("{path}.{}", name.get_ref());
                within.insert(path.clone(), Place::new(source, name.span().start..entry.span().end));
                places_within(entry.get_ref(), &path, source, within);
            }
        }
        DeValue::Array(entries) => {
            for (i, entry) in entries.iter().enumerate() {
                places_within(entry.get_ref(), &format!("{path}.{i}"), source, within);
            }
        }
        _ => {}
    }
}

pub(crate) fn read_override(text: &str, layers: &mut Layers) -> Result<(), ConfigError> {
    let source = NamedSource::new("override", Arc::<str>::from(text));
    let at = |fault, span| Err(ConfigError::new(fault, Some(Place::new(&source, span))));
    let Some((path, value)) = text.split_once('=') else { return at(Fault::OverrideForm, 0..text.len()) };
    let Some((section, key)) = path.split_once('.') else { return at(Fault::OverrideForm, 0..path.len()) };
    let section = match known_section(section.trim()) {
        Ok(section) => section,
        Err(fault) => return at(fault, 0..section.len()),
    };
    let key_start = path.len() - key.len();
    let key = match known_key(section, key.trim()) {
        Ok(key) => key,
        Err(fault) => return at(fault, key_start..path.len()),
    };
    // A bare word is a string: `privacy.unit=client` needs no quotes that a shell would take away.
    let parsed = toml::from_str::<toml::Table>(&format!("value = {}", value.trim()));
    let parsed =
        parsed.ok().and_then(|mut t| t.remove("value")).unwrap_or_else(|| toml::Value::String(value.trim().into()));
    let place = Place::new(&source, text.len() - value.len()..text.len());
    let mut own = Layers::default();
    own.values.insert((section, key), (parsed, place));
    layers.extend(own);
    Ok(())
}

pub(crate) fn known_section(written: &str) -> Result<&'static str, Fault> {
    SECTIONS.iter().copied().find(|s| *s == written).ok_or_else(|| Fault::UnknownSection {
        section: written.into(),
        nearest: nearest(written, SECTIONS.iter().copied()),
    })
}

pub(crate) fn known_key(section: &'static str, written: &str) -> Result<&'static str, Fault> {
    keys_of(section).map(|k| k.key).find(|k| *k == written).ok_or_else(|| Fault::UnknownKey {
        section,
        key: written.into(),
        nearest: nearest_key(section, written),
    })
}
