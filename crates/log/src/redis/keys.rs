//! The names of all keys. The keys of a partition have its number as hash tag, so they are in one slot of a Redis Cluster.

use hemostat_schema::{Family, Partition};

/// The prefix of every key.
pub(super) const PREFIX: &str = "hemostat:";

/// When each migration was applied, in milliseconds.
pub(super) const MIGRATED: &str = "hemostat:migrated";

/// What the migrations record: `partitions`, and each migration with its checksum.
pub(super) const META: &str = "hemostat:meta";

/// The lock of a running migration.
pub(super) const MIGRATING: &str = "hemostat:migrating";

/// The library of functions, as the migrations name it.
pub(super) const LIBRARY: &str = "hemostat";

/// The keys of one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys(pub Partition);

impl Keys {
    fn of(self, name: &str) -> String {
        format!("hemostat:{{{}}}:{name}", self.0)
    }

    /// The prefix of all of them.
    pub fn prefix(self) -> String {
        self.of("")
    }

    pub fn stream(self, family: Family) -> String {
        self.of(family.stream())
    }

    pub fn clock(self) -> String {
        self.of("clock")
    }

    /// The version of each `family/subject`.
    pub fn versions(self) -> String {
        self.of("heads")
    }

    pub fn timers(self) -> String {
        self.of("timers")
    }

    /// The stream of dead letters.
    pub fn dead_letters(self) -> String {
        self.of("parked")
    }

    pub fn cursors(self) -> String {
        self.of("cursors")
    }

    /// Which generation of each view is served.
    pub fn views(self) -> String {
        self.of("views")
    }

    pub fn trimmed(self) -> String {
        self.of("trimmed")
    }

    /// What was appended once, with this key.
    pub fn appended(self, key: &str) -> String {
        self.of(&format!("once:{key}"))
    }

    /// Until when the session of each process lives.
    pub fn sessions(self) -> String {
        self.of("sessions")
    }

    /// What each process says about itself.
    pub fn processes(self) -> String {
        self.of("processes")
    }

    /// The requested handoffs, with when they expire.
    pub fn handoffs(self) -> String {
        self.of("handoffs")
    }

    pub fn lease(self, group: &str) -> String {
        self.of(&format!("lease:{group}"))
    }

    pub fn view(self, view: &str) -> String {
        self.of(&format!("view:{view}"))
    }
}
