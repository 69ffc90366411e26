//! HTTP: five paths, all of them read-only.
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::get;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::door::Door;
use crate::guard::guard;
use crate::live::Viewer;
use crate::metrics::{self, metrics_text};
use crate::page::{page, sections};
use crate::state::State;

/// What readers may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Of those, at most so many on `/events`: a scrape of `/metrics` always finds a seat.
    pub feeds: usize,
    /// A connection on which no byte moved for so long is closed. Feeds give a sign of life four times as often.
    pub idle: Duration,
    /// Between two events of a feed: what happens within it comes in one.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 32, feeds: 24, idle: Duration::from_secs(20), pause: Duration::from_millis(250) }
    }
}

/// A dashboard that has its address and answers nobody yet.
#[derive(Debug)]
pub struct Dashboard {
    listener: TcpListener,
}

impl Dashboard {
    /// Takes an address. Whether other machines may reach it is the caller's to decide.
    ///
    /// # Errors
    /// Those of the system, for example that the port is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// The address, with the port that the system gave where 0 was asked for.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers on this runtime until it is closed. Readers see what `viewer` sees, and cost what `limits` says.
    pub fn serve(self, viewer: Viewer, limits: Limits) -> Serving {
        let shared = Arc::new(Readers { viewer, limits, feeds: Arc::new(Semaphore::new(limits.feeds)) });
        let router = Router::new()
            .route("/", get(root))
            .route("/events", get(events))
            .route("/state.json", get(state))
            .route("/metrics", get(scrape))
            .route("/healthz", get(async || "ok\n"))
            .fallback(async || (StatusCode::NOT_FOUND, "there are /, /events, /state.json, /metrics and /healthz\n"))
            .with_state(shared)
            .layer(from_fn(guard));
        let door = Door::new(self.listener, limits.connections, limits.idle);
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = axum::serve(door, router).with_graceful_shutdown(async {
            // Dropped is told as well.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::warn!(%error, "the dashboard ended");
            }
        });
        Serving { stop, task }
    }
}

/// A dashboard that answers.
#[derive(Debug)]
pub struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Takes no more connections, lets answers under way end, for `patience` at most, and closes all. Drop the board's writing end
    /// first: feeds end with it.
    pub async fn close(mut self, patience: Duration) {
        drop(self.stop);
        if timeout(patience, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Readers {
    viewer: Viewer,
    limits: Limits,
    feeds: Arc<Semaphore>,
}

async fn root(Shared(readers): Shared<Arc<Readers>>) -> Response {
    let html = page(&readers.viewer.clone().snapshot());
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

async fn state(Shared(readers): Shared<Arc<Readers>>) -> Response {
    let json = State::of(&readers.viewer.clone().snapshot()).to_json();
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}

async fn scrape(Shared(readers): Shared<Arc<Readers>>) -> Response {
    let text = metrics_text(&readers.viewer.clone().snapshot());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn events(Shared(readers): Shared<Arc<Readers>>) -> Response {
    let Ok(seat) = Arc::clone(&readers.feeds).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many read /events at once: close one of them\n").into_response();
    };
    let Limits { idle, pause, .. } = readers.limits;
    let feed = Feed { viewer: readers.viewer.clone(), sent: BTreeMap::new(), next: None, pause, _seat: seat };
    let events = stream::unfold(feed, async |mut feed| {
        let event = feed.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), feed))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(idle / 4)).into_response()
}

/// What one reader of `/events` has seen. The stream is asked for its next event only when the last one could be written, so what
/// waits for a slow reader is one event, and the next one is made of the newest board.
struct Feed {
    viewer: Viewer,
    sent: BTreeMap<&'static str, String>,
    /// When the next event may be made; `None` before the first.
    next: Option<Instant>,
    pause: Duration,
    _seat: OwnedSemaphorePermit,
}

impl Feed {
    /// The sections of the page that changed, as one event; `None` when the coordinator has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(next) = self.next {
                if !self.viewer.changed().await {
                    return None;
                }
                sleep_until(next).await;
            }
            self.next = Some(Instant::now() + self.pause);
            let mut changed = BTreeMap::new();
            for (id, html) in sections(&self.viewer.snapshot()) {
                if self.sent.get(id) != Some(&html) {
                    self.sent.insert(id, html.clone());
                    changed.insert(id, html);
                }
            }
            if !changed.is_empty() {
                let data = serde_json::to_string(&changed).expect("strings are JSON");
                return Some(Event::default().event("sections").data(data));
            }
        }
    }
}
