//! `extract` and `mfcc`.
use serde_json::json;
use sottovoce_audio::{Mfcc, decode, scan};
use sottovoce_types::SCHEMA_VERSION;

use super::corpus::kind;
use super::default_config;
use crate::args::{ExtractArgs, MfccArgs};
use crate::exit::Exit;
use crate::output::Output;
use crate::speech;

/// `extract`
pub fn extract(args: &ExtractArgs, output: &Output) -> anyhow::Result<Exit> {
    let config = default_config(&args.set)?;
    let scan = scan(kind(&args.kind)?, &args.path)?;
    speech::report_skipped(&scan, output);
    let bar = output.progress("extracting MFCCs", scan.clips.len() as u64);
    let report =
        sottovoce_audio::extract(&scan, &config.features.spec(), &speech::options(&config), &args.out, &|done, _| {
            bar.set_position(done as u64);
        })?;
    bar.finish_and_clear();
    let failed: Vec<_> = report.failed.iter().map(|f| json!({"path": f.path, "reason": f.error.to_string()})).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "cache": args.out, "kind": scan.kind.name(), "written": report.written,
        "reused": report.reused, "failed": failed, "skipped": scan.skipped.len(),
        "features_sha256": config.features.spec().digest(),
    });
    output.result(&object, || {
        let mut text = format!(
            "{}: {} utterances extracted, {} reused, {} failed, {} files skipped\n",
            args.out.display(),
            report.written,
            report.reused,
            report.failed.len(),
            scan.skipped.len()
        );
        for f in &report.failed {
            text += &format!("failed {}: {}\n", f.path.display(), f.error);
        }
        text
    })?;
    Ok(if report.failed.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// `mfcc`
pub fn mfcc(args: &MfccArgs, output: &Output) -> anyhow::Result<Exit> {
    let config = default_config(&args.set)?;
    let spec = config.features.spec();
    let signal = decode(&args.file)?.at_rate(spec.sample_rate_hz, &args.file)?;
    let mfcc = Mfcc::new(&spec)?;
    let values = mfcc.compute(&signal.samples);
    let rows: Vec<&[f32]> = values.chunks(mfcc.n_mfcc()).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "sample_rate_hz": spec.sample_rate_hz, "frames": rows.len(), "n_mfcc": mfcc.n_mfcc(), "mfcc": rows,
    });
    output.result(&object, || {
        rows.iter()
            .map(|row| row.iter().map(|v| format!("{v:9.3}")).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    Ok(Exit::Ok)
}
