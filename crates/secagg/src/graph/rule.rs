//! Which graph an attempt runs over: agreed on beforehand, and decided by the number of clients on its roster alone.
use sottovoce_types::Sha256Writer;

use super::solver::{Adversary, Cohort, GraphParameters, Infeasible, in_degree_cap, out_picks};

/// Most clients that [`MaskGraph::Auto`] joins completely.
pub const AUTO_COMPLETE: u32 = 128;

/// Roster sizes whose parameters are looked up beforehand, at most; between them the next is near.
const SIZES: u32 = 256;

/// What a sparse graph has to withstand besides the session's corrupt clients.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SparseTerms {
    /// δ: share of the clients that may drop out between R1 and R4, from 0 to below 1.
    pub max_dropout: f64,
    /// The coordinator.
    pub adversary: Adversary,
}

/// Between whom secrets are shared and masks are made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MaskGraph {
    /// Everybody and everybody.
    Complete,
    /// Neighbours that clients choose.
    Sparse(SparseTerms),
    /// Everybody up to [`AUTO_COMPLETE`] clients, chosen neighbours above.
    Auto(SparseTerms),
}

/// Most entries of an attempt's lists, over all rosters that a session may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Degrees {
    /// Positions in a list of picks; 0 where nobody picks.
    pub picks: usize,
    /// Holders of one dealer's shares.
    pub holders: usize,
    /// Dealers of the shares of one holder.
    pub dealers: usize,
}

impl Degrees {
    /// Those of the complete graph over n clients.
    pub fn complete(n: usize) -> Self {
        Self { picks: 0, holders: n, dealers: n }
    }
}

impl MaskGraph {
    /// k and t on a roster of n clients of which `max_corrupt` may be corrupt; `None` where the graph is complete.
    ///
    /// # Errors
    /// [`Infeasible`]: no sparse graph keeps both bounds.
    pub fn on(&self, n: u32, max_corrupt: u32) -> Result<Option<GraphParameters>, Infeasible> {
        match self {
            Self::Complete => Ok(None),
            Self::Auto(_) if n <= AUTO_COMPLETE => Ok(None),
            Self::Sparse(terms) | Self::Auto(terms) => {
                let of_dropouts = Cohort::of_fractions(n, 0.0, terms.max_dropout, terms.adversary)?;
                out_picks(&Cohort { max_corrupt, ..of_dropouts }).map(Some)
            }
        }
    }

    /// What the lists of an attempt may hold, its roster having from `n_min` to `members` clients. Of more than 256 sizes
    /// that many are looked at, evenly spaced, and a sixteenth is added for those between; should one of those have no
    /// parameters, clients leave an attempt on such a roster.
    ///
    /// # Errors
    /// [`Infeasible`] for the first of these sizes for which there are no parameters.
    pub fn degrees(&self, n_min: u32, members: u32, max_corrupt: u32) -> Result<Degrees, Infeasible> {
        let all = usize::try_from(members).unwrap_or(usize::MAX);
        let complete_up_to = match self {
            Self::Complete => return Ok(Degrees::complete(all)),
            Self::Auto(_) => members.min(AUTO_COMPLETE),
            Self::Sparse(_) => 0,
        };
        let least = n_min.max(complete_up_to.saturating_add(1)).min(members);
        let span = members.saturating_sub(least);
        let steps = span.min(SIZES);
        let mut picks = 0;
        for step in 0..=steps {
            let ahead = u64::from(span).saturating_mul(step.into()).checked_div(steps.into()).unwrap_or(0);
            let n = least.saturating_add(u32::try_from(ahead).unwrap_or(span));
            picks = self.on(n, max_corrupt)?.map_or(0, |p| p.neighbours).max(picks);
        }
        if span > steps {
            picks = picks.saturating_add(picks / 16).saturating_add(1);
        }
        let size = |k: u32| usize::try_from(k.max(complete_up_to).min(members)).unwrap_or(all);
        Ok(Degrees {
            picks: usize::try_from(picks).unwrap_or(all),
            holders: size(picks),
            dealers: size(in_degree_cap(picks)),
        })
    }

    /// What its sparse form has to withstand; `None` where it has none.
    pub fn terms(&self) -> Option<SparseTerms> {
        match self {
            Self::Complete => None,
            Self::Sparse(terms) | Self::Auto(terms) => Some(*terms),
        }
    }

    /// The word used in configs and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Sparse(_) => "sparse",
            Self::Auto(_) => "auto",
        }
    }

    /// What stands for it in contexts and plans; nothing for the complete graph.
    pub fn write_to(&self, hasher: &mut Sha256Writer) {
        let Some(terms) = self.terms() else { return };
        hasher.field(b"graph").field(self.name().as_bytes()).number(terms.max_dropout.to_bits());
        hasher.field(terms.adversary.name().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(max_dropout: f64) -> SparseTerms {
        SparseTerms { max_dropout, adversary: Adversary::Malicious }
    }

    #[test]
    fn auto_is_complete_up_to_128_clients_and_sparse_above() {
        let auto = MaskGraph::Auto(terms(0.1));
        assert_eq!((auto.on(128, 12), MaskGraph::Complete.on(1000, 100)), (Ok(None), Ok(None)));
        let sparse = MaskGraph::Sparse(terms(0.1));
        assert_eq!(auto.on(129, 12), sparse.on(129, 12));
        let found = auto.on(1000, 100).unwrap().unwrap();
        assert_eq!((found.neighbours, found.threshold), (96, 67), "the design's row of 1000 clients");
    }

    #[test]
    fn lists_are_bounded_by_the_largest_degree_of_any_roster() {
        assert_eq!(MaskGraph::Complete.degrees(3, 500, 10), Ok(Degrees { picks: 0, holders: 500, dealers: 500 }));
        let auto = MaskGraph::Auto(terms(0.1));
        assert_eq!(auto.degrees(3, 100, 10), Ok(Degrees { picks: 0, holders: 100, dealers: 100 }), "never sparse");
        for graph in [auto, MaskGraph::Sparse(terms(0.1))] {
            let degrees = graph.degrees(150, 200, 10).unwrap();
            let largest = (150..=200).map(|n| graph.on(n, 10).unwrap().unwrap().neighbours).max().unwrap();
            assert_eq!(degrees.picks, largest as usize);
            let floor = if graph == auto { 128 } else { 0 };
            let within = |k: usize| k.max(floor).min(200);
            assert_eq!((degrees.holders, degrees.dealers), (within(degrees.picks), within(3 * degrees.picks)));
        }
        // Too many sizes for all to be looked at: what lies between is within the bound, too.
        let sparse = MaskGraph::Sparse(terms(0.05));
        let degrees = sparse.degrees(300, 1500, 15).unwrap();
        for n in (300..=1500).step_by(7) {
            assert!(sparse.on(n, 15).unwrap().unwrap().neighbours as usize <= degrees.picks, "{n}");
        }
    }

    #[test]
    fn a_session_that_cannot_have_a_graph_is_refused_beforehand() {
        let refused = MaskGraph::Auto(terms(0.4)).degrees(100, 200, 60).unwrap_err();
        assert!(matches!(refused, Infeasible::TooManyLost { .. }), "{refused}");
        let refused = MaskGraph::Sparse(terms(0.1)).degrees(3, 12, 0).unwrap_err();
        assert!(matches!(refused, Infeasible::NeedsCompleteGraph { n: 3, .. }), "{refused}");
        let refused = MaskGraph::Sparse(terms(1.5)).degrees(150, 150, 10).unwrap_err();
        assert!(matches!(refused, Infeasible::Fraction { .. }), "{refused}");
    }

    #[test]
    fn what_is_agreed_on_tells_graphs_apart() {
        let digest = |graph: MaskGraph| {
            let mut hasher = Sha256Writer::new("graphs");
            graph.write_to(&mut hasher);
            hasher.finish()
        };
        let one = SparseTerms { adversary: Adversary::OneSurvivorSet, ..terms(0.1) };
        let all = [
            MaskGraph::Complete,
            MaskGraph::Sparse(terms(0.1)),
            MaskGraph::Auto(terms(0.1)),
            MaskGraph::Sparse(terms(0.2)),
            MaskGraph::Sparse(one),
        ];
        let distinct: std::collections::BTreeSet<_> = all.into_iter().map(digest).collect();
        assert_eq!(distinct.len(), all.len());
    }
}
