//! Which layers of a client's noise are taken off an opened sum again: a rule of the signed sets alone, the same for everybody.
//!
//! With n dealers (U2), f of them possibly corrupt, and a quorum of q survivors (U3): N = n − f honest dealers at least, and T = n − q dropouts that are
//! tolerated. Each client adds a base of variance σ*²/N, σ*² being what the honest noise must reach, and ℓ = ⌈log₂(T + 1)⌉ layers of variances
//! u, 2u, …, 2^(ℓ−1)·u that add up to what the most dropouts would cost:
//!
//! ```text
//! u·(2^ℓ − 1) = σ*²/(N − T) − σ*²/N
//! ```
//!
//! After j dropouts the N − j honest survivors need σ*²/(N − j) each. The largest multiple m·u that leaves it is
//!
//! ```text
//! m(j) = ⌊ (2^ℓ − 1)·N·(T − j) / (T·(N − j)) ⌋,   m(0) = 2^ℓ − 1,   m(T) = 0
//! ```
//!
//! and the layers of the binary digits of m(j) are the surplus, of every survivor alike. What is left lies in
//! [σ*²/(N − j), σ*²/(N − j) + u). (Jiang, Wang & Chen, "Dordis: Efficient Federated Learning
//! with Dropout-Resilient Differential Privacy", EuroSys 2024, arXiv 2209.12528, has the idea, with a layer for each dropout; the split above is ours.)
//!
//! No σ is in the rule, so secure aggregation decides what is opened without knowing of any noise.

/// Whether the noise that dropouts made necessary, and that did not become necessary, is taken off a sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NoiseRemoval {
    /// No: a sum keeps all noise of all survivors.
    #[default]
    None,
    /// Layer by layer, by seeds that survivors reveal.
    Layers,
}

impl NoiseRemoval {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::None, Self::Layers];

    /// The word used in configs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Layers => "layers",
        }
    }
}

/// A set of layers, by their indices from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LayerSet(u32);

impl LayerSet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// Those of the digits of `bits`.
    pub fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Digit k is 1 where layer k is in it. Also the multiple of the smallest layer's variance.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether a layer is in it.
    pub fn contains(self, layer: u32) -> bool {
        layer < u32::BITS && (self.0 >> layer) & 1 == 1
    }

    /// How many are in it.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether none is.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In ascending order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..u32::BITS).filter(move |layer| self.contains(*layer))
    }
}

/// Most layers: enough for 65 535 dropouts.
pub const MAX_LAYERS: u32 = 16;

/// How the noise of one attempt is split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerRule {
    dealers: u32,
    quorum: u32,
    corrupt: u32,
}

impl LayerRule {
    /// For this many dealers, the quorum of survivors and the corrupt clients to withstand. `None` where no survivor would be honest, or fewer dealt
    /// than must survive.
    pub fn new(dealers: u32, quorum: u32, corrupt: u32) -> Option<Self> {
        (quorum > corrupt && dealers >= quorum).then_some(Self { dealers, quorum, corrupt })
    }

    /// |U2|.
    pub fn dealers(self) -> u32 {
        self.dealers
    }

    /// q.
    pub fn quorum(self) -> u32 {
        self.quorum
    }

    /// f.
    pub fn corrupt(self) -> u32 {
        self.corrupt
    }

    /// N: dealers that are honest at least.
    pub fn honest(self) -> u32 {
        self.dealers - self.corrupt
    }

    /// T: dropouts that are tolerated.
    pub fn tolerated(self) -> u32 {
        self.dealers - self.quorum
    }

    /// ℓ: layers of each client's noise, beside the base.
    pub fn layers(self) -> u32 {
        (u32::BITS - self.tolerated().leading_zeros()).min(MAX_LAYERS)
    }

    /// The layers that are taken off after this many dropouts; `None` for more than are tolerated.
    pub fn surplus(self, dropouts: u32) -> Option<LayerSet> {
        let (all, honest, tolerated) =
            ((1u128 << self.layers()) - 1, u128::from(self.honest()), u128::from(self.tolerated()));
        let left = self.tolerated().checked_sub(dropouts)?;
        if tolerated == 0 {
            return Some(LayerSet::EMPTY);
        }
        let units = all * honest * u128::from(left) / (tolerated * (honest - u128::from(dropouts)));
        Some(LayerSet(u32::try_from(units).expect("at most 2^16 − 1")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_surplus_of_small_cohorts_is_as_by_hand() {
        // n = 10, f = 3, q = 7: N = 7, T = 3, two layers; 3·7·(3 − j)/(3·(7 − j)) = 3, 2.33, 1.4, 0.
        let rule = LayerRule::new(10, 7, 3).unwrap();
        assert_eq!((rule.honest(), rule.tolerated(), rule.layers()), (7, 3, 2));
        let surplus: Vec<_> = (0..=4).map(|j| rule.surplus(j).map(LayerSet::bits)).collect();
        assert_eq!(surplus, [Some(3), Some(2), Some(1), Some(0), None]);
        // Everybody must survive: nothing is split.
        let tight = LayerRule::new(7, 7, 3).unwrap();
        assert_eq!((tight.layers(), tight.surplus(0), tight.surplus(1)), (0, Some(LayerSet::EMPTY), None));
        assert_eq!(LayerRule::new(6, 7, 3), None);
        assert_eq!(LayerRule::new(10, 3, 3), None);
        assert_eq!(LayerSet::of_bits(0b101).iter().collect::<Vec<_>>(), [0, 2]);
    }

    proptest! {
        #[test]
        fn claim_what_is_left_reaches_the_target_after_any_number_of_dropouts(
            q in 2u32..400, f in 0u32..399, more in 0u32..400, j in 0u32..400,
        ) {
            prop_assume!(f < q && j <= more);
            let rule = LayerRule::new(q + more, q, f).unwrap();
            let (honest, tolerated) = (u128::from(rule.honest()), u128::from(rule.tolerated()));
            let all = (1u128 << rule.layers()) - 1;
            let off = u128::from(rule.surplus(j).unwrap().bits());
            // In σ*²/(N·(N − T)·(2^ℓ − 1)): the base is (N − T)·(2^ℓ − 1), a unit u is T, the need N·(N − T)·(2^ℓ − 1)/(N − j).
            let left = |off: u128| ((honest - tolerated) * all.max(1) + (all - off) * tolerated) * (honest - u128::from(j));
            let need = honest * (honest - tolerated) * all.max(1);
            prop_assert!(left(off) >= need);
            if off < all {
                prop_assert!(left(off + 1) < need, "one more unit is too many, and caught");
            }
            prop_assert!(rule.surplus(more + 1).is_none());
        }

        #[test]
        fn more_dealers_never_have_fewer_layers_and_more_dropouts_never_a_larger_surplus(
            q in 2u32..300, f in 0u32..299, more in 0u32..300,
        ) {
            prop_assume!(f < q);
            let rule = LayerRule::new(q + more, q, f).unwrap();
            prop_assert!(LayerRule::new(q + more + 1, q, f).unwrap().layers() >= rule.layers());
            let surplus: Vec<u32> = (0..=more).map(|j| rule.surplus(j).unwrap().bits()).collect();
            prop_assert!(surplus.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }
}
