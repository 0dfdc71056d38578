//! Finds the cgroup directories of a container.
//!
//! `/proc/<pid>/cgroup` of the container's main process lists its cgroups, with any cgroup driver
//! (`/docker/<id>`, `/system.slice/docker-<id>.scope`), custom parent or user slice (rootless).
//!
//! The path must contain the container's id. That proves that the engine runs on this machine and that the PID was not
//! reused, so the engine's address does not matter. Cgroups that the container created below its own (systemd or Docker
//! inside) belong to it, so the path is cut after the part with the id.

use std::path::{Path, PathBuf};

use hemostat_schema::ContainerId;

/// Where cgroupfs and procfs are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// cgroupfs; usually `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// procfs; usually `/proc`.
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { cgroup: "/sys/fs/cgroup".into(), proc: "/proc".into() }
    }
}

/// The cgroup directories of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupPaths {
    /// cgroup v1: in a directory for each controller.
    V1(V1Paths),
    /// cgroup v2: in one directory.
    V2(PathBuf),
}

/// A container's directories in the hierarchies of cgroup v1; of the less important ones, where they are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1Paths {
    /// CPU time.
    pub cpuacct: PathBuf,
    /// Memory.
    pub memory: PathBuf,
    /// CPU limits.
    pub cpu: Option<PathBuf>,
    /// Processes.
    pub pids: Option<PathBuf>,
    /// Block devices.
    pub blkio: Option<PathBuf>,
    /// Its group in a cgroup v2 hierarchy beside these (hybrid mode), which has PSI.
    pub unified: Option<PathBuf>,
}

/// Where engines usually put their containers. Tried if the kernel's path starts above our own cgroup namespace, as it
/// does inside a container.
fn usual_paths(id: &ContainerId) -> [String; 2] {
    [format!("/docker/{id}"), format!("/system.slice/docker-{id}.scope")]
}

impl CgroupPaths {
    /// The directories of the container with this id and main process.
    ///
    /// # Errors
    /// If a file is missing, or does not contain the id.
    pub fn find(roots: &Roots, id: &ContainerId, pid: u32) -> Result<Self, CgroupNotFound> {
        let path = roots.proc.join(pid.to_string()).join("cgroup");
        let groups = std::fs::read_to_string(&path);
        let groups = groups.map_err(|error| CgroupNotFound::InvalidInspect { path, kind: error.kind() })?;
        let exists = |path: &Path| path.exists();
        Self::of(&groups, id, &roots.cgroup, &exists)
    }

    /// The same for the text of `/proc/<pid>/cgroup`; `exists` says which directories exist.
    fn of(groups: &str, id: &ContainerId, root: &Path, exists: &dyn Fn(&Path) -> bool) -> Result<Self, CgroupNotFound> {
        if exists(&root.join("cgroup.controllers")) {
            let own = own_group(groups, "", id).ok_or(CgroupNotFound::NotNamed)?;
            return within(root, own, id, exists).map(Self::V2).ok_or(CgroupNotFound::NotMounted("cgroup v2"));
        }
        let directory = |controller: &str| {
            let own = own_group(groups, controller, id)?;
            // Mounted under its name, or with others and symlinked under its name.
            within(&root.join(controller), own, id, exists)
        };
        if own_group(groups, "memory", id).is_none() {
            return Err(CgroupNotFound::NotNamed);
        }
        Ok(Self::V1(V1Paths {
            cpuacct: directory("cpuacct").ok_or(CgroupNotFound::NotMounted("cpuacct"))?,
            memory: directory("memory").ok_or(CgroupNotFound::NotMounted("memory"))?,
            cpu: directory("cpu"),
            pids: directory("pids"),
            blkio: directory("blkio"),
            unified: own_group(groups, "", id).and_then(|own| within(&root.join("unified"), own, id, exists)),
        }))
    }
}

/// Why the cgroup files of a container cannot be read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CgroupNotFound {
    /// Its process does not exist on this machine.
    #[error("{} cannot be read: {kind}", path.display())]
    InvalidInspect {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// The PID is not the container's: the engine runs on another machine, or the PID was reused.
    #[error("the cgroups of its process do not name it, so it runs on another machine or has ended")]
    NotNamed,
    /// The hierarchy is not mounted here.
    #[error("its {0} directory is not below monitor.cgroup_root")]
    NotMounted(&'static str),
}

/// The container's group in the hierarchy of `controller` (`""` is cgroup v2), from lines such as
/// `4:cpu,cpuacct:/docker/<id>`.
fn own_group<'a>(groups: &'a str, controller: &str, id: &ContainerId) -> Option<&'a str> {
    let path = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers.split(',').any(|it| it == controller).then(|| parts.next()).flatten()
    })?;
    let named = path.find(id.as_str())? + id.as_str().len();
    let end = path[named..].find('/').map_or(path.len(), |slash| named + slash);
    Some(&path[..end])
}

/// The directory of a group below the mount of its hierarchy.
fn within(mount: &Path, group: &str, id: &ContainerId, exists: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let below = |group: &str| Some(mount.join(group.trim_start_matches('/'))).filter(|path| exists(path));
    if group.starts_with("/..") {
        return usual_paths(id).iter().find_map(|group| below(group));
    }
    below(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
    const ROOT: &str = "/sys/fs/cgroup";

    fn found(groups: &str, there: &[&str]) -> Result<CgroupPaths, CgroupNotFound> {
        let there: Vec<_> = there.iter().map(|path| Path::new(ROOT).join(path.replace("ID", ID))).collect();
        let exists = |path: &Path| there.iter().any(|it| it == path);
        CgroupPaths::of(&groups.replace("ID", ID), &ID.parse().unwrap(), Path::new(ROOT), &exists)
    }

    fn v2(path: &str) -> Result<CgroupPaths, CgroupNotFound> {
        Ok(CgroupPaths::V2(Path::new(ROOT).join(path.replace("ID", ID))))
    }

    #[test]
    fn a_container_of_cgroup_v2_is_found_with_every_cgroup_driver() {
        for (groups, path) in [
            ("0::/docker/ID\n", "docker/ID"),
            ("0::/system.slice/docker-ID.scope\n", "system.slice/docker-ID.scope"),
            ("0::/custom.slice/docker-ID.scope\n", "custom.slice/docker-ID.scope"),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope\n",
                "user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            ),
            ("0::/machine.slice/libpod-ID.scope/container\n", "machine.slice/libpod-ID.scope"),
            ("0::/docker/ID/init.scope\n", "docker/ID"),
            // A named v1 hierarchy beside v2.
            ("1:name=systemd:/\n0::/docker/ID\n", "docker/ID"),
        ] {
            assert_eq!(found(groups, &["cgroup.controllers", path]), v2(path), "{groups}");
        }
    }

    #[test]
    fn above_our_own_namespace_the_usual_paths_are_tried() {
        let scope = "system.slice/docker-ID.scope";
        assert_eq!(found("0::/../docker-ID.scope\n", &["cgroup.controllers", scope]), v2(scope));
        assert_eq!(found("0::/../ID\n", &["cgroup.controllers", "docker/ID"]), v2("docker/ID"));
        let nowhere = found("0::/../ID\n", &["cgroup.controllers", "elsewhere/ID"]);
        assert_eq!(nowhere, Err(CgroupNotFound::NotMounted("cgroup v2")));
    }

    #[test]
    fn a_container_of_cgroup_v1_has_a_directory_for_each_controller() {
        let groups = "9:name=systemd:/\n8:pids:/docker/ID\n7:blkio:/docker/ID\n4:memory:/docker/ID\n3:cpuset:/docker/ID\n2:cpu,cpuacct:/docker/ID\n0::/\n";
        let path = |controller: &str| Path::new(ROOT).join(controller).join("docker").join(ID);
        let all = ["cpuacct/docker/ID", "cpu/docker/ID", "memory/docker/ID", "pids/docker/ID", "blkio/docker/ID"];
        let expected = V1Paths {
            cpuacct: path("cpuacct"),
            memory: path("memory"),
            cpu: Some(path("cpu")),
            pids: Some(path("pids")),
            blkio: Some(path("blkio")),
            unified: None,
        };
        assert_eq!(found(groups, &all), Ok(CgroupPaths::V1(expected.clone())));
        let unified = Some(path("unified"));
        let hybrid = groups.replace("0::/", "0::/docker/ID");
        let beside = [&all[..], &["unified/docker/ID"]].concat();
        assert_eq!(found(&hybrid, &beside), Ok(CgroupPaths::V1(V1Paths { unified, ..expected.clone() })));
        assert_eq!(found(&hybrid, &all), Ok(CgroupPaths::V1(expected.clone())));
        let least = V1Paths { cpu: None, pids: None, blkio: None, ..expected };
        assert_eq!(found(groups, &["cpuacct/docker/ID", "memory/docker/ID"]), Ok(CgroupPaths::V1(least)));
        assert_eq!(found(groups, &["cpuacct/docker/ID"]), Err(CgroupNotFound::NotMounted("memory")));
    }

    #[test]
    fn a_process_whose_cgroups_do_not_name_the_container_is_rejected() {
        for groups in ["", "0::/\n", "0::/docker/0123456789ab\n", "0::/system.slice/ssh.service\n"] {
            assert_eq!(found(groups, &["cgroup.controllers", "docker/ID"]), Err(CgroupNotFound::NotNamed), "{groups}");
        }
        assert_eq!(found("4:memory:/user.slice\n2:cpuacct:/user.slice\n", &[]), Err(CgroupNotFound::NotNamed));
    }

    #[test]
    fn a_process_that_does_not_exist_here_is_an_error() {
        let roots = Roots { proc: "/nonexistent".into(), ..Roots::default() };
        let error = CgroupPaths::find(&roots, &ID.parse().unwrap(), 7).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/7/cgroup cannot be read: entity not found");
    }
}
