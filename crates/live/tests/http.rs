//! The dashboard over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{board, id, joined, named_plan, opened, plan, published, refused};
use serde_json::Value;
use sottovoce_live::{Dashboard, Limits, Live, Serving, Traffic};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// No test waits for a time to pass; this limit only turns a hang into a failure.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_mins(1), what).await.expect("nothing happened for a minute")
}

fn quick() -> Limits {
    Limits { pause: Duration::ZERO, ..Limits::default() }
}

async fn started(limits: Limits) -> (Live, Serving, SocketAddr) {
    started_with(limits, board(&plan(3))).await
}

async fn started_with(limits: Limits, board: sottovoce_live::Board) -> (Live, Serving, SocketAddr) {
    let live = Live::new(board, Arc::new(Traffic::default()));
    let dashboard = Dashboard::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = dashboard.address().unwrap();
    let serving = dashboard.serve(live.viewer(), limits);
    (live, serving, address)
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = soon(TcpStream::connect(address)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    soon(stream.read_to_end(&mut text)).await.unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).await
}

/// A reader of `/events`.
struct Feed(BufReader<TcpStream>);

impl Feed {
    async fn open(address: SocketAddr) -> Self {
        let mut stream = soon(TcpStream::connect(address)).await.unwrap();
        let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The next event's sections; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if soon(self.0.read_line(&mut line)).await.unwrap() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data.trim_end()).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn every_path_answers_and_every_answer_is_locked_down() {
    let (_live, _serving, address) = started(Limits::default()).await;
    for (path, status, kind, holds) in [
        ("/", 200, "text/html; charset=utf-8", "Waiting for members"),
        ("/state.json", 200, "application/json", "\"rounds_planned\":3"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "sottovoce_rounds_planned 3"),
        ("/healthz", 200, "text/plain; charset=utf-8", "ok"),
        ("/etc/passwd", 404, "text/plain; charset=utf-8", "/state.json"),
        ("/../state.json", 404, "text/plain; charset=utf-8", "/state.json"),
    ] {
        let answer = get(address, path).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, Some(kind)), "{path}: {}", answer.head);
        assert!(answer.body.contains(holds), "{path}: {}", answer.body);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("access-control-allow-origin"), None, "no other origin may read it");
    }
    let page = get(address, "/").await.body;
    for outside in ["http://", "https://", "//", "@import", "url("] {
        let found = page.split("<script>").next().unwrap().find(outside);
        assert!(found.is_none(), "the page loads nothing: {outside}");
    }
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\""), "it works without scripts");
    assert!(!page.contains(" style=\""), "which the policy would refuse");
}

#[tokio::test]
async fn nothing_but_get_is_answered() {
    let (_live, _serving, address) = started(Limits::default()).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"] {
        let request = format!(
            "{method} /state.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = ask(address, &request).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}: {}", answer.head);
        assert!(!answer.body.contains("rounds_planned"), "{method}");
    }
}

#[tokio::test]
async fn a_name_that_was_pointed_here_reads_nothing() {
    let (_live, _serving, address) = started(Limits::default()).await;
    let port = address.port();
    for host in [format!("evil.example:{port}"), "evil.example".to_owned(), format!("127.0.0.1.evil.example:{port}")] {
        for path in ["/", "/state.json", "/metrics", "/events", "/healthz"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = ask(address, &request).await;
            assert_eq!(answer.status, 421, "{host}{path}");
            assert!(answer.body.contains("by its address or as localhost"), "{}", answer.body);
            assert!(!answer.body.contains("toy"), "{}", answer.body);
        }
    }
    let nameless = ask(address, "GET /state.json HTTP/1.0\r\n\r\n").await;
    assert_eq!(nameless.status, 421);
    let request = format!("GET /state.json HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    assert_eq!(ask(address, &request).await.status, 200);
}

#[tokio::test]
async fn a_feed_tells_all_at_first_then_what_changed_and_ends_with_the_coordinator() {
    let (live, serving, address) = started(quick()).await;
    let mut feed = Feed::open(address).await;
    let first = feed.next().await.unwrap();
    let ids: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(ids, ["figures", "members", "now", "privacy", "rounds", "troubles"]);
    live.apply(&joined(1));
    let second = feed.next().await.unwrap();
    assert!(second["members"].as_str().unwrap().contains("present"), "{second}");
    assert_eq!(second.get("figures"), None, "what did not change is not sent again");
    live.apply(&opened(1, 1));
    live.apply(&published(1));
    let mut shown = second;
    while shown.get("figures").is_none() {
        shown = feed.next().await.unwrap();
    }
    assert!(shown["figures"].as_str().unwrap().contains("Norm of the released mean"));
    live.stopped();
    drop(live);
    let mut last = None;
    while let Some(event) = feed.next().await {
        last = Some(event);
    }
    let last = last.expect("the end is told before the feed ends");
    assert!(last["now"].as_str().unwrap().contains("told to stop"), "{last}");
    soon(serving.close(Duration::from_secs(30))).await;
    assert!(TcpStream::connect(address).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn what_a_site_says_of_itself_is_text_on_every_path() {
    let hostile = "</td><script>alert(1)</script>\"'&\u{1b}[2J\n\ndata: {}";
    let (live, _serving, address) = started_with(quick(), board(&named_plan("toy", "</title><b>", 3))).await;
    live.apply(&joined(1));
    live.apply(&opened(1, 1));
    live.apply(&refused(1, hostile));
    let page = get(address, "/").await.body;
    assert!(page.contains("&lt;/td&gt;&lt;script&gt;alert(1)") && page.matches("<script").count() == 1, "{page}");
    assert!(!page.contains("<b></td>") && page.contains("&lt;/title&gt;&lt;b&gt;-1"));
    let state: Value = serde_json::from_str(&get(address, "/state.json").await.body).unwrap();
    assert_eq!(state["refused"][0]["reason"], "</td><script>alert(1)</script>\"'&[2Jdata: {}");
    assert_eq!(state["refused"][0]["client"], id(1).to_hex());
    let mut feed = Feed::open(address).await;
    let sections = feed.next().await.unwrap();
    let troubles = sections["troubles"].as_str().unwrap();
    assert!(troubles.contains("&lt;script&gt;") && !troubles.contains("<script"), "{troubles}");
}

/// Fills the figures, so that each event is large.
fn busy(live: &Live, rounds: std::ops::Range<u64>) {
    rounds.for_each(|round| live.apply(&published(round)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_stuck_is_dropped_and_holds_nobody_up() {
    let idle = Duration::from_millis(400);
    let (live, _serving, address) = started(Limits { connections: 1, idle, ..quick() }).await;
    busy(&live, 0..2_000);
    // It asks for the feed and never reads; the system's buffers are all that it fills.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stuck = socket.connect(address).await.unwrap();
    stuck.write_all(format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let writer = tokio::spawn(async move {
        let mut slowest = Duration::ZERO;
        for round in 2_000.. {
            let began = Instant::now();
            live.apply(&published(round));
            slowest = slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
            if round == 2_400 {
                break;
            }
        }
        (live, slowest)
    });
    // The one seat is taken until the stuck reader is thrown out.
    let answer = get(address, "/healthz").await;
    assert_eq!(answer.status, 200);
    let (_live, slowest) = soon(writer).await.unwrap();
    assert!(slowest < idle, "the coordinator waited for a reader: {slowest:?}");
    let mut rest = Vec::new();
    // Reset or ended: what was in the buffers may still come.
    let _ = soon(stuck.read_to_end(&mut rest)).await;
    assert!(stuck.write_all(b"x").await.is_err() || soon(stuck.read(&mut [0])).await.map_or(true, |n| n == 0));
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed_and_one_that_listens_is_not() {
    let idle = Duration::from_millis(300);
    let (live, _serving, address) = started(Limits { idle, ..quick() }).await;
    let mut feed = Feed::open(address).await;
    feed.next().await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let began = Instant::now();
    let ended = soon(silent.read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(0) | Err(_)) && began.elapsed() >= idle / 2, "{ended:?} {:?}", began.elapsed());
    // The feed has been open for as long, with nothing to tell but signs of life.
    live.apply(&joined(1));
    assert!(feed.next().await.unwrap().get("members").is_some());
}

#[tokio::test]
async fn feeds_leave_a_seat_for_a_scrape() {
    let (_live, _serving, address) = started(Limits { connections: 3, feeds: 2, ..quick() }).await;
    let mut feeds = [Feed::open(address).await, Feed::open(address).await];
    for feed in &mut feeds {
        feed.next().await.unwrap();
    }
    let third = get(address, "/events").await;
    assert_eq!(third.status, 503, "{}", third.head);
    assert!(third.body.contains("too many"), "{}", third.body);
    assert_eq!(get(address, "/metrics").await.status, 200);
    let [first, _second] = feeds;
    drop(first);
    // Its seat is free as soon as the server has noticed.
    soon(async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).await.unwrap();
            if head.ends_with(b"200") {
                break;
            }
            assert!(head.ends_with(b"503"));
        }
    })
    .await;
}
