//! `predict`: emotion probabilities of recordings, on this machine.
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use serde_json::json;
use sottovoce_audio::{decode, examples};
use sottovoce_report::{Align, TextTable};
use sottovoce_store::load_checkpoint;
use sottovoce_types::{Annotation, Digest, Emotion, InputKind, SCHEMA_VERSION, Standardisation, Utterance};

use crate::args::PredictArgs;
use crate::exit::{Exit, usage};
use crate::output::Output;
use crate::run_dir::RunDir;
use crate::{federation, speech};

/// `predict`: all files count as one speaker's, since models are trained on features standardised per speaker.
pub fn run(args: &PredictArgs, output: &Output) -> anyhow::Result<Exit> {
    // RUN/checkpoints/round-0012.safetensors of a run, or STATE/final.safetensors of a site.
    let mut folders = args.model.ancestors().skip(1).take(2);
    let Some(run) = folders.find(|f| f.join("config.toml").exists()).map(Path::to_owned) else {
        bail!("{} lies in no run or state directory: its config.toml says how features are made", args.model.display());
    };
    let (_dir, config) = RunDir::open(&run, &[])?;
    if config.features.standardisation == Standardisation::PerSpeaker && args.files.len() < 2 {
        return Err(usage(
            "this model was trained on features standardised per speaker: give several recordings of the one speaker \
             (more are better), of which the one you ask about may be one",
        ));
    }
    let kind = config.model_spec().input_kind();
    if !args.text.is_empty() && kind != InputKind::FramesAndWords {
        return Err(usage(format!("--text: the model (model.kind = \"{}\") reads no words", config.model.kind.name())));
    }
    if !args.text.is_empty() && args.text.len() != args.files.len() {
        let (texts, files) = (args.text.len(), args.files.len());
        return Err(usage(format!("--text is given {texts} times for {files} files: once for each, in their order")));
    }
    if args.text.is_empty() && kind == InputKind::FramesAndWords {
        output.remark("the model reads words, too, and none are given (--text): it goes by the sound alone");
    }
    let front_end = speech::front_end(&config)?;
    let mut utterances = Vec::new();
    for (i, file) in args.files.iter().enumerate() {
        let transcript = args.text.get(i).cloned();
        let signal = decode(file)?;
        utterances.push(Utterance {
            path: file.display().to_string(),
            // Examples carry a label; a prediction looks at none.
            annotation: Annotation { transcript, ..Annotation::new("given", Emotion::Neutral) },
            sha256: Digest::default(),
            width: front_end.spec().width(),
            mfcc: front_end.features(&signal, file)?,
        });
    }
    let labels = speech::labels(&config);
    let data = examples(&utterances, &labels, kind, &speech::scaling(&config));
    let trainer = federation::trainer(&config)?;
    let layout = Arc::new(trainer.spec().layout());
    let params = load_checkpoint(&args.model, &layout)?.params;
    let (logits, probabilities) = (trainer.logits(&params, &data)?, trainer.probabilities(&params, &data)?);
    let names = labels.names();
    let rows: Vec<&[f64]> = probabilities.chunks(names.len()).collect();
    let files = args.files.iter().zip(rows.iter().zip(logits.chunks(names.len())));
    let files: Vec<_> = files
        .enumerate()
        .map(|(i, (f, (p, z)))| {
            let mut file = json!({"path": f, "probabilities": p, "logits": z});
            if let Some(text) = args.text.get(i) {
                file["text"] = json!(text);
            }
            if args.with_features {
                match kind {
                    InputKind::Statistics => file["statistics"] = json!(data.row(i)),
                    _ => file["mfcc"] = json!(data.row(i).chunks(data.width).collect::<Vec<_>>()),
                }
            }
            file
        })
        .collect();
    let object = json!({
        "schema": SCHEMA_VERSION, "model": trainer.spec(), "parameters": layout.len(), "labels": names, "files": files,
    });
    output.result(&object, || {
        let columns = std::iter::once(("file", Align::Left)).chain(names.iter().map(|n| (n.as_str(), Align::Right)));
        let mut table = TextTable::new(columns);
        for (file, row) in args.files.iter().zip(&rows) {
            let cells =
                std::iter::once(file.display().to_string()).chain(row.iter().map(|p| format!("{:.1} %", 100.0 * p)));
            table.row(cells);
        }
        table.render()
    })?;
    Ok(Exit::Ok)
}
