use super::*;
use crate::codec::hex;

/// Name, sequence and picture parameter set, and the fronts of slice segments with the size of their
/// headers in bits of the RBSP.
type Stream = (&'static str, [&'static str; 2], &'static [(&'static str, usize)]);

/// By x265 (ffmpeg 5.1.9, testsrc2 of 192x128 that fades in) with what changes the
/// headers. The sizes are those of ffmpeg's `-bsf:v trace_headers`.
const STREAMS: &[Stream] = &[
    (
        "rows, weights",
        [
            "42010101600000030090000003000003003ca0182020596565924caf016808000003000800000300c840",
            "4401c172b66240",
        ],
        &[
            ("2801af1d44c8f7015bfff24efec7001fd134", 48),
            ("2a01ac04b71d47dbf7cf73409c927aef3e42eec0", 64),
            ("0201d02949e10718e21516403e58d1b24dc9a219c2371ab8", 96),
            ("0201e06495783703d03f02020202c3a100cc3761223410e903312458e0f0b881fa8a3a", 184),
            ("0001e044fd7e89960d83606c81c343480b60c6c284a89583a6a28846ccc2044e63d4", 176),
            ("0001e086b5fd421a8c3c12414768370ed85295e65ada5a8050", 152),
            ("0201d04892557dca490341b03340c963a854a1af2d31313cd67d26aab4870f", 152),
        ],
    ),
    (
        "slices, closed groups, no deblocking",
        [
            "42010101600000030090000003000003003ca01820205964a924caf0168080000003008000000c84",
            "4401c172b45490",
        ],
        &[
            ("2801af1d80f7015bfff24efec7001fd134", 40),
            ("0201d0097ee0800ff63beaf7f3b483a2034cf56f282d", 80),
            ("02015a012fdc1001fec760fbe08a920bf810ee358f69bf", 88),
            ("0201d011ffd4ca81b06c0d903858ec0603daa764de2d1bef4d3f5b", 120),
            ("02015a023ffa9950360d81b2070b1d80eac10735cb844ff1dd9855f0", 128),
            ("0201d0289ffdcf903470b43d63b0343e768a1ffd235a1f66e594", 112),
            ("0201d0097e3f0b1c250958ec1f873d6195a3a0ce6d5ec07b", 96),
        ],
    ),
    (
        "4:4:4, 10 bit",
        [
            "4201010408000003009c0800000300003c9003040409b2cac924995e02d0100000030010000003019080",
            "4401c172860c4624",
        ],
        &[
            ("2801af1d44c8f7015bfff24efec7001fd134", 48),
            ("2a01ac04b71d47bdf7d0a60a09e8bc2ba9b29e1d", 64),
            ("0201d01957884c3c0f408102058e211bf0fe576155206dd9f55e2d3733", 136),
            ("0001e044bf861426e0e65cee805aabe0", 72),
            ("0201d029d57d4a4a0b0640a502958e212ff858696b3fcb92aa8879293cf3", 144),
            ("0001e086b5fd4614a6e0e65cee8012720c", 80),
            ("2a01ac1c4a2271842ae280624ebfffb1f51cf37b730034", 88),
        ],
    ),
    (
        "monochrome",
        [
            "4201010408000003009fc800000300003cc060808165959a4930bc05b02000000300200000030321",
            "4401c172b4712240",
        ],
        &[
            ("2801ac7512a0933efffe01488f0987bb241c", 48),
            ("2a01ac04b4751e349348e5753b798a278a2f83bd", 64),
            ("0201d019562c1d118e2130b8fd4a06498b600e6b0c98775f", 96),
            ("0001e044be18509d80f6c7dca69d82f207ab9d4c4b", 72),
            ("2a01ac1ce424610aa620c31a2a3adb628fbeaf299be6", 80),
            ("1201e0a69557518488d3c0f2acb1060034c4b1a6977fb0", 88),
            ("1001e086f5d748b0a53bf7ceecee05b8ce4835ef60", 80),
        ],
    ),
    (
        "interlaced fields",
        [
            "42010101600000030040000003000003003ca0182020596566924caf016868000003000800000300c840",
            "4401c172b46240",
        ],
        &[
            ("2801af1d44c8f7015bfff24efec7001fd134", 48),
            ("2a01ac04b71d47d9f7cf73409c927aef3e42eec0", 64),
            ("0201d02949e10718e21501401d4a9380ddd9c0fc69ce67f6", 96),
            ("0201e064957861222e60e6db24277140e8161ca45c77", 80),
            ("0001e044fd7e8b0a12a0ac03a0a423bd4d3ec24bc729", 80),
            ("2a01ac2449089c650afa60aed675c1208284c33d12596f", 88),
            ("1201e0e225555f718488fe20ea02623eae217e04922991f7", 96),
        ],
    ),
    (
        "chroma offsets, reference pictures of one kind",
        [
            "42010101600000030090000003000003003ca0182020596566924ca7016808000003000800000300c840",
            "4401c17688556240",
        ],
        &[
            ("2801af1d44d8f900adfff92731e4b7b4c9f1", 48),
            ("2a01ac04b63a8feaf967ceeaae47c2f44102522e", 64),
            ("0201d0314bc20e31d42a49804170d30c8d936db673855481", 96),
            ("0201e0849d7184a8f660fac390faed2464b16d1f49ce", 80),
            ("0001e044f55f4614236f7a652847fb207f45c355d032", 80),
            ("2a01ac244b2363a857752eec86e90009589990d69fd5", 80),
            ("1201e1022557fb98488fdafb9ce8f7e82f3b8f29d86404", 88),
        ],
    ),
];

fn reader(sets: &[&str; 2]) -> SliceReader {
    let mut reader = SliceReader::default();
    sets.iter().for_each(|set| reader.learn(&hex(set)));
    reader
}

#[test]
fn headers_end_where_ffmpeg_ends_them() {
    for (name, sets, slices) in STREAMS {
        let reader = reader(sets);
        for (slice, bits) in *slices {
            let slice = hex(slice);
            let size = reader.header_size(&slice).unwrap_or_else(|| panic!("{name} {slice:x?}"));
            assert_eq!(unescape(&slice[..size]).len() * 8, *bits, "{name} {slice:x?}");
        }
    }
}

#[test]
fn what_is_cut_or_has_no_parameter_sets_is_not_read() {
    for (name, sets, slices) in STREAMS {
        let reader = reader(sets);
        for (slice, _) in *slices {
            let slice = hex(slice);
            let size = reader.header_size(&slice).expect("readable");
            for end in 0..slice.len() {
                let cut = reader.header_size(&slice[..end]);
                assert_eq!(cut, (end >= size).then_some(size), "{name}, cut at {end}");
            }
            let mut alone = SliceReader::default();
            for set in sets.iter().rev() {
                assert_eq!(alone.header_size(&slice), None);
                alone.learn(&hex(set));
            }
            assert_eq!(alone.header_size(&slice), Some(size));
        }
        assert_eq!(reader.header_size(&hex(sets[0])), None, "no slice");
    }
}

#[test]
fn damaged_parameter_sets_are_read_or_refused() {
    for (_, sets, slices) in STREAMS {
        for set in 0..2 {
            let whole = hex(sets[set]);
            for at in 2..whole.len() {
                for bit in 0..8 {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1 << bit;
                    let mut reader = reader(sets);
                    reader.learn(&damaged);
                    for (slice, _) in *slices {
                        let slice = hex(slice);
                        let size = reader.header_size(&slice);
                        assert!(size.is_none_or(|size| size <= slice.len()));
                    }
                }
            }
        }
    }
}
