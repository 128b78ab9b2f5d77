#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| corelay_protocols_fuzz::targets::hls_packager::run(data));
