//! What automates image updates, without any I/O: choosing a tag, editing manifests where a
//! marker asks for it, and the message of the commit.

pub mod change;
pub mod marker;
pub mod message;
pub mod policy;
pub mod update;
