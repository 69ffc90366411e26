//! One recording three times over one time axis: waveform, spectrogram, MFCCs.
use super::matrix::{Grid, Matrix};
use super::waveform::{envelope, peak};
use super::{head, plural};
use crate::svg::{Anchor, Canvas, Format, Palette, Raster, Scale};
use crate::text::significant;

/// A recording and what was computed from it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Recording<'a> {
    /// Above the picture.
    pub title: &'a str,
    /// Samples a second.
    pub sample_rate_hz: u32,
    /// The waveform, one channel.
    pub samples: &'a [f32],
    /// Its spectrogram.
    pub spectrogram: Spectrogram<'a>,
    /// Its MFCCs, a coefficient a row, a frame a column.
    pub mfcc: Matrix<'a>,
    /// From the start of a frame of `mfcc` to the start of the next.
    pub frame_hop_s: f64,
    /// Whether the voice is not human.
    pub synthetic: bool,
}

/// Power by frequency and time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spectrogram<'a> {
    /// Decibels, a frequency bin a row from 0 Hz up, a frame a column. −∞ is digital silence.
    pub decibels: Matrix<'a>,
    /// Frequency of the last row, as a rule half the sample rate.
    pub max_hz: f64,
    /// From the start of the first frame to the end of the last.
    pub seconds: f64,
}

const WIDTH: u32 = 760;
const LEFT: f64 = 64.0;
const PLOT: f64 = 600.0;
const WAVE_HEIGHT: f64 = 84.0;
const SPECTROGRAM_HEIGHT: f64 = 160.0;
/// A panel's heading above it.
const HEADING: f64 = 24.0;
const GAP: f64 = 14.0;
/// Two pixels a cell: what the eye can part, and some 250 kB for a picture of any length.
const MOST_COLUMNS: usize = 300;
const MOST_ROWS: usize = 80;
/// Below the loudest, quieter cells are all one colour. Speech that can be heard lies within 60 dB.
const DYNAMIC_RANGE_DB: f64 = 80.0;
/// Why what is there is not drawn.
const UNKNOWN: &str = "length not known";
/// Standard deviations to both sides that colours part.
const MOST_SD: f64 = 3.0;

/// The recording's picture. Its size in bytes does not grow with the recording's length.
///
/// Spectrogram cells are means of power; MFCCs are standardised over the recording, coefficient by coefficient, for the
/// first would drown all others.
///
/// ```
/// use sottovoce_report::speech::{Matrix, Recording, Spectrogram, recording};
/// let samples = [0.0, 0.5, 0.0, -0.5];
/// let decibels = Matrix::by_row(2, &[-20.0, -30.0, -25.0, -60.0]).expect("two rows of two");
/// let svg = recording(&Recording {
///     title: "Four samples",
///     sample_rate_hz: 8000,
///     samples: &samples,
///     spectrogram: Spectrogram { decibels, max_hz: 4000.0, seconds: 0.0005 },
///     mfcc: Matrix::by_column(1, &[12.0, 11.0]).expect("two frames of one"),
///     frame_hop_s: 0.00025,
///     synthetic: false,
/// });
/// assert!(svg.contains("kHz") && svg.contains("peak 0.5"));
/// ```
pub fn recording(recording: &Recording<'_>) -> String {
    let head = head(recording.title, WIDTH, recording.synthetic).line(&recording.facts());
    let void = recording.void();
    let head = if void.is_empty() { head } else { head.line(&void) };
    let mfcc_height = (11.0 * recording.mfcc.rows() as f64).clamp(80.0, 160.0);
    let wave = head.bottom() + HEADING;
    let spectrogram = wave + WAVE_HEIGHT + GAP + HEADING;
    let mfcc = spectrogram + SPECTROGRAM_HEIGHT + GAP + HEADING;
    let bottom = mfcc + mfcc_height;
    let label = format!("Waveform, spectrogram and MFCCs: {}", recording.title);
    let mut picture =
        Picture { canvas: Canvas::new(WIDTH, (bottom + 44.0).ceil() as u32, label), span: recording.span() };
    picture.canvas.describe(format!("Three panels over one time axis. {}. {void}", recording.facts()));
    head.draw(&mut picture.canvas);
    picture.waveform(recording, wave);
    picture.spectrogram(&recording.spectrogram, spectrogram);
    picture.mfcc(recording, (mfcc, mfcc_height));
    picture.canvas.text("minor", (LEFT + PLOT / 2.0, bottom + 36.0), Anchor::Middle, "time, s");
    picture.canvas.finish().document()
}

impl Recording<'_> {
    fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate_hz)
    }

    fn mfcc_seconds(&self) -> f64 {
        self.mfcc.columns() as f64 * self.frame_hop_s
    }

    /// The longest of the three, which set the time axis together: frames may be padded beyond the last sample.
    fn span(&self) -> f64 {
        let lengths = [self.seconds(), self.spectrogram.seconds, self.mfcc_seconds()];
        let span = lengths.into_iter().filter(|s| s.is_finite()).fold(0.0, f64::max);
        if span > 0.0 { span } else { 1.0 }
    }

    fn facts(&self) -> String {
        let spectrogram = &self.spectrogram.decibels;
        format!(
            "{} s · {} Hz · {} · peak {} · {} × {} · {} × {}",
            significant(self.seconds()),
            self.sample_rate_hz,
            plural(self.samples.len() as u64, "sample"),
            significant(peak(self.samples)),
            plural(spectrogram.rows() as u64, "bin"),
            plural(spectrogram.columns() as u64, "frame"),
            plural(self.mfcc.rows() as u64, "MFCC"),
            plural(self.mfcc.columns() as u64, "frame"),
        )
    }

    /// What is no number, counted; nothing when all is well.
    fn void(&self) -> String {
        let samples = self.samples.iter().filter(|s| !s.is_finite()).count();
        let power = (0..self.spectrogram.decibels.rows()).flat_map(|r| self.spectrogram.decibels.row(r));
        let power = power.filter(|v| v.is_nan() || *v == f64::INFINITY).count();
        let mfcc = (0..self.mfcc.rows()).flat_map(|r| self.mfcc.row(r)).filter(|v| !v.is_finite()).count();
        let counted: Vec<_> = [(samples, "sample"), (power, "spectrogram value"), (mfcc, "MFCC value")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, thing)| plural(n as u64, thing))
            .collect();
        if counted.is_empty() { String::new() } else { format!("Not finite, in magenta: {}", counted.join(", ")) }
    }
}

struct Picture {
    canvas: Canvas,
    /// Seconds from the left to the right end.
    span: f64,
}

/// A heat map's colours: what they mean, and from where to where.
struct Colours {
    palette: Palette,
    unit: &'static str,
    low: f64,
    high: f64,
}

impl Picture {
    /// The width of so many seconds; `None` when there is no such length.
    fn wide(&self, seconds: f64) -> Option<f64> {
        (seconds.is_finite() && seconds > 0.0).then(|| PLOT * seconds / self.span)
    }

    fn waveform(&mut self, recording: &Recording<'_>, top: f64) {
        self.heading(top, "Waveform", "");
        // To its own peak, for quiet recordings are to be seen too; how quiet, the ends of the axis say.
        let high = Some(peak(recording.samples)).filter(|p| *p > 0.0).unwrap_or(1.0);
        let y = |v: f64| top + (0.5 - 0.5 * v / high) * WAVE_HEIGHT;
        for tick in [high, 0.0, -high] {
            self.canvas.line("grid", (LEFT, y(tick)), (LEFT + PLOT, y(tick)));
            self.row_tick(y(tick), &significant(tick));
        }
        if let Some(width) = self.wide(recording.seconds()) {
            self.envelope(recording.samples, width, (top, &y));
        } else {
            let why = if recording.samples.is_empty() { "no samples" } else { UNKNOWN };
            self.nothing(top + WAVE_HEIGHT / 2.0 - 8.0, why);
        }
        self.time_axis(top + WAVE_HEIGHT, false);
    }

    fn envelope(&mut self, samples: &[f32], width: f64, (top, y): (f64, &dyn Fn(f64) -> f64)) {
        let columns = envelope(samples, width.ceil() as usize);
        let pitch = width / columns.len().max(1) as f64;
        let x = |i: usize| LEFT + pitch * i as f64;
        let mut at = 0;
        for stretch in columns.chunk_by(|a, b| a.range.is_some() == b.range.is_some()) {
            // A sample a column is a line; an envelope of it would be the same line there and back.
            let lonely = stretch.iter().all(|c| c.range.is_none_or(|(low, high)| low >= high));
            let place = |pick: fn((f64, f64)) -> f64| {
                let ranges = stretch.iter().enumerate();
                ranges.filter_map(move |(i, c)| Some((x(at + i) + pitch / 2.0, y(pick(c.range?)))))
            };
            let mut outline: Vec<_> = place(|range| range.1).collect();
            if !lonely {
                outline.extend(place(|range| range.0).collect::<Vec<_>>().into_iter().rev());
            }
            self.canvas.path(if lonely { "trace" } else { "wave" }, &outline, !lonely);
            at += stretch.len();
        }
        let mut at = 0;
        for stretch in columns.chunk_by(|a, b| (a.void > 0) == (b.void > 0)) {
            let void: usize = stretch.iter().map(|c| c.void).sum();
            if void > 0 {
                let tip = format!("not finite: {}", plural(void as u64, "sample"));
                let wide = (pitch * stretch.len() as f64).max(1.5);
                self.canvas.rect("void", (x(at), top), (wide, WAVE_HEIGHT), Some(0.55), &tip);
            }
            at += stretch.len();
        }
    }

    fn spectrogram(&mut self, spectrogram: &Spectrogram<'_>, top: f64) {
        self.heading(top, "Spectrogram", "mean power in each cell");
        self.canvas.text_upwards("minor", (18.0, top + SPECTROGRAM_HEIGHT / 2.0), "kHz");
        // Means of decibels would make a loud harmonic beside silence look quiet: power is what adds up.
        let power = |_, db: f64| if db == f64::INFINITY { f64::NAN } else { 10f64.powf(db / 10.0) };
        let mut cells = spectrogram.decibels.map(power).shrink(MOST_ROWS, MOST_COLUMNS);
        for value in &mut cells.values {
            *value = if value.is_finite() { 10.0 * value.log10() } else { f64::NAN };
        }
        let finite = || cells.values.iter().copied().filter(|v| v.is_finite());
        let high = finite().reduce(f64::max).unwrap_or(0.0);
        let low = finite().reduce(f64::min).unwrap_or(high).clamp(high - DYNAMIC_RANGE_DB, high - 10.0);
        let colours = Colours { palette: Palette::Sequential, unit: "dB", low, high };
        self.heat(&cells, &colours, self.wide(spectrogram.seconds), (top, SPECTROGRAM_HEIGHT));
        let khz = spectrogram.max_hz / 1000.0;
        if khz.is_finite() && khz > 0.0 {
            let scale = Scale::Linear { low: 0.0, high: khz };
            for (value, label) in scale.ticks(Format::Plain, false) {
                self.row_tick(top + (1.0 - value / khz) * SPECTROGRAM_HEIGHT, &label);
            }
        } else {
            self.canvas.text("minor", (LEFT - 8.0, top + 12.0), Anchor::End, "?");
        }
        self.time_axis(top + SPECTROGRAM_HEIGHT, false);
    }

    fn mfcc(&mut self, recording: &Recording<'_>, (top, height): (f64, f64)) {
        self.heading(top, "MFCC", "standard deviations from each coefficient’s mean over this recording");
        self.canvas.text_upwards("minor", (18.0, top + height / 2.0), "coefficient");
        let matrix = &recording.mfcc;
        let spreads: Vec<_> = (0..matrix.rows()).map(|r| mean_and_sd(matrix.row(r))).collect();
        let standardise = |row: usize, v: f64| {
            let (mean, sd) = spreads[row];
            match v.is_finite() {
                // A coefficient that never changes must not show the rounding of its mean.
                true if sd > 1e-9 * mean.abs() => (v - mean) / sd,
                true => 0.0,
                false => f64::NAN,
            }
        };
        let cells = matrix.map(standardise).shrink(MOST_ROWS, MOST_COLUMNS);
        let colours = Colours { palette: Palette::Diverging, unit: "SD", low: -MOST_SD, high: MOST_SD };
        self.heat(&cells, &colours, self.wide(recording.mfcc_seconds()), (top, height));
        let row = height / matrix.rows().max(1) as f64;
        let step = (13.0 / row).ceil().max(1.0) as usize;
        for index in (0..matrix.rows()).step_by(step) {
            self.row_tick(top + height - row * (index as f64 + 0.5), &index.to_string());
        }
        self.time_axis(top + height, true);
    }

    /// Cells, row 0 at the bottom, and the legend of their colours.
    fn heat(&mut self, cells: &Grid, colours: &Colours, width: Option<f64>, (top, height): (f64, f64)) {
        let Colours { palette, unit, low, high } = *colours;
        let (Some(width), false) = (width, cells.values.is_empty()) else {
            let why = if cells.values.is_empty() { "no frames" } else { UNKNOWN };
            return self.nothing(top + height / 2.0, why);
        };
        let upside_down = cells.values.chunks(cells.columns).rev().flatten();
        let levels = upside_down.map(|&v| Palette::level(v, low, high)).collect();
        self.canvas.raster(&Raster { columns: cells.columns, levels, palette }, (LEFT, top), (width, height));
        let x = LEFT + PLOT + 18.0;
        let levels = (0..crate::svg::LEVELS).rev().map(Some).collect();
        self.canvas.raster(&Raster { columns: 1, levels, palette }, (x, top), (12.0, height));
        self.canvas.text("minor", (x, top - 8.0), Anchor::Start, unit);
        for (value, label) in (Scale::Linear { low, high }).ticks(Format::Plain, false) {
            let y = top + height * (1.0 - (value - low) / (high - low));
            self.canvas.line("axis", (x + 12.0, y), (x + 16.0, y));
            self.canvas.text("minor", (x + 20.0, y + 4.0), Anchor::Start, &minus(&label));
        }
    }

    fn heading(&mut self, top: f64, name: &str, what: &str) {
        self.canvas.text("strong", (LEFT, top - 8.0), Anchor::Start, name);
        if !what.is_empty() {
            self.canvas.text("tiny", (LEFT + PLOT, top - 8.0), Anchor::End, what);
        }
    }

    fn row_tick(&mut self, y: f64, label: &str) {
        self.canvas.line("axis", (LEFT - 4.0, y), (LEFT, y));
        self.canvas.text("minor", (LEFT - 8.0, y + 4.0), Anchor::End, &minus(label));
    }

    fn time_axis(&mut self, y: f64, labels: bool) {
        self.canvas.line("axis", (LEFT, y), (LEFT + PLOT, y));
        for (value, label) in (Scale::Linear { low: 0.0, high: self.span }).ticks(Format::Plain, false) {
            let x = LEFT + PLOT * value / self.span;
            self.canvas.line("axis", (x, y), (x, y + 4.0));
            if labels {
                self.canvas.text("minor", (x, y + 18.0), Anchor::Middle, &label);
            }
        }
    }

    fn nothing(&mut self, y: f64, what: &str) {
        self.canvas.text("minor", (LEFT + PLOT / 2.0, y), Anchor::Middle, what);
    }
}

/// A number with the sign that a number has; a hyphen is too short to see.
fn minus(number: &str) -> String {
    number.replacen('-', "−", 1)
}

/// Mean and standard deviation of the finite values; zeros when there are none.
fn mean_and_sd(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values: Vec<_> = values.filter(|v| v.is_finite()).collect();
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
}
