//! Wall-time benches (criterion), each beside its physical limit in the same run: `make bench`.
//!
//! | bench | what | beside it |
//! |---|---|---|
//! | `mask_expand` | keystream added to 100 000 ring words | the raw AES-256-CTR keystream, a memory copy |
//! | `noise` | 100 000 rounded Gaussians | the ChaCha20 keystream that they consume |
//! | `mfcc` | MFCCs of 2.5 s of audio | audio-seconds per second |
//! | `local_epoch` | one local epoch of the DNN | examples per second |
//! | `secagg_round` | one attempt, both roles, n = 10, d = 100 000 | coordinates per second |
#![forbid(unsafe_code)]
