//! What cargo keeps of packages that it has verified once.
//!
//! `cargo package` verifies a package against the others of the workspace, which it unpacks into
//! its home, in a folder that goes by the place of the workspace and by name and version. What is
//! there already it takes for the same, so a package would be verified against the others as they
//! were when their version was first packaged here.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Removes what is unpacked of the packages of this workspace, so that cargo unpacks them anew.
pub(crate) fn forget(workspace: &Path) -> io::Result<()> {
    let mut packages = folders(workspace)?;
    packages.retain(|folder| folder.join("Cargo.toml").exists());
    let packages: Vec<_> = packages.iter().map(|folder| name(folder)).collect();
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    match home {
        Some(home) => forget_in(&home.join("registry/src"), &packages),
        None => Ok(()),
    }
}

fn forget_in(sources: &Path, packages: &[&str]) -> io::Result<()> {
    for registry in folders(sources)? {
        // The name begins with the registry's host. Those of a workspace have none.
        if !name(&registry).starts_with('-') {
            continue;
        }
        for package in folders(&registry)? {
            if packages.iter().any(|wanted| is_version_of(name(&package), wanted)) {
                fs::remove_dir_all(&package)?;
            }
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

fn is_version_of(folder: &str, package: &str) -> bool {
    let version = folder.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_a_workspace_are_forgotten_and_only_those_named() {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            "-0123456789abcdef/backend-core-0.1.0",
            "-0123456789abcdef/backend-core-extra-0.1.0",
            "-0123456789abcdef/other-0.1.0",
            "index.example-0123456789abcdef/backend-core-0.1.0",
        ];
        for one in all {
            fs::create_dir_all(folder.path().join(one).join("src")).unwrap();
        }
        forget_in(folder.path(), &["backend-core"]).unwrap();
        let left: Vec<_> = all.iter().filter(|one| folder.path().join(one).exists()).collect();
        assert_eq!(left, [&all[1], &all[2], &all[3]]);
    }

    #[test]
    fn a_home_without_sources_is_as_good_as_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        forget_in(&folder.path().join("registry/src"), &["backend-core"]).unwrap();
    }
}
