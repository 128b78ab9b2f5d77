//! Channels by UDP: their addresses in a run, and what tells each relay of them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::target::numbered;
use crate::udp::Addresses;

/// The channels of one run.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Where the relay receives them.
    pub(super) inputs: Addresses,
    /// Where it sends them; `None` where they are played otherwise.
    pub(super) outputs: Option<Addresses>,
    /// Where one channel goes past the relay.
    pub(super) direct: SocketAddr,
    /// Outputs keep to the streams' clocks.
    is_paced: bool,
}

impl Channels {
    /// `count` of them at free ports; `with_outputs`: they are sent on.
    ///
    /// # Errors
    /// There are no free ports.
    pub(super) fn free(count: usize, with_outputs: bool, is_paced: bool) -> anyhow::Result<Self> {
        let behind = Addresses::free(OUTPUTS, count + 1)?;
        let (first, direct) = (behind.iter().next(), behind.iter().last());
        let outputs = first.filter(|_| with_outputs).map(|first| Addresses::new(first, count));
        Ok(Self {
            inputs: Addresses::free(INPUTS, count)?,
            outputs: outputs.transpose()?,
            direct: direct.context("there is no free port")?,
            is_paced,
        })
    }

    /// The relay's channels, as tables of its TOML; their streams are numbered as players of
    /// `stream` number them.
    pub(super) fn settings(&self, stream: &str) -> String {
        let names = numbered(stream, self.inputs.count());
        let pace = if self.is_paced { "paced" } else { "forward" };
        let mut outputs = self.outputs.iter().flat_map(Addresses::iter);
        let mut text = String::new();
        for (name, input) in names.iter().zip(self.inputs.iter()) {
            let _ = writeln!(text, "[[channel]]\nname = \"{name}\"\ninput = [\"udp://{input}\"]");
            if let Some(output) = outputs.next() {
                let _ = writeln!(text, "output = [\"udp://{output}#pace={pace}\"]");
            }
        }
        text
    }

    /// multicat for each channel: without RTP on either side.
    pub(super) fn multicat(&self) -> impl Iterator<Item = Command> {
        self.pairs().map(|(input, output)| {
            let mut command = Command::new("multicat");
            command.args(["-u", "-U", &format!("@{input}"), &output.to_string()]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        })
    }

    /// The floor for all channels.
    ///
    /// # Errors
    /// They have no outputs, or this program cannot be found.
    pub(super) fn floor(&self, cpu: usize) -> anyhow::Result<Command> {
        let (input, output) = self.pairs().next().context("the channels have no outputs")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["udp-floor", "--from", &input.to_string(), "--to", &output.to_string()]);
        command.args(["--channels", &self.inputs.count().to_string()]);
        command.args(["--seconds", "3600", "--cpu", &cpu.to_string()]);
        Ok(command)
    }

    fn pairs(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> + use<> {
        let outputs = self.outputs.into_iter().flat_map(|outputs| outputs.iter());
        self.inputs.iter().zip(outputs)
    }
}

/// Below the ports that the kernel gives to sockets that name none.
const INPUTS: Range<u16> = 20_000..26_000;
const OUTPUTS: Range<u16> = 26_000..32_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_table_and_its_addresses() {
        let channels = Channels::free(2, true, true).unwrap();
        let (inputs, outputs): (Vec<_>, Vec<_>) = channels.pairs().unzip();
        assert!(!outputs.contains(&channels.direct) && outputs.len() == 2);
        let text = channels.settings("live/s");
        let second = format!(
            "[[channel]]\nname = \"live/s1\"\ninput = [\"udp://{}\"]\n\
             output = [\"udp://{}#pace=paced\"]\n",
            inputs[1], outputs[1]
        );
        assert!(text.ends_with(&second), "{text}");
        assert_eq!(text.matches("[[channel]]").count(), 2);
    }

    #[test]
    fn channels_that_are_played_otherwise_have_no_outputs() {
        let channels = Channels::free(1, false, false).unwrap();
        let text = channels.settings("live/s");
        assert!(text.contains("name = \"live/s\"\n") && !text.contains("output"), "{text}");
        assert_eq!(channels.multicat().count(), 0);
        assert!(channels.floor(0).is_err());
    }
}
