use super::*;
use crate::codec::{hex, vp8};

#[test]
fn the_record_of_libvpx_tells_profile_and_level_with_and_without_box_header() {
    // vpcC box of ffmpeg -f lavfi -i testsrc=size=640x360:rate=25 -c:v libvpx-vp9 x.mp4; the level
    // is set from 0 to 31 by hand.
    let with_box_header = hex("01000000001f820202020000");
    for record in [&with_box_header[..], &with_box_header[4..]] {
        let info = from_config(record).expect("readable");
        assert_eq!((info.profile.as_str(), info.level.as_str()), ("0", "3.1"));
    }
    assert_eq!(from_config(&with_box_header[5..]), None);
}

#[test]
fn a_vp9_key_frame_tells_its_size_and_an_inter_frame_nothing() {
    // First and second frame of ffmpeg -f lavfi -i testsrc=size=642x358 -c:v libvpx-vp9 x.ivf
    let info = from_frame(&hex("8249834200281016560638241c184a10")).expect("a key frame");
    assert_eq!((info.profile.as_str(), info.width, info.height), ("0", 642, 358));
    assert_eq!(from_frame(&hex("86004092f0714004")), None);
}

#[test]
fn a_vp8_key_frame_tells_its_size_and_an_inter_frame_nothing() {
    // First frame of ffmpeg -f lavfi -i testsrc=size=642x358 -c:v libvpx x.ivf
    let frame = hex("b0a6009d012a8202660100070885");
    let info = vp8::from_frame(&frame).expect("a key frame");
    assert_eq!((info.codec, info.width, info.height), (CodecId::Vp8, 642, 358));
    let mut inter = frame;
    inter[0] |= 1;
    assert_eq!(vp8::from_frame(&inter), None);
}
