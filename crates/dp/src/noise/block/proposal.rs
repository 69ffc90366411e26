//! The proposal: which block, by an alias table whose weights are integers.

/// Blocks have width h = 2^−BLOCK_BITS.
pub(super) const BLOCK_BITS: u32 = 4;
/// Blocks of the table: [0, 16).
pub(super) const BLOCKS: usize = 256;
/// Columns of the alias table.
pub(super) const COLUMNS: usize = 512;
const COLUMN_BITS: u32 = 9;
/// Weight of a column: 2^62 in all.
pub(super) const COLUMN_WEIGHT: u64 = 1 << 53;

/// What a choice says: a block below 256, the tail or a rejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outcome(pub(super) u16);

impl Outcome {
    /// g ≥ 16.
    pub(super) const TAIL: Self = Self(256);
    /// Try again: what is left of 2^62.
    pub(super) const REJECT: Self = Self(257);
    /// Outcomes there are.
    pub(super) const COUNT: usize = BLOCKS + 2;

    /// Its block, where it is one.
    #[inline]
    pub(super) fn block(self) -> u64 {
        u64::from(self.0)
    }
}

/// A column of the alias table: `first` with weight `threshold`, `second` with the rest of [`COLUMN_WEIGHT`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cell {
    pub(super) threshold: u64,
    pub(super) first: Outcome,
    pub(super) second: Outcome,
}

/// A block of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Block {
    /// W = ⌈C·e^(−(ih)²/2)⌉.
    pub(super) weight: u64,
    /// ⌊2^62·A⌋, A = C·e^(−(ih)²/2) / W.
    pub(super) scale: u64,
}

/// Blocks `start` + k with probability (1/2^bits)·(1 − 1/2^bits)^k.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tail {
    pub(super) start: u64,
    pub(super) weight: u64,
    /// 1, 2, 4 or 8: a group of digits must not be cut by a word's end.
    pub(super) bits: u32,
}

/// Everything that a trial looks up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Proposal {
    /// C.
    pub(super) ceiling: u64,
    pub(super) cells: [Cell; COLUMNS],
    /// Of each outcome ⌊2^64·A·e^(−(2i+1)h²/2)⌋: tests below it accept wherever the offset lies. 0 for tail and rejection.
    pub(super) lower: [u64; Outcome::COUNT],
    pub(super) blocks: [Block; BLOCKS],
    pub(super) tail: Tail,
}

impl Proposal {
    /// The outcome of a word: its top 9 bits are the column, the next 53 choose within it.
    #[inline]
    pub(super) fn choose(&self, word: u64) -> Outcome {
        let column = usize::try_from(word >> (64 - COLUMN_BITS)).expect("9 bits");
        let cell = &self.cells[column];
        let within = (word >> 2) & (COLUMN_WEIGHT - 1);
        if within < cell.threshold { cell.first } else { cell.second }
    }

    #[inline]
    pub(super) fn lower_bound(&self, outcome: Outcome) -> u64 {
        self.lower[usize::from(outcome.0)]
    }

    /// A in 2^−62 of a block.
    #[inline]
    pub(super) fn scale(&self, block: Outcome) -> u64 {
        self.blocks[usize::from(block.0)].scale
    }
}

impl Tail {
    /// How far beyond `start`: groups of `bits` digits before the first group of zeros. `digits` gives the group at a place.
    pub(super) fn steps(&self, mut digits: impl FnMut(u32, u32) -> u64) -> u32 {
        let mut step = 0;
        // Ends with probability 1.
        while digits(step * self.bits, self.bits) != 0 {
            step += 1;
        }
        step
    }
}
