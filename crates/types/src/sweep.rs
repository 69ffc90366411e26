//! What a sweep leaves behind: one row a cell, and one row a cell and attack score.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{AttackScore, Digest, Unit, Vantage};

/// The value of a config key that a sweep varied.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A word; a list as TOML writes it.
    Text(String),
}

impl Setting {
    /// Reads a cell of a CSV table, which does not tell numbers from words that look like numbers.
    pub fn of_cell(text: &str) -> Self {
        if let Ok(bool) = text.parse() {
            return Self::Bool(bool);
        }
        if let Ok(integer) = text.parse() {
            return Self::Integer(integer);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Number(number),
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(bool) => bool.fmt(f),
            Self::Integer(integer) => integer.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// One line of a sweep's `results.csv` and `results.jsonl`: one finished cell.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SweepRow {
    /// [`crate::SCHEMA_VERSION`].
    pub schema: u32,
    /// SHA-256 of the cell's resolved config.
    pub config_sha256: Digest,
    /// Target ε; `None` is no DP.
    pub epsilon_target: Option<f64>,
    /// Spent ε against the coordinator; `None` is infinity.
    pub epsilon_spent: Option<f64>,
    /// δ.
    pub delta: f64,
    /// Seed.
    pub seed: u64,
    /// The privacy unit.
    pub unit: Unit,
    /// The variant's name; `None` where nothing is varied.
    #[serde(default)]
    pub variant: Option<String>,
    /// Config key -> value, of every key that the sweep's variants or grid set. Empty where nothing but epsilons, folds and seeds is
    /// swept, and in rows of versions that did not record it. In CSV each key is a column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Setting>,
    /// How sums are formed: `secure` or `plain`; `None` in rows of versions that did not record it, as below.
    #[serde(default)]
    pub aggregation: Option<String>,
    /// Clients of the federation.
    #[serde(default)]
    pub clients: Option<u32>,
    /// Bytes of protocol frames that a client sent in a round, the mean over clients and published rounds. Frames of attempts that
    /// failed are in it; QUIC's own bytes are not.
    #[serde(default)]
    pub bytes_up_per_client_round: Option<f64>,
    /// Bytes that it received, likewise.
    #[serde(default)]
    pub bytes_down_per_client_round: Option<f64>,
    /// The fold that is tested on, from 1; `None` where the speakers are not cut into folds.
    #[serde(default)]
    pub fold: Option<u32>,
    /// How train and test were split, in words; `None` in rows of versions that did not record it.
    #[serde(default)]
    pub split: Option<String>,
    /// The architecture's word in configs; `None` in rows of versions that did not record it.
    #[serde(default)]
    pub model: Option<String>,
    /// Parameters of the model; `None` in rows of versions that did not record it.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// Rounds published; `None` in rows of versions that did not record it.
    #[serde(default)]
    pub rounds: Option<u64>,
    /// Noise multiplier; 0 without DP.
    pub noise_multiplier: f64,
    /// Accuracy on unseen speakers.
    pub accuracy: f64,
    /// UAR on unseen speakers.
    pub uar: f64,
    /// Macro precision.
    pub macro_precision: f64,
    /// Macro recall.
    pub macro_recall: f64,
    /// Macro F1.
    pub macro_f1: f64,
    /// Accuracy of the same model trained on the same data in one place, for as many passes; `None` where it was not.
    #[serde(default)]
    pub centralised_accuracy: Option<f64>,
    /// Its UAR.
    #[serde(default)]
    pub centralised_uar: Option<f64>,
    /// Its macro F1.
    #[serde(default)]
    pub centralised_macro_f1: Option<f64>,
    /// AUC of membership inference on the final model; `None` where no clips were held out, or no cell was audited.
    pub membership_auc: Option<f64>,
    /// Correlation of the coordinator's guesses at clients' label profiles with the truth (chance 0); `None` where the
    /// clients' profiles do not differ.
    pub label_profile_correlation: Option<f64>,
    /// Lower bound on ε from canaries; `None` without DP.
    pub epsilon_empirical_lower: Option<f64>,
    /// How many lines of `leakage.jsonl` are this cell's: where fewer are there, the cell is not done. `None` in rows of versions that
    /// wrote no such file.
    #[serde(default)]
    pub leakage_scores: Option<u32>,
    /// Seconds by the wall.
    pub wall_s: f64,
}

/// One line of a sweep's `leakage.csv` and `leakage.jsonl`: one score of one attack on one cell. It stands alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LeakageRow {
    /// [`crate::SCHEMA_VERSION`].
    pub schema: u32,
    /// SHA-256 of the cell's resolved config: the key to its [`SweepRow`].
    pub config_sha256: Digest,
    /// The variant's name; `None` where nothing is varied.
    pub variant: Option<String>,
    /// As in [`SweepRow`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Setting>,
    /// The privacy unit.
    pub unit: Unit,
    /// Target ε; `None` is no DP.
    pub epsilon_target: Option<f64>,
    /// Spent ε against the coordinator; `None` is infinity.
    pub epsilon_spent: Option<f64>,
    /// The fold that is tested on, from 1; `None` where the speakers are not cut into folds.
    pub fold: Option<u32>,
    /// Seed.
    pub seed: u64,
    /// Name of the attack.
    pub attack: String,
    /// The attack whose control this is; `None` for the attack itself.
    pub control_of: Option<String>,
    /// From where it looks.
    pub vantage: Vantage,
    /// What is measured, for example `auc`.
    pub metric: String,
    /// Its value; NaN (`null` in JSON) where it is not a number.
    #[serde(deserialize_with = "or_nan")]
    pub value: f64,
    /// Lower end of its 95 % interval.
    #[serde(deserialize_with = "or_nan")]
    pub low: f64,
    /// Upper end.
    #[serde(deserialize_with = "or_nan")]
    pub high: f64,
    /// The value of blind guessing.
    pub chance: f64,
    /// Independent trials behind it.
    pub trials: u32,
}

impl LeakageRow {
    /// A score of the cell that `row` is of.
    pub fn of(row: &SweepRow, score: &AttackScore) -> Self {
        Self {
            schema: row.schema,
            config_sha256: row.config_sha256,
            variant: row.variant.clone(),
            settings: row.settings.clone(),
            unit: row.unit,
            epsilon_target: row.epsilon_target,
            epsilon_spent: row.epsilon_spent,
            fold: row.fold,
            seed: row.seed,
            attack: score.attack.clone(),
            control_of: score.control_of.clone(),
            vantage: score.vantage,
            metric: score.metric.clone(),
            value: score.value,
            low: score.ci95.low,
            high: score.ci95.high,
            chance: score.chance,
            trials: score.trials,
        }
    }
}

/// JSON has no NaN and no infinity: one such score must not make the whole file unreadable.
fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_keeps_its_kind_in_json_and_in_a_table_s_cell() {
        let all = [
            Setting::Bool(true),
            Setting::Integer(-3),
            Setting::Number(0.5),
            Setting::Text("cnn".into()),
            Setting::Text("[32, 8]".into()),
            Setting::Text("inf".into()),
        ];
        for setting in all {
            let json = serde_json::to_string(&setting).unwrap();
            assert_eq!(serde_json::from_str::<Setting>(&json).unwrap(), setting, "{json}");
            assert_eq!(Setting::of_cell(&setting.to_string()), setting);
        }
        // Of a number that is whole, JSON keeps the kind, and a table does not.
        assert_eq!(serde_json::from_str::<Setting>("1.0").unwrap(), Setting::Number(1.0));
        assert_eq!(Setting::of_cell(&Setting::Number(1.0).to_string()), Setting::Integer(1));
    }
}
