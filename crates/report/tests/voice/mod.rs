//! Made-up speech: a voice that never was, and clients that hold it.
use std::f64::consts::TAU;

use sottovoce_report::speech::{ClientRow, Matrix, PartitionPicture, Recording, Spectrogram};

pub(crate) const EMOTIONS: [&str; 6] = ["angry", "disgusted", "fearful", "happy", "neutral", "sad"];
const RATE: u32 = 16_000;
const HOP: usize = 160;
const WINDOW: usize = 400;

/// Numbers that look drawn by chance and are the same each time.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
    })
}

/// Samples, decibels by frame, MFCC-like values by frame.
pub(crate) struct Voice {
    pub(crate) samples: Vec<f32>,
    pub(crate) decibels: Vec<f32>,
    pub(crate) mfcc: Vec<f32>,
    pub(crate) bins: usize,
}

impl Voice {
    /// Syllables of gliding harmonics between pauses, with an honest (and slow) spectrogram.
    pub(crate) fn new(seconds: f64) -> Self {
        let n = (seconds * f64::from(RATE)) as usize;
        let mut phase = 0.0;
        let mut hiss = noise(1);
        let samples: Vec<f32> = (0..n)
            .map(|i| {
                let t = i as f64 / f64::from(RATE);
                let f0 = 180.0 + 60.0 * (TAU * 0.7 * t).sin() + 20.0 * (TAU * 5.0 * t).sin();
                phase += TAU * f0 / f64::from(RATE);
                let loud = (TAU * 1.6 * t).sin().max(0.0).sqrt() * (0.6 + 0.4 * (TAU * 0.31 * t).cos());
                let formant = 700.0 + 400.0 * (TAU * 0.9 * t).sin();
                let harmonic = |k: f64| (-((k * f0 - formant) / 500.0).powi(2)).exp() + 0.25 / k;
                let voice: f64 = (1..24).map(f64::from).map(|k| harmonic(k) * (k * phase).sin()).sum();
                (0.14 * loud * voice + 0.004 * (hiss.next().unwrap() - 0.5)) as f32
            })
            .collect();
        let bins = WINDOW / 2 + 1;
        let decibels: Vec<f32> = samples.windows(WINDOW).step_by(HOP).flat_map(spectrum).collect();
        let mfcc = decibels.chunks(bins).flat_map(|frame| cepstrum(frame, 13)).collect();
        Self { samples, decibels, mfcc, bins }
    }

    pub(crate) fn recording(&self) -> Recording<'_> {
        let decibels = Matrix::by_column(self.bins, &self.decibels).unwrap();
        let hop = HOP as f64 / f64::from(RATE);
        Recording {
            title: "A voice that never was",
            sample_rate_hz: RATE,
            samples: &self.samples,
            spectrogram: Spectrogram { decibels, max_hz: 8000.0, seconds: decibels.columns() as f64 * hop },
            mfcc: Matrix::by_column(13, &self.mfcc).unwrap(),
            frame_hop_s: hop,
            synthetic: true,
        }
    }
}

fn spectrum(frame: &[f32]) -> Vec<f32> {
    let n = frame.len();
    let table: Vec<(f64, f64)> = (0..n).map(|i| (TAU * i as f64 / n as f64).sin_cos()).collect();
    let windowed: Vec<f64> = frame.iter().zip(&table).map(|(&s, t)| f64::from(s) * (0.5 - 0.5 * t.1)).collect();
    (0..=n / 2)
        .map(|k| {
            let (re, im) = windowed.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, s)| {
                let (sin, cos) = table[i * k % n];
                (re + s * cos, im - s * sin)
            });
            (10.0 * ((re * re + im * im) / n as f64 + 1e-12).log10()) as f32
        })
        .collect()
}

fn cepstrum(decibels: &[f32], coefficients: usize) -> Vec<f32> {
    let n = decibels.len() as f64;
    let angle = |c: usize, i: usize| std::f64::consts::PI * c as f64 * (i as f64 + 0.5) / n;
    let coefficient = |c| decibels.iter().enumerate().map(|(i, &d)| f64::from(d) * angle(c, i).cos()).sum::<f64>() / n;
    (0..coefficients).map(|c| coefficient(c) as f32).collect()
}

/// Clients that differ in size and in what they hold.
pub(crate) fn partition(clients: usize) -> PartitionPicture {
    let mut draw = noise(7);
    let mut count = |most: f64| (draw.next().unwrap().powi(2) * most) as u64;
    let client = |i: usize, count: &mut dyn FnMut(f64) -> u64| ClientRow {
        name: format!("clinic-{:02}", i + 1),
        speakers: 2 + count(6.0),
        counts: (0..EMOTIONS.len()).map(|_| count(120.0)).collect(),
    };
    let rows = (0..clients).map(|i| client(i, &mut count)).collect();
    let mut picture = PartitionPicture::new(EMOTIONS.map(str::to_owned).to_vec(), rows);
    let apart = |name: &str, speakers, counts| Some(ClientRow { name: name.to_owned(), speakers, counts });
    picture.test = apart("test", 8, vec![64, 64, 63, 64, 32, 64]);
    picture.holdout = apart("holdout", 3, vec![24, 24, 24, 24, 12, 24]);
    picture.synthetic = true;
    picture
}
