//! Makes the table, and checks the one that is committed: every number is an integer, and every cell is added up again.
use num_bigint::BigUint;

use super::exact::exp_bracket;
use super::proposal::{BLOCKS, Block, COLUMN_WEIGHT, COLUMNS, Cell, Outcome, Proposal, Tail};
use super::table::PROPOSAL;

/// Sum of all weights.
pub(super) const TOTAL_WEIGHT: u64 = 1 << 62;

/// Bits to which e^(−i²h²/2) is taken: enough that rounding its bracket down and up gives one integer wherever that is asked for.
const PRECISION: u32 = 256;

/// ⌈factor·e^(−numerator/512)⌉ and ⌊…⌋ of the same, from a bracket that must agree with itself.
fn scaled(factor: &BigUint, divisor: &BigUint, numerator: u64) -> (u64, u64) {
    let exp = exp_bracket(&BigUint::from(numerator), 9, PRECISION);
    let unit = divisor << PRECISION;
    // Too large for a word is too large for any table: the search for C goes lower.
    let word = |n: BigUint| u64::try_from(n).unwrap_or(u64::MAX);
    let floor = |e: &BigUint| word((factor * e) / &unit);
    let ceil = |e: &BigUint| word((factor * e + &unit - 1u8) / &unit);
    let exact = numerator == 0 && factor % divisor == BigUint::ZERO;
    if exact {
        let value = u64::try_from(factor / divisor).unwrap_or(u64::MAX);
        return (value, value);
    }
    assert_eq!((floor(&exp.low), ceil(&exp.low)), (floor(&exp.high), ceil(&exp.high)), "more precision is needed");
    (floor(&exp.low), ceil(&exp.low))
}

/// The table whose blocks end at `start`, with a tail that steps by groups of `bits` digits.
pub(super) fn build(start: u64, bits: u32) -> Proposal {
    // C as large as 2^62 leaves room for: the weights are within 1 of C·e^(−i²/512) each, and the tail's is its own.
    let mut ceiling = 0;
    let mut step = TOTAL_WEIGHT / 32;
    while step > 0 {
        if total(&weights(ceiling + step, start, bits)) <= u128::from(TOTAL_WEIGHT) {
            ceiling += step;
        }
        step /= 2;
    }
    let weights = weights(ceiling, start, bits);
    let mut all: Vec<u64> = weights.clone();
    all.push(TOTAL_WEIGHT - u64::try_from(total(&weights)).unwrap());
    let mut lower = [0; Outcome::COUNT];
    let mut blocks = [Block { weight: 0, scale: 0 }; BLOCKS];
    let c = BigUint::from(ceiling);
    for i in 0..usize::try_from(start).unwrap() {
        let (number, weight) = (i as u64, weights[i]);
        let w = BigUint::from(weight);
        blocks[i] = Block { weight, scale: scaled(&(&c << 62u32), &w, number * number).0 };
        lower[i] = scaled(&(&c << 64u32), &w, (number + 1) * (number + 1)).0;
    }
    let tail = Tail { start, weight: weights[BLOCKS], bits };
    Proposal { ceiling, cells: alias(&all), lower, blocks, tail }
}

fn total(weights: &[u64]) -> u128 {
    weights.iter().map(|&w| u128::from(w)).sum()
}

/// ⌈C·e^(−i²/512)⌉ of the blocks below `start`, nothing of those above, and the tail's.
fn weights(ceiling: u64, start: u64, bits: u32) -> Vec<u64> {
    let c = BigUint::from(ceiling);
    let one = BigUint::from(1u8);
    let block = |i: u64| if i < start { scaled(&c, &one, i * i).1 } else { 0 };
    let mut weights: Vec<u64> = (0..BLOCKS as u64).map(block).collect();
    // W·p(k) ≥ C·e^(−(start + k)²/512) for all k: the quotient falls once k is beyond 512·ln 2/bits, and 2^bits·16 is.
    let proposed = |k: u32| {
        let numerator = &c << (u64::from(bits) * (u64::from(k) + 1));
        let denominator = BigUint::from((1u64 << bits) - 1).pow(k);
        let i = start + u64::from(k);
        scaled(&numerator, &denominator, i * i).1
    };
    weights.push((0..1u32 << (bits + 4)).map(proposed).max().unwrap().max(1));
    weights
}

/// Vose 1991, in integers: every column is filled from one outcome that has less than it and one that has more.
fn alias(weights: &[u64]) -> [Cell; COLUMNS] {
    let mut left: Vec<u64> = weights.to_vec();
    let mut cells = [Cell { threshold: 0, first: Outcome(0), second: Outcome(0) }; COLUMNS];
    for cell in &mut cells {
        // The smallest that is left fills what it can, the largest the rest.
        let small = (0..left.len()).filter(|&i| left[i] > 0).min_by_key(|&i| left[i]).unwrap();
        let threshold = left[small].min(COLUMN_WEIGHT);
        left[small] -= threshold;
        let large = (0..left.len()).max_by_key(|&i| left[i]).unwrap();
        let rest = COLUMN_WEIGHT - threshold;
        assert!(left[large] >= rest, "the largest fills the column");
        left[large] -= rest;
        let outcome = |i: usize| Outcome(u16::try_from(i).unwrap());
        *cell = Cell { threshold, first: outcome(small), second: outcome(large) };
    }
    assert!(left.iter().all(|&w| w == 0), "all weight is in the table");
    cells
}

#[test]
fn claim_the_committed_table_selects_exactly_what_its_weights_say() {
    assert!(
        PROPOSAL == build(BLOCKS as u64, 1),
        "rebuild it: cargo test -p sottovoce-dp --lib -- --ignored write_the_table"
    );
    let mut added = [0u128; Outcome::COUNT];
    for cell in &PROPOSAL.cells {
        assert!(cell.threshold <= COLUMN_WEIGHT);
        added[usize::from(cell.first.0)] += u128::from(cell.threshold);
        added[usize::from(cell.second.0)] += u128::from(COLUMN_WEIGHT - cell.threshold);
    }
    for (i, block) in PROPOSAL.blocks.iter().enumerate() {
        assert_eq!(added[i], u128::from(block.weight), "block {i}");
        // W = ⌈C·e^(−i²/512)⌉, with a wrong weight caught from either side.
        let exp = exp_bracket(&BigUint::from((i * i) as u64), 9, 200);
        let exact_high = (&exp.high * PROPOSAL.ceiling) >> 200u32;
        assert!(BigUint::from(block.weight) <= exact_high + 1u8 && block.weight >= 1, "block {i}");
        assert!(BigUint::from(block.weight) << 200u32 >= &exp.low * PROPOSAL.ceiling, "block {i}");
    }
    assert_eq!(added[usize::from(Outcome::TAIL.0)], u128::from(PROPOSAL.tail.weight));
    assert_eq!(added.iter().sum::<u128>(), u128::from(TOTAL_WEIGHT));
    // A trial is wasted once in forty.
    let rejected = added[usize::from(Outcome::REJECT.0)];
    assert!(rejected < 1 << 12, "hardly any weight is left over: {rejected}");
}

#[test]
fn a_lower_bound_is_never_above_the_acceptance_probability() {
    for (i, block) in (0u64..).zip(&PROPOSAL.blocks) {
        // 2^64·A·e^(−(2i+1)/512) = 2^64·C·e^(−(i+1)²/512)/W.
        let exp = exp_bracket(&BigUint::from((i + 1) * (i + 1)), 9, 300);
        let bound = BigUint::from(PROPOSAL.lower_bound(Outcome(u16::try_from(i).unwrap())));
        let low = ((&exp.low * PROPOSAL.ceiling) << 64u32) / block.weight;
        assert!((bound.clone() << 300u32) <= low, "block {i}");
        assert!(((bound + 2u8) << 300u32) > low, "block {i}: it may be higher");
    }
}

#[test]
#[ignore = "writes table.rs"]
#[allow(clippy::disallowed_methods, reason = "a writer of source text, run by hand")]
fn write_the_table() {
    use std::fmt::Write as _;

    let p = build(BLOCKS as u64, 1);
    let mut text = String::from(
        "//! The alias table and its bounds. Written by `cargo test -p sottovoce-dp --lib -- --ignored write_the_table`; checked by the tests of `build`.\n\
         #![cfg_attr(rustfmt, rustfmt_skip)]\n\
         #![allow(clippy::unreadable_literal, reason = \"numbers that a program wrote\")]\n\
         use super::proposal::{BLOCKS, Block, COLUMNS, Cell, Outcome, Proposal, Tail};\n\n",
    );
    write!(text, "/// See [`Proposal`].\npub(super) static PROPOSAL: Proposal = Proposal {{\n    ceiling: {},\n    cells: CELLS,\n    lower: LOWER,\n    blocks: ALL_BLOCKS,\n", p.ceiling).unwrap();
    write!(
        text,
        "    tail: Tail {{ start: {}, weight: {}, bits: {} }},\n}};\n\n",
        p.tail.start, p.tail.weight, p.tail.bits
    )
    .unwrap();
    text.push_str("const fn c(threshold: u64, first: u16, second: u16) -> Cell {\n    Cell { threshold, first: Outcome(first), second: Outcome(second) }\n}\n\n");
    text.push_str("const fn b(weight: u64, scale: u64) -> Block {\n    Block { weight, scale }\n}\n\nconst CELLS: [Cell; COLUMNS] = [\n");
    for row in p.cells.chunks(4) {
        let row: Vec<String> = row.iter().map(|x| format!("c({},{},{})", x.threshold, x.first.0, x.second.0)).collect();
        writeln!(text, "    {},", row.join(", ")).unwrap();
    }
    text.push_str("];\n\nconst LOWER: [u64; Outcome::COUNT] = [\n");
    for row in p.lower.chunks(6) {
        let row: Vec<String> = row.iter().map(u64::to_string).collect();
        writeln!(text, "    {},", row.join(", ")).unwrap();
    }
    text.push_str("];\n\nconst ALL_BLOCKS: [Block; BLOCKS] = [\n");
    for row in p.blocks.chunks(3) {
        let row: Vec<String> = row.iter().map(|x| format!("b({},{})", x.weight, x.scale)).collect();
        writeln!(text, "    {},", row.join(", ")).unwrap();
    }
    text.push_str("];\n");
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/noise/block/table.rs"), text).unwrap();
}
