//! Records that are the session's data as a JSON object, which other programs may add fields to.

use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Codec,
    error::{position, unreadable, utf8},
    merge,
};
use crate::{id::SessionId, store::StoreError};

/// The whole record is `T`.
#[derive(Debug)]
pub(super) struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn decode(&self, stored: &[u8]) -> Result<Option<T>, StoreError> {
        let text = utf8(stored)?;
        serde_json::from_str(text)
            .map(Some)
            .map_err(|_| why::<T>(text))
    }

    fn create(&self, _: &SessionId, data: &T, _: Duration) -> Result<Vec<u8>, StoreError> {
        Ok(merge::written(data)?.into_bytes())
    }

    fn update(&self, stored: &[u8], data: &T) -> Result<Vec<u8>, StoreError> {
        let text = utf8(stored)?;
        match merge::merged(text, data)? {
            Some(merged) => Ok(merged.into_bytes()),
            None => Err(why::<T>(text)),
        }
    }
}

fn why<T: DeserializeOwned>(text: &str) -> StoreError {
    let mut json = serde_json::Deserializer::from_str(text);
    unreadable(&[], PhantomData::<T>, &mut json, position)
}
