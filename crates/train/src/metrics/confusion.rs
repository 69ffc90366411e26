//! Counts of truth against prediction, and the figures that follow from them.
use sottovoce_types::{ClassMetrics, LabelSet};

/// `counts[truth × classes + predicted]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Confusion {
    classes: usize,
    counts: Vec<u32>,
}

impl Confusion {
    pub(super) fn empty(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// The sum of several.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>, classes: usize) -> Self {
        let mut total = Self::empty(classes);
        for part in parts {
            total.add(part);
        }
        total
    }

    pub(super) fn count(&mut self, truth: usize, predicted: usize) {
        self.counts[truth * self.classes + predicted] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (into, from) in self.counts.iter_mut().zip(&other.counts) {
            *into += from;
        }
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
    }

    pub(super) fn examples(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// `rows[truth][predicted]`.
    pub(super) fn rows(&self) -> Vec<Vec<u32>> {
        self.counts.chunks(self.classes).map(<[u32]>::to_vec).collect()
    }

    fn right(&self, class: usize) -> u32 {
        self.counts[class * self.classes + class]
    }

    fn support(&self, class: usize) -> u32 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    fn predicted(&self, class: usize) -> u32 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    pub(super) fn accuracy(&self) -> f64 {
        let right: u32 = (0..self.classes).map(|c| self.right(c)).sum();
        f64::from(right) / f64::from(self.examples())
    }

    /// Recall of a class; `None` where it does not occur.
    pub(super) fn recall(&self, class: usize) -> Option<f64> {
        let support = self.support(class);
        (support > 0).then(|| f64::from(self.right(class)) / f64::from(support))
    }

    /// F1 of a class: 2·right / (support + predicted), which is 0 where precision or recall is.
    fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.right(class), self.support(class) + self.predicted(class))
    }

    /// Over the classes that occur.
    pub(super) fn uar(&self) -> f64 {
        let (mut sum, mut occur) = (0.0, 0.0);
        for recall in (0..self.classes).filter_map(|c| self.recall(c)) {
            sum += recall;
            occur += 1.0;
        }
        sum / occur
    }

    /// Over all classes.
    pub(super) fn macro_f1(&self) -> f64 {
        (0..self.classes).map(|c| self.f1(c)).sum::<f64>() / self.classes as f64
    }

    pub(super) fn per_class(&self, labels: &LabelSet) -> Vec<ClassMetrics> {
        let figures = |(class, label)| ClassMetrics {
            label,
            precision: ratio(self.right(class), self.predicted(class)),
            recall: self.recall(class).unwrap_or(0.0),
            f1: self.f1(class),
            support: self.support(class),
        };
        labels.names().into_iter().enumerate().map(figures).collect()
    }
}

/// 0 over nothing: scikit-learn's `zero_division=0`.
fn ratio(a: u32, b: u32) -> f64 {
    if b == 0 { 0.0 } else { f64::from(a) / f64::from(b) }
}
