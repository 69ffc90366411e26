//! The attempt itself, one function a phase.
use std::fmt::Display;
use std::num::NonZeroUsize;

use rand_core::CryptoRng;
use sottovoce_secagg::{
    Advertised, CollectingAdverts, CollectingInputs, CollectingOpenings, CollectingShares, CollectingSignatures,
    Consistent, EnvelopesMsg, Masking, RosterMsg, Shared, Submitted, SurvivorQuorumMsg, SurvivorsMsg,
};
use sottovoce_types::{ClientId, RingVec};
use sottovoce_wire::Encode;

use super::{Clock, Cohort, CostError, CostSpec, PhaseCost, input, seconds};

/// One phase while it runs.
struct Stopwatch<'a> {
    clock: Clock<'a>,
    cost: PhaseCost,
}

impl<'a> Stopwatch<'a> {
    fn new(name: &'static str, clock: Clock<'a>) -> Self {
        let cost = PhaseCost { name, client_seconds: 0.0, server_seconds: 0.0, bytes_up: 0, bytes_down: 0 };
        Self { clock, cost }
    }

    /// The coordinator's work.
    fn server<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = (self.clock)();
        let made = work();
        self.cost.server_seconds += seconds(self.clock, start);
        made
    }

    /// A client's work; its time counts if the client is the measured one.
    fn client<T>(&mut self, measured: bool, work: impl FnOnce() -> T) -> T {
        let start = (self.clock)();
        let made = work();
        if measured {
            self.cost.client_seconds += seconds(self.clock, start);
        }
        made
    }

    fn refused<E: Display>(&self) -> impl Fn(E) -> CostError + use<E> {
        let phase = self.cost.name;
        move |e| CostError::Protocol { phase, reason: e.to_string() }
    }

    fn up(&mut self, measured: bool, message: &impl Encode) {
        if measured {
            self.cost.bytes_up += message.to_bytes().len();
        }
    }

    fn down(&mut self, measured: bool, message: &impl Encode) {
        if measured {
            self.cost.bytes_down += message.to_bytes().len();
        }
    }
}

/// Runs all phases and compares the sum.
pub(super) fn run(
    spec: &CostSpec,
    cohort: &Cohort,
    clock: Clock<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Vec<PhaseCost>, CostError> {
    let [mut advertise, mut share, mut mask, mut sign, mut open, mut unmask] =
        ["advertise", "share", "mask", "sign", "open", "unmask"].map(|name| Stopwatch::new(name, clock));
    let (clients, server, roster) = advertised(cohort, &mut advertise, rng)?;
    let (clients, server, envelopes) = shared(cohort, &mut share, clients, server, &roster, rng)?;
    drop(roster);
    let clients = received(cohort, &mut share, clients, envelopes)?;
    let (clients, server, survivors, expected) = masked(spec, cohort, &mut mask, clients, server)?;
    let (clients, server, quorum) = signed(cohort, &mut sign, clients, server, survivors)?;
    let server = opened(cohort, &mut open, clients, server, &quorum)?;
    let sum = unmask.server(|| server.close_on(NonZeroUsize::MIN)).map_err(unmask.refused())?;
    if *sum.sum() != expected {
        return Err(CostError::WrongSum);
    }
    Ok([advertise, share, mask, sign, open, unmask].map(|phase| phase.cost).to_vec())
}

fn advertised(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<Advertised>, CollectingShares, RosterMsg), CostError> {
    let mut server = CollectingAdverts::new(cohort.session.clone(), &cohort.coordinator);
    let mut clients = Vec::with_capacity(cohort.sites.len());
    for (i, site) in cohort.sites.iter().enumerate() {
        let started = watch.client(i == cohort.measured, || Advertised::start(cohort.session.clone(), site, rng));
        let (state, advert) = started.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &advert);
        watch.server(|| server.advert(site.client_id(), advert)).map_err(watch.refused())?;
        clients.push(state);
    }
    let (server, roster) = watch.server(|| server.close(&cohort.coordinator)).map_err(watch.refused())?;
    watch.down(true, &roster);
    Ok((clients, server, roster))
}

type Addressed<M> = Vec<(ClientId, M)>;

fn shared(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Advertised>,
    mut server: CollectingShares,
    roster: &RosterMsg,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<Shared>, CollectingInputs, Addressed<EnvelopesMsg>), CostError> {
    let mut next = Vec::with_capacity(clients.len());
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let roster = roster.clone();
        let dealt = watch.client(i == cohort.measured, || state.roster(roster, site, rng));
        let (state, message) = dealt.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.shares(site.client_id(), message)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, envelopes) = watch.server(|| server.close()).map_err(watch.refused())?;
    Ok((next, server, envelopes))
}

fn received(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Shared>,
    envelopes: Addressed<EnvelopesMsg>,
) -> Result<Vec<Masking>, CostError> {
    let mut next = Vec::with_capacity(clients.len());
    for (i, (state, (_, message))) in clients.into_iter().zip(envelopes).enumerate() {
        watch.down(i == cohort.measured, &message);
        let received = watch.client(i == cohort.measured, || state.envelopes(message));
        next.push(received.map_err(watch.refused())?);
    }
    Ok(next)
}

type Masked = (Vec<Submitted>, CollectingSignatures, Addressed<SurvivorsMsg>, RingVec);

/// All mask and submit that stay; each vector goes to the coordinator and is gone before the next is made.
fn masked(
    spec: &CostSpec,
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Masking>,
    mut server: CollectingInputs,
) -> Result<Masked, CostError> {
    let mut expected = RingVec::zeros(spec.words(), spec.lanes);
    let mut next = Vec::with_capacity(cohort.stay);
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate().take(cohort.stay) {
        let input = input(spec, i)?;
        expected.add(&input);
        let submitted = watch.client(i == cohort.measured, || state.submit(input, site));
        let (state, message) = submitted.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.input_on(site.client_id(), message, NonZeroUsize::MIN)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, survivors) = watch.server(|| server.close()).map_err(watch.refused())?;
    Ok((next, server, survivors, expected))
}

fn signed(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Submitted>,
    mut server: CollectingSignatures,
    survivors: Addressed<SurvivorsMsg>,
) -> Result<(Vec<Consistent>, CollectingOpenings, SurvivorQuorumMsg), CostError> {
    let mut next = Vec::with_capacity(clients.len());
    for (i, ((state, site), (_, message))) in clients.into_iter().zip(&cohort.sites).zip(survivors).enumerate() {
        watch.down(i == cohort.measured, &message);
        let signed = watch.client(i == cohort.measured, || state.survivors(message, site));
        let (state, message) = signed.map_err(watch.refused())?;
        watch.up(i == cohort.measured, &message);
        watch.server(|| server.signature(site.client_id(), message)).map_err(watch.refused())?;
        next.push(state);
    }
    let (server, quorum) = watch.server(|| server.close()).map_err(watch.refused())?;
    Ok((next, server, quorum))
}

fn opened(
    cohort: &Cohort,
    watch: &mut Stopwatch<'_>,
    clients: Vec<Consistent>,
    mut server: CollectingOpenings,
    quorum: &SurvivorQuorumMsg,
) -> Result<CollectingOpenings, CostError> {
    watch.down(true, quorum);
    for (i, (state, site)) in clients.into_iter().zip(&cohort.sites).enumerate() {
        let quorum = quorum.clone();
        let opening = watch.client(i == cohort.measured, || state.quorum(quorum, site)).map_err(watch.refused())?;
        watch.up(i == cohort.measured, &opening);
        watch.server(|| server.opening(site.client_id(), opening)).map_err(watch.refused())?;
    }
    Ok(server)
}
