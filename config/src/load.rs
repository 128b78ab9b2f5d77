//! From text to [`Config`] and back.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::applications::inherit_default;
use crate::bytes;
use crate::channel::inherit_iptv;
use crate::check::check;
use crate::document::{self, Layer};
use crate::problem::{Problem, Problems, Report, Source};
use crate::section::Section;
use crate::syntax;
use crate::{
    Admin, Applications, Channel, Config, Cores, Hls, Http, Iptv, Limits, Logging, Memory, Rtmp,
    Tcp, Tls, Ts,
};

const SHIPPED_TEXT: &str = include_str!("../corelay.toml");
const SHIPPED_NAME: &str = "corelay.toml (shipped)";

/// Thirty times the shipped file: room for thousands of applications or channels. What is larger
/// was given by mistake and should not be taken apart in memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// The shipped file: every key with its documentation and default.
    pub fn default_text() -> &'static str {
        SHIPPED_TEXT
    }

    /// The configuration of the shipped file alone.
    pub fn shipped() -> Config {
        Config::parse("", "").expect("the tests of this crate parse the shipped file")
    }

    /// Loads the file at `path` over the defaults; without a path, the defaults.
    ///
    /// # Errors
    /// Everything that is wrong in the file, or why it cannot be read.
    pub fn load(path: Option<&Path>) -> Result<Config, Problems> {
        let Some(path) = path else { return Ok(Config::shipped()) };
        let name = path.display().to_string();
        let text = read(path).map_err(|what| {
            let remedy = "give the path of a readable TOML file".to_owned();
            let (file, key) = (name.clone(), String::new());
            Problems::one(Problem { file, line: 0, column: 0, key, what, remedy })
        })?;
        match String::from_utf8(text) {
            Ok(text) => Config::parse(&text, &name),
            Err(error) => Err(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to(), &name)),
        }
    }

    /// Parses `text` over the defaults. `file_name` is what problems call it.
    ///
    /// # Errors
    /// Everything that is wrong in the text. Where its syntax is broken, only that is told.
    pub fn parse(text: &str, file_name: &str) -> Result<Config, Problems> {
        let shipped_source = Source { name: SHIPPED_NAME, text: SHIPPED_TEXT };
        let source = Source { name: file_name, text };
        let shipped = document::parse(SHIPPED_TEXT, Layer::Shipped)
            .map_err(|errors| syntax::problems(errors, &shipped_source))?;
        let file = document::parse(text, Layer::File)
            .map_err(|errors| syntax::problems(errors, &source))?;
        let mut root = shipped.clone();
        root.overlay(file);
        inherit_default(&mut root);
        inherit_iptv(&mut root, &shipped);

        let report = Report::default();
        let config = Section::read_root(&root, &shipped, &report, Config::read);
        check(&config, &root, &report);
        report.into_problems(&shipped_source, &source).map_or(Ok(config), Err)
    }

    /// Writes the effective configuration as TOML, without comments. Parsing it gives an equal
    /// `Config`.
    pub fn dump(&self) -> String {
        toml::to_string(self).expect("every field has a TOML form, which a test parses back")
    }

    fn read(section: &mut Section<'_>) -> Config {
        Config {
            cores: section.section("cores", Cores::read),
            limits: section.section("limits", Limits::read),
            memory: section.section("memory", Memory::read),
            rtmp: section.section("rtmp", Rtmp::read),
            http: section.section("http", Http::read),
            hls: section.section("hls", Hls::read),
            ts: section.section("ts", Ts::read),
            tcp: section.section("tcp", Tcp::read),
            tls: section.section("tls", Tls::read),
            admin: section.section("admin", Admin::read),
            logging: section.section("logging", Logging::read),
            applications: section.section("applications", Applications::read),
            iptv: section.section("iptv", Iptv::read),
            channels: Channel::read_list(section),
        }
    }
}

/// Reads the file, or says in words why not.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("is larger than {}", bytes::format(FILE_BYTES_MAX))),
        false => Ok(text),
    }
}

fn not_utf8(text: &[u8], valid_up_to: usize, file_name: &str) -> Problems {
    let valid = text.get(..valid_up_to).and_then(|text| std::str::from_utf8(text).ok());
    let (line, column) = Source { name: "", text: valid.unwrap_or("") }.position(valid_up_to);
    let (file, key) = (file_name.to_owned(), String::new());
    let (what, remedy) = ("is not UTF-8 text".to_owned(), "save the file as UTF-8".to_owned());
    Problems::one(Problem { file, line, column, key, what, remedy })
}
