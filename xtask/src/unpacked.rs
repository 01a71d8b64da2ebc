//! What cargo keeps of packages that it has verified once.
//!
//! `cargo package` verifies a package against the others of the workspace, as they are packaged
//! beside it. It unpacks those into its home, in a folder that goes by the place of the workspace and
//! by name and version, and builds them; and what is unpacked or built already it takes for the same.
//! So a package would be verified against the others as they were when their version was first
//! packaged here.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Removes what is unpacked of the packages of this workspace, and what was built of it in `target`,
/// so that cargo does both anew.
pub(crate) fn forget(workspace: &Path, target: &Path) -> io::Result<()> {
    let mut packages = folders(workspace)?;
    packages.retain(|folder| folder.join("Cargo.toml").exists());
    let packages: Vec<_> = packages.iter().map(|folder| name(folder)).collect();
    remove(&target.join("debug/.fingerprint"), &packages)?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    match home {
        Some(home) => remove_sources(&home.join("registry/src"), &packages),
        None => Ok(()),
    }
}

fn remove_sources(sources: &Path, packages: &[&str]) -> io::Result<()> {
    for registry in folders(sources)? {
        // The name begins with the registry's host. Those of a workspace have none.
        if name(&registry).starts_with('-') {
            remove(&registry, packages)?;
        }
    }
    Ok(())
}

fn remove(from: &Path, packages: &[&str]) -> io::Result<()> {
    for folder in folders(from)? {
        if packages.iter().any(|package| is_of(name(&folder), package)) {
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

fn folders(of: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(of) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Whether the folder is called after the package: with its version, or with a hash.
fn is_of(folder: &str, package: &str) -> bool {
    let rest = folder.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| !rest.contains('-') || rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_a_workspace_are_forgotten_and_only_those_named() {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            "-0123456789abcdef/backend-core-0.1.0",
            "-0123456789abcdef/backend-core-0.1.0-rc.1",
            "-0123456789abcdef/backend-core-fedcba9876543210",
            "-0123456789abcdef/backend-core-extra-0.1.0",
            "-0123456789abcdef/other-0.1.0",
            "index.example-0123456789abcdef/backend-core-0.1.0",
        ];
        for one in all {
            fs::create_dir_all(folder.path().join(one).join("src")).unwrap();
        }
        remove_sources(folder.path(), &["backend-core"]).unwrap();
        let left: Vec<_> = all.iter().filter(|one| folder.path().join(one).exists()).collect();
        assert_eq!(left, all[3..].iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_home_without_sources_is_as_good_as_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        remove_sources(&folder.path().join("registry/src"), &["backend-core"]).unwrap();
    }
}
