//! placeholder
#[derive(Debug)]
pub struct EncryptedToken;
#[derive(Debug)]
pub struct IssueTokenError;
#[derive(Debug)]
pub struct TokenConfigError;
#[derive(Debug)]
pub struct TokenOptions;
