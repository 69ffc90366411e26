//! Logs on stderr.
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::args::Format;

/// Our crates' targets begin with it.
const OURS: &str = "sottovoce";

/// Starts logging. As text, the log holds warnings, since events are told beside it; as JSON it is the one stream, events
/// included. Dependencies' entries below warnings are left out at every level: what they hold is not ours to promise.
pub(crate) fn start(format: Format, verbose: bool) {
    let ours = match (verbose, format) {
        (true, _) => Level::DEBUG,
        (false, Format::Json) => Level::INFO,
        (false, Format::Text) => Level::WARN,
    };
    let kept = Targets::new().with_default(Level::WARN).with_target(OURS, ours);
    let text = || fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        Format::Json => text().json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        // The events' own lines say these already.
        Format::Text => text().without_time().boxed(),
    };
    let kept = match format {
        Format::Json => kept,
        Format::Text => kept.with_target("sottovoce_coordinator::tell", Level::WARN),
    };
    tracing_subscriber::registry().with(layer.with_filter(kept)).init();
}
