//! How are the files of one container read, without an allocation for each?
//!
//! They are opened anew each time: with ten files for each container, handles that stay open would be more than a process
//! may have, and opening one costs a microsecond or two.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    str,
};

use hemostat_core::vitals::{Pressure, RawSample};

use super::{
    parse,
    place::{Elsewhere, Hierarchies},
};

/// Room for the longest of these files on most hosts; it grows where that is not enough.
const ROOM: usize = 16 << 10;
const NS_PER_US: u64 = 1000;

/// Why there is no sample of a container.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// Its main process is not known.
    #[error("it was not inspected yet")]
    NotInspected,
    /// Its files are not here.
    #[error(transparent)]
    Elsewhere(#[from] Elsewhere),
    /// A file cannot be read; most often the container has just ended.
    #[error("{} cannot be read: {error}", path.display())]
    Failed {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold what it should", .0.display())]
    Unlike(PathBuf),
}

/// A path and a text, used again and again.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    text: Vec<u8>,
}

impl Default for Files {
    fn default() -> Self {
        Self { path: PathBuf::new(), text: vec![0; ROOM] }
    }
}

impl Files {
    /// Adds what cgroup v1 says. Last comes what must be there: where a container ends meanwhile, its groups are gone by
    /// then, and there is no sample instead of one that says nothing.
    pub fn v1(&mut self, groups: &Hierarchies, base: RawSample) -> Result<RawSample, Unread> {
        let Hierarchies { cpuacct, memory, cpu, pids, blkio, unified } = groups;
        let blocks = self.read_in(blkio, "blkio.throttle.io_service_bytes_recursive", parse::blocks_v1);
        let (block_read, block_write) = blocks.unwrap_or_default();
        let cache = |text: &str| (parse::field(text, "inactive_file"), parse::field(text, "total_inactive_file"));
        let (inactive_file, total_inactive_file) = self.read(memory, "memory.stat", cache).unwrap_or_default();
        Ok(RawSample {
            cpu_total_ns: self.must(cpuacct, "cpuacct.usage", parse::number)?,
            inactive_file,
            total_inactive_file,
            memory_limit: self.read(memory, "memory.limit_in_bytes", parse::limit).flatten().unwrap_or(u64::MAX),
            block_read,
            block_write,
            pids: self.read_in(pids, "pids.current", parse::number).flatten().unwrap_or(0),
            pids_limit: self.read_in(pids, "pids.max", parse::limit).flatten(),
            throttling: self.read_in(cpu, "cpu.stat", parse::throttling).flatten(),
            pressure: unified.as_deref().map(|unified| self.pressure(unified)).unwrap_or_default(),
            memory_usage: self.must(memory, "memory.usage_in_bytes", parse::number)?,
            ..base
        })
    }

    /// Adds what cgroup v2 says, in the same order.
    pub fn v2(&mut self, group: &Path, base: RawSample) -> Result<RawSample, Unread> {
        let (block_read, block_write) = self.read(group, "io.stat", parse::blocks_v2).unwrap_or_default();
        let cpu = |text: &str| Some((parse::field(text, "usage_usec")?, parse::throttling(text)));
        let (used_us, throttling) = self.must(group, "cpu.stat", cpu)?;
        Ok(RawSample {
            cpu_total_ns: used_us.saturating_mul(NS_PER_US),
            inactive_file: self.read(group, "memory.stat", |text| parse::field(text, "inactive_file")).flatten(),
            memory_limit: self.read(group, "memory.max", parse::limit).flatten().unwrap_or(u64::MAX),
            block_read,
            block_write,
            pids: self.read(group, "pids.current", parse::number).flatten().unwrap_or(0),
            pids_limit: self.read(group, "pids.max", parse::limit).flatten(),
            throttling,
            pressure: self.pressure(group),
            memory_usage: self.must(group, "memory.current", parse::number)?,
            ..base
        })
    }

    /// How much a group of cgroup v2 has to wait, where the kernel tells.
    fn pressure(&mut self, group: &Path) -> Pressure {
        let mut of = |name: &str| self.read(group, name, parse::pressure).flatten();
        Pressure { cpu: of("cpu.pressure"), memory: of("memory.pressure"), disk: of("io.pressure") }
    }

    /// Bytes that the network of a process has received and sent.
    pub fn network(&mut self, proc: &Path, pid: u32) -> Option<(u64, u64)> {
        self.path.clear();
        self.path.push(proc);
        self.path.push(pid.to_string());
        self.path.push("net/dev");
        self.text().ok().map(parse::network)
    }

    /// What must be in a file.
    pub fn must<T>(&mut self, directory: &Path, name: &str, says: impl Fn(&str) -> Option<T>) -> Result<T, Unread> {
        self.aim(directory, name);
        let said = match self.text() {
            Ok(text) => says(text),
            Err(error) => return Err(Unread::Failed { path: self.path.clone(), error }),
        };
        said.ok_or_else(|| Unread::Unlike(self.path.clone()))
    }

    /// What a file says that not every kernel has.
    fn read<T>(&mut self, directory: &Path, name: &str, says: impl Fn(&str) -> T) -> Option<T> {
        self.aim(directory, name);
        self.text().ok().map(says)
    }

    /// The same, of a hierarchy that may not be mounted.
    fn read_in<T>(&mut self, directory: &Option<PathBuf>, name: &str, says: impl Fn(&str) -> T) -> Option<T> {
        self.read(directory.as_deref()?, name, says)
    }

    fn aim(&mut self, directory: &Path, name: &str) {
        self.path.clear();
        self.path.push(directory);
        self.path.push(name);
    }

    fn text(&mut self) -> io::Result<&str> {
        let mut file = File::open(&self.path)?;
        let mut length = 0;
        loop {
            if length == self.text.len() {
                self.text.resize(length * 2, 0);
            }
            match file.read(&mut self.text[length..])? {
                0 => break,
                read => length += read,
            }
        }
        str::from_utf8(&self.text[..length]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
