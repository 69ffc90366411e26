//! The section about who holds what.
use maud::{Markup, html};

use super::figure;
use crate::RunReport;
use crate::speech::{ClientRow, LEAKS, PartitionPicture, partition_figure};
use crate::text::NONE;

pub(super) fn section(run: &RunReport) -> Markup {
    let Some(picture) = &run.partition else { return html! {} };
    html! {
        h3 { "Who holds what" }
        (figure(&partition_figure(picture), &html! {
            "Clips by client and emotion, and of how many speakers they are. Green rows are held out from training. "
            @if picture.leaks { b.bad { (LEAKS) ", so recognition is overstated." } }
        }))
        details { summary { "As a table" } (table(picture)) }
    }
}

fn table(picture: &PartitionPicture) -> Markup {
    let apart = picture.apart();
    html! {
        div.scroll { table {
            thead { tr {
                th { "who" } th.n { "speakers" }
                @for class in &picture.classes { th.n { (class) } }
                th.n { "clips" }
            } }
            tbody {
                @for client in &picture.clients { (row(client, picture.classes.len(), "")) }
                @for held in apart { (row(held, picture.classes.len(), " (held out)")) }
            }
        } }
    }
}

fn row(client: &ClientRow, classes: usize, what: &str) -> Markup {
    html! { tr {
        td { (client.name) (what) } td.n { (client.speakers) }
        @for c in 0..classes { td.n { (client.counts.get(c).map_or(NONE.to_owned(), u64::to_string)) } }
        td.n { (client.total()) }
    } }
}
