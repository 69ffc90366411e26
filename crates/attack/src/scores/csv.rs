//! Scores as CSV: what `scores.csv` holds, and what other tools' scores are read from.
use std::collections::BTreeMap;
use std::io::{Read, Write};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use super::{Described, Scored, Scores};

/// Name of the file in a run's directory.
pub const SCORES_CSV: &str = "scores.csv";

/// Columns of our own form, in the order in which they are written. `unit`, `score` and `member` must be there; every other column is a
/// slice by its name.
const UNIT: &str = "unit";
const SCORE: &str = "score";
const MEMBER: &str = "member";
const CLUSTER: &str = "cluster";
const RUN: &str = "run";

/// Which of the three forms a file had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CsvForm {
    /// `unit,score,member[,cluster,run,SLICE...]`: one unit a row.
    Units,
    /// `score,member`: one canary a row without a name, as from Privacy Meter's arrays of scores and memberships.
    Memberships,
    /// `in_canary_scores,out_canary_scores`: two columns of scores side by side, as from the two arrays that jax_privacy's auditor takes; the
    /// shorter is padded with empty fields.
    InAndOut,
}

/// What is wrong with a file, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// Not CSV, or unreadable.
    #[error("not a CSV file: {0}")]
    Csv(#[from] csv::Error),
    /// Unwritable.
    #[error("cannot be written: {0}")]
    Write(#[from] std::io::Error),
    /// The columns are of no known form.
    #[error(
        "the columns are {found:?}: write unit,score,member (and cluster, run, slices as you like), score,member, or \
         in_canary_scores,out_canary_scores"
    )]
    Columns {
        /// The header.
        found: Vec<String>,
    },
    /// Two columns of one name.
    #[error("column {column:?} stands twice")]
    ColumnTwice {
        /// The name.
        column: String,
    },
    /// A field cannot be read.
    #[error("row {row}, column {column:?}: {value:?} is not {expected}")]
    Field {
        /// Line of the file, the header being 1.
        row: u64,
        /// Column.
        column: String,
        /// What stands there.
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// One unit twice in one run.
    #[error("row {row}: unit {unit:?} stands twice in run {run}")]
    UnitTwice {
        /// Line of the file.
        row: u64,
        /// The unit.
        unit: String,
        /// The run.
        run: u32,
    },
    /// No rows.
    #[error("there are no scores below the header")]
    Empty,
}

impl Scores {
    /// Reads any of the [`CsvForm`]s. `of` describes where the scores come from.
    ///
    /// # Errors
    /// [`CsvError`], with row and column.
    pub fn read_csv(of: Described, from: impl Read) -> Result<(Self, CsvForm), CsvError> {
        let mut reader = ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(from);
        let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let place: BTreeMap<&str, usize> = header.iter().map(String::as_str).zip(0..).collect();
        if let Some(column) = header.iter().enumerate().find_map(|(i, c)| (place[c.as_str()] != i).then_some(c)) {
            return Err(CsvError::ColumnTwice { column: column.clone() });
        }
        let has = |names: &[&str]| names.iter().all(|n| place.contains_key(n));
        let form = if has(&["in_canary_scores", "out_canary_scores"]) && header.len() == 2 {
            CsvForm::InAndOut
        } else if has(&[UNIT, SCORE, MEMBER]) {
            CsvForm::Units
        } else if has(&[SCORE, MEMBER]) && header.len() == 2 {
            CsvForm::Memberships
        } else {
            return Err(CsvError::Columns { found: header });
        };
        let mut units = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for record in reader.records() {
            let record = record?;
            let row = Row { line: record.position().map_or(0, csv::Position::line), record: &record, place: &place };
            match form {
                CsvForm::InAndOut => row.side_by_side(&mut units)?,
                CsvForm::Units | CsvForm::Memberships => {
                    let unit = row.unit(form, units.len(), &header)?;
                    if !seen.insert((unit.unit.clone(), unit.run)) {
                        return Err(CsvError::UnitTwice { row: row.line, unit: unit.unit, run: unit.run });
                    }
                    units.push(unit);
                }
            }
        }
        if units.is_empty() { Err(CsvError::Empty) } else { Ok((Self { of, units }, form)) }
    }

    /// Writes [`CsvForm::Units`]; [`Scores::read_csv`] gives the same back, bit for bit.
    ///
    /// # Errors
    /// [`CsvError`] when it cannot be written.
    pub fn write_csv(&self, to: impl Write) -> Result<(), CsvError> {
        let mut slices: Vec<&str> = self.units.iter().flat_map(|u| u.slices.keys().map(String::as_str)).collect();
        slices.sort_unstable();
        slices.dedup();
        let mut writer = WriterBuilder::new().from_writer(to);
        writer.write_record([UNIT, SCORE, MEMBER, CLUSTER, RUN].iter().chain(&slices))?;
        for u in &self.units {
            let fixed = [
                u.unit.clone(),
                u.score.to_string(),
                u8::from(u.truth).to_string(),
                u.cluster.clone(),
                u.run.to_string(),
            ];
            let of_slices = slices.iter().map(|s| u.slices.get(*s).cloned().unwrap_or_default());
            writer.write_record(fixed.into_iter().chain(of_slices))?;
        }
        writer.flush()?;
        Ok(())
    }
}

/// One record with its place.
struct Row<'a> {
    line: u64,
    record: &'a StringRecord,
    place: &'a BTreeMap<&'a str, usize>,
}

impl Row<'_> {
    fn field(&self, column: &str) -> Option<&str> {
        self.place.get(column).and_then(|&at| self.record.get(at))
    }

    fn wrong(&self, column: &str, value: &str, expected: &'static str) -> CsvError {
        CsvError::Field { row: self.line, column: column.to_owned(), value: value.to_owned(), expected }
    }

    fn score(&self, column: &str, value: &str) -> Result<f64, CsvError> {
        match value.parse::<f64>() {
            Ok(score) if score.is_finite() => Ok(score),
            _ => Err(self.wrong(column, value, "a finite number")),
        }
    }

    fn side_by_side(&self, units: &mut Vec<Scored>) -> Result<(), CsvError> {
        for (column, truth) in [("in_canary_scores", true), ("out_canary_scores", false)] {
            let value = self.field(column).unwrap_or_default();
            if value.is_empty() {
                continue;
            }
            let unit = format!("{}-{}", if truth { "in" } else { "out" }, self.line - 1);
            units.push(Scored {
                score: self.score(column, value)?,
                truth,
                cluster: unit.clone(),
                unit,
                run: 0,
                slices: BTreeMap::new(),
            });
        }
        Ok(())
    }

    fn unit(&self, form: CsvForm, index: usize, header: &[String]) -> Result<Scored, CsvError> {
        let unit = match form {
            CsvForm::Units => self.field(UNIT).unwrap_or_default().to_owned(),
            _ => format!("canary-{}", index + 1),
        };
        if unit.is_empty() {
            return Err(self.wrong(UNIT, "", "a name"));
        }
        let member = self.field(MEMBER).unwrap_or_default();
        let truth = match member.to_ascii_lowercase().as_str() {
            "1" | "true" | "in" => true,
            "0" | "false" | "out" => false,
            _ => return Err(self.wrong(MEMBER, member, "1 or 0, true or false, in or out")),
        };
        let run = match self.field(RUN) {
            None | Some("") => 0,
            Some(value) => value.parse().map_err(|_| self.wrong(RUN, value, "a whole number from 0"))?,
        };
        let fixed = [UNIT, SCORE, MEMBER, CLUSTER, RUN];
        let slices = header
            .iter()
            .filter(|c| !fixed.contains(&c.as_str()))
            .filter_map(|c| Some((c.clone(), self.field(c)?.to_owned())).filter(|(_, v)| !v.is_empty()))
            .collect();
        Ok(Scored {
            score: self.score(SCORE, self.field(SCORE).unwrap_or_default())?,
            truth,
            cluster: self.field(CLUSTER).filter(|c| !c.is_empty()).unwrap_or(&unit).to_owned(),
            run,
            slices,
            unit,
        })
    }
}

#[cfg(test)]
mod tests {
    use sottovoce_types::Vantage;

    use super::*;
    use crate::random::Stream;

    const OF: Described = Described { attack: "imported", vantage: Vantage::Auditor, citation: "" };

    fn read(text: &str) -> Result<(Scores, CsvForm), CsvError> {
        Scores::read_csv(OF, text.as_bytes())
    }

    #[test]
    fn each_form_is_read() {
        let (ours, form) =
            read("unit,score,member,cluster,run,emotion\na.wav,0.5,1,s1,2,angry\nb.wav,-1e-3,out,,,\n").unwrap();
        assert_eq!((form, ours.units.len()), (CsvForm::Units, 2));
        assert_eq!(
            (ours.units[0].cluster.as_str(), ours.units[0].run, ours.units[0].slices["emotion"].as_str()),
            ("s1", 2, "angry")
        );
        assert_eq!(
            (ours.units[1].cluster.as_str(), ours.units[1].truth, ours.units[1].slices.len()),
            ("b.wav", false, 0)
        );
        let (meter, form) = read("score,member\n1.5,True\n0.5,False\n").unwrap();
        assert_eq!((form, meter.units[0].truth, meter.units[1].truth), (CsvForm::Memberships, true, false));
        let (jax, form) = read("in_canary_scores,out_canary_scores\n1,2\n3,\n").unwrap();
        assert_eq!((form, jax.units.len()), (CsvForm::InAndOut, 3));
        assert_eq!(jax.units.iter().filter(|u| u.truth).count(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_with_row_and_column() {
        for (text, told) in [
            ("unit,score,member\na,x,1\n", "row 2, column \"score\": \"x\" is not a finite number"),
            ("unit,score,member\na,1,1\nb,NaN,0\n", "row 3, column \"score\": \"NaN\""),
            ("unit,score,member\na,1,maybe\n", "column \"member\": \"maybe\" is not 1 or 0"),
            ("unit,score,member,run\na,1,1,-1\n", "column \"run\": \"-1\" is not a whole number"),
            ("unit,score,member\n,1,1\n", "row 2, column \"unit\""),
            ("unit,score,member\na,1,1\na,2,0\n", "row 3: unit \"a\" stands twice in run 0"),
            ("unit,score\na,1\n", "the columns are [\"unit\", \"score\"]"),
            ("score,score,member\n1,1,1\n", "column \"score\" stands twice"),
            ("unit,score,member\n", "no scores"),
            ("unit,score,member\na,1\n", "not a CSV file"),
            ("in_canary_scores,out_canary_scores\n1,inf\n", "column \"out_canary_scores\": \"inf\""),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let words = ["", "angry", "with, comma", "with \"quotes\"", "two\nlines", "Ärger"];
        for seed in 0..50 {
            let mut s = Stream::new("csv-round-trip", seed);
            // Every magnitude that a float has, negative zero and the smallest one among them.
            let mut score = |i: usize| match i {
                0 => -0.0,
                1 => f64::from_bits(1),
                2 => f64::MAX,
                _ => s.normal() * 10f64.powi(s.below(600) as i32 - 300),
            };
            let units = (0..20).map(|i| Scored {
                unit: format!("clip {i}"),
                score: score(i),
                truth: i % 3 == 0,
                cluster: format!("s{}", i % 4),
                run: i as u32 % 2,
                slices: Some(words[i % words.len()])
                    .filter(|w| !w.is_empty())
                    .map(|w| ("word".to_owned(), w.to_owned()))
                    .into_iter()
                    .collect(),
            });
            let scores = Scores { of: OF, units: units.collect() };
            let mut file = Vec::new();
            scores.write_csv(&mut file).unwrap();
            let (back, form) = Scores::read_csv(OF, file.as_slice()).unwrap();
            assert_eq!((&back, form), (&scores, CsvForm::Units));
            let bits = |s: &Scores| s.units.iter().map(|u| u.score.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&back), bits(&scores));
        }
    }
}
