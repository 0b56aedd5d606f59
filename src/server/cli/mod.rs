//! The command line, which follows the reference's.

mod echo;
mod environment;
mod lint;
mod run;
mod source;
mod state;
mod streams;

use clap::{Args, Parser, Subcommand};
use environment::Variables;
use std::{process::ExitCode, sync::Arc};
use weir_core::registry::Registry;

/// Runs data streams: input, processors, output.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    about = "Runs many data streams in one process and keeps them as they were asked to be."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Least severe level that is logged: off, error, warn, info, debug, trace.
    #[arg(long = "log.level", global = true, value_name = "LEVEL", overrides_with = "log_level")]
    pub(crate) log_level: Option<String>,
    /// Sets a field of the config: `input.generate.count=5`. May be repeated.
    #[arg(short, long, global = true, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Files (globs allowed) with resources. May be repeated.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) resources: Vec<String>,
    /// Dotenv files whose variables replace those of the environment. May be repeated.
    #[arg(short, long = "env-file", global = true, value_name = "FILE")]
    pub(crate) env_file: Vec<String>,
    /// Runs configs that have lint errors; they are logged as warnings.
    #[arg(long, global = true)]
    pub(crate) chilled: bool,
    /// Where secrets are looked up; only `env:` and `none:`.
    #[arg(long, global = true, value_name = "URN", default_value = "env:")]
    pub(crate) secrets: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one stream to its end.
    Run(RunArgs),
    /// Serves many streams, kept over the Streams API and in files.
    Streams(StreamsArgs),
    /// Says what is wrong with configs.
    Lint(LintArgs),
    /// Prints a config as it is understood.
    Echo(EchoArgs),
    /// Looks after a state folder at rest.
    State {
        #[command(subcommand)]
        verb: StateVerb,
    },
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The config.
    pub(crate) config: Vec<String>,
}

/// Arguments of `streams`.
#[derive(Debug, Args)]
pub(crate) struct StreamsArgs {
    /// Stream configs, or folders of them.
    pub(crate) paths: Vec<String>,
    /// The service-wide config: http, logger, metrics, tracer and resources.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) observability: Option<String>,
    /// Folder that remembers streams, resources and checkpoints; `none` keeps nothing.
    #[arg(long, value_name = "DIR", default_value = "./state")]
    pub(crate) state: String,
    /// Serves no control routes.
    #[arg(long)]
    pub(crate) no_api: bool,
    /// Whether the HTTP paths of streams begin with the stream's id.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) prefix_stream_endpoints: bool,
    /// Watches the files and folders for changes.
    #[arg(short, long)]
    pub(crate) watcher: bool,
}

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Files or folders; `./...` walks.
    pub(crate) paths: Vec<String>,
    /// Deprecated fields and components are errors too.
    #[arg(long)]
    pub(crate) deprecated: bool,
    /// Every component must have a label.
    #[arg(long)]
    pub(crate) labels: bool,
    /// Names files without lints too.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Variables that are not set are no error.
    #[arg(long)]
    pub(crate) skip_env_var_check: bool,
}

/// Arguments of `echo`.
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// The config.
    pub(crate) config: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum StateVerb {
    /// Checks that everything in it can be read.
    Check {
        /// The folder.
        #[arg(default_value = "./state")]
        folder: String,
    },
}

/// Runs the command line and gives back its exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            drop(error.print());
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match perform(cli) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: Cli) -> Result<ExitCode, String> {
    let global = cli.global;
    let registry = Arc::new(Registry::new(&[weir_pure::TABLE, weir_io::TABLE]));
    match cli.command {
        Command::Run(args) => run::run(&global, &args, registry),
        Command::Streams(args) => streams::run(&global, &args, registry),
        Command::Lint(args) => {
            let variables = Variables::read(&global.env_file)?;
            let asked = lint::LintArgs {
                paths: args.paths,
                resources: global.resources,
                deprecated: args.deprecated,
                labels: args.labels,
                skip_env_var_check: args.skip_env_var_check,
                verbose: args.verbose,
            };
            exit(lint::lint(&asked, &registry, &|name| variables.get(name), &mut std::io::stdout()))
        }
        Command::Echo(args) => {
            let variables = Variables::read(&global.env_file)?;
            let path = args.config.into_iter().next();
            let asked = echo::EchoArgs { path, resources: global.resources, set: global.set };
            let lookup = |name: &str| variables.get(name);
            exit(echo::echo(&asked, &registry, &lookup, &mut std::io::stdout(), &mut std::io::stderr()))
        }
        Command::State { verb: StateVerb::Check { folder } } => state::check(&folder),
    }
}

fn exit(code: std::io::Result<i32>) -> Result<ExitCode, String> {
    let code = code.map_err(|error| format!("the result cannot be written: {error}"))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
