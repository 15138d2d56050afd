//! Every rule of loading, through the public interface.

#[cfg(test)]
mod bombs;
#[cfg(test)]
mod git;
#[cfg(test)]
mod json;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod random;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod support;
#[cfg(test)]
mod yaml;
