//! The `corelay` command.

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
}

fn main() -> ExitCode {
    preflight::prepare_memory();
    let arguments = Arguments::parse();
    if let Some(Command::Probe(arguments)) = &arguments.command {
        return probe::run(arguments);
    }
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => return fail(&problems.to_string()),
    };
    if arguments.dump {
        let _ = std::io::stdout().write_all(config.dump().as_bytes());
        return ExitCode::SUCCESS;
    }
    if arguments.check {
        return check(&config);
    }
    match logging::start(&config.logging).and_then(|_log| serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("corelay: {error}")),
    }
}

fn check(config: &Config) -> ExitCode {
    match preflight::data_cpus(config) {
        Ok(_) => {
            println!("the configuration is valid");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn serve(config: Config) -> Result<(), String> {
    let server = Server::builder(config.clone()).start().map_err(|error| error.to_string())?;
    print!("{}", banner::text(server.listening(), &config));
    let _ = std::io::stdout().flush();
    server.run()
}

fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
