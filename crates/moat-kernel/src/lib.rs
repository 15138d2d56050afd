//! The kernel over netlink: network namespaces, links, routes, nftables, packet log, connection tracking.
//!
//! Everything here works without root, inside a user namespace of the process itself ([`sandbox`]).

pub mod conntrack;
pub mod error;
pub mod grace;
pub mod keeper;
pub mod link;
pub mod netns;
pub mod nflog;
pub mod nft;
pub mod sandbox;
mod talk;
