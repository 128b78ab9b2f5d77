#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| corelay_codecs_fuzz::targets::fmp4::run(data));
