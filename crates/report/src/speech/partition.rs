//! Which client holds how much of what: clients by emotions, speakers, totals, and what is held out.
use serde::{Deserialize, Serialize};
use sottovoce_types::SCHEMA_VERSION;

use super::{BOLD, head, plural};
use crate::Figure;
use crate::svg::{Anchor, Canvas, Warning, cut, paper_reads_better, text_width};
use crate::text::NONE;

/// Who holds what: `partition.json` in a run directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartitionPicture {
    /// [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The clients, in their order.
    pub clients: Vec<ClientRow>,
    /// Names of the classes, in the order of [`ClientRow::counts`].
    pub classes: Vec<String>,
    /// What is tested on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<ClientRow>,
    /// What is kept from training and testing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<ClientRow>,
    /// Whether speakers of the test set are trained on.
    pub leaks: bool,
    /// Whether the voices are not human.
    pub synthetic: bool,
}

/// One holder of clips.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClientRow {
    /// Its name.
    pub name: String,
    /// How many speakers its clips are of.
    pub speakers: u64,
    /// Clips by class.
    pub counts: Vec<u64>,
}

impl PartitionPicture {
    /// A partition of human voices that leaks nothing and holds nothing out; other fields can be set.
    pub fn new(classes: Vec<String>, clients: Vec<ClientRow>) -> Self {
        Self { schema: SCHEMA_VERSION, clients, classes, test: None, holdout: None, leaks: false, synthetic: false }
    }

    /// Test set and holdout.
    pub(crate) fn apart(&self) -> Vec<&ClientRow> {
        self.test.iter().chain(&self.holdout).collect()
    }
}

impl ClientRow {
    /// Clips of all classes.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }
}

pub(crate) const LEAKS: &str = "LEAKS: speakers of the test set are trained on";

/// More clients than these get narrow rows without numbers in them.
const FEW: usize = 30;
const WIDEST_NAME: f64 = 170.0;
const TOTAL_BAR: f64 = 90.0;

/// Clients by emotions, darker where there are more clips, with each client's speakers and clips; test set and holdout
/// stand apart. Counts are written into the cells up to 30 clients, and shown to the pointer always.
///
/// ```
/// use sottovoce_report::speech::{ClientRow, PartitionPicture, partition};
/// let row = |name: &str, counts| ClientRow { name: name.into(), speakers: 2, counts };
/// let mut picture = PartitionPicture::new(vec!["angry".into(), "sad".into()], vec![row("north", vec![40, 2])]);
/// picture.test = Some(row("test", vec![20, 20]));
/// assert!(partition(&picture).contains("north"));
/// ```
pub fn partition(picture: &PartitionPicture) -> String {
    partition_figure(picture).document()
}

pub(crate) fn partition_figure(picture: &PartitionPicture) -> Figure {
    Layout::new(picture).draw()
}

struct Layout<'a> {
    picture: &'a PartitionPicture,
    apart: Vec<&'a ClientRow>,
    columns: usize,
    name: f64,
    cell: f64,
    row: f64,
    /// The largest cell and the longest bar, among the clients.
    most: (u64, u64),
}

impl<'a> Layout<'a> {
    fn new(picture: &'a PartitionPicture) -> Self {
        let apart = picture.apart();
        let all = || picture.clients.iter().chain(apart.iter().copied());
        let columns = all().map(|r| r.counts.len()).fold(picture.classes.len(), usize::max);
        let number = |n: u64| text_width(&n.to_string());
        let numbers = all().flat_map(|r| &r.counts).map(|&n| number(n)).fold(0.0, f64::max);
        let headings = picture.classes.iter().map(|c| text_width(c)).fold(0.0, f64::max).min(WIDEST_NAME);
        let names = all().map(|r| text_width(&r.name)).fold(text_width("all clients"), f64::max);
        let most = most(picture.clients.iter());
        Self {
            columns,
            name: names.min(WIDEST_NAME),
            cell: 46f64.max(numbers.max(BOLD * headings) + 12.0),
            row: if picture.clients.len() > FEW { 13.0 } else { 26.0 },
            most,
            apart,
            picture,
        }
    }

    fn few(&self) -> bool {
        self.picture.clients.len() <= FEW
    }

    /// Where speakers are counted, where cells begin, where they end.
    fn edges(&self) -> (f64, f64, f64) {
        let speakers = self.name + 30.0 + text_width("speakers");
        (speakers, speakers + 14.0, speakers + 14.0 + self.cell * self.columns as f64)
    }

    fn draw(&self) -> Figure {
        let (_, left, right) = self.edges();
        let picture = self.picture;
        let width = (right + TOTAL_BAR + 90.0).max(520.0).ceil() as u32;
        let clients = plural(picture.clients.len() as u64, "client");
        let clips = picture.clients.iter().fold(0u64, |sum, c| sum.saturating_add(c.total()));
        let title = if picture.classes.is_empty() { "Clips by client" } else { "Clips by client and emotion" };
        let mut head = head(title, width, picture.synthetic);
        head = head.line(&format!(
            "{clients} with {} to train on; the strongest shade is {}",
            plural(clips, "clip"),
            plural(self.most.0, "clip")
        ));
        if !self.apart.is_empty() {
            head = head.line("green: held out from training, shades on a scale of their own");
        }
        if picture.leaks {
            head = head.warning(Warning::Alarm, LEAKS);
        }
        let top = head.bottom() + 24.0;
        let body = top + self.row * picture.clients.len().max(1) as f64;
        let apart = body + 44.0;
        let bottom = if self.apart.is_empty() { body + 28.0 } else { apart + 26.0 * self.apart.len() as f64 };
        let mut canvas = Canvas::new(width, (bottom + 10.0).ceil() as u32, "Who holds what");
        canvas.describe(self.description(clips));
        head.draw(&mut canvas);
        self.headings(&mut canvas, top - 9.0);
        for (i, client) in picture.clients.iter().enumerate() {
            let rule = Row {
                class: "cell",
                y: top + self.row * i as f64,
                height: self.row,
                numbers: self.few(),
                most: self.most,
            };
            self.client(&mut canvas, client, &rule);
        }
        if picture.clients.is_empty() {
            canvas.text("minor", (left, top + 17.0), Anchor::Start, "no clients");
        }
        self.sums(&mut canvas, body + 16.0, clips);
        let most = most(self.apart.iter().copied());
        if !self.apart.is_empty() {
            canvas.line("grid", (14.0, apart - 10.0), (f64::from(width) - 14.0, apart - 10.0));
        }
        for (i, row) in self.apart.iter().enumerate() {
            let rule = Row { class: "cell apart", y: apart + 26.0 * i as f64, height: 26.0, numbers: true, most };
            self.client(&mut canvas, row, &rule);
        }
        canvas.finish()
    }

    fn description(&self, clips: u64) -> String {
        let clients = plural(self.picture.clients.len() as u64, "client");
        let mut text = format!("{clients} hold {} of {} classes.", plural(clips, "clip"), self.columns);
        for row in &self.apart {
            let held = format!(
                " Held out: {}, {} of {}.",
                row.name,
                plural(row.total(), "clip"),
                plural(row.speakers, "speaker")
            );
            text.push_str(&held);
        }
        if self.picture.leaks {
            text = format!("{text} {LEAKS}.");
        }
        text
    }

    fn headings(&self, canvas: &mut Canvas, y: f64) {
        let (speakers, left, right) = self.edges();
        canvas.text("tiny", (speakers, y), Anchor::End, "speakers");
        for c in 0..self.columns {
            let x = left + self.cell * (c as f64 + 0.5);
            canvas.text("strong", (x, y), Anchor::Middle, &cut(self.class(c), self.cell - 4.0));
        }
        canvas.text("tiny", (right + 10.0, y), Anchor::Start, "clips");
    }

    fn client(&self, canvas: &mut Canvas, client: &ClientRow, row: &Row) {
        let (speakers, left, right) = self.edges();
        let middle = row.y + row.height / 2.0 - 1.0;
        let small = if row.height < 20.0 { "fine" } else { "" };
        canvas.text(small, (self.name + 14.0, middle + 4.0), Anchor::End, &cut(&client.name, self.name));
        let minor = if row.height < 20.0 { "fine minor" } else { "minor" };
        canvas.text(minor, (speakers, middle + 4.0), Anchor::End, &client.speakers.to_string());
        for c in 0..self.columns {
            let x = left + self.cell * c as f64;
            let size = (self.cell - 2.0, row.height - if row.height < 20.0 { 1.0 } else { 2.0 });
            let Some(&clips) = client.counts.get(c) else {
                canvas.text("minor", (x + self.cell / 2.0 - 1.0, middle + 4.0), Anchor::Middle, NONE);
                continue;
            };
            let share = share(clips, row.most.0);
            let tip = format!("{}, {}: {}", client.name, self.class(c), plural(clips, "clip"));
            // None at all is to look different from few.
            let opacity = if clips == 0 { 0.03 } else { 0.1 + 0.9 * share };
            canvas.rect(row.class, (x, row.y), size, Some(opacity), &tip);
            if row.numbers {
                let ink = if clips == 0 {
                    "tiny"
                } else if paper_reads_better(opacity) {
                    "oncell"
                } else {
                    ""
                };
                canvas.text(ink, (x + self.cell / 2.0 - 1.0, middle + 4.0), Anchor::Middle, &clips.to_string());
            }
        }
        let total = client.total();
        let length = TOTAL_BAR * share(total, row.most.1);
        let thick = if row.height < 20.0 { 5.0 } else { 10.0 };
        canvas.rect(
            &format!("{} bar", row.class),
            (right + 10.0, middle - thick / 2.0),
            (length, thick),
            Some(0.55),
            "",
        );
        let strong = if row.height < 20.0 { "fine" } else { "strong" };
        canvas.text(strong, (right + 16.0 + length, middle + 4.0), Anchor::Start, &total.to_string());
    }

    /// Sums over clients. Not of speakers: two clients may hold clips of one.
    fn sums(&self, canvas: &mut Canvas, y: f64, clips: u64) {
        let (_, left, right) = self.edges();
        canvas.text("minor", (self.name + 14.0, y), Anchor::End, "all clients");
        for c in 0..self.columns {
            let sum =
                self.picture.clients.iter().filter_map(|r| r.counts.get(c)).fold(0u64, |s, &n| s.saturating_add(n));
            canvas.text("minor", (left + self.cell * (c as f64 + 0.5) - 1.0, y), Anchor::Middle, &sum.to_string());
        }
        canvas.text("minor strong", (right + 10.0, y), Anchor::Start, &clips.to_string());
    }

    fn class(&self, c: usize) -> &str {
        self.picture.classes.get(c).map_or("?", String::as_str)
    }
}

/// How one row is drawn.
struct Row {
    class: &'static str,
    y: f64,
    height: f64,
    numbers: bool,
    most: (u64, u64),
}

/// The largest cell and the largest total.
fn most<'a>(rows: impl Iterator<Item = &'a ClientRow> + Clone) -> (u64, u64) {
    let cell = rows.clone().flat_map(|r| r.counts.iter().copied()).max().unwrap_or(0);
    (cell, rows.map(ClientRow::total).max().unwrap_or(0))
}

fn share(part: u64, most: u64) -> f64 {
    if most == 0 { 0.0 } else { part as f64 / most as f64 }
}
