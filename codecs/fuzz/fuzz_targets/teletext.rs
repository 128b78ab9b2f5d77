#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| corelay_codecs_fuzz::targets::teletext::run(data));
