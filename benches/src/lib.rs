//! Wall-time benches (criterion), each beside its physical limit in the same run: `make bench`.
//!
//! | bench | what | beside it |
//! |---|---|---|
//! | `mask_expand` | one mask and ten on 125 000 ring words, each suite | the raw keystream of the suite, a memory copy |
//! | `noise` | 100 000 rounded Gaussians | the ChaCha20 keystream that they consume |
//! | `mfcc` | MFCCs of 2.5 s of audio | audio-seconds per second |
//! | `local_epoch` | one local epoch of the DNN | examples per second |
//! | `signatures` | strict checks of 100 and 1000 signatures | the batch equation on the same, which accepts more |
//! | `timing` | whether times depend on secrets: sharing, comparison of commitments, noise | a control that leaks and one that does not |
//! | `secagg_round` | one attempt, both roles, n = 10, d = 100 000 | coordinates per second; `benches/peers/secagg.py` times Flower |
#![forbid(unsafe_code)]

pub mod dudect;
