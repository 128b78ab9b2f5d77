use std::cell::Cell;
use std::io::{BufRead, Read, Result};

use h264_reader::Context;
use h264_reader::nal::NalHeader;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::SliceHeader;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader as OracleReader, decode_nal};

use super::*;
use crate::codec::hex;

/// Parameter sets and the fronts of slices by x264 (ffmpeg 5.1.9, `-preset slow -threads 1`, testsrc2 of
/// 64x64 that fades in), with what changes slice headers.
const STREAMS: &[(&str, [&str; 2], &[&str])] = &[
    (
        "cabac, weights, four references",
        ["6764000aacd94426c044000003000400000300c83c489658", "68e938f2c8b0"],
        &[
            "658884002bfffef6737c0a6b6db0952e0576f696372d3cef59a07c03",
            "6588820008fff831df4efdff05e14ea638adb8dfe951a48765f9bf0f",
            "419a2263602d81dc801012004053ff60c3ca3fa0026a4d9473dac7cc",
            "019e41393748cfa83a",
            "419a443c21086439e03482b01a802a406900a580d20b817fc866494b",
            "019e632a457f9b8a8f6465e82363017027f71a0618319aacdd",
            "419a664be10843c87340570b81580b2058030c0570d014f5ffacc42b",
            "019e852a467f92882afd13f4730408751dfdbe29e1d7ff5d7df6b272",
            "419a8a4be10843c873c05f0d80be03e8080c05f0f008afbb3d91f081",
        ],
    ),
    (
        "CAVLC, four slices",
        ["6742c00ad90426c044000003000400000300c83c489920", "68cb83cb20"],
        &[
            "6588840af2628000a7bdf7df80",
            "65288840af2628000a7bdf7df8",
            "651222102bc98a00029ef7df7e",
            "651a22102bc98a00029ef7df7e",
            "65888206ffee9504dfc500010a3ed244c6aa4c25a3553877e938524c",
            "652888205f0c610c0004a94f4b5fad7fc4aef5aa9f3e1e747dee9e63",
            "6512220817c318245800094ed3cbb7b6dff82501c8bdcdcfd32402f3",
            "651a2208f19890001161e31424bf58b86305d0932f7fff14801857ef",
            "419a3827e5636a913911e9622388fa68ce89a2524a692128e681d503",
        ],
    ),
    (
        "interlaced",
        ["67640015acd9444d808800000300080000030190f8a14cb0", "68fba3cb22c0"],
        &[
            "6588820b02bff6f6737c0a6b6db0f5080690b397bf7d6b5b1ebbd795",
            "65888102c08ff031df4efdff05e14ea638adb8dfe951a48765f9bf0f",
            "419a215e44ff704fa5cae3cac8e2d813d5b673a7968f740ad4e3d80d",
            "019e40db937ff8ca1bf7",
            "419a425d12ff3fed4709e02585c7c9c100c70ee59b8af6a72a567fcf",
            "019e61daa45785f87490ccfc65c67472f7dc633642ef41",
            "419a63594fffc2bd271e524423ece77cea4ec4f5d3148427e787f2dd",
            "019e82dea4676827f05d8231d95c88affce9cd51a9b58bfae6288e23",
            "419a84d89bffb567f4addc1f8dac2c9e930d182b917e8ac24bcc63e2",
        ],
    ),
    (
        "4:4:4",
        ["67f4000a919d884d808800000300080000030190789129c0", "68eae3c44844"],
        &[
            "65888400affef5dbf32cac66673dfff07b651b0200e105b7cd",
            "658882006fe3c2afff0951451e53e547e1d8390e15f83aa70edb4c01",
            "419a298d80b6077200404801015fec90dafce4abb4f7aab708a02e72",
            "019e44e4476ca886915180",
            "419a512784210c873c069056035805680d6015b01a41702bffac91a0",
            "019e6de467a0761586a74ec9536d",
            "419a792784210c873c0570b80b003080ae02ec0570d024ffc80806e4",
            "019e95e47777f36fd6444c1a241e9b943f9fa3",
            "419a9d2784210c86340947812814812814c094240843ff2763464037",
        ],
    ),
    (
        "monochrome, explicit weights",
        ["6764000af365109b016c800000030080000019078912cb", "68ebe3cb22c0"],
        &[
            "658884002abffef5dbf32cae6e9a36def636f4b173069742e60dbfc2",
            "658882001ebff897194a09c178533cebb05eedd4877d555c3f22c044",
            "419a2162c08544af686df0a7d3540465011e4a64ea07fb1539ffddc4",
            "419a4449e1084321604a5025452ff541d8a62e374adc52c255852d0e",
            "419e622a53ccbf65588bf95c0888ae8d95405ed3a1bece0952ff62f9",
            "019e836a452f71ac6b466677acbab36165e370a1",
            "419a864ba842105a21e02b94057453d2a6a2a441dd2c0e1304e44bfd",
            "019ea52a462faef38add2ff331c45952f70657dab8a222eedc2146f6",
            "419aa74be1084294878092c049308e5f53aeb72771bb2e5a6ce5ead4",
        ],
    ),
];

/// Bytes that count how many of them were read, but for copies, by which h264-reader looks ahead.
struct Counted<'a>(&'a [u8], Option<&'a Cell<usize>>);

impl Clone for Counted<'_> {
    fn clone(&self) -> Self {
        Self(self.0, None)
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.0.read(into)?;
        self.1.inspect(|read| read.set(read.get() + count));
        Ok(count)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        Ok(self.0)
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
        self.1.inspect(|read| read.set(read.get() + count));
    }
}

/// The parameter sets as h264-reader keeps them.
fn oracle(sets: &[&str; 2]) -> Context {
    let mut context = Context::default();
    let [sps, pps] = sets.map(hex);
    let (sps, pps) = (decode_nal(&sps).expect("a unit"), decode_nal(&pps).expect("a unit"));
    let sps = SeqParameterSet::from_bits(OracleReader::new(&sps[..])).expect("readable");
    context.put_seq_param_set(sps);
    let pps = PicParameterSet::from_bits(&context, OracleReader::new(&pps[..])).expect("readable");
    context.put_pic_param_set(pps);
    context
}

fn reader(sets: &[&str; 2]) -> SliceReader {
    let mut reader = SliceReader::default();
    sets.iter().for_each(|set| reader.learn(&hex(set)));
    reader
}

#[test]
fn headers_end_where_h264_reader_ends_them() {
    let mut sizes = Vec::new();
    for (name, sets, slices) in STREAMS {
        let (context, reader) = (oracle(sets), reader(sets));
        for slice in slices.iter().map(|slice| hex(slice)) {
            let rbsp = decode_nal(&slice).expect("a unit");
            let read = Cell::new(0);
            let mut bits = OracleReader::new(Counted(&rbsp, Some(&read)));
            let header = NalHeader::new(slice[0]).expect("a header");
            SliceHeader::from_bits(&context, &mut bits, header, None).expect("readable");
            let size = reader.header_size(&slice).expect("readable");
            assert_eq!(unescape(&slice[..size]).len(), 1 + read.get(), "{name} {slice:x?}");
            sizes.push(size);
        }
    }
    sizes.sort_unstable();
    sizes.dedup();
    assert!(sizes.len() >= 5, "{sizes:?}");
}

#[test]
fn what_is_cut_or_has_no_parameter_sets_is_not_read() {
    for (name, sets, slices) in STREAMS {
        let reader = reader(sets);
        for slice in slices.iter().map(|slice| hex(slice)) {
            let size = reader.header_size(&slice).expect("readable");
            for end in 0..slice.len() {
                let cut = reader.header_size(&slice[..end]);
                assert_eq!(cut, (end >= size).then_some(size), "{name}, cut at {end}");
            }
            let mut alone = SliceReader::default();
            assert_eq!(alone.header_size(&slice), None);
            alone.learn(&hex(sets[1]));
            assert_eq!(alone.header_size(&slice), None);
            alone.learn(&hex(sets[0]));
            assert_eq!(alone.header_size(&slice), Some(size));
        }
        assert_eq!(reader.header_size(&hex(sets[0])), None, "no slice");
    }
}

#[test]
fn a_parameter_set_that_comes_again_counts_from_then_on() {
    let mut reader = reader(&STREAMS[0].1);
    let [field_coded, frames] = [2, 0].map(|at| STREAMS[at].1.map(hex));
    field_coded.iter().for_each(|set| reader.learn(set));
    let slice = hex(STREAMS[2].2[0]);
    let alone = tests::reader(&STREAMS[2].1).header_size(&slice);
    assert_eq!(reader.header_size(&slice), alone);
    frames.iter().for_each(|set| reader.learn(set));
    // A set that cannot be read changes nothing.
    reader.learn(&frames[0][..6]);
    let slice = hex(STREAMS[0].2[0]);
    assert!(reader.header_size(&slice).is_some());
}

#[test]
fn preventions_in_the_header_and_behind_it_belong_to_it() {
    let size = |unit: &[u8], bytes| header_size(unit, bytes);
    assert_eq!(size(&[0x41, 0, 0, 3, 0, 9], 3), Some(4));
    assert_eq!(size(&[0x41, 0, 0, 3, 0, 9], 4), Some(5));
    assert_eq!(size(&[0x41, 9, 9], 3), Some(3));
    assert_eq!(size(&[0x41, 9, 9], 4), None);
}
