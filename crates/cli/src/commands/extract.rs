//! `extract` and `mfcc`.
use serde_json::json;
use sottovoce_audio::decode;
use sottovoce_config::Config;
use sottovoce_types::SCHEMA_VERSION;

use super::corpus::scanned;
use super::features_config;
use crate::args::{ExtractArgs, MfccArgs};
use crate::exit::{Exit, refused};
use crate::output::Output;
use crate::speech;

/// `extract`
pub fn extract(args: &ExtractArgs, output: &Output) -> anyhow::Result<Exit> {
    let config = features_config(&args.set)?;
    speech::front_end(&config)?;
    let scan = scanned(&args.corpus)?;
    speech::report_skipped(&scan, output);
    let bar = output.progress("extracting MFCCs", scan.clips.len() as u64);
    let report = sottovoce_audio::extract(&scan, &config.features.spec(), &args.out, &|done, _| {
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|f| json!({"path": f.path.to_string_lossy(), "reason": f.error.to_string()}))
        .collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "cache": args.out.to_string_lossy(), "kind": scan.kind.name(), "label_source": scan.label_source.name(),
        "synthetic": scan.synthetic, "written": report.written,
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
    let config = match &args.config {
        Some(file) => Config::load(file, &args.set).map_err(refused)?,
        None => features_config(&args.set)?,
    };
    let front_end = speech::front_end(&config)?;
    let values = front_end.features(&decode(&args.file)?, &args.file)?;
    let spec = front_end.spec();
    let rows: Vec<&[f32]> = values.chunks(spec.width()).collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "sample_rate_hz": spec.sample_rate_hz, "convention": spec.convention, "frames": rows.len(),
        "n_mfcc": spec.n_mfcc, "deltas": spec.deltas, "mfcc": rows,
    });
    output.result(&object, || {
        rows.iter()
            .map(|row| row.iter().map(|v| format!("{v:9.3}")).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    Ok(Exit::Ok)
}
