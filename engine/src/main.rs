//! The `corelay` command.

mod cert;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use corelay::{Server, banner, logging, preflight, probe};
use corelay_config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A thread-per-core, low-latency live media relay.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings; what the file does not say is as shipped (see --dump).
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings, say what is wrong with them, and end.
    #[arg(short = 't', long)]
    check: bool,
    /// Print the settings in force, and end.
    #[arg(long)]
    dump: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Look at a transport stream: where it comes from, what is in it, what is wrong with it.
    Probe(probe::Arguments),
    /// Make a certificate for tests, and print the settings that use it.
    Cert(cert::Arguments),
}

fn main() -> ExitCode {
    preflight::prepare_memory();
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Probe(arguments)) => probe::run(arguments),
        Some(Command::Cert(arguments)) => cert::run(arguments),
        None => match relay(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => {
                eprintln!("{text}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Runs the relay, or does with its settings what was asked instead. The error is what to print.
fn relay(arguments: &Arguments) -> Result<(), String> {
    let config = Config::load(arguments.config.as_deref()).map_err(|all| all.to_string())?;
    if arguments.dump {
        let _ = std::io::stdout().write_all(config.dump().as_bytes());
        return Ok(());
    }
    if arguments.check {
        preflight::data_cpus(&config).map_err(|error| error.to_string())?;
        cert::check(&config).map_err(|error| error.to_string())?;
        println!("the configuration is valid");
        return Ok(());
    }
    let log = logging::start(&config.logging);
    log.and_then(|_log| serve(config)).map_err(|error| format!("corelay: {error}"))
}

fn serve(config: Config) -> Result<(), String> {
    let server = Server::builder(config.clone()).start().map_err(|error| error.to_string())?;
    print!("{}", banner::text(server.listening(), &config));
    let _ = std::io::stdout().flush();
    server.run()
}
