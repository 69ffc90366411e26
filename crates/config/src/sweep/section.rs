//! `[sweep]`: what is swept, and what a cluster is asked for.
use serde::{Deserialize, Serialize};

use super::EpsilonTarget;
use crate::grid::{Grid, Rule};
use crate::variants::Variant;

/// `[sweep]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Targets of ε; 0 or `"none"` is a run without DP.
    pub epsilons: Vec<EpsilonTarget>,
    /// Seeds; each replaces `run.seed`.
    pub seeds: Vec<u64>,
    /// Folds; each replaces `partition.fold`. None: the run's own fold alone.
    pub folds: Vec<u32>,
    /// Whether each cell trains its model on the pooled data, too.
    pub centralised: bool,
    /// Whether each cell is audited.
    pub attacks: bool,
    /// What is compared. None: the run itself.
    pub variant: Vec<Variant>,
    /// Keys with the values that they are given in turn.
    #[serde(skip_serializing_if = "Grid::is_empty")]
    pub grid: Grid,
    /// Which cells are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Rule>,
    /// What `--executor slurm` asks for.
    #[serde(skip_serializing_if = "Slurm::is_default")]
    pub slurm: Slurm,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            epsilons: Vec::new(),
            seeds: vec![1],
            folds: Vec::new(),
            centralised: false,
            attacks: true,
            variant: Vec::new(),
            grid: Grid::default(),
            exclude: Vec::new(),
            slurm: Slurm::default(),
        }
    }
}

/// `[sweep.slurm]`: what a cell asks of the cluster. It changes no result, and no cell's digest.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slurm {
    /// Partition; the cluster's default where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Limit on the time of a cell, as `sbatch --time` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Memory of a cell, as `sbatch --mem` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Cores of a cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Any other arguments of `sbatch`, one a string.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

impl Slurm {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The arguments of `sbatch`.
    pub fn arguments(&self) -> Vec<String> {
        let option = |name: &str, value: &Option<String>| value.as_ref().map(|v| format!("--{name}={v}"));
        let cpus = self.cpus.map(|n| n.to_string());
        let own = [
            option("partition", &self.partition),
            option("time", &self.time),
            option("mem", &self.memory),
            option("cpus-per-task", &cpus),
        ];
        own.into_iter().flatten().chain(self.args.iter().cloned()).collect()
    }
}
