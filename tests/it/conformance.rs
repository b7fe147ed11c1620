//! The laws of the store contract, on the stores of this crate.

use socketioxide_session::{MemoryStore, testing::SampleData};

socketioxide_session::store_conformance!(memory, async { MemoryStore::<SampleData>::new() });
