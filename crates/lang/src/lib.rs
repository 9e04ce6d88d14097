//! The small languages people write in manifests: YAML, version ranges, regular expressions,
//! templates, CEL, Git URLs and ignore lists, each read as the Go programs of Flux and kubectl read it.
//!
//! Everything here is pure: text in, values out. No I/O.

pub mod cel;
pub mod envsubst;
pub mod gitignore;
pub mod giturl;
pub mod gonumber;
pub mod goregex;
pub mod gotmpl;
pub mod jsonpath;
pub mod knownhosts;
pub mod semver;
pub mod yaml;
