//! Sessions in the handlers of socketioxide.

mod extractors;
