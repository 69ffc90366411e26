#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = sottovoce_fuzz_targets::run("audit_openings", data);
});
