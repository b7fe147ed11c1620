//! Errors for the log.

use std::{error::Error, fmt};

/// An error and its causes in one line. A cause that says what the error before it said is left out.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if text != last {
                write!(f, ": {text}")?;
            }
            last = text;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        UpdateError,
        store::{StoreError, StoreErrorKind},
    };

    #[test]
    fn a_cause_is_not_repeated() {
        let error = StoreError::new(StoreErrorKind::Timeout, "after 2 s");
        let expected = "the session store did not answer in time: after 2 s";
        assert_eq!(Causes(&error).to_string(), expected);
        assert_eq!(Causes(&UpdateError::Store(error)).to_string(), expected);
    }
}
