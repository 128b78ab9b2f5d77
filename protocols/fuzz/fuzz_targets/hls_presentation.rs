#![no_main]
use corelay_protocols_fuzz::targets::hls_presentation::run;
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
