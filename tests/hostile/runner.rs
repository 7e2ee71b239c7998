//! Runs one row: a good server that turns hostile and then behaves again.
//!
//! ```text
//!   good: list, watch --> hostile: until the complaint was seen and the script had its rounds
//!                                  | memory above the baseline, requests against the backoff
//!                                  v
//!                         good: objects were written and deleted meanwhile; equal, and well
//! ```

use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tidings::{
    BackoffConfig, Informer, InformerHandle, Limits, ListMode, PipelineConfig, Raw,
    ReflectorConfig, Resource, Scope, State, WakeReason,
};
use tidings_apiserver::serve::{self, Handle};
use tidings_http::{Client, ClientConfig, Credentials, HttpVersion};

use crate::{
    MEMORY,
    front::{Exchange, Front, Mode, Place, Playing, Script, Speech},
    log::{self, TOKEN},
};

/// How long any one step of a row may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// How many more requests, within how long, show that somebody asks again without delay. The backoff
/// of [`impatient`] allows fewer in that time.
const BUSY: u32 = 24;
const LINGER: Duration = Duration::from_millis(100);

/// A kibibyte, and a mebibyte.
pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

/// A hostile server, and what is expected of the informer that meets it.
pub(crate) struct Row {
    place: Place,
    script: Script,
    speech: Speech,
    expected: Expected,
    rounds: u32,
    /// Requests of one attempt at most.
    attempt: u32,
    peak_max: usize,
    recovers: bool,
    is_believed: bool,
    guard: MutexGuard<'static, ()>,
    set_up: Vec<SetUp>,
}

type SetUp = Box<dyn FnOnce(&mut Setup)>;

/// What a row may change about the informer.
pub(crate) struct Setup {
    pub(crate) client: ClientConfig,
    pub(crate) limits: Limits,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) reflector: ReflectorConfig,
}

enum Expected {
    /// The trouble's reason, and words of its sentence.
    Trouble(WakeReason, &'static str),
    /// Words about an object or a frame that cannot be used.
    Bad(&'static str),
    /// Something else about the state.
    State(fn(&State) -> bool),
}

/// One row at a time has the allocator.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static PANICS: AtomicU64 = AtomicU64::new(0);

impl Row {
    /// A server that is hostile at one place.
    pub(crate) fn new<P>(
        place: Place,
        script: impl Fn(Exchange) -> P + Send + Sync + 'static,
    ) -> Self
    where
        P: Future<Output = ()> + Send + 'static,
    {
        let script = move |exchange| -> Playing { Box::pin(script(exchange)) };
        let script: Script = std::sync::Arc::new(script);
        Self {
            place,
            script,
            speech: Speech::Http1,
            expected: Expected::State(|_| true),
            rounds: 4,
            // A list and a watch.
            attempt: 2,
            peak_max: 512 * KIB,
            recovers: true,
            is_believed: false,
            guard: ONE_AT_A_TIME
                .lock()
                .unwrap_or_else(|last| last.into_inner()),
            set_up: Vec::new(),
        }
    }

    /// The trouble that it has to lead to.
    pub(crate) fn troubles(mut self, reason: WakeReason, words: &'static str) -> Self {
        self.expected = Expected::Trouble(reason, words);
        self
    }

    /// What is to be said about one object or frame.
    pub(crate) fn spoils(mut self, words: &'static str) -> Self {
        self.expected = Expected::Bad(words);
        self
    }

    /// What is to become true: no trouble is asked for.
    pub(crate) fn until(mut self, state: fn(&State) -> bool) -> Self {
        self.expected = Expected::State(state);
        self.rounds = 1;
        self
    }

    pub(crate) fn speech(mut self, speech: Speech) -> Self {
        self.speech = speech;
        self
    }

    /// How many connections the script gets at least.
    pub(crate) fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds;
        self
    }

    /// How many requests an attempt is at most, if it asks for pages.
    pub(crate) fn attempt(mut self, requests: u32) -> Self {
        self.attempt = requests;
        self
    }

    /// Most bytes above the baseline, everything of both sides counted.
    pub(crate) fn peak(mut self, bytes: usize) -> Self {
        self.peak_max = bytes;
        self
    }

    /// What it says is well-formed and new, so nobody can tell before the next list. The versions that it
    /// made up are those of the future, and the silence there is probed soon.
    pub(crate) fn believed(mut self) -> Self {
        self.is_believed = true;
        self
    }

    /// Its recovery takes longer than a test may.
    pub(crate) fn cut_short(mut self) -> Self {
        self.recovers = false;
        self
    }

    pub(crate) fn with(mut self, set_up: impl FnOnce(&mut Setup) + 'static) -> Self {
        self.set_up.push(Box::new(set_up));
        self
    }

    /// Runs it, and fails where the informer does not bear it.
    pub(crate) fn run(self) {
        count_panics();
        log::listen();
        let panics = PANICS.load(Relaxed);
        let leaks = log::heard().1;
        let runtime = runtime();
        let guard = runtime.block_on(self.play());
        runtime.shutdown_timeout(DEADLINE);
        drop(guard);
        assert_eq!(PANICS.load(Relaxed), panics, "something panicked");
        assert_eq!(log::heard().1, leaks, "the log told a secret");
    }

    async fn play(self) -> MutexGuard<'static, ()> {
        let server = std::sync::Arc::new(serve::start(serve::Config::default()).await.unwrap());
        for name in ["a", "b", "c"] {
            put(&server, name, "1");
        }
        let version = {
            let server = std::sync::Arc::clone(&server);
            move || server.apply(|state| state.resource_version())
        };
        let how = (self.place, self.speech.clone(), self.script);
        let front = Front::start(server.address(), how, version).await;
        let mut setup = Setup::new(&front, &self.speech);
        if self.is_believed {
            setup.hurry();
        }
        for set_up in self.set_up {
            set_up(&mut setup);
        }
        let backoff = setup.reflector.backoff;
        let (handle, running) = setup.start();
        level(&server, &handle).await;

        MEMORY.reset_peak_usage();
        let baseline = MEMORY.current_usage();
        let began = Instant::now();
        front.turn(Mode::Hostile);
        // Something happens that a silent watch does not show.
        put(&server, "c", "2");
        watch(&handle, &front, &self.expected, self.rounds).await;
        // Whoever asks again without delay is caught by what comes next, in whatever time.
        let busy = front.hits().borrow().saturating_add(BUSY);
        let mut hits = front.hits();
        let more = hits.wait_for(|hits| *hits >= busy);
        let _ = tokio::time::timeout(LINGER, more).await;
        let peak = MEMORY.peak_usage().saturating_sub(baseline);
        let (requests, lasted) = (*front.hits().borrow(), began.elapsed());
        report(&self.expected, requests, peak, lasted);
        // The first attempt comes without a delay.
        let allowed = self.attempt * attempts_max(&backoff, lasted) + self.attempt + 1;
        assert!(
            requests <= allowed,
            "{requests} requests in {lasted:?}, not {allowed}"
        );
        assert!(peak <= self.peak_max, "{peak} bytes above the baseline");

        if self.recovers {
            // Nothing more is said, so that what was said last is older than what follows.
            front.turn(Mode::Down);
            put(&server, "a", "2");
            put(&server, "d", "1");
            delete(&server, "b");
            if self.is_believed {
                server.compact();
            }
            front.turn(Mode::Good);
            level(&server, &handle).await;
            well(&handle).await;
        }
        handle.stop();
        tokio::time::timeout(DEADLINE, running)
            .await
            .expect("a stop takes no time")
            .expect("no panic");
        self.guard
    }
}

impl Setup {
    fn new(front: &Front, speech: &Speech) -> Self {
        let scheme = if matches!(speech, Speech::Tls(_)) {
            "https"
        } else {
            "http"
        };
        let mut client =
            ClientConfig::from_server(&format!("{scheme}://{}", front.address)).unwrap();
        client.credentials = Credentials::Token(TOKEN.to_owned().into());
        if matches!(speech, Speech::Http2) {
            client.http = HttpVersion::Http2;
        }
        Self {
            client,
            limits: Limits::default(),
            pipeline: PipelineConfig::default(),
            reflector: impatient(),
        }
    }

    /// All deadlines, small enough for a peer that lets them pass.
    pub(crate) fn hurry(&mut self) {
        let short = Duration::from_millis(250);
        self.client.timeouts.head = short;
        self.client.timeouts.list_idle = short;
        self.client.timeouts.short = short;
        self.client.timeouts.tls_handshake = short;
        self.reflector.list_silence_max = 2 * short;
        self.reflector.list_page_deadline = 2 * short;
        self.reflector.silence_max = short;
        self.reflector.probe_timeout = short;
        self.reflector.probe_verdict = 2 * short;
    }

    fn start(self) -> (InformerHandle<Raw>, tokio::task::JoinHandle<()>) {
        let client = Client::new(self.client).unwrap();
        let scope = Scope::all(Resource::parse("v1/configmaps").unwrap());
        let informer = Informer::builder(client, scope)
            .limits(self.limits)
            .pipeline(self.pipeline)
            .reflector(self.reflector)
            .build()
            .unwrap();
        let handle = informer.handle();
        (handle, tokio::spawn(informer.run()))
    }
}

/// Lists in one piece, delays of a hundredth.
pub(crate) fn impatient() -> ReflectorConfig {
    ReflectorConfig {
        list_mode: ListMode::Whole,
        backoff: BackoffConfig {
            initial: Duration::from_millis(8),
            max: Duration::from_millis(300),
            ..BackoffConfig::default()
        },
        // Every watch that ends by itself counts as short: no jitter hides a hurry.
        short_stream: Duration::from_secs(3600),
        ..ReflectorConfig::default()
    }
}

/// Follows the informer until the row has shown what it is about. Every state is looked at for
/// secrets.
async fn watch(handle: &InformerHandle<Raw>, front: &Front, expected: &Expected, rounds: u32) {
    let (mut states, mut hits) = (handle.watch_state(), front.hits());
    let mut seen = false;
    let mut last = String::new();
    let followed = async {
        while !(seen && *hits.borrow_and_update() >= rounds) {
            tokio::select! {
                changed = states.changed() => changed.unwrap(),
                _ = hits.changed() => {}
            }
            let state = states.borrow_and_update().clone();
            log::keeps_secrets(&format!("{state:?}"));
            last = state.summary();
            seen = seen || expected.is_met(&state);
        }
    };
    let followed = tokio::time::timeout(DEADLINE, followed).await;
    let hits = *front.hits().borrow();
    assert!(followed.is_ok(), "seen: {seen}, {hits} requests, {last}");
}

impl Expected {
    fn is_met(&self, state: &State) -> bool {
        match self {
            Self::Trouble(reason, words) => {
                let trouble = state.condition.trouble.as_ref();
                trouble.is_some_and(|it| it.reason == *reason && it.message.contains(words))
            }
            Self::Bad(words) => {
                let bad = state.bad_input.as_ref();
                bad.is_some_and(|bad| bad.problem.contains(words))
            }
            Self::State(state_is) => state_is(state),
        }
    }
}

/// Runs something that would disturb the rows that are measured, and is not measured itself.
pub(crate) fn alone(what: impl Future<Output = ()>) {
    let guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|last| last.into_inner());
    let runtime = runtime();
    runtime.block_on(what);
    runtime.shutdown_timeout(DEADLINE);
    drop(guard);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// How many attempts the backoff lets through in a time, if it draws its shortest delays.
fn attempts_max(backoff: &BackoffConfig, time: Duration) -> u32 {
    let (mut attempts, mut at, mut delay) = (1, Duration::ZERO, backoff.initial);
    while at + delay <= time {
        at += delay;
        delay = (delay * 2).min(backoff.max);
        attempts += 1;
    }
    attempts
}

/// A line of the table in docs/src/failure/hostile-servers.md: what is looked for in what the informer
/// says, requests, the peak in KiB, milliseconds.
fn report(expected: &Expected, requests: u32, peak: usize, lasted: Duration) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    let name = name.rsplit("::").next().unwrap_or_default();
    let says = match expected {
        Expected::Trouble(reason, words) => format!("`{reason:?}`: {words}"),
        Expected::Bad(words) => format!("`bad_input`: {words}"),
        Expected::State(_) => "nothing is asked for".to_owned(),
    };
    let (kib, millis) = (peak.div_ceil(KIB), lasted.as_millis());
    eprintln!("| `{name}` | {says} | {requests} | {kib} | {millis} |");
}

fn count_panics() {
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Relaxed);
            before(info);
        }));
    });
}

// What the good server has.

pub(crate) fn put(server: &Handle, name: &str, value: &str) {
    server.apply(|state| {
        let resource = state.resource("", "v1", "configmaps").unwrap();
        let document = json!({
            "metadata": { "name": name, "namespace": "default" },
            "data": { "value": value, "secret": log::CONTENT }
        });
        let key = format!("default/{name}");
        let written = if state.get(resource, &key).is_some() {
            state.update(resource, &key, document)
        } else {
            state.create(resource, Some("default"), document, 1_700_000_000)
        };
        written.unwrap();
    });
}

pub(crate) fn delete(server: &Handle, name: &str) {
    server.apply(|state| {
        let resource = state.resource("", "v1", "configmaps").unwrap();
        let key = format!("default/{name}");
        state.delete(resource, &key, 1_700_000_000).unwrap();
    });
}

pub(crate) fn truth(server: &Handle) -> Vec<String> {
    server.apply(|state| {
        let resource = state.resource("", "v1", "configmaps").unwrap();
        let query = tidings_apiserver::state::ListQuery::default();
        let page = state.list(resource, &query).unwrap();
        let items = page.items.iter();
        items
            .map(|object| format!("{}@{}", object.key(), object.resource_version()))
            .collect()
    })
}

pub(crate) fn shown(handle: &InformerHandle<Raw>) -> Vec<String> {
    let list = handle.store().list();
    let mut all: Vec<_> = list
        .iter()
        .map(|entry| format!("{:?}", entry.object))
        .collect();
    all.sort();
    all
}

/// Waits until the informer has what the server has.
async fn level(server: &Handle, handle: &InformerHandle<Raw>) {
    let mut progress = handle.watch_progress();
    let expected = truth(server);
    let reached = progress.wait_for(|_| shown(handle) == expected);
    let reached = tokio::time::timeout(DEADLINE, reached).await;
    let summary = handle.state().summary();
    assert!(
        reached.is_ok(),
        "{:?}, not {expected:?}: {summary}",
        shown(handle)
    );
}

/// Waits until nothing is wrong.
async fn well(handle: &InformerHandle<Raw>) {
    let mut states = handle.watch_state();
    let is_well =
        |state: &State| state.condition.trouble.is_none() && state.condition.stale_since.is_none();
    let reached = tokio::time::timeout(DEADLINE, states.wait_for(is_well)).await;
    assert!(reached.is_ok(), "{}", handle.state().summary());
}
