//! What kind of machine this is.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// An operating system, as far as it matters for installing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Debian,
    Ubuntu,
    Other,
}

impl System {
    /// The system that this program runs on.
    pub(crate) fn here() -> Self {
        // Where there is no such file, it is neither Debian nor Ubuntu.
        fs::read_to_string("/etc/os-release").map_or(Self::Other, |text| Self::from_release(&text))
    }

    /// Reads the text of `/etc/os-release`.
    ///
    /// Only the `ID` counts: what is merely *like* Debian may well name its packages otherwise.
    fn from_release(text: &str) -> Self {
        let id = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("ID="))
            .map(|value| value.trim_matches(['"', '\'']))
            .next_back();
        match id {
            Some("debian") => Self::Debian,
            Some("ubuntu") => Self::Ubuntu,
            _ => Self::Other,
        }
    }
}

/// Whether this is an automatic run, where leaving something out would go unnoticed.
pub(crate) fn is_ci() -> bool {
    means_ci(std::env::var("CI").ok().as_deref())
}

fn means_ci(value: Option<&str>) -> bool {
    !matches!(value, None | Some("" | "0" | "false"))
}

/// Whether systemd runs here, which starts the services that packages bring.
pub(crate) fn has_systemd() -> bool {
    // What `man sd_booted` says to look at.
    Path::new("/run/systemd/system").is_dir()
}

/// Whether this process may install packages without asking for more rights.
pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_ubuntu_are_known_by_their_id() {
        let debian =
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(System::from_release(debian), System::Debian);

        let ubuntu = "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n";
        assert_eq!(System::from_release(ubuntu), System::Ubuntu);
    }

    #[test]
    fn an_id_may_be_quoted() {
        assert_eq!(System::from_release("ID=\"ubuntu\""), System::Ubuntu);
        assert_eq!(System::from_release("ID='debian'"), System::Debian);
    }

    #[test]
    fn what_is_only_like_debian_is_another_system() {
        assert_eq!(System::from_release("ID=pop\nID_LIKE=\"ubuntu debian\"\n"), System::Other);
        assert_eq!(System::from_release("VERSION_ID=debian\n"), System::Other);
        assert_eq!(System::from_release("ID=fedora\n"), System::Other);
        assert_eq!(System::from_release(""), System::Other);
    }

    #[test]
    fn ci_is_what_says_so() {
        assert!(means_ci(Some("true")) && means_ci(Some("1")));
        assert!(!means_ci(None) && !means_ci(Some("")));
        assert!(!means_ci(Some("false")) && !means_ci(Some("0")));
    }
}
