//! Notes what this binary was built from, for `provenance.json`: commit and toolchain, as far as they can be known.
use std::process::Command;

fn main() {
    let first_line = |command: &mut Command| -> Option<String> {
        let output = command.output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.lines().next()?.trim().to_owned())
    };
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let toolchain = first_line(Command::new(rustc).arg("--version"));
    let commit = first_line(Command::new("git").args(["rev-parse", "HEAD"]));
    println!("cargo:rustc-env=SOTTOVOCE_TOOLCHAIN={}", toolchain.unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo:rustc-env=SOTTOVOCE_COMMIT={}", commit.unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo:rerun-if-changed=../../.git/HEAD");
    println!("cargo:rerun-if-changed=build.rs");
}
