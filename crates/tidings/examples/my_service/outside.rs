//! Something outside of the cluster that each MyService has, and that has to be cleaned up behind it: a file
//! in a directory, in the place of a DNS record or a load balancer.
//!
//! It keeps a journal of who did what under which leadership, so that a test can see whether two
//! leaders ever worked at a time.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::PathBuf,
};

use tidings::ObjectKey;

#[derive(Clone, Debug)]
pub(crate) struct Outside {
    dir: PathBuf,
    /// Who writes the journal.
    identity: String,
}

impl Outside {
    pub(crate) fn new(dir: PathBuf, identity: &str) -> io::Result<Self> {
        fs::create_dir_all(dir.join("records"))?;
        let identity = identity.to_owned();
        Ok(Self { dir, identity })
    }

    /// Makes the record say this; does nothing if it does.
    pub(crate) fn ensure(&self, key: &ObjectKey, content: &str, term: u32) -> io::Result<()> {
        let path = self.path(key);
        if fs::read_to_string(&path).is_ok_and(|found| found == content) {
            return Ok(());
        }
        self.note(term, &format!("ensure {key} {content}"))?;
        fs::write(path, content)
    }

    /// Removes the record; does nothing if there is none.
    pub(crate) fn remove(&self, key: &ObjectKey, term: u32) -> io::Result<()> {
        self.note(term, &format!("remove {key}"))?;
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn records(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.dir.join("records"))?.count())
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        let name = key.as_str().replace('/', "_");
        self.dir.join("records").join(name)
    }

    /// One line, written at once: lines of several processes do not mix.
    fn note(&self, term: u32, what: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut journal = options
            .create(true)
            .append(true)
            .open(self.dir.join("journal"))?;
        let line = format!("{term} {} {what}\n", self.identity);
        journal.write_all(line.as_bytes())
    }
}
