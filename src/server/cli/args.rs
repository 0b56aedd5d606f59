//! What the command line takes.

use super::ctl::CtlArgs;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// Reads a duration such as 30s.
fn span(text: &str) -> Result<Duration, String> {
    weir_core::duration::parse(text).map_err(|_| "it is not a duration such as 30s".into())
}

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    about = "Runs many data streams in one process and keeps them as they were asked to be.",
    after_help = "Examples:\n  weir create stdin/mapping/stdout > config.yaml\n  weir run config.yaml\n  weir streams ./streams\n\nEvery command explains itself: weir lint --help"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Least severe level that is logged: off, error, warn, info, debug, trace.
    #[arg(long = "log.level", global = true, value_name = "LEVEL", overrides_with = "log_level")]
    pub(crate) log_level: Option<String>,
    /// Dotenv files (globs allowed) whose variables replace those of the environment. May be repeated.
    #[arg(short, long = "env-file", global = true, value_name = "FILE")]
    pub(crate) env_file: Vec<String>,
    /// Runs configs that have lint errors; they are logged as warnings.
    #[arg(long, global = true)]
    pub(crate) chilled: bool,
    /// Where secrets are looked up; only `env:` and `none:`.
    #[arg(long, global = true, value_name = "URN", default_value = "env:")]
    pub(crate) secrets: Vec<String>,
}

/// Files that add to what a config can use.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Extra {
    /// Files (globs allowed) with resources. May be repeated.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) resources: Vec<String>,
    #[command(flatten)]
    pub(crate) templates: Templates,
}

/// Files that define components.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Templates {
    /// Files (globs allowed) with templates, which define components. May be repeated.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) templates: Vec<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs one stream to its end.
    #[command(
        after_help = "Example:\n  weir run -r './resources/*.yaml' --set input.generate.count=5 config.yaml"
    )]
    Run(RunArgs),
    /// Serves many streams, kept over the Streams API and in files.
    #[command(after_help = "Example:\n  weir streams --watcher -o service.yaml ./streams")]
    Streams(StreamsArgs),
    /// Sees and changes what a running server does.
    #[command(
        after_help = "Exit codes: 0 done, 1 refused, 2 no server, 3 not in time, 4 it differs.\n\nExamples:\n  weir ctl get\n  weir ctl apply -f ./streams --dry-run\n  weir ctl wait orders --for running"
    )]
    Ctl(CtlArgs),
    /// Says what is wrong with configs; exits with 1 if anything is.
    #[command(after_help = "Example:\n  weir lint --labels ./configs/... README.md")]
    Lint(LintArgs),
    /// Prints a config as it is understood: defaults filled in, variables replaced, secrets hidden.
    #[command(after_help = "Example:\n  weir echo --set metrics.none={} config.yaml")]
    Echo(EchoArgs),
    /// Runs the unit tests of configs; exits with 1 if any fails.
    #[command(after_help = "Example:\n  weir test --verbose ./configs/...")]
    Test(TestArgs),
    /// Maps documents of stdin or a file, one a line.
    #[command(
        after_help = "Examples:\n  echo '{\"name\":\"weir\"}' | weir blobl 'root.name = this.name.uppercase()'\n  weir blobl -f mapping.blobl -i documents.jsonl\n  weir blobl --explain 'root.name = this.name.uppercase()'"
    )]
    Blobl(BloblArgs),
    /// Lists the components and the functions of the language.
    #[command(
        after_help = "Examples:\n  weir list inputs outputs\n  weir list --format jsonschema > schema.json"
    )]
    List(ListArgs),
    /// Prints what is known of a component: what it does, its fields, examples.
    #[command(after_help = "Example:\n  weir docs processor mapping")]
    Docs(DocsArgs),
    /// Prints a new config of named components.
    #[command(
        after_help = "Examples:\n  weir create --small stdin/mapping,log/file\n  weir create http_server//drop > config.yaml"
    )]
    Create(CreateArgs),
    /// Looks after templates.
    Template {
        /// What to do.
        #[command(subcommand)]
        verb: TemplateVerb,
    },
    /// Prints a script that completes commands, flags and the ids of what runs in a shell.
    #[command(after_help = "Example:\n  weir completions bash > /etc/bash_completion.d/weir")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Looks after a state folder at rest.
    State {
        /// What to do.
        #[command(subcommand)]
        verb: StateVerb,
    },
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The config.
    pub(crate) config: Vec<String>,
    /// Watches the config and the files of resources: the stream is replaced when they change.
    #[arg(short, long)]
    pub(crate) watcher: bool,
    /// Sets a field of the config: `input.generate.count=5`. May be repeated.
    #[arg(short, long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) extra: Extra,
}

/// Arguments of `streams`.
#[derive(Debug, Args)]
pub(crate) struct StreamsArgs {
    /// Stream configs, or folders of them.
    pub(crate) paths: Vec<String>,
    /// The service-wide config: http, logger, metrics, tracer and resources.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) observability: Option<String>,
    /// Sets a field of the service-wide config: `http.address=:4195`. May be repeated.
    #[arg(short, long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Folder that remembers streams, resources and checkpoints; `none` keeps nothing.
    #[arg(long, value_name = "DIR", default_value = "./state")]
    pub(crate) state: String,
    /// How long new generations of streams are on probation, such as 60s, unless a write says otherwise. One that
    /// fails gives way to the last that was healthy.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = span)]
    pub(crate) probation: Duration,
    /// How often in a row a stream that fails is started again; without a number, for ever.
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_restarts: Option<u32>,
    /// Lets messages of streams be looked at as they pass.
    #[arg(long)]
    pub(crate) tap: bool,
    /// Whether streams of files may be changed over the API: freely, or only for a time and with a reason.
    #[arg(long, value_name = "RULE", default_value = "open", value_parser = ["open", "strict"])]
    pub(crate) files: String,
    /// Past generations that are kept of each stream and resource.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) keep_generations: u64,
    /// Revisions that are kept.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) keep_revisions: u64,
    /// For how long generations and revisions are kept at most, such as 720h; 0s is for ever.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = span)]
    pub(crate) keep_for: Duration,
    /// Whether a stream that the process died of twice, or was killed with three times, is kept from running.
    #[arg(long, value_name = "SWITCH", default_value = "on", value_parser = ["on", "off"])]
    pub(crate) quarantine: String,
    /// Serves no control routes.
    #[arg(long)]
    pub(crate) no_api: bool,
    /// Whether the HTTP paths of streams begin with the stream's id.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub(crate) prefix_stream_endpoints: bool,
    /// Watches the files and folders for changes.
    #[arg(short, long)]
    pub(crate) watcher: bool,
    /// A file of who may use the control routes, a line each: `name, sha256 of the token in hex, scopes`, the scopes of
    /// `read write tap admin`. It is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_file: Option<String>,
    /// Serves the control routes at this address only, apart from what streams serve.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) control_address: Option<String>,
    /// Lets everyone who reaches the server change what runs, although nobody is asked for a token.
    #[arg(long)]
    pub(crate) insecure: bool,
    #[command(flatten)]
    pub(crate) extra: Extra,
}

/// Arguments of `lint`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LintArgs {
    /// Files (globs allowed); `FOLDER/...` takes every .yaml and .yml below, and .md files are searched for snippets.
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
    #[command(flatten)]
    pub(crate) extra: Extra,
}

/// Arguments of `echo`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EchoArgs {
    /// The config; without one, an empty one.
    pub(crate) config: Option<String>,
    /// Sets a field of the config: `input.generate.count=5`. May be repeated.
    #[arg(short, long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) extra: Extra,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Configs, or their `_benthos_test` files (globs allowed); `FOLDER/...` takes every .yaml and .yml below.
    pub(crate) paths: Vec<String>,
    /// Lets components log to stdout, from this level on.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// Names every case before it runs.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) extra: Extra,
}

/// Arguments of `blobl`.
#[derive(Debug, Args)]
pub(crate) struct BloblArgs {
    /// The mapping, unless it is in a file (`--file`).
    pub(crate) mapping: Option<String>,
    /// Prints what the mapping was compiled to, and maps nothing.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Processing threads; with more than one, results are in no order.
    #[arg(short, long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) threads: usize,
    /// Gives results that are objects or lists lines and indentation.
    #[arg(short, long)]
    pub(crate) pretty: bool,
    /// Documents are plain text rather than JSON.
    #[arg(short, long)]
    pub(crate) raw: bool,
    /// A file with the mapping.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A file with the documents, instead of stdin.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// The most bytes that a document may have.
    #[arg(long, value_name = "BYTES", default_value_t = 65536)]
    pub(crate) max_token_length: usize,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The kinds to list, such as `inputs` or `bloblang-methods`; without any, all.
    pub(crate) kinds: Vec<String>,
    /// How the list is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Lists only what has this status: stable, beta, experimental or deprecated.
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    #[command(flatten)]
    pub(crate) templates: Templates,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Names, for people.
    Text,
    /// Names.
    Json,
    /// Everything that is known.
    JsonFull,
    /// The same without its texts.
    JsonFullScrubbed,
    /// A schema that editors check configs by.
    Jsonschema,
    /// Definitions in CUE.
    Cue,
}

/// Arguments of `docs`.
#[derive(Debug, Args)]
pub(crate) struct DocsArgs {
    /// The kind, such as `processor`.
    pub(crate) kind: String,
    /// The component's name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) templates: Templates,
}

/// Arguments of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Inputs, processors and outputs, with commas between names and slashes between kinds: `stdin/mapping,log/file`.
    pub(crate) expression: Option<String>,
    /// Leaves out everything but the stream, and advanced fields.
    #[arg(short, long)]
    pub(crate) small: bool,
    #[command(flatten)]
    pub(crate) templates: Templates,
}

/// What `template` does.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateVerb {
    /// Says what is wrong with template files, and runs their tests; exits with 1 if anything is.
    #[command(after_help = "Example:\n  weir template lint ./templates/...")]
    Lint(TemplateLintArgs),
}

/// Arguments of `template lint`.
#[derive(Debug, Args)]
pub(crate) struct TemplateLintArgs {
    /// Files (globs allowed); `FOLDER/...` takes every .yaml and .yml below.
    pub(crate) paths: Vec<String>,
    /// Says of every file whether it is fine.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) templates: Templates,
}

/// What `state` does.
#[derive(Debug, Subcommand)]
pub(crate) enum StateVerb {
    /// Checks that everything in it can be read.
    #[command(after_help = "Example:\n  weir state check ./state")]
    Check {
        /// The folder.
        #[arg(default_value = "./state")]
        folder: String,
    },
    /// Writes everything in it as lines of JSON.
    #[command(after_help = "Example:\n  weir state export ./state > backup.jsonl")]
    Export {
        /// The folder.
        #[arg(default_value = "./state")]
        folder: String,
        /// The file to write; standard output without one.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Reads what was exported into a folder that holds nothing yet.
    #[command(after_help = "Example:\n  weir state import ./state < backup.jsonl")]
    Import {
        /// The folder.
        #[arg(default_value = "./state")]
        folder: String,
        /// The file to read; standard input without one.
        #[arg(short, long, value_name = "FILE")]
        input: Option<PathBuf>,
    },
}
