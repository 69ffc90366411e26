//! The baselines table: each variant centralised, federated without DP, and federated at each ε, with what federation and noise cost.
use std::collections::BTreeSet;

use serde::Serialize;
use sottovoce_types::{SweepRow, Unit};

use crate::intervals::{Estimate, Over};
use crate::svg::{Axis, Figure, Format, Level, Panel, Panels, Point, Scale};
use crate::text::{Align, NONE, TextTable, bare_percent, percent, points, significant, small};
use crate::{SweepReport, html::SYNTHETIC};

/// How a line's models were trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// In one place, the model and passes of the cells without DP.
    Centralised,
    /// Federated without DP.
    Federated,
    /// In one place, the model and passes of the cells with DP.
    CentralisedPrivate,
    /// Federated with DP.
    Private,
}

/// One line of the table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BaselineLine {
    /// The line of cells: the variant's name and what the grid set; `None` where nothing is varied.
    pub variant: Option<String>,
    /// The architecture's word in configs.
    pub model: Option<String>,
    /// How it was trained.
    pub setting: Setting,
    /// The privacy unit.
    pub unit: Unit,
    /// Target ε, or the largest that was spent where none was set; `None` without DP.
    pub epsilon: Option<f64>,
    /// Parameters of the model; `None` where the rows differ or do not say.
    pub parameters: Option<u64>,
    /// Rounds; `None` where the rows differ or do not say.
    pub rounds: Option<u64>,
    /// UAR on unseen speakers.
    pub uar: Estimate,
    /// Mean accuracy.
    pub accuracy: f64,
    /// Mean macro precision; `None` where it was not recorded. (Macro recall is the UAR.)
    pub macro_precision: Option<f64>,
    /// Mean macro F1.
    pub macro_f1: f64,
    /// UAR minus that of the same model, fold and seed trained in one place; `None` for centralised lines, and where nothing was
    /// trained in one place.
    pub uar_minus_centralised: Option<Estimate>,
}

impl BaselineLine {
    /// The setting, in words.
    pub fn name(&self) -> String {
        match self.setting {
            Setting::Centralised => "centralised".to_owned(),
            Setting::Federated => "federated, no DP".to_owned(),
            Setting::CentralisedPrivate => "centralised, private settings".to_owned(),
            Setting::Private => {
                let epsilon = self.epsilon.map_or(NONE.to_owned(), significant);
                format!("federated, ε = {epsilon} per {}", self.unit.name())
            }
        }
    }

    fn variant_or_model(&self) -> &str {
        self.variant.as_deref().or(self.model.as_deref()).unwrap_or(NONE)
    }

    fn cells(&self) -> [String; 10] {
        let whole = |v: Option<u64>| v.map_or(NONE.to_owned(), |v| v.to_string());
        let [difference, within] = self.uar_minus_centralised.map_or([NONE.to_owned(), NONE.to_owned()], |d| {
            let ci = d.ci95.map_or(String::new(), |ci| format!(" ({} to {})", points(ci.low), points(ci.high)));
            [points(d.mean) + &ci, d.within().map_or(NONE.to_owned(), bare_percent)]
        });
        [
            self.variant_or_model().to_owned(),
            self.name(),
            whole(self.parameters),
            whole(self.rounds),
            percent_with_interval(&self.uar),
            bare_percent(self.accuracy),
            self.macro_precision.map_or(NONE.to_owned(), bare_percent),
            bare_percent(self.macro_f1),
            difference,
            within,
        ]
    }
}

const COLUMNS: [(&str, Align); 10] = [
    ("model", Align::Left),
    ("setting", Align::Left),
    ("parameters", Align::Right),
    ("rounds", Align::Right),
    ("UAR, % (95 %)", Align::Right),
    ("accuracy, %", Align::Right),
    ("macro precision, %", Align::Right),
    ("macro F1, %", Align::Right),
    ("UAR − centralised, points (95 %)", Align::Right),
    ("within", Align::Right),
];

fn percent_with_interval(e: &Estimate) -> String {
    let ci = e.ci95.map_or(String::new(), |ci| format!(" ({}–{})", bare_percent(ci.low), bare_percent(ci.high)));
    bare_percent(e.mean) + &ci
}

impl SweepReport {
    /// Whether anything but ε and seeds was swept, or centralised training stands beside federation.
    pub(crate) fn is_comparison(&self) -> bool {
        let folds: BTreeSet<_> = self.rows.iter().map(|r| r.fold).collect();
        folds.len() > 1 || self.lines() != [None] || self.rows.iter().any(|r| r.centralised_uar.is_some())
    }

    /// The table: for each variant what was trained in one place, what was federated without DP, and each ε from large to small.
    pub fn baselines(&self) -> Vec<BaselineLine> {
        let of_line = |name: Option<String>| {
            let rows: Vec<&SweepRow> = self.rows.iter().filter(|r| self.line(r) == name).collect();
            settings_of(&rows, name.as_deref())
        };
        self.lines().into_iter().flat_map(of_line).collect()
    }

    /// The table as text for a terminal.
    pub fn baselines_text(&self) -> String {
        let mut table = TextTable::new(COLUMNS);
        for line in self.baselines() {
            table.row(line.cells());
        }
        let notes = self.notes().into_iter().map(|note| format!("- {note}\n"));
        table.render() + "\n" + &notes.collect::<String>()
    }

    /// The table in Markdown, with what must be said beside it.
    pub fn baselines_markdown(&self) -> String {
        // A name may hold what Markdown takes for the end of a cell, or for HTML.
        let cell =
            |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\\|");
        let row = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let mut out = row(&mut COLUMNS.iter().map(|(name, _)| (*name).to_owned()));
        out += &row(&mut COLUMNS.iter().map(|(_, align)| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        }));
        for line in self.baselines() {
            out += &row(&mut line.cells().iter().map(|text| cell(text)));
        }
        out.push('\n');
        if self.lines().len() > 1 {
            out += "UAR alone, a column a model:\n\n";
            for line in self.side_by_side() {
                out += &row(&mut line.iter().map(|text| cell(text)));
            }
            out.push('\n');
        }
        let notes = self.notes().into_iter().map(|note| format!("- {}\n", cell(&note)));
        out + &notes.collect::<String>()
    }

    /// UAR with its interval, a row a setting and a column a variant, and below what federation without DP costs against centralised
    /// training; with the two head lines of a Markdown table.
    fn side_by_side(&self) -> Vec<Vec<String>> {
        let lines = self.baselines();
        let mut models: Vec<&str> = Vec::new();
        let mut settings: Vec<String> = Vec::new();
        for line in &lines {
            if !models.contains(&line.variant_or_model()) {
                models.push(line.variant_or_model());
            }
            if !settings.contains(&line.name()) {
                settings.push(line.name());
            }
        }
        let across = |name: String, pick: &dyn Fn(&str) -> String| {
            [name].into_iter().chain(models.iter().map(|model| pick(model))).collect::<Vec<_>>()
        };
        let find =
            |model: &str, setting: &str| lines.iter().find(|l| l.variant_or_model() == model && l.name() == setting);
        let mut out = vec![across(String::new(), &str::to_owned), across("---".to_owned(), &|_| "---:".to_owned())];
        for setting in &settings {
            let uar = |model: &str| find(model, setting).map_or(NONE.to_owned(), |l| percent_with_interval(&l.uar));
            out.push(across(setting.clone(), &uar));
        }
        let federated =
            |model: &str| lines.iter().find(|l| l.variant_or_model() == model && l.setting == Setting::Federated);
        let difference = |model: &str| federated(model).map_or(NONE.to_owned(), |l| l.cells()[8].clone());
        out.push(across("federated, no DP, minus centralised, points".to_owned(), &difference));
        out
    }

    /// The table's columns and rows, for a page.
    pub(crate) fn baseline_cells(&self) -> (Vec<(&'static str, Align)>, Vec<[String; 10]>) {
        (COLUMNS.to_vec(), self.baselines().iter().map(BaselineLine::cells).collect())
    }

    /// What must be said beside the table.
    pub(crate) fn notes(&self) -> Vec<String> {
        let lines = self.baselines();
        let mut notes = vec![format!("{}.", self.corpus)];
        if self.synthetic {
            notes.push(format!("{SYNTHETIC}."));
        }
        let splits: BTreeSet<&str> = self.rows.iter().filter_map(|r| r.split.as_deref()).collect();
        if let Some(leaking) = splits.iter().find(|s| s.contains("LEAKS")) {
            notes.push(format!("{leaking}."));
        } else if let Some(split) = splits.first() {
            let others = splits.len() - 1;
            let others = if others > 0 { format!(", and {others} more splits") } else { String::new() };
            notes.push(format!("Split: {split}{others}."));
        }
        notes.extend(self.uar_chance.map(|chance| format!("UAR of guessing: {}.", percent(chance))));
        notes.extend(interval_note(&lines));
        if lines.iter().any(|l| l.uar_minus_centralised.is_some()) {
            notes.push(
                "Centralised: the same model on the same training clips in one place, for as many passes (rounds × epochs). Differences are \
                 paired by fold and seed. Within: with 95 % confidence, the difference is no larger than so many points."
                    .to_owned(),
            );
        }
        if lines.iter().any(|l| l.setting == Setting::Private) {
            let deltas: BTreeSet<String> =
                self.rows.iter().filter(|r| r.unit != Unit::None).map(|r| small(r.delta)).collect();
            notes.push(format!(
                "Each ε is that of one run, at δ = {}; choosing a line by its result costs privacy that no line charges. Noise: {}.",
                deltas.into_iter().collect::<Vec<_>>().join(", "),
                self.noise_source
            ));
        }
        if !self.failed.is_empty() {
            notes.push(format!("Failed cells: {}. What they would have shown is not in the table.", self.failed.len()));
        }
        notes
    }

    /// UAR against ε, one panel a variant, with the levels of what was trained without DP; `None` where no ε was swept.
    pub fn baselines_figure(&self) -> Option<Figure> {
        let lines = self.baselines();
        let with_place = |l: &&BaselineLine| l.setting == Setting::Private && l.epsilon.is_some_and(|e| e > 0.0);
        let mut epsilons: Vec<f64> = lines.iter().filter(with_place).filter_map(|l| l.epsilon).collect();
        epsilons.sort_by(f64::total_cmp);
        epsilons.dedup();
        if epsilons.is_empty() {
            return None;
        }
        let ends = lines.iter().flat_map(|l| [Some(l.uar.mean), l.uar.ci95.map(|c| c.low), l.uar.ci95.map(|c| c.high)]);
        let ends = ends.flatten().chain(self.uar_chance).chain([0.0]);
        let ticks = epsilons.iter().map(|e| (*e, significant(*e))).collect();
        let x = Axis::new("ε (log scale)", Scale::log(epsilons.iter().copied()), Format::Plain);
        let panels = self.lines().into_iter().map(|name| {
            let own: Vec<&BaselineLine> = lines.iter().filter(|l| l.variant == name).collect();
            panel(&own)
        });
        let described: Vec<String> = lines
            .iter()
            .map(|l| format!("{}, {}: {} %", l.variant_or_model(), l.name(), percent_with_interval(&l.uar)))
            .collect();
        let figure = Panels {
            title: "UAR on unseen speakers against ε, with 95 % intervals".to_owned(),
            label: "UAR against epsilon for each model, beside centralised training and federation without DP"
                .to_owned(),
            description: described.join("; ") + ".",
            x: Axis { ticks: Some(ticks), ..x },
            y: Axis::new("UAR", Scale::linear(ends), Format::Percent),
            curve: "federated with DP".to_owned(),
            levels: ["federated, no DP", "centralised", "centralised, private settings"].map(str::to_owned).to_vec(),
            chance: self.uar_chance.map(|c| (c, format!("guessing {}", percent(c)))),
            each: panels.collect(),
        };
        Some(figure.draw())
    }
}

fn panel(lines: &[&BaselineLine]) -> Panel {
    let tip = |l: &BaselineLine| format!("{}: {} %", l.name(), percent_with_interval(&l.uar));
    let band = |l: &BaselineLine| l.uar.ci95.map(|ci| (ci.low, ci.high));
    let level = |setting| {
        let line = lines.iter().find(|l| l.setting == setting)?;
        Some(Level { y: line.uar.mean, band: band(line), tip: tip(line) })
    };
    let private = lines.iter().rev().filter(|l| l.setting == Setting::Private);
    Panel {
        name: lines.first().map_or(NONE, |l| l.variant_or_model()).to_owned(),
        curve: private
            .map(|l| Point { x: l.epsilon.unwrap_or(f64::NAN), y: l.uar.mean, band: band(l), tip: tip(l) })
            .collect(),
        levels: [Setting::Federated, Setting::Centralised, Setting::CentralisedPrivate].map(level).to_vec(),
    }
}

/// One line of cells, in each of its settings.
fn settings_of(rows: &[&SweepRow], name: Option<&str>) -> Vec<BaselineLine> {
    let (public, mut private): (Vec<&SweepRow>, Vec<&SweepRow>) = rows.iter().partition(|r| r.unit == Unit::None);
    let target = |r: &SweepRow| r.epsilon_target.or(r.epsilon_spent).unwrap_or(f64::INFINITY);
    private.sort_by(|a, b| a.unit.name().cmp(b.unit.name()).then(target(b).total_cmp(&target(a))));
    let mut lines = Vec::new();
    lines.extend(centralised(&public, Setting::Centralised));
    if !public.is_empty() {
        lines.push(federated(&public, Setting::Federated));
    }
    // The same model for as many passes is one baseline, and stands once.
    let same = |a: &SweepRow, b: &SweepRow| {
        let key = |r: &SweepRow| (r.fold, r.seed);
        key(a) != key(b)
            || (a.parameters == b.parameters && a.rounds == b.rounds && a.centralised_uar == b.centralised_uar)
    };
    let one_baseline = !public.is_empty() && private.iter().all(|p| public.iter().all(|f| same(p, f)));
    if !one_baseline {
        let setting = if public.is_empty() { Setting::Centralised } else { Setting::CentralisedPrivate };
        lines.extend(centralised(&private, setting));
    }
    let settings = private.chunk_by(|a, b| a.unit == b.unit && target(a).to_bits() == target(b).to_bits());
    lines.extend(settings.map(|rows| federated(rows, Setting::Private)));
    for line in &mut lines {
        line.variant = name.map(str::to_owned);
    }
    lines
}

fn federated(rows: &[&SweepRow], setting: Setting) -> BaselineLine {
    let over = |figure: fn(&SweepRow) -> Option<f64>| Estimate::of(rows.iter().copied(), figure);
    let difference = over(|r| Some(r.uar - r.centralised_uar?));
    BaselineLine {
        uar: over(|r| Some(r.uar)).of_a_fraction(),
        accuracy: over(|r| Some(r.accuracy)).mean,
        macro_precision: Some(over(|r| Some(r.macro_precision)).mean),
        macro_f1: over(|r| Some(r.macro_f1)).mean,
        uar_minus_centralised: (difference.runs > 0).then_some(difference),
        ..line(rows, setting)
    }
}

fn centralised(rows: &[&SweepRow], setting: Setting) -> Option<BaselineLine> {
    let over = |figure: fn(&SweepRow) -> Option<f64>| Estimate::of(rows.iter().copied(), figure);
    let uar = over(|r| r.centralised_uar).of_a_fraction();
    (uar.runs > 0).then(|| BaselineLine {
        unit: Unit::None,
        epsilon: None,
        uar,
        accuracy: over(|r| r.centralised_accuracy).mean,
        macro_f1: over(|r| r.centralised_macro_f1).mean,
        ..line(rows, setting)
    })
}

/// What the rows agree on. There is one at least.
fn line(rows: &[&SweepRow], setting: Setting) -> BaselineLine {
    let agreed = |figure: fn(&SweepRow) -> Option<u64>| {
        figure(rows[0]).filter(|first| rows.iter().all(|r| figure(r) == Some(*first)))
    };
    let spent = || rows.iter().filter_map(|r| r.epsilon_spent).reduce(f64::max);
    BaselineLine {
        variant: None,
        model: rows[0].model.clone(),
        setting,
        unit: rows[0].unit,
        epsilon: if rows[0].unit == Unit::None { None } else { rows[0].epsilon_target.or_else(spent) },
        parameters: agreed(|r| r.parameters),
        rounds: agreed(|r| r.rounds),
        uar: Estimate::over_folds([]),
        accuracy: f64::NAN,
        macro_precision: None,
        macro_f1: f64::NAN,
        uar_minus_centralised: None,
    }
}

/// What the intervals count as independent. A line that lacks runs is told apart.
fn interval_note(lines: &[BaselineLine]) -> Option<String> {
    let most = lines.iter().map(|l| l.uar).max_by_key(|u| (u.over == Over::Folds, u.independent, u.runs))?;
    let n = most.independent;
    let note = match (most.over, n) {
        (Over::Folds, _) => format!(
            "95 % intervals: Student's t over {n} folds (degrees of freedom: {}), seeds averaged within their fold first. Folds test \
             different speakers and share training speakers, so the intervals are approximate. None is given where all folds agree.",
            n - 1
        ),
        (Over::Seeds, 0 | 1) => "One run a line: no interval can be estimated.".to_owned(),
        (Over::Seeds, _) => format!(
            "95 % intervals: Student's t over {n} seeds of one fold (degrees of freedom: {}). They cover the randomness of training \
             alone, and say nothing about other speakers.",
            n - 1
        ),
    };
    let same = |u: &Estimate| (u.over, u.independent, u.runs) == (most.over, most.independent, most.runs);
    let fewer: Vec<String> = lines
        .iter()
        .filter(|l| !same(&l.uar))
        .map(|l| {
            let what = if l.uar.over == Over::Folds { "folds" } else { "seeds of one fold" };
            format!("{}, {} ({} runs over {} {what})", l.variant_or_model(), l.name(), l.uar.runs, l.uar.independent)
        })
        .collect();
    Some(if fewer.is_empty() { note } else { format!("{note} Lines with fewer runs: {}.", fewer.join("; ")) })
}
