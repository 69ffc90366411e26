//! Slices, the most exposed by id, and reconstructions.
use maud::{Markup, html};

use super::figure;
use crate::audit::{ExposedUnit, SliceRow, TrueAndRecovered, recovered_figure};
use crate::text::{NONE, percent};

/// Attacks in one table: more do not fit on paper.
const ACROSS: usize = 4;

pub(super) fn slices(rows: &[SliceRow]) -> Markup {
    let keys = distinct(rows.iter().map(|r| r.key.as_str()));
    html! {
        h3 { "By emotion, sex and speaker" }
        @if rows.is_empty() { p { "No attack scored clips, so that there is nothing to slice." } }
        @else { p { "Area under the ROC curve within each group, and its 95 % interval. A group with too few members or non-members has none." } }
        @for key in keys {
            @let of_key: Vec<&SliceRow> = rows.iter().filter(|r| r.key == key).collect();
            @let attacks = distinct(of_key.iter().map(|r| r.attack.as_str()));
            @for attacks in attacks.chunks(ACROSS) { (slice_table(key, &of_key, attacks)) }
        }
    }
}

fn slice_table(key: &str, rows: &[&SliceRow], attacks: &[&str]) -> Markup {
    let values = distinct(rows.iter().map(|r| r.value.as_str()));
    html! {
        div.scroll { table.wrap {
            thead { tr { th { (key) } th.n { "members, non-members (first attack)" } @for attack in attacks { th.n { (attack) } } } }
            tbody { @for value in values {
                @let own: Vec<&&SliceRow> = rows.iter().filter(|r| r.value == value && attacks.contains(&r.attack.as_str())).collect();
                tr {
                    td { (value) }
                    td.n { @if let Some(r) = own.first() { (r.members) ", " (r.non_members) } }
                    @for attack in attacks {
                        td.n { @match own.iter().find(|r| r.attack == **attack) {
                            Some(r) => (area(r)),
                            None => (NONE),
                        } }
                    }
                }
            } }
        } }
    }
}

fn area(row: &SliceRow) -> Markup {
    let (Some(auc), Some(ci)) = (row.auc, row.ci95) else {
        return html! { span.small title=[row.refused.as_deref()] { "too few" } };
    };
    html! { (format!("{auc:.3}")) " " span.small { (format!("{:.2}–{:.2}", ci.low, ci.high)) } }
}

pub(super) fn exposed(units: &[ExposedUnit]) -> Markup {
    html! {
        h3 { "Most exposed" }
        @if units.is_empty() { p { "No attack scored members one by one." } }
        @else {
            p {
                "The members that each attack would accuse first, by id alone: nothing else of them is shown. The second column is the share of \
                 non-members that it would have to accuse as well."
            }
            div.pair { @for attack in distinct(units.iter().map(|u| u.attack.as_str())) {
                div.scroll { table {
                    thead { tr { th { (attack) } th.n { "non-members above" } th.n { "models" } } }
                    tbody { @for u in units.iter().filter(|u| u.attack == attack) {
                        tr { td { (u.unit) } td.n { (percent(u.false_positive_rate)) } td.n { (u.models) } }
                    } }
                } }
            } }
        }
    }
}

pub(super) fn reconstructions(clips: &[TrueAndRecovered]) -> Markup {
    html! {
        h3 { "Reconstructions" }
        @if clips.is_empty() { p { "No reconstruction was tried, or none came to anything." } }
        @else {
            p {
                "What the control recovered from single updates of one clip without masks and noise, beside the truth. It shows what the \
                 defence takes away: the same attack on the run itself is in the table above. The blind guess is the mean of public clips."
            }
            div.pair { @for clip in clips { (figure(&recovered_figure(clip, clips), &html! { (clip.attack) })) } }
        }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out: Vec<&str> = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}
