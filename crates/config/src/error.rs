//! Errors that point at a place in a file, say what is wrong there, and how to mend it.
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use sottovoce_round::PlanError;

/// A configuration that cannot be used.
///
/// [`fmt::Display`] is one line; [`Self::render`] adds the lines of the file and the mend. It is a miette diagnostic too.
#[derive(Debug)]
pub struct ConfigError {
    fault: Box<Fault>,
    place: Option<Box<Place>>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("this is not TOML: {source_says}")]
    NotToml {
        /// What the parser says.
        source_says: Box<str>,
    },
    /// No such section.
    #[error("unknown section `[{section}]`")]
    UnknownSection {
        /// As written.
        section: Box<str>,
        /// The nearest that exists.
        nearest: Option<&'static str>,
    },
    /// No such key.
    #[error("unknown key `{section}.{key}`")]
    UnknownKey {
        /// Its section.
        section: &'static str,
        /// As written.
        key: Box<str>,
        /// The nearest that exists.
        nearest: Option<Box<str>>,
    },
    /// A value where a section must be.
    #[error("`{section}` is a section, not a value: write `[{section}]` and its keys below")]
    NotASection {
        /// The section.
        section: &'static str,
    },
    /// A value of the wrong type or out of its range.
    #[error("`{key}`: {expected}")]
    Value {
        /// `section.key`.
        key: Box<str>,
        /// What it must be.
        expected: Box<str>,
    },
    /// Values that do not go together.
    #[error("`{key}`: {problem}")]
    Problem {
        /// `section.key`.
        key: &'static str,
        /// What is wrong.
        problem: Problem,
    },
    /// `extends` is not a path.
    #[error("`extends` names one file, as a string")]
    ExtendsNotAPath,
    /// Files that extend each other.
    #[error("{} extends itself, by way of the files that it extends", path.display())]
    ExtendsItself {
        /// The file met twice.
        path: PathBuf,
    },
    /// A text given without a file cannot extend one.
    #[error("`extends` needs a file to be relative to")]
    ExtendsWithoutFile,
    /// An override without a key or a value.
    #[error("an override is written section.key=value")]
    OverrideForm,
    /// A variant of a sweep that cannot be used.
    #[error("variant {variant}: {fault}")]
    Variant {
        /// Its name, and which of its lists.
        variant: Box<str>,
        /// What is wrong with it.
        fault: Box<Fault>,
    },
    /// A cell of a sweep that cannot be run.
    #[error("cell {cell}: {fault}")]
    Cell {
        /// What is swept in it.
        cell: Box<str>,
        /// What is wrong with it.
        fault: Box<Fault>,
    },
}

/// Values that do not go together, or protect nobody.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A number out of range.
    #[error("must be {must}, but is {is}")]
    OutOfRange {
        /// The range.
        must: &'static str,
        /// The number.
        is: f64,
    },
    /// Features that make one utterance's gradient depend on others.
    #[error(
        "is `per-speaker`, so that the features of one utterance depend on the others of its speaker, and clipping it by itself \
         bounds nothing: with privacy.unit = \"utterance\" use `public`, `per-utterance` or `none`"
    )]
    NotOneUtterance,
    /// A key of local training where there is none.
    #[error(
        "does nothing with privacy.unit = \"utterance\", where there is no local training that it could change: leave it out"
    )]
    NoLocalTraining {
        /// The value.
        is: f64,
    },
    /// Sampling without units to sample.
    #[error(
        "draws the units inside a site, and with privacy.unit = \"{unit}\" there are none to draw: leave it out, or use the unit `speaker` or `utterance`"
    )]
    NothingToDraw {
        /// The unit.
        unit: &'static str,
    },
    /// A dashboard that other machines reach, which nobody asked for by name.
    #[error(
        "is an address that other machines reach, and the dashboard has no password: use a loopback address such as 127.0.0.1:4471 and \
         reach it through ssh or a proxy that asks who comes, or set transport.dashboard_public = true"
    )]
    DashboardOpen,
    /// Leave for a public dashboard that is not public.
    #[error("does nothing while transport.dashboard is a loopback address: leave it out")]
    DashboardClosed,
    /// A key of adaptive clipping without adaptive clipping.
    #[error("does nothing while the clipping norm stays: set privacy.adaptive_clip = true, or leave it out")]
    ClipStays,
    /// A key that the server's optimiser does not look at.
    #[error(
        "does nothing with server.optimiser = \"{optimiser}\": leave it at {default}, or choose an optimiser that looks at it"
    )]
    NotHeeded {
        /// The optimiser.
        optimiser: &'static str,
        /// The key's default.
        default: f64,
    },
    /// A width that the architecture does not have.
    #[error("does nothing with model.kind = \"{kind}\": leave it out, or choose an architecture that has it")]
    OtherModels {
        /// The architecture.
        kind: &'static str,
    },
    /// Weights of classes that depend on the other utterances.
    #[error(
        "is `balanced`, so that what one utterance counts depends on the others, and clipping it by itself bounds nothing: with \
         privacy.unit = \"utterance\" use `none` or numbers that are public"
    )]
    BalancedUtterances,
    /// A cap on ε without a unit whose ε it is.
    #[error(
        "caps this site's epsilon, and with privacy.unit = \"none\" there is none that is below it: choose a privacy unit, or leave it out"
    )]
    CapWithoutUnit,
    /// A site's own key where there is no site.
    #[error(
        "is a site's own: a coordinator has no data to cap anything for; put it into the configuration of the site"
    )]
    SitesOwn,
    /// A client that believes any manifest.
    #[error(
        "is needed where a client runs, or transport.consortium: `sottovoce cert show MANIFEST` prints the digest; compare it with \
         the other members, by telephone if need be, and pin it"
    )]
    Unpinned,
    /// Two sources of the noise.
    #[error("epsilon and noise_multiplier both say how much noise to add: give one of them")]
    TwoNoises,
    /// δ allows publishing somebody outright.
    #[error("delta = {delta} with {units} units lets one of them be published outright: choose it below {below}")]
    DeltaTooLarge {
        /// δ.
        delta: f64,
        /// Units.
        units: u64,
        /// 1 / units.
        below: f64,
    },
    /// More clients needed than there are.
    #[error("{n_min} clients are needed for a round, but partition.clients is {clients}: lower n_min or add clients")]
    TooFewClients {
        /// Needed.
        n_min: u32,
        /// There.
        clients: u32,
    },
    /// One input would be opened, or one besides the adversary's.
    #[error(
        "with n_min = {n_min} and max_corrupt = {max_corrupt} an opened sum is sure of only {honest} honest inputs: at \
         least 2 are needed, raise n_min or lower max_corrupt"
    )]
    TooFewHonest {
        /// Smallest cohort.
        n_min: u32,
        /// Corrupt clients.
        max_corrupt: u32,
        /// Honest inputs in any opened sum.
        honest: u32,
    },
    /// The plan refuses.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A key that another one needs.
    #[error("is needed when {when}")]
    Needed {
        /// When.
        when: &'static str,
    },
    /// A corpus has too few speakers.
    #[error(
        "{clients} clients of {per_client} speakers and {test} to test on need {need} speakers, but {have} are synthesised"
    )]
    TooFewSpeakers {
        /// Clients.
        clients: u32,
        /// Speakers at each.
        per_client: u32,
        /// Speakers to test on.
        test: u32,
        /// All together.
        need: u64,
        /// Speakers of the corpus.
        have: u32,
    },
    /// Listeners' votes of a corpus that has none.
    #[error("is `{labelling}`, but only CREMA-D has listeners' votes: use `intended`, or corpus.kind = \"crema-d\"")]
    NoVotes {
        /// What was asked for.
        labelling: &'static str,
    },
    /// A sweep over ε of a run without DP.
    #[error("has targets of epsilon, but privacy.unit is `none`: name the unit that they protect")]
    SweepWithoutUnit,
    /// Variants that cannot be told apart.
    #[error("has {0:?} as the name of a variant: give each its own, and none an empty one")]
    VariantName(Box<str>),
    /// An address without a port.
    #[error("{0:?} is no address: write host:port")]
    NotAnAddress(Box<str>),
    /// Plain sums outside of a simulation.
    #[error("`plain` shows the coordinator every client's update: it is for simulated controls only, use `secure`")]
    PlainDeployment,
    /// Dropouts by chance outside of a simulation.
    #[error(
        "{0} is for simulations, where clients drop out by chance: a deployment has its own dropouts, leave it out"
    )]
    DropoutDeployment(f64),
    /// Masks for simulations outside of one.
    #[error("`chacha8` is for simulations: use `aes-256-ctr`, or `chacha20` where processors lack AES instructions")]
    MasksDeployment,
}

impl Problem {
    fn mend(&self) -> Option<&'static str> {
        match self {
            Self::TwoNoises => {
                Some("with epsilon, the noise is calibrated for run.rounds; noise_multiplier sets it outright")
            }
            Self::TooFewHonest { .. } | Self::TooFewClients { .. } => {
                Some("an opened sum over n clients holds at least floor((n + max_corrupt) / 2) + 1 of them")
            }
            Self::NotHeeded { .. } => {
                Some("fedavgm: momentum; fedadagrad: beta1, tau; fedadam and fedyogi: beta1, beta2, tau")
            }
            Self::DeltaTooLarge { .. } => {
                Some("1e-5 or smaller is usual; the units are speakers, utterances or clients, by privacy.unit")
            }
            _ => None,
        }
    }
}

/// A place in a text.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) text: NamedSource<Arc<str>>,
    pub(crate) span: SourceSpan,
}

impl Place {
    pub(crate) fn new(text: &NamedSource<Arc<str>>, span: std::ops::Range<usize>) -> Self {
        Self { text: text.clone(), span: span.into() }
    }
}

impl ConfigError {
    pub(crate) fn new(fault: Fault, place: Option<Place>) -> Self {
        Self { fault: Box::new(fault), place: place.map(Box::new) }
    }

    /// The same, of a variant of a sweep.
    pub(crate) fn of_variant(self, variant: String) -> Self {
        let fault = Fault::Variant { variant: variant.into(), fault: self.fault };
        Self { fault: Box::new(fault), place: self.place }
    }

    /// The same, of a cell of a sweep's grid.
    pub(crate) fn of_cell(self, cell: &str) -> Self {
        let fault = Fault::Cell { cell: format!("`{cell}`").into(), fault: self.fault };
        Self { fault: Box::new(fault), place: self.place }
    }

    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The error with the lines that it points at and the mend, for a terminal or a log.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(120);
        let mut out = String::new();
        match handler.render_report(&mut out, self) {
            Ok(()) => out,
            Err(fmt::Error) => self.to_string(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.fault)
    }
}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let fault = match &*self.fault {
            Fault::Variant { fault, .. } => fault,
            fault => fault,
        };
        match fault {
            Fault::Cell { .. } => Some(Box::new(
                "a combination that cannot run is left out by a rule: [[sweep.exclude]] with the keys and values that it has",
            )),
            Fault::UnknownKey { nearest: Some(nearest), .. } => Some(Box::new(format!("did you mean `{nearest}`?"))),
            Fault::UnknownKey { section, .. } => {
                let known: Vec<&str> = crate::keys::keys_of(section).map(|k| k.key).collect();
                Some(Box::new(format!("`[{section}]` has: {}", known.join(", "))))
            }
            Fault::UnknownSection { nearest: Some(nearest), .. } => {
                Some(Box::new(format!("did you mean `[{nearest}]`?")))
            }
            Fault::UnknownSection { .. } => Some(Box::new(format!("there are: {}", crate::keys::SECTIONS.join(", ")))),
            Fault::OverrideForm => Some(Box::new("for example privacy.epsilon=4")),
            Fault::Problem { problem, .. } => problem.mend().map(|m| Box::new(m) as Box<dyn fmt::Display>),
            _ => None,
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|p| &p.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".into()), place.span))))
    }
}
