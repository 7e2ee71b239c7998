//! Reads the command line into plain values.

/// What `--help` prints.
pub const HELP: &str = "\
usage: tidings-peer-kube-rs --server URL [flags]
  --kubeconfig PATH               a kubeconfig, in place of --server
  --mode typed|dynamic|metadata   what the store holds (default typed)
  --list paged|watchlist          kube-rs's default paged list, or a streaming list (default paged)
  --prune                         drop managedFields with `modify`
  --events M                      after the sync, wait for M events and report their latency
  --latency-annotation KEY        where events carry their send time (default tidings.dev/sent-at)
  --get-bench S                   read the store for S seconds from a thread of its own
  --runtime current|multi         the tokio runtime (default current)
";

/// What the store holds.
#[derive(Clone, Copy)]
pub enum Mode {
    Dynamic,
    Metadata,
    Typed,
}

/// How the first list is fetched.
#[derive(Clone, Copy)]
pub enum List {
    Paged,
    Watchlist,
}

/// The flags, with defaults filled in.
pub struct Args {
    pub server: String,
    pub kubeconfig: String,
    pub mode: Mode,
    pub list: List,
    pub prune: bool,
    pub events: usize,
    pub latency_annotation: String,
    pub get_bench_s: u64,
    pub multi: bool,
}

impl Args {
    /// Parses the flags; `None` means that help was asked for.
    ///
    /// # Errors
    /// A message for the user.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut args = Self {
            server: String::new(),
            kubeconfig: String::new(),
            mode: Mode::Typed,
            list: List::Paged,
            prune: false,
            events: 0,
            latency_annotation: "tidings.dev/sent-at".to_owned(),
            get_bench_s: 0,
            multi: false,
        };
        while let Some(flag) = words.next() {
            match flag.as_str() {
                "--help" | "-h" => return Ok(None),
                "--prune" => {
                    args.prune = true;
                    continue;
                }
                _ => {}
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))?;
            match (flag.as_str(), value.as_str()) {
                ("--server", _) => args.server = value,
                ("--kubeconfig", _) => args.kubeconfig = value,
                ("--mode", "typed") => args.mode = Mode::Typed,
                ("--mode", "dynamic") => args.mode = Mode::Dynamic,
                ("--mode", "metadata") => args.mode = Mode::Metadata,
                ("--list", "paged") => args.list = List::Paged,
                ("--list", "watchlist") => args.list = List::Watchlist,
                ("--runtime", "current") => args.multi = false,
                ("--runtime", "multi") => args.multi = true,
                ("--latency-annotation", _) => args.latency_annotation = value,
                ("--events", digits) => {
                    args.events = digits.parse().map_err(|_| format!("--events: {digits}"))?;
                }
                ("--get-bench", digits) => {
                    args.get_bench_s = digits
                        .parse()
                        .map_err(|_| format!("--get-bench: {digits}"))?;
                }
                _ => return Err(format!("cannot read {flag} {value}; see --help")),
            }
        }
        if args.server.is_empty() && args.kubeconfig.is_empty() {
            return Err("--server or --kubeconfig is needed; see --help".to_owned());
        }
        Ok(Some(args))
    }
}
