//! The failures that HemoStat recognises in log lines and health checks: how each is described, whether it persists
//! across restarts, and what an operator can do about it.

/// A failure that a log line or a health check names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownFailure {
    /// The program is not executable, or was built for another architecture.
    CannotExecute,
    /// A disk is full.
    DiskFull,
    /// The container writes to a read-only file system.
    ReadOnly,
    /// A certificate has expired or is not trusted.
    Certificate,
    /// Another process listens on its port.
    PortTaken,
    /// Another service refuses its user name, password or key.
    Credentials,
    /// It has no valid licence.
    Licence,
    /// A service that it needs does not answer or is not found.
    Unreachable,
    /// It is not ready yet: it loads or recovers its data.
    NotReady,
    /// It was asked to stop, and finishes its work.
    ShuttingDown,
    /// It waits for an operator to provide keys or a passphrase.
    Sealed,
    /// Another instance has the role that its health check asks for.
    Standby,
    /// Another process holds a lock that it needs.
    Locked,
    /// A lock on its own files is held, usually by itself.
    OwnLock,
    /// Its connection pool is exhausted.
    ConnectionPool,
    /// Its data is corrupt, or of another version.
    Data,
    /// Its rows violate a constraint of its schema or of a migration.
    DataConstraint,
    /// A volume is not mounted, or is empty.
    Unmounted,
    /// A setting is missing.
    MissingSetting,
    /// A setting is wrong.
    Misconfigured,
    /// It lacks a permission.
    Forbidden,
    /// A file, module or library is missing.
    Missing,
    /// It has exhausted the heap limit that it sets itself.
    OutOfHeap,
    /// It has reached its limit of open files.
    TooManyOpenFiles,
}

impl KnownFailure {
    /// A clause about the container, for a sentence in a diagnosis.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::CannotExecute => "its program cannot be executed on this machine",
            Self::DiskFull => "the disk is full",
            Self::ReadOnly => "it writes to a read-only file system",
            Self::Certificate => "a certificate is not valid",
            Self::PortTaken => "its port is already in use",
            Self::Credentials => "its user name, password or key is refused",
            Self::Licence => "it has no valid licence",
            Self::Unreachable => "it cannot reach a service that it needs",
            Self::NotReady => "it is not ready yet",
            Self::ShuttingDown => "it was asked to stop and finishes its work",
            Self::Sealed => "it is sealed until an operator unseals it",
            Self::Standby => "another instance has the role that its check asks for",
            Self::Locked => "another process holds a lock that it needs",
            Self::OwnLock => "its own file is locked",
            Self::ConnectionPool => "its connection pool is exhausted",
            Self::Data => "its data is corrupt or of another version",
            Self::DataConstraint => "its data violates its schema",
            Self::Unmounted => "its data volume is not mounted",
            Self::MissingSetting => "a setting is missing",
            Self::Misconfigured => "its configuration is wrong",
            Self::Forbidden => "it lacks a permission",
            Self::Missing => "a file that it needs is missing",
            Self::OutOfHeap => "it has exhausted its heap",
            Self::TooManyOpenFiles => "it has too many open files",
        }
    }

    /// Whether it persists across restarts, so that an operator has to correct it.
    pub(crate) fn needs_a_person(self) -> bool {
        match self {
            Self::CannotExecute
            | Self::DiskFull
            | Self::ReadOnly
            | Self::Certificate
            | Self::PortTaken
            | Self::Credentials
            | Self::Licence
            | Self::Data
            | Self::DataConstraint
            | Self::Unmounted
            | Self::MissingSetting
            | Self::Misconfigured
            | Self::Forbidden
            | Self::Sealed
            | Self::Standby
            | Self::Missing => true,
            Self::Unreachable
            | Self::NotReady
            | Self::ShuttingDown
            | Self::Locked
            | Self::OwnLock
            | Self::ConnectionPool
            | Self::OutOfHeap
            | Self::TooManyOpenFiles => false,
        }
    }

    /// Whether it may pass by itself: the other service recovers, or the lock is released.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::NotReady | Self::Locked | Self::OwnLock)
    }

    /// Whether the container has exhausted a resource of its own, which a new run starts without.
    pub(crate) fn is_own_limit_reached(self) -> bool {
        matches!(self, Self::OwnLock | Self::ConnectionPool | Self::OutOfHeap | Self::TooManyOpenFiles)
    }

    /// What an operator can do about it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::CannotExecute => "check its command, and the architecture that its image was built for",
            Self::DiskFull => "free space on the disk",
            Self::ReadOnly => "mount the directory that it writes to as writable",
            Self::Certificate => "renew the certificate, or add it to the trusted ones",
            Self::PortTaken => "find out which process holds the port, or use another port",
            Self::Credentials => "check its password or key, and its quota, at the service that refuses it",
            Self::Licence => "renew its licence",
            Self::Unreachable => "look at the service that it cannot reach",
            Self::NotReady => "give it the time that it needs to start",
            Self::ShuttingDown => "let it stop",
            Self::Sealed => "unseal it with its keys",
            Self::Standby => "let its check accept either role, or give it the role",
            Self::Locked => "find out which process holds the lock",
            Self::OwnLock => "find out which of its threads or processes holds the lock",
            Self::ConnectionPool => "find out what does not return connections, or enlarge the pool",
            Self::Data => "look at its data, and at the version that wrote it",
            Self::DataConstraint => "correct the rows, or the schema migration",
            Self::Unmounted => "mount its volume on the host, then start it again",
            Self::MissingSetting => "set the missing setting",
            Self::Misconfigured => "correct its configuration",
            Self::Forbidden => "check owner and permissions of what it uses",
            Self::Missing => "check its image and its volumes",
            Self::OutOfHeap => "raise its heap limit, or find out what fills the heap",
            Self::TooManyOpenFiles => "raise the limit of open files, or find out what leaves them open",
        }
    }
}
