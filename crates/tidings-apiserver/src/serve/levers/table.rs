//! The table of levers, in the order of the book.
//!
//! Does not describe anything else than what it does: the page `reference/apiserver.md` prints these rows.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Field, Kind, Lever, LeverError, args::Args, rule, which};
use crate::{
    refusal::Refusal,
    serve::{open::Cut, rules::Effect},
};

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Which requests: all that fit everything that is given.
pub(super) const WHICH: &[Field] = &[
    field("chance", Kind::Chance),
    field("resource", Kind::Text),
    field("verb", Kind::One(VERBS)),
    field("user", Kind::Text),
    field("userAgent", Kind::Text),
    field("connection", Kind::Whole(1, u64::MAX)),
];

/// Which of what is open. For connections, a resource or watch means those that it is on.
pub(super) const WHICH_OPEN: &[Field] = &[
    field("resource", Kind::Text),
    field("user", Kind::Text),
    field("userAgent", Kind::Text),
    field("connection", Kind::Whole(1, u64::MAX)),
    field("watch", Kind::Whole(1, u64::MAX)),
];

const HOUR_MILLIS: u64 = 3_600_000;

/// All of them.
pub(super) const LEVERS: &[Lever] = &[
    Lever {
        name: "checkpoint",
        does: "remembers all objects and their version, for `restore`",
        fields: &[],
        which: &[],
        pull: |shared, _| {
            shared.remember();
            done(1)
        },
    },
    Lever {
        name: "compact",
        does: "forgets the history: older versions and continue tokens meet 410",
        fields: &[],
        which: &[],
        pull: |shared, _| {
            shared.state.lock().compact();
            shared.changed.send_modify(|writes| *writes += 1);
            done(1)
        },
    },
    Lever {
        name: "cut",
        does: "ends watches, well or in the middle of a frame",
        fields: &[field("abruptly", Kind::Flag)],
        which: WHICH_OPEN,
        pull: |shared, args| {
            let how = if args.flag("abruptly") {
                Cut::Abruptly
            } else {
                Cut::Well
            };
            done(shared.open.cut(&which(args), how))
        },
    },
    Lever {
        name: "delay",
        does: "answers wait",
        fields: &[required("milliseconds", Kind::Whole(1, HOUR_MILLIS))],
        which: WHICH,
        pull: |shared, args| {
            let time = millis(args);
            rule(shared, args, Effect::Delay(time))
        },
    },
    Lever {
        name: "drip",
        does: "bodies of lists and watches come in drops",
        fields: &[
            required("bytes", Kind::Whole(1, 1 << 20)),
            required("milliseconds", Kind::Whole(1, HOUR_MILLIS)),
        ],
        which: WHICH,
        pull: |shared, args| {
            let (bytes, period) = (args.small("bytes", 1), millis(args));
            rule(shared, args, Effect::Drip { bytes, period })
        },
    },
    Lever {
        name: "drop-bookmarks",
        does: "watches send no bookmarks but the one that ends initial events",
        fields: &[],
        which: WHICH_OPEN,
        pull: |shared, args| rule(shared, args, Effect::DropBookmarks),
    },
    Lever {
        name: "duplicate",
        does: "watches send every frame twice",
        fields: &[],
        which: WHICH_OPEN,
        pull: |shared, args| rule(shared, args, Effect::Duplicate),
    },
    Lever {
        name: "expire-tokens",
        does: "refuses the continue tokens given so far with 410 and a fresh one",
        fields: &[],
        which: &[],
        pull: |shared, _| {
            shared.state.lock().expire_tokens();
            done(1)
        },
    },
    Lever {
        name: "goaway",
        does: "gives up connections now: GOAWAY over HTTP/2, the end of keep-alive over HTTP/1.1",
        fields: &[],
        which: WHICH_OPEN,
        pull: |shared, args| done(shared.go_away(&which(args))),
    },
    Lever {
        name: "goaway-chance",
        does: "gives up the connection after an answer, in the same ways",
        fields: &[],
        which: WHICH,
        pull: |shared, args| rule(shared, args, Effect::GoAway),
    },
    Lever {
        name: "half-open",
        does: "new connections are accepted and never answered",
        fields: &[required("on", Kind::Flag)],
        which: &[],
        pull: |shared, args| {
            shared.faults.lock().half_open = args.flag("on");
            done(1)
        },
    },
    Lever {
        name: "hang",
        does: "requests are not answered",
        fields: &[],
        which: WHICH,
        pull: |shared, args| rule(shared, args, Effect::Hang),
    },
    Lever {
        name: "list-version",
        does: "the next list claims this resourceVersion",
        fields: &[required("version", Kind::Text)],
        which: &[],
        pull: |shared, args| {
            shared.faults.lock().list_version = args.text("version");
            done(1)
        },
    },
    Lever {
        name: "refuse",
        does: "requests are refused with this code",
        fields: &[
            required("code", Kind::Whole(400, 599)),
            field("retryAfterSeconds", Kind::Whole(0, 3600)),
        ],
        which: WHICH,
        pull: |shared, args| {
            let code = args.small("code", 500);
            let refusal = Refusal::of_code(code, retry_after(args, code));
            rule(shared, args, Effect::Refuse(refusal))
        },
    },
    Lever {
        name: "restore",
        does: "goes back to the checkpoint, versions and all, and breaks the watches",
        fields: &[],
        which: &[],
        pull: |shared, _| {
            if shared.go_back() {
                return done(1);
            }
            let why = "there is no checkpoint to go back to: pull the lever checkpoint first";
            Err(LeverError::failed(why.to_owned()))
        },
    },
    Lever {
        name: "rotate-ca",
        does: "takes another authority and certificate for new connections; the kubeconfig follows, with the \
               old authority beside the new one if `keepOld`",
        fields: &[field("keepOld", Kind::Flag)],
        which: &[],
        pull: |shared, args| {
            let rotated = shared.rotate_authority(args.flag("keepOld"));
            rotated.map_err(|error| LeverError::failed(error.to_string()))?;
            done(1)
        },
    },
    Lever {
        name: "rotate-tokens",
        does: "gives every user another token and ends the old ones at once; the kubeconfig follows",
        fields: &[],
        which: &[],
        pull: |shared, _| {
            let rotated = shared.rotate_tokens();
            let rotated = rotated.map_err(|error| LeverError::failed(error.to_string()))?;
            done(rotated.len())
        },
    },
    Lever {
        name: "silence",
        does: "connections that are open are answered no more, and not closed",
        fields: &[],
        which: WHICH_OPEN,
        pull: |shared, args| done(shared.silence(&which(args))),
    },
    Lever {
        name: "stall",
        does: "watches stand and send nothing",
        fields: &[],
        which: WHICH_OPEN,
        pull: |shared, args| rule(shared, args, Effect::Stall),
    },
    Lever {
        name: "truncate-frame",
        does: "the next frame of a watch is cut in its middle, and the stream ends well",
        fields: &[],
        which: WHICH_OPEN,
        pull: |shared, args| {
            shared.faults.lock().truncate_frame = Some(which(args));
            done(1)
        },
    },
    Lever {
        name: "truncate-list",
        does: "the next list breaks off after so many bytes",
        fields: &[required("bytes", Kind::Whole(1, u32::MAX as u64))],
        which: &[],
        pull: |shared, args| {
            shared.faults.lock().truncate_list = Some(args.small("bytes", 1));
            done(1)
        },
    },
    Lever {
        name: "wrong-event",
        does: "the next watch that looks sends something that is no good event",
        fields: &[required(
            "event",
            Kind::One(&[
                "garbage",
                "other-kind",
                "unknown-type",
                "versionless-bookmark",
            ]),
        )],
        which: &[],
        pull: |shared, args| {
            let bytes = wrong_event(&args.text("event").unwrap_or_default());
            shared.faults.lock().inject = Some(bytes.as_bytes().into());
            shared.changed.send_modify(|writes| *writes += 1);
            done(1)
        },
    },
];

/// How many were meant.
fn done(count: usize) -> Result<Value, LeverError> {
    Ok(json!({ "done": count }))
}

fn millis(args: &Args<'_>) -> Duration {
    Duration::from_millis(args.whole("milliseconds").unwrap_or(0))
}

/// A real server says when to come back to whom it sheds or lets wait (pr-S5, pr-L6), and to nobody else.
fn retry_after(args: &Args<'_>, code: u16) -> u32 {
    let usual = u32::from(matches!(code, 429 | 504));
    args.small("retryAfterSeconds", usual)
}

const fn wrong_event(which: &str) -> &'static str {
    match which.as_bytes() {
        b"other-kind" => {
            "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Stranger\",\"apiVersion\":\"x.io/v1\",\"metadata\":\
             {\"name\":\"stranger\",\"namespace\":\"default\",\"uid\":\"s\",\"resourceVersion\":\"1\"}}}\n"
        }
        b"unknown-type" => "{\"type\":\"RENAMED\",\"object\":{}}\n",
        b"versionless-bookmark" => {
            "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{}}}\n"
        }
        _ => "\u{1}\u{2} no frame\n",
    }
}
