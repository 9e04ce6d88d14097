//! What can go wrong while an image is assembled, packed or pushed.

use std::{io, path::PathBuf};

/// Shorthand for results of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure to make or to move an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb: `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program is not one that an image can hold.
    #[error("{} cannot be put into an image: {reason}", path.display())]
    Program {
        /// The program or library.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A library that a program names is in none of the folders where its loader would look.
    #[error(
        "{} needs {library}, which is in none of {folders}; install it, or build the program on \
         the machine that has it", program.display()
    )]
    Library {
        /// The program or library that names it.
        program: PathBuf,
        /// The name, such as `libm.so.6`.
        library: String,
        /// Where it was looked for.
        folders: String,
    },
    /// The bundle of certificate authorities is missing.
    #[error(
        "{} not found: install the package ca-certificates, or name a bundle", .0.display()
    )]
    Authorities(PathBuf),
    /// An archive could not be written.
    #[error("cannot pack {what}")]
    Pack {
        /// Layer or archive.
        what: String,
        /// The writer's reason.
        source: io::Error,
    },
    /// The registry could not be reached.
    #[error("cannot talk to the registry")]
    Http(#[from] reqwest::Error),
    /// The registry answered something else than expected.
    #[error("the registry answered {status} to {request}: {body}")]
    Registry {
        /// Method and path of the request.
        request: String,
        /// HTTP status.
        status: u16,
        /// The beginning of the answer's text.
        body: String,
    },
}
