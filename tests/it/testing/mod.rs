//! Tests of an application.

mod logged_in_socket;
