//! How many clips of each emotion each client has: a table whose cells are bars.
//!
//! Stacked bars would need a colour an emotion and a base line each; in columns, all bars of an emotion start at one
//! line, and a hundred clients are a hundred lines of a table.
use super::{BOLD, head, plural};
use crate::svg::{Anchor, Canvas, cut, text_width};
use crate::text::NONE;

/// One client's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientCounts<'a> {
    /// The client's name.
    pub client: &'a str,
    /// Clips by emotion, in the order of the columns.
    pub clips: &'a [u64],
}

impl ClientCounts<'_> {
    fn total(&self) -> u64 {
        self.clips.iter().fold(0, |sum, &n| sum.saturating_add(n))
    }
}

const WIDEST_NAME: f64 = 170.0;
/// More clients than these get narrower rows, and the names of the emotions again at the foot.
const FEW: usize = 30;

/// A row a client, a column an emotion, a bar and its count in each cell; totals at the right and at the foot. All bars
/// are on one scale.
pub fn emotion_counts_by_client(
    title: &str,
    emotions: &[&str],
    clients: &[ClientCounts<'_>],
    note: Option<&str>,
    synthetic: bool,
) -> String {
    Table::new(emotions, clients).draw(title, note, synthetic)
}

struct Table<'a> {
    emotions: &'a [&'a str],
    clients: &'a [ClientCounts<'a>],
    /// Sums over the clients, by emotion.
    sums: Vec<u64>,
    most: u64,
    name: f64,
    cell: f64,
    number: f64,
    row: f64,
}

impl<'a> Table<'a> {
    fn new(emotions: &'a [&'a str], clients: &'a [ClientCounts<'a>]) -> Self {
        let column = |e: usize| clients.iter().filter_map(move |c| c.clips.get(e).copied());
        let sums: Vec<u64> = (0..emotions.len()).map(|e| column(e).fold(0, u64::saturating_add)).collect();
        let most = (0..emotions.len()).flat_map(column).max().unwrap_or(0);
        let number = text_width(&sums.iter().max().unwrap_or(&0).to_string()).max(12.0);
        let heading = emotions.iter().map(|e| text_width(e)).fold(0.0, f64::max).min(WIDEST_NAME);
        let names = clients.iter().map(|c| text_width(c.client)).fold(text_width("all clients"), f64::max);
        Self {
            emotions,
            clients,
            sums,
            most,
            name: names.min(WIDEST_NAME),
            cell: (number + 58.0).max(BOLD * heading + 14.0),
            number,
            row: if clients.len() > FEW { 16.0 } else { 22.0 },
        }
    }

    fn left(&self) -> f64 {
        self.name + 26.0
    }

    fn right(&self) -> f64 {
        self.left() + self.cell * self.emotions.len() as f64
    }

    fn draw(&self, title: &str, note: Option<&str>, synthetic: bool) -> String {
        let total = self.sums.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
        let widest = text_width(&total.to_string()).max(text_width("all"));
        let width = (self.right() + BOLD * widest + 24.0).max(520.0).ceil() as u32;
        let clients = plural(self.clients.len() as u64, "client");
        let all = format!("{} in total, {clients}; all bars on one scale", plural(total, "clip"));
        let head = head(title, width, synthetic).line(&all).lines(note);
        let top = head.bottom() + 24.0;
        let body = top + self.row * self.clients.len().max(1) as f64;
        let foot = if self.clients.len() > FEW { 48.0 } else { 30.0 };
        let mut canvas = Canvas::new(width, (body + foot + 4.0).ceil() as u32, format!("Clips by client: {title}"));
        canvas.describe(format!("A table of {clients} and {} emotions with a bar in each cell.", self.emotions.len()));
        head.draw(&mut canvas);
        self.headings(&mut canvas, top - 9.0);
        for (i, client) in self.clients.iter().enumerate() {
            self.client(&mut canvas, client, top + self.row * i as f64, i % 2 == 1);
        }
        for e in 0..self.emotions.len() {
            let x = self.left() + self.cell * e as f64;
            canvas.line("axis", (x, top), (x, body));
        }
        if self.clients.is_empty() || self.emotions.is_empty() {
            let nothing = if self.clients.is_empty() { "no clients" } else { "no emotions" };
            canvas.text("minor", (14.0, top + 15.0), Anchor::Start, nothing);
        }
        self.totals(&mut canvas, body, total);
        canvas.finish().document()
    }

    fn headings(&self, canvas: &mut Canvas, y: f64) {
        for (e, emotion) in self.emotions.iter().enumerate() {
            let x = self.left() + self.cell * e as f64;
            canvas.text("strong", (x, y), Anchor::Start, &cut(emotion, self.cell - 10.0));
        }
        canvas.text("strong", (self.right() + 4.0, y), Anchor::Start, "all");
    }

    fn client(&self, canvas: &mut Canvas, client: &ClientCounts<'_>, y: f64, shaded: bool) {
        let base = y + self.row / 2.0 + 4.0;
        if shaded {
            canvas.rect("track", (8.0, y), (f64::from(canvas.width()) - 16.0, self.row), None, "");
        }
        canvas.text("", (self.name + 16.0, base), Anchor::End, &cut(client.client, self.name));
        for (e, emotion) in self.emotions.iter().enumerate() {
            let x = self.left() + self.cell * e as f64;
            let Some(&clips) = client.clips.get(e) else {
                canvas.text("minor", (x + 5.0, base), Anchor::Start, NONE);
                continue;
            };
            let share = if self.most == 0 { 0.0 } else { clips as f64 / self.most as f64 };
            let length = share * (self.cell - self.number - 18.0);
            let tip = format!("{}, {emotion}: {}", client.client, plural(clips, "clip"));
            canvas.rect("bar c0", (x, y + 4.0), (length, self.row - 8.0), None, &tip);
            let class = if clips == 0 { "tiny" } else { "small" };
            canvas.text(class, (x + length + 5.0, base), Anchor::Start, &clips.to_string());
        }
        canvas.text("small strong", (self.right() + 4.0, base), Anchor::Start, &client.total().to_string());
    }

    fn totals(&self, canvas: &mut Canvas, body: f64, total: u64) {
        let y = body + 18.0;
        canvas.line("grid", (8.0, body + 2.0), (f64::from(canvas.width()) - 8.0, body + 2.0));
        canvas.text("strong", (self.name + 16.0, y), Anchor::End, "all clients");
        for (e, sum) in self.sums.iter().enumerate() {
            canvas.text("strong", (self.left() + self.cell * e as f64, y), Anchor::Start, &sum.to_string());
        }
        canvas.text("strong", (self.right() + 4.0, y), Anchor::Start, &total.to_string());
        if self.clients.len() > FEW {
            self.headings(canvas, y + 18.0);
        }
    }
}
