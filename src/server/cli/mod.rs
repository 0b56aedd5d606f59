//! The command line, which follows the reference's.

mod args;
mod blobl;
mod create;
mod ctl;
mod cue;
mod difference;
mod echo;
mod environment;
mod lint;
mod list;
mod run;
mod schema;
mod skeleton;
mod source;
mod state;
mod streams;
mod template;
mod test;
mod walk;

pub(crate) use args::Global;

use args::{Cli, Command, StateVerb, TemplateVerb, Templates};
use clap::{CommandFactory as _, Parser};
use clap_complete::env::{CompleteEnv, Shells};
use environment::Variables;
use std::{ffi::OsString, io::Write as _, process::ExitCode, sync::Arc};
use weir_core::registry::{Registry, Table};

/// The variable by which a shell asks what may follow on a line.
const COMPLETE: &str = "WEIR_COMPLETE";

/// Runs the command line and gives back its exit status.
pub fn main() -> ExitCode {
    let completing = CompleteEnv::with_factory(Cli::command).var(COMPLETE);
    match completing.try_complete(std::env::args_os(), None) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => error.exit(),
    }
    main_with(std::env::args_os(), &[])
}

/// As [`main`] with arguments of one's own, the program's name first, and with further components.
pub fn main_with(args: impl IntoIterator<Item = OsString>, further: &[Table]) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            drop(error.print());
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match perform(cli, further) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: Cli, further: &[Table]) -> Result<ExitCode, String> {
    let global = cli.global;
    let registry = |templates: &Templates| registry(further, templates, global.chilled);
    match cli.command {
        Command::Run(args) => run::run(&global, &args, registry(&args.extra.templates)?),
        Command::Streams(args) => streams::run(&global, &args, registry(&args.extra.templates)?),
        Command::Ctl(args) => ctl::ctl(args, global.chilled),
        Command::Lint(args) => {
            let variables = Variables::read(&global.env_file)?;
            let registry = registry(&args.extra.templates)?;
            exit(lint::lint(&args, &registry, &|name| variables.get(name), &mut std::io::stdout()))
        }
        Command::Echo(args) => {
            let variables = Variables::read(&global.env_file)?;
            let registry = registry(&args.extra.templates)?;
            let lookup = |name: &str| variables.get(name);
            exit(echo::echo(&args, &registry, &lookup, &mut std::io::stdout(), &mut std::io::stderr()))
        }
        Command::Test(args) => test::test(&global, &args, &registry(&args.extra.templates)?),
        Command::Blobl(args) => {
            Variables::read(&global.env_file)?;
            blobl::blobl(&args)
        }
        Command::List(args) => print(&list::list(&args, &*registry(&args.templates)?)?),
        Command::Docs(args) => print(&list::docs(&args, &*registry(&args.templates)?)?),
        Command::Create(args) => print(&create::create(&args, &*registry(&args.templates)?)?),
        Command::Template { verb: TemplateVerb::Lint(args) } => {
            let registry = registry(&args.templates)?;
            exit(template::lint(&args, &registry, &mut std::io::stdout()))
        }
        Command::Completions { shell } => {
            let (shells, mut script) = (Shells::builtins(), Vec::new());
            let shell = shells.completer(&shell.to_string()).ok_or("this shell cannot be taught")?;
            let written = shell.write_registration(COMPLETE, "weir", "weir", "weir", &mut script);
            written.map_err(|error| error.to_string())?;
            print(&String::from_utf8_lossy(&script))
        }
        Command::State { verb } => match verb {
            StateVerb::Check { folder } => state::check(&folder),
            StateVerb::Export { folder, output } => state::export(&folder, output.as_deref()),
            StateVerb::Import { folder, input } => state::import(&folder, input.as_deref()),
        },
    }
}

/// Every component there is, those of templates included.
fn registry(further: &[Table], templates: &Templates, chilled: bool) -> Result<Arc<Registry>, String> {
    let mut registry = Registry::new(&[&[weir_pure::TABLE, weir_io::TABLE], further].concat());
    template::load(&templates.templates, &mut registry, chilled)?;
    Ok(Arc::new(registry))
}

fn print(text: &str) -> Result<ExitCode, String> {
    exit(std::io::stdout().write_all(text.as_bytes()).map(|()| 0))
}

fn exit(code: std::io::Result<i32>) -> Result<ExitCode, String> {
    let code = code.map_err(|error| format!("the result cannot be written: {error}"))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
