//! The servers that are measured.

use std::fmt;

/// One server. The first is the baseline of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// socketioxide alone.
    Bare,
    /// socketioxide, and one pipeline of `GET` and `PTTL` through fred with the decoding of its answer:
    /// the least that a session in Redis can cost.
    BarePipeline,
    OursMemory,
    OursToken,
    OursRedis,
    /// tower-sessions by hand: a middleware that reads the request's session.
    TowerMemory,
    TowerRedis,
    /// socket.io and express-session, in Node.
    ExpressMemory,
    /// The same with connect-redis.
    ExpressRedis,
}

impl Variant {
    pub(crate) const ALL: [Self; 9] = [
        Self::Bare,
        Self::OursMemory,
        Self::OursToken,
        Self::TowerMemory,
        Self::BarePipeline,
        Self::OursRedis,
        Self::TowerRedis,
        Self::ExpressMemory,
        Self::ExpressRedis,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::BarePipeline => "bare-pipeline",
            Self::OursMemory => "ours-memory",
            Self::OursToken => "ours-token",
            Self::OursRedis => "ours-redis",
            Self::TowerMemory => "tower-memory",
            Self::TowerRedis => "tower-redis",
            Self::ExpressMemory => "express-memory",
            Self::ExpressRedis => "express-redis",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Bare => "socketioxide, no session",
            Self::BarePipeline => "socketioxide, one raw GET+PTTL pipeline",
            Self::OursMemory => "this crate, cookie, memory",
            Self::OursToken => "this crate, token, memory",
            Self::OursRedis => "this crate, cookie, Redis",
            Self::TowerMemory => "tower-sessions by hand, memory",
            Self::TowerRedis => "tower-sessions by hand, Redis",
            Self::ExpressMemory => "socket.io + express-session, memory",
            Self::ExpressRedis => "socket.io + express-session, connect-redis",
        }
    }

    pub(crate) fn needs_redis(self) -> bool {
        matches!(
            self,
            Self::BarePipeline | Self::OursRedis | Self::TowerRedis | Self::ExpressRedis
        )
    }

    pub(crate) fn needs_node(self) -> bool {
        matches!(self, Self::ExpressMemory | Self::ExpressRedis)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.name() == name)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
