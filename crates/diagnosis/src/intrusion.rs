//! Processes that indicate an intrusion.
//!
//! Intruders usually mine cryptocurrency: under a known name, from a world-writable directory, or disguised as a kernel
//! thread, which no container has. A restart does not close the way in, and destroys evidence. So HemoStat carries out no
//! remedy and leaves the container to an operator.

use hemostat_schema::{examination::Process, observation::Symptom};

use crate::{case::Case, vocabulary::VOCABULARY};

/// Names that only kernel threads have.
const KERNEL_THREADS: [&str; 4] = ["[kworker", "[kthread", "[ksoftirqd", "[kswapd"];
/// World-writable directories, where no image has its programs.
const WORLD_WRITABLE: [&str; 3] = ["/dev/shm/", "/var/tmp/", "/tmp/"];
/// Legitimate programs that unpack themselves there.
const UNPACKED: [&str; 5] = ["/tmp/go-build", "/tmp/.mount_", "/tmp/onefile", "/tmp/_mei", "/tmp/appimage"];

impl<'a> Case<'a> {
    /// The process that an intruder seems to have started.
    pub(super) fn intruder_process(&self) -> Option<&'a Process> {
        let (processes, image) = (self.processes(), self.facts.image.to_lowercase());
        // A user who runs a miner on purpose runs an image of that name.
        let known = processes.iter().find(|process| {
            let command = process.command.to_lowercase();
            let foreign = |name: &str| command.contains(name) && !image.contains(name) && !image.contains("miner");
            VOCABULARY.miners.any(foreign)
        });
        // The list is sorted by CPU: the first process is the busiest.
        let busiest = || processes.first().filter(|_| self.has_symptom(Symptom::CpuHigh));
        known.or_else(|| busiest().filter(|process| is_out_of_place(&process.command)))
    }
}

/// Whether no image would have a program of this name or in this place.
fn is_out_of_place(command: &str) -> bool {
    let command = command.to_lowercase();
    let begins = |with: &&str| command.starts_with(*with);
    KERNEL_THREADS.iter().any(begins) || WORLD_WRITABLE.iter().any(begins) && !UNPACKED.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_out_of_place_in_a_world_writable_directory_or_with_the_name_of_a_kernel_thread() {
        for command in ["/tmp/kdevtmpfsi", "/dev/shm/.x/m -o pool", "/var/tmp/a", "[kworker/0:1]"] {
            assert!(is_out_of_place(command), "{command}");
        }
        for command in ["/tmp/go-build31/exe/main", "node /tmp/a.js", "[sh] <defunct>", "/usr/bin/kworker", ""] {
            assert!(!is_out_of_place(command), "{command}");
        }
    }
}
