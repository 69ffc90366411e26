//! A federation brought up by the commands that its people would type: a folder with recordings, key and config at each
//! site, and every party a process of its own.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::federation::CoordinatorProcess;
use super::{arg, program, run};

const FEDERATION: &str = "three-words";

/// The parties' folders.
pub struct Sites {
    dir: tempfile::TempDir,
    pub sites: u8,
}

impl Sites {
    /// `sites` sites of two synthetic speakers each. `agreed` is what all configs share; of its `[transport]`, if it ends with one, the
    /// manifest and its pin are added here.
    pub fn bring_up(sites: u8, agreed: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let all = dir.path().join("all");
        let speakers = (2 * sites).to_string();
        run(&["corpus", "synth", "--out", arg(&all), "--speakers", &speakers, "--sentences", "1"]).expect(0);
        let manifest = dir.path().join("manifest.toml");
        let mut members = Vec::new();
        let coordinator = new_key(&dir.path().join("coordinator/identity.key"));
        for i in 1..=sites {
            let site = dir.path().join(format!("site-{i}"));
            new_key(&site.join("identity.key"));
            let request = site.join("request.toml");
            let name = format!("site-{i}");
            let identity = site.join("identity.key");
            let own = ["--identity", arg(&identity), "--name", &name, "--units", "2", "--out", arg(&request)];
            run(&[&["cert", "request", "--federation", FEDERATION], &own[..]].concat()).expect(0);
            members.push(request);
            let (own, speakers) = (site.join("recordings"), [1000 + u16::from(2 * i) - 1, 1000 + u16::from(2 * i)]);
            fs::create_dir_all(own.join("AudioWAV")).unwrap();
            for entry in fs::read_dir(all.join("AudioWAV")).unwrap() {
                let file = entry.unwrap();
                let name = file.file_name().into_string().unwrap();
                if speakers.iter().any(|s| name.starts_with(&s.to_string())) {
                    fs::copy(file.path(), own.join("AudioWAV").join(name)).unwrap();
                }
            }
            for entry in fs::read_dir(&all).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
                fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
            }
            let place = site.display();
            write(
                &site.join("client.toml"),
                &format!(
                    "extends = \"../agreed.toml\"\n[corpus]\nkind = \"auto\"\npath = \"{place}/recordings\"\n\
                     cache = \"{place}/features.h5\"\n[transport]\n\
                     identity = \"{place}/identity.key\"\nstate = \"{place}/state\"\n"
                ),
            );
        }
        let mut command = vec!["cert", "manifest", "--federation", FEDERATION, "--coordinator", &coordinator];
        for request in &members {
            command.extend(["--request", arg(request)]);
        }
        command.extend(["--out", arg(&manifest), "--format", "json"]);
        let made = run(&command).expect(0).json();
        let digest = made["digest"].as_str().unwrap();
        let section = if agreed.contains("[transport]") { "" } else { "[transport]" };
        let agreed = format!("{agreed}\n{section}\nmanifest = {:?}\nmanifest_sha256 = {digest:?}\n", arg(&manifest));
        write(&dir.path().join("agreed.toml"), &agreed);
        let place = dir.path().display();
        write(
            &dir.path().join("coordinator.toml"),
            &format!(
                "extends = \"agreed.toml\"\n[transport]\nlisten = \"127.0.0.1:0\"\n\
                 identity = \"{place}/coordinator/identity.key\"\nstate = \"{place}/run\"\n"
            ),
        );
        Self { dir, sites }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Site i's folder.
    pub fn site(&self, i: u8) -> PathBuf {
        self.path().join(format!("site-{i}"))
    }

    /// Starts the coordinator.
    pub async fn coordinator(&self) -> CoordinatorProcess {
        CoordinatorProcess::listening(&self.path().join("coordinator.toml"), self.path(), &["--no-dashboard"]).await
    }

    /// Starts site i against this coordinator, with further `--set`s.
    pub fn start(&self, i: u8, coordinator: &CoordinatorProcess, set: &[&str]) -> SiteProcess {
        let place = self.site(i);
        let (stdout, stderr) = (place.join("stdout"), place.join("stderr"));
        let mut command = Command::new(program("sottovoce"));
        command.arg("client").arg(place.join("client.toml")).args(["--format", "json"]);
        command.arg("--set").arg(format!("transport.coordinator=\"{}\"", coordinator.address));
        for one in set {
            command.args(["--set", one]);
        }
        command.stdin(Stdio::null()).stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        SiteProcess { child: command.spawn().unwrap(), place }
    }
}

/// A new identity by `cert init`; its public key.
fn new_key(file: &Path) -> String {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let shown = run(&["cert", "init", "--out", arg(file), "--format", "json"]).expect(0).json();
    shown["public_key"].as_str().unwrap().to_owned()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

/// One site's process. Killed when it is dropped.
pub struct SiteProcess {
    child: Child,
    place: PathBuf,
}

impl SiteProcess {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL, and what became of it: false where it had ended already.
    pub fn kill(mut self) -> bool {
        let ran = self.is_running();
        // Fails only when it has ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        ran
    }

    /// Waits for its end: exit code, what it printed, what it remarked.
    pub async fn end(mut self) -> (Option<i32>, String, String) {
        let status = super::federation::soon(async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        let read = |name: &str| fs::read_to_string(self.place.join(name)).unwrap();
        (status.code(), read("stdout"), read("stderr"))
    }
}

impl Drop for SiteProcess {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
