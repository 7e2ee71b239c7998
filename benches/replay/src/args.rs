//! Reads the command line into plain values.

/// What `--help` prints.
pub const HELP: &str = "\
usage: tidings-replay [flags]
  --port P            port on 127.0.0.1; 0 lets the system choose (default 0)
  --objects N         pods to serve, at least 1 (default 50000)
  --events M          events of one event phase (default 0)
  --rate R            events a second; 0 is as fast as the client reads (default 0)
  --auto-start-ms T   start the event phase T ms after a watch has finished its initial part
  --expire-ms T       tell the first watch, T ms after its initial part, that its version has expired,
                      so that the client lists again; the event phase follows on the second watch
  --kubeconfig-out F  speak TLS, and write a kubeconfig for clients to F
  --mode open-loop    the only mode: events are due at fixed times, whatever the client does

An event phase is also started on all open watches by POST /replay/start?events=M&rate=R.
GET /replay/stats tells the server's own CPU time and how late its generator was.
";

/// The flags, with defaults filled in.
#[derive(Clone)]
pub struct Args {
    pub port: u16,
    pub objects: usize,
    pub events: u64,
    pub rate: u64,
    pub auto_start_ms: Option<u64>,
    pub expire_ms: Option<u64>,
    pub kubeconfig_out: Option<String>,
}

impl Args {
    /// Parses the flags; `None` means that help was asked for.
    ///
    /// # Errors
    /// A message for the user when a flag is unknown or its value is not a number.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut args = Self {
            port: 0,
            objects: 50_000,
            events: 0,
            rate: 0,
            auto_start_ms: None,
            expire_ms: None,
            kubeconfig_out: None,
        };
        while let Some(flag) = words.next() {
            if flag == "--help" || flag == "-h" {
                return Ok(None);
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--port" => args.port = number(&flag, &value)?,
                "--objects" => args.objects = number(&flag, &value)?,
                "--events" => args.events = number(&flag, &value)?,
                "--rate" => args.rate = number(&flag, &value)?,
                "--auto-start-ms" => args.auto_start_ms = Some(number(&flag, &value)?),
                "--expire-ms" => args.expire_ms = Some(number(&flag, &value)?),
                "--kubeconfig-out" => args.kubeconfig_out = Some(value),
                "--mode" if value == "open-loop" => {}
                "--mode" => return Err(format!("unknown mode {value}; there is only open-loop")),
                _ => return Err(format!("unknown flag {flag}; see --help")),
            }
        }
        if args.objects == 0 {
            return Err("--objects must be at least 1".to_owned());
        }
        Ok(Some(args))
    }
}

fn number<T: std::str::FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{flag}: {value} is not a number in range"))
}
