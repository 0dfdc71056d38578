//! Reads the files of one container without an allocation per file.
//!
//! Each read opens its file: with ten files per container, open handles would exceed a process's limit, and opening costs
//! one or two microseconds.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    str,
};

use hemostat_core::observe::vitals::{Pressure, RawSample};

use super::{
    parse,
    paths::{CgroupNotFound, V1Paths},
};

/// Initial buffer size, enough for these files on most hosts; the buffer grows.
const BUFFER: usize = 16 << 10;
const NS_PER_US: u64 = 1000;

/// Why there is no sample of a container.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its main process is not known yet.
    #[error("it was not inspected yet")]
    NotInspected,
    /// Its cgroups were not found.
    #[error(transparent)]
    CgroupNotFound(#[from] CgroupNotFound),
    /// A file cannot be read; usually the container has just ended.
    #[error("{} cannot be read: {error}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file has an unexpected format.
    #[error("{} has an unexpected format", .0.display())]
    Malformed(PathBuf),
}

/// A reused path and text buffer.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    text: Vec<u8>,
}

impl Default for Files {
    fn default() -> Self {
        Self { path: PathBuf::new(), text: vec![0; BUFFER] }
    }
}

impl Files {
    /// Completes `base` from cgroup v1. A required file is read last: if the container ends meanwhile, its cgroups are gone by
    /// then, and the result is an error instead of a partial sample.
    pub fn v1(&mut self, groups: &V1Paths, base: RawSample) -> Result<RawSample, ReadError> {
        let V1Paths { cpuacct, memory, cpu, pids, blkio, unified } = groups;
        let blocks = self.read_in(blkio, "blkio.throttle.io_service_bytes_recursive", parse::blocks_v1);
        let (block_read, block_write) = blocks.unwrap_or_default();
        let cache = |text: &str| (parse::field(text, "inactive_file"), parse::field(text, "total_inactive_file"));
        let (inactive_file, total_inactive_file) = self.read(memory, "memory.stat", cache).unwrap_or_default();
        Ok(RawSample {
            cpu_total_ns: self.required(cpuacct, "cpuacct.usage", parse::number)?,
            inactive_file,
            total_inactive_file,
            memory_limit: self.read(memory, "memory.limit_in_bytes", parse::limit).flatten().unwrap_or(u64::MAX),
            block_read,
            block_write,
            pids: self.read_in(pids, "pids.current", parse::number).flatten().unwrap_or(0),
            pids_limit: self.read_in(pids, "pids.max", parse::limit).flatten(),
            throttling: self.read_in(cpu, "cpu.stat", parse::throttling).flatten(),
            pressure: unified.as_deref().map(|unified| self.pressure(unified)).unwrap_or_default(),
            memory_usage: self.required(memory, "memory.usage_in_bytes", parse::number)?,
            ..base
        })
    }

    /// Completes `base` from cgroup v2, in the same order.
    pub fn v2(&mut self, group: &Path, base: RawSample) -> Result<RawSample, ReadError> {
        let (block_read, block_write) = self.read(group, "io.stat", parse::blocks_v2).unwrap_or_default();
        let cpu = |text: &str| Some((parse::field(text, "usage_usec")?, parse::throttling(text)));
        let (used_us, throttling) = self.required(group, "cpu.stat", cpu)?;
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
            memory_usage: self.required(group, "memory.current", parse::number)?,
            ..base
        })
    }

    /// PSI of a cgroup v2 group, if the kernel has it.
    fn pressure(&mut self, group: &Path) -> Pressure {
        let mut of = |name: &str| self.read(group, name, parse::pressure).flatten();
        Pressure { cpu: of("cpu.pressure"), memory: of("memory.pressure"), disk: of("io.pressure") }
    }

    /// Bytes received and sent in the network namespace of a process.
    pub fn network(&mut self, proc: &Path, pid: u32) -> Option<(u64, u64)> {
        self.path.clear();
        self.path.push(proc);
        self.path.push(pid.to_string());
        self.path.push("net/dev");
        self.text().ok().map(parse::network)
    }

    /// Parses a required file.
    pub fn required<T>(
        &mut self,
        directory: &Path,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ReadError> {
        self.set_path(directory, name);
        let parsed = match self.text() {
            Ok(text) => parse(text),
            Err(error) => return Err(ReadError::Failed { path: self.path.clone(), error }),
        };
        parsed.ok_or_else(|| ReadError::Malformed(self.path.clone()))
    }

    /// Parses a file that not every kernel has.
    fn read<T>(&mut self, directory: &Path, name: &str, parse: impl Fn(&str) -> T) -> Option<T> {
        self.set_path(directory, name);
        self.text().ok().map(parse)
    }

    /// The same for a hierarchy that may not be mounted.
    fn read_in<T>(&mut self, directory: &Option<PathBuf>, name: &str, parse: impl Fn(&str) -> T) -> Option<T> {
        self.read(directory.as_deref()?, name, parse)
    }

    fn set_path(&mut self, directory: &Path, name: &str) {
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
