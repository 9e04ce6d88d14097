//! The `--url` of a Git repository, as typed and as it is used.

use flux_lang::giturl::{GitUrl, GitUrlError};

use crate::error::Error;
use crate::output;

/// A URL that can be used, with the text to write into manifests.
#[derive(Clone, Debug)]
pub(in crate::commands) struct RemoteUrl {
    /// For manifests.
    pub(in crate::commands) text: String,
    /// For connections.
    pub(in crate::commands) parsed: GitUrl,
}

/// Parses `--url`. The form of scp, which people copy from web pages, is turned into a URL.
pub(in crate::commands) fn parse(given: Option<&str>) -> Result<RemoteUrl, Error> {
    let given = given
        .filter(|url| !url.is_empty())
        .ok_or_else(|| Error::input("url is required"))?;
    let text = match GitUrl::parse(given) {
        Ok(parsed) => {
            return Ok(RemoteUrl {
                text: given.to_owned(),
                parsed,
            });
        }
        Err(GitUrlError::Scp { suggestion }) => {
            output::warning(format!("{given} is not a URL; using {suggestion}"));
            suggestion
        }
        Err(error) => return Err(Error::Input(error.to_string())),
    };
    let parsed = GitUrl::parse(&text).map_err(|error| Error::Input(error.to_string()))?;
    Ok(RemoteUrl { text, parsed })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn urls_are_kept_as_typed() {
        for url in [
            "ssh://github.com/o/r",
            "ssh://git@host:2222/r.git",
            "https://host/o/r",
        ] {
            assert_eq!(parse(Some(url)).unwrap().text, url);
        }
    }

    #[test]
    fn the_form_of_scp_is_understood() {
        let url = parse(Some("git@github.com:o/r.git")).unwrap();
        assert_eq!(url.text, "ssh://git@github.com/o/r.git");
        assert!(url.parsed.is_ssh());
    }

    #[test]
    fn mistakes() {
        assert_eq!(parse(None).unwrap_err().to_string(), "url is required");
        assert_eq!(parse(Some("")).unwrap_err().to_string(), "url is required");
        assert_eq!(
            parse(Some("ftp://host/r")).unwrap_err().to_string(),
            "git URL scheme 'ftp' not supported, can be: ssh, http and https"
        );
    }
}
