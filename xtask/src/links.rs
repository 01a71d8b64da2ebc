//! `cargo xtask links`: whether every link in the documentation that was built leads to a file.
//!
//! rustdoc links to another crate only if that crate's folder is there already; otherwise it leaves in
//! the page what stood in the source, without a warning. So crates are documented in the order of their
//! dependencies, and here the pages are looked through.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fs, iter};

/// Looks at the pages of the workspace's crates; says whether all of their links lead somewhere.
pub(crate) fn links(
    workspace: &Path,
    documentation: &Path,
    out: &mut impl Write,
) -> io::Result<bool> {
    let (mut pages, mut dead) = (0, 0);
    for package in
        files(workspace)?.into_iter().filter(|folder| folder.join("Cargo.toml").is_file())
    {
        let name = package.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Pages of other crates are not ours to mend.
        let mut folders = vec![documentation.join(name.replace('-', "_"))];
        while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
            for file in files(&folder)? {
                if file.is_dir() {
                    folders.push(file);
                } else if file.extension().is_some_and(|extension| extension == "html") {
                    pages += 1;
                    for link in dead_links(&fs::read_to_string(&file)?, &folder) {
                        dead += 1;
                        writeln!(out, "{}: {link}", file.display())?;
                    }
                }
            }
        }
    }
    writeln!(out, "{dead} dead links in {pages} pages of {}", documentation.display())?;
    Ok(dead == 0 && pages > 0)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// The links of a page in this folder that lead to no file.
///
/// At its end stand the traits that others implement for every type. Their words are others', too, and
/// link to pages that are not built here.
fn dead_links<'a>(page: &'a str, folder: &Path) -> Vec<&'a str> {
    let mut rest = page.split("<h2 id=\"blanket-implementations\"").next().unwrap_or_default();
    let links = iter::from_fn(move || {
        let (_, after) = rest.split_once(" href=\"")?;
        let (link, after) = after.split_once('"')?;
        rest = after;
        Some(link)
    });
    let leads_nowhere = |link: &&str| {
        let path = link.split(['#', '?']).next().unwrap_or_default();
        // A scheme, and not the path of an item.
        let is_elsewhere = path.split_once(':').is_some_and(|(_, rest)| !rest.starts_with(':'));
        !is_elsewhere && !folder.join(path).exists()
    };
    links.filter(leads_nowhere).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_dead_when_there_is_no_file() {
        let root = tempfile::tempdir().unwrap();
        let (package, folder) = (root.path().join("a-b"), root.path().join("doc/a_b"));
        fs::create_dir_all(folder.join("c")).unwrap();
        fs::create_dir_all(&package).unwrap();
        fs::write(package.join("Cargo.toml"), "").unwrap();
        let look = |page: &str| {
            fs::write(folder.join("c/index.html"), page).unwrap();
            let mut told = Vec::new();
            let fine = links(root.path(), &root.path().join("doc"), &mut told).unwrap();
            (fine, String::from_utf8(told).unwrap())
        };
        let alive = ["../c/index.html", "index.html#x", "#x", "?a=b", "https://e.org/", "../c"];
        let page: String = alive.iter().map(|link| format!("<a href=\"{link}\">x</a>")).collect();
        assert!(look(&page).0, "{}", look(&page).1);
        for link in ["../d/index.html", "d.html#x", "backend_core::Error::Closed"] {
            let (fine, told) = look(&format!("{page}<a class=\"x\" href=\"{link}\">x</a>"));
            assert!(!fine && told.contains(&format!("index.html: {link}\n1 dead link")), "{told}");
        }
    }

    #[test]
    fn no_page_at_all_is_a_failure() {
        let root = tempfile::tempdir().unwrap();
        assert!(!links(root.path(), root.path(), &mut Vec::new()).unwrap());
    }
}
