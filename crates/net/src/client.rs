//! A client's driver: keeps a connection to the coordinator, trains on a thread of its own, polls the engine in order.
//!
//! After each input it polls *persist* until empty, *transmit* until empty, *work*, *event*. (A client engine has
//! no deadlines: the coordinator's end rounds, the idle timeout ends dead connections.) Nothing leaves this site before
//! all that the engine wants durable is. It decides nothing about the protocol.
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use sottovoce_round::{ClientEngine, ClientEvent, Journal, LocalTrainer, ProtocolFault, TrainFailed, UnitSum, Work};
use sottovoce_transcript::{NullTap, Party, Tap};
use sottovoce_types::{AttemptId, RoundId, Tick};
use sottovoce_wire::Frame;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Clock;
use crate::connection::{Link, Outbox};
use crate::endpoint::Dialer;
use crate::error::{CloseCode, LinkError, NetError};
use crate::journal::append;
use crate::options::TransportOptions;
use crate::tls::TlsIdentity;

/// How often a gate that holds frames back is asked again.
const GATE_POLL: Duration = Duration::from_millis(20);

/// Connections in a row that may end by the coordinator's fault before this site stops taking part.
const FAULTS_IN_A_ROW: u32 = 5;

/// Whom a client connects to, as whom, and how patiently.
#[non_exhaustive]
pub struct ParticipateOptions {
    /// The coordinator, as `host:port`. Resolved anew for each try.
    pub addr: String,
    /// The coordinator's pinned Ed25519 public key.
    pub coordinator_key: [u8; 32],
    /// This site's identity: the one that the engine signs with.
    pub identity: TlsIdentity,
    /// How to come back after a loss.
    pub reconnect: Reconnect,
    /// Limits and times of the connection.
    pub transport: TransportOptions,
    /// Holds frames back, for tests that must kill a client at a certain frame. Nothing else may use it.
    #[doc(hidden)]
    pub gate: Option<TransmitGate>,
}

impl ParticipateOptions {
    /// Options with default patience.
    pub fn new(addr: impl Into<String>, coordinator_key: [u8; 32], identity: TlsIdentity) -> Self {
        Self {
            addr: addr.into(),
            coordinator_key,
            identity,
            reconnect: Reconnect::default(),
            transport: TransportOptions::default(),
            gate: None,
        }
    }
}

/// Asked for each frame in turn before it leaves, and for a held one again and again.
#[doc(hidden)]
pub type TransmitGate = Box<dyn FnMut(&Frame) -> GateDecision + Send>;

/// What a gate says to a frame.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GateDecision {
    /// Not yet; what was queued after it waits too.
    Hold,
    /// Let it go.
    Send,
}

/// How a client comes back after it lost its coordinator: capped exponential backoff with jitter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reconnect {
    /// Longest wait before the second try; doubled for each further one. Default 250 ms.
    pub first: Duration,
    /// Longest wait between two tries. Default 15 s.
    pub most: Duration,
    /// After this time without a connection the client gives up. Default 10 min.
    pub give_up_after: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            most: Duration::from_secs(15),
            give_up_after: Duration::from_mins(10),
        }
    }
}

impl Reconnect {
    /// The wait after the `tries`-th failure in a row (from 0): a random part, at least half, of a doubling that is
    /// capped, so that clients which lost their coordinator together do not come back together.
    fn wait(&self, tries: u32) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(tries));
        doubled.min(self.most).mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// What a client is made of; [`participate`] takes it and gives it back.
pub struct Participant {
    /// The engine, with its journal's history.
    pub engine: ClientEngine,
    /// Where its entries become durable.
    pub journal: Box<dyn Journal + Send>,
    /// Trains on a blocking thread.
    pub trainer: Box<dyn LocalTrainer>,
    /// Sees every frame. [`NullTap`] by default.
    pub tap: Box<dyn Tap>,
    /// The tick at which this driver's clock begins.
    pub base: Tick,
}

impl Participant {
    /// An engine with its journal and trainer, untapped, its clock beginning at 0.
    pub fn new(engine: ClientEngine, journal: Box<dyn Journal + Send>, trainer: Box<dyn LocalTrainer>) -> Self {
        Self { engine, journal, trainer, tap: Box::new(NullTap), base: Tick(0) }
    }
}

/// What is left of a client after [`participate`].
pub struct Participated {
    /// The engine.
    pub engine: ClientEngine,
    /// Its journal.
    pub journal: Box<dyn Journal + Send>,
    /// The tap.
    pub tap: Box<dyn Tap>,
    /// Why it ended.
    pub ending: ParticipationEnding,
}

/// Why [`participate`] returned without an error.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParticipationEnding {
    /// The engine's part is over: `ClientEngine::outcome` says how.
    Finished,
    /// The coordinator said that the run is over before this client had finished its part: it lost its quorum, or its
    /// own budget is spent.
    RunOver,
    /// The shutdown future resolved first.
    Shutdown,
}

/// Takes part in a run until the engine has finished, the coordinator ends the run, or `shutdown` resolves.
///
/// `on_event` sees each event after everything that led to it is durable and queued to leave. Dropping the future stops
/// everything but a training under way, whose result is thrown away.
///
/// # Errors
/// [`NetError::Link`] when an identity is refused or another process took this one's place; [`NetError::GaveUp`] when
/// the coordinator stayed away; [`NetError::Coordinator`] when it does not keep to the protocol;
/// [`NetError::Journal`] when an entry could not be made durable: nothing that depends on it has left.
pub async fn participate(
    options: ParticipateOptions,
    participant: Participant,
    on_event: impl FnMut(&ClientEvent),
    shutdown: impl Future<Output = ()>,
) -> Result<Participated, NetError> {
    let mut driver = Driver {
        clock: Clock::starting_at(participant.base),
        party: Party::Client(participant.engine.id()),
        engine: participant.engine,
        journal: Some(participant.journal),
        tap: participant.tap,
        on_event,
        gate: options.gate,
        held: VecDeque::new(),
        trainer: Some(participant.trainer),
        training: None,
        next_work: None,
    };
    let dialer = Dialer::new(options.identity, options.coordinator_key, options.transport);
    let mut route = Route { addr: options.addr, reconnect: options.reconnect, dialer };
    let ending = driver.run(&mut route, pin!(shutdown)).await;
    route.dialer.wait_idle().await;
    let ending = ending?;
    let journal = driver.journal.take().ok_or(NetError::Panicked)?;
    Ok(Participated { engine: driver.engine, journal, tap: driver.tap, ending })
}

/// The way to the coordinator.
struct Route {
    addr: String,
    reconnect: Reconnect,
    dialer: Dialer,
}

impl Route {
    async fn connect(&mut self, engine: &mut ClientEngine) -> Result<Link, NetError> {
        let resolved: Vec<SocketAddr> = tokio::net::lookup_host(&self.addr)
            .await
            .map_err(|source| NetError::Resolve { addr: self.addr.clone(), source })?
            .collect();
        let mut last = LinkError::Transport { reason: "the name has no address".to_owned() };
        for addr in resolved {
            match self.dialer.connect(addr, engine.limits()).await {
                Ok(link) => return Ok(link),
                Err(NetError::Link(error)) if !error.is_fatal() => last = error,
                Err(fatal) => return Err(fatal),
            }
        }
        Err(last.into())
    }
}

/// How one connection ended.
enum Parting {
    Finished,
    RunOver,
    Shutdown,
    /// Lost; whether the coordinator had been heard on it.
    Lost {
        error: LinkError,
        heard: bool,
    },
    /// It broke the protocol.
    Fault(ProtocolFault),
}

/// One finished training: the trainer comes back with its result.
type Trained = (Box<dyn LocalTrainer>, RoundId, AttemptId, Result<UnitSum, TrainFailed>);

struct Driver<E> {
    engine: ClientEngine,
    /// Absent only while an append is under way.
    journal: Option<Box<dyn Journal + Send>>,
    tap: Box<dyn Tap>,
    party: Party,
    clock: Clock,
    on_event: E,
    gate: Option<TransmitGate>,
    /// What the gate holds back, oldest first.
    held: VecDeque<Frame>,
    /// Absent while it trains.
    trainer: Option<Box<dyn LocalTrainer>>,
    training: Option<JoinHandle<Trained>>,
    /// Asked for while a training for an older attempt was under way.
    next_work: Option<(Work, UnitSum)>,
}

impl<E: FnMut(&ClientEvent)> Driver<E> {
    async fn run(
        &mut self,
        route: &mut Route,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<ParticipationEnding, NetError> {
        let mut tries = 0u32;
        let mut faults = 0u32;
        let mut alone_since = Instant::now();
        while !self.engine.is_finished() {
            let connected = tokio::select! {
                () = &mut shutdown => return Ok(ParticipationEnding::Shutdown),
                connected = route.connect(&mut self.engine) => connected,
            };
            let parting = match connected {
                Ok(link) => {
                    let parting = self.converse(link, route.dialer.options(), shutdown.as_mut()).await;
                    self.held.clear();
                    self.engine.handle_disconnect(self.clock.now());
                    let parting = parting?;
                    self.pump(None).await?;
                    parting
                }
                Err(NetError::Link(error)) if !error.is_fatal() => Parting::Lost { error, heard: false },
                Err(NetError::Resolve { .. }) => Parting::Lost {
                    error: LinkError::Transport { reason: "the name does not resolve".to_owned() },
                    heard: false,
                },
                Err(fatal) => return Err(fatal),
            };
            let error = match parting {
                Parting::Finished => break,
                Parting::RunOver => return self.run_over(),
                Parting::Shutdown => return Ok(ParticipationEnding::Shutdown),
                Parting::Fault(fault) => {
                    faults += 1;
                    if faults >= FAULTS_IN_A_ROW || is_final(&fault) {
                        return Err(fault.into());
                    }
                    tracing::warn!(%fault, "left the attempt and the connection");
                    LinkError::ClosedHere
                }
                Parting::Lost { error, heard } => {
                    if is_over(&error) {
                        return self.run_over();
                    }
                    // Closed for our protocol before it said a word: it refuses our greeting, and will again.
                    if error.is_fatal() || (!heard && is_refusal(&error)) {
                        return Err(error.into());
                    }
                    if heard {
                        (tries, faults) = (0, 0);
                        alone_since = Instant::now();
                    }
                    tracing::info!(%error, "no connection to the coordinator");
                    error
                }
            };
            if alone_since.elapsed() >= route.reconnect.give_up_after {
                // It was there, refused, and stays away: that is its last word. One that only stays away may have crashed.
                if let Some(round) = self.engine.unaudited().filter(|_| faults > 0) {
                    return Err(ProtocolFault::AuditRefused { round: round.0 }.into());
                }
                return Err(NetError::GaveUp { addr: route.addr.clone(), after: alone_since.elapsed(), last: error });
            }
            let wait = route.reconnect.wait(tries);
            tries = tries.saturating_add(1);
            tokio::select! {
                () = &mut shutdown => return Ok(ParticipationEnding::Shutdown),
                () = sleep(wait) => {}
            }
        }
        Ok(ParticipationEnding::Finished)
    }

    /// The coordinator says that the run is over. One that does so before it has shown what an audit asks for has refused it.
    fn run_over(&self) -> Result<ParticipationEnding, NetError> {
        match self.engine.unaudited() {
            Some(round) => Err(ProtocolFault::AuditRefused { round: round.0 }.into()),
            None => Ok(ParticipationEnding::RunOver),
        }
    }

    /// Everything between a connection and its end.
    async fn converse(
        &mut self,
        link: Link,
        options: &TransportOptions,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Parting, NetError> {
        let (mut reader, mut outbox) = link.split(options.queued_frames);
        let mut heard = false;
        self.engine.handle_connect(self.clock.now());
        let parting = loop {
            self.pump(Some(&outbox)).await?;
            if self.engine.is_finished() && self.held.is_empty() {
                break Parting::Finished;
            }
            tokio::select! {
                () = &mut shutdown => break Parting::Shutdown,
                frame = reader.next() => match frame {
                    Ok(Some(frame)) => {
                        let now = self.clock.now();
                        self.tap.record(now, Party::Coordinator, self.party, &frame);
                        if let Err(fault) = self.engine.handle_frame(now, &frame) {
                            self.pump(Some(&outbox)).await?;
                            break Parting::Fault(fault);
                        }
                        heard = true;
                        reader.set_limits(self.engine.limits());
                    }
                    // The coordinator ends its stream at the end of a run only; it closes connections otherwise.
                    Ok(None) => break Parting::RunOver,
                    Err(error) => break Parting::Lost { error, heard },
                },
                trained = ended(&mut self.training) => self.trained(trained)?,
                () = sleep(GATE_POLL), if !self.held.is_empty() => {}
            }
        };
        let (code, reason) = match &parting {
            Parting::Finished | Parting::RunOver => (CloseCode::Finished, "goodbye".to_owned()),
            Parting::Shutdown => (CloseCode::Shutdown, "this client was told to stop".to_owned()),
            Parting::Fault(fault) => (CloseCode::Protocol, fault.to_string()),
            Parting::Lost { .. } => return Ok(parting),
        };
        // Our last frames first: the coordinator closes when it has read to the end of the stream.
        outbox.finish();
        let _ = timeout(options.close_timeout, outbox.closer.closed()).await;
        outbox.closer.close(code, &reason);
        Ok(parting)
    }

    /// Takes everything that the engine has to give, in its order; without a connection nothing is transmitted.
    async fn pump(&mut self, outbox: Option<&Outbox>) -> Result<(), NetError> {
        loop {
            while let Some(persist) = self.engine.poll_persist() {
                append(&mut self.journal, persist).await?;
            }
            let Some(frame) = self.engine.poll_transmit() else { break };
            self.held.push_back(frame);
        }
        match outbox {
            Some(outbox) => self.release(outbox),
            None => self.held.clear(),
        }
        if let Some(work) = self.engine.poll_work() {
            self.next_work = Some(work);
        }
        self.train();
        while let Some(event) = self.engine.poll_event() {
            (self.on_event)(&event);
        }
        Ok(())
    }

    /// Lets go what the gate lets go.
    fn release(&mut self, outbox: &Outbox) {
        while let Some(frame) = self.held.pop_front() {
            if self.gate.as_mut().is_some_and(|gate| gate(&frame) == GateDecision::Hold) {
                self.held.push_front(frame);
                return;
            }
            // A full or broken outbox has closed the connection: the reader says so next.
            if outbox.push(&frame) {
                self.tap.record(self.clock.now(), self.party, Party::Coordinator, &frame);
            }
        }
    }

    /// Begins the next training, unless one is under way.
    fn train(&mut self) {
        let Some(mut trainer) = self.trainer.take() else { return };
        let Some((work, mut units)) = self.next_work.take() else {
            self.trainer = Some(trainer);
            return;
        };
        self.training = Some(tokio::task::spawn_blocking(move || {
            let result = trainer.train(&work, &mut units).map(|()| units);
            (trainer, work.round, work.attempt, result)
        }));
    }

    fn trained(&mut self, trained: Result<Trained, JoinError>) -> Result<(), NetError> {
        self.training = None;
        let (trainer, round, attempt, result) = trained.map_err(|_| NetError::Panicked)?;
        self.trainer = Some(trainer);
        let now = self.clock.now();
        match result {
            Ok(units) => {
                if let Err(fault) = self.engine.handle_trained(now, round, attempt, units) {
                    tracing::error!(%round, %attempt, %fault, "this site sits the attempt out");
                }
            }
            Err(failed) => {
                tracing::error!(%round, %attempt, cause = %failed.0, "{failed}; this site sits the attempt out");
                self.engine.handle_work_failed(now, round, attempt, &failed);
            }
        }
        Ok(())
    }
}

/// Whether nothing that the coordinator says later can mend it.
fn is_final(fault: &ProtocolFault) -> bool {
    matches!(fault, ProtocolFault::DifferentPlan { .. } | ProtocolFault::FalseSum { .. })
}

fn is_over(error: &LinkError) -> bool {
    matches!(error, LinkError::ClosedByPeer { code: CloseCode::Finished, .. })
}

fn is_refusal(error: &LinkError) -> bool {
    matches!(error, LinkError::ClosedByPeer { code: CloseCode::Protocol | CloseCode::BadFrame, .. })
}

async fn ended(training: &mut Option<JoinHandle<Trained>>) -> Result<Trained, JoinError> {
    match training {
        Some(handle) => handle.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_before_a_reconnection_grows_and_is_capped() {
        let reconnect = Reconnect::default();
        for tries in 0..80 {
            let wait = reconnect.wait(tries);
            assert!(wait <= reconnect.most);
            let longest = reconnect.first.saturating_mul(2u32.saturating_pow(tries)).min(reconnect.most);
            assert!(wait >= longest / 2, "try {tries}: {wait:?}");
        }
    }
}
