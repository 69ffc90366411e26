//! `cert`: identities, requests to join, and the manifest.
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use sottovoce_config::{identity_file, manifest_file};
use sottovoce_report::write_text;
use sottovoce_round::{JoinRequest, Manifest, Member, PublicKey};
use sottovoce_types::{ClientId, Digest, SCHEMA_VERSION};

use crate::args::CertCommand;
use crate::exit::{Exit, usage};
use crate::output::Output;

/// `cert`
pub fn run(command: &CertCommand, output: &Output) -> anyhow::Result<Exit> {
    match command {
        CertCommand::Init { out } => {
            let identity = identity_file::create(out, &mut rand::rng())?;
            show_key(&identity.public_key(), output)
        }
        CertCommand::Request { identity, federation, name, units, out } => {
            let identity = identity_file::load(identity)?;
            let request = JoinRequest::new(&identity, federation.clone(), name.clone(), *units);
            write_text(out, &toml::to_string(&request)?)?;
            show_request(out, &request, output)
        }
        CertCommand::Show { file } => show(file, output),
        CertCommand::Manifest { federation, coordinator, requests, members, revises, removed, out } => {
            let old = revises.as_deref().map(manifest_file::load).transpose()?;
            let federation = match (&old, federation) {
                (Some(old), _) => old.federation().to_owned(),
                (None, given) => given.clone().context("clap asked for it")?,
            };
            let mut given = requests.iter().map(|r| requested(r, &federation)).collect::<anyhow::Result<Vec<_>>>()?;
            for text in members {
                given.push(member(text)?);
            }
            let coordinator = coordinator.as_deref().map(key).transpose()?;
            let manifest = match &old {
                Some(old) => revise(old, coordinator, given, removed)?,
                None => Manifest::new(federation, coordinator.context("clap asked for it")?, given)
                    .map_err(|e| usage(e.to_string()))?,
            };
            if let Some(parent) = out.parent() {
                std::fs::create_dir_all(parent)?;
            }
            write_text(out, &toml::to_string(&manifest)?)?;
            show_manifest(out, &manifest, old.as_ref(), output)
        }
        CertCommand::Sign { manifest: file, identity } => {
            let mut manifest = manifest_file::load(file)?;
            manifest.endorse(&identity_file::load(identity)?);
            write_text(file, &toml::to_string(&manifest)?)?;
            show_manifest(file, &manifest, None, output)
        }
    }
}

/// Old members stay unless they are removed or given anew.
fn revise(
    old: &Manifest,
    coordinator: Option<PublicKey>,
    given: Vec<Member>,
    removed: &[String],
) -> anyhow::Result<Manifest> {
    if let Some(name) = removed.iter().find(|name| old.members().iter().all(|m| m.name != **name)) {
        return Err(usage(format!("--remove {name:?}: the manifest that is revised has no such member")));
    }
    let stays = |m: &&Member| !removed.contains(&m.name) && given.iter().all(|g| g.name != m.name);
    let mut members: Vec<Member> = old.members().iter().filter(stays).cloned().collect();
    members.extend(given);
    old.revised(coordinator.unwrap_or(old.coordinator()), members).map_err(|e| usage(e.to_string()))
}

fn show(file: &Path, output: &Output) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let table: Result<toml::Table, _> = toml::from_str(&text);
    match table {
        Ok(table) if table.contains_key("members") => show_manifest(file, &manifest_file::load(file)?, None, output),
        Ok(table) if table.contains_key("signature") => {
            let request = toml::from_str(&text).with_context(|| format!("{} is no request", file.display()))?;
            show_request(file, &request, output)
        }
        _ => show_key(&identity_file::load(file)?.public_key(), output),
    }
}

fn show_key(public_key: &[u8; 32], output: &Output) -> anyhow::Result<Exit> {
    let id = ClientId::of_public_key(public_key);
    let object = json!({"schema": SCHEMA_VERSION, "public_key": PublicKey(*public_key), "client_id": id});
    output.result(&object, || format!("public key  {}\nclient id   {}", PublicKey(*public_key), id.to_hex()))?;
    Ok(Exit::Ok)
}

fn show_request(file: &Path, request: &JoinRequest, output: &Output) -> anyhow::Result<Exit> {
    let member = request.verify().with_context(|| format!("{} was changed after it was signed", file.display()))?;
    let object = json!({
        "schema": SCHEMA_VERSION, "request": file, "federation": request.federation(), "name": member.name,
        "public_key": member.public_key, "units": member.units, "signature": "holds",
    });
    output.result(&object, || {
        format!(
            "{}: {:?} asks to join {:?} with {} units\npublic key {} (the signature holds: whoever made this has the private key)",
            file.display(),
            member.name,
            request.federation(),
            member.units,
            member.public_key
        )
    })?;
    Ok(Exit::Ok)
}

fn show_manifest(
    file: &Path,
    manifest: &Manifest,
    revised: Option<&Manifest>,
    output: &Output,
) -> anyhow::Result<Exit> {
    let signers: Vec<PublicKey> = manifest.endorsed_by().collect();
    let changes = revised.map_or_else(Vec::new, |old| changes(old, manifest));
    let object = json!({
        "schema": SCHEMA_VERSION, "manifest": file, "federation": manifest.federation(), "revision": manifest.revision(),
        "previous": manifest.previous(), "members": manifest.len(), "units": manifest.total_units(),
        "coordinator": manifest.coordinator(), "digest": manifest.digest(), "signed_by": signers, "changes": changes,
        "list": manifest.members().iter().map(of_member).collect::<Vec<_>>(),
    });
    output.result(&object, || {
        let mut text = format!(
            "{}: {:?}, revision {}, {} members, {} units\nmanifest digest {}\n",
            file.display(),
            manifest.federation(),
            manifest.revision(),
            manifest.len(),
            manifest.total_units(),
            manifest.digest()
        );
        for member in manifest.members() {
            text += &format!("  {:<20} {:>5} units  {}\n", member.name, member.units, member.public_key);
        }
        for change in &changes {
            text += &format!("  {change}\n");
        }
        match signers.as_slice() {
            [] => text += "signed by nobody\n",
            some => some.iter().for_each(|by| text += &format!("signed by {by}\n")),
        }
        text + "Everyone compares this digest before the first round, and pins it (transport.manifest_sha256)."
    })?;
    Ok(Exit::Ok)
}

fn of_member(member: &Member) -> Value {
    json!({"name": member.name, "public_key": member.public_key, "units": member.units})
}

/// What a revision changes, in words.
fn changes(old: &Manifest, new: &Manifest) -> Vec<String> {
    let find = |of: &Manifest, name: &str| of.members().iter().find(|m| m.name == name).cloned();
    let mut out = Vec::new();
    for member in new.members() {
        let name = &member.name;
        match find(old, name) {
            None => out.push(format!("{name} joins")),
            Some(was) if was.public_key != member.public_key => out.push(format!("{name} has another key")),
            Some(was) if was.units != member.units => {
                out.push(format!("{name} has {} units, it had {}", member.units, was.units));
            }
            Some(_) => {}
        }
    }
    out.extend(old.members().iter().filter(|m| find(new, &m.name).is_none()).map(|m| format!("{} leaves", m.name)));
    if new.coordinator() != old.coordinator() {
        out.push("the coordinator has another key".to_owned());
    }
    out
}

fn requested(file: &PathBuf, federation: &str) -> anyhow::Result<Member> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let request: JoinRequest =
        toml::from_str(&text).map_err(|e| usage(format!("{} is no request: {e}", file.display())))?;
    let member = request.verify().map_err(|e| usage(format!("{} was changed on its way: {e}", file.display())))?;
    if request.federation() != federation {
        return Err(usage(format!(
            "{} asks to join {:?}, and this is {federation:?}",
            file.display(),
            request.federation()
        )));
    }
    Ok(member)
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
