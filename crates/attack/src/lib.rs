//! Attacks on a recorded view or a released model, scored with intervals, each with a control that must win.
//!
//! | attack | sees | control |
//! |---|---|---|
//! | [`membership`] (M1) | the released model | an overfit model (must win), a blind baseline (must fail) |
//! | [`label_profile`] (A4) | the coordinator's view of the wire | the same bytes without masks (must win) |
//! | [`canary`] (D1 + D6) | the auditor's: instrumented pipeline | broken pipelines (must be caught) |
//!
//! An attack takes a view or a model, never a data set of the run; truths go to the scoring functions alone. All
//! statistics live in [`stats`], which sees scores and truths only. Not here: shadow-model attacks, gradient inversion,
//! attribute inference (later changes), and any claim that an attack's failure proves privacy.
//!
//! Read [`label_profile::infer_from_view`] and [`canary::run_canaries`] first.
//!
//! ```
//! use sottovoce_attack::membership::{Losses, loss_threshold};
//!
//! let speakers: Vec<String> = (0..40).map(|i| format!("s{}", i % 4)).collect();
//! let seen: Vec<f64> = (0..40).map(|i| 0.1 + 0.01 * f64::from(i)).collect();
//! let unseen: Vec<f64> = (0..40).map(|i| 0.3 + 0.01 * f64::from(i)).collect();
//! let members = Losses { losses: &seen, speakers: &speakers };
//! let scores = loss_threshold(members, Losses { losses: &unseen, speakers: &speakers }, 1)?;
//! assert!(scores.auc.value > 0.8);
//! assert!(scores.tpr.is_empty()); // 40 non-members cannot carry a rate at 1 % false positives
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors
//! One enum an attack: [`membership::MembershipError`], [`label_profile::LabelProfileError`],
//! [`canary::CanaryError`] and [`canary::PipelineError`]; [`stats::RocError`] refuses a rate that too few non-members
//! stand behind.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may unwrap"))]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "samples, batches and plots, not privacy"
)]

pub mod canary;
pub mod label_profile;
pub mod membership;
mod random;
pub mod scores;
pub mod stats;
