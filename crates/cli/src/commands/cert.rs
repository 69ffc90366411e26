//! `cert`: identities and the manifest.
use serde_json::json;
use sottovoce_config::identity_file;
use sottovoce_report::write_text;
use sottovoce_round::{Manifest, Member, PublicKey};
use sottovoce_types::{ClientId, Digest, SCHEMA_VERSION};

use crate::args::CertCommand;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `cert`
pub fn run(command: &CertCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        CertCommand::Init { out } => {
            let identity = identity_file::create(out, &mut rand::rng())?;
            show(&identity.public_key(), output)
        }
        CertCommand::Show { identity } => show(&identity_file::load(identity)?.public_key(), output),
        CertCommand::Manifest { federation, coordinator, members, out } => {
            let members = members.iter().map(|m| member(m)).collect::<anyhow::Result<_>>()?;
            let manifest =
                Manifest::new(federation.clone(), key(coordinator)?, members).map_err(|e| usage(e.to_string()))?;
            if let Some(parent) = out.parent() {
                std::fs::create_dir_all(parent)?;
            }
            write_text(out, &toml::to_string(&manifest)?)?;
            let object = json!({
                "schema": SCHEMA_VERSION, "manifest": out, "members": manifest.len(), "units": manifest.total_units(),
                "digest": manifest.digest(),
            });
            output.result(&object, || {
                format!(
                    "{}: {} members, {} units\nmanifest digest {}\nEveryone compares this digest before the first round.",
                    out.display(), manifest.len(), manifest.total_units(), manifest.digest()
                )
            })?;
            Ok(Exit::Ok)
        }
    }
}

fn show(public_key: &[u8; 32], output: &Output) -> anyhow::Result<Exit> {
    let id = ClientId::of_public_key(public_key);
    let object = json!({"schema": SCHEMA_VERSION, "public_key": PublicKey(*public_key), "client_id": id});
    output.result(&object, || format!("public key  {}\nclient id   {}", PublicKey(*public_key), id.to_hex()))?;
    Ok(Exit::Ok)
}

fn key(text: &str) -> anyhow::Result<PublicKey> {
    Digest::from_hex(text).map(|d| PublicKey(d.0)).ok_or_else(|| {
        usage(format!("{text:?} is no public key: 64 hexadecimal digits, as `sottovoce cert show` prints them"))
    })
}

fn member(text: &str) -> anyhow::Result<Member> {
    let parts: Vec<&str> = text.split(':').collect();
    let [name, public_key, units] = parts.as_slice() else {
        return Err(usage(format!("--member {text:?}: write NAME:PUBLIC_KEY:UNITS")));
    };
    let units = units.parse().map_err(|_| usage(format!("--member {text:?}: {units:?} is no number of units")))?;
    Ok(Member { name: (*name).to_owned(), public_key: key(public_key)?, units })
}
