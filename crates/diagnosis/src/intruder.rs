//! Whether its processes show that somebody has broken into it.
//!
//! Who breaks in mines coins, under a name that is known, from where everybody may write, or under the name of a thread
//! of the kernel, which no container has. A new run leaves the door open, and a run that ends takes along what would
//! show how they came in. So nothing is done by itself: what was opened only a person shuts.

use hemostat_schema::{examination::Process, observation::Symptom};

use super::Case;

/// What miners, and what brings them, are called, and what they are told.
const MINERS: [&str; 20] = [
    "kdevtmpfsi",
    "kinsing",
    "xmrig",
    "xmr-stak",
    "xmr_stak",
    "xmrminer",
    "minerd",
    "cpuminer",
    "cryptonight",
    "kthreaddi",
    "kthreaddk",
    "watchbog",
    "sysrv0",
    "kerberods",
    "ddgs.",
    "stratum+tcp",
    "stratum+ssl",
    "--donate-level",
    "nanominer",
    "t-rex-miner",
];
/// Names that only the kernel gives.
const OF_THE_KERNEL: [&str; 4] = ["[kworker", "[kthread", "[ksoftirqd", "[kswapd"];
/// Where everybody may write, and no image has its programs.
const FOR_EVERYBODY: [&str; 3] = ["/dev/shm/", "/var/tmp/", "/tmp/"];
/// What unpacks itself there to run.
const UNPACKED: [&str; 5] = ["/tmp/go-build", "/tmp/.mount_", "/tmp/onefile", "/tmp/_mei", "/tmp/appimage"];

impl<'a> Case<'a> {
    /// The process that somebody else seems to have brought.
    pub(super) fn intruder(&self) -> Option<&'a Process> {
        let (processes, image) = (self.processes(), self.facts.image.to_lowercase());
        // Who runs a miner on purpose runs its image.
        let known = processes.iter().find(|process| {
            let command = process.command.to_lowercase();
            let brought = |name: &&str| command.contains(*name) && !image.contains(*name) && !image.contains("miner");
            MINERS.iter().any(brought)
        });
        // The busiest is the first.
        let busiest = || processes.first().filter(|_| self.is_ill_of(Symptom::CpuHigh));
        known.or_else(|| busiest().filter(|process| is_out_of_place(&process.command)))
    }
}

/// Whether no image would bring a program of this name to this place.
fn is_out_of_place(command: &str) -> bool {
    let command = command.to_lowercase();
    let begins = |with: &&str| command.starts_with(*with);
    OF_THE_KERNEL.iter().any(begins) || FOR_EVERYBODY.iter().any(begins) && !UNPACKED.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_out_of_place_where_everybody_may_write_or_by_a_name_of_the_kernel() {
        for command in ["/tmp/kdevtmpfsi", "/dev/shm/.x/m -o pool", "/var/tmp/a", "[kworker/0:1]"] {
            assert!(is_out_of_place(command), "{command}");
        }
        for command in ["/tmp/go-build31/exe/main", "node /tmp/a.js", "[sh] <defunct>", "/usr/bin/kworker", ""] {
            assert!(!is_out_of_place(command), "{command}");
        }
    }
}
