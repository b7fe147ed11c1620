//! Renames of sessions that one command of Redis can't rename.

mod cluster;
mod fence;
mod record;

pub(super) use self::{cluster::rename, fence::RenamedRecord, record::rename_record};
