//! Parts of a page that are written by a program, between two markers.

use std::io;

/// The page with this between `<!-- NAME -->` and `<!-- /NAME -->`.
pub(crate) fn replace(page: &str, name: &str, content: &str) -> io::Result<String> {
    let (opening, closing) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let parts = page.split_once(&opening).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&closing)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| {
        io::Error::other(format!(
            "the page lacks its markers `<!-- {name} -->`, `<!-- /{name} -->`"
        ))
    })?;
    Ok(format!("{before}{opening}\n{}\n\n{closing}{after}", content.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "one\n<!-- a -->\nold\n<!-- /a -->\ntwo\n<!-- b -->\n<!-- /b -->\nthree\n";

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = replace(PAGE, "a", "new\n").unwrap();
        let expected =
            "one\n<!-- a -->\n\nnew\n\n<!-- /a -->\ntwo\n<!-- b -->\n<!-- /b -->\nthree\n";
        assert_eq!(page, expected);
        assert_eq!(replace(&page, "a", "new").unwrap(), expected);
        assert!(replace(PAGE, "b", "new").unwrap().contains("old"));
    }

    #[test]
    fn a_page_without_the_markers_is_an_error() {
        let error = replace(PAGE, "c", "new").unwrap_err().to_string();
        assert!(error.contains("<!-- /c -->"), "{error}");
    }
}
