#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = sottovoce_fuzz_targets::run("secagg_survivor_quorum", data);
});
