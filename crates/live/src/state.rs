//! `/state.json`: a moment of a run for programs.
use serde::Serialize;
use sottovoce_types::{ClientId, Digest, RoundRecord, RunId, SCHEMA_VERSION};

use crate::board::{Absence, Board, Presence};
use crate::live::{Snapshot, TrafficTotals};

/// What `/state.json` holds. Fields may be added under the same schema, and none changes its meaning.
#[derive(Serialize, Debug)]
pub struct State<'a> {
    schema: u32,
    version: &'static str,
    now_ms: u64,
    started_ms: u64,
    run: RunId,
    name: &'a str,
    federation: &'a str,
    plan: Digest,
    unit: &'static str,
    rounds_planned: u64,
    rounds_published: u64,
    attempts_opened: u64,
    attempts_given_up: u64,
    refusals: u64,
    late: u64,
    /// `null` when the run is over.
    open: Option<OpenNow<'a>>,
    outcome: Option<&'a str>,
    attempt: Option<AttemptNow<'a>>,
    members: Vec<MemberNow<'a>>,
    /// `null` without differential privacy.
    privacy: Option<PrivacyNow>,
    traffic: TrafficTotals,
    rounds: Vec<&'a RoundRecord>,
    given_up: Vec<GivenUpNow<'a>>,
    refused: Vec<RefusedNow<'a>>,
}

#[derive(Serialize, Debug)]
struct OpenNow<'a> {
    phase: &'a str,
    since_ms: u64,
    closes_ms: u64,
    closes_in_ms: u64,
}

#[derive(Serialize, Debug)]
struct AttemptNow<'a> {
    round: u64,
    attempt: u32,
    cohort: u32,
    debited: bool,
    closed: Vec<ClosedNow<'a>>,
}

#[derive(Serialize, Debug)]
struct ClosedNow<'a> {
    phase: &'a str,
    answered: u32,
    missing: &'a [ClientId],
}

#[derive(Serialize, Debug)]
struct MemberNow<'a> {
    client: ClientId,
    name: &'a str,
    present: bool,
    /// `declined`, `left`, `late`, or `null`: of the attempt that is open, or was last.
    absence: Option<&'static str>,
    /// The phase that it was late for.
    late_for: Option<&'static str>,
    late: u64,
    declined: u64,
}

#[derive(Serialize, Debug)]
struct PrivacyNow {
    epsilon_spent: f64,
    epsilon_cap: f64,
    delta: f64,
    charges: u64,
}

#[derive(Serialize, Debug)]
struct GivenUpNow<'a> {
    round: u64,
    attempt: u32,
    reason: &'a str,
    at_ms: Option<u64>,
}

#[derive(Serialize, Debug)]
struct RefusedNow<'a> {
    client: ClientId,
    name: String,
    round: u64,
    attempt: u32,
    reason: &'a str,
    at_ms: u64,
}

impl<'a> State<'a> {
    /// Of a moment.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let Snapshot { board, traffic, now_ms } = snapshot;
        let about = board.about();
        Self {
            schema: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            now_ms: *now_ms,
            started_ms: board.started_ms,
            run: about.run,
            name: &about.name,
            federation: &about.federation,
            plan: about.plan,
            unit: about.unit.name(),
            rounds_planned: about.rounds,
            rounds_published: board.published,
            attempts_opened: board.attempts,
            attempts_given_up: board.given_up_total,
            refusals: board.refused_total,
            late: board.late_total,
            open: board.open().map(|open| OpenNow {
                phase: open.phase,
                since_ms: open.since_ms,
                closes_ms: open.closes_ms,
                closes_in_ms: open.closes_ms.saturating_sub(*now_ms),
            }),
            outcome: board.outcome(),
            attempt: attempt(board),
            members: members(board),
            privacy: about.budget.map(|(epsilon_cap, delta)| PrivacyNow {
                epsilon_spent: board.epsilon_spent,
                epsilon_cap,
                delta,
                charges: board.charges,
            }),
            traffic: *traffic,
            rounds: board.rounds.iter().collect(),
            given_up: given_up(board),
            refused: refused(board),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, strings and lists are JSON")
    }
}

fn attempt(board: &Board) -> Option<AttemptNow<'_>> {
    let attempt = board.attempt()?;
    let closed = attempt.closed.iter();
    let closed = closed.map(|c| ClosedNow { phase: c.phase, answered: c.answered, missing: &c.missing }).collect();
    Some(AttemptNow {
        round: attempt.round.0,
        attempt: attempt.attempt.0,
        cohort: attempt.cohort,
        debited: attempt.debited,
        closed,
    })
}

fn members(board: &Board) -> Vec<MemberNow<'_>> {
    let mut members = Vec::new();
    for (client, m) in board.members() {
        let (absence, late_for) = match m.absence {
            None => (None, None),
            Some(Absence::Declined) => (Some("declined"), None),
            Some(Absence::Left) => (Some("left"), None),
            Some(Absence::Late(phase)) => (Some("late"), Some(phase)),
        };
        members.push(MemberNow {
            client: *client,
            name: &m.name,
            present: m.presence == Presence::Present,
            absence,
            late_for,
            late: m.late,
            declined: m.declined,
        });
    }
    members
}

fn given_up(board: &Board) -> Vec<GivenUpNow<'_>> {
    let mut given_up = Vec::new();
    for g in &board.given_up {
        given_up.push(GivenUpNow { round: g.round.0, attempt: g.attempt.0, reason: &g.reason, at_ms: g.at_ms });
    }
    given_up
}

fn refused(board: &Board) -> Vec<RefusedNow<'_>> {
    board
        .refused
        .iter()
        .map(|r| RefusedNow {
            client: r.client,
            name: board.name(&r.client),
            round: r.round.0,
            attempt: r.attempt.0,
            reason: &r.reason,
            at_ms: r.at_ms,
        })
        .collect()
}
