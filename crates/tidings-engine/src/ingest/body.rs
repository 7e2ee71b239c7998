//! The body of one answer: which decoder its head asks for, and what its end means.
//!
//! Does not make inputs of objects: the ingest does.

use tidings_api::{
    ResourceVersion,
    frame::FrameDecoder,
    gzip::GzipDecoder,
    limits::Limits,
    page::{PageDecoder, PageEnd, PageError},
};

use crate::reflector::{Failure, FailureKind, Input};

/// What a body has inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a list or a watch")]
pub enum Form {
    /// Frames, as a watch has them.
    Frames,
    /// One list, or a page of one.
    Page,
}

/// The body of an answer that was accepted, as far as it has been read.
pub struct Body {
    pub(super) gzip: Option<GzipDecoder>,
    pub(super) decoder: Decoder,
}

pub(super) enum Decoder {
    Frames(FrameDecoder),
    Page(PageDecoder),
}

// === impl Body ===

impl Body {
    /// A body, by the head of its answer.
    ///
    /// # Errors
    ///
    /// A sentence that says why what follows is not what was asked for.
    pub fn open(
        form: Form,
        content_type: &str,
        content_encoding: &str,
        limits: &Limits,
    ) -> Result<Self, String> {
        // pr-F32: a proxy's page may come with a 200.
        let media = content_type.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            let shown: String = media.chars().filter(|c| !c.is_control()).take(80).collect();
            return Err(format!("the answer is {shown:?} and not application/json"));
        }
        let gzip = match content_encoding {
            "" | "identity" => None,
            "gzip" => Some(GzipDecoder::new(None)),
            _ => return Err("the answer has an encoding that was not asked for".to_owned()),
        };
        let decoder = match form {
            Form::Page => Decoder::Page(PageDecoder::new(limits)),
            Form::Frames => Decoder::Frames(FrameDecoder::new(limits)),
        };
        Ok(Self { gzip, decoder })
    }

    /// Most bytes that are decoded and applied before the socket is looked at again. Compressed bytes
    /// may become many times as many: smaller steps keep the bounds.
    #[must_use]
    pub const fn slice_bytes_max(&self) -> usize {
        if self.gzip.is_some() {
            GZIP_SLICE_BYTES
        } else {
            SLICE_BYTES
        }
    }

    /// The end of a page, or nothing of a watch; an error if it came too early.
    pub(super) fn finish(self) -> Result<Option<PageEnd>, Failure> {
        if let Some(gzip) = self.gzip {
            gzip.finish().map_err(ended_early)?;
        }
        match self.decoder {
            Decoder::Frames(frames) => frames.finish().map(|()| None).map_err(ended_early),
            Decoder::Page(page) => page.finish().map(Some).map_err(|error| match error {
                PageError::Truncated { .. } => ended_early(error),
                // It is whole, and not what it should be.
                _ => undecodable(error.to_string()),
            }),
        }
    }
}

/// The answer to a probe: a list of which only the version counts (pr-E11c).
pub struct ProbeBody(PageDecoder);

// === impl ProbeBody ===

impl ProbeBody {
    /// A probe's answer of which nothing has come yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self(PageDecoder::new(limits))
    }

    /// Takes a piece of it; `false` if it is no list.
    pub fn feed(&mut self, slice: &[u8]) -> bool {
        self.0.feed(slice, &mut |_| {}).is_ok()
    }

    /// The version, if the list was whole and has one.
    #[must_use]
    pub fn finish(self) -> Option<ResourceVersion> {
        let end = self.0.finish().ok()?;
        ResourceVersion::parse(&end.resource_version).ok()
    }
}

pub(super) fn page_end<P>(end: PageEnd) -> Input<P> {
    Input::PageEnd {
        resource_version: ResourceVersion::parse(&end.resource_version),
        continue_token: end.continue_token,
        remaining: end.remaining_item_count,
    }
}

pub(super) fn undecodable(message: String) -> Failure {
    Failure {
        kind: FailureKind::Undecodable,
        message,
    }
}

fn ended_early(error: impl ToString) -> Failure {
    Failure {
        kind: FailureKind::Transport,
        message: error.to_string(),
    }
}

const SLICE_BYTES: usize = 256 << 10;
const GZIP_SLICE_BYTES: usize = 4 << 10;
