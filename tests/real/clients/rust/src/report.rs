//! The way to the runner, and words for what differs from run to run.

use std::{cmp::Ordering, fmt::Display, io::Write as _, time::Duration};

use anyhow::{Result, bail};
use kube::{Error, core::Status};
use tokio::sync::mpsc;

/// Tells a fact.
pub(crate) fn say(label: &str, value: impl Display) {
    let text = normal(&value.to_string().replace('\n', "\\n"));
    let mut out = std::io::stdout().lock();
    // Without its runner the program has nobody to tell.
    let _ = writeln!(out, "{label}: {text}").and_then(|()| out.flush());
}

/// Tells several facts of one label, numbered.
pub(crate) fn say_all(label: &str, values: &[String]) {
    for (number, value) in values.iter().enumerate() {
        say(&format!("{label} {}", number + 1), value);
    }
}

/// Tells how a request ended.
pub(crate) fn outcome<T>(label: &str, result: &Result<T, Error>) {
    say(label, shown(result));
}

/// `ok`, or the Status that an error carries.
pub(crate) fn shown<T>(result: &Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Error::Api(status)) => status_line(status),
        Err(error) => format!("error: {error}"),
    }
}

pub(crate) fn status_line(status: &Status) -> String {
    let mut line = format!("{} {} {:?}", status.code, status.reason, status.message);
    if let Some(details) = &status.details {
        let (group, kind, name) = (&details.group, &details.kind, &details.name);
        line.push_str(&format!(" details={group}/{kind}/{name}"));
        for cause in &details.causes {
            let (reason, field) = (&cause.reason, &cause.field);
            line.push_str(&format!(" cause={reason}@{field} {:?}", cause.message));
        }
    }
    line
}

/// Asks the runner for a lever and waits until it is pulled.
pub(crate) async fn pull(lever: &str) -> Result<()> {
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "@pull {lever}")?;
        out.flush()?;
    }
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    if answer.await??.is_empty() {
        bail!("the runner is gone");
    }
    Ok(())
}

/// Looks again and again until it is so; the case's deadline ends it.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    while !is_so().await? {
        looks.tick().await;
    }
    Ok(())
}

/// How a resourceVersion changed.
pub(crate) fn relation(before: &str, after: &str) -> &'static str {
    match (before.len(), before).cmp(&(after.len(), after)) {
        Ordering::Equal => "same",
        Ordering::Greater => "shrank",
        Ordering::Less => "grew",
    }
}

/// Lines that a task adds, waited for by their number.
pub(crate) struct Lines(mpsc::UnboundedReceiver<String>);

impl Lines {
    pub(crate) fn new() -> (mpsc::UnboundedSender<String>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }

    /// Tells the next lines, in their order.
    pub(crate) async fn tell(&mut self, label: &str, count: usize) -> Result<()> {
        let lines = self.take(count).await?;
        say_all(label, &lines);
        Ok(())
    }

    pub(crate) async fn take(&mut self, count: usize) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while lines.len() < count {
            match tokio::time::timeout(PATIENCE, self.0.recv()).await {
                Ok(Some(line)) => lines.push(line),
                _ => bail!("waited for {count} lines: {lines:?}"),
            }
        }
        Ok(lines)
    }
}

const PATIENCE: Duration = Duration::from_secs(45);

/// Replaces uids, times, addresses and versions by words.
fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|letter: char| {
                !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | ':' | '.')
            })
            .unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let is_uid = word.len() == 36 && word.matches('-').count() == 4;
        let is_time = word.len() >= 20 && word.as_bytes()[10] == b'T' && word.ends_with('Z');
        out.push_str(match () {
            () if is_uid => "UID",
            () if is_time => "TIME",
            () => word,
        });
        let mut letters = tail.chars();
        out.extend(letters.next());
        rest = letters.as_str();
    }
    for mark in ["resource version: ", "current: ", "in record (", "("] {
        out = numbered(&out, mark);
    }
    out
}

/// Replaces the digits behind each mark by `N`.
fn numbered(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(mark);
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        if rest.len() < part.len() {
            out.push('N');
        }
        out.push_str(rest);
    }
    out
}
