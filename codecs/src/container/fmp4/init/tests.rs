use mp4_atom::{Codec, Decode as _, FourCC, Ftyp, Moov};

use super::*;
use crate::codec::{CODECS, hex};

/// Configuration records, or frames where the codec has none; made by ffmpeg 5.1.9 of testsrc2 and
/// sine.
const SOURCES: &[(CodecId, &str)] = &[
    (
        CodecId::H264,
        "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f162d9601000668ebe3cb22c0\
         fdf8f800",
    ),
    (
        CodecId::H265,
        "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff0160000003009000000\
         3000003003f959809210001002a42010101600000030090000003000003003fa00502016965959a4932bc05\
         a0200000030020000003032122000100074401c172b46240",
    ),
    (CodecId::Av1, "81010c000a0b0000000cc4ff6700be0010"),
    (CodecId::Vp9, "000b820202020000"),
    (CodecId::Aac, "119056e500"),
    (CodecId::Mp3, "fffb540000000000"),
    (CodecId::Opus, "4f707573486561640102380180bb0000000000"),
    (CodecId::Flac, "120012000000c70005110bb802f000002580d9b81de011fef694f3e1d33694c8ae61"),
    (CodecId::Ac3, "0b77b50b1e40ebf8403eff99ff0841fc"),
    (CodecId::Eac3, "0b7702ff3f87c0002080200002004000"),
];

fn track(id: u32, codec: CodecId) -> Track {
    let source = SOURCES.iter().find(|(known, _)| *known == codec).map_or("", |(_, source)| source);
    let source = Bytes::from(hex(source));
    let mut info = TrackInfo { codec, width: 640, height: 360, ..TrackInfo::default() };
    for describe in [codec.row().from_config, codec.row().from_frame].into_iter().flatten() {
        if let Some(told) = describe(&source) {
            info.update(told);
        }
    }
    let (config, first_frame) = match codec.row().from_config {
        Some(_) => (source, Bytes::new()),
        None => (Bytes::new(), source),
    };
    Track { id, codec, info, config, first_frame, language: "deu".to_owned(), protection: None }
}

fn read(segment: &Bytes) -> (Ftyp, Moov) {
    let mut rest = &segment[..];
    let file_type = Ftyp::decode(&mut rest).expect("readable");
    let movie = Moov::decode(&mut rest).expect("readable");
    assert_eq!(rest, []);
    (file_type, movie)
}

#[test]
fn the_segment_of_one_sound_is_these_bytes() {
    // Written by hand from ISO/IEC 14496-12 and 14496-14.
    let expected = hex(concat!(
        "0000001c 66747970 69736f36 00000000 69736f36 6d703431 636d6663", // ftyp
        "00000244 6d6f6f76",                                              // moov
        "0000006c 6d766864 00000000 00000000 00000000 00015f90 00000000", // mvhd
        "00010000 0100 0000 00000000 00000000",
        "00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000",
        "00000000 00000000 00000000 00000000 00000000 00000000 00000002",
        "000001a8 7472616b", // trak
        "0000005c 746b6864 00000003 00000000 00000000 00000001 00000000 00000000", // tkhd
        "00000000 00000000 0000 0000 0100 0000",
        "00010000 00000000 00000000 00000000 00010000 00000000 00000000 00000000 40000000",
        "00000000 00000000",
        "00000144 6d646961", // mdia
        "00000020 6d646864 00000000 00000000 00000000 00015f90 00000000 10b5 0000", // mdhd: deu
        "0000002d 68646c72 00000000 00000000 736f756e 00000000 00000000 00000000", // hdlr
        "536f756e6448616e646c657200",
        "000000ef 6d696e66 00000010 736d6864 00000000 00000000", // minf, smhd
        "00000024 64696e66 0000001c 64726566 00000000 00000001 0000000c 75726c20 00000001",
        "000000b3 7374626c 00000067 73747364 00000000 00000001", // stbl, stsd
        "00000057 6d703461 00000000 0000 0001 00000000 00000000 0002 0010 00000000 bb800000",
        "00000033 65736473 00000000 0380808022 000000", // esds
        "0480808014 40 15 000000 00000000 00000000 0580808002 1190",
        "0680808001 02",
        "00000010 73747473 00000000 00000000 00000010 73747363 00000000 00000000",
        "00000014 7374737a 00000000 00000000 00000000 00000010 7374636f 00000000 00000000",
        "00000028 6d766578 00000020 74726578 00000000 00000001 00000001 00000000 00000000 00000000",
    ));
    let mut sound = track(1, CodecId::Aac);
    sound.config = Bytes::from(hex("1190"));
    let segment = init_segment(&[sound]).expect("fits");
    let at = segment.iter().zip(&expected).position(|(found, wanted)| found != wanted);
    assert_eq!(segment, expected, "first difference at {at:?}");
}

#[test]
fn an_independent_reader_finds_every_track_and_its_configuration() {
    // mp4-atom wants a configuration of every mp4a; MP3 has none (14496-1 7.2.6.6).
    let codecs = SOURCES.iter().map(|(codec, _)| *codec).filter(|codec| *codec != CodecId::Mp3);
    let tracks: Vec<_> = (1..).zip(codecs).map(|(id, codec)| track(id, codec)).collect();
    let (file_type, movie) = read(&init_segment(&tracks).expect("fits"));
    assert_eq!(file_type.major_brand, FourCC::new(b"iso6"));
    assert_eq!((movie.mvhd.timescale, movie.mvhd.next_track_id), (90_000, 10));
    let extends: Vec<_> = movie.mvex.expect("fragmented").trex;
    assert_eq!(extends.len(), tracks.len());
    for ((track, read), extends) in tracks.iter().zip(&movie.trak).zip(&extends) {
        assert_eq!((read.tkhd.track_id, extends.track_id), (track.id, track.id));
        assert_eq!(extends.default_sample_description_index, 1);
        assert!(read.tkhd.enabled);
        assert_eq!((read.mdia.mdhd.timescale, read.mdia.mdhd.language.as_str()), (90_000, "deu"));
        let is_video = track.codec.kind() == TrackKind::Video;
        assert_eq!(read.mdia.hdlr.handler, FourCC::new(if is_video { b"vide" } else { b"soun" }));
        assert_eq!(read.mdia.minf.vmhd.is_some(), is_video);
        assert_eq!(read.mdia.minf.smhd.is_some(), !is_video);
        let [codec] = read.mdia.minf.stbl.stsd.codecs.as_slice() else { panic!("one entry") };
        check_entry(track, codec);
    }
}

fn check_entry(track: &Track, read: &Codec) {
    let info = &track.info;
    let visual = match read {
        Codec::Avc1(entry) => {
            assert_eq!(
                (entry.avcc.avc_profile_indication, entry.avcc.avc_level_indication),
                (100, 30)
            );
            assert_eq!(entry.avcc.picture_parameter_sets, [hex("68ebe3cb22c0")]);
            &entry.visual
        }
        Codec::Hvc1(entry) => {
            assert!(entry.hvcc.arrays.iter().all(|array| array.completeness));
            let types: Vec<_> = entry.hvcc.arrays.iter().map(|array| array.nal_unit_type).collect();
            assert_eq!((types, entry.hvcc.general_level_idc), (vec![32, 33, 34], 63));
            &entry.visual
        }
        Codec::Av01(entry) => {
            assert_eq!((entry.av1c.seq_profile, entry.av1c.seq_level_idx_0), (0, 1));
            assert_eq!(entry.av1c.config_obus, track.config[4..]);
            &entry.visual
        }
        Codec::Vp09(entry) => {
            assert_eq!((entry.vpcc.level, entry.vpcc.bit_depth), (11, 8));
            &entry.visual
        }
        sound => return check_sound(track, sound),
    };
    assert_eq!((u32::from(visual.width), u32::from(visual.height)), (info.width, info.height));
}

fn check_sound(track: &Track, read: &Codec) {
    let audio = match read {
        Codec::Mp4a(entry) => {
            let decoder = &entry.esds.es_desc.dec_config;
            let told = &decoder.dec_specific;
            assert_eq!((decoder.object_type_indication, decoder.stream_type), (0x40, 5));
            assert_eq!((told.profile, told.freq_index, told.chan_conf), (2, 3, 2));
            &entry.audio
        }
        Codec::Opus(entry) => {
            assert_eq!((entry.dops.output_channel_count, entry.dops.pre_skip), (2, 312));
            assert_eq!(entry.dops.input_sample_rate, 48_000);
            &entry.audio
        }
        Codec::Flac(entry) => {
            assert_eq!(entry.dfla.blocks.len(), 1);
            &entry.audio
        }
        Codec::Ac3(entry) => {
            assert_eq!(
                (entry.dac3.acmod, entry.dac3.lfeon, entry.dac3.bit_rate_code),
                (7, true, 15)
            );
            &entry.audio
        }
        Codec::Eac3(entry) => {
            let [substream] = entry.dec3.substreams.as_slice() else { panic!("one substream") };
            assert_eq!((entry.dec3.data_rate, substream.acmod, substream.lfeon), (384, 7, true));
            &entry.audio
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(audio.channel_count, u16::from(track.info.channels));
    assert_eq!(u32::from(audio.sample_rate.integer()), track.info.sample_rate_hz);
}

#[test]
fn a_codec_fits_or_is_named_in_the_error() {
    for row in CODECS {
        assert_eq!(fits(row.id), SOURCES.iter().any(|(codec, _)| *codec == row.id), "{}", row.name);
        if !fits(row.id) {
            let error = init_segment(&[track(1, CodecId::Aac), track(2, row.id)]);
            assert_eq!(error, Err(Error::Unsupported(row.id)));
            assert!(error.unwrap_err().to_string().ends_with(row.name), "{}", row.name);
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    for (codec, _) in SOURCES {
        let mut track = track(1, *codec);
        (track.config, track.first_frame) = (Bytes::from_static(&[9]), Bytes::from_static(&[9]));
        let refused = init_segment(&[track]);
        assert!(
            matches!(refused, Err(Error::Malformed { codec: named, .. }) if named == *codec),
            "{codec:?}: {refused:?}"
        );
    }
}

#[test]
fn movies_and_pictures_that_the_format_cannot_say_are_refused() {
    let refused = |tracks: &[Track]| matches!(init_segment(tracks), Err(Error::Violation(_)));
    assert!(refused(&[]));
    assert!(refused(&[track(0, CodecId::Aac)]));
    assert!(refused(&[track(1, CodecId::Aac), track(1, CodecId::Ac3)]));
    for (width, height) in [(0, 360), (640, 0), (65_536, 360)] {
        let mut picture = track(1, CodecId::Vp9);
        (picture.info.width, picture.info.height) = (width, height);
        assert!(refused(&[picture]), "{width}x{height}");
    }
}

#[test]
fn only_a_single_track_is_called_cmaf() {
    let brands = |tracks: &[Track]| read(&init_segment(tracks).expect("fits")).0.compatible_brands;
    let cmaf = FourCC::new(b"cmfc");
    assert!(brands(&[track(1, CodecId::Aac)]).contains(&cmaf));
    assert!(!brands(&[track(1, CodecId::H264), track(2, CodecId::Aac)]).contains(&cmaf));
}

#[test]
fn what_is_no_code_of_a_language_is_undetermined() {
    for (language, told) in [
        ("fra", "fra"),
        ("", "und"),
        ("en", "und"),
        ("DEU", "und"),
        ("d\u{fc}", "und"),
        ("deut", "und"),
    ] {
        let track = Track { language: language.to_owned(), ..track(1, CodecId::Aac) };
        let (_, movie) = read(&init_segment(&[track]).expect("fits"));
        assert_eq!(movie.trak[0].mdia.mdhd.language, told, "{language}");
    }
}

#[test]
fn a_rate_beyond_16_bits_is_halved() {
    let mut sound = track(1, CodecId::Flac);
    sound.info.sample_rate_hz = 192_000;
    let (_, movie) = read(&init_segment(&[sound]).expect("fits"));
    let [Codec::Flac(entry)] = movie.trak[0].mdia.minf.stbl.stsd.codecs.as_slice() else {
        panic!("FLAC")
    };
    assert_eq!(entry.audio.sample_rate.integer(), 48_000);
}
