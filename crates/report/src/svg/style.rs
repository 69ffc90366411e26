//! Colours and rules of figures and pages. Figures name classes only; the colours are variables with a light and a dark
//! value, so one file serves both themes.

const LIGHT: &str = "--paper:#fdfdfb;--panel:#f4f4f0;--ink:#1c2126;--ink2:#5c656e;--rule:#dcddd8;\
    --s0:#1f5f8b;--s1:#b8501f;--s2:#3f7d4e;--s3:#7a4f9a;--good:#2f7042;--bad:#a8281e;--warn:#8a5a00;--warnbg:#fbf1d9";
const DARK: &str = "--paper:#15181c;--panel:#1e2227;--ink:#e8e8e4;--ink2:#a0a8b0;--rule:#343a41;\
    --s0:#7db8e0;--s1:#ee9a6b;--s2:#8fcb9b;--s3:#c3a2e0;--good:#8fcb9b;--bad:#f08a80;--warn:#f0c469;--warnbg:#332a14";

const FIGURE: &str = "\
.figure{font:12px/1.3 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;\
font-variant-numeric:tabular-nums;max-width:100%;height:auto}\
.figure .paper{fill:var(--paper)}\
.figure text{fill:var(--ink)}\
.figure .title{font-size:13.5px;font-weight:600}\
.figure .minor{fill:var(--ink2)}\
.figure .tiny{fill:var(--ink2);font-size:11px}\
.figure .small{font-size:11px}\
.figure .fine{font-size:10px}\
.figure .strong{font-weight:600}\
.figure .oncell{fill:var(--paper)}\
.figure .grid{stroke:var(--rule);stroke-width:1}\
.figure .axis{stroke:var(--ink2);stroke-width:1}\
.figure .chance{stroke:var(--ink2);stroke-width:1.2;stroke-dasharray:2 3;fill:none}\
.figure .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.figure .dash1{stroke-dasharray:9 4;stroke-linecap:butt}\
.figure .dash2{stroke-dasharray:9 3 2 3;stroke-linecap:butt}\
.figure .dash3{stroke-dasharray:3 3;stroke-linecap:butt}\
.figure .whisker{stroke-width:2}\
.figure .band{stroke:none;fill-opacity:.16}\
.figure .hollow{stroke-width:2}\
.figure circle.hollow{fill:var(--paper)}\
.figure .track{fill:var(--panel)}\
.figure .cell{fill:var(--s0)}\
.figure .cellframe{fill:none;stroke:var(--rule)}\
.figure .cell.apart{fill:var(--s2)}\
.figure .wave{fill:var(--s0);stroke:var(--s0);stroke-width:.75;stroke-linejoin:round}\
.figure .trace{fill:none;stroke:var(--s0);stroke-width:1.2}\
.figure .void{fill:#e6007e}\
.figure .caution{fill:var(--warnbg)}\
.figure .oncaution{fill:var(--warn)}\
.figure .alarm{fill:var(--bad)}\
.figure .line.c0,.figure .whisker.c0,.figure .hollow.c0{stroke:var(--s0)}.figure .band.c0,.figure .dot.c0,.figure .bar.c0{fill:var(--s0)}\
.figure .line.c1,.figure .whisker.c1,.figure .hollow.c1{stroke:var(--s1)}.figure .band.c1,.figure .dot.c1,.figure .bar.c1{fill:var(--s1)}\
.figure .line.c2,.figure .whisker.c2,.figure .hollow.c2{stroke:var(--s2)}.figure .band.c2,.figure .dot.c2,.figure .bar.c2{fill:var(--s2)}\
.figure .line.c3,.figure .whisker.c3,.figure .hollow.c3{stroke:var(--s3)}.figure .band.c3,.figure .dot.c3,.figure .bar.c3{fill:var(--s3)}";

const PAGE: &str = "\
*{box-sizing:border-box}\
body{margin:0;background:var(--paper);color:var(--ink);\
font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}\
.first{margin:0;max-width:none;padding:.6rem 1.25rem;background:var(--panel);border-bottom:1px solid var(--rule);\
font-size:.9rem;text-align:center}\
.first.alarm{background:var(--warnbg);color:var(--warn);font-weight:600}\
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem;letter-spacing:-.01em}\
h2{font-size:1.4rem;line-height:1.25;margin:3rem 0 .25rem;padding-top:1.5rem;border-top:2px solid var(--ink);letter-spacing:-.01em}\
h3{font-size:1.05rem;margin:2.25rem 0 .5rem}\
p{margin:.5rem 0;max-width:46rem}.lead{color:var(--ink2);margin-top:0}.small{font-size:.875rem;color:var(--ink2)}\
.banner{border-left:4px solid var(--warn);background:var(--warnbg);color:var(--warn);padding:.6rem .9rem;\
margin:1rem 0;font-weight:600;max-width:none}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:1.25rem 0;padding:0;list-style:none}\
.tiles li{background:var(--panel);border-radius:6px;padding:.7rem .85rem}\
.tiles b{display:block;font-size:1.4rem;line-height:1.2;font-weight:600;font-variant-numeric:tabular-nums}\
.tiles span{display:block;font-size:.8rem;color:var(--ink2)}\
figure{margin:1rem 0}figcaption{font-size:.875rem;color:var(--ink2);max-width:46rem}\
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.5rem;align-items:start}\
.scroll{overflow-x:auto}\
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.75rem 0;min-width:100%}\
th{font-weight:600;text-align:left;border-bottom:1px solid var(--ink);vertical-align:bottom}\
td{border-bottom:1px solid var(--rule);vertical-align:top}\
th,td{padding:.35rem .7rem .35rem 0}tbody th{border-bottom:1px solid var(--rule);vertical-align:top;white-space:nowrap}.n{text-align:right;white-space:nowrap}\
td.wide{min-width:14rem}\
table.audit{font-size:.82rem}.audit .small,.wrap .small{font-size:.74rem}.audit th{white-space:normal}\
.audit td:first-child{min-width:12rem;overflow-wrap:anywhere}pre.said{white-space:pre-wrap}\
table.wrap{font-size:.82rem}.wrap th{white-space:normal}.wrap td:nth-child(2){min-width:11.5rem}\
.control td:first-child{padding-left:1.25rem}.control td{color:var(--ink2)}\
.box{border:1px solid var(--rule);border-radius:6px;padding:.25rem 1rem .75rem;margin:1rem 0}\
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.verdict{font-size:1.15rem;font-weight:600}\
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85em}\
pre{background:var(--panel);padding:.75rem 1rem;border-radius:6px;overflow-x:auto}\
code.hash{overflow-wrap:anywhere}\
details{margin:.75rem 0}summary{cursor:pointer;color:var(--ink2)}\
ul.plain{padding-left:1.1rem;max-width:46rem}ul.plain li{margin:.3rem 0}\
footer{margin-top:3rem;border-top:1px solid var(--rule);padding-top:1rem}\
@media print{body{font-size:11pt}h2{break-before:page}figure,.box,tr{break-inside:avoid}.scroll{overflow:visible}a{color:inherit}}";

/// The style sheet of a page that holds figures: light or dark as the reader's system is.
pub fn page_style() -> String {
    format!(
        ":root{{color-scheme:light dark;{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}{FIGURE}{PAGE}"
    )
}

/// The style sheet inside a figure that is a file of its own.
pub(super) fn document_style() -> String {
    format!("svg.figure{{{LIGHT}}}@media(prefers-color-scheme:dark){{svg.figure{{{DARK}}}}}{FIGURE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_number_has_one_colour_in_curves_and_in_cells() {
        assert!(FIGURE.contains(&format!(".void{{fill:{}}}", crate::svg::palette::VOID)));
    }
}
