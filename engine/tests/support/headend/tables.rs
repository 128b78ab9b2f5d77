//! Sections: ISO/IEC 13818-1 2.4.4, ETSI EN 300 468, ANSI/SCTE 35, ETSI TS 102 809.

use super::essence::Random;
use super::{LANGUAGES, Role, Settings, Sound};

const NETWORK_ID: u16 = 0x3001;
const PROVIDER: &str = "Corelay";

pub(super) fn pat(settings: &Settings) -> Vec<u8> {
    let mut body = if settings.has_network { row(0, 0x10) } else { Vec::new() };
    body.extend(row(settings.program_number, settings.first_pid));
    long_section(0x00, 0xB0, settings.transport_stream_id, settings, &body)
}

fn row(program_number: u16, pid: u16) -> Vec<u8> {
    [program_number.to_be_bytes(), (0xE000 | pid).to_be_bytes()].concat()
}

pub(super) fn pmt(settings: &Settings, pids: &[(u16, Role)]) -> Vec<u8> {
    let video = pids.iter().find(|(_, role)| *role == Role::Video).expect("always there").0;
    let mut body = (0xE000 | video).to_be_bytes().to_vec();
    body.extend(descriptors(0xF000, &[descriptor(0x05, b"CUEI")]));
    for &(pid, role) in pids {
        let Some((stream_type, loop_of)) = stream(role, settings) else { continue };
        body.push(stream_type);
        body.extend((0xE000 | pid).to_be_bytes());
        body.extend(descriptors(0xF000, &loop_of));
    }
    long_section(0x02, 0xB0, settings.program_number, settings, &body)
}

/// stream_type and descriptors of an elementary stream.
fn stream(role: Role, settings: &Settings) -> Option<(u8, Vec<Vec<u8>>)> {
    let language = |number: u8| LANGUAGES[usize::from(number)].as_bytes();
    Some(match role {
        Role::Video => (0x1B, vec![descriptor(0x52, &[1])]),
        Role::Audio(number) => {
            let stream_type = match settings.sounds[usize::from(number)] {
                Sound::Aac => 0x0F,
                Sound::Mp2 => 0x03,
            };
            (stream_type, vec![descriptor(0x0A, &[language(number), &[0]].concat())])
        }
        Role::Teletext if settings.has_subtitles => (0x06, vec![descriptor(0x56, b"deu\x11\x50")]),
        // An initial page, 100.
        Role::Teletext => (0x06, vec![descriptor(0x56, b"eng\x09\x00")]),
        Role::Subtitles => (0x06, vec![descriptor(0x59, b"eng\x10\x00\x01\x00\x01")]),
        Role::Cues => (0x86, vec![descriptor(0x8A, &[0x01])]),
        // Applications of HbbTV.
        Role::Sections => (0x05, vec![descriptor(0x6F, &[0x80, 0x10, 0xE1])]),
        Role::Private => (0x06, vec![descriptor(0x05, b"CRLY")]),
        _ => return None,
    })
}

pub(super) fn nit(settings: &Settings) -> Vec<u8> {
    let mut body = descriptors(0xF000, &[descriptor(0x40, b"Corelay Network")]);
    let mut entry = settings.transport_stream_id.to_be_bytes().to_vec();
    entry.extend(NETWORK_ID.to_be_bytes());
    let services = [&settings.program_number.to_be_bytes()[..], &[1]].concat();
    entry.extend(descriptors(0xF000, &[descriptor(0x41, &services)]));
    body.extend((0xF000 | entry.len() as u16).to_be_bytes());
    body.extend(entry);
    long_section(0x40, 0xF0, NETWORK_ID, settings, &body)
}

pub(super) fn sdt(settings: &Settings) -> Vec<u8> {
    let mut body = NETWORK_ID.to_be_bytes().to_vec();
    body.push(0xFF);
    body.extend(settings.program_number.to_be_bytes());
    body.push(0xFD); // EIT present/following
    let service = [&[1][..], &text(PROVIDER), &text(&settings.service_name)].concat();
    // Running, not scrambled.
    body.extend(descriptors(0x8000, &[descriptor(0x48, &service)]));
    long_section(0x42, 0xF0, settings.transport_stream_id, settings, &body)
}

/// The present event, with enough text for several packets.
pub(super) fn eit(settings: &Settings) -> Vec<u8> {
    let mut body = settings.transport_stream_id.to_be_bytes().to_vec();
    body.extend(NETWORK_ID.to_be_bytes());
    body.extend([0, 0x4E]);
    body.extend([0, 1]);
    body.extend(date_and_time(0));
    body.extend([0x23, 0x59, 0x59]);
    let story = format!("What is on {}. ", settings.service_name).repeat(12);
    let end = (0..=200).rev().find(|&end| story.is_char_boundary(end)).unwrap_or(0);
    let story = story.get(..end).unwrap_or(&story);
    let event = [&b"eng"[..], &text("All day long"), &text(story)].concat();
    body.extend(descriptors(0x8000, &[descriptor(0x4D, &event)]));
    long_section(0x4E, 0xF0, settings.program_number, settings, &body)
}

/// Its time goes on by a second with each.
pub(super) fn tdt(second: u64) -> Vec<u8> {
    [&[0x70, 0x70, 5][..], &date_and_time(second)].concat()
}

/// Day as modified Julian date, then hours, minutes and seconds in BCD: EN 300 468 annex C.
fn date_and_time(second: u64) -> Vec<u8> {
    let day = FIRST_DAY + (second / 86_400) as u16;
    let bcd = |value: u64| ((value / 10) << 4 | (value % 10)) as u8;
    let time = [second / 3_600 % 24, second / 60 % 60, second % 60].map(bcd);
    [&day.to_be_bytes()[..], &time].concat()
}

/// 2024-01-01.
const FIRST_DAY: u16 = 60_310;

pub(super) fn splice_null() -> Vec<u8> {
    splice(0, &[])
}

/// Out of the network two seconds later, for thirty seconds.
pub(super) fn splice_insert(event: u32, time: u64) -> Vec<u8> {
    let mut command = event.to_be_bytes().to_vec();
    command.extend([0x7F, 0xEF]);
    command.extend(flags_and_ticks(0xFE, time + 180_000));
    command.extend(flags_and_ticks(0xFE, 30 * 90_000));
    command.extend([0x03, 0xE9, 1, 1]);
    splice(5, &command)
}

/// Seven bits, then a time of 33.
fn flags_and_ticks(flags: u8, ticks: u64) -> [u8; 5] {
    let [.., b4, b3, b2, b1, b0] = ticks.to_be_bytes();
    [flags | b4 & 1, b3, b2, b1, b0]
}

fn splice(command_type: u8, command: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 0, 0, 0];
    body.extend([0xFF, 0xF0 | (command.len() >> 8) as u8, command.len() as u8, command_type]);
    body.extend(command);
    body.extend([0, 0]);
    checked(0xFC, 0x30, &body)
}

/// An application information table without applications, and a private descriptor that changes.
pub(super) fn application_information(settings: &Settings, random: &mut Random) -> Vec<u8> {
    let mut body = descriptors(0xF000, &[descriptor(0xFE, &random.bytes(60))]);
    body.extend([0xF0, 0]);
    long_section(0x74, 0xB0, 0x0010, settings, &body)
}

/// A section with number and version, the version from the seed.
fn long_section(
    table_id: u8,
    flags: u8,
    extension: u16,
    settings: &Settings,
    body: &[u8],
) -> Vec<u8> {
    let mut content = extension.to_be_bytes().to_vec();
    content.extend([0xC1 | (settings.seed as u8 & 0x1F) << 1, 0, 0]);
    content.extend(body);
    checked(table_id, flags, &content)
}

fn checked(table_id: u8, flags: u8, content: &[u8]) -> Vec<u8> {
    let size = content.len() + 4;
    let mut section = vec![table_id, flags | (size >> 8) as u8, size as u8];
    section.extend(content);
    let crc = crc32(&section);
    section.extend(crc.to_be_bytes());
    section
}

/// The size of a loop under `flags`, and the descriptors in it.
fn descriptors(flags: u16, descriptors: &[Vec<u8>]) -> Vec<u8> {
    let all = descriptors.concat();
    [&(flags | all.len() as u16).to_be_bytes()[..], &all].concat()
}

fn descriptor(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, content.len() as u8], content].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// ISO/IEC 13818-1 annex A.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
        }
    }
    crc
}
